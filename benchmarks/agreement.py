"""Where mtctl's methods and their peers come to the same update, and who is right where they do not.

    make bench                                       or, in an environment with the extra `test`:
    python -m benchmarks.agreement [--quick]

Gradients are random, in float64: T tasks of T + 20 numbers, whose lengths differ by up to the spread. The
difference is the largest over draws of |d − d'| / |d'|, of the updates. Where a method is defined by a
minimisation or an equation, residuals say by how much each side's weights miss its optimality conditions
(the largest over draws; theirs from the weights that make their update). Peers are torchjd with solvers as
exact as they go, and for ConFIG also its authors' conflictfree.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

from mtctl.balancing import cagrad, dualproj, fairgrad, mgda, nash_mtl
from mtctl.balancing._unit import unit_gradients
from mtctl.balancing.contract import Array, observe
from mtctl.balancing.draws import Draws
from mtctl.balancing.registry import KINDS

Update = Callable[[Tensor], Tensor]
Residual = Callable[[Array, Array], float]
"""From a Gramian [T, T] and weights [T] to how much these miss the optimality conditions."""

AGREED: Final = 1e-6
"""Relative difference up to which two updates are the same."""
SOLVED: Final = 1e-6
"""Residual up to which a side's answer is the method's."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A method of another library.

    Args:
        kind: the method's name here.
        settings: of the method here.
        name: of the library.
        make: returns its aggregation for T tasks.
        most: tasks from which on it takes minutes, or draws orders that cannot be compared.
        residual: the method's conditions, if it has some.
    """

    kind: str
    settings: dict[str, object]
    name: str
    make: Callable[[int], Update]
    most: int
    residual: Residual | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table.

    Args:
        peer: whose.
        tasks: T.
        spread: by how much the gradients' lengths differ.
        difference: of the updates, relative.
        ours: residual; None where a method has no conditions.
        theirs: likewise.
    """

    peer: Peer
    tasks: int
    spread: float
    difference: float
    ours: float | None
    theirs: float | None

    @property
    def verdict(self) -> str:
        """Say what the line shows."""
        if self.difference <= AGREED:
            return "the same"
        if self.ours is None or self.theirs is None:
            return "different"
        right = self.ours <= SOLVED, self.theirs <= SOLVED
        names = {(True, False): "mtctl is right", (False, True): f"{self.peer.name} is right"}
        return names.get(right, "both within tolerance" if all(right) else "both are off")


def _dualproj_residual(gramian: Array, weights: Array) -> float:
    unit = unit_gradients(gramian)
    lengths = unit.lengths / unit.lengths.max()
    return float(dualproj.kkt_residual(unit.cosines, lengths / len(weights), weights * lengths))


def _peers() -> list[Peer]:
    from torchjd import aggregation as jd  # noqa: PLC0415 - the peers are needed here only
    from torchjd._linalg import QuadprogProjector  # noqa: PLC0415

    def projector() -> QuadprogProjector:
        return QuadprogProjector(norm_eps=0.0, reg_eps=1e-13)

    def config(tasks: int) -> Update:
        from conflictfree.grad_operator import ConFIG_update  # noqa: PLC0415
        from conflictfree.weight_model import WeightModel  # noqa: PLC0415

        class Ones(WeightModel):  # type: ignore[misc]
            def get_weights(self, gradients: Tensor, losses: object, device: object) -> Tensor:
                return torch.ones(len(gradients), dtype=gradients.dtype)

        return lambda rows: ConFIG_update(rows, weight_model=Ones())

    return [
        Peer("pcgrad", {}, "torchjd", lambda _: jd.PCGrad(), 2),
        Peer("gradvac", {}, "torchjd", lambda _: jd.GradVac(beta=0.01, eps=0.0), 2),
        Peer("mgda", {}, "torchjd", lambda _: jd.MGDA(epsilon=1e-9, max_iters=2000), 40,
             lambda gramian, weights: float(mgda.kkt_residual(gramian, weights))),
        Peer("cagrad", {"c": 0.5}, "torchjd", lambda _: jd.CAGrad(c=0.5, norm_eps=1e-8), 10,
             lambda gramian, weights: cagrad.kkt_residual(gramian, weights, 0.5)),
        Peer("imtl_g", {}, "torchjd", lambda _: jd.IMTLG(), 40),
        Peer("nash_mtl", {}, "torchjd", lambda tasks: jd.NashMTL(tasks, max_norm=0.0), 10,
             lambda gramian, weights: float(nash_mtl.kkt_residual(gramian, weights))),
        Peer("fairgrad", {"alpha": 2.0}, "torchjd", lambda _: jd.FairGrad(alpha=2.0), 10,
             lambda gramian, weights: float(fairgrad.kkt_residual(gramian, weights, 2.0))),
        Peer("aligned_mtl", {}, "torchjd", lambda _: jd.AlignedMTL(), 40),
        Peer("upgrad", {}, "torchjd", lambda _: jd.UPGrad(projector=projector()), 40),
        Peer("dualproj", {}, "torchjd", lambda _: jd.DualProj(projector=projector()), 40, _dualproj_residual),
        Peer("config", {}, "torchjd", lambda _: jd.ConFIG(), 40),
        Peer("config", {}, "conflictfree", config, 40),
    ]  # fmt: skip


