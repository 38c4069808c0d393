from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mtctl.errors import MtctlError
from mtctl.problems.lander.recipe import LanderRecipe
from mtctl.recipes import builtin
from mtctl.recipes.loading import load
from tests.recipes.samples import lander

DEFAULT_TASKS = ("standard", "windy", "heavy")
PUBLISHED_TASKS = ("standard", "windy_hull_noise", "heavy")
SUM = {"reduction": "sum"}
GRADNORM = {
    "alpha": 1.5,
    "lr": 0.01,
    "initial_loss": "mean_of_first",
    "initial_window": 200,
    "weight_floor": 0.05,
}
FIRST_BATCH = {
    "alpha": 1.5,
    "lr": 0.01,
    "initial_loss": "first_batch",
    "weight_floor": 0.0,
    "layer": "last_shared",
}

#: name → encoding, replay, transitions before the first update, methods with the settings that matter
SHARED: dict[str, tuple[str, str, int, list[tuple[str, dict[str, Any]]]]] = {
    "shared_aware": ("embedding", "mixed", 256, [("equal", {})]),
    "shared_blind": ("none", "mixed", 256, [("equal", {})]),
    "shared_onehot": ("onehot", "mixed", 256, [("equal", {})]),
    "shared_raw_id": ("raw_id", "mixed", 256, [("equal", {})]),
    "best_aware": ("embedding", "mixed", 256, [("equal", {})]),
    "best_blind": ("none", "mixed", 256, [("equal", {})]),
    "equal_aware": ("embedding", "per_task", 256, [("equal", {})]),
    "equal_blind": ("none", "per_task", 256, [("equal", {})]),
    "multihead_aware": ("embedding", "per_task", 256, [("equal", {})]),
    "multihead_blind": ("none", "per_task", 256, [("equal", {})]),
    "softmod_aware": ("embedding", "per_task", 256, [("equal", {})]),
    "pcgrad_aware": ("embedding", "per_task", 256, [("pcgrad", SUM)]),
    "pcgrad_blind": ("none", "per_task", 256, [("pcgrad", SUM)]),
    "gradnorm_aware": ("embedding", "per_task", 256, [("gradnorm", GRADNORM)]),
    "gradnorm_blind": ("none", "per_task", 256, [("gradnorm", GRADNORM)]),
    "gradnorm_pcgrad_blind": ("none", "per_task", 256, [("gradnorm", GRADNORM), ("pcgrad", SUM)]),
    "uncertainty_blind": ("none", "per_task", 256, [("uncertainty", {"lr": 5e-4})]),
    "cagrad_blind": ("none", "per_task", 256, [("cagrad", {"c": 0.5, "rescale": False})]),
    "brc": ("embedding", "per_task", 256, [("equal", {})]),
    "brc_tuned": ("embedding", "per_task", 256, [("equal", {})]),
    "brc_published": ("embedding", "mixed", 2000, [("equal", {})]),
    "varshare": ("none", "per_task", 256, [("equal", {})]),
    "varshare_pruned": ("none", "per_task", 256, [("equal", {})]),
    "published/shared_aware": ("embedding", "mixed", 2000, [("equal", {})]),
    "published/shared_blind": ("none", "mixed", 2000, [("equal", {})]),
    "published/pcgrad_aware": ("embedding", "per_task", 64, [("pcgrad", {"reduction": "mean"})]),
    "published/pcgrad_blind": ("none", "per_task", 64, [("pcgrad", {"reduction": "mean"})]),
    "published/gradnorm_aware": ("embedding", "per_task", 64, [("gradnorm", FIRST_BATCH)]),
    "published/gradnorm_blind": ("none", "per_task", 64, [("gradnorm", FIRST_BATCH)]),
}  # fmt: skip
INDEPENDENT = ("independent", "published/independent")


def test_the_list_is_complete() -> None:
    found = [name for name in builtin.names() if isinstance(load(name), LanderRecipe)]
    assert found == sorted([*SHARED, *INDEPENDENT], key=lambda name: ("/" in name, name))


