"""Sparse gradients of embeddings stay sparse, and are what autograd gives."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import mtctl
from tests.library.models import drawn

METHODS = ["equal", "gradnorm", "encodec", "pcgrad", "mgda"]
WORDS = {"red": torch.tensor([1, 4, 4, 9]), "blue": torch.tensor([4, 2, 9, 2])}
"""What each task reads: words that repeat, some of them common."""


class Net(nn.Module):
    """One table of words for both tasks, and one that red alone reads."""

    def __init__(self, *, bag: bool = False, size: int = 12) -> None:
        super().__init__()
        make = (
            (lambda: nn.EmbeddingBag(size, 3, sparse=True))
            if bag
            else (lambda: nn.Embedding(size, 3, sparse=True))
        )
        self.words, self.own = make(), make()
        self.trunk = nn.Linear(3, 5)
        self.heads = nn.ModuleDict({task: nn.Linear(5, 2) for task in WORDS})
        self.bag = bag
        drawn(self)

    def losses(self) -> dict[str, Tensor]:
        made = {}
        for place, (task, words) in enumerate(WORDS.items()):
            read = words.reshape(2, 2) if self.bag else words
            embedded = self.words(read) + (self.own(read) if task == "red" else 0)
            made[task] = (self.heads[task](self.trunk(embedded).tanh()) - 1 - place).square().mean()
        return made

    @property
    def shared(self) -> list[Tensor]:
        return [self.words.weight, *self.trunk.parameters()]


def tied(net: Net) -> dict[str, Tensor]:
    """Blue also reads the whole table as a matrix: its gradient of that is dense."""
    losses = net.losses()
    return {**losses, "blue": losses["blue"] + net.words.weight.square().mean()}


def plain(net: Net) -> dict[str, Tensor]:
    return net.losses()


def expected(net: Net, losses: Callable[[Net], dict[str, Tensor]], report: mtctl.Report) -> list[Tensor]:
    among = set(net.shared)
    totals = [torch.zeros_like(one) for one in net.parameters()]
    for task, loss in losses(net).items():
        found = torch.autograd.grad(loss, list(net.parameters()), allow_unused=True)
        for total, one, gradient in zip(totals, net.parameters(), found, strict=True):
            if gradient is not None:
                weights = report.weights if one in among else report.own_weights
                total.add_(weights[task] * gradient.to_dense())
    return totals


def dense(net: Net) -> list[Tensor]:
    found = []
    for one in net.parameters():
        assert one.grad is not None
        found.append(one.grad.to_dense())
    return found


@pytest.mark.parametrize("bag", [False, True])
@pytest.mark.parametrize("losses", [plain, tied])
@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("measure", [False, True])
def test_gradients_by_hand(
    kind: str, losses: Callable[[Net], dict[str, Tensor]], bag: bool, measure: bool
) -> None:
    net = Net(bag=bag)
    report = mtctl.balance(losses(net), balancer=mtctl.Balancer(kind), measure=measure)
    torch.testing.assert_close(dense(net), expected(net, losses, report), rtol=1e-4, atol=1e-5)
    for table, stays in ((net.words, losses is plain), (net.own, True)):
        assert table.weight.grad is not None
        assert table.weight.grad.is_sparse == stays
    if report.space == "all_shared":
        rows = []
        for loss in losses(net).values():
            parts = torch.autograd.grad(loss, net.shared)
            rows.append(torch.cat([part.to_dense().flatten() for part in parts]).double())
        assert report.gramian is not None
        torch.testing.assert_close(
            report.gramian, torch.stack(rows) @ torch.stack(rows).T, rtol=1e-5, atol=1e-7
        )


@pytest.mark.parametrize("kind", ["equal", "gradnorm", "pcgrad"])
@pytest.mark.parametrize("first", [plain, tied])
@pytest.mark.parametrize("second", [plain, tied])
def test_they_are_added_to_what_is_there(
    kind: str,
    first: Callable[[Net], dict[str, Tensor]],
    second: Callable[[Net], dict[str, Tensor]],
) -> None:
    net = Net()
    torch.stack(list(first(net).values())).sum().backward()
    before = [one.clone() for one in dense(net)]
    report = mtctl.balance(second(net), balancer=mtctl.Balancer(kind))
    want = [old + new for old, new in zip(before, expected(net, second, report), strict=True)]
    torch.testing.assert_close(dense(net), want, rtol=1e-4, atol=1e-5)
    assert net.words.weight.grad is not None
    assert net.words.weight.grad.is_sparse == (first is second is plain)


@pytest.mark.parametrize("kind", ["equal", "gradnorm", "pcgrad"])
def test_an_optimizer_for_sparse_gradients(kind: str) -> None:
    net = Net()
    before = net.words.weight.detach().clone()
    optimizer = torch.optim.SparseAdam([net.words.weight, net.own.weight], lr=0.1)
    balancer = mtctl.Balancer(kind)
    for _ in range(2):
        optimizer.zero_grad()
        mtctl.balance(net.losses(), balancer=balancer)
        optimizer.step()
    moved = (net.words.weight.detach() != before).any(1)
    assert moved.nonzero().flatten().tolist() == [1, 2, 4, 9]


def test_a_vocabulary_may_be_too_large_to_be_held_as_one_row() -> None:
    """The table's pages are never touched where no word is read: a dense row would take 3.2 GB."""
    words = torch.empty(200_000_000, 4).requires_grad_()
    read = torch.tensor([3, 77, 3])
    with torch.no_grad():
        words[read] = 0.5
    heads = [torch.ones(4, requires_grad=True), torch.ones(4, requires_grad=True)]
    features = nn.functional.embedding(read, words, sparse=True)
    losses = {"red": (features @ heads[0]).square().sum(), "blue": -(features @ heads[1]).sum()}
    report = mtctl.balance(losses, balancer=mtctl.Balancer("pcgrad"), measure=True)
    assert report.conflicts == (("red", "blue"),)
    assert words.grad is not None
    assert words.grad.coalesce().indices().tolist() == [[3, 77]]
