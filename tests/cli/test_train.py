from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from mtctl import machine
from mtctl.engine.directory import RunDirectory
from mtctl.recipes.loading import dump, load
from tests.cli.conftest import Command
from tests.engine.runs import SHORT, WINDOWS, StopAfter, recipe, run_json, train, tree
from tests.history.runs_factory import write_run

SMALL = [word for override in SHORT for word in ("-o", override)]
ONE = [*SMALL, "-o", "problem.episodes_per_task=1"]


def assert_refused(
    mtctl: Command, *arguments: object, says: str | list[str], hint: str = "", code: int = 2
) -> None:
    """The command is refused with one clear message, and every file is as it was."""
    before = tree(Path.cwd())
    result = mtctl(*arguments)
    assert (result.code, result.out) == (code, ""), result
    assert result.err.startswith("error: "), result.err
    assert result.err.count("error: ") == 1
    for words in [says] if isinstance(says, str) else says:
        assert words in result.err
    assert hint in result.err
    assert "Traceback" not in result.err
    assert tree(Path.cwd()) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--seeds", "5..1"], "--seeds 5..1: the first seed is above the last"),
        (["--seeds", "1,1"], "a seed is listed twice"),
        (["--seeds", "0"], "expected at least one seed"),
        (["--seeds", ""], "expected a list of seeds"),
        (["--seeds", "one"], "expected a list of seeds"),
        (["--seeds", "-3"], "expected a list of seeds"),
        (["--seeds", "99999999999"], "--seeds 99999999999: "),
        (["--seeds", "0..99999999999"], "--seeds 0..99999999999: "),
        (["--seeds", "99999999999999999999999999,1"], "99999999999999999999999999"),
        (["--seed", "-1"], "--seed"),
        (["--seed", "one"], "--seed"),
        (["--seed", "99999999999999999999999999"], "--seed"),
        (["--seed", "1", "--seeds", "0..2"], "--seed and --seeds exclude each other"),
        (["--resume", "--force"], "--resume and --force exclude each other"),
        (["--jobs", "0"], "--jobs"),
        (["--jobs", "-1"], "--jobs"),
        (["--episodes", "3"], "--episodes"),
    ],
    ids=" ".join,
)
def test_wrong_flags(mtctl: Command, arguments: list[str], says: str) -> None:
    assert_refused(mtctl, "train", "equal_blind", *ONE, *arguments, says=says)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("problem.tasks=[standrad]", ["standrad", "did you mean `standard`?"]),
        ("problem.tasks=[]", ["problem.tasks"]),
        ("problem.tasks=[heavy, heavy]", ["listed more than once"]),
        ("balancer.kind=gradnrom", ["gradnrom", "did you mean `gradnorm`?"]),
        ("balancer.alhpa=1", ["alhpa"]),
        ("agent.lrr=1", ["lrr", "did you mean `lr`?"]),
        ("agent.lr=fast", ["fast"]),
        ("agent.lr=0", ["agent.lr"]),
        ("agent.lr=.nan", ["agent.lr"]),
        ("agent.batch_size=-64", ["-64"]),
        ("problem.episodes_per_task=0", ["episodes_per_task"]),
        ("problem.episodes_per_task=-5", ["-5"]),
        ("problem.episodes_per_task=2.5", ["2.5"]),
        ("evaluation.episodes=0", ["evaluation.episodes"]),
        ("checkpoints.every=0", ["checkpoints.every"]),
        ("agent.replay.capacity=10", ["learning_starts"]),
        ("name=../../elsewhere", ["name"]),
        ("nonsense", ["nonsense"]),
        ("=3", ["=3"]),
    ],
)
def test_wrong_recipes(mtctl: Command, override: str, says: list[str]) -> None:
    assert_refused(mtctl, "train", "equal_blind", *ONE, "-o", override, says=says)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"   \n# nothing\n", "empty"),
        (b"\x00\x01\x02binary", "binary"),
        (b"name: caf\xe9\n", "not UTF-8"),
        (b"- a\n- list\n", "a list"),
        (b"name: [unfinished\n", "recipe.yaml:"),
        (b"name: x\nname: y\n", "name"),
    ],
)
def test_files_that_are_no_recipes(mtctl: Command, content: bytes, says: str) -> None:
    Path("recipe.yaml").write_bytes(content)
    assert_refused(mtctl, "train", "recipe.yaml", says=["recipe.yaml", says])


