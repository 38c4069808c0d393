from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mtctl.cli import eval_runs
from mtctl.engine import evaluate, rendering
from mtctl.engine.launch import local
from mtctl.engine.launch.launcher import Handle, Launcher, follow
from mtctl.engine.result import Note, RunResult, result_to_json
from mtctl.engine.spec import EvaluationSpec, spec_from_json
from tests.cli.conftest import Command
from tests.engine.runs import WINDOWS, evaluate_run, recipe, train, tree

RUN = "results/equal_blind/seed0"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return results of two recipes."""
    results = tmp_path_factory.mktemp("trained") / "results"
    for name in ("equal_blind", "shared_onehot"):
        train(results / name / "seed0", recipe(name, "problem.episodes_per_task=1"))
    return results


@pytest.fixture
def results(mtctl: Command, trained: Path) -> Path:
    """Return a copy of the results in the folder where `mtctl` runs."""
    return Path(shutil.copytree(trained, "results"))


@pytest.fixture
def refused(mtctl: Command, results: Path) -> Callable[..., str]:
    """Return a function that has a command refused with one clear message; every file stays as it was."""

    def run(*arguments: object, says: str, hint: str = "") -> str:
        before = tree(results.parent)
        result = mtctl("eval", *arguments, "-q")
        assert (result.code, result.out) == (2, ""), result
        assert result.err.startswith("error: "), result.err
        assert result.err.count("error: ") == 1
        assert says in result.err
        assert hint in result.err
        assert tree(results.parent) == before
        return result.err

    return run


Refused = Callable[..., str]


def test_table_and_file(mtctl: Command, results: Path) -> None:
    result = mtctl("eval", RUN, "--episodes", 3)
    assert result.code == 0
    assert result.err == f"{RUN}: 3 held-out episodes of each task …\n"
    title = result.out.splitlines()[0]
    assert title == f"{RUN} · last (episode 3) · return over 3 held-out episodes each"
    for word in (
        "standard",
        "windy",
        "heavy",
        "average",
        "mean",
        "sd",
        "success",
        "landed",
        "crashed",
        "steps",
    ):
        assert word in result.out
    stored = json.loads((results / "equal_blind" / "seed0" / "eval.json").read_text())
    assert all(len(task["scores"]) == 3 for task in stored["tasks"].values())


def test_json_is_one_document(mtctl: Command, results: Path) -> None:
    result = mtctl("eval", "results", "--episodes", 1, "--json", "-q")
    assert (result.code, result.err) == (0, "")
    document = json.loads(result.out)
    assert document["schema"] == 2
    runs = [one["run"] for one in document["evaluations"]]
    assert runs == [RUN, "results/shared_onehot/seed0"]
    for one in document["evaluations"]:
        stored = json.loads((Path(one.pop("run")) / "eval.json").read_text())
        means = [task["mean"] for task in one["tasks"].values()]
        assert one.pop("average")["mean"] == pytest.approx(sum(means) / len(means))
        for name, task in stored["tasks"].items():
            assert one["tasks"][name].items() >= task.items()
            assert one["tasks"][name]["mean"] == pytest.approx(sum(task["scores"]) / len(task["scores"]))
            assert one["tasks"][name]["success_interval"]["low"] is not None
        assert {**one, "tasks": stored["tasks"]} == stored


def test_a_task_alone(mtctl: Command, results: Path) -> None:
    result = mtctl("eval", RUN, "--episodes", 2, "--task", "windy", "--task", "windy", "--json")
    (found,) = json.loads(result.out)["evaluations"]
    assert found["tasks"].keys() == {"windy"}
    # The final evaluation had one episode: a part with two does not take its place.
    assert json.loads((results / "equal_blind/seed0/eval.json").read_text())["items"] == 1


def test_another_checkpoint(mtctl: Command, results: Path) -> None:
    result = mtctl("eval", RUN, "--episodes", 1, "--checkpoint", "ep0002", "-q")
    assert result.code == 0
    assert "ep0002 (episode 2)" in result.out
    assert (results / "equal_blind/seed0/eval-ep0002.json").exists()


def test_missing_checkpoint(refused: Refused) -> None:
    refused(RUN, "--checkpoint", "ep9999", says="ep9999.pt: no such checkpoint", hint="best, ep0002, last")
    refused(RUN, "--checkpoint", "nowhere/last.pt", says="nowhere/last.pt: no such checkpoint")


def test_checkpoint_of_another_recipe(refused: Refused) -> None:
    foreign = "results/shared_onehot/seed0/checkpoints/last.pt"
    refused(RUN, "--checkpoint", foreign, says="made from another recipe", hint="its own run directory")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"text"])
def test_corrupt_checkpoint(refused: Refused, results: Path, content: bytes) -> None:
    (results / "equal_blind/seed0/checkpoints/last.pt").write_bytes(content)
    refused(
        RUN, says="last.pt: the checkpoint is corrupt, truncated or not a checkpoint", hint="--checkpoint"
    )


def test_unknown_task(refused: Refused) -> None:
    refused(RUN, "--task", "wndy", says="this run has no task `wndy`", hint="standard, windy, heavy")


@pytest.mark.parametrize("episodes", ["0", "-1", "many", "1.5"])
def test_wrong_number_of_episodes(refused: Refused, episodes: str) -> None:
    refused(RUN, "--episodes", episodes, says="--episodes")


def test_what_is_no_run(refused: Refused, results: Path) -> None:
    Path("file").write_text("mine")
    Path("empty").mkdir()
    for path in ("nowhere", "file", "empty"):
        refused(path, says=path)
    refused(says="RUN")
    shutil.rmtree(results / "equal_blind/seed0/checkpoints")
    refused(RUN, says="no such checkpoint")


def test_run_without_its_recipe(refused: Refused, results: Path) -> None:
    (results / "equal_blind/seed0/recipe.yaml").unlink()
    refused(RUN, says="no recipe.yaml")


def test_video_without_its_extra(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moviepy.video.io.ffmpeg_writer", None)
    refused(RUN, "--video", "films", says="--video needs moviepy", hint='pip install "mtctl[video]"')
    monkeypatch.setitem(sys.modules, "pygame", None)
    refused(RUN, "--video", "films", says="--video needs pygame", hint='pip install "mtctl[video]"')
    refused(RUN, "--render", "human", says="--render human needs pygame", hint='pip install "mtctl[video]"')


@pytest.mark.parametrize("driver", ["dummy", "nonsense", None])
def test_window_without_a_display(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, driver: str | None
) -> None:
    pygame = pytest.importorskip("pygame", reason="the extra `video`")
    pygame.display.quit()
    for variable in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(variable, raising=False)
    if driver is not None:
        monkeypatch.setenv("SDL_VIDEODRIVER", driver)
    elif sys.platform != "linux":
        pytest.skip("other systems have a display without these variables")
    refused(RUN, "--render", "human", says="--render human: no window can be opened here", hint="--video DIR")


def test_window(mtctl: Command, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SDL's dummy driver stands in for a display: episodes are played, scores stay what they are."""
    pytest.importorskip("pygame", reason="the extra `video`")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setattr(rendering, "require_window", lambda: None)
    before = json.loads((results / "equal_blind/seed0/eval.json").read_text())
    result = mtctl("eval", RUN, "--episodes", 1, "--task", "heavy", "--render", "human")
    assert result.code == 0
    assert json.loads((results / "equal_blind/seed0/eval.json").read_text()) == before


