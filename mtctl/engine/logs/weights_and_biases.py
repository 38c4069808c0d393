"""A run of Weights & Biases: online, or below the run's directory (WANDB_MODE=offline, then `wandb sync`)."""

from __future__ import annotations

import os
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from mtctl.engine.logs.log import Subject, require_package
from mtctl.engine.logs.scalars import Point
from mtctl.errors import MtctlError

_PROJECT: Final = "mtctl"
"""Where runs go unless WANDB_PROJECT says otherwise."""
_FINISH_SECONDS: Final = 120.0
"""That an upload may take at the end; what is missing then stays on disk, for `wandb sync`."""


def require_wandb() -> None:
    """Refuse to begin where W&B is not installed, or does not know whose the runs are.

    Raises:
        MtctlError: says what to do.
    """
    require_package("wandb", "wandb")
    wandb = import_module("wandb")
    try:
        if wandb.setup().settings.mode in ("online", "shared"):
            wandb.login(verify=False)
    except Exception as error:  # whatever its configuration and its server come to
        raise MtctlError(
            f"the wandb log cannot begin: {error}", hint="run `wandb login`, or set WANDB_MODE=offline"
        ) from error


class WandbLog:
    """Writes a run of the same name; once resumed, it is still the same run, and no step is logged twice.

    Args:
        folder: W&B's own files go to `wandb/` in it, unless WANDB_DIR says otherwise.
        subject: the run.
    """

    def __init__(self, folder: Path, subject: Subject) -> None:
        wandb = import_module("wandb")
        place = Path(os.environ.get("WANDB_DIR") or folder)
        _remove_unfinished(place, subject.identity)
        self._run: Any = wandb.init(
            id=subject.identity,
            resume="allow",
            project=os.environ.get("WANDB_PROJECT") or _PROJECT,
            name=subject.label,
            group=subject.name,
            dir=str(place),
            config={**subject.hyperparameters, "seed": subject.seed},
            reinit="create_new",  # one that the user's own code has under way is left alone
            settings=wandb.Settings(
                console="off", silent=True, save_code=False, disable_git=True, finish_timeout=_FINISH_SECONDS
            ),
        )
        self._first: int = self._run.step

    def write(self, point: Point) -> None:
        if point.step >= self._first:
            self._run.log(point.scalars, step=point.step)

    def close(self) -> None:
        self._run.finish()


def _remove_unfinished(place: Path, identity: str) -> None:
    """Remove what was written offline before the run was resumed: the new files have all of it."""
    for folder in (place / "wandb").glob(f"offline-run-*-{identity}"):
        if not folder.is_symlink():
            shutil.rmtree(folder)
