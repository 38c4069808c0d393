from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mtctl.problems.hybrid.distributions import BoundedBeta, Categories, Numbers, SquashedGaussian

LOW, HIGH = torch.tensor([-1.0, 0.0]), torch.tensor([3.0, 0.5])
ROWS = 20_000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbers(kind: type[Numbers]) -> Numbers:
    return kind(LOW, HIGH)


def outputs(rows: int = 1) -> Tensor:
    return torch.tensor([[0.4, -1.2, -0.3, 0.5]]).expand(rows, -1).contiguous()


def test_choices_have_the_probabilities_of_their_logits() -> None:
    head = Categories([3, 2])
    assert head.outputs == 5
    logits = torch.tensor([[0.0, 1.0, -1.0, 2.0, 0.0]]).expand(ROWS, -1)
    drawn = head.sample(logits, generator())
    for place, (choices, part) in enumerate(zip((3, 2), logits.split([3, 2], dim=1), strict=True)):
        found = torch.bincount(drawn[:, place], minlength=choices) / ROWS
        torch.testing.assert_close(found, part[0].softmax(0), rtol=0, atol=0.015)
    assert head.mode(logits[:1]).tolist() == [[1, 0]]
    one, two = (torch.distributions.Categorical(logits=part) for part in logits.split([3, 2], dim=1))
    expected = one.log_prob(drawn[:, 0]) + two.log_prob(drawn[:, 1])
    torch.testing.assert_close(head.log_probability(logits, drawn), expected)
    torch.testing.assert_close(head.judge(logits, drawn).entropy, one.entropy() + two.entropy())


def test_parts_that_a_mask_leaves_out_do_not_count() -> None:
    head = Categories([3, 2])
    logits, choices = torch.randn(4, 5, generator=generator()), torch.tensor([[0, 1], [2, 0], [1, 1], [0, 0]])
    mask = torch.tensor([[True, True], [True, False], [False, True], [False, False]])
    parts = [Categories([3]), Categories([2])]
    for row in range(4):
        expected = sum(
            float(part.log_probability(piece, choices[row : row + 1, place : place + 1]))
            for place, (part, piece) in enumerate(
                zip(parts, logits[row : row + 1].split([3, 2], dim=1), strict=True)
            )
            if mask[row, place]
        )
        assert float(head.log_probability(logits, choices, mask)[row]) == pytest.approx(expected, abs=1e-6)
    assert not head.judge(logits, choices, mask).entropy[3]


@pytest.mark.parametrize("kind", [SquashedGaussian, BoundedBeta])
def test_densities_of_bounded_actions_integrate_to_one(kind: type[Numbers]) -> None:
    """By the midpoint rule over the actions' own range, from the kept number that leads to each action."""
    head = numbers(kind)
    points = 20_000
    unit = (torch.arange(points, dtype=torch.float64) + 0.5) / points
    kept = unit if kind is BoundedBeta else torch.atanh(2 * unit - 1)
    both = torch.stack([kept, kept], dim=1).float()
    densities = head.densities(outputs(points), both).double().exp()
    span = (HIGH - LOW).double()
    torch.testing.assert_close(
        (densities * span).mean(0), torch.ones(2, dtype=torch.float64), rtol=2e-3, atol=0
    )


@pytest.mark.parametrize("kind", [SquashedGaussian, BoundedBeta])
def test_actions_are_drawn_within_bounds_by_their_density(kind: type[Numbers]) -> None:
    head = numbers(kind)
    kept = head.sample(outputs(ROWS), generator())
    actions = head.bounded(kept)
    assert (actions >= LOW).all()
    assert (actions <= HIGH).all()
    # E[−log p] of what is drawn is the entropy of the bounded action.
    drawn = -head.densities(outputs(ROWS), kept).mean(0)
    if kind is BoundedBeta:
        whole = head.judge(outputs(), kept[:1]).entropy
        torch.testing.assert_close(drawn.sum(), whole[0], rtol=0, atol=0.03)
    middle = head.bounded(head.mode(outputs()))[0]
    centre = actions.mean(0) if kind is BoundedBeta else actions.median(0).values
    torch.testing.assert_close(centre, middle, rtol=0, atol=0.04)
    assert torch.equal(kept, head.sample(outputs(ROWS), generator()))
    assert not torch.equal(kept, head.sample(outputs(ROWS), generator(1)))


