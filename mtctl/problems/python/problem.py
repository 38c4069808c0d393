"""A model of one's own as a supervised problem: what the user's function builds, trained by the one loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from statistics import fmean
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from mtctl.balancing.gradients import AutogradGradients, graph
from mtctl.balancing.gradients.accumulated import AccumulatedGradients
from mtctl.balancing.gradients.scaled import Combinable, ScaledGradients
from mtctl.balancing.task_gradients import TaskGradients
from mtctl.errors import MtctlError
from mtctl.problems.code import current
from mtctl.problems.contract import Cause, Record, SeedList
from mtctl.problems.device import device_of
from mtctl.problems.python.batches import Rows, few
from mtctl.problems.python.builder import call, file_digest, find_builder, training_of
from mtctl.problems.python.forward import Forward
from mtctl.problems.python.generators import Generators
from mtctl.problems.python.graphs import Sharing, leaves, sharing, used_unseen
from mtctl.problems.python.heads import watched
from mtctl.problems.python.loaders import Loaders
from mtctl.problems.python.models import drops, refuse_half, without_dropout
from mtctl.problems.python.objective import Objective, Pair, rows_of
from mtctl.problems.python.optimizers import Optimization
from mtctl.problems.python.precision import REMEDY, SCALED_LOSSES, Precision
from mtctl.problems.python.recipe import PythonRecipe
from mtctl.problems.python.shifted import has_order, shifted
from mtctl.problems.python.survey import Survey, facts_of, fingerprint, surveyed
from mtctl.problems.python.tasks import BUILD, names_of, refuse_unknown
from mtctl.problems.supervised.answers import Answers, Choices, Numbers
from mtctl.problems.supervised.inspection import Inspection
from mtctl.problems.supervised.interventions import Intervention, NoDropout, Standardised
from mtctl.problems.supervised.problem import BadTargets, Supervised

_LOOKED_AT_ROWS: Final = 8
"""Rows of a batch that show on which parameters answers depend."""
_DRAWN_FOR_A_SAMPLE: Final = 32
"""Batches, at most, in which a sample of all tasks' gradients is looked for."""
_EVALUATION, _SURVEY = 2**31, 2**31 + 1
"""Streams of random numbers besides those of the epochs, which are counted from 0."""


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
        device = device_of(settings.device)
        self._generators = Generators(device)
        builder = find_builder(recipe.problem.build)
        with self._generators.fresh(seed, BUILD):
            built = training_of(builder, seed, recipe.problem.arguments)
            known = names_of(built)
        self.has_order = has_order(built)
        self.training = shifted(built, recipe.problem.target_shift)
        super().__init__(recipe.problem.tasks or known, settings.epochs, settings.gradient_clip)
        refuse_unknown(builder, self.tasks, known)
        self.device = device
        self.model = self.training.model.to(self.device)
        self._precision = Precision(settings.precision, self.device)
        if self._precision.scale is not None:
            self.figures = SCALED_LOSSES
            refuse_half(builder.name, self.model)
        if not settings.dropout:
            without_dropout(self.model)
        self._loaders = Loaders(
            self.training,
            place=builder.place,
            name=recipe.known_as,
            device=device,
            limit=recipe.problem.limit,
        )
        self.objectives = {
            name: Objective(name, task, place, len(known), standardised=name in settings.standardise)
            for place, (name, task) in enumerate(self.training.tasks.items())
        }
        self._forward = Forward(
            self.training, self.objectives, self.tasks, self._precision, settings.loss_factor
        )
        sha256 = current().get(str(builder.file)) or file_digest(builder) or ""
        self.code = {"file": str(builder.file), "sha256": sha256}
        facts = facts_of(self._same_data(), self._survey_data)
        self._survey = facts.survey
        self._sharing = self._look_at_graphs(known)
        facts.fit(self.objectives, self._sampled_outputs)
        facts.fingerprint = facts.fingerprint or self._fingerprint()
        self.definition = {"tasks": list(self.tasks), "held_out": facts.fingerprint}
        self._optimization = Optimization(self.training, settings, self._sharing.own)
        self.optimizer = self._optimization.optimizer
        self._constants: dict[SeedList, Mapping[str, Tensor]] = {}
        self._seen: dict[str, int] = dict.fromkeys(self.tasks, 0)
        self._features = watched(self.model, {task: tuple(self.head(task)) for task in self.tasks})
        self._inspection = self._new_inspection()
        self._noise: tuple[Any, ...] = ()
        self._updates_before = 0
        self._extra: dict[str, float] = {}
        self._cuts = any(getattr(method, "layer", None) == "features" for method in recipe.chain)

    # ----- what is known before any update

    def _survey_data(self) -> Survey:
        with self._generators.fresh(self._seed, _SURVEY):
            batches = self._epoch_batches()
            if not self._loaders.ends:
                batches = self._loaders.ending(batches, "train")
            return surveyed(self._loaders, batches, self.objectives)

    @torch.no_grad()
    def _sampled_outputs(self) -> dict[str, Tensor]:
        """Return answers on the first batches, by task."""
        self.model.eval()
        raw: dict[str, Tensor] = {}
        with self._generators.fresh(self._seed, _SURVEY):
            for batch in self._survey.samples:
                raw = self._forward.outputs(batch) | raw
        self.model.train()
        return raw

    def _fingerprint(self) -> str:
        with self._generators.fresh(self._seed, _EVALUATION):
            self._loaders.require_end()
        with self._generators.fresh(self._seed, _EVALUATION):
            return fingerprint(self._loaders.whole("held_out"), self.objectives)

    def _look_at_graphs(self, known: tuple[str, ...]) -> Sharing:
        """Find out which parameters are whose, and what the losses are to their rows."""
        reached: dict[str, set[Tensor]] = {name: set() for name in known}
        losses: dict[str, Tensor] = {}
        self.model.train()
        before = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        with self._generators.fresh(self._seed, _SURVEY):
            for batch in self._survey.samples:
                raw = self._forward.outputs(batch)
                found = self._forward.losses(raw, batch, known)
                for name, loss in found.items():
                    reached[name] |= leaves(loss)
                if len(found) > len(losses):
                    losses = found
                for name, objective in self.objectives.items():
                    if (
                        pair := self._forward.pair(name, raw, batch)
                    ) is not None and objective.constant is None:
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
                    answers = (self._forward.outputs(some) or self._forward.losses({}, some, known)) | answers
        return answers

    def _same_data(self) -> str:
        """Return what builds of the same data have in common: experiments build one model after another."""
        problem = self._recipe.problem
        data = problem.build, problem.arguments, problem.limit, problem.target_shift
        told = *data, self._recipe.training.accumulate
        return repr((told, self.code, self._seed, str(self.device)))

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

    # ----- the contract

    @property
    def updates_per_epoch(self) -> int:
        return -(-self._survey.batches // self._recipe.training.accumulate)

    @property
    def planned_updates(self) -> int:
        return self.units * self.updates_per_epoch

    @property
    def network(self) -> nn.Module:
        return self.model

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

    @torch.no_grad()
    def choices(self, task: str, split: SeedList) -> Choices | None:
        found = [self.objectives[task].choices(pair) for pair in self._pairs(task, split)]
        known = [one for one in found if one is not None]
        if not known or len(known) < len(found):
            return None
        return Choices(torch.cat([one.losses for one in known]), torch.cat([one.labels for one in known]))

    @torch.no_grad()
    def numbers(self, task: str, split: SeedList) -> Numbers | None:
        pairs = self._pairs(task, split)
        objective = self.objectives.get(task)
        if not pairs or objective is None or not objective.in_unit:
            return None
        shapes = {shape for pair in pairs for shape in (pair.output.shape[1:], pair.target.shape[1:])}
        if len(shapes) > 1:
            return None
        answers = torch.cat([objective.answered(pair.output).cpu() for pair in pairs])
        targets = torch.cat([pair.target.cpu() for pair in pairs])
        return Numbers(answers.reshape(len(answers), -1), targets.reshape(len(targets), -1))

    def _pairs(self, task: str, split: SeedList) -> list[Pair]:
        """Return a task's outputs and targets on a split, part by part; none where outputs are not known."""
        if task not in self.objectives:
            return []
        found = [self._forward.pair(task, raw, rows) for raw, rows in self.answers(split).parts]
        return [pair for pair in found if pair is not None]

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
            return change if any(map(drops, self.model.modules())) else None
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
        self._updates_before = self._updates
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
            raise self._loaders.empty()

    def _epoch_batches(self) -> Iterator[Rows]:
        return self._loaders.epoch(self._present, self.tasks)

    def _present(self, rows: Rows) -> set[str]:
        """Return the tasks that a batch has targets of; those that make their losses themselves always."""
        objectives = self.objectives
        return {
            name for name in self.tasks if name not in objectives or objectives[name].target(rows) is not None
        }

    def gradients(self) -> TaskGradients:
        self._noise = self._generators.inside
        scale = self._precision.scale
        parts = map(self._learned, self.batch.parts)
        losses = parts if scale is None else map(scale.scaled, parts)
        if self._recipe.training.accumulate == 1:
            found: Combinable = self._differentiate(next(losses))
        else:
            found = AccumulatedGradients(
                self.tasks,
                losses,
                shared=self.trunk(),
                own=[self.head(task) for task in self.tasks],
                last_shared=self._sharing.last,
            )
        if scale is None:
            return found
        headed = torch.tensor([bool(self.head(task)) for task in self.tasks])
        return ScaledGradients(found, scale.value, headed)

    def _learned(self, rows: Rows) -> dict[str, Tensor]:
        """Return the losses of a batch that is learned from, with a graph; move the epoch's means on."""
        with self._generators.drawing():
            pairs = self._forward.pairs(self._forward.outputs(rows), rows, self.tasks)
            losses = self._forward.losses_of(pairs, rows, self.tasks)
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

    def advance(self) -> Record | None:
        record = super().advance()
        # As the means of the tasks, complete once the step has been made or skipped.
        self._extra = {} if record is None else record["extra"]
        return record

    def update(self) -> None:
        super().update()
        if self._precision.scale is not None:
            self._precision.scale.updated()
        self._optimization.updated(self._means)
        self._step_ended()

    def cause(self, task: str | None, split: SeedList | None) -> Cause | None:
        if task in self.objectives and (found := self._wrong_class(self.objectives[task], split)):
            return found
        return None if self._precision.scale is None else Cause(None, REMEDY)

    def _wrong_class(self, objective: Objective, split: SeedList | None) -> Cause | None:
        with self._evaluating(_EVALUATION):
            batches = self.batch.parts if split is None else self._loaders.split(split)
            for number, rows in enumerate(batches, 1):
                if wrong := objective.wrong_class(rows):
                    batch = (
                        "its batch" if split is None else f"batch {number} of `{self._loaders.named(split)}`"
                    )
                    return wrong.cause(batch)
        return None

    def skip(self) -> bool:
        if self._precision.scale is None or not self._precision.scale.back_off():
            return False
        self._step_ended()
        return True

    def _step_ended(self) -> None:
        """Do what follows a step that was made, or skipped: close the epoch, if it was its last one."""
        if self._epoch is not None:
            return
        if unseen := [task for task, count in self._seen.items() if not count]:
            raise MtctlError(
                f"task `{unseen[0]}` had no row with a target in epoch {self.done}",
                hint="check its targets and its mask, or leave it out: -o problem.tasks=[…]",
            )
        if self._precision.scale is not None:
            self._extra |= self._precision.scale.epoch_ended()
        if self._updates > self._updates_before:  # a schedule that comes before any update is torch's mistake
            self._optimization.epoch_ended(self._means)

    def looking(self) -> AbstractContextManager[None]:
        # Gradients that are not scaled would be lost, small changes rounded away.
        return self._precision.full()

    def sampled_losses(self, rng: torch.Generator) -> dict[str, Tensor]:
        word = int(torch.randint(2**31, (), generator=rng))
        losses: dict[str, Tensor] = {}
        with self._evaluating(word), self.looking():
            # A batch may lack some tasks: others have them.
            for batch in islice(self._epoch_batches(), _DRAWN_FOR_A_SAMPLE):
                missing = [task for task in self.tasks if task not in losses]
                if not missing:
                    break
                losses |= self._forward.losses(self._forward.outputs(batch), batch, missing)
        return losses

    @torch.no_grad()
    def revisit(self) -> Tensor:
        before = [buffer.clone() for buffer in self.model.buffers()]
        found: dict[str, list[float]] = {task: [] for task in self.tasks}
        with self._generators.drawing(self._noise):
            for rows in self.batch.parts:
                for task, loss in self._forward.losses(self._forward.outputs(rows), rows, self.tasks).items():
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

    @torch.no_grad()
    def answers(self, split: SeedList, items: int | None = None) -> Answers[Rows]:
        parts: list[tuple[Mapping[str, Tensor], Rows]] = []
        left = items
        with self._evaluating(_EVALUATION):
            for batch in self._loaders.split(split):
                count = rows_of(batch)
                rows = batch if left is None or count <= left else Rows(batch.batch, left)
                parts.append(
                    (self._forward.outputs(rows) or self._forward.losses({}, rows, self.tasks), rows)
                )
                left = None if left is None else left - count
                if left is not None and left <= 0:
                    break
        if not parts:
            raise self._loaders.empty(split)
        return Answers(parts, self.row_losses, apart=self.training.losses is None)

    def row_losses(self, task: str, raw: Mapping[str, Tensor], rows: Rows) -> Tensor:
        """Return a task's losses of the rows that have a target, in the targets' own unit."""
        if self.training.losses is not None:
            return raw[task].reshape(1) if task in raw else torch.empty(0)
        pair = self._forward.pair(task, raw, rows)
        return torch.empty(0) if pair is None else self.objectives[task].row_losses(pair).cpu()

    def constant_losses(self, split: SeedList) -> Mapping[str, Tensor]:
        if split not in self._constants:
            self._constants[split] = self._find_constant_losses(split)
        return self._constants[split]

    def _find_constant_losses(self, split: SeedList) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        with self._evaluating(_EVALUATION):
            batches = list(self._loaders.split(split))
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
            if (pair := self._forward.pair(task, raw, rows)) is not None:
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
            **({} if self._precision.scale is None else {"loss_scale": self._precision.scale.state_dict()}),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["network"])
        self._optimization.load_state_dict(state)
        self.done, self._updates = state["done"], state["updates"]
        if self._precision.scale is not None:
            self._precision.scale.load_state_dict(state["loss_scale"])
        self._epoch = None
        self._inspection.restart(self._updates)
