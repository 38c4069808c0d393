"""What recipes of supervised problems have in common."""

from __future__ import annotations

from tests.problems.python.recipes import own


def test_tasks_that_are_called_as_settings_can_be_left_out() -> None:
    weights = {"kind": 2.0, "side": 1.0, "every": 0.5}
    manual = {"kind": "manual", "weights": weights}
    recipe = own(problem__tasks=list(weights), balancer=[{"kind": "pcgrad", "every": 3}, manual])
    rest = recipe.without(["kind", "every"])
    assert rest.problem.tasks == ("side",)
    assert [method.kind for method in rest.chain] == ["pcgrad", "manual"]
    assert rest.chain[0] == recipe.chain[0]
    assert rest.chain[1].model_dump()["weights"] == {"side": 1.0}
