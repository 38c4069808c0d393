"""A diagnosis read back from its JSON document."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from mtctl.diagnosis.document import SCHEMA
from mtctl.diagnosis.report import Diagnosis
from mtctl.errors import MtctlError
from mtctl.history.documents import NEEDS, check, decode, parse, show
from mtctl.reading import read_bytes

_REMEDY: Final = "write it again: `mtctl diagnose … --json > FILE`"
_NUMBERS: Final = frozenset({"first", "last", "change", "mean", "low", "high", "value"})
"""Figures that every diagnosis has; the document has null where they are not finite."""


def read_diagnosis(path: Path) -> Diagnosis:
    """Return the diagnosis in a document of `mtctl diagnose --json`.

    Args:
        path: the file.

    Raises:
        MtctlError: the file cannot be read, is cut off or corrupt, or is no diagnosis.
    """
    if path.is_dir():
        raise MtctlError(f"{path} is a directory, not a diagnosis", hint=_REMEDY)
    text = decode(read_bytes(path, remedy=_REMEDY, needs=NEEDS, pipes=True), str(path), remedy=_REMEDY)
    document = parse(text, path, remedy=_REMEDY)
    if not isinstance(document, Mapping) or "subject" not in document or "schema" not in document:
        raise MtctlError(f"{path} is not a diagnosis: it lacks `schema` or `subject`", hint=_REMEDY)
    if (found := document["schema"]) != SCHEMA or isinstance(found, bool):
        raise MtctlError(
            f"{path} has schema {show(found)}; this mtctl reads schema {SCHEMA} of a diagnosis", hint=_REMEDY
        )
    return check(TypeAdapter(Diagnosis).validate_python, _restored(document), str(path), remedy=_REMEDY)


def _restored(value: Any) -> Any:
    """Return JSON values with the numbers that are not finite put back."""
    match value:
        case dict():
            return {
                key: _numbers(item)
                if key == "measures"
                else math.nan
                if item is None and key in _NUMBERS
                else _restored(item)
                for key, item in value.items()
            }
        case list():
            return [_restored(item) for item in value]
        case _:
            return value


def _numbers(measures: Any) -> Any:
    if not isinstance(measures, dict):
        return measures
    return {name: math.nan if value is None else value for name, value in measures.items()}
