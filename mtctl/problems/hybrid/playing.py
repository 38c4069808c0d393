"""A policy in its environment: what it draws, what the environment gets, and episodes that score it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtctl.errors import MtctlError
from mtctl.problems.contract import Frame, SeedList, TaskEvaluation
from mtctl.problems.hybrid.agents import CONTINUOUS, DISCRETE, OPTIONS, PPOAgent
from mtctl.problems.hybrid.distributions import NUMBERS, Categories, limited
from mtctl.problems.hybrid.environments.copies import Copies
from mtctl.problems.hybrid.environments.making import draws_nothing, make_copies
from mtctl.problems.hybrid.normalisation import RunningMoments
from mtctl.problems.hybrid.policy import HybridPolicy
from mtctl.problems.hybrid.recipe import Actions, HybridProblem
from mtctl.problems.hybrid.spaces import ActionLayout, FlatActions
from mtctl.problems.hybrid.surrogate import Heads


def open_copies(problem: HybridProblem, copies: int) -> Copies:
    """Return so many copies of a recipe's environment.

    Raises:
        MtctlError: there is no such environment.
    """
    return make_copies(problem.environment, copies, problem.options)


def layout_of(problem: HybridProblem, copies: Copies) -> ActionLayout:
    """Return how actions are laid out, and which parameters they use.

    Raises:
        MtctlError: the action space is not supported, or `uses` does not fit it.
    """
    if problem.uses is None:
        return ActionLayout(copies.action_space, copies.uses, place=f"{problem.environment}.uses")
    return ActionLayout(copies.action_space, problem.known_uses, place="problem.uses")


def heads_of(layout: ActionLayout, agent: PPOAgent, device: torch.device | None = None) -> Heads:
    """Return the heads that a layout's actions need, for outputs on a device."""
    sizes = (*layout.sizes, *(2 for _ in range(layout.binaries)))
    bounds = (torch.from_numpy(bound).float().to(device) for bound in (layout.low, layout.high))
    return Heads(
        Categories(sizes, device) if sizes else None,
        NUMBERS[agent.continuous](*bounds) if layout.dimensions else None,
    )


@dataclass(frozen=True, slots=True)
class Drawn:
    """Actions of all copies.

    Args:
        kept: by head, as they were drawn.
        masks: by head, [N, parts] which parts count; without an entry, all of them do. As `OPTIONS`, which
            options were allowed.
        log_probabilities: by head, [N].
        values: [N] of what the policy saw.
        environment: what the environment gets.
    """

    kept: dict[str, Tensor]
    masks: dict[str, Tensor]
    log_probabilities: dict[str, Tensor]
    values: Tensor
    environment: Any


class Player:
    """A policy that acts.

    Args:
        policy: the network.
        heads: what its outputs mean.
        layout: of the actions.
        moments: what observations are normalised by; None: they are not.
    """

    def __init__(
        self, policy: HybridPolicy, heads: Heads, layout: ActionLayout, moments: RunningMoments | None
    ) -> None:
        self._policy, self._heads, self._layout, self._moments = policy, heads, layout, moments
        self._discrete = len(layout.sizes)

    def seen(self, observations: np.ndarray) -> Tensor:
        """Return observations [N, d] as the network gets them: a copy."""
        rows = torch.from_numpy(observations.copy())
        return rows if self._moments is None else self._moments.scaled(rows)

    @torch.no_grad()
    def draw(self, seen: Tensor, copies: Copies, generator: torch.Generator) -> Drawn:
        """Draw actions.

        Args:
            seen: [N, d] normalised observations.
            copies: which show them; they say what is active and allowed.
            generator: where chance comes from.
        """
        outputs, values = self._outputs(seen, copies)
        heads = self._heads.by_name
        kept = {name: head.sample(outputs[name], generator) for name, head in heads.items()}
        flat = self._flat(kept, len(seen))
        masks = self._masks(flat, copies.active)
        if copies.allowed is not None:
            masks[OPTIONS] = torch.from_numpy(copies.allowed.copy())
        chances = {
            name: head.log_probability(outputs[name], kept[name], masks.get(name))
            for name, head in heads.items()
        }
        return Drawn(kept, masks, chances, values, self._layout.assemble(flat))

    @torch.no_grad()
    def act(self, seen: Tensor, copies: Copies, drawing: torch.Generator | None) -> Any:
        """Return what the environment gets.

        Args:
            seen: [N, d] normalised observations.
            copies: which show them.
            drawing: where chance comes from; None: greedily, with nothing left to chance.
        """
        outputs, _ = self._outputs(seen, copies)
        kept = {
            name: head.mode(outputs[name]) if drawing is None else head.sample(outputs[name], drawing)
            for name, head in self._heads.by_name.items()
        }
        return self._layout.assemble(self._flat(kept, len(seen)))

    @torch.no_grad()
    def values(self, seen: Tensor) -> Tensor:
        """Return [N] the values of normalised observations."""
        return self._policy.values(seen)

    def _outputs(self, seen: Tensor, copies: Copies) -> tuple[dict[str, Tensor], Tensor]:
        outputs, values = self._policy(seen)
        if copies.allowed is not None:
            outputs[DISCRETE] = limited(outputs[DISCRETE], torch.from_numpy(copies.allowed))
        return outputs, values

    def _flat(self, kept: Mapping[str, Tensor], rows: int) -> FlatActions:
        choices = kept[DISCRETE].numpy() if DISCRETE in kept else np.empty((rows, 0), np.int64)
        numbers = self._heads.continuous
        bounded = np.empty((rows, 0)) if numbers is None else numbers.bounded(kept[CONTINUOUS]).numpy()
        return FlatActions(
            choices[:, : self._discrete],
            choices[:, self._discrete :].astype(np.int8),
            bounded.astype(np.float64),
        )

    def _masks(self, flat: FlatActions, active: Mapping[str, Any]) -> dict[str, Tensor]:
        if not (active or self._layout.conditional):
            return {}
        found = self._layout.masks(flat, active)
        masks = {}
        if self._heads.discrete is not None and active:
            masks[DISCRETE] = torch.from_numpy(np.concatenate([found.discrete, found.binary], axis=1))
        if self._heads.continuous is not None:
            masks[CONTINUOUS] = torch.from_numpy(found.continuous)
        return masks


