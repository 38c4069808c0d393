"""The screens of `mtctl diagnose`."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.explanations import EXPLANATIONS
from mtctl.diagnosis.report import (
    Check,
    Confidence,
    Diagnosis,
    Finding,
    Severity,
    State,
    Subject,
    Symptom,
    TaskState,
    Verdict,
)
from mtctl.screens.diagnose import CONFIDENCES, MARKS, diagnosis_screen, headline, summary
from mtctl.screens.diagnose_tables import STATES, VERDICTS, cost, decimals, share, worst_hit
from mtctl.screens.diagnose_tables import verdict as verdict_text
from mtctl.screens.diagnose_verdict import verdict_lines
from mtctl.screens.explain import codes_screen, explanation_screen
from mtctl.screens.prose import Command, Sentence
from mtctl.statistics import Estimate, Interval, estimate
from tests.diagnosis.experiments.documented import diagnosis
from tests.screens.snapshots import WIDTHS, assert_screen, render

COMMANDS = ("mtctl diagnose --explain target-out-of-reach", "mtctl diagnose --write-recipe fixed.yaml")


def healthy() -> Diagnosis:
    """Return the diagnosis of a metrics file in which nothing was found."""
    return Diagnosis(
        Subject("metrics", "losses.csv", "", "step", 2000, None, (), ("a", "b")),
        (TaskState("a", "learns", 2.0, 1.0, -0.5), TaskState("b", "at_floor", 0.012, 0.01196, -0.0033)),
        Symptom(True, ("b",), ("a",), 2000),
        {},
        (),
        (
            Check("losses finite and bounded", "passed", "in every record"),
            Check("overfitting", "not_run", "no held-out losses"),
        ),
    )


def undecided() -> Diagnosis:
    """Return a diagnosis of one seed, in which no remedy is proven and a cause is not decided."""
    whole = diagnosis()
    trials = tuple(
        replace(each, verdict="unclear", improvement=estimate([each.improvement.mean]), others={})
        for each in whole.trials[:2]
        if each.improvement is not None
    )
    binary = replace(whole.states[2], state="slow")
    checks = (
        Check("every task beats a constant", "found", "countdown, binary"),
        Check("causes of binary", "not_run", "no time left for: binary alone"),
        *whole.checks[-1:],
    )
    return replace(
        whole,
        subject=replace(whole.subject, seeds=(0,)),
        states=(*whole.states[:2], binary, whole.states[3]),
        findings=whole.findings[1:2],
        checks=checks,
        trials=trials,
        notes=(),
    )


SCREENS = [("documented", diagnosis()), ("healthy", healthy()), ("undecided", undecided())]
APPLY = "mtctl diagnose --from results/diagnosis/x-1.json --write-recipe fixed.yaml"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("name", "found"), SCREENS)
def test_screen(name: str, found: Diagnosis, width: int) -> None:
    text = render(*diagnosis_screen(found, COMMANDS), width=width)
    assert_screen(f"diagnose_{name}_{width}", text)
    assert "…" not in text
    assert max(map(cell_len, text.splitlines())) <= width
    assert len(text.splitlines()) <= 60


@pytest.mark.parametrize("width", WIDTHS)
def test_full_screen(width: int) -> None:
    text = render(*diagnosis_screen(diagnosis(), COMMANDS, apply=APPLY, full=True), width=width)
    assert_screen(f"diagnose_full_{width}", text)


def test_the_default_screen_is_short_whatever_was_measured() -> None:
    whole = diagnosis()
    findings = tuple(
        replace(finding, task=task, cure={"a.b": 1})
        for task in whole.subject.tasks
        for finding in (*whole.findings[:1], *whole.findings[2:3])
    )
    slow = tuple(replace(state, state="slow") for state in whole.states)
    trials = tuple(whole.trials[number % len(whole.trials)] for number in range(11))
    large = replace(whole, findings=findings, states=slow, trials=trials)
    text = render(*diagnosis_screen(large, COMMANDS, apply=APPLY), width=80)
    assert len(text.splitlines()) <= 60, text
    states = tuple(replace(slow[0], task=f"t{number}", state="flat") for number in range(9))
    assert "t4, t5, t6, t7 and t8: behind too; `-v` says why" in " ".join(
        render(
            *diagnosis_screen(
                replace(
                    large, states=states, findings=tuple(replace(findings[0], task=f"t{n}") for n in range(9))
                ),
                (),
            ),
            width=400,
        ).split()
    )


# ----- the verdict


def verdict_of(found: Diagnosis) -> str:
    return render(*verdict_lines(found, APPLY), width=400)


def test_the_verdict_names_causes_cure_and_command() -> None:
    lines = verdict_of(diagnosis()).splitlines()
    assert lines[0] == "✘ countdown does not learn in 5 epochs (30 updates):"
    text = "\n".join(lines)
    assert "  1. target-out-of-reach, measured: " in text
    assert "Loss 15.59 → 9.60, better by 5.99 [+5.56, +6.43]; skill 37 %" in text
    assert "at a cost: ptr loses 12 ± 6 points of skill" in text
    assert "Without such a cost: scalar countdown." in text
    assert "  -o 'model.standardise=[countdown]' -o 'balancer={kind: equal}'\n  " + APPLY in text


def test_a_cost_counts_beyond_its_interval_only() -> None:
    trial = diagnosis().trials[0]
    unsure = replace(trial, others={"ptr": estimate([-0.4, 0.2, -0.1])})
    assert cost(unsure) is None
    assert verdict_text(unsure) == "✔ helps"
    assert verdict_text(trial) == "✔ helps, at a cost"
    assert verdict_text(replace(trial, verdict="unclear")) == "? unclear"


def test_a_budget_that_stopped_everything_decides_nothing() -> None:
    found = diagnosis()
    checks = (Check("experiments", "not_run", "no time left for: as is, up to 4 budgets"),)
    text = verdict_of(replace(found, findings=(), checks=checks, trials=(), stuck=None))
    assert "✘ countdown does not learn in 5 epochs (30 updates).\n" in text
    assert "? the cause is not decided: no time left for: as is, up to 4 budgets" in text
    checks = (Check("causes of type", "not_run", "no time left for: type alone"),)
    fine = replace(found, states=found.states[:3], findings=(), checks=checks, trials=(), stuck=None)
    assert "? Whether type could do better was not decided: no time left for: type alone." in verdict_of(fine)


def test_remedies_that_were_not_tried_say_why() -> None:
    found = diagnosis()
    checks = (Check("remedies", "not_run", "--no-verify; candidates: a, b"),)
    text = verdict_of(replace(found, trials=(), checks=checks))
    assert "? No remedy was tried: --no-verify.\n" in text
    budget = (Check("remedy: x", "not_run", "the time limit of --budget was reached"),)
    assert "Best remedy, of 6 of 7 tried: " in verdict_of(replace(found, checks=budget))


def test_a_cure_that_was_not_tried_says_that_one_seed_showed_it() -> None:
    found = diagnosis()
    cured = replace(found.findings[0], cure={"training.lr": 0.01})
    text = verdict_of(replace(found, findings=(cured,), trials=()))
    assert "  -o training.lr=0.01  # cures target-out-of-reach, measured with seed 0 only\n" in text
    assert "in your own training loop" not in text
    own = replace(found, subject=replace(found.subject, problem="python"), trials=found.trials[:1])
    assert f"  {APPLY}\n  or in your own training loop:\n  sum(losses.values()).backward()" in verdict_of(own)


def test_tasks_with_the_same_causes_share_a_verdict() -> None:
    found = diagnosis()
    slow = tuple(replace(state, state="slow") for state in found.states[:3])
    few = tuple(
        Finding(Code.BUDGET_TOO_SMALL, task, "warning", "likely", f"too few for {task}")
        for task in ("type", "ptr", "binary")
    )
    text = verdict_of(replace(found, states=slow, findings=few, trials=(), stuck=None))
    assert "⚠ type, ptr and binary learn too slowly for 5 epochs (30 updates):\n" in text
    assert "too few for type (the same for ptr and binary)" in text


def test_a_task_that_learns_and_is_held_back_is_named() -> None:
    found = diagnosis()
    held = Finding(Code.CONFLICT, "ptr", "warning", "measured", "ptr's gradient opposes type's")
    healthy_states = replace(found, states=found.states[:3], findings=(held,), trials=(), stuck=None)
    text = verdict_of(healthy_states)
    assert "⚠ ptr learns, and could do better:\n  – conflict, measured: ptr's gradient" in text
    assert "✔ type and binary learn.\n" in text
    wrong = replace(held, code=Code.NOT_IN_OPTIMIZER, severity="error", confidence="certain")
    assert "✘ ptr is set up wrongly:" in verdict_of(replace(healthy_states, findings=(wrong,)))


@pytest.mark.parametrize("state", ["slow", "flat", "rising"])
def test_nothing_found_does_not_stand_beside_a_task_that_is_behind(state: State) -> None:
    behind = replace(
        healthy(), states=(TaskState("a", "learns", 2.0, 1.0, -0.5), TaskState("b", state, 2, 2, 0))
    )
    text = render(*diagnosis_screen(behind, []), width=80)
    assert "Every task learns" not in text
    assert "✔ a learns." in text
    assert "? no cause is known: what was recorded does not show one" in text


def test_tasks_that_learn_are_named_where_others_are_not_judged() -> None:
    states = (TaskState("return", "learns", 1, 2, 1), TaskState("policy", "unknown", 1, 2, 1))
    text = " ".join(summary(replace(healthy(), states=states)))
    assert text == "return learns. Whether policy learns is not known."


@pytest.mark.parametrize("width", WIDTHS)
def test_explanations(width: int) -> None:
    screens = [
        explanation_screen(EXPLANATIONS[Code.TARGET_OUT_OF_REACH]),
        codes_screen(list(EXPLANATIONS.values())),
    ]
    text = "\n".join(render(*screen, width=width) for screen in screens)
    assert_screen(f"diagnose_explain_{width}", text)
    assert max(map(cell_len, text.splitlines())) <= width


def test_every_word_of_a_report_has_its_label() -> None:
    assert STATES.keys() == set(get_args(State))
    assert VERDICTS.keys() == set(get_args(Verdict))
    assert CONFIDENCES.keys() == set(get_args(Confidence))
    assert MARKS.keys() == set(get_args(Severity))


def screen_of(found: Diagnosis) -> str:
    return render(*diagnosis_screen(found, (), full=True), width=400)


def test_errors_come_before_warnings_whatever_their_order() -> None:
    codes = re.findall(r"^[✘⚠·] ([a-z-]+) · ", screen_of(diagnosis()), flags=re.MULTILINE)
    assert codes == ["target-out-of-reach", "multiplier-dominance", "budget-too-small", "at-noise-floor"]


def test_the_documented_check_says_why_it_is_not_triggered() -> None:
    found = diagnosis()
    one = screen_of(replace(found, symptom=Symptom(False, ("countdown",), (), 30)))
    assert (
        "is not triggered: countdown changed by less than 1 %, but no task improved by more than 20 %." in one
    )
    other = screen_of(replace(found, symptom=Symptom(False, (), ("ptr",), 1240)))
    assert "is not triggered: every task's loss changed by at least 1 %." in other
    assert "5 epochs are 1,240 updates here" in other
    assert "documented check" not in screen_of(replace(found, symptom=None))


def test_sections_without_content_are_left_out() -> None:
    subject = diagnosis().subject
    bare = Diagnosis(subject, (), None, {"reach": {"ptr": None}}, (), ())
    learns = "Every task learns in 5 epochs (30 updates)."
    assert screen_of(bare).splitlines()[1:] == ["", f"✔ {learns}", "", "Summary", learns]


def test_unknown_signals_are_shown_under_their_names() -> None:
    found = replace(diagnosis(), signals={"replay_rows": dict.fromkeys(diagnosis().subject.tasks, 33.0)})
    assert re.search(r"^\s+replay\ntask +rows\n", screen_of(found), flags=re.MULTILINE)


def test_a_weight_is_shown_where_it_is_not_the_multiplier() -> None:
    found = diagnosis()
    same = {**found.signals, "weight": dict(found.signals["own_weight"])}
    other = {**found.signals, "weight": {**found.signals["own_weight"], "ptr": 1.0}}
    assert "weight: of the task's gradient" not in screen_of(replace(found, signals=same))
    assert "weight: of the task's gradient" in screen_of(replace(found, signals=other))


def test_no_remedy_that_helps_is_no_best_one() -> None:
    found = diagnosis()
    useless = replace(found, trials=tuple(each for each in found.trials if each.verdict != "helps"))
    text = screen_of(useless)
    why = "the 3 seeds differ too much to tell"
    assert (
        f"4 of 5 remedies were tried; none is proven to help: {why}. Best so far: uncertainty weighting."
        in text
    )
    assert "Best remedy" not in text
    harmful = replace(
        found, trials=tuple(each for each in useless.trials if each.verdict != "unclear"), checks=()
    )
    assert "✘ 3 remedies were tried; none helps.\n" in screen_of(harmful)


def test_one_seed_proves_no_remedy() -> None:
    found = diagnosis()
    first = found.trials[0]
    assert first.improvement is not None
    single = replace(first, verdict="unclear", improvement=replace(first.improvement, n=1, interval=None))
    subject = replace(found.subject, seeds=(0,))
    text = screen_of(replace(found, trials=(single,), subject=subject))
    assert f"none is proven to help: one seed proves nothing. Best so far: {first.remedy.title}." in text
    assert "none helps" not in text


def test_a_lower_loss_that_ignores_the_inputs_is_explained_and_does_not_win() -> None:
    found = diagnosis()
    assert "ignores inputs" not in screen_of(found)
    blind = replace(found.trials[0], verdict="without_inputs")
    text = screen_of(replace(found, trials=(blind, found.trials[1])))
    assert "ignores inputs: the loss is lower, but shuffling the inputs does not raise it" in text
    assert "Best remedy, of 2 of 3 tried: scalar countdown." in text


def test_the_lander_is_judged_by_returns() -> None:
    found = diagnosis()
    played = replace(found, subject=replace(found.subject, problem="lander", unit="episode", units=60))
    assert "Symptom: return over 60 episodes (30 updates)" in screen_of(played)


def test_a_reason_is_given_once() -> None:
    checks = (
        Check("skill", "not_run", "no constant"),
        Check("floor", "not_run", "no constant"),
        Check("x", "not_run"),
    )
    assert "Not checked\n– skill, floor: no constant\n– x\n" in screen_of(replace(diagnosis(), checks=checks))


def test_checks_say_what_they_saw() -> None:
    checks = (
        Check("spikes", "passed"),
        Check("updates", "passed", "1,240"),
        Check("opposed", "found", "a | b"),
    )
    text = screen_of(replace(diagnosis(), checks=checks))
    assert "⚠ checks that failed: “opposed” (a | b)\n✔ checks passed: spikes · updates (1,240)\n" in text


def test_a_remedy_that_changes_the_model_says_so() -> None:
    found = diagnosis()
    text = screen_of(replace(found, trials=found.trials[1:]))
    assert "tried: scalar countdown. Loss 15.59 → 14.97, better by 0.62 [+0.45, +0.80]; skill 1.8 %" in text
    assert "older checkpoints do not fit." in text
    assert "  -o model.countdown=scalar\n" in text


def test_the_run_as_is_stands_beside_what_it_is_compared_with() -> None:
    rows = re.findall(r"^as is +(.*?)  +(.*?)  ", screen_of(diagnosis()), flags=re.MULTILINE)
    assert rows == [("> 120", "1.0 ×")]


def test_speedup_is_a_bound_where_the_run_as_is_never_got_there() -> None:
    found = diagnosis()
    assert "≥ 2.3 ×" in screen_of(found)
    arrived = replace(found, states=(*found.states[:3], replace(found.states[3], steps=118.0)))
    assert "≥" not in screen_of(arrived)
    assert "2.3 ×" in screen_of(arrived)


def test_a_loss_that_was_never_finite() -> None:
    found = diagnosis()
    nan = float("nan")
    broken = replace(found.states[3], state="diverged", first=nan, last=nan, change=nan)
    text = screen_of(replace(found, states=(broken,)))
    assert "nan" not in re.findall(r"[a-z]+", text)
    assert "countdown does not learn" in text


def test_names_cannot_steer_the_terminal() -> None:
    subject = replace(diagnosis().subject, name="a\x1b[2J", tasks=("x\x1b[31m",))
    state = replace(diagnosis().states[0], task="x\x1b[31m")
    finding = Finding(Code.SLOW, "x\x1b[31m", "info", "likely", "so\x07")
    text = screen_of(replace(diagnosis(), subject=subject, states=(state,), findings=(finding,)))
    assert "\x1b" not in text
    assert "\x07" not in text


@pytest.mark.parametrize(
    ("seeds", "text"),
    [((), ""), ((4,), " · seed 4"), ((2, 0, 1), " · seeds 0 to 2"), ((0, 3), " · seeds 0, 3")],
)
def test_headline_names_the_seeds(seeds: tuple[int, ...], text: str) -> None:
    found = replace(diagnosis(), subject=replace(diagnosis().subject, seeds=seeds), seconds=0.0)
    assert headline(found) == f"windows_documented · windows · 5 epochs (30 updates){text}"


def test_summary_counts_and_lists() -> None:
    found = diagnosis()
    slow = tuple(replace(state, state="slow") for state in found.states[:3])
    text = " ".join(summary(replace(found, states=(*slow, found.states[3]), trials=found.trials[:1])))
    assert "countdown does not learn in" in text
    assert "type, ptr and binary learn too slowly" in text
    assert "Best remedy, of 1 of 2 tried: " in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.83, "83 %"), (0.0995, "10 %"), (0.087, "8.7 %"), (0.0041, "0.41 %"), (-0.022, "-2.2 %")],
)
def test_small_shares_keep_their_digits(value: float | None, text: str) -> None:
    assert share(value) == text


@pytest.mark.parametrize(
    ("reference", "digits"), [(15.69, 2), (0.00429, 6), (1.0, 3), (48_000.0, 0), (0.0, 2), (None, 2)]
)
def test_losses_of_a_table_have_the_decimals_of_the_run_as_is(reference: float | None, digits: int) -> None:
    assert decimals(reference) == digits


def test_worst_hit_is_the_largest_loss_of_skill() -> None:
    trial = diagnosis().trials[0]
    single = Estimate(1, -0.2, None, None)
    assert worst_hit(replace(trial, others={"a": estimate([0.1, 0.2]), "b": single})) == "b -20"
    low = Estimate(3, -0.004, 0.001, Interval(-0.005, -0.003))
    assert worst_hit(replace(trial, others={"a": low})) == "none"
    assert worst_hit(replace(trial, others={})) == "–"


@given(st.text(alphabet="abc -_·", max_size=200), st.integers(1, 120), st.integers(0, 6))
def test_a_sentence_keeps_its_words(text: str, width: int, indent: int) -> None:
    shown = render(Sentence(text, "✔", indent=indent), width=width)
    assert re.sub(r"\s", "", shown) == "✔" + re.sub(r"\s", "", text)


def test_a_command_is_never_broken() -> None:
    line = f"mtctl diagnose {'a ' * 60}--write-recipe x.yaml"
    assert render(Command(line), width=40).strip() == line
