"""Files of many tools and shapes: curves are found, faults named, and healthy curves left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtctl.diagnosis.records.curves import diagnose_metrics
from mtctl.screens.diagnose import diagnosis_screen
from tests.diagnosis.records.curve_files.cases import CASES


@pytest.mark.parametrize("name", CASES)
def test_a_curve_file_is_judged_rightly(name: str, tmp_path: Path) -> None:
    file = CASES[name]()
    for path, text in file.files.items():
        (tmp_path / path).write_text(text, encoding="utf-8")
    diagnosis = diagnose_metrics(sorted(tmp_path.iterdir()))
    states = {state.task: str(state.state) for state in diagnosis.states}
    codes: dict[str | None, set[str]] = {}
    for finding in diagnosis.findings:
        if finding.severity != "info":
            codes.setdefault(finding.task, set()).add(str(finding.code))
    assert file.tasks <= set(states)
    assert {task for task, state in states.items() if state != "unknown"} <= file.tasks | set(file.faults)
    assert {task for task, fault in file.faults.items() if not codes.get(task, set()) & fault} == set()
    assert {
        task: false
        for task, its in codes.items()
        if (false := its - file.faults.get(task or "", frozenset()))
    } == {}, "false alarms"
    assert {task: states[task] for task, right in file.states.items() if states[task] not in right} == {}
    assert not [
        each for each in diagnosis.findings if (each.severity, each.confidence) == ("error", "possible")
    ]
    assert list(diagnosis_screen(diagnosis, []))
