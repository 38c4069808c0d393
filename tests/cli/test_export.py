from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import mtctl as mtctl_package
from mtctl.cli.train import LogKind
from mtctl.problems import recipe
from tests.cli.conftest import Command
from tests.cli.test_train import ONE, assert_refused
from tests.engine.logs.reading import event_curves, table_curves
from tests.engine.runs import run_json, tree
from tests.history.runs_factory import write_run, write_windows_run


def test_runs_are_exported_under_their_names(mtctl: Command) -> None:
    write_run(Path("results"), seed=0)
    write_run(Path("results"), seed=1)
    write_windows_run(Path("results"))
    before = tree(Path("results"))
    result = mtctl("export", "results", "--tensorboard", "events")
    assert (result.code, result.out) == (0, "")
    assert "wrote events/gradnorm_blind/seed1" in result.err
    assert "next: `tensorboard --logdir events`" in result.err
    folders = sorted(file.parent for file in Path("events").rglob("*tfevents*"))
    assert [str(folder) for folder in folders] == [
        "events/gradnorm_blind/seed0",
        "events/gradnorm_blind/seed1",
        "events/windows_documented/seed0",
    ]
    assert event_curves(folders[0])["train/episode"] == [(93, 1.0), (186, 2.0), (279, 3.0)]
    assert tree(Path("results")) == before


def test_an_export_is_replaced_only_when_asked(mtctl: Command) -> None:
    run = write_run(Path("results"))
    arguments = ("export", run, "--tensorboard", "events", "--csv", "table.csv")
    assert mtctl(*arguments).code == 0
    assert_refused(mtctl, *arguments, says="--csv table.csv: it exists", hint="--force")
    assert_refused(mtctl, *arguments[:-2], says="is there already", hint="--force")
    table = Path("table.csv").read_bytes()
    assert mtctl(*arguments, "--force").code == 0
    assert Path("table.csv").read_bytes() == table
    assert event_curves(Path("events/gradnorm_blind/seed0"))["train/episode"][-1] == (279, 3.0)


def test_a_table_can_go_to_a_stream(mtctl: Command) -> None:
    run = write_run(Path("results"))
    with Path("stream").open("wb") as stream:
        assert mtctl("export", run, "--csv", f"/dev/fd/{stream.fileno()}").code == 0
    assert Path("stream").read_text().startswith("step,train/episode,train/updates,")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["results/gradnorm_blind/seed0"], "nothing to write"),
        (["results", "--csv", "table.csv"], "--csv writes the table of one run, and there are 2"),
        (["results/gradnorm_blind/seed0", "--csv", "results"], "it is a directory"),
        (["results/gradnorm_blind/seed0", "--csv", "no/table.csv"], "there is no folder no"),
        (["results/gradnorm_blind/seed0", "--tensorboard", "file"], "file"),
        (["results", "other", "--tensorboard", "events"], "would both be written to"),
        (["missing", "--tensorboard", "events"], "missing does not exist"),
        (["results", "--tensorboard", "taken"], "not written by mtctl"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_exported(mtctl: Command, arguments: list[str], says: str) -> None:
    write_run(Path("results"))
    write_run(Path("results"), seed=1)
    write_run(Path("other"))
    Path("file").write_text("mine")
    taken = Path("taken/gradnorm_blind/seed1/events.out.tfevents.1.mine")
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"")
    assert_refused(mtctl, "export", *arguments, says=says)


def test_the_extra_that_is_missing_is_named(mtctl: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(Path("results"))
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    hint = 'pip install "mtctl[tensorboard]"'
    assert_refused(mtctl, "export", run, "--tensorboard", "events", says="tensorboardX", hint=hint)
    assert_refused(
        mtctl, "train", "equal_blind", *ONE, "--log", "tensorboard", says="tensorboardX", hint=hint
    )


def test_logs_that_are_asked_for_on_the_command_line(mtctl: Command) -> None:
    logging = ["-o", "logging=[csv]", "--log", "tensorboard", "--log", "csv"]
    assert mtctl("train", "equal_blind", *ONE, *logging).code == 0
    run = Path("results/equal_blind/seed0")
    curves = table_curves(run / "scalars.csv")
    steps = run_json(run)["budget"]["environment_steps"]
    assert curves["train/episode"][-1] == (steps, 3.0)
    assert event_curves(run / "tb")["train/episode"] == curves["train/episode"]
    assert "logging: [csv, tensorboard]" in (run / "recipe.yaml").read_text()


def test_wandb_that_knows_nobody_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    """In a process of its own: what W&B knows of its user stays as long as the process."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    package = str(Path(mtctl_package.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "mtctl", "train", "equal_blind", "--log", "wandb"],
        env={**environment, "HOME": str(tmp_path), "PYTHONPATH": package},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: the wandb log cannot begin: ")
    assert "hint: run `wandb login`, or set WANDB_MODE=offline" in done.stderr
    assert not (tmp_path / "results").exists()


def test_logs_that_nobody_knows(mtctl: Command) -> None:
    assert_refused(mtctl, "train", "equal_blind", "--log", "tensorbord", says="tensorbord")
    wrong = ["-o", "logging=[tensorbord]"]
    assert_refused(mtctl, "train", "equal_blind", *wrong, says="did you mean `tensorboard`?")


def test_recipes_and_the_command_line_know_the_same_logs() -> None:
    assert tuple(LogKind) == get_args(recipe.LogKind)
