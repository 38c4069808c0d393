from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest

from benchmarks.faults import planted
from mtctl.diagnosis.crew import Crew
from mtctl.diagnosis.experiments import remedies, variations
from mtctl.diagnosis.experiments.course import supervised
from mtctl.diagnosis.experiments.remedies import Result
from mtctl.diagnosis.report import Check, Remedy, Trial, Verdict
from mtctl.problems.windows.recipe import WindowsRecipe
from mtctl.statistics import estimate
from tests.diagnosis.experiments.small_recipes import small

RECIPE = small("model.standardise=[]", "training.epochs=1")
MISSING = planted(small(), {"kind": "missing_targets", "task": "ptr", "fraction": 1.0})
REMEDY = Remedy("raw", "raw losses", ())


def results(losses: Sequence[float], other: float = 0.5, looks: float = 0.3) -> list[Result]:
    """Return results in which the constant's loss is 10 and another task has a skill."""
    return [
        Result({"ptr": (loss, 1 - loss / 10), "type": (1.0, other)}, {"ptr": looks, "type": looks})
        for loss in losses
    ]


def judged(before: Sequence[Result], after: Sequence[Result]) -> Trial:
    return remedies._judge(REMEDY, "ptr", before, after)


AS_IS = results([10.0, 10.2, 9.9])


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        ([5.0, 5.3, 4.8], "helps"),
        ([10.01, 10.2, 9.9], "no_effect"),
        ([12.0, 12.3, 11.8], "harms"),
        ([5.0, 12.0, 9.0], "unclear"),
        ([9.0, 9.2, 8.9], "helps"),
    ],
)
def test_the_paired_interval_decides(losses: list[float], verdict: str) -> None:
    trial = judged(AS_IS, results(losses))
    assert trial.verdict == verdict
    assert trial.improvement is not None
    assert trial.loss is not None
    assert trial.improvement.mean == pytest.approx(
        sum(b - a for a, b in zip(losses, (10.0, 10.2, 9.9), strict=True)) / 3
    )
    assert trial.loss.mean == pytest.approx(sum(losses) / 3)


def test_pairing_sees_what_is_small_beside_the_differences_between_seeds() -> None:
    before, after = results([10.0, 14.0, 6.0]), results([9.5, 13.5, 5.5])
    assert judged(before, after).verdict == "helps"


def test_one_seed_gives_no_verdict() -> None:
    assert judged(AS_IS[:1], results([5.0])).verdict == "unclear"


def test_what_learns_without_inputs_does_not_help() -> None:
    assert judged(AS_IS, results([5.0, 5.3, 4.8], looks=0.01)).verdict == "without_inputs"


def test_the_cost_to_others_is_told() -> None:
    trial = judged(AS_IS, results([5.0, 5.3, 4.8], other=0.4))
    assert trial.others["type"].mean == pytest.approx(-0.1)
    assert set(trial.others) == {"type"}


def test_a_remedy_that_cannot_be_trained_has_failed() -> None:
    after = [*results([5.0, 5.0]), Result({}, failure="diverged in epoch 1")]
    trial = judged(AS_IS, after)
    assert (trial.verdict, trial.failure) == ("failed", "diverged in epoch 1")


def test_seeds_that_failed_as_is_are_left_out() -> None:
    before = [Result({}, failure="diverged"), *AS_IS[1:]]
    trial = judged(before, results([5.0, 5.2, 4.9]))
    assert trial.improvement is not None
    assert trial.improvement.mean == pytest.approx(5.0)


def test_what_helps_comes_first_then_the_lower_loss() -> None:
    told: list[tuple[Verdict, float | None]] = [
        ("failed", None),
        ("unclear", 3.0),
        ("helps", 8.0),
        ("helps", 7.0),
    ]
    trials = [
        Trial(REMEDY, verdict, loss=None if loss is None else estimate([loss])) for verdict, loss in told
    ]
    ordered = sorted(trials, key=remedies._rank)
    assert [(one.verdict, one.loss and one.loss.mean) for one in ordered] == [
        ("helps", 7.0),
        ("helps", 8.0),
        ("unclear", 3.0),
        ("failed", None),
    ]


def test_a_training_that_diverges_is_a_failure() -> None:
    found = remedies.train(MISSING, 0)
    assert "ptr" in found.failure
    assert found.scores == {}


