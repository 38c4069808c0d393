"""A model of one's own as a supervised problem: what the user's function builds, trained by the one loop."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from statistics import fmean
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from mtctl.balancing.gradients import AutogradGradients, graph
from mtctl.balancing.gradients.accumulated import AccumulatedGradients
from mtctl.balancing.task_gradients import TaskGradients
from mtctl.errors import MtctlError
from mtctl.problems.contract import SeedList
from mtctl.problems.python.batches import Rows, few, forward_of, iterated, moved, shape_of
from mtctl.problems.python.builder import Builder, call, file_digest, find_builder, training_of
from mtctl.problems.python.generators import Generators
from mtctl.problems.python.graphs import Sharing, head_module, leaves, sharing, used_unseen
from mtctl.problems.python.objective import Objective, Pair, rows_of
from mtctl.problems.python.optimizers import Optimization
from mtctl.problems.python.recipe import PythonRecipe
from mtctl.problems.python.shifted import has_order, shifted
from mtctl.problems.python.training import Batch, Training
from mtctl.problems.supervised.answers import Answers
from mtctl.problems.supervised.inspection import Inspection
from mtctl.problems.supervised.interventions import Intervention, NoDropout, Standardised
from mtctl.problems.supervised.problem import BadTargets, Supervised

_LOOKED_AT: Final = 3
"""Batches whose graphs show which parameters are shared."""
_LOOKED_AT_ROWS: Final = 8
"""Rows of a batch that show on which parameters answers depend."""
_DRAWN_FOR_A_SAMPLE: Final = 32
"""Batches, at most, in which a sample of all tasks' gradients is looked for."""
_SURVEYED: Final = 20_000
"""Training rows whose targets give constants, spreads and what is wrong with them."""
_EVALUATION, _SURVEY, _BUILD = 2**31, 2**31 + 1, 2**31 + 2
"""Streams of random numbers besides those of the epochs, which are counted from 0."""


class _Survey(NamedTuple):
    """What the first pass over the training data shows.

    Args:
        targets: of each task, [N, …] of the rows that have one.
        rows: how many rows were looked at.
        batches: of an epoch.
        samples: the first batches, and the first one of each task that they have no target of.
    """

    targets: Mapping[str, Tensor]
    rows: int
    batches: int
    samples: tuple[Rows, ...]


@dataclass(slots=True)
class _Facts:
    """What builds of the same data have in common, as it becomes known.

    Args:
        survey: of the training data.
        fingerprint: of the held-out targets; "" as long as it is not known.
        constants: each task's best constant and spread, and whether it answers in its targets' unit.
    """

    survey: _Survey
    fingerprint: str = ""
    constants: dict[str, tuple[Tensor | None, Tensor | None, bool]] = field(default_factory=dict)


_KNOWN: OrderedDict[str, _Facts] = OrderedDict()
_KEPT: Final = 4
"""Data that are remembered: as is, few rows, and as many for another seed."""


def _facts_of(key: str, survey: Callable[[], _Survey]) -> _Facts:
    """Return what is known of data, which are passed over the first time."""
    facts = _KNOWN.pop(key, None) or _Facts(survey())
    _KNOWN[key] = facts
    while len(_KNOWN) > _KEPT:
        _KNOWN.popitem(last=False)
    return facts


