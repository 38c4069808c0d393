"""What every part of a recipe has in common: frozen, and no key that is not declared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: No count in a recipe comes near; a larger one would only overflow somewhere else, unexplained.
_MOST = 1_000_000_000

PositiveInt = Annotated[int, Field(ge=1, le=_MOST)]
NonNegativeInt = Annotated[int, Field(ge=0, le=_MOST)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
FiniteFloat = Annotated[float, Field(allow_inf_nan=False)]
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


class Part(BaseModel):
    """A part of a recipe: immutable, strict about types, closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    def misfits(self) -> Iterator[Misfit]:
        """Yield what does not go together, once every value is valid by itself."""
        yield from ()

    @model_validator(mode="after")
    def _values_go_together(self) -> Self:
        if found := tuple(self.misfits()):
            raise MisfitError(found)
        return self