def compare(peer: Peer, tasks: int, spread: float, draws: int) -> Line:
    """Return how far the two sides' updates are apart, at worst."""
    method = KINDS[peer.kind].model_validate(peer.settings)
    differences, ours, theirs = [0.0], [0.0], [0.0]
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        lengths = spread ** rng.uniform(-0.5, 0.5, size=(tasks, 1))
        rows = rng.normal(size=(tasks, tasks + 20)) * lengths
        gramian = rows @ rows.T
        signals = observe(np.ones(tasks), np.ones(tasks, dtype=bool), gramian=gramian)
        stream, names = Draws(torch.Generator().manual_seed(seed)), tuple(map(str, range(tasks)))
        weights, _ = method.weigh(signals, method.init(names), stream)
        other = peer.make(tasks)(torch.from_numpy(rows)).numpy()
        differences.append(float(np.linalg.norm(weights @ rows - other) / np.linalg.norm(other)))
        if peer.residual is not None:
            ours.append(peer.residual(gramian, weights))
            theirs.append(peer.residual(gramian, np.linalg.lstsq(rows.T, other, rcond=None)[0]))
    known = peer.residual is not None
    return Line(
        peer, tasks, spread, max(differences), max(ours) if known else None, max(theirs) if known else None
    )


def lines(sizes: tuple[int, ...], spreads: tuple[float, ...], draws: int) -> Iterator[Line]:
    """Yield the table's lines."""
    for peer in _peers():
        for tasks in sizes:
            for spread in spreads if tasks <= peer.most else ():
                yield compare(peer, tasks, spread, draws)


def table(found: list[Line]) -> Table:
    """Return what is printed, in a form that Markdown understands."""
    view = Table(box=box.MARKDOWN)
    for column in ("method", "peer", "T", "spread", "difference", "residual", "theirs", ""):
        view.add_column(column, justify="left" if column in ("method", "peer", "") else "right", no_wrap=True)
    for line in found:
        residuals = ("" if value is None else f"{value:.0e}" for value in (line.ours, line.theirs))
        view.add_row(
            line.peer.kind,
            line.peer.name,
            str(line.tasks),
            f"{line.spread:,.0f}",
            f"{line.difference:.0e}",
            *residuals,
            line.verdict,
        )
    return view


def main(arguments: list[str] | None = None) -> None:
    """Compare and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.agreement", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="few draws only: shows that it runs")
    options = parser.parse_args(arguments)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)  # of the peers' solvers
        found = list(
            lines((2, 3), (1.0,), 1) if options.quick else lines((2, 4, 10, 40), (1.0, 10.0, 1000.0), 10)
        )
    Console(width=120).print(table(found))


if __name__ == "__main__":
    main()
