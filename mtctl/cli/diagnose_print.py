"""What `mtctl diagnose` prints: a diagnosis, what would be trained for it, what a finding means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mtctl.terminal.console import out, write_json

if TYPE_CHECKING:
    from mtctl.api.diagnosing import Trainings
    from mtctl.diagnosis.report import Diagnosis

_ALL_CODES: Final = "list"


def print_diagnosis(
    diagnosis: Diagnosis, commands: list[str], apply: str = "", *, as_json: bool, full: bool
) -> None:
    """Print what was found.

    Args:
        diagnosis: what was found.
        commands: what to do next, the first the most useful.
        apply: the command that writes or trains the best remedy; "" where there is none.
        as_json: as one JSON document.
        full: show everything that was measured.
    """
    from mtctl.diagnosis.document import document
    from mtctl.screens.diagnose import diagnosis_screen

    if as_json:
        write_json(document(diagnosis))
    else:
        screen = diagnosis_screen(diagnosis, commands, apply=apply, full=full)
        out().print(*screen, sep="\n", crop=False)


def print_outline(trainings: Trainings, *, as_json: bool) -> None:
    """Print what would be trained, and for how long."""
    from dataclasses import asdict

    from mtctl.diagnosis.experiments.outline import outline
    from mtctl.engine.processor import use_one_thread
    from mtctl.measuring.calibrate import seconds_per_run
    from mtctl.problems.kinds import kind_of
    from mtctl.problems.supervised.recipe import SupervisedRecipe
    from mtctl.screens.diagnose_plan import outline_screen, player_outline_screen

    use_one_thread()
    recipe, seeds = trainings.recipe, trainings.seeds
    length = f"{recipe.units:,} {kind_of(recipe).unit}s"
    if isinstance(recipe, SupervisedRecipe):
        plan = outline(recipe, seeds=seeds, verify=trainings.verify, task=trainings.task, jobs=trainings.jobs)
        if as_json:
            write_json({"schema": 1, **asdict(plan)})
        else:
            out().print(*outline_screen(plan, recipe.name, length, seeds), sep="\n", crop=False)
        return
    playing = kind_of(recipe).playing
    assert playing is not None
    task = trainings.task or recipe.scored[0]
    tried = list(playing().alternatives(recipe, task)) if trainings.verify else []
    low, high = seconds_per_run(recipe)
    if as_json:
        changes = [asdict(each) for each in tried]
        write_json({"schema": 1, "training": [low, high], "changes": changes, "seconds": trainings.budget})
    else:
        screen = player_outline_screen(recipe.name, length, seeds, tried, task, (low, high), trainings.budget)
        out().print(*screen, sep="\n", crop=False)


def print_explanation(code: str, *, as_json: bool) -> None:
    """Print what a code of a finding means, or the list of all codes."""
    from dataclasses import asdict

    from mtctl.diagnosis.explanations import EXPLANATIONS, explain
    from mtctl.screens.explain import codes_screen, explanation_screen

    explanations = list(EXPLANATIONS.values()) if code == _ALL_CODES else [explain(code)]
    if as_json:
        write_json({"schema": 1, "codes": [asdict(each) for each in explanations]})
    else:
        screen = codes_screen(explanations) if code == _ALL_CODES else explanation_screen(explanations[0])
        out().print(*screen, sep="\n", crop=False)
