"""What every verb does with a hybrid run."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command

SMALL = ("-o", "problem.copies=16", "-o", "agent.steps=16", "-o", "agent.minibatch=64")


def said(here: Command, *arguments: str) -> str:
    result = here(*arguments)
    assert result.code == 0, result.err
    return result.out + result.err


def test_every_verb_takes_a_hybrid_run(
    here: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    budget = ("-o", "problem.environment_steps=2048", "--quiet")
    for name in ("hybrid_fixed", "hybrid_gradnorm"):
        said(here, "train", name, *SMALL, *budget)
    run = "results/hybrid_fixed/seed0"
    document = json.loads((tmp_path / run / "run.json").read_text())
    assert (document["tasks"], document["scored"]) == (["discrete", "continuous"], ["moving"])
    assert "moving" in said(here, "eval", run, "--episodes", "20")
    compared = said(here, "compare", "results/hybrid_fixed", "results/hybrid_gradnorm")
    assert "moving" in compared
    assert "discrete" in compared  # weights of the heads
    said(here, "report", "results", "-o", "page.html")
    assert "continuous" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "ratios start at 1" in said(here, "diagnose", run, "-v")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("problem.environment=movin", "did you mean `moving`?"),
        ("problem.environment=nothing:There-v0", "there is no package nothing"),
        ("problem.tasks=[discrete]", "write `tasks: [discrete, continuous]`"),
        ("problem.uses={chioce: {0: [acceleration]}}", "did you mean `choice`?"),
        ("problem.uses={choice: {go: [acceleration]}}", "`go` is not an option's number"),
        ("problem.environment_steps=100", "one rollout of all copies takes 8,192 steps"),
        ("agent.minibatch=100000", "a rollout has 8,192 rows only"),
        ("problem.options={speed: 3}", "environment moving"),
        ("agent={continuous: beta, old_log_probability: published_defect}", "needs `continuous: squashed"),
    ],
)
def test_mistakes_are_named(here: Command, tmp_path: Path, override: str, words: str) -> None:
    result = here("train", "hybrid_pcgrad", "-o", override)
    assert result.code == 2
    assert words in " ".join(result.err.split())
    assert not (tmp_path / "results" / "hybrid_pcgrad" / "seed0" / "checkpoints").exists()


def test_diagnose_trains_a_look_and_names_the_published_defect(here: Command) -> None:
    short = (*SMALL, "-o", "problem.environment_steps=5120")
    defect = ("-o", "agent.old_log_probability=published_defect")
    result = here("diagnose", "hybrid_fixed", *short, *defect)
    assert "continuous: before the first update of a rollout, the ratio of new to old" in " ".join(
        (result.out + result.err).split()
    )
    result = here("diagnose", "hybrid_fixed", "--epochs", "3")
    assert result.code == 2
    assert "use -o problem.environment_steps=N" in " ".join(result.err.split())
