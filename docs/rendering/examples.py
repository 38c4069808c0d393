"""Examples of docstrings, `>>> …`, as blocks of code in the Python reference."""

from __future__ import annotations

from typing import Any

import griffe

from docs.rendering.text import sessions


class Examples(griffe.Extension):  # type: ignore[misc] # its types may not be installed
    """Sets what a docstring shows of a Python session as code."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = sessions(obj.docstring.value)
