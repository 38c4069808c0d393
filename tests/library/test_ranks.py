"""Several processes that train together: their steps are those of one process on the joined batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, nn

import mtctl
from mtctl.balancing.registry import KINDS
from tests.end_to_end.command import PATIENCE
from tests.library.models import gradients, inputs, mlp
from tests.library.test_balance import SETTINGS

ROOT = Path(mtctl.__file__).parent.parent
EXACT = ("equal", "manual")
FAR = 1e-6
"""Between float32 sums of the same numbers in another order; parameters move by 0.1 to 0.6."""
SAID = {
    "no graph": "task `red`: its loss depends on no parameter",
    "stray": "a loss depends on a tensor (one number) that `ranks` does not know",
    "stray in a pass": "a loss depends on a tensor (one number) that `ranks` does not know",
    "seed": "its memory or its random numbers differ between processes",
    "settings": "process 1 has gradnorm, process 0 has gradnorm {'alpha': 0.5}",
    "memory": "its memory or its random numbers differ between processes",
    "numbers": "`unused` has other numbers on process 1",
    "shapes": "the model of process 1 has other parameters",
    "rows": "rows: they are given differently",
    "no number": "rows: expected the number of rows of task `red`, found -1",
    "unknown rows": "rows: there is no task `violet`",
    "sparse": "parameter 0 (5×2) has a sparse gradient",
    "features": "a process has a task in this step that another one lacks",
    "static": "DistributedDataParallel with static_graph",
    "hidden": "_DDPSinkBackward belongs to several tasks",
    "frozen": "processes have frozen different parameters",
    "empty": "losses: no process has a loss in this step",
    "scale": "scale: losses are scaled differently",
    "a new task": "task `violet` is new",
    "follow": "task `green`: expected its loss after the step",
    "nan": "task `red`: its loss is not finite",
}
ONE_ALONE = {"no graph", "stray", "stray in a pass", "no number", "a new task", "follow"}
"""Mistakes of process 1, which process 0 hears of."""

needs_processes = pytest.mark.skipif(
    not (distributed.is_available() and hasattr(os, "fork")), reason="this torch or system has no processes"
)


def told(what: str, processes: int, folder: Path) -> list[dict[str, Any]]:
    """Return what each process came to."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.library.ranks_program", what, str(processes), str(folder)],
        cwd=ROOT,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads((folder / f"{rank}.json").read_text("utf-8")) for rank in range(processes)]


@needs_processes
@pytest.mark.parametrize("processes", [2, 3])
def test_training_is_that_of_one_process_on_the_joined_batch(processes: int, tmp_path: Path) -> None:
    """All methods, with tasks that some process lacks, and more rows of a task on one than on another."""
    first, *others = told("exact", processes, tmp_path)
    assert first["compared"].keys() >= KINDS.keys()
    for name, found in first["compared"].items():
        assert found.pop("moved") > 0.1, name
        assert found.pop("unused"), name
        assert not {figure: off for figure, off in found.items() if off > FAR}, name
    assert all(other["sums"] == first["sums"] for other in others)  # bit for bit


@needs_processes
def test_mistakes_are_heard_of_by_all_processes(tmp_path: Path) -> None:
    both = told("refusals", 2, tmp_path)
    for name, said in SAID.items():
        assert said in both[1]["said"][name], name
        assert ("could not make this step" if name in ONE_ALONE else said) in both[0]["said"][name], name
    for process in both:
        assert process["said"].keys() == SAID.keys()
        assert process["overflow"]  # of one process's losses
        assert process["fixed"] < FAR


@pytest.fixture
def one_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)