def test_recipes_that_are_not_there(mtctl: Command) -> None:
    Path("folder").mkdir()
    assert_refused(mtctl, "train", "folder", says="folder")
    assert_refused(mtctl, "train", "gradnorm_blnd", says="gradnorm_blnd", hint="gradnorm_blind")
    assert_refused(mtctl, "train", "", says="recipe")
    assert_refused(mtctl, "train", "a" * 5000, says="aaa")


def test_one_name_for_two_recipes(mtctl: Command) -> None:
    assert_refused(mtctl, "train", "equal_blind", "equal_blind", says="two recipes are called `equal_blind`")


def test_too_few_arguments(mtctl: Command) -> None:
    assert_refused(mtctl, "train", says="RECIPE")


@pytest.mark.parametrize("seeds", [["--seed", "0"], ["--seeds", "0..1"]], ids=["here", "side by side"])
@pytest.mark.parametrize("target", ["file", "file/below", "/proc/mtctl", "/dev/null"])
def test_targets_that_cannot_be_written(mtctl: Command, seeds: list[str], target: str) -> None:
    Path("file").write_text("mine")
    arguments = ("train", "equal_blind", *ONE, *seeds, "--results-dir", target)
    assert_refused(mtctl, *arguments, says=target, hint="--results-dir")


