"""Several processes that train together: what would not be exact is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from torch import distributed

import mtctl
from mtctl.balancing.registry import KINDS
from tests.library.models import inputs, mlp
from tests.library.test_balance import SETTINGS

EXACT = ("equal", "manual")


@pytest.fixture
def one_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)


@pytest.mark.usefixtures("one_of_two")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("measure", [False, True])
def test_one_of_two_processes(kind: str, measure: bool) -> None:
    model, balancer = mlp(), mtctl.Balancer(kind, **SETTINGS.get(kind, {}))
    losses = model.losses(inputs(16, 5))
    if kind in EXACT and not measure:
        mtctl.balance(losses, balancer=balancer)
        return
    with pytest.raises(mtctl.BalanceError, match=f"{kind}.*: this is one of 2 processes") as error:
        mtctl.balance(losses, balancer=balancer, measure=measure)
    assert "balance in one process" in str(error.value.hint)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not balancer.follows


PROGRAM = """
import sys, torch, mtctl
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
rank, store = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk, self.red, self.blue = nn.Linear(3, 4), nn.Linear(4, 1), nn.Linear(4, 1)

    def forward(self, values):
        features = self.trunk(values).tanh()
        return self.red(features), self.blue(features)

def losses(run, values):
    red, blue = run(values)
    return {"red": red.square().mean(), "blue": (blue - 1).square().mean()}

torch.manual_seed(0)
net, values = Net(), torch.randn(8, 3)
model = DistributedDataParallel(net)
try:
    mtctl.balance(losses(net, values[rank::2]), balancer=mtctl.Balancer("pcgrad"))
except mtctl.BalanceError as error:
    print(error)
assert all(one.grad is None for one in net.parameters())
weights = {"red": 2.0, "blue": 0.5}
mtctl.balance(losses(model, values[rank::2]), balancer=mtctl.Balancer("manual", weights=weights))
whole = losses(net, values)
expected = torch.autograd.grad(2 * whole["red"] + 0.5 * whole["blue"], list(net.parameters()))
for one, gradient in zip(net.parameters(), expected):
    torch.testing.assert_close(one.grad, gradient)
print("exact")
distributed.destroy_process_group()
"""


@pytest.mark.skipif(not distributed.is_available(), reason="this torch cannot train in several processes")
def test_two_real_processes(tmp_path: Path) -> None:
    """With DistributedDataParallel, weights fixed beforehand give the gradient of the whole batch."""
    runs = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", PROGRAM, str(rank), str(tmp_path / "store")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        for rank in range(2)
    ]
    try:
        for run in runs:
            out, err = run.communicate(timeout=300)
            assert run.returncode == 0, err
            assert out.splitlines()[0].startswith("pcgrad: this is one of 2 processes")
            assert out.splitlines()[1] == "exact"
    finally:
        for run in runs:
            run.kill()
            run.wait()