class Writer:
    """Stands in for moviepy's, which writes through ffmpeg."""

    made: list[Writer]

    def __init__(self, filename: str, size: tuple[int, int], fps: float) -> None:
        self.filename, self.size, self.fps = filename, size, fps
        self.frames: list[np.ndarray] = []
        self.closed = False
        self.made.append(self)

    def write_frame(self, frame: np.ndarray) -> None:
        self.frames.append(frame[::40, ::40].copy())

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def writers(monkeypatch: pytest.MonkeyPatch) -> list[Writer]:
    pytest.importorskip("pygame", reason="the extra `video`")
    Writer.made = []
    module: Any = ModuleType("ffmpeg_writer")
    module.FFMPEG_VideoWriter = Writer
    for name in ("moviepy", "moviepy.video", "moviepy.video.io"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "moviepy.video.io.ffmpeg_writer", module)
    return Writer.made


def test_video(mtctl: Command, results: Path, writers: list[Writer]) -> None:
    result = mtctl("eval", RUN, "--episodes", 1, "--video", "films", "--json", "-q")
    assert result.code == 0
    assert json.loads(result.out)["schema"] == 2
    tasks = ["standard", "windy", "heavy"]
    assert [writer.filename for writer in writers] == [
        f"films/equal_blind-seed0-{task}.mp4" for task in tasks
    ]
    assert result.err.splitlines() == [f"wrote {writer.filename}" for writer in writers]
    for writer in writers:
        assert (writer.size, writer.fps, writer.closed) == ((600, 400), 50, True)
        assert len(writer.frames) > 20
        assert any((writer.frames[0] != frame).any() for frame in writer.frames)


