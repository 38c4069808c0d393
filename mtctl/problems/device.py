"""Where a problem computes: `training.device` in every recipe that has it, with one meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mtctl.errors import MtctlError

if TYPE_CHECKING:
    import torch

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
"""`auto`: a GPU (cuda, else mps) where there is one, else the CPU."""


def device_of(name: DeviceName) -> torch.device:
    """Return the device that a recipe names.

    Raises:
        MtctlError: this machine has none.
    """
    import torch  # noqa: PLC0415 - recipes are read without it

    if not is_there(name):
        raise MtctlError(
            f"training.device: {name}, but this machine has none that torch can use",
            hint="-o training.device=auto takes what there is; a run that began on a GPU goes on where there "
            "is one",
        )
    if name == "auto":
        name = next((gpu for gpu in _GPUS if is_there(gpu)), "cpu")
    return torch.device(name)


_GPUS: tuple[DeviceName, ...] = ("cuda", "mps")


def is_there(name: str) -> bool:
    """Say whether this machine has a device that a recipe may name."""
    import torch  # noqa: PLC0415 - recipes are read without it

    if name == "cuda":
        return torch.cuda.is_available()
    return torch.backends.mps.is_available() if name == "mps" else True