def evaluation_seeds(seeds: SeedList, episodes: int) -> np.ndarray:
    """Return the seeds of the first episodes of a list [episodes] uint64."""
    stream = np.random.SeedSequence((2026, {"held_out": 0, "monitor": 1}[seeds]))
    found: np.ndarray = stream.generate_state(episodes, np.uint64)
    return found


def drawing_for(actions: Actions) -> torch.Generator | None:
    """Return where the chance of episodes that score a policy comes from, always the same; None: greedily."""
    return torch.Generator().manual_seed(2026) if actions == "drawn" else None


def play_episodes(
    player: Player, copies: Copies, seeds: np.ndarray, drawing: torch.Generator | None
) -> TaskEvaluation:
    """Play an episode of each seed; a copy that ends plays the next of those not begun yet.

    Args:
        player: who plays.
        copies: N, at most as many as episodes; what a greedy episode comes to does not depend on how many.
        seeds: of the episodes [E].
        drawing: where the chance of actions comes from; None: they are greedy.
    """
    observations = copies.reset(seeds[: copies.copies], ahead=seeds[copies.copies :])
    returns, steps = np.zeros(len(seeds)), np.zeros(len(seeds), np.int64)
    outcomes = np.full(len(seeds), -1)
    played, begun = np.arange(copies.copies), copies.copies  # episodes from E on do not count
    while (outcomes < 0).any():
        copies.step(player.act(player.seen(observations), copies, drawing))
        observations = copies.observations
        rows = np.flatnonzero(copies.ended & (played < len(seeds)))
        ended = played[rows]
        returns[ended], steps[ended] = copies.returns[rows], copies.lengths[rows]
        outcomes[ended] = copies.outcome[rows]
        played[rows] = begun + np.arange(len(rows))
        begun += len(rows)
    names = tuple(copies.outcomes[place] for place in outcomes)
    return TaskEvaluation(tuple(returns.tolist()), tuple(steps.tolist()), names)


def show_episodes(
    player: Player,
    problem: HybridProblem,
    episodes: int,
    drawing: torch.Generator | None,
    frame: Callable[[Frame], None] | None,
) -> None:
    """Play the first held-out episodes in a window, or hand each picture to `frame`.

    Raises:
        MtctlError: the environment draws no pictures.
    """
    if draws_nothing(problem.environment):
        raise MtctlError(
            f"{problem.environment} cannot be shown: it draws no pictures",
            hint="leave out --render and --video",
        )
    mode = "human" if frame is None else "rgb_array"
    copies = make_copies(problem.environment, 1, {**problem.options, "render_mode": mode})
    try:
        for seed in evaluation_seeds("held_out", episodes):
            seen, ended = copies.reset([seed]), False
            while not ended:
                if frame is not None:
                    frame(copies.picture())
                copies.step(player.act(player.seen(seen), copies, drawing))
                seen, ended = copies.observations, bool(copies.ended[0])
    finally:
        copies.close()