class OwnModel(Supervised[Rows]):
    """The model that a user's function builds.

    Every epoch, and every evaluation, begins with the global generators seeded for it, inside a fork:
    shuffles, workers and dropout are the same in every run from one seed, and a run resumes exactly at an
    epoch.

    Args:
        recipe: names the function, and how it is trained.
        seed: of the run.
    """

    def __init__(self, recipe: PythonRecipe, seed: int) -> None:
        settings = recipe.training
        self._recipe, self._seed = recipe, seed
        device = _device(settings.device)
        self._generators = Generators(device)
        builder = find_builder(recipe.problem.build)
        with self._generators.fresh(seed, _BUILD):
            built = training_of(builder, seed, recipe.problem.arguments)
            known = _names(built)
        self.has_order = has_order(built)
        self.training = shifted(built, recipe.problem.target_shift)
        super().__init__(recipe.problem.tasks or known, settings.epochs, settings.gradient_clip)
        _refuse_unknown(builder, self.tasks, known)
        self.device = device
        self.model = self.training.model.to(self.device)
        if not settings.dropout:
            _without_dropout(self.model)
        self._limited: list[Rows] = []
        self.objectives = {
            name: Objective(name, task, place, len(known), standardised=name in settings.standardise)
            for place, (name, task) in enumerate(self.training.tasks.items())
        }
        self.code = {"file": str(builder.file), "sha256": file_digest(builder) or ""}
        facts = _facts_of(self._same_data(), self._look_at_data)
        self._survey = facts.survey
        self._sharing = self._look_at_graphs(known)
        self._fit_constants(facts)
        facts.fingerprint = facts.fingerprint or self._fingerprint()
        self.definition = {"tasks": list(self.tasks), "held_out": facts.fingerprint}
        self._optimization = Optimization(self.training, settings, self._sharing.own)
        self.optimizer = self._optimization.optimizer
        self._constants: dict[SeedList, Mapping[str, Tensor]] = {}
        self._seen: dict[str, int] = dict.fromkeys(self.tasks, 0)
        self._features: dict[str, Tensor] = {}
        self._watch_heads()
        self._inspection = self._new_inspection()
        self._noise: tuple[Any, ...] = ()
        self._cuts = any(getattr(method, "layer", None) == "features" for method in recipe.chain)

    # ----- what is known before any update

    def _look_at_data(self) -> _Survey:
        """Pass over the training data once, for the targets and the number of batches."""
        targets: dict[str, list[Tensor]] = {name: [] for name in self.objectives}
        samples: list[Rows] = []
        rows, count = 0, 0
        length = _length(self.training.train)
        with self._generators.fresh(self._seed, _SURVEY):
            for batch in self._epoch_batches():
                found = {name: objective.target(batch) for name, objective in self.objectives.items()}
                present = {name: target for name, target in found.items() if target is not None}
                if len(samples) < _LOOKED_AT or not all(targets[name] for name in present):
                    samples.append(batch)
                if rows < _SURVEYED:
                    for name, target in present.items():
                        targets[name].append(target[: batch.first].detach())
                rows += rows_of(batch)
                count += 1
                if rows >= _SURVEYED and (length is not None or self._recipe.problem.limit):
                    break
        if not samples:
            raise _empty(self._recipe, "train")
        if length is not None and not self._recipe.problem.limit:
            count = max(1, length)
        together = {name: torch.cat(parts) for name, parts in targets.items() if parts}
        return _Survey(together, rows, count, tuple(samples))

    def _look_at_graphs(self, known: tuple[str, ...]) -> Sharing:
        """Find out which parameters are whose, and what the losses are to their rows."""
        reached: dict[str, set[Tensor]] = {name: set() for name in known}
        losses: dict[str, Tensor] = {}
        self.model.train()
        before = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        with self._generators.fresh(self._seed, _SURVEY):
            for batch in self._survey.samples:
                raw = self.outputs(batch)
                found = self._losses(raw, batch, known)
                for name, loss in found.items():
                    reached[name] |= leaves(loss)
                if len(found) > len(losses):
                    losses = found
                for name, objective in self.objectives.items():
                    if (pair := self._pair(name, raw, batch)) is not None and objective.constant is None:
                        pair = Pair(pair.output.detach(), pair.target)
                        objective.learn_reduction(pair)
                        objective.refuse_broadcast(pair)
        with torch.no_grad():
            for name, buffer in self.model.named_buffers():
                buffer.copy_(before[name])
        reached = {name: found for name, found in reached.items() if found}
        used = used_unseen(self.model, reached, lambda: self._first_answers(known))
        return sharing(self.model, reached, used, losses)

    def _first_answers(self, known: tuple[str, ...]) -> dict[str, Tensor]:
        """Return every task's answers on a few rows, without dropout; its loss where there are no outputs."""
        answers: dict[str, Tensor] = {}
        with self._evaluating(_SURVEY):
            for rows in self._survey.samples:
                if len(answers) < len(known):
                    some = Rows(few(rows.batch, _LOOKED_AT_ROWS))
                    answers = (self.outputs(some) or self._losses({}, some, known)) | answers
        return answers

    def _same_data(self) -> str:
        """Return what builds of the same data have in common: experiments build one model after another."""
        problem = self._recipe.problem
        data = problem.build, problem.arguments, problem.limit, problem.target_shift
        told = *data, self._recipe.training.accumulate
        return repr((told, self.code, self._seed, str(self.device)))

    @torch.no_grad()
    def _fit_constants(self, facts: _Facts) -> None:
        if facts.constants:
            for name, objective in self.objectives.items():
                objective.constant, objective.scale, objective.in_unit = facts.constants[name]
            return
        self.model.eval()
        raw: dict[str, Tensor] = {}
        with self._generators.fresh(self._seed, _SURVEY):
            for batch in self._survey.samples:
                raw = self.outputs(batch) | raw
        self.model.train()
        for name, objective in self.objectives.items():
            if name in raw and name in self._survey.targets:
                objective.fit(self._survey.targets[name], raw[name])
        facts.constants = {
            name: (one.constant, one.scale, one.in_unit) for name, one in self.objectives.items()
        }

    def _fingerprint(self) -> str:
        """Return a digest of the held-out targets: scores of other data are not comparable."""
        digest = hashlib.sha256()
        with self._generators.fresh(self._seed, _EVALUATION):
            for batch in self._split("held_out"):
                for name, objective in self.objectives.items():
                    target = objective.target(batch)
                    data = b"" if target is None else target.detach().cpu().double().numpy().tobytes()
                    digest.update(name.encode() + data)
        return digest.hexdigest()

    def _new_inspection(self) -> Inspection:
        tasks = self.tasks
        losses = {task: self._training_constant(task) for task in tasks}
        distances = {
            task: self.objectives[task].distance(self._survey.targets[task])
            if task in self._survey.targets
            else float("nan")
            for task in tasks
        }
        heads = {task: self.head(task) for task in tasks}
        return Inspection(
            heads, losses, distances, {task: self.adam_step(task) for task in tasks}, self.planned_updates
        )

    @torch.no_grad()
    def _training_constant(self, task: str) -> float:
        objective = self.objectives.get(task)
        if objective is None or objective.constant is None:
            return float("nan")
        targets = self._survey.targets[task]
        return float(objective.constant_losses(targets).double().mean())

    def _watch_heads(self) -> None:
        """Remember what each task's head reads, for signals."""
        for task in self.tasks:
            module = head_module(self.model, self._sharing.own.get(task, ()))
            if module is not None:
                module.register_forward_pre_hook(self._remember(task))

    def _remember(self, task: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            if module.training and inputs and isinstance(inputs[0], Tensor):
                given = inputs[0].detach()
                self._features[task] = given.flatten(2).mean(2) if given.dim() > 3 else given

        return hook

    # ----- the contract

    @property
    def updates_per_epoch(self) -> int:
        return -(-self._survey.batches // self._recipe.training.accumulate)

    @property
    def planned_updates(self) -> int:
        return self.units * self.updates_per_epoch

    def trunk(self) -> list[Parameter]:
        return list(self._sharing.shared)

    def frozen(self) -> list[Parameter]:
        return list(self._sharing.frozen)

    def head(self, task: str) -> list[Parameter]:
        return list(self._sharing.own.get(task, ()))

    def budget(self) -> dict[str, int]:
        rows = rows_of(self._survey.samples[0]) * self._recipe.training.accumulate
        return {"updates": self._updates, "samples_per_update": rows}

    def adam_step(self, task: str) -> float | None:
        return self._optimization.adam_step(self.head(task))

    def elements(self, task: str) -> int:
        constant = self.objectives[task].constant if task in self.objectives else None
        return 1 if constant is None else max(1, constant.numel())

    def is_of_classes(self, task: str) -> bool:
        return self.averaged(task) == 1 and self.target_unit(task) is None

    def target_unit(self, task: str) -> tuple[float, float] | None:
        objective, targets = self.objectives.get(task), self._survey.targets.get(task)
        if objective is None or objective.constant is None or objective.scale is None or targets is None:
            return None
        if not objective.in_unit or objective.constant.numel() != 1:
            return None
        return float(objective.constant), float(objective.scale)

    def applicable(self, *interventions: Intervention) -> tuple[Intervention, ...]:
        return tuple(change for change in map(self._applied, interventions) if change is not None)

    def _applied(self, change: Intervention) -> Intervention | None:
        if isinstance(change, NoDropout):
            return change if any(map(_drops, self.model.modules())) else None
        if not isinstance(change, Standardised):
            return change
        known = tuple(
            task
            for task in change.tasks
            if task in self.objectives and self.objectives[task].constant is not None
        )
        return Standardised(known) if known else None

    def averaged(self, task: str) -> int:
        targets = self._survey.targets.get(task)
        constant = self.objectives[task].constant if task in self.objectives else None
        alike = constant is not None and targets is not None and constant.shape == targets.shape[1:]
        return self.elements(task) if alike else 1

    def bad_targets(self, task: str) -> BadTargets | None:
        if task not in self.objectives:
            return None
        targets = self._survey.targets.get(task)
        if targets is None:
            return BadTargets(self._survey.rows, self._survey.rows)
        if misfit := self.objectives[task].misfit:
            return BadTargets(len(targets), len(targets), misfit)
        wrong = self.objectives[task].wrong(targets)
        if wrong.any():
            return BadTargets(int(wrong.sum()), len(targets))
        flat = targets.flatten(1) if targets.dim() > 1 else targets[:, None]
        if len(targets) > 1 and bool((flat == flat[:1]).all()):
            return BadTargets(0, len(targets))
        return None

    def batches(self) -> Iterator[Rows]:
        self._seen = dict.fromkeys(self.tasks, 0)
        self._generators.seed(self._seed, self.done)
        self.model.train()
        return self._drawn(self._epoch_batches())

    def _drawn(self, batches: Iterator[Rows]) -> Iterator[Rows]:
        """Yield batches that the user's loader draws inside the fork."""
        drawn = False
        while True:
            with self._generators.drawing():
                parts = list(islice(batches, self._recipe.training.accumulate))
            if not parts:
                break
            drawn = True
            yield parts[0] if len(parts) == 1 else Rows(None, together=tuple(parts))
        if not drawn:
            raise _empty(self._recipe, "train")

    def _epoch_batches(self) -> Iterator[Rows]:
        """Yield the training batches of an epoch: all of one batch where the rows are limited."""
        limit = self._recipe.problem.limit
        loader = iterated(_reseeded(self.training.train), "`train`")
        if limit is None:
            return (Rows(moved(batch, self.device)) for batch in loader)
        return self._few_rows(loader, limit)

    def _few_rows(self, loader: Iterator[Batch], limit: int) -> Iterator[Rows]:
        """Yield the first rows of the first batch, and of the first one of each task that it lacks."""
        if not self._limited:
            wanted = set(self.tasks)
            for batch in loader:
                rows = Rows(few(moved(batch, self.device), limit))
                present = {
                    name
                    for name in wanted
                    if name not in self.objectives or self.objectives[name].target(rows) is not None
                }
                if present or not self._limited:
                    self._limited.append(rows)
                    wanted -= present
                if not wanted:
                    break
        yield from self._limited

    def outputs(self, rows: Rows) -> dict[str, Tensor]:
        """Return the outputs of the user's model, by task; none where it computes its losses itself."""
        if self.training.losses is not None:
            return {}
        with self._precision():
            raw = call("`forward`", forward_of(self.training), rows.batch)
        if not isinstance(raw, Mapping):
            if len(self.objectives) == 1 and isinstance(raw, Tensor):
                return {next(iter(self.objectives)): raw}
            raise MtctlError(
                f"`forward` returned {shape_of(raw)}, expected a mapping from tasks to outputs",
                hint="return {" + ", ".join(f'"{name}": …' for name in self.objectives) + "}",
            )
        absent = (name for name in self.tasks if name not in raw)
        if missing := [name for name in absent if self.objectives[name].target(rows) is not None]:
            raise MtctlError(
                f"`forward` returned no output of `{missing[0]}`, only {', '.join(map(str, raw)) or 'none'}",
                hint="return one for each task, under the task's name",
            )
        return {name: self._output(name, raw[name]) for name in self.objectives if name in raw}

    def _output(self, name: str, output: object) -> Tensor:
        if not isinstance(output, Tensor):
            raise MtctlError(f"the output of `{name}` is {shape_of(output)}, expected a tensor")
        return output.float() if output.dtype in (torch.float16, torch.bfloat16) else output

    @contextmanager
    def _precision(self) -> Iterator[None]:
        if self._recipe.training.precision == "fp32":
            yield
            return
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            yield

    def _pair(self, task: str, raw: Mapping[str, Tensor], rows: Rows) -> Pair | None:
        return self.objectives[task].pair(raw[task], rows) if task in raw else None

    def _pairs(self, raw: Mapping[str, Tensor], rows: Rows, tasks: Iterable[str]) -> dict[str, Pair]:
        """Return outputs and targets of the tasks that have any in a batch."""
        pairs = ((name, self._pair(name, raw, rows)) for name in tasks)
        return {name: pair for name, pair in pairs if pair is not None}

    def _losses(self, raw: Mapping[str, Tensor], rows: Rows, tasks: Iterable[str]) -> dict[str, Tensor]:
        """Return the losses of the tasks that have a target in a batch, with a graph."""
        return self._losses_of(self._pairs(raw, rows, tasks), rows, tasks)

    def _losses_of(self, pairs: Mapping[str, Pair], rows: Rows, tasks: Iterable[str]) -> dict[str, Tensor]:
        if self.training.losses is not None:
            with self._precision():
                losses = call("`losses`", self.training.losses, rows.batch)
            losses = {name: losses[name] for name in tasks if losses.get(name) is not None}
        else:
            losses = {name: self.objectives[name].minimised(pair) for name, pair in pairs.items()}
        for name, loss in losses.items():
            if not isinstance(loss, Tensor) or loss.numel() != 1:
                raise MtctlError(f"the loss of `{name}` is {shape_of(loss)}, expected a scalar tensor")
            if torch.is_grad_enabled() and not loss.requires_grad:
                raise MtctlError(
                    f"the loss of `{name}` does not depend on any trainable parameter",
                    hint="make it from the model's outputs, without .detach(), .item() or torch.no_grad()",
                )
        factors = self._recipe.training.loss_factor
        return {
            name: loss.reshape(()) * factors[name] if name in factors else loss.reshape(())
            for name, loss in losses.items()
        }

    def gradients(self) -> TaskGradients:
        self._noise = self._generators.inside
        if self._recipe.training.accumulate == 1:
            return self._differentiate(self._learned(self.batch))
        return AccumulatedGradients(
            self.tasks,
            map(self._learned, self.batch.parts),
            shared=self.trunk(),
            own=[self.head(task) for task in self.tasks],
            last_shared=self._sharing.last,
        )

    def _learned(self, rows: Rows) -> dict[str, Tensor]:
        """Return the losses of a batch that is learned from, with a graph; move the epoch's means on."""
        with self._generators.drawing():
            pairs = self._pairs(self.outputs(rows), rows, self.tasks)
            losses = self._losses_of(pairs, rows, self.tasks)
        self._note(pairs, losses, rows)
        self._inspection.see(self._features)
        return losses

    def _differentiate(self, losses: Mapping[str, Tensor]) -> AutogradGradients:
        features: Any = ()
        if self._cuts and len(losses) > 1:
            parts = graph.split(list(losses.values()))
            features = tuple(
                {(edge.node, edge.output_nr): edge for ends in parts.edges for edge in ends}.values()
            )
        return AutogradGradients(
            self.tasks,
            losses,
            shared=self.trunk(),
            own=[self.head(task) for task in self.tasks],
            last_shared=self._sharing.last,
            features=features,
            cut=bool(features),
            active=torch.tensor([task in losses for task in self.tasks]),
        )

    @torch.no_grad()
    def _note(self, pairs: Mapping[str, Pair], losses: Mapping[str, Tensor], rows: Rows) -> None:
        """Move the epoch's means on, in the targets' own units."""
        factors = self._recipe.training.loss_factor
        for task, minimised in losses.items():
            loss, count = float(minimised) / factors.get(task, 1.0), rows_of(rows)
            if task in pairs:
                objective, pair = self.objectives[task], pairs[task]
                count = len(pair.target)
                if objective.standardised:
                    loss = float(objective.loss(pair))
                loss /= count if objective.reduction == "sum" else 1
            self._seen[task] += count
            mean = self._means[task]
            mean["loss"] += (loss - mean["loss"]) * count / self._seen[task]

    def update(self) -> None:
        super().update()
        if self._epoch is None and (unseen := [task for task, count in self._seen.items() if not count]):
            raise MtctlError(
                f"task `{unseen[0]}` had no row with a target in epoch {self.done}",
                hint="check its targets and its mask, or leave it out: -o problem.tasks=[…]",
            )
        self._optimization.updated(epoch_ended=self._epoch is None, losses=self._means)

    def sampled_losses(self, rng: torch.Generator) -> dict[str, Tensor]:
        word = int(torch.randint(2**31, (), generator=rng))
        losses: dict[str, Tensor] = {}
        with self._evaluating(word):
            # A batch may lack some tasks: others have them.
            for batch in islice(self._epoch_batches(), _DRAWN_FOR_A_SAMPLE):
                missing = [task for task in self.tasks if task not in losses]
                if not missing:
                    break
                losses |= self._losses(self.outputs(batch), batch, missing)
        return losses

    @torch.no_grad()
    def revisit(self) -> Tensor:
        before = [buffer.clone() for buffer in self.model.buffers()]
        found: dict[str, list[float]] = {task: [] for task in self.tasks}
        with self._generators.drawing(self._noise):
            for rows in self.batch.parts:
                for task, loss in self._losses(self.outputs(rows), rows, self.tasks).items():
                    found[task].append(float(loss))
        for buffer, value in zip(self.model.buffers(), before, strict=True):
            buffer.copy_(value)
        means = [fmean(losses) if losses else 0.0 for losses in found.values()]
        return torch.tensor(means, dtype=torch.float64)

    # ----- scores

    @contextmanager
    def _evaluating(self, word: int) -> Iterator[None]:
        """Let the model answer without dropout, with generators of its own."""
        training = {module: module.training for module in self.model.modules()}
        self.model.eval()
        try:
            with self._generators.fresh(self._seed, word):
                yield
        finally:
            for module, was in training.items():
                module.training = was

    def _split(self, split: SeedList) -> Iterator[Rows]:
        held_out = self.training.held_out
        loader = self.training.validation if split == "monitor" or held_out is None else held_out
        return (
            Rows(moved(batch, self.device)) for batch in iterated(_reseeded(loader), f"`{_LOADERS[split]}`")
        )

    @torch.no_grad()
    def answers(self, split: SeedList, items: int | None = None) -> Answers[Rows]:
        parts: list[tuple[Mapping[str, Tensor], Rows]] = []
        left = items
        with self._evaluating(_EVALUATION):
            for batch in self._split(split):
                count = rows_of(batch)
                rows = batch if left is None or count <= left else Rows(batch.batch, left)
                parts.append((self.outputs(rows) or self._losses({}, rows, self.tasks), rows))
                left = None if left is None else left - count
                if left is not None and left <= 0:
                    break
        if not parts:
            raise _empty(self._recipe, _LOADERS[split])
        return Answers(parts, self.row_losses, apart=self.training.losses is None)

    @torch.no_grad()
    def row_losses(self, task: str, raw: Mapping[str, Tensor], rows: Rows) -> Tensor:
        """Return a task's losses of the rows that have a target, in the targets' own unit."""
        if self.training.losses is not None:
            return raw[task].reshape(1) if task in raw else torch.empty(0)
        pair = self._pair(task, raw, rows)
        return torch.empty(0) if pair is None else self.objectives[task].row_losses(pair).cpu()

    def constant_losses(self, split: SeedList) -> Mapping[str, Tensor]:
        if split not in self._constants:
            self._constants[split] = self._find_constant_losses(split)
        return self._constants[split]

    def _find_constant_losses(self, split: SeedList) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        with self._evaluating(_EVALUATION):
            batches = list(self._split(split))
        for task in self.tasks:
            objective = self.objectives.get(task)
            if objective is None or objective.constant is None:
                continue
            parts = [objective.constant_losses_of(rows) for rows in batches]
            found[task] = torch.cat(parts).cpu()
        if missing := [task for task in self.tasks if task not in found]:
            # Without outputs there is no constant: the untrained model takes its place.
            first = OwnModel(self._recipe, self._seed) if self._updates else self
            answers = first.answers(split)
            found |= {task: answers.losses(task) for task in missing}
        return {task: found[task] for task in self.tasks}

    def measures(self, task: str, answers: Answers[Rows], split: SeedList) -> dict[str, float]:
        del split
        score = self.training.tasks[task].score if task in self.training.tasks else None
        if score is None:
            return {}
        values, counts = [], []
        for raw, rows in answers.parts:
            if (pair := self._pair(task, raw, rows)) is not None:
                output = self.objectives[task].answered(pair.output)
                values.append(float(call(f"the score of `{task}`", score, output, pair.target)))
                counts.append(len(pair.target))
        return {"score": sum(v * n for v, n in zip(values, counts, strict=True)) / max(1, sum(counts))}

    # ----- state

    def policy_state(self) -> dict[str, Any]:
        return dict(self.model.state_dict())

    def load_policy_state(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state)

    def state_dict(self) -> dict[str, Any]:
        if self._epoch is not None:
            raise RuntimeError("an epoch is under way; its batches are not saved")
        return {
            "network": self.policy_state(),
            **self._optimization.state_dict(),
            "done": self.done,
            "updates": self._updates,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["network"])
        self._optimization.load_state_dict(state)
        self.done, self._updates = state["done"], state["updates"]
        self._epoch = None
        self._inspection.restart(self._updates)


_LOADERS: Final = {"held_out": "held_out", "monitor": "validation"}


def complete(recipe: PythonRecipe) -> PythonRecipe:
    """Return the recipe with the tasks that its function names, where it names none itself."""
    if recipe.problem.tasks:
        return recipe
    builder = find_builder(recipe.problem.build)
    with Generators(_device(recipe.training.device)).fresh(0, _BUILD):
        names = _names(training_of(builder, 0, recipe.problem.arguments))
    return recipe.revised({"problem.tasks": list(names)})


def _names(training: Training) -> tuple[str, ...]:
    """Return the tasks' names: those of `tasks`, or of the losses of a first batch, which draws."""
    if training.losses is None:
        return tuple(training.tasks)
    batch = next(iterated(training.train, "`train`"))
    return tuple(str(name) for name in call("`losses`", training.losses, batch))


def _refuse_unknown(builder: Builder, tasks: tuple[str, ...], known: tuple[str, ...]) -> None:
    if unknown := [task for task in tasks if task not in known]:
        raise MtctlError(
            f"{builder.name} has no task `{unknown[0]}`",
            hint=f"its tasks: {', '.join(known)}; change `problem.tasks`",
        )


def _device(name: str) -> torch.device:
    if name != "auto":
        there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        if not there[name]:
            raise MtctlError(f"training.device={name}: this machine has none", hint="-o training.device=auto")
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _drops(module: nn.Module) -> bool:
    """Say whether a module drops anything in training."""
    if isinstance(module, nn.modules.dropout._DropoutNd):
        return module.p > 0
    return isinstance(module, nn.RNNBase | nn.MultiheadAttention) and module.dropout > 0


def _without_dropout(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        elif isinstance(module, nn.RNNBase | nn.MultiheadAttention):
            module.dropout = 0.0


def _length(loader: Iterable[Any]) -> int | None:
    """Return how many batches a loader says that it has; None where it does not, as one of a stream."""
    try:
        return len(loader)  # type: ignore[arg-type]
    except TypeError:
        return None


def _reseeded(loader: Iterable[Any]) -> Iterable[Any]:
    """Return the loader with its own generators seeded from the global one, the same in every run."""
    word: int | None = None
    for owner in (loader, getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)):
        generator = getattr(owner, "generator", None)
        if isinstance(generator, torch.Generator):
            word = int(torch.randint(2**62, ())) if word is None else word
            generator.manual_seed(word)
    return loader


def _empty(recipe: PythonRecipe, loader: str) -> MtctlError:
    return MtctlError(
        f"{recipe.known_as}: `{loader}` yields no batch",
        hint="check its data set and drop_last; it must yield its batches anew in every epoch",
    )


__all__ = ["OwnModel", "complete", "file_digest"]
