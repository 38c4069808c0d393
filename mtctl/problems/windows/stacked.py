"""Windows runs that are trained together: one pass over the batches of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from mtctl.balancing.gradients.stacked import OneOfStack, StackedGradients
from mtctl.errors import MtctlError
from mtctl.problems.contract import SeedList
from mtctl.problems.stack import SideBySide, alike, compact
from mtctl.problems.supervised.answers import Answers
from mtctl.problems.windows.data import Dataset
from mtctl.problems.windows.losses import DELTA, countdown_from_start, window_losses
from mtctl.problems.windows.network import HEADS, drop
from mtctl.problems.windows.parts import SequenceModel
from mtctl.problems.windows.problem import Windows
from mtctl.problems.windows.recipe import WindowsRecipe
from mtctl.problems.windows.recurrent import bidirectional

_LSTM: Final = "lstm."
_ROWS: Final = 64
"""Windows of each run that are evaluated at once."""


class StackedWindows(Windows):
    """A windows run that is trained beside others: what it learns from is worked out for all of them.

    Args:
        recipe: of the run.
        seed: of the run.
        stack: the run's.
        place: in the stack.
    """

    def __init__(self, recipe: WindowsRecipe, seed: int, stack: WindowsStack, place: int) -> None:
        super().__init__(recipe.problem, recipe.model, recipe.training, seed)
        self._stack, self._place = stack, place
        self.model: SequenceModel = recipe.model

    @property
    def clip(self) -> float | None:
        """The largest norm of its gradient."""
        return self._clip

    @property
    def loss_factor(self) -> Mapping[str, float]:
        """On single tasks' losses."""
        return self._training.loss_factor

    @property
    def alike(self) -> tuple[int, str]:
        """Says which runs one optimizer can move."""
        return alike(self.optimizer, self._updates)

    def noise(self) -> torch.Generator:
        """Return what dropout draws from, and remember it for `revisit`."""
        self._noise = self._dropout.get_state()
        return self._dropout

    def noise_again(self) -> torch.Generator:
        """Return what dropout drew the last batch's noise from."""
        again = torch.Generator(self._dropout.device)
        again.set_state(self._noise)
        return again

    def note(self, losses: Sequence[float]) -> None:
        """Add the batch's losses in the study's units to the epoch's means."""
        share = len(self.batch) / len(self.splits.training)
        for task, loss in zip(self.tasks, losses, strict=True):
            self._means[task]["loss"] += share * loss

    def gradients(self) -> OneOfStack:
        return self._stack.part(self._place)

    def update(self) -> None:
        self._updates += 1

    def revisit(self) -> Tensor:
        return self._stack.revisited(self._place)

    def inspect(self) -> Any:
        self._inspection.see(self._stack.features(self._place))
        return super().inspect()

    def answers(self, split: SeedList, items: int | None = None) -> Answers[Dataset]:
        # On a CPU the runs' own kernels are as fast, and only this run may be due.
        windows = self._split(split)
        windows = windows if items is None else windows.take(slice(items))
        together = self.device.type != "cpu"
        raw = self._stack.answers(self._place, split, windows.inputs) if together else None
        return super().answers(split, items) if raw is None else Answers([(raw, windows)], self.row_losses)

    def mark(self) -> None:
        self._marked = compact(self.state_dict(), anew=True)


