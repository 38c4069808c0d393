"""JSON that may be missing, cut off, corrupt or somebody else's: a checked value, or one clear error."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
)
from pydantic_core import ErrorDetails

from mtctl.engine.layout import LARGEST, READABLE, SCHEMA
from mtctl.errors import MtctlError
from mtctl.history.schema2 import upgraded_document
from mtctl.reading import read_bytes
from mtctl.text import show_text

_EXPECTED = {
    "dict_type": "input should be an object",
    "model_type": "input should be an object",
    "tuple_type": "input should be a list",
}
"""JSON's words for what pydantic calls by Python's."""
NEEDS = 8.0
"""Bytes of memory for a byte of JSON, measured on a run's records: as text, as values and checked."""
_SHOWN_PROBLEMS = 5
_SHOWN_CHARACTERS = 40

Number = Annotated[float, Field(allow_inf_nan=False, ge=-LARGEST, le=LARGEST)]
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]


@lru_cache(maxsize=1024)  # the same few words end every item of an evaluation
def _printable(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("input should be printable text")
    return text


Label = Annotated[str, AfterValidator(_printable)]
"""A name that any terminal can show."""

Value = TypeVar("Value")
Document = TypeVar("Document", bound="Checked")


class Checked(BaseModel):
    """A part of a document: immutable, strict about types, tolerant to keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


def read_document(path: Path, model: type[Document], *, remedy: str) -> Document:
    """Read a JSON document and check it against its format.

    Args:
        path: the file.
        model: the format; the document's `schema` number is checked first.
        remedy: what the user can do if the file is unusable.

    Raises:
        MtctlError: names the file, the place in it and the remedy.
    """
    text = decode(read_bytes(path, remedy=remedy, needs=NEEDS), str(path), remedy=remedy)
    document = parse(text, path, remedy=remedy)
    if not isinstance(document, Mapping) or "schema" not in document:
        raise MtctlError(f"{path} was not written by mtctl: it states no `schema`", hint=remedy)
    if (schema := document["schema"]) not in READABLE or isinstance(schema, bool):
        raise MtctlError(
            f"{path} has schema {show(schema)}; this mtctl reads schema {' and '.join(map(str, READABLE))}",
            hint=f"read it with the version of mtctl that wrote it, or {remedy}",
        )
    if schema != SCHEMA:
        document = upgraded_document(document)
    return check(model.model_validate, document, str(path), remedy=remedy)


def decode(content: bytes, place: str, *, remedy: str) -> str:
    """Return UTF-8 text, or name the byte that is none."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise MtctlError(f"{place} is not UTF-8 text (byte {error.start + 1})", hint=remedy) from error


def parse(text: str, path: Path, *, remedy: str, line: int | None = None) -> Any:
    """Return the JSON value in `text`: a whole file, or its line `line`."""
    place = str(path) if line is None else f"{path}:{line}"
    if not text.strip():
        raise MtctlError(f"{place} is empty", hint=remedy)
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
            raise MtctlError(f"{place} is cut off in the middle of a value", hint=remedy) from error
        at = f"{path}:{error.lineno if line is None else line}:{error.colno}"
        raise MtctlError(f"{at} is not valid JSON: {error.msg.lower()}", hint=remedy) from error
    except ValueError as error:  # NaN, or an integer of thousands of digits
        raise MtctlError(f"{place} is not valid JSON: {error}", hint=remedy) from error
    except RecursionError as error:
        raise MtctlError(f"{place} is nested too deeply", hint=remedy) from error


def check(validate: Callable[[object], Value], value: object, place: str, *, remedy: str) -> Value:
    """Return `value` as pydantic's `validate` checks it, or list what does not fit."""
    try:
        return validate(value)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
        lines = [f"  {_explain(problem)}" for problem in problems[:_SHOWN_PROBLEMS]]
        if (more := len(problems) - _SHOWN_PROBLEMS) > 0:
            lines.append(f"  and {more} more")
        raise MtctlError(
            "\n".join([f"{place} does not have mtctl's format:", *lines]), hint=remedy
        ) from error


def _explain(problem: ErrorDetails) -> str:
    message = _EXPECTED.get(problem["type"], problem["msg"].removeprefix("Value error, "))
    place = show_text(".".join(map(str, problem["loc"])))
    if problem["type"] == "missing":
        return f"{place}: is missing"
    sentence = f"{message[0].lower()}{message[1:]}"
    if problem["type"] != "value_error" or isinstance(problem["input"], str):
        sentence += f", found {show(problem['input'])}"
    return f"{place}: {sentence}" if place else sentence


def show(value: object) -> str:
    """Return a value on one line, shortened where it is long: for messages."""
    if isinstance(value, Mapping):
        return "an object" if value else "{}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}" if value else "[]"
    if isinstance(value, int) and abs(value) > 10**_SHOWN_CHARACTERS:
        return "a huge integer"  # Python refuses to print thousands of digits
    text = json.dumps(value, ensure_ascii=False)
    return show_text(text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
