"""What every part of a recipe has in common: frozen, and no key that is not declared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    model_serializer,
    model_validator,
)

#: No count in a recipe comes near; a larger one would only overflow somewhere else, unexplained.
_MOST = 1_000_000_000

#: Networks compute with 32 bits, in which numbers above 3.4e38 are infinite.
LARGEST = 1e38

PositiveInt = Annotated[int, Field(ge=1, le=_MOST)]
NonNegativeInt = Annotated[int, Field(ge=0, le=_MOST)]
PositiveFloat = Annotated[float, Field(gt=0, le=LARGEST, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]
FiniteFloat = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]
PositiveFraction = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

KeyPath = tuple[str | int, ...]
"""Keys and list indices that lead from a part to a value in it."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """A value that is valid by itself and does not go with the others.

    Args:
        path: where it stands, from the part that found it.
        text: what is wrong.
        choices: the names that are allowed, where `path` ends in a name that is not.
    """

    path: KeyPath
    text: str
    choices: tuple[str, ...] = ()


class MisfitError(ValueError):
    """All the misfits that one part found."""

    def __init__(self, found: tuple[Misfit, ...]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, one.path))}: {one.text}" for one in found))
        self.found = found


#: Validation context in which a part leaves its misfits to whoever validates: raising would hide those of the
#: parts around it.
DEFERRED = {"misfits": "deferred"}


class _Later:
    """See `LATER`."""


#: Marks a key that came after the first runs were kept: at its default it is no part of a recipe's identity,
#: so that a run of before the key existed is one of the same recipe.
LATER: Final = _Later()


class _Aside:
    """See `ASIDE`."""


#: Marks a key that decides nothing of a run, only what is done beside it: no part of a recipe's identity.
ASIDE: Final = _Aside()
#: Serialisation context in which such keys are left out.
IDENTITY: Final = {"keys": "identity"}


class Part(BaseModel):
    """A part of a recipe: immutable, strict about types, closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    def misfits(self) -> Iterator[Misfit]:
        """Yield what does not go together, once every value is valid by itself."""
        yield from ()

    @property
    def depends_on_budget(self) -> bool:
        """Whether it means something else once the whole run is longer, as a schedule over the run does.

        A run whose recipe has such a part cannot be prolonged: what it has done would have been another.
        """
        return False

    @model_validator(mode="after")
    def _values_go_together(self, info: ValidationInfo) -> Self:
        if info.context != DEFERRED and (found := tuple(self.misfits())):
            raise MisfitError(found)
        return self

    @model_serializer(mode="wrap")
    def _without_later_keys(
        self, serialise: SerializerFunctionWrapHandler, info: SerializationInfo
    ) -> dict[str, Any]:
        values: dict[str, Any] = serialise(self)
        if info.context == IDENTITY:
            for name, field in type(self).model_fields.items():
                default = field.get_default(call_default_factory=True)
                unchanged = LATER in field.metadata and getattr(self, name) == default
                if unchanged or ASIDE in field.metadata:
                    values.pop(name)
        return values


def all_misfits(value: object) -> Iterator[Misfit]:
    """Yield the misfits of a part and of all parts inside it, with their paths from the outermost."""
    for path, part in all_parts(value):
        for one in part.misfits():
            yield Misfit((*path, *one.path), one.text, one.choices)


def all_parts(value: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Part]]:
    """Yield a part and all parts inside it, innermost first, with their paths from the outermost."""
    if isinstance(value, Part):
        for name in type(value).model_fields:
            yield from all_parts(getattr(value, name), (*path, name))
        yield path, value
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from all_parts(item, (*path, index))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from all_parts(item, (*path, key))