#: What the study documents, and the learner that lands on the same network for the same budget.
STUDY: dict[str, Any] = {
    "hidden": (256, 128),
    "embedding_dim": 8,
    "gamma": 0.99,
    "lr": 5e-4,
    "lr_schedule": {"kind": "constant"},
    "loss": "mse",
    "reward_scale": {"kind": "fixed", "factor": 1.0},
    "gradient_clip": None,
    "double": False,
    "n_step": 1,
    "advantage_learning": 0.0,
    "batch_size": 64,
    "update_every": 1,
    "target": {"kind": "episodes", "every": 10},
}
LEARNER: dict[str, Any] = STUDY | {
    "lr": 1e-3,
    "lr_schedule": {"kind": "linear", "final": 0.0, "episodes": None, "environment_steps": None},
    "loss": "huber",
    "reward_scale": {"kind": "fixed", "factor": 0.01},
    "gradient_clip": 10.0,
    "double": True,
    "n_step": 3,
    "advantage_learning": 0.9,
    "batch_size": 64,
    "update_every": 8,
    "target": {"kind": "soft", "tau": 0.01},
}
BEST: dict[str, Any] = LEARNER | {"hidden": (256, 256), "update_every": 4}
BRC: dict[str, Any] = {
    "hidden": (256,),
    "embedding_dim": 32,
    "architecture": {"kind": "residual", "layout": "prenorm", "blocks": 2, "unit_embedding": True},
    "weight_decay": 1e-4,
    "double": True,
    "gradient_clip": 10.0,
}
#: The recipes whose learner is another.
OWN: dict[str, dict[str, Any]] = {
    "best_aware": BEST,
    "best_blind": BEST,
    **dict.fromkeys(
        ("brc", "brc_tuned"),
        LEARNER | BRC | {"lr": 3e-4, "reward_scale": {"kind": "running_return", "largest": 10.0}},
    ),
    "brc_published": STUDY | BRC | {"lr": 2.5e-4, "target": {"kind": "episodes", "every": 5}},
}


@pytest.mark.parametrize("name", [*SHARED, *INDEPENDENT])
def test_what_all_have_in_common(name: str) -> None:
    recipe = lander(name)
    published = name.startswith("published/") or name == "brc_published"
    assert recipe.name == name.replace("/", "_")
    assert recipe.problem.tasks == (PUBLISHED_TASKS if published else DEFAULT_TASKS)
    agent = recipe.agent
    expected = OWN.get(name, STUDY if published else LEARNER)
    assert {key: agent.model_dump()[key] for key in expected} == expected
    assert (agent.replay.capacity, agent.replay.mirrored, agent.replay.priority) == (
        100_000,
        not published,
        None,
    )
    exploration = agent.exploration
    assert (exploration.start, exploration.end) == (1.0, 0.01)
    if published:
        decay = 0.997 if name == "brc_published" else 0.995
        assert (exploration.decay, exploration.length) == (decay, None)
    else:
        assert (exploration.counts, exploration.shape, exploration.length) == (
            "all_steps",
            "exponential",
            120_000,
        )
    evaluation = recipe.evaluation
    assert (evaluation.every, evaluation.episodes) == (50, 5)
    assert evaluation.final_episodes == (20 if published else 100)
    assert evaluation.policy == "online"
    assert recipe.checkpoints.every == 100


@pytest.mark.parametrize(
    ("name", "low", "high"), [("brc", -10, 10), ("brc_tuned", -10, 10), ("brc_published", -100, 300)]
)
def test_distributions_over_returns(name: str, low: float, high: float) -> None:
    categorical = lander(name).agent.categorical
    assert categorical is not None
    assert (categorical.atoms, categorical.low, categorical.high) == (21, low, high)
    assert categorical.projection == "c51"


