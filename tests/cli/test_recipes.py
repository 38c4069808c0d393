from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mtctl.cli import app
from mtctl.problems.lander.recipe import LanderRecipe
from mtctl.recipes import builtin
from mtctl.recipes.loading import dump, load
from mtctl.recipes.schema import schema

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `mtctl recipes` in this process; return exit code, stdout and stderr."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def mtctl(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mtctl", "recipes", *arguments])
        with pytest.raises(SystemExit) as left:
            app.main()
        captured = capsys.readouterr()
        assert isinstance(left.value.code, int)
        return left.value.code, captured.out, captured.err

    return mtctl


def test_list(run: Run) -> None:
    code, out, err = run("list")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    lines = out.split("\n\n")[0].splitlines()
    assert lines[0].split() == ["recipe", "method", "encoding", "replay", "rows/update"]
    landers = [name for name in builtin.names() if isinstance(load(name), LanderRecipe)]
    assert [line.split()[0] for line in lines[1::2]] == landers
    chain = next(index for index, line in enumerate(lines) if line.startswith("gradnorm_pcgrad_blind "))
    assert lines[chain].split("  ")[-1].strip() == "192"
    assert "gradnorm + pcgrad" in lines[chain]
    assert lines[chain + 1] == f"    {builtin.description('gradnorm_pcgrad_blind')}"


def test_list_json(run: Run) -> None:
    code, out, _ = run("list", "--json")
    assert code == 0
    rows = {row["name"]: row for row in json.loads(out)}
    assert list(rows) == builtin.names()
    assert rows["shared_aware"] == {
        "name": "shared_aware",
        "problem": "lander",
        "method": "equal",
        "encoding": "embedding",
        "replay": "mixed",
        "rows_per_update": 64,
        "shows": "One network for all tasks, told the task by a learned embedding.",
    }
    assert (rows["equal_blind"]["rows_per_update"], rows["independent"]["rows_per_update"]) == (192, 192)
    assert rows["independent"]["encoding"] == "own networks"


def test_show(run: Run) -> None:
    assert run("show", "gradnorm_blind") == (0, dump(load("gradnorm_blind")), "")


def test_show_with_overrides(run: Run) -> None:
    _, out, _ = run("show", "gradnorm_blind", "-o", "balancer.alpha=0", "-o", "agent.lr=1")
    assert out == dump(load("gradnorm_blind", ["balancer.alpha=0", "agent.lr=1"]))


def test_show_json(run: Run) -> None:
    _, out, _ = run("show", "gradnorm_blind", "--json")
    assert json.loads(out) == load("gradnorm_blind").model_dump(mode="json")


def test_show_source(run: Run) -> None:
    text = (builtin.folder() / "gradnorm_blind.yaml").read_text(encoding="utf-8")
    assert run("show", "gradnorm_blind", "--source") == (0, text, "")


@pytest.mark.parametrize("other", [["--json"], ["-o", "agent.lr=1"]])
def test_the_source_is_shown_as_it_is_or_not_at_all(run: Run, other: list[str]) -> None:
    code, out, err = run("show", "gradnorm_blind", "--source", *other)
    assert (code, out) == (2, "")
    assert "--source prints the unchanged file" in err


