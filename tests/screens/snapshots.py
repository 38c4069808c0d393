"""What a person sees, kept as text files next to this one and compared letter by letter.

`MTCTL_UPDATE_SCREENS=1 pytest tests/…` writes the files anew; look at the difference before it is committed.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

from rich.console import Console, RenderableType

WIDTHS = (80, 120)
_FOLDER = Path(__file__).parent
_UPDATE = "MTCTL_UPDATE_SCREENS"


def render(*renderables: RenderableType, width: int) -> str:
    """Return what a console of `width` columns shows, without colours and spaces at the ends of lines."""
    console = Console(
        file=io.StringIO(), width=width, color_system=None, highlight=False, legacy_windows=False
    )
    for renderable in renderables:
        console.print(renderable, crop=False)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def assert_screen(name: str, text: str) -> None:
    """Compare a screen with tests/screens/<name>.txt."""
    file = _FOLDER / f"{name}.txt"
    if os.environ.get(_UPDATE):
        file.write_text(text, encoding="utf-8")
    assert file.exists(), f"{file} is missing; {_UPDATE}=1 writes it"
    assert text == file.read_text(encoding="utf-8"), f"{name} looks different; {_UPDATE}=1 accepts it"