def test_processes_give_the_same_results() -> None:
    candidates = variations.remedies(RECIPE, supervised(RECIPE, 0), "ptr")[:2]

    def trials(jobs: int) -> list[Trial]:
        with Crew(jobs) as crew:
            as_is = remedies.train_all(crew, RECIPE, (0, 1), None)
            found, skipped = remedies.verify(
                RECIPE, "ptr", candidates, (0, 1), as_is=as_is, crew=crew, deadline=None, say=lambda _: None
            )
        assert skipped == []
        return found

    assert trials(2) == trials(1)


def test_no_remedy_begins_after_the_deadline() -> None:
    with Crew(1) as crew:
        found, skipped = remedies.verify(
            RECIPE,
            "ptr",
            [REMEDY],
            (0,),
            as_is=AS_IS[:1],
            crew=crew,
            deadline=time.monotonic(),
            say=lambda _: None,
        )
    assert found == []
    assert skipped == [Check("remedy: raw losses", "not_run", "the time limit of --budget was reached")]


class Told(Crew):
    """Says what a training comes to: 10, less 4 for a standardised head and 0.5 for a higher rate."""

    def __init__(self) -> None:
        super().__init__(1)
        self.trained: list[WindowsRecipe] = []

    def map(self, train: Any, calls: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        assert train is remedies.train
        (recipe, *_), *_ = calls
        self.trained.append(recipe)
        gain = 4.0 * ("ptr" in recipe.model.standardise) + 0.5 * (recipe.training.lr > RECIPE.training.lr)
        yield from results([10.0 - gain, 10.2 - gain, 9.9 - gain])


@pytest.mark.parametrize("documented", ["", "fix 2"])
def test_a_remedy_that_does_not_help_the_first_seed_is_not_tried_with_others_unless_documented(
    documented: str,
) -> None:
    changes: list[dict[str, Any]] = [{"model.standardise": ["ptr"]}, {"training.gradient_clip": 1.0}]
    candidates = [
        Remedy("scaled", "scaled", (), changes=changes[0]),
        Remedy("clipped", "clipped", (), documented, changes=changes[1]),
    ]

    class Seeded(Told):
        def map(self, train: Any, calls: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
            for recipe, seed, _ in calls:
                self.trained.append(recipe)
                gain = 4.0 * ("ptr" in recipe.model.standardise)
                yield results([10.0 - gain, 10.2 - gain, 9.9 - gain])[seed]

    crew = Seeded()
    trials, skipped = remedies.verify(
        RECIPE, "ptr", candidates, (0, 1, 2), as_is=AS_IS, crew=crew, deadline=None, say=lambda _: None
    )
    assert skipped == []
    assert [(one.remedy.name, one.verdict) for one in trials] == [
        ("scaled", "helps"),
        ("clipped", "no_effect"),
    ]
    counts = [one.improvement.n for one in trials if one.improvement is not None]
    assert counts == [3, 3 if documented else 1]
    assert len(crew.trained) == sum(counts)


def smallest(changes: dict[str, Any], deadline: float | None = None) -> Trial | None:
    crew = Told()
    remedy = Remedy("all", "everything", (), changes=changes)
    winner = remedies._judge(
        remedy, "ptr", AS_IS, remedies.train_all(crew, RECIPE.revised(changes), (0, 1, 2), None)
    )
    return remedies.smallest_part(
        RECIPE, "ptr", winner, (0, 1, 2), as_is=AS_IS, crew=crew, deadline=deadline, say=lambda _: None
    )


def test_what_adds_little_to_a_remedy_is_left_out() -> None:
    part = smallest(
        {"training.lr": 0.05, "model.standardise": ["type", "ptr"], "training.gradient_clip": 1.0}
    )
    assert part is not None
    assert part.remedy.changes == {"model.standardise": ["ptr"]}
    assert part.remedy.overrides == ("model.standardise=[ptr]",)


def test_a_remedy_of_which_all_is_needed_has_no_smaller_part() -> None:
    assert smallest({"model.standardise": ["ptr"]}) is None
    assert smallest({"training.lr": 0.05, "model.standardise": ["ptr"]}, time.monotonic() - 1) is None