@pytest.mark.usefixtures("writers")
def test_video_into_a_file(refused: Refused) -> None:
    Path("films").write_text("mine")
    refused(RUN, "--video", "films", says="films: cannot be written", hint="another folder for --video")


@pytest.fixture
def windows(mtctl: Command) -> Path:
    """Return a run of the windows problem in the folder where `mtctl` runs."""
    run = Path("results/small_windows/seed0")
    train(run, WINDOWS)
    return run


def test_windows(mtctl: Command, windows: Path) -> None:
    result = mtctl("eval", windows)
    assert result.code == 0
    assert result.err == f"{windows}: held-out windows of each task …\n"
    assert result.out.splitlines()[0] == f"{windows} · last (epoch 3) · skill % over 8 held-out windows each"
    for word in ("binary", "95 % interval", "average", "in each task's own units", "accuracy", "start"):
        assert word in result.out
    for word in ("success", "landed", "steps"):
        assert word not in result.out


def test_some_windows(mtctl: Command, windows: Path) -> None:
    result = mtctl("eval", windows, "--windows", 3, "--task", "ptr", "--json")
    (found,) = json.loads(result.out)["evaluations"]
    assert (found["items"], len(found["tasks"]["ptr"]["scores"])) == (3, 3)
    assert found["tasks"]["ptr"]["steps"] is found["tasks"]["ptr"]["outcomes"] is None
    assert result.err == f"{windows}: 3 held-out windows of each task …\n"


@pytest.mark.parametrize("option", [["--video", "films"], ["--render", "human"]])
def test_nothing_is_played_in_a_windows_run(mtctl: Command, windows: Path, option: list[str]) -> None:
    before = tree(Path.cwd())
    result = mtctl("eval", windows, *option)
    assert (result.code, result.out) == (2, "")
    assert f"error: {windows}: a windows run plays no episodes" in result.err
    assert "leave out --render and --video" in result.err
    assert tree(Path.cwd()) == before


def documents(results: Path) -> dict[str, bytes]:
    return {name: content for name, content in tree(results).items() if Path(name).name.startswith("eval")}


