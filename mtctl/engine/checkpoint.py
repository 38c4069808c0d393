"""Checkpoints: one format for resuming and for evaluating, tensors and plain values only.

    {"schema": 1, "recipe_hash": …, "definition_hash": …, "seed": …, "done": units,
     "policy": the networks' weights,
     "training": None | everything else that decides the future}

`last.pt` has `training`, so a run resumes from it; `best.pt` and `ep0100.pt` … hold the policy alone.
"""

from __future__ import annotations

import errno
import io
import stat
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import torch

from mtctl.engine import archive
from mtctl.engine.files import write_atomically
from mtctl.engine.stored import require_facts, require_training
from mtctl.errors import MtctlError
from mtctl.problems.stack import compact
from mtctl.yaml.mistakes import shortened

SCHEMA: Final = 2
_PUT_BACK: Final = "restore this run's checkpoint from a copy, or start again with --force"
_KEYS: Final = frozenset({"schema", "recipe_hash", "definition_hash", "seed", "done", "policy", "training"})


def save(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically; `content` lacks only the schema number."""
    # Through memory: a disk that is full in the midst of torch's writing comes out as a RuntimeError.
    buffer = io.BytesIO()
    torch.save({"schema": SCHEMA, **compact(content)}, buffer)
    write_atomically(path, lambda file: file.write(buffer.getbuffer()))


def load(
    path: Path,
    *,
    recipe_hash: str | Collection[str] | None = None,
    remedy: str | None = None,
) -> dict[str, Any]:
    """Read a checkpoint.

    Args:
        path: the file.
        recipe_hash: what the checkpoint must have been made from, or any of these; None accepts any.
        remedy: what to do about one that is of no use, where it has to be this very one.

    Raises:
        MtctlError: missing, unreadable, corrupt, truncated, foreign, or of another recipe.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise MtctlError(
                f"{path}: expected a checkpoint file, found something else", hint=_what_is_there(path)
            )
        path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MtctlError(f"{path}: no such checkpoint", hint=_what_is_there(path)) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    mending = remedy or "use another one with --checkpoint, or train again with --force"
    try:
        content = archive.read(path, remedy=mending)
    except archive.Unusable as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno not in (None, errno.EINVAL):  # EINVAL: by its content
            raise _unreadable(path, cause) from error
        text = f"{path}: the checkpoint is corrupt, truncated or not a checkpoint: {error}"
        raise MtctlError(text, hint=mending) from error
    if not isinstance(content, dict) or not content.keys() >= _KEYS:
        raise MtctlError(f"{path}: not a checkpoint of mtctl", hint=_what_is_there(path))
    if type(content["schema"]) is not int or content["schema"] != SCHEMA:
        raise MtctlError(
            f"{path}: checkpoint format {shortened(str(content['schema']))}; this version reads {SCHEMA}",
            hint="use the version of mtctl that wrote it",
        )
    require_facts(path, content)
    known = (recipe_hash,) if isinstance(recipe_hash, str) else recipe_hash
    if known is not None and content["recipe_hash"] not in known:
        raise MtctlError(
            f"{path}: the checkpoint was made from another recipe",
            hint=remedy or "evaluate it in its own run directory",
        )
    return content


def load_to_resume(
    path: Path, *, recipe_hash: str | Collection[str], definition_hash: str, seed: int
) -> dict[str, Any]:
    """Read a checkpoint that training goes on from.

    Raises:
        MtctlError: as `load`; or it holds a policy only, or was made with another seed or other tasks.
    """
    content = load(path, recipe_hash=recipe_hash, remedy=_PUT_BACK)
    mistakes = {
        "holds a policy only, so training cannot continue from it": content["training"] is None,
        f"was made with seed {content['seed']}, not {seed}": content["seed"] != seed,
        "was made when the tasks were defined differently": content["definition_hash"] != definition_hash,
    }
    for mistake, made in mistakes.items():
        if made:
            raise MtctlError(f"{path}: the checkpoint {mistake}", hint=_PUT_BACK)
    require_training(path, content["training"])
    return content


def _unreadable(path: Path, error: OSError) -> MtctlError:
    return MtctlError(
        f"{path}: the checkpoint cannot be read ({error.strerror or error}); it need not be damaged",
        hint="check its permissions and its disk, then try again",
    )


def _what_is_there(path: Path) -> str:
    found = sorted(file.stem for file in path.parent.glob("*.pt")) if path.parent.is_dir() else []
    return f"there are: {', '.join(found)}" if found else "train first: `mtctl train RECIPE`"