def test_a_squashed_gaussian_is_what_torch_transforms_it_to() -> None:
    head = SquashedGaussian(LOW, HIGH)
    kept = torch.tensor([[0.3, -2.0], [8.0, -9.0]])
    mean, log_sd = outputs(2).chunk(2, dim=1)
    base = torch.distributions.Normal(mean, log_sd.exp())
    span = (HIGH - LOW) / 2
    transforms = [
        torch.distributions.TanhTransform(cache_size=1),
        torch.distributions.AffineTransform(LOW + span, span),
    ]
    whole = torch.distributions.TransformedDistribution(base, transforms)
    first = whole.log_prob(head.bounded(kept))[0]
    torch.testing.assert_close(head.densities(outputs(2), kept)[0], first, rtol=1e-4, atol=1e-4)
    # Where tanh is 1 to the last digit, the density of the kept number is still finite.
    assert head.densities(outputs(2), kept).isfinite().all()
    entropy = head.judge(outputs(2), kept).entropy
    assert float(entropy[0]) == pytest.approx(-0.3 + 0.5 + math.log(2 * math.pi * math.e))


def test_masked_parameters_do_not_count() -> None:
    head = SquashedGaussian(LOW, HIGH)
    kept = head.sample(outputs(3), generator())
    mask = torch.tensor([[True, False], [False, True], [False, False]])
    parts = head.densities(outputs(3), kept)
    expected = torch.stack([parts[0, 0], parts[1, 1], torch.tensor(0.0)])
    torch.testing.assert_close(head.log_probability(outputs(3), kept, mask), expected)


MASKS = {
    "all parts": None,
    "some parts": torch.tensor([[True, False], [False, True], [False, False], [True, True]]),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize(
    "head", [Categories([3, 2]), Categories([2, 2]), SquashedGaussian(LOW, HIGH), BoundedBeta(LOW, HIGH)]
)
def test_slopes_are_autograds(head: Categories | Numbers, mask: Tensor | None) -> None:
    given = (2.0 * torch.randn(4, head.outputs, generator=generator())).requires_grad_()
    with torch.no_grad():
        kept = head.sample(given, generator())
        given[3, -1] = 2.5  # beyond where a Gaussian's log σ is held
    found = head.judge(given.detach(), kept, mask)
    chances = head.log_probability(given, kept, mask)
    torch.testing.assert_close(found.log_probability, chances.detach())
    (expected,) = torch.autograd.grad(chances.sum(), given)
    torch.testing.assert_close(found.slopes, expected)
    entropies = _entropies(head, given)
    summed = (entropies if mask is None else entropies * mask).sum(1)
    torch.testing.assert_close(found.entropy, summed.detach())
    (expected,) = torch.autograd.grad(summed.sum(), given)
    torch.testing.assert_close(found.entropy_slopes, expected, rtol=1e-4, atol=1e-5)


def _entropies(head: Categories | Numbers, given: Tensor) -> Tensor:
    """Return [N, parts], by torch's own distributions."""
    if isinstance(head, Categories):
        choices = [torch.distributions.Categorical(logits=part) for part in given.split(head.sizes, dim=1)]
        return torch.stack([choice.entropy() for choice in choices], dim=1)
    first, second = given.chunk(2, dim=1)
    found: Tensor
    if isinstance(head, BoundedBeta):
        alpha, beta = 1 + torch.nn.functional.softplus(first), 1 + torch.nn.functional.softplus(second)
        found = torch.distributions.Beta(alpha, beta).entropy() + (HIGH - LOW).log()
    else:
        found = torch.distributions.Normal(first, second.clamp(-5, 2).exp()).entropy()
    return found