@pytest.fixture
def spawned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let processes find the package wherever they run."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@pytest.mark.usefixtures("spawned")
def test_runs_side_by_side_are_evaluated_like_one_after_the_other(mtctl: Command, results: Path) -> None:
    arguments = ("eval", "results/shared_onehot", "results/equal_blind", "--episodes", 2)
    alone = mtctl(*arguments, "--jobs", 1)
    written = documents(results)
    for file in results.rglob("eval*.json"):
        file.unlink()
    together = mtctl(*arguments, "--jobs", 2)
    assert (together.code, together.out) == (0, alone.out)
    assert alone.out.index("shared_onehot/seed0") < alone.out.index("equal_blind/seed0")
    assert documents(results) == written
    lines = together.err.splitlines()
    assert lines[0] == "2 runs in parallel"
    assert {line.split(": ")[0] for line in lines[1:]} == {RUN, "results/shared_onehot/seed0"}
    assert lines[2].endswith(": evaluated (2 of 2)")


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return scripts to fill in, by run, that stand in for the processes that evaluate it."""
    scripts: dict[str, str] = {}
    start = subprocess.Popen

    def popen(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        assert command[:3] == [sys.executable, *local.WORKER]
        run = str(spec_from_json(Path(command[3]).read_text()).directory)
        return start([sys.executable, "-c", scripts[run], command[4]], **options)

    monkeypatch.setattr(subprocess, "Popen", popen)
    return scripts


def answer(result: RunResult) -> str:
    """Return a script that writes a result."""
    return f"import pathlib, sys; pathlib.Path(sys.argv[1]).write_text({result_to_json(result)!r})"


def evaluated(run: str, *notes: Note) -> str:
    """Return a script that answers what an evaluation of one episode finds."""
    return answer(RunResult("completed", evaluate_run(Path(run), items=1), notes=notes))


def test_a_run_that_fails_does_not_stop_the_others(
    mtctl: Command, results: Path, stand_ins: dict[str, str]
) -> None:
    """Nor does it matter how many run at a time."""
    other = "results/shared_onehot/seed0"
    (results / "equal_blind/seed0/checkpoints/last.pt").write_bytes(b"")
    alone = mtctl("eval", "results", "--episodes", 1, "--jobs", 1, "--json", "-q")
    failure = evaluate.evaluate_run(EvaluationSpec(Path(RUN)))
    stand_ins |= {RUN: answer(failure), other: evaluated(other)}
    for result in (alone, mtctl("eval", "results", "--episodes", 1, "--jobs", 2, "--json", "-q")):
        assert result.code == 2
        assert result.err.count("error: ") == result.err.count("hint: ") == 1
        assert "last.pt: the checkpoint is corrupt, truncated or not a checkpoint" in result.err
        assert result.err.endswith(f"1 of 2 runs could not be evaluated: {RUN}\n")
        document = json.loads(result.out)
        assert [one["run"] for one in document["evaluations"]] == [other]
        assert [one["run"] for one in document["failed"]] == [RUN]
        assert result.out == alone.out


def test_a_process_that_is_killed_is_a_failure(
    mtctl: Command, results: Path, stand_ins: dict[str, str]
) -> None:
    other = "results/shared_onehot/seed0"
    wrote = Note("filmed", "films/heavy.mp4")
    stand_ins |= {RUN: "import os; os.kill(os.getpid(), 9)", other: evaluated(other, wrote)}
    result = mtctl("eval", results, "-j", 2)
    assert result.code == 1
    assert f"error: {RUN}: killed by signal 9" in result.err
    assert f"{RUN}: failed (" in result.err
    assert "wrote films/heavy.mp4\n" in result.err
    assert result.out.startswith(f"{other} · last")


def test_a_stop_leaves_what_was_done(
    mtctl: Command, results: Path, stand_ins: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process has ended when Ctrl-C comes; the other one ends by it."""
    ready = Path("ready").resolve()
    stand_ins |= {
        RUN: evaluated(RUN),
        "results/shared_onehot/seed0": f"""
import pathlib, signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
pathlib.Path({str(ready)!r}).touch()
time.sleep(3600)""",
    }

    def interrupt(
        launcher: Launcher, handles: Sequence[Handle], watch: Callable[[], None], stop: Callable[[], int]
    ) -> None:
        def look() -> None:
            watch()
            if ready.exists() and handles[0].state == "completed" and not stop():
                signal.raise_signal(signal.SIGINT)

        follow(launcher, handles, look, stop)

    monkeypatch.setattr(eval_runs, "follow", interrupt)
    before = tree(results)
    result = mtctl("eval", "results", "--jobs", 2)
    assert result.code == 130
    assert result.out.startswith(f"{RUN} · last")
    assert result.err.endswith("stopped; 1 of 2 runs have been evaluated\n")
    assert "error" not in result.err
    assert tree(results) == before


@pytest.mark.parametrize("jobs", ["0", "-1", "many", "1.5"])
def test_wrong_number_of_jobs(refused: Refused, jobs: str) -> None:
    refused(RUN, "--jobs", jobs, says="--jobs")


def test_one_window_after_another(refused: Refused) -> None:
    refused(
        "results",
        "--jobs",
        2,
        "--render",
        "human",
        says="--render shows one run after another",
        hint="--video",
    )


def test_what_a_best_checkpoint_was_selected_for(mtctl: Command, results: Path) -> None:
    result = mtctl("eval", RUN, "--episodes", 2, "--checkpoint", "best", "-q")
    assert (result.code, result.err) == (0, "")
    records = [json.loads(line) for line in (Path(RUN) / "metrics.jsonl").read_text().splitlines()]
    (record,) = (one for one in records if one["kind"] == "evaluation")
    assert "Selection: best of 1 evaluation during training, at episode 3" in result.out
    assert f"selected for {record['average']:.1f} over 1 episode of each task; on 2 fresh ones" in result.out
    assert "the best checkpoint is the final policy" in result.out
    assert "over seeds" not in result.out
    assert result.out.endswith("needs several seeds; there is one of equal_blind\n")