@pytest.mark.parametrize("name", ["gradnorm_blind", "published/independent", "gradnorm_pcgrad_blind"])
def test_a_copy_stands_alone(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run("copy", name, "my own.yaml")
    assert (code, out) == (0, "")
    assert err.startswith("wrote my own.yaml\nhint: ")
    text = Path("my own.yaml").read_text(encoding="utf-8")
    assert load("my own.yaml") == load(name)
    assert "extends" not in text
    assert "$schema" not in text
    assert text.startswith(f"# {builtin.description(name)}\n")
    assert "#   mtctl train 'my own.yaml'\n" in text
    assert "mtctl train recipes/" not in text


def test_a_copy_explains_its_keys(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "mine.yaml"
    assert run("copy", "windows_fixed", str(target))[0] == 0
    lines = target.read_text(encoding="utf-8").splitlines()
    assert lines[lines.index("  epochs: 20") - 1] == "  # Passes over the training data."
    assert (
        builtin.header("\n".join(lines))[-1] == "  mtctl eval results/windows_fixed"
    )  # and no key's comment


def test_a_copy_goes_into_a_directory_under_its_own_name(run: Run, tmp_path: Path) -> None:
    assert run("copy", "published/gradnorm_blind", str(tmp_path))[0] == 0
    assert load(tmp_path / "gradnorm_blind.yaml") == load("published/gradnorm_blind")


def test_a_copy_of_a_path(run: Run, tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("extends: gradnorm_blind\nname: mine\n", encoding="utf-8")
    assert run("copy", str(first), str(second))[0] == 0
    assert load(second) == load(first)


def test_a_copy_overwrites_only_by_force(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "mine.yaml"
    target.write_text("precious", encoding="utf-8")
    assert run("copy", "gradnorm_blind", str(target)) == (
        2, "", f"error: {target} exists\nhint: --force overwrites it\n",
    )  # fmt: skip
    assert target.read_text(encoding="utf-8") == "precious"
    assert run("copy", "gradnorm_blind", str(target), "--force")[0] == 0
    assert load(target) == load("gradnorm_blind")


def test_a_copy_that_fails_leaves_nothing(run: Run, tmp_path: Path) -> None:
    code, _, err = run("copy", "gradnorm_blind", str(tmp_path / "nowhere" / "mine.yaml"))
    assert code == 2
    assert err.startswith(f"error: {tmp_path / 'nowhere' / 'mine.yaml'} cannot be written: No such file")
    code, _, err = run("copy", "nope", str(tmp_path / "mine.yaml"))
    assert code == 2
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_check(run: Run, tmp_path: Path) -> None:
    files = [str(path) for path in sorted(builtin.folder().glob("*.yaml"))]
    code, out, err = run("check", *files, "published/pcgrad_aware")
    assert (code, err) == (0, "")
    assert out.splitlines() == [f"{file}: ok" for file in [*files, "published/pcgrad_aware"]]


def test_check_goes_on_after_a_bad_one(run: Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("extends: gradnorm_blind\nbalancer: {alhpa: 1}\n", encoding="utf-8")
    code, out, err = run("check", str(bad), "gradnorm_blind", "nope")
    assert code == 2
    assert out == "gradnorm_blind: ok\n"
    assert f"error: {bad} is not a valid recipe (1 problem)\n  --> {bad}:2:12  unknown key `alhpa`\n" in err
    assert "error: there is no recipe `nope`" in err


def test_check_json(run: Run) -> None:
    code, out, err = run("check", "gradnorm_blind", "nope", "--json")
    assert (code, err) == (2, "")
    good, bad = json.loads(out)
    assert good == {"file": "gradnorm_blind", "ok": True, "error": None, "hint": None}
    assert (bad["file"], bad["ok"]) == ("nope", False)
    assert "there is no recipe" in bad["error"]
    assert bad["hint"]


def test_schema(run: Run) -> None:
    code, out, err = run("schema")
    assert (code, err) == (0, "")
    assert json.loads(out) == schema()


def test_diff(run: Run) -> None:
    code, out, err = run("diff", "gradnorm_blind", "published/gradnorm_blind")
    assert (code, err) == (0, "")
    lines = [line.split("  ") for line in out.splitlines()]
    assert out.splitlines()[0].split() == ["gradnorm_blind", "published/gradnorm_blind"]
    keys = [line[0] for line in lines[1:]]
    assert keys[:4] == ["name", "problem.tasks", "balancer.initial_loss", "balancer.weight_floor"]
    assert {"agent.loss", "agent.replay.learning_starts", "agent.replay.mirrored"} < set(keys)
    assert not {"agent.gamma", "agent.hidden", "problem.episodes_per_task"} & set(keys)
    assert "[standard, windy, heavy]" in out
    assert ["balancer.weight_floor", "0.05", "0.0"] in [line.split() for line in out.splitlines()]


def test_diff_json(run: Run) -> None:
    _, out, _ = run("diff", "pcgrad_blind", "pcgrad_aware", "--json")
    assert json.loads(out) == [
        {"key": "name", "a": "pcgrad_blind", "b": "pcgrad_aware"},
        {"key": "agent.task_encoding", "a": "none", "b": "embedding"},
    ]


def test_diff_of_equals(run: Run) -> None:
    assert run("diff", "gradnorm_blind", "gradnorm_blind") == (0, "", "no difference\n")
    assert run("diff", "gradnorm_blind", "gradnorm_blind", "--json") == (0, "[]\n", "")


def test_no_verb_shows_the_help(run: Run) -> None:
    code, out, err = run()
    assert (code, err) == (0, "")
    assert "Usage: mtctl recipes" in out
    for verb in ("list", "show", "copy", "check", "schema", "diff"):
        assert f"\n  {verb} " in out


def test_check_refuses_what_cannot_fit_into_memory(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    path.write_text("extends: equal_blind\nname: huge\nagent: {kind: dqn, hidden: [100000000, 100000000]}\n")
    code, out, err = run("check", str(path), "equal_blind")
    assert (code, out) == (2, "equal_blind: ok\n")
    assert "error: huge: agent.hidden: layers of 100,000,000 and 100,000,000 units would take" in err
    assert "this machine has" in err


def test_check_warns_of_what_is_not_free(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtctl.problems.sizes.available", lambda: 1_000_000)
    code, out, err = run("check", "equal_blind")
    assert (code, out) == (0, "equal_blind: ok\n")
    assert err.startswith("warning: equal_blind: agent.replay.capacity: 100,000 transitions would take 8 MB")
    assert "and 1 MB are free at the moment" in err
