"""Where a problem computes: `training.device` in every recipe that has it, with one meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from mtctl.errors import MtctlError

if TYPE_CHECKING:
    import torch

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
"""`auto`: a GPU (cuda, else mps) where there is one, else the CPU."""

_GPUS: Final[tuple[DeviceName, ...]] = ("cuda", "mps")


def device_of(name: DeviceName) -> torch.device:
    """Return the device that a recipe names.

    Raises:
        MtctlError: this machine has none.
    """
    import torch  # noqa: PLC0415 - recipes are read without it

    require(name)
    if name == "auto":
        name = next((gpu for gpu in _GPUS if is_there(gpu)), "cpu")
    return torch.device(name)


def require(name: str) -> None:
    """Refuse a device that this machine lacks.

    Raises:
        MtctlError: it has none.
    """
    if not is_there(name):
        raise MtctlError(
            f"training.device: {name}, but this machine has none that torch can use",
            hint="-o training.device=auto takes what there is; a run that began on a GPU goes on where there "
            "is one",
        )


def is_there(name: str) -> bool:
    """Say whether this machine has a device that a recipe may name."""
    if name not in _GPUS:
        return True
    import torch  # noqa: PLC0415 - recipes are read without it

    if name == "cuda":
        return torch.cuda.is_available()
    return torch.backends.mps.is_available()
