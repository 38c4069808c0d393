"""The comparison with peers runs end to end; what it measures is nobody's business here."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch

from benchmarks import peers
from benchmarks.peer_literal import LITERAL
from benchmarks.peer_models import jacobian
from benchmarks.peer_sides import literal, ours, torchjd
from mtctl.measuring.reference import ReferenceNetwork
from mtctl.measuring.timing import Spread


@pytest.mark.filterwarnings("ignore:You are solving a parameterized problem that is not DPP:UserWarning")
def test_a_quick_run_prints_the_table_and_writes_the_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "QUICK", peers.Size(blocks=1, seconds=0.0))
    threads = torch.get_num_threads()
    peers.main(["--quick", "--tasks", "3", "--json", str(tmp_path / "peers.json")])
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)
    document = json.loads((tmp_path / "peers.json").read_text(encoding="utf-8"))
    methods = {line["method"] for line in document["lines"]}
    assert {*peers.METHODS, *peers.GIVEN, "gradnorm", "pcgrad, features"} <= methods
    printed = capsys.readouterr().out
    assert all(line["method"] in printed for line in document["lines"])
    assert all((line["bar"] is None) == (line["met"] is None) for line in document["lines"])


@pytest.mark.parametrize(("ratio", "met"), [(0.9, True), (1.0, True), (1.1, False)])
def test_a_bar_is_met_or_missed(ratio: float, met: bool) -> None:
    even, held = Spread(1.0, 1.0, 1.0), Spread(ratio, ratio, ratio)
    line = peers.Line("one input", 4, "pcgrad", even, {"mtctl": even}, peers.Bar("torchjd", 1.0), held)
    assert line.met is met
    assert ("✔" if met else "✘") in "".join(map(str, peers.table([line]).columns[-1].cells))


@pytest.mark.parametrize("kind", ["pcgrad", "cagrad", "aligned_mtl"])
def test_sides_make_the_same_steps(kind: str) -> None:
    """With two tasks PCGrad's order does not matter. MGDA's peers stop early, so they go other ways."""
    networks = [ReferenceNetwork(2, 8) for _ in range(3)]
    sides = [ours(networks[0], peers.method(kind)), torchjd(networks[1], kind), literal(networks[2], kind)]
    for side in sides:
        side(2)
    mine, *others = [torch.cat([p.detach().flatten() for p in network.shared]) for network in networks]
    for other in others:
        torch.testing.assert_close(other, mine, rtol=0, atol=2e-5)


def test_literal_methods_do_not_change_what_they_are_given() -> None:
    rows = jacobian(4, 50)
    before = rows.clone()
    for aggregate in LITERAL.values():
        assert aggregate(rows, random.Random(0)).isfinite().all()
    assert torch.equal(rows, before)