@pytest.mark.parametrize("name", SHARED)
def test_shared_networks(name: str) -> None:
    recipe = lander(name)
    encoding, replay, starts, methods = SHARED[name]
    agent = recipe.agent
    assert recipe.problem.episodes_per_task == 500
    assert (agent.network, agent.learn) == ("shared", "all_tasks")
    assert (agent.task_encoding, agent.replay.kind, agent.replay.learning_starts) == (
        encoding,
        replay,
        starts,
    )
    assert [method.kind for method in recipe.chain] == [kind for kind, _ in methods]
    for method, (_, settings) in zip(recipe.chain, methods, strict=True):
        assert {key: getattr(method, key) for key in settings} == settings


def independent(name: str) -> LanderRecipe:
    recipe = lander(name)
    agent = recipe.agent
    assert (agent.network, agent.task_encoding) == ("independent", "none")
    assert agent.replay.kind == "per_task"
    assert [method.kind for method in recipe.chain] == ["equal"]
    return recipe


def test_independent_has_the_shared_recipes_budget() -> None:
    recipe = independent("independent")
    assert recipe.problem.episodes_per_task == 500
    assert (recipe.agent.learn, recipe.agent.per_task) == ("all_tasks", {})


def test_published_independent_has_its_own_budget_and_settings() -> None:
    recipe = independent("published/independent")
    assert recipe.problem.episodes_per_task == 1500
    assert (recipe.agent.learn, recipe.agent.exploration.counts) == ("active_task", "own_episodes")
    settings = {task: one.model_dump() for task, one in recipe.agent.per_task.items()}
    harder = {"lr": 2.5e-4, "epsilon_decay": 0.992, "target_every": 20, "learning_starts": 2000}
    assert settings == {
        "standard": {"lr": None, "epsilon_decay": None, "target_every": None, "learning_starts": 1000},
        "windy_hull_noise": harder,
        "heavy": harder,
    }


@pytest.mark.parametrize("name", [*SHARED, *INDEPENDENT])
def test_the_header_says_what_it_shows_and_how_to_run_it(name: str) -> None:
    text = (builtin.folder() / f"{name}.yaml").read_text(encoding="utf-8")
    depth = "../" * name.count("/")
    assert text.startswith(f"# yaml-language-server: $schema={depth}schema.json\n")
    head = builtin.header(text)
    assert head[0] == builtin.description(name)
    assert head[0].endswith((".", "."))
    commands = [line.strip() for line in head if line.strip().startswith("mtctl ")]
    assert commands == [
        f"mtctl train recipes/{name}.yaml",
        f"mtctl train recipes/{name}.yaml -o problem.episodes_per_task=20",
        f"mtctl eval results/{lander(name).name}",
    ]


def test_no_two_write_into_one_folder() -> None:
    names = [load(name).name for name in builtin.names()]
    assert len(set(names)) == len(names)


def test_a_package_brings_its_own_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin, "files", lambda _: tmp_path / "mtctl")
    assert builtin.folder() == tmp_path / "recipes"
    packaged = tmp_path / "mtctl" / "recipes" / "builtin"
    packaged.mkdir(parents=True)
    assert builtin.folder() == packaged


def test_paths_are_short_where_they_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(builtin.folder().parent)
    assert builtin.path_of("gradnorm_blind") == Path("recipes/gradnorm_blind.yaml")
    monkeypatch.chdir(tmp_path)
    assert builtin.path_of("gradnorm_blind") == builtin.folder() / "gradnorm_blind.yaml"


def test_a_header_ends_with_the_first_other_line() -> None:
    assert builtin.header("# yaml-language-server: $schema=s\n# a\n#\n#  b\n\n# c\n") == ["a", "", " b"]
    assert builtin.header("name: x\n") == []


def test_a_folder_that_may_not_be_looked_into_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", refuse)
    with pytest.raises(MtctlError, match=r"^closed/own\.yaml cannot be read: Permission denied$"):
        builtin.find("closed/own.yaml")


@pytest.mark.parametrize("name", ["a" * 300, "a/" * 3000, "a\0b"])
def test_a_name_that_no_file_can_have_is_that_of_none(name: str) -> None:
    assert not builtin.exists(Path(name))
    with pytest.raises(MtctlError, match="there is no recipe"):
        builtin.find(name)