@pytest.mark.usefixtures("one_of_two")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("measure", [False, True])
def test_without_ranks_only_fixed_weights_are_taken(kind: str, measure: bool) -> None:
    model, balancer = mlp(), mtctl.Balancer(kind, **SETTINGS.get(kind, {}))
    losses = model.losses(inputs(16, 5))
    if kind in EXACT and not measure:
        mtctl.balance(losses, balancer=balancer)
        return
    with pytest.raises(mtctl.BalanceError, match=f"{kind}.*: this is one of 2 processes") as error:
        mtctl.balance(losses, balancer=balancer, measure=measure)
    assert "ranks=ranks" in str(error.value.hint)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not balancer.follows


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """Give a group of one process."""
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@needs_processes
@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("kind", ["equal", "gradnorm", "pcgrad"])
def test_a_group_of_one_changes_nothing(kind: str) -> None:
    one, other = mlp(), mlp()
    ranks = mtctl.Ranks(one)
    assert repr(ranks) == "Ranks(process 0 of 1, 8 parameters)"
    calls = [0]
    one.shared[0].register_post_accumulate_grad_hook(lambda _: calls.__setitem__(0, calls[0] + 1))
    for _ in range(2):  # gradients are added
        mtctl.balance(one.losses(inputs(16, 5)), balancer=mtctl.Balancer(kind), ranks=ranks)
        mtctl.balance(other.losses(inputs(16, 5)), balancer=mtctl.Balancer(kind))
    torch.testing.assert_close(gradients(list(one.parameters())), gradients(list(other.parameters())))
    assert calls == [2]


@needs_processes
@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16, torch.complex64, torch.float64])
def test_precisions(precision: torch.dtype) -> None:
    found = []
    for joined in (False, True):
        shared = nn.Parameter(inputs(5, 2).to(precision))
        heads = [nn.Parameter(inputs(2, seed=seed).to(precision)) for seed in (2, 3)]
        nothing, offset = nn.Parameter(torch.zeros(0, 2)), nn.Parameter(torch.tensor(0.5))
        features = inputs(16, 5, seed=4).to(precision) @ shared + nothing.sum() + offset.to(precision)
        losses = {
            str(place): (features @ head - place).abs().square().mean() for place, head in enumerate(heads)
        }
        parameters = [shared, *heads, nothing, offset]
        ranks = mtctl.Ranks(nn.ParameterList(parameters)) if joined else None
        mtctl.balance(losses, balancer=mtctl.Balancer("pcgrad"), ranks=ranks)
        found.append(gradients(parameters))
    assert [one.dtype for one in found[1]] == [one.dtype for one in found[0]]
    torch.testing.assert_close(found[0], found[1])


@needs_processes
@pytest.mark.usefixtures("alone")
def test_sharded_models_are_refused() -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor

    mesh, sharded, spread = init_device_mesh("cpu", (1,)), nn.Linear(2, 2), nn.Linear(2, 2)
    fully_shard(sharded, mesh=mesh)
    with pytest.raises(mtctl.BalanceError, match="FSDPModule: each process holds a part") as error:
        mtctl.Ranks(nn.Sequential(sharded))
    assert "DistributedDataParallel" in str(error.value.hint)
    spread.bias = nn.Parameter(DTensor.from_local(spread.bias.detach(), mesh))
    with pytest.raises(mtctl.BalanceError, match="`bias` is a DTensor"):
        mtctl.Ranks(spread)


def test_what_are_no_ranks() -> None:
    model = mlp()
    losses = model.losses(inputs(16, 5))
    with pytest.raises(mtctl.BalanceError, match="no process group is initialised"):
        mtctl.Ranks(model)
    wrong: Any = 2
    with pytest.raises(mtctl.BalanceError, match=r"ranks: expected mtctl\.Ranks, found int"):
        mtctl.balance(losses, ranks=wrong)
    with pytest.raises(mtctl.BalanceError, match="rows: they weigh processes"):
        mtctl.balance(losses, rows={"red": 3})


@needs_processes
@pytest.mark.usefixtures("alone")
def test_what_are_no_models() -> None:
    wrong: Any = mlp().parameters()
    with pytest.raises(mtctl.BalanceError, match="ranks: expected modules, found generator"):
        mtctl.Ranks(wrong)
    for nothing in ((), (nn.ReLU(),)):
        with pytest.raises(mtctl.BalanceError, match="ranks: no parameters"):
            mtctl.Ranks(*nothing)
    model, other = mlp(), mlp()
    with pytest.raises(mtctl.BalanceError, match=r"shared: a loss depends on a tensor .* does not know"):
        mtctl.balance(model.losses(inputs(16, 5)), other.shared, ranks=mtctl.Ranks(model))
