"""Pages as scripts: what of a page is a file, Python, a command with the screen below it, or none of these.

- A fenced block with `title="NAME"`, or Python that begins with `# NAME.py`, is a file of that name.
- Any other block of Python is executed.
- A line that is indented by four spaces and begins with `$ `, or with one of `PROGRAMS`, is a command. What
  follows is its screen, if it began with `$ `.
- `*Not run by the tests: REASON.*`, a paragraph before a block, says that its commands cannot run here.

Blocks of `text`, and indented ones without a command, show something.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
PROGRAMS: Final = ("mtctl", "make", "pip", "python", "python3", "source", "tensorboard", "torchrun")

_FENCE = re.compile(r"( *)```(\w*)(.*)")
_TITLE = re.compile(r'title="([^"]+)"')
_FILE = re.compile(r"# (\w+\.py)\b")
_NOT_RUN = re.compile(r"\*Not run by the tests: (.+)\.\*")
_INDENT: Final = "    "


@dataclass
class Block:
    """A part of a page that is executed, or written into a file.

    Args:
        place: page and line.
        kind: what it is.
        text: what is executed or written; of a command, the line.
        name: of a file.
        not_run: why a command is not executed.
        shown: the lines below a command.
    """

    place: str
    kind: Literal["file", "python", "command"]
    text: str
    name: str = ""
    not_run: str = ""
    shown: list[str] = field(default_factory=list)


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page in their order."""
    return list(_blocks(page.name, page.read_text(encoding="utf-8").splitlines()))


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return "\n".join(line for line in text.splitlines() if not line.startswith(_INDENT))


def fences(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a page in one language."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\b[^\n]*\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def _blocks(page: str, lines: list[str]) -> Iterator[Block]:
    not_run, command = "", None
    numbered = iter(enumerate(lines, 1))
    for number, line in numbered:
        place = f"{page}:{number}"
        if fence := _FENCE.fullmatch(line):
            body = _body(fence[1], numbered)
            if (block := _fenced(place, fence[2], fence[3], body)) is not None:
                yield block
            not_run, command = "", None
        elif line.startswith(_INDENT):
            text = line.removeprefix(_INDENT)
            if text.startswith("$ ") or text.split(" ")[0] in PROGRAMS:
                shows = text.startswith("$ ")
                block = Block(place, "command", text.removeprefix("$ "), not_run=not_run)
                command = block if shows else None
                yield block
            elif command is not None:
                command.shown.append(text.strip())
        elif line:
            found = _NOT_RUN.fullmatch(line)
            not_run, command = found[1] if found else "", None


def _body(indent: str, numbered: Iterator[tuple[int, str]]) -> str:
    inside = []
    for _, line in numbered:
        if line == f"{indent}```":
            break
        inside.append(line.removeprefix(indent))
    return "\n".join(inside) + "\n"


def _fenced(place: str, language: str, rest: str, body: str) -> Block | None:
    if title := _TITLE.search(rest):
        return Block(place, "file", body, title[1])
    if language == "python":
        name = _FILE.match(body)
        return Block(place, "file", body, name[1]) if name else Block(place, "python", body)
    assert language in ("text", ""), f"{place}: what is this, a file? Give it a title"
    return None
