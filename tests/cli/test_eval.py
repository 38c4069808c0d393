from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mtctl.cli import rendering
from tests.cli.conftest import Command
from tests.engine.runs import WINDOWS, recipe, train, tree

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
        assert one == stored


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
    refused(RUN, says="last.pt: the checkpoint is corrupt or truncated", hint="--checkpoint")


def test_unknown_task(refused: Refused) -> None:
    refused(RUN, "--task", "wndy", says="`wndy` is no task of this run", hint="standard, windy, heavy")


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
    assert f"error: {windows}: nothing is played in a windows run" in result.err
    assert "leave out --render and --video" in result.err
    assert tree(Path.cwd()) == before
