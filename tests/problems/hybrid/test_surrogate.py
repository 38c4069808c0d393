from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from mtctl.problems.hybrid.agents import PPOAgent
from mtctl.problems.hybrid.distributions import Categories, SquashedGaussian
from mtctl.problems.hybrid.rollout import Minibatch
from mtctl.problems.hybrid.surrogate import Heads, head_losses, value_loss

HEADS = Heads(Categories([3]), SquashedGaussian(torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 2.0])))
ROWS = 6


def rows(seed: int = 0, mask: Tensor | None = None) -> tuple[dict[str, Tensor], Minibatch]:
    """Outputs now, and what was drawn from slightly different ones."""
    rng = torch.Generator().manual_seed(seed)
    old = {name: torch.randn(ROWS, size, generator=rng) for name, size in HEADS.outputs.items()}
    kept = {name: head.sample(old[name], rng) for name, head in HEADS.by_name.items()}
    masks = {} if mask is None else {"continuous": mask}
    chances = {
        name: head.log_probability(old[name], kept[name], masks.get(name))
        for name, head in HEADS.by_name.items()
    }
    now = {name: part + 0.3 * torch.randn(part.shape, generator=rng) for name, part in old.items()}
    worths = (
        torch.randn(ROWS, generator=rng),
        torch.randn(ROWS, generator=rng),
        torch.randn(ROWS, generator=rng),
    )
    return now, Minibatch(torch.zeros(ROWS, 1), kept, masks, chances, *worths)


def agent(**settings: Any) -> PPOAgent:
    return PPOAgent.model_validate({"normalise_advantages": False, **settings})


def test_losses_are_the_papers_row_by_row() -> None:
    now, batch = rows()
    found = head_losses(HEADS, now, batch, agent(entropy={"discrete": 0.1, "continuous": 0.2}))
    for name, head in HEADS.by_name.items():
        chances = head.log_probability(now[name], batch.kept[name])
        ratio = (chances - batch.log_probabilities[name]).exp()
        terms = [
            min(float(r * a), float(r.clamp(0.8, 1.2) * a))
            for r, a in zip(ratio, batch.advantages, strict=True)
        ]
        bonus = {"discrete": 0.1, "continuous": 0.2}[name] * float(
            head.judge(now[name], batch.kept[name]).entropy.mean()
        )
        assert float(found[name].loss.value) == pytest.approx(-sum(terms) / ROWS - bonus, abs=1e-6)
        beyond = [not 0.8 <= float(r) <= 1.2 for r in ratio]
        assert float(found[name].clipped) == pytest.approx(sum(beyond) / ROWS)
        assert float(found[name].kl) == pytest.approx(float((ratio - 1 - ratio.log()).mean()), abs=1e-6)
        assert float(found[name].off) == pytest.approx(max(abs(float(r) - 1) for r in ratio), abs=1e-6)


def test_advantages_are_brought_to_one_scale() -> None:
    now, batch = rows()
    scaled = batch._replace(advantages=(batch.advantages - batch.advantages.mean()) / batch.advantages.std())
    found = head_losses(HEADS, now, batch, agent(normalise_advantages=True))
    expected = head_losses(HEADS, now, scaled, agent())
    for name in HEADS.outputs:
        torch.testing.assert_close(found[name].loss, expected[name].loss)


def test_a_joint_ratio_has_the_gradient_of_one_action_of_two_parts() -> None:
    now, batch = rows()
    found = head_losses(HEADS, now, batch, agent(ratio="joint", entropy={"discrete": 0}))
    for part in now.values():
        part.requires_grad_()
    changes = [
        head.log_probability(now[name], batch.kept[name]) - batch.log_probabilities[name]
        for name, head in HEADS.by_name.items()
    ]
    ratio = (changes[0] + changes[1]).exp()
    whole = -torch.minimum(ratio * batch.advantages, ratio.clamp(0.8, 1.2) * batch.advantages).mean()
    for name, expected in zip(now, torch.autograd.grad(whole, list(now.values())), strict=True):
        torch.testing.assert_close(found[name].loss.slopes, expected)


@pytest.mark.parametrize("far", [0.1, 1.0, 5.0], ids="moved {}".format)
def test_slopes_are_autograds_of_the_clipped_losses(far: float) -> None:
    _, batch = rows()
    rng = torch.Generator().manual_seed(3)
    now = {
        name: (torch.randn(ROWS, size, generator=rng) * far).requires_grad_()
        for name, size in HEADS.outputs.items()
    }
    still = {name: part.detach() for name, part in now.items()}
    found = head_losses(HEADS, still, batch, agent(entropy={"discrete": 0, "continuous": 0}))
    for name, head in HEADS.by_name.items():
        ratio = (head.log_probability(now[name], batch.kept[name]) - batch.log_probabilities[name]).exp()
        loss = -torch.minimum(ratio * batch.advantages, ratio.clamp(0.8, 1.2) * batch.advantages).mean()
        torch.testing.assert_close(found[name].loss.value, loss.detach())
        torch.testing.assert_close(found[name].loss.slopes, torch.autograd.grad(loss, now[name])[0])
    paid = head_losses(HEADS, still, batch, agent(entropy={"discrete": 0.1, "continuous": 0.2}))
    for name, coefficient in (("discrete", 0.1), ("continuous", 0.2)):
        judged = HEADS.by_name[name].judge(still[name], batch.kept[name])
        more = found[name].loss.slopes - coefficient / ROWS * judged.entropy_slopes
        torch.testing.assert_close(paid[name].loss.slopes, more)


def test_rows_whose_choice_uses_no_parameter_are_none_of_the_continuous_loss() -> None:
    mask = torch.tensor(
        [[True, True], [False, False], [True, False], [False, False], [False, True], [True, True]]
    )
    now, batch = rows(mask=mask)
    found = head_losses(HEADS, now, batch, agent())["continuous"]
    used = mask.any(1)
    kept = batch.kept["continuous"][used]
    alone = HEADS.continuous
    assert alone is not None
    few = Minibatch(
        batch.observations[used],
        {"continuous": kept},
        {"continuous": mask[used]},
        {"continuous": batch.log_probabilities["continuous"][used]},
        batch.advantages[used],
        batch.returns[used],
        batch.values[used],
    )
    expected = head_losses(Heads(None, alone), {"continuous": now["continuous"][used]}, few, agent())[
        "continuous"
    ]
    torch.testing.assert_close(found.loss.value, expected.loss.value)
    gradient = found.loss.slopes
    assert not gradient[~used].any()
    assert not gradient[2, 1]
    assert not gradient[2, 3]
    nothing = batch._replace(masks={"continuous": torch.zeros(ROWS, 2, dtype=torch.bool)})
    assert float(head_losses(HEADS, now, nothing, agent())["continuous"].loss.value) == 0


def test_values_are_clipped_around_what_they_were() -> None:
    _, batch = rows()
    values = (batch.values + torch.linspace(-1, 1, ROWS)).requires_grad_()
    plain = 0.5 * (values - batch.returns).square().mean()
    near = batch.values + (values - batch.values).clamp(-0.2, 0.2)
    worst = torch.maximum((values - batch.returns).square(), (near - batch.returns).square())
    for clip, expected in ((None, plain), (0.2, 0.5 * worst.mean())):
        found = value_loss(values.detach(), batch, clip, 0.5)
        torch.testing.assert_close(found.value, 0.5 * expected.detach())
        (slopes,) = torch.autograd.grad(0.5 * expected, values)
        torch.testing.assert_close(found.slopes.squeeze(1), slopes)
