"""The facts of the study that the built-in recipes stand for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mtctl.balancing.chain import Chain, learned_parameters
from mtctl.balancing.gradnorm import GradNorm
from mtctl.balancing.pcgrad import PCGrad
from mtctl.problems.kinds import build as build_problem
from mtctl.problems.lander.recipe import LanderRecipe
from mtctl.recipes import builtin
from mtctl.recipes.loading import load
from tests.engine.runs import execute
from tests.recipes.samples import lander

PARAMETERS = {
    "independent": (107_148, 0, 0),
    "shared_aware": (37_788, 37_764, 0),
    "shared_blind": (35_716, 35_716, 0),
    "shared_onehot": (36_484, 36_484, 0),
    "shared_raw_id": (35_972, 35_972, 0),
    "pcgrad_aware": (37_788, 37_764, 0),
    "pcgrad_blind": (35_716, 35_716, 0),
    "cagrad_blind": (35_716, 35_716, 0),
    "best_aware": (71_196, 71_172, 0),
    "best_blind": (69_124, 69_124, 0),
    "equal_aware": (37_788, 37_764, 0),
    "equal_blind": (35_716, 35_716, 0),
    "multihead_aware": (38_820, 37_248, 0),
    "multihead_blind": (36_748, 35_200, 0),
    "softmod_aware": (76_576, 76_552, 0),
    "uncertainty_blind": (35_716, 35_716, 3),
    "gradnorm_aware": (37_788, 37_764, 3),
    "gradnorm_blind": (35_716, 35_716, 3),
    "gradnorm_pcgrad_blind": (35_716, 35_716, 3),
    **dict.fromkeys(("brc", "brc_tuned", "brc_published"), (296_884, 296_788, 0)),
    "varshare": (247_684, 35_716, 0),
    "varshare_pruned": (247_684, 35_716, 0),
}
STUDYS_WIND = "brc_published"
PUBLISHED = [name for name in builtin.names() if name.startswith("published/")]


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_counts(name: str) -> None:
    recipe = lander(name)
    problem = build_problem(recipe, 0)
    count = problem.parameter_count()
    learned = learned_parameters(Chain(recipe.chain), 3)
    assert (count.total, count.shared, learned) == PARAMETERS[name]


def test_every_builtin_recipe_is_counted() -> None:
    found = {name for name in builtin.names() if isinstance(load(name), LanderRecipe)}
    assert found == {*PARAMETERS, *PUBLISHED}


@pytest.mark.parametrize(("name", "total"), [("gradnorm_aware", 37_791), ("gradnorm_blind", 35_719)])
def test_gradnorms_weights_are_counted_in_the_run(tmp_path: Path, name: str, total: int) -> None:
    import json

    small = ["problem.episodes_per_task=1", "evaluation.every=0", "evaluation.final_episodes=1"]
    execute(lander(name, small), 0, tmp_path / "run")
    parameters = json.loads((tmp_path / "run" / "run.json").read_text())["parameters"]
    assert parameters["total"] == total
    assert parameters["balancer"] == 3


@pytest.mark.parametrize("name", PARAMETERS)
def test_budget_of_the_study(name: str) -> None:
    recipe = lander(name)
    problem = build_problem(recipe, 0)
    assert problem.tasks == ("standard", "windy_hull_noise" if name == STUDYS_WIND else "windy", "heavy")
    assert problem.units == 1500
    samples = 64 if name.startswith(("shared", "best", STUDYS_WIND)) else 192
    assert problem.budget() == {"environment_steps": 0, "updates": 0, "samples_per_update": samples}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_recipes_use_the_studys_wind(name: str) -> None:
    recipe = lander(name)
    assert recipe.name == name.replace("/", "_")
    assert recipe.problem.tasks == ("standard", "windy_hull_noise", "heavy")
    own = lander(name.removeprefix("published/"))
    assert (recipe.agent.task_encoding, recipe.agent.network) == (own.agent.task_encoding, own.agent.network)
    assert recipe.agent.replay.kind == own.agent.replay.kind
    assert [method.kind for method in recipe.chain] == [method.kind for method in own.chain]


@pytest.mark.parametrize("encoding", ["aware", "blind"])
def test_published_gradnorm_sets_out_from_one_minibatch(encoding: str) -> None:
    recipe = lander(f"published/gradnorm_{encoding}")
    (method,) = recipe.chain
    assert isinstance(method, GradNorm)
    assert (method.initial_loss, method.weight_floor, method.alpha) == ("first_batch", 0, 1.5)
    assert recipe.agent.replay.learning_starts == 64
    (default,) = lander(f"gradnorm_{encoding}").chain
    assert isinstance(default, GradNorm)
    assert (default.initial_loss, default.weight_floor) == ("mean_of_first", 0.05)


@pytest.mark.parametrize("encoding", ["aware", "blind"])
def test_published_pcgrad_averages(encoding: str) -> None:
    (published,), (paper) = (
        lander(f"published/pcgrad_{encoding}").chain,
        lander(f"pcgrad_{encoding}").chain[0],
    )
    assert isinstance(published, PCGrad)
    assert isinstance(paper, PCGrad)
    assert (published.reduction, paper.reduction) == ("mean", "sum")
    assert lander(f"published/pcgrad_{encoding}").agent.replay.learning_starts == 64


@pytest.mark.parametrize("encoding", ["aware", "blind"])
def test_published_shared_waits_for_2000_transitions(encoding: str) -> None:
    assert lander(f"published/shared_{encoding}").agent.replay.learning_starts == 2000


def test_published_independent_agents() -> None:
    recipe = lander("published/independent")
    assert recipe.problem.episodes_per_task == 1500
    assert (recipe.agent.learn, recipe.agent.exploration.counts) == ("active_task", "own_episodes")
    slow: dict[str, Any] = {"lr": 2.5e-4, "epsilon_decay": 0.992, "target_every": 20, "learning_starts": 2000}
    own = {task: settings.model_dump() for task, settings in recipe.agent.per_task.items()}
    assert own["windy_hull_noise"] == own["heavy"] == slow
    assert own["standard"] == {
        "lr": None, "epsilon_decay": None, "target_every": None, "learning_starts": 1000
    }  # fmt: skip


def test_every_own_recipe_uses_gymnasiums_wind() -> None:
    found = {name for name in PARAMETERS if "windy_hull_noise" in lander(name).problem.tasks}
    assert found == {STUDYS_WIND}