def test_the_selection_in_json(mtctl: Command, results: Path) -> None:
    arguments = ("eval", RUN, "--checkpoint", f"{RUN}/checkpoints/best.pt", "--episodes", 2, "--json", "-q")
    document = json.loads(mtctl(*arguments).out)
    assert document["schema"] == 2
    (one,) = document["evaluations"]
    found = one.pop("selection")
    average, scored = found["average"], one["tasks"]
    assert (found["unit"], found["evaluations"], found["ties"]) == (3, 1, 0)
    fresh = [sum(task["scores"]) / 2 for task in scored.values()]
    assert average["fresh"]["mean"] == pytest.approx(sum(fresh) / 3)
    assert average["bias"]["mean"] == pytest.approx(average["selected_for"] - average["fresh"]["mean"])
    assert average["bias"]["low"] < average["bias"]["mean"] < average["bias"]["high"]
    assert found["tasks"].keys() == scored.keys()
    assert found["last"]["difference"]["mean"] == 0
    bias = document["selection_bias"]["equal_blind"]
    assert (bias["n"], bias["mean"], bias["low"]) == (1, average["bias"]["mean"], None)
    stored = json.loads((results / "equal_blind/seed0/eval-best.json").read_text())
    tasks = {name: {key: task[key] for key in stored["tasks"][name]} for name, task in scored.items()}
    assert one | {"tasks": tasks} == {"run": RUN, "average": one["average"], **stored}


def test_selections_of_several_runs(mtctl: Command, results: Path) -> None:
    shutil.copytree(results / "equal_blind/seed0", results / "equal_blind/seed1")
    result = mtctl("eval", "results", "--episodes", 1, "--checkpoint", "best", "-q")
    assert result.code == 0
    table = result.out[result.out.index("Selection over seeds") :].splitlines()
    assert [line.split()[:2] for line in table[4:6]] == [["equal_blind", "2"], ["shared_onehot", "1"]]
    assert table[-1] == "a mean selection bias needs several seeds; there is one of shared_onehot"


def test_a_part_of_the_tasks_has_no_selection_bias(mtctl: Command, results: Path) -> None:
    result = mtctl("eval", RUN, "--episodes", 1, "--checkpoint", "best", "--task", "windy", "--json", "-q")
    assert json.loads(result.out)["evaluations"][0]["selection"] is None
    assert "selected by the average over all of them: no selection bias" in result.err


def test_records_that_are_gone(mtctl: Command, results: Path) -> None:
    (results / "equal_blind/seed0/metrics.jsonl").unlink()
    result = mtctl("eval", RUN, "--episodes", 1, "--checkpoint", "best", "-q")
    assert result.code == 0
    assert "Selection" not in result.out
    assert f"note: {RUN} has no metrics.jsonl, which records the score that its best checkpoint" in result.err


@pytest.mark.parametrize(("every", "says"), [(0, "there are no evaluations"), (9, "is none within 3 units")])
def test_without_evaluations_there_is_no_best(mtctl: Command, every: int, says: str) -> None:
    short = recipe("equal_blind", "problem.episodes_per_task=1", f"evaluation.every={every}")
    train(Path(RUN), short)
    result = mtctl("eval", RUN, "--checkpoint", "best", "-q")
    assert (result.code, result.out) == (2, "")
    assert "best.pt: no such checkpoint: evaluations during training select it, but there" in result.err
    assert f"{says} (`evaluation.every` is {every})" in result.err
    assert "hint: evaluate the final policy with --checkpoint last" in result.err


def test_selection_among_windows(mtctl: Command, windows: Path) -> None:
    result = mtctl("eval", windows, "--checkpoint", "best", "-q")
    assert "of 3 evaluations during training, at epoch" in result.out
    assert "over 6 windows of each task; on 8 fresh ones" in result.out
    assert "a difference between the two splits counts as selection here" in " ".join(result.out.split())


def test_who_waits_for_processes_does_without_torch() -> None:
    code = "import sys, mtctl.cli.eval_runs; sys.exit('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_stop_in_this_process_leaves_what_was_done(
    mtctl: Command, results: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, form: list[str]
) -> None:
    """The evaluation that is under way is left; those before it are there."""
    seen: list[Path] = []

    def restored(directory: Path, *choice: Any) -> Any:
        seen.append(directory)
        if len(seen) == 2:
            signal.raise_signal(number)
            raise AssertionError("goes on")
        return restore(directory, *choice)

    restore = evaluate.restore
    monkeypatch.setattr(evaluate, "restore", restored)
    before = tree(results)
    result = mtctl("eval", "results", "--episodes", 1, "--jobs", 1, *form)
    assert result.code == 130
    assert result.err.endswith("stopped; 1 of 2 runs have been evaluated\n")
    assert (f"{seen[0]} · last" in result.out) is not bool(form)
    after = tree(results)
    assert [name for name in after if after[name] != before.get(name)] in (
        [], [f"{seen[0].relative_to('results')}/eval.json"],
    )  # fmt: skip