@pytest.mark.parametrize("seeds", [["--seed", "0"], ["--seeds", "0..1"]], ids=["here", "side by side"])
def test_a_file_in_the_place_of_the_run(mtctl: Command, seeds: list[str]) -> None:
    Path("results/equal_blind").mkdir(parents=True)
    Path("results/equal_blind/seed0").write_text("mine")
    for flags in ([], ["--force"], ["--resume"]):
        assert_refused(mtctl, "train", "equal_blind", *ONE, *seeds, *flags, says="results/equal_blind/seed0")


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return results with one interrupted run."""
    results = tmp_path_factory.mktemp("interrupted") / "results"
    train(results / "equal_blind" / "seed0", stop=StopAfter(3))
    return results


@pytest.fixture
def results(mtctl: Command, interrupted: Path) -> Path:
    """Return a copy of these results in the folder where `mtctl` runs."""
    return Path(shutil.copytree(interrupted, "results"))


@pytest.mark.parametrize("seeds", [["--seed", "0"], ["--seeds", "0..1"]], ids=["here", "side by side"])
def test_runs_that_are_there_already(mtctl: Command, results: Path, seeds: list[str]) -> None:
    command = ("train", "equal_blind", *SMALL, *seeds)
    says = "results/equal_blind/seed0: already holds a run (interrupted)"
    assert_refused(mtctl, *command, says=says, hint="--resume continues it")
    changed = [
        "results/equal_blind/seed0: cannot resume with a changed recipe",
        "agent.lr: 0.001 in the run",
    ]
    assert_refused(mtctl, *command, "--resume", "-o", "agent.lr=0.1", says=changed)
    (results / "equal_blind" / "seed0" / "recipe.yaml").unlink()
    assert_refused(mtctl, *command, "--resume", says="there is no recipe.yaml to resume from")


def test_corrupt_checkpoint_to_resume_from(mtctl: Command, results: Path) -> None:
    last = results / "equal_blind" / "seed0" / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:1000])
    command = ("train", "equal_blind", *SMALL, "--resume")
    assert_refused(
        mtctl,
        *command,
        says="last.pt: the checkpoint is corrupt, truncated or not a checkpoint",
        hint="--force",
    )


def test_corrupt_run_json(mtctl: Command, results: Path) -> None:
    (results / "equal_blind" / "seed0" / "run.json").write_text("{")
    assert_refused(mtctl, "train", "equal_blind", *SMALL, says="already holds a run (unreadable)")


@pytest.mark.parametrize("seeds", [["--seed", "0"], ["--seeds", "1,0"]], ids=["here", "side by side"])
def test_a_run_that_is_being_made(mtctl: Command, results: Path, seeds: list[str]) -> None:
    place = RunDirectory(results / "equal_blind" / "seed0")
    place.acquire()
    for flag in ("--resume", "--force"):
        says = "results/equal_blind/seed0: another process is training this run"
        assert_refused(mtctl, "train", "equal_blind", *SMALL, *seeds, flag, says=says, hint="another --seed")
    place.release()


@pytest.mark.parametrize("seeds", [["--seed", "0"], ["--seeds", "0..1"]], ids=["here", "side by side"])
def test_force_replaces_runs_only(mtctl: Command, seeds: list[str]) -> None:
    Path("results/equal_blind/seed0").mkdir(parents=True)
    Path("results/equal_blind/seed0/thesis.tex").write_text("years")
    assert_refused(
        mtctl, "train", "equal_blind", *ONE, *seeds, "--force", says="holds files that are not a run"
    )


def test_training_to_the_end(mtctl: Command) -> None:
    result = mtctl("train", "equal_blind", *SMALL, "--seed", 3)
    assert result.code == 0
    assert all(task in result.out for task in ("standard", "windy", "heavy", "average"))
    assert "✔ done in 0:0" in result.err
    assert result.err.endswith("next: `mtctl eval results/equal_blind/seed3 --render human`\n")
    assert run_json(Path("results/equal_blind/seed3"))["status"] == "completed"
    again = mtctl("train", "equal_blind", *SMALL, "--seed", 3, "--resume")
    assert (again.code, again.out) == (0, "")
    assert "results/equal_blind/seed3 is already complete; there is nothing to resume" in again.err


def test_divergence_fails_with_the_place_and_keeps_the_run(mtctl: Command) -> None:
    result = mtctl("train", "gradnorm_blind", *SMALL, "-o", "agent.lr=1e30", "-q")
    assert (result.code, result.out) == (1, "")
    error, hint = result.err.splitlines()[-2:]
    assert re.match(r"error: diverged in episode \d+, step \d+: task `\w+` has loss ", error)
    assert hint.startswith("hint: the last good checkpoint is kept")
    found = run_json(Path("results/gradnorm_blind/seed0"))
    assert found["status"] == "failed"
    assert found["error"]["message"] in error
    assert (found["error"]["kind"], found["error"]["found"].split()[0]) == ("diverged", "loss")
    verbose = mtctl("-v", "train", "gradnorm_blind", *SMALL, "-o", "agent.lr=1e30", "-q", "--force").err
    assert "fit.py" in verbose[verbose.index("Traceback") :]


def test_json_is_one_document(mtctl: Command) -> None:
    result = mtctl("train", "equal_blind", *ONE, "--json")
    document = json.loads(result.out)
    assert document["schema"] == 1
    (run,) = document["runs"]
    assert run["directory"] == "results/equal_blind/seed0"
    assert {key: run[key] for key in run if key != "directory"} == run_json(Path(run["directory"]))


def test_quiet_says_some_thirty_lines(mtctl: Command) -> None:
    long = [
        "-o",
        "problem.episodes_per_task=50",
        "-o",
        "problem.tasks=[heavy]",
        "-o",
        "agent.update_every=50",
    ]
    result = mtctl("train", "equal_blind", *SMALL, *long, "-o", "evaluation.every=0", "-q")
    assert (result.code, result.out) == (0, "")
    *lines, done, _ = result.err.splitlines()
    assert [line.split()[1] for line in lines] == [f"{episode}/50" for episode in range(2, 51, 2)]
    assert lines[-1].startswith("episode 50/50  heavy ")
    assert "ε 0.8" in lines[-1]
    assert done.startswith("✔ done ")


def test_a_run_too_short_to_learn_is_said_to_be(mtctl: Command) -> None:
    result = mtctl("train", "equal_blind", *ONE, "-o", "agent.replay.learning_starts=5000", "-q")
    assert result.code == 0
    assert "nothing was learned" in result.err
    assert "learning_starts" in result.err


@pytest.mark.parametrize("update", [1, 100_000])
def test_dry_run(mtctl: Command, update: int) -> None:
    overrides = ["-o", f"agent.update_every={update}"]
    result = mtctl("train", "gradnorm_aware", "--dry-run", *overrides)
    assert result.code == 0
    assert tree(Path.cwd()) == {}
    Path("resolved.yaml").write_text(result.out)
    assert load("resolved.yaml") == load("gradnorm_aware", [f"agent.update_every={update}"])
    assert "parameters   37,791 (37,764 shared, 3 of the balancer)" in result.err
    assert "samples      192 per update" in result.err
    assert "results/gradnorm_aware/seed0" in result.err


def test_recipe_for_this_file_is_what_the_command_line_makes_of_it() -> None:
    assert recipe() == load("equal_blind", SHORT)


@pytest.fixture
def windows(mtctl: Command) -> Path:
    """Return a small recipe of the windows problem in the folder where `mtctl` runs."""
    file = Path("small.yaml")
    file.write_text(dump(WINDOWS), encoding="utf-8")
    return file


def test_windows_are_trained(mtctl: Command, windows: Path) -> None:
    result = mtctl("train", windows)
    assert result.code == 0
    *lines, done, following = result.err.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert all("updates/s" in line and "skill % " in line for line in lines)
    assert re.fullmatch(rf"✔ done in [0-9:]+ → results/{WINDOWS.name}/seed0", done)
    assert following == f"next: `mtctl eval results/{WINDOWS.name}/seed0 --checkpoint best`"
    assert "skill % over 8 held-out windows each" in result.out
    assert "countdown" in result.out


def test_after_several_runs_the_next_step_compares_those_of_the_same_tasks(
    mtctl: Command, windows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTCTL_RESULTS_DIR", "mine")
    mtctl("train", windows, "-q")
    result = mtctl("train", windows, "-q", "--balancer", "uncertainty")
    assert result.err.endswith("next: `mtctl compare mine`\n")
    assert mtctl("compare").out.startswith("? no verdict against small_windows: small_windows_uncertainty")
    write_run(Path("mine"), "corrupt")
    Path("mine/corrupt/seed0/run.json").write_text("{")
    result = mtctl("train", windows, "-q", "-o", "name=other", "-o", "problem.tasks=[type]")
    assert result.err.endswith("next: `mtctl eval mine/other/seed0 --checkpoint best`\n")


def test_json_of_a_windows_run(mtctl: Command, windows: Path) -> None:
    (run,) = json.loads(mtctl("train", windows, "--json").out)["runs"]
    assert (run["unit"], run["item"], run["budget"]["environment_steps"]) == ("epoch", "window", None)


def test_more_windows_than_there_are_is_an_error(mtctl: Command, windows: Path) -> None:
    mtctl("train", windows, "-q")
    says = "9 windows of each task were asked for, and there are 8"
    assert_refused(mtctl, "eval", "results/small_windows", "--windows", 9, "-q", says=says, hint="at most")
    assert mtctl("eval", "results/small_windows", "--windows", 8, "-q").code == 0


def test_json_of_a_dry_run(mtctl: Command, windows: Path) -> None:
    result = mtctl("train", windows, "equal_blind", "--seeds", 2, "--dry-run", "--json")
    assert result.code == 0
    small, lander = json.loads(result.out)["plans"]
    assert small["recipe"] == WINDOWS.model_dump(mode="json")
    assert small["samples_per_update"] == 8
    assert small["seconds_per_run"]["low"] <= small["seconds_per_run"]["high"]
    assert lander["directories"] == ["results/equal_blind/seed0", "results/equal_blind/seed1"]
    assert set(tree(Path.cwd())) == {"small.yaml"}


def test_an_override_without_its_option_is_explained(mtctl: Command, windows: Path) -> None:
    hint = "did you mean `-o training.lr=0.1`?"
    assert_refused(mtctl, "train", windows, "training.lr=0.1", says="there is no recipe", hint=hint)


def test_dry_run_of_windows(mtctl: Command, windows: Path) -> None:
    result = mtctl("train", windows, "--dry-run")
    assert result.code == 0
    assert set(tree(Path.cwd())) == {"small.yaml"}
    assert result.out == dump(WINDOWS)
    assert "samples      8 per update" in result.err
    assert re.search(r"time         0:0\d to 0:0\d per run", result.err)


def test_any_argument_can_be_stored(mtctl: Command) -> None:
    odd = "re\nsu\x1b[2Jlts"
    assert mtctl("train", "equal_blind", *ONE, "--results-dir", odd, "-q").code == 0
    run = Path(odd) / "equal_blind" / "seed0"
    assert load(run / "recipe.yaml") == load("equal_blind", [*SHORT, "problem.episodes_per_task=1"])
    assert "--results-dir $'re\\012su\\033[2Jlts'" in run_json(run)["command"]
    again = mtctl("train", "equal_blind", *ONE, "--results-dir", odd, "--resume")
    assert (again.code, again.out) == (0, "")


@pytest.mark.parametrize("together", [False, True], ids=["here", "side by side"])
def test_what_a_run_should_know_of_its_beginning_is_said(mtctl: Command, together: bool) -> None:
    overrides = [*SHORT, "agent.lr_schedule={kind: constant}"]
    small = [word for override in overrides for word in ("-o", override)]
    longer = [*small, "-o", "problem.episodes_per_task=3"]

    def said(*words: str) -> str:
        choices = [["--seeds", "0..1"]] if together else [["--seed", "0"], ["--seed", "1"]]
        results = [mtctl("train", "equal_blind", *words, *seeds, "-q") for seeds in choices]
        assert [result.code for result in results] == [0] * len(results)
        return "".join(result.err for result in results)

    for seed, words in (("0", small), ("1", longer)):
        assert mtctl("train", "equal_blind", *words, "--seed", seed, "-q").code == 0
    resumed = said(*longer, "--resume")
    assert "results/equal_blind/seed0 is prolonged from 6 to 9 episodes\n" in resumed
    assert "results/equal_blind/seed1 is already complete; there is nothing to resume\n" in resumed
    Path("results/equal_blind/seed0/notes.txt").write_text("mine")
    replaced = said(*ONE, "--force")
    assert "results/equal_blind/seed0 kept files that are not a run's: notes.txt\n" in replaced
    assert Path("results/equal_blind/seed0/notes.txt").read_text() == "mine"


def test_a_missing_evaluation_is_made_and_shown(mtctl: Command, windows: Path) -> None:
    first = mtctl("train", windows)
    Path("results/small_windows/seed0/eval.json").unlink()
    again = mtctl("train", windows, "--resume")
    assert again.code == 0
    assert again.out == first.out
    assert "was already trained to its end, and is now evaluated" in again.err


def test_a_folder_of_something_else_is_refused_with_one_advice(mtctl: Command) -> None:
    """The same whatever flags there are, and following it works."""
    folder = Path("results/equal_blind/seed0")
    folder.mkdir(parents=True)
    (folder / "thesis.tex").write_text("years")
    for flags in ([], ["--resume"], ["--force"]):
        says = "results/equal_blind/seed0: holds files that are not a run: thesis.tex"
        assert_refused(mtctl, "train", "equal_blind", *ONE, *flags, says=says, hint="another --seed")
    assert mtctl("train", "equal_blind", *ONE, "--seed", 1, "-q").code == 0


@pytest.mark.parametrize("flags", [[], ["--dry-run"], ["--seeds", "2", "-j", "2"]])
def test_a_recipe_that_cannot_fit_into_memory_is_refused_before_anything_is_written(
    mtctl: Command, flags: list[str]
) -> None:
    if (there := machine.memory()) is None or there > 80e9:
        pytest.skip("this machine has that much memory, or does not tell")
    result = mtctl("train", "equal_blind", "-o", "agent.replay.capacity=1000000000", *flags)
    assert result.code == 2
    assert "equal_blind: agent.replay.capacity: 1,000,000,000 transitions would take 80 GB" in result.err
    assert not Path("results").exists()