class WindowsStack:
    """Windows runs of one shape (see `Stack`): of one kind of data, one model, one batch size."""

    def __init__(self) -> None:
        self._problems: list[StackedWindows] = []
        self._order: list[int] = []
        self._batch: Dataset
        self.gradients: StackedGradients | None = None
        self._features: dict[str, Tensor] = {}
        self._revisited: Tensor | None = None
        self._answers: dict[tuple[SeedList, int], dict[str, Tensor]] = {}

    def add(self, recipe: WindowsRecipe, seed: int) -> tuple[int, StackedWindows]:
        if type(recipe) is not WindowsRecipe:  # one that registers a problem of its own: see `build`
            raise MtctlError(f"{recipe.name}: runs of a {type(recipe).__name__} cannot be trained together")
        place = len(self._problems)
        self._problems.append(StackedWindows(recipe, seed, self, place))
        return place, self._problems[place]

    @property
    def _first(self) -> StackedWindows:
        """Any run tells what all have in common."""
        return self._problems[0]

    @property
    def tasks(self) -> tuple[str, ...]:
        """Their tasks."""
        return self._first.tasks

    @property
    def _runs(self) -> list[StackedWindows]:
        return [self._problems[place] for place in self._order]

    def row(self, place: int) -> int | None:
        return self._order.index(place) if place in self._order else None

    def part(self, place: int) -> OneOfStack:
        """Return what a run is shown of its batch."""
        assert self.gradients is not None
        return self.gradients.run(self._order.index(place))

    def features(self, place: int) -> dict[str, Tensor]:
        """Return what the heads of a run read last."""
        if place not in self._order:
            return {}
        row = self._order.index(place)
        return {head: given[row] for head, given in self._features.items() if head in self.tasks}

    def _assemble(self, places: Sequence[int]) -> None:
        """Put the parameters of some runs side by side, in the place of those before."""
        self._order = sorted(places, key=lambda place: self._problems[place].alike)
        runs = self._runs
        named = [self._parameters(run) for run in runs]
        self._side = SideBySide(
            [list(own.values()) for own in named],
            [run.optimizer for run in runs],
            [run.budget()["updates"] for run in runs],
        )
        self._weights = dict(zip(named[0], self._side.leaves, strict=True))
        units = [run.learned.units for run in runs]
        self._offsets = {
            task: torch.stack([of[task].offset.reshape(1, -1) for of in units]) for task in DELTA
        }
        self._scales = {task: torch.stack([of[task].scale.reshape(1, -1) for of in units]) for task in DELTA}
        self._factors = {
            task: torch.tensor([run.loss_factor.get(task, 1.0) for run in runs]).to(self._side.leaves[0])
            for task in self.tasks
        }

    def _parameters(self, run: StackedWindows) -> dict[str, torch.nn.Parameter]:
        moved = {one for group in run.optimizer.param_groups for one in group["params"]}
        return {name: one for name, one in run.network.named_parameters() if one in moved}

    def differentiate(self, places: Sequence[int]) -> None:
        if set(places) != set(self._order):
            self._assemble(places)
            self._answers = {}
        runs = self._runs
        self._revisited = None
        self._batch = _together([run.batch for run in runs])
        hidden, self._features, raw = self._pass(self._batch.inputs, [run.noise() for run in runs])
        losses = self._losses(raw)
        self._note(raw)
        trunk = {name: one for name, one in self._weights.items() if not name.startswith("heads.")}
        self.gradients = StackedGradients(
            self.tasks,
            losses,
            shared=list(trunk.values()),
            own=[
                [self._weights[f"heads.{task}_head.{name}"] for name in ("weight", "bias")]
                for task in self.tasks
            ],
            last_shared=[one for name, one in trunk.items() if name.startswith(_LSTM)],
            features=[hidden],
        )

    def _pass(
        self, inputs: Tensor, noise: Sequence[torch.Generator] = ()
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Return the LSTMs' outputs [B, N, 105, 2H], what heads read of them, and the tasks' raw outputs.

        Args:
            inputs: [B, N, 105, F].
            noise: where each run's dropout draws from; none drop nothing.
        """
        lstm = [one for name, one in self._weights.items() if name.startswith(_LSTM)]
        hidden = bidirectional(inputs, lstm)
        pooled = drop(self._linear("projection", hidden.mean(2)), self._first.model.dropout, noise)
        read_pooled, share = self._first.network.pooled, self._first.model.head_dropout
        features = {head: drop(pooled if head in read_pooled else hidden, share, noise) for head in HEADS}
        raw = {}
        for task in self.tasks:
            given = features[task]
            output = self._linear(f"heads.{task}_head", given.flatten(1, -2)).view(*given.shape[:-1], -1)
            raw[task] = output if task in read_pooled else output.squeeze(-1)
        return hidden, features, raw

    def _linear(self, layer: str, inputs: Tensor) -> Tensor:
        """Return [B, M, out] what a layer makes of inputs [B, M, in]."""
        weight, bias = (self._weights[f"{layer}.{name}"] for name in ("weight", "bias"))
        return torch.baddbmm(bias.unsqueeze(1), inputs, weight.mT)

    def _losses(self, raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return [B] what each task minimises on the batch."""
        return {task: self._loss(task, raw[task]).mean(1) * self._factors[task] for task in self.tasks}

    def _loss(self, task: str, raw: Tensor) -> Tensor:
        objective = self._first.objective
        if task not in DELTA:
            return self._by_window(task, raw, self._batch.targets[task])
        wanted = objective.wanted(task, self._batch)
        asked = (wanted.view(*raw.shape) - self._offsets[task]) / self._scales[task]
        return self._by_window(task, raw, asked.flatten(0, 1), objective.units[task].delta)

    def _by_window(self, task: str, raw: Tensor, target: Tensor, delta: float | None = None) -> Tensor:
        """Return [B, N] the loss of each window; targets are those of all runs, one after the other."""
        return window_losses(task, raw.flatten(0, 1), target, delta).view(raw.shape[:2])

    @torch.no_grad()
    def _note(self, raw: Mapping[str, Tensor]) -> None:
        """Add the batch's losses in the study's units to each run's epoch."""
        objective = self._first.objective
        noted = []
        for task in self.tasks:
            answer = raw[task]
            if task in DELTA:
                answer = self._offsets[task] + self._scales[task] * answer
            if task in objective.scalar:
                answer = countdown_from_start(answer.flatten(0, 1)).view(*answer.shape[:2], -1)
            truth = objective.truth(task, self._batch)
            noted.append(self._by_window(task, answer, truth).mean(1))
        for run, losses in zip(self._runs, torch.stack(noted, 1).tolist(), strict=True):
            run.note(losses)

    @torch.no_grad()
    def _revisit(self) -> Tensor:
        """Return [B, T] float64 losses of the last batch with the parameters as they are now."""
        noise = [run.noise_again() for run in self._runs]
        losses = self._losses(self._pass(self._batch.inputs, noise)[2])
        return torch.stack([losses[task] for task in self.tasks], 1).cpu().double()

    def revisited(self, place: int) -> Tensor:
        """Return [T] a run's losses of the last batch as they are now."""
        if self._revisited is None:
            self._revisited = self._revisit()
        return self._revisited[self._order.index(place)]

    @torch.no_grad()
    def answers(self, place: int, split: SeedList, inputs: Tensor) -> dict[str, Tensor] | None:
        """Return a run's raw outputs on inputs that are the same for all; None where it stands alone."""
        if place not in self._order:
            return None
        key = split, len(inputs)
        if key not in self._answers:
            parts = []
            for rows in inputs.split(_ROWS):
                here = rows.to(self._first.device).expand(len(self._order), *rows.shape)
                parts.append(self._pass(here)[2])
            self._answers[key] = {
                task: torch.cat([part[task] for part in parts], 1).cpu() for task in self.tasks
            }
        row = self._order.index(place)
        return {task: raw[row] for task, raw in self._answers[key].items()}

    def update(self, places: Sequence[int]) -> None:
        del places  # all have a batch in every step; what the others' rows become is nobody's
        self._answers = {}
        self._side.clip([run.clip for run in self._runs])
        self._side.step()


def _together(batches: Sequence[Dataset]) -> Dataset:
    """Return the batches of all runs: inputs [B, N, 105, F], all else one after the other [B·N, …]."""
    names = batches[0].targets
    return Dataset(
        torch.stack([batch.inputs for batch in batches]),
        {name: torch.cat([batch.targets[name] for batch in batches]) for name in names},
        torch.cat([batch.start for batch in batches]),
        torch.cat([batch.end for batch in batches]),
    )
