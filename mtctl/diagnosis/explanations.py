"""What each finding means, how it is measured, what would refute it, and what helps.

Numbers by which a diagnosis decides are those of thresholds.py; others are measurements of the documented
problem.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from mtctl.diagnosis import thresholds as t
from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.explanation import Explanation
from mtctl.diagnosis.explanations_of_players import OF_PLAYERS
from mtctl.diagnosis.thresholds import percent
from mtctl.errors import MtctlError
from mtctl.text import listed
from mtctl.yaml.mistakes import closest


def explain(code: str) -> Explanation:
    """Return what a code means.

    Raises:
        MtctlError: there is no such code: with the closest, and all there are.
    """
    if code in EXPLANATIONS:
        return EXPLANATIONS[Code(code)]
    match = closest(code, EXPLANATIONS)
    guess = f"did you mean `{match}`? " if match else ""
    raise MtctlError(f"there is no finding `{code}`", hint=f"{guess}codes: {', '.join(EXPLANATIONS)}")


def _listed(numbers: tuple[float, ...]) -> str:
    return listed([f"{number:g}" for number in numbers])


_LEARNS: Final = f"reaches a skill of {percent(t.LEARNED)}"
_FASTER: Final = f"{_LEARNS} at least {t.FASTER:g} times as fast"
_HIGHER: Final = (
    f"{percent(t.HELD_BACK)} higher, and half of that is not made up for within "
    f"{t.CATCHES_UP_BUDGETS} budgets"
)
_OPPOSED: Final = f"−{-t.OPPOSED:g}"
_PULLED_APART: Final = f"−{-t.PULLED_APART:g}"

_ALL: Final = (
    Explanation(
        Code.BAD_TARGETS,
        "The targets are unusable",
        "Some targets are missing (NaN), all the same, or outside what the loss is made for, such as a "
        "binary target of 20. One NaN makes the mean of its batch NaN, and then every weight that the update "
        "changes. A constant target is learned in a few updates and then teaches nothing.",
        "Certain: the training targets are checked before anything is trained, for values that are missing, "
        "not finite, or outside the range of the loss, and for targets that are the same for every row. "
        "Likely, from records: the loss was NaN before the first update, or is not finite in some records "
        "and finite again after. Possible: it is exactly 0 in every record.",
        "It is refuted if no such target exists.",
        (
            "repair the data: leave out or mask rows whose target is missing",
            "check the columns: a constant target is often the wrong column, or an empty one",
        ),
    ),
    Explanation(
        Code.DIVERGED,
        "The training blew up",
        "A loss became infinite or NaN, or rose far above its first value. The curves after that say nothing "
        "about balancing.",
        f"A loss that is not finite, or a mean training loss of an epoch above {t.SPIKE:g} times the larger "
        "of its first value and that of the best constant prediction; where only records are known, a last "
        f"loss above {t.BLOWN_UP:g} times the larger. A value function diverges if its loss grew "
        f"{t.EXPLODED:g}-fold and is above {t.OUT_OF_SCALE:g} times the largest return. A "
        "recipe is then trained at "
        f"{_listed(t.DIVERGED_RATES)} times the learning rate: if the task learns with one of them, the "
        "finding is `learning-rate`.",
        "It is refuted if the task learns at a lower learning rate. If it does not, look for a division by "
        "zero, a logarithm of zero, or very large targets.",
        (
            "a lower learning rate: try a tenth",
            "clip the combined gradient: -o training.gradient_clip=1, or agent.gradient_clip",
            "a bounded loss (Huber) where targets have outliers",
        ),
    ),
    Explanation(
        Code.DETACHED_TASK,
        "The task's gradient does not reach the shared network",
        "Something between the task's head and the trunk cuts the graph (`.detach()`, `.item()`, "
        "`torch.no_grad()`, an integer cast). The head trains alone, on features made for the other tasks. "
        "These may be good enough for the task to seem to learn, but it is still a mistake.",
        f"The norm of this task's gradient on the trunk is below {t.NO_GRADIENT:g} while its own head "
        "receives one: in the first batch of a recipe, or in every record of a run.",
        "It is refuted if any batch has a gradient on the trunk, or if the recipe cuts it on purpose.",
        (
            "remove the cut from the forward pass",
            "compute the loss from tensors, never from `.item()` or numpy values",
        ),
    ),
    Explanation(
        Code.NOT_IN_OPTIMIZER,
        "Parameters of the task are not in the optimizer",
        "The head receives gradients, but no update changes it. Typically the module was made after the "
        "optimizer, or is held in a plain list. The trunk may still adapt to the frozen head, so the loss "
        "may fall a little.",
        "Certain: a parameter of the head is in none of the optimizer's groups. From a run's records: the "
        "head has a gradient and never moves.",
        "It is refuted if these parameters move in an update.",
        (
            "make the optimizer after all heads, from `model.parameters()`",
            "keep heads in a ModuleList or ModuleDict",
        ),
    ),
    Explanation(
        Code.FROZEN_TRUNK,
        "Nothing moves the shared network",
        "Only heads train, on random features. Weights and balancing methods act on the trunk alone, so "
        "they have no effect.",
        "Certain: a parameter of the trunk is in none of the optimizer's groups.",
        "It is refuted if the trunk moves.",
        (
            "set requires_grad, and give the trunk to the optimizer",
            "if it is frozen on purpose, use larger heads: other weights do not help",
        ),
    ),
    Explanation(
        Code.DEAD_HEAD,
        "The task's head passes no gradient",
        "The head's output no longer depends on its weights: a ReLU that is never active, a saturated "
        "sigmoid, a cut output. A weight on the loss cannot change that, because it multiplies zero.",
        f"Certain: the task's gradient on its own head is below {t.NO_GRADIENT:g}. Measured: the task "
        f"cannot even memorise {t.FEW_ROWS} rows, alone, standardised and without dropout, in "
        f"{t.HEART_UPDATES} updates. Likely, from records: {percent(t.DEAD_UNITS)} or more of the head's "
        f"inputs do not vary, or its loss is flat at more than {t.WORSE_THAN_CONSTANT:g} times the best "
        f"constant's and has no slope: the head's gradient norm is below {percent(t.NO_SLOPE)} of the loss.",
        f"It is refuted if the head has a gradient, or if it memorises {t.FEW_ROWS} rows.",
        (
            "initialise the head anew; start its bias at the targets' mean",
            "use no ReLU at the output, and a loss that takes logits instead of a clamped probability",
        ),
    ),
    Explanation(
        Code.UNLEARNABLE,
        "The targets cannot be predicted from these inputs",
        "The network has the capacity and the gradient (it memorises a few rows), but it does not "
        "generalise: the labels are shuffled, shifted by a row, or about something that the inputs do not "
        "show.",
        f"Measured: nothing makes the task {t.FASTER:g} times as fast (alone, standardised, other learning "
        f"rates), it does not reach a skill of {percent(t.LEARNED)} within {t.WATCHED_BUDGETS} budgets, nor "
        f"with all aids combined in the longer of {t.PATIENT_BUDGETS} budgets and {t.PATIENT_UPDATES} "
        f"updates, yet it memorises {t.FEW_ROWS} rows: a training loss below "
        f"{percent(t.KNOWN_BY_HEART)} of the best constant's. Skill = 1 − loss / loss of the best constant "
        "prediction, on held-out rows. The finding is only likely where these are too few for a certain "
        "skill.",
        "It is refuted if any model has skill on held-out data, or if a much longer training succeeds.",
        (
            "check how inputs and labels are joined: sort order, off-by-one, ids",
            "add features that determine the target",
        ),
    ),
    Explanation(
        Code.IGNORES_INPUT,
        "The task's answers do not depend on the input",
        "The loss is below that of the best constant, but only because the output depends on the position "
        "in a sequence, or on nothing that differs between rows. Where targets depend on the position, that "
        "alone lowers the loss, so a falling loss need not mean learning.",
        f"Skill is {percent(t.LEARNED)} or more, and the held-out loss rises by less than "
        f"{percent(t.IGNORED)}, or by no more than chance, when every row gets another row's inputs. "
        "Position is often learned first, so the task is trained for up to "
        f"{t.WATCHED_BUDGETS} budgets before this is reported.",
        "It is refuted if the loss rises when the inputs are shuffled.",
        (
            "compare with the best predictor that knows only the position, not with a constant",
            "check labels (see `unlearnable`), then train longer",
        ),
    ),
    Explanation(
        Code.TARGET_OUT_OF_REACH,
        "The targets are too far away for this number of updates",
        "The head starts near 0 and its targets are large, or far from 0. Adam moves each parameter by about "
        "the learning rate per update, however large the gradient is, and a Huber loss's gradient is bounded "
        "as well, so no weight on the loss makes the head arrive sooner. Such a task looks flat even when it "
        "is trained alone. A head for classes has no distance to travel, but it may start far from the "
        "classes' shares.",
        "Measured: from the same start, with a standardised head (it begins at the best constant, and its "
        f"unit is the targets' standard deviation), the task {_FASTER}; or it does so once it is trained "
        "alone. Likely, from records: the task does not learn and its `reach` (distance of the targets "
        f"relative to how far Adam can move an output in the whole run) is above {t.OUT_OF_REACH:g}.",
        f"It is refuted if the standardised head is less than {t.FASTER:g} times as fast.",
        (
            "standardise the head: divide the targets by their standard deviation, or use the override shown",
            f"raise the learning rate of the head: -o training.head_lr={{TASK: {t.HEAD_LR:g}}}",
            "use more updates: more epochs, smaller batches",
        ),
    ),
    Explanation(
        Code.MULTIPLIER_DOMINANCE,
        "Other tasks' losses dominate the gradient of the trunk",
        "What counts is ∂total/∂loss, the factor that a loss has in the sum, and the length of the gradient "
        "behind it. Losses of different units, or divided by their running means, differ by orders of "
        "magnitude. With Adam a small share alone does no harm; it does harm where the trunk must move for "
        "this task within few updates.",
        f"Measured: alone, from the same start and with the same batches, the task {_FASTER} (once "
        f"standardised, if it needs that too), or its skill is {_HIGHER}; and it has no "
        f"more than {percent(t.SMALL_SHARE)} of a fair share (1/T) of the trunk's gradient, or equal shares "
        f"help. No other task's gradient opposes its own (mean cosine above {_OPPOSED}). Likely, from "
        f"records: the task does not learn, has less than {percent(t.DOMINATED_SHARE)} of the trunk's "
        f"gradient, and another's multiplier or gradient norm is {t.DOMINATING:g} times its own or more. "
        "Certain: its weight is 0 in every record.",
        "It is refuted if the task is as slow alone: then the others are not the cause. If its gradient "
        "opposes another's, the finding is `conflict`.",
        (
            "use weights of 1 on standardised targets, or fixed weights that equalise the trunk's gradients",
            "use a method that equalises: uncertainty, gradnorm, imtl_l, db_mtl",
            "do not divide losses by their running means",
        ),
    ),
    Explanation(
        Code.CONFLICT,
        "Another task pulls the shared network the other way",
        "The gradients of two tasks on the trunk point in opposite directions, beyond chance, so progress "
        "of one undoes that of the other.",
        f"Measured: alone, the task {_FASTER}, or reaches far more skill, equal weights do not help, and its "
        f"mean cosine with another task's gradient is {_OPPOSED} or less over the run as is; between that "
        f"and {_PULLED_APART} where no share explains it. Likely, from records: the task does not learn, and "
        f"its mean cosine with another, over {t.FEWEST_COSINES} records or more, is {_OPPOSED} or less and "
        "below 0 within its 95 % interval. Possible, from curves: its loss rises when another's falls (rank "
        f"correlation of their changes below −{-t.OPPOSITE:g}). The sign in a single batch is chance: even "
        "the gradients of one task disagree from batch to batch. A check of all pairs therefore compares "
        f"{t.COMPARED_BATCHES} "
        f"batches and names the pairs with a mean cosine below {_PULLED_APART}.",
        "It is refuted if the mean cosine is within its noise.",
        (
            "use gradient surgery: balancer kinds pcgrad or cagrad",
            "let the tasks share less: larger heads, or a separate trunk",
            "check signs: a shared output with opposite targets is a mistake, not a conflict",
        ),
    ),
    Explanation(
        Code.BUDGET_TOO_SMALL,
        "There are too few updates for this task",
        "The task learns without any change, only later. Epochs hide this: 168 rows in batches of 32 are "
        "6 updates an epoch, 30 in 5 epochs. The documented pattern (a loss that moves by less than "
        f"{percent(t.FLAT)} in 5 epochs) fades as the number of updates grows, with nothing else changed.",
        f"Measured: neither the other tasks nor the target's unit make the task {t.FASTER:g} times as fast, "
        f"and it {_LEARNS} without any change within {t.WATCHED_BUDGETS} budgets, or sooner at "
        f"{t.MORE_UPDATES_RATES[1]:g} or {t.MORE_UPDATES_RATES[0]:g} times the learning rate, or with all "
        "aids combined, none of which it needs by itself. Likely: the budget has fewer than "
        f"{t.FEWEST_UPDATES} updates, too few to distinguish causes. From records: fewer than "
        f"{t.FEW_UPDATES} updates while a task is behind; where something is played, more than "
        f"{percent(t.EXPLORING)} of the last actions were still random.",
        "It is refuted if the task does not learn in ten times the updates.",
        (
            "train for more epochs",
            "use smaller batches: more updates in the same epochs",
            "raise the learning rate, for this head alone if other tasks would suffer",
        ),
    ),
    Explanation(
        Code.LEARNING_RATE,
        "The learning rate does not suit the task",
        "It is so low that nothing moves in the budget, or so high that losses jump or diverge.",
        "Measured: no task learns, and at a much lower or higher rate half of them or more learn at least "
        f"{t.FASTER:g} times as fast; or this task's training loss rose to {t.UNSTABLE:g} times where it "
        f"began, or it lost what it had learned, and {_listed(t.LOWER_RATES)} times the rate help; or it "
        f"learns neither alone nor jointly and is {t.MUCH_FASTER:g} times as fast at "
        f"{t.MORE_UPDATES_RATES[0]:g} times the rate, or {t.FASTER:g} times as fast at a more distant rate: "
        f"Adam's usual {t.USUAL_RATE:g} and SGD's {t.USUAL_RATE_OF_SGD:g} are tried too; or its head's rate "
        f"and the trunk's differ by {t.OTHER_HEAD_RATE:g} times, and it is {t.FASTER:g} times as fast at "
        f"the trunk's; or it needs Adam at {t.HEART_LR:g} of all aids; "
        "or a training that diverged does not diverge at a lower rate. Likely, from records: a loss ends at "
        f"{t.THROWN_ABOUT:g} times the best constant's or "
        f"more; or no task learns and none can reach its targets (`reach` above {t.OUT_OF_REACH:g}).",
        "It is refuted if no other rate helps.",
        (
            "use the learning rate that helped, for all heads or for one: -o training.head_lr={TASK: 3}",
            "use a schedule with warm-up if a high rate fails in the first updates only",
        ),
    ),
    Explanation(
        Code.REDUCTION_BIAS,
        "A mean over many outputs makes one task's loss smaller than another's",
        "A common explanation: the loss of a task with many outputs is a mean over them, which divides each "
        "output's gradient by their number, so the task starves beside tasks with few outputs. With losses "
        "divided by their running means this is impossible: a factor on a loss is also in its running mean "
        "and cancels. With raw losses under fixed weights the reduction is a part of the weight.",
        f"The symptom: one loss moves by less than {percent(t.FLAT)} while another's improves by more than "
        f"{percent(t.IMPROVING)}. The cause is tested: the stuck task is trained with its loss summed over "
        "its outputs instead of averaged, from the same start. Confirmed (a warning): it then has a skill of "
        f"{percent(t.LEARNED)} at the end of the budget. Refuted (information): it has not, or its loss "
        f"differs by less than {percent(t.FLAT)}.",
        "It is refuted if the curve is the same with sum and mean.",
        (
            "choose the weight deliberately: mean over outputs × weight",
            "use √d or d as weight only where raw losses are added; elsewhere it is just a larger weight",
        ),
    ),
    Explanation(
        Code.AT_NOISE_FLOOR,
        "The loss is flat because little is left to learn",
        "A flat curve at a low level: the task has learned what it can. Its relative progress is small "
        "beside a task that has just begun, and methods that use progress may raise its weight in vain.",
        f"The loss changes by less than {percent(t.FLAT)} over the budget, or by no more than its noise in "
        f"records, and skill is {percent(t.AT_FLOOR)} or more.",
        "It is refuted if a longer training or a larger model lowers the held-out loss.",
        ("nothing is needed; a lower weight for this task helps the others", "set a floor for its loss"),
    ),
    Explanation(
        Code.SLOW,
        "The task learns, but not far enough in the budget",
        "The loss falls by more than noise, yet ends near that of the best constant prediction.",
        f"Measured: skill reaches {percent(t.LEARNED)} only after the budget, within {t.SLOW_BUDGETS:g} "
        "times of it, and neither the other tasks nor the target's unit hold the task back; or it learns, "
        f"reaches {percent(t.HELD_BACK_SHARE)} or less of what it can in the budget, and closes "
        f"{percent(t.RECOVERED)} of the gap within {t.WATCHED_BUDGETS} budgets. From records: "
        f"the loss falls by more than its noise, but no skill of {percent(t.LEARNED)} was reached or, where "
        f"skill is not known, it fell by {percent(t.IMPROVING)} or less. For the lander: the return "
        f"improves, by more than {percent(t.RETURN_MOVED)} and less than {percent(t.RETURN_LEARNED)} of the "
        "way to success.",
        "It is refuted if the curve is level at its end.",
        ("use more updates", "standardise the head: it is the cheapest way to save updates"),
    ),
    Explanation(
        Code.WEIGHTS_COLLAPSED,
        "The balancing method has almost switched a task off",
        "A learned weight went towards 0 (or dominates) and does not recover, as in GradNorm after an "
        "unusual first loss, or in uncertainty weighting of a task that looks like noise.",
        f"Likely, from records: over the last third the task's weight is below {percent(t.COLLAPSED)} of "
        f"the mean weight, or rests below {percent(t.PINNED)} of it, and it did not begin there.",
        "It is refuted if the weights recover, or if the task does no better in a control with equal "
        "weights.",
        (
            "for gradnorm, set weight_floor and initial_loss: mean_of_first",
            "lower the learning rate of the weights",
            "train with equal weights as a control",
        ),
    ),
    Explanation(
        Code.FLAT_TASK,
        "The task's loss does not fall",
        "Over the records its loss falls by no more than its noise. Curves alone do not show why: "
        "the task may be out of reach, dominated, unlearnable, or already at its floor.",
        f"The loss falls by less than {percent(t.FLAT)} over the records, or by no more than its noise, and "
        "no other finding says why. Measured: nothing that was tried makes the task learn, and what it "
        "learns by heart is not known, as its losses are given without outputs. For the lander: the return "
        "does not rise by more than chance "
        f"(Mann–Kendall test), or by less than {percent(t.RETURN_MOVED)} of the way to success. It is a "
        f"warning only where updates are fewer than {t.FEW_UPDATES}, where the loss of the best constant "
        f"prediction is not known, or where more than {percent(t.EXPLORING)} of the last actions were "
        "random.",
        "It is refuted if the loss falls in a longer record.",
        (
            "find the cause: `mtctl diagnose RECIPE` trains counterfactuals where mtctl knows the problem",
            "compare the loss with the best constant prediction's: if it is no lower, nothing was learned",
        ),
    ),
    Explanation(
        Code.RISING_LOSS,
        "The task's loss rises",
        "The loss is higher than where it began, or it fell and rises again: what was learned is being lost. "
        "Curves alone do not show why: the learning rate may be too high, another task may take over the "
        "shared network, or the data may have become harder.",
        f"From its lowest point (smoothed), the loss rises by more than {percent(t.RISEN)}, by more than "
        f"{t.BEYOND_NOISE:g} standard errors of its noise, and by more than {percent(t.LOST_AGAIN)} of what "
        f"it had fallen by. Above {t.BLOWN_UP:g} times its first value the finding is `diverged`; if it "
        "rises when another task's loss falls, `conflict`.",
        "It is refuted if the loss falls again in a longer record, or if the data changed at the turn.",
        (
            "lower the learning rate, or let it decay: a rate that was right at first may be too high later",
            "use the checkpoint at the lowest point",
            "train the task alone: if its loss falls then, the other tasks are the cause",
        ),
    ),
    Explanation(
        Code.OVERFITTING,
        "The task improves on training data and gets worse on held-out data",
        "Training loss falls while the held-out loss rises: the task memorises rows.",
        "Measured: the task had learned, lost it again in the budget and did not recover within another, "
        "while its training loss stayed below the best held-out loss. From records: the last held-out "
        f"losses, {t.SINCE_LOWEST} or more after the lowest, are more than {percent(t.OVERFITTED)} above "
        f"it, and more than {t.BEYOND_NOISE:g} standard errors of their noise, while the training loss fell; "
        f"or the held-out loss never falls while the training loss falls by {percent(t.HALVED)} or more.",
        "It is refuted if the held-out curve is level after a fall.",
        (
            "use the checkpoint at the lowest point: `mtctl eval RUN --checkpoint best`",
            "train for fewer epochs, or use more data, dropout or weight decay",
            "lower the weight of this task if others still learn",
        ),
    ),
    Explanation(
        Code.WRONG_GRADIENT,
        "The task's gradient on the shared network has the wrong sign",
        "A step along the task's own gradient raises its loss: a gradient reversal layer, a hook, a custom "
        "backward pass or a sign that is turned twice. Training then undoes what the task needs.",
        "Certain: before any training, the shared parameters take a small step along the task's gradient, "
        "and its loss rises where the gradient promises a fall.",
        "It is refuted if such a step lowers the loss.",
        (
            "check hooks, custom autograd functions and gradient reversal between the head and the trunk",
            "check that the loss is minimised, not its negative",
        ),
    ),
    Explanation(
        Code.INTERFERENCE,
        "The other tasks hold this one back, for an unknown reason",
        "Without the other tasks it learns; yet neither the shares nor the angles of the gradients explain "
        "why. Capacity that the others use, BatchNorm statistics of mixed data or the order of batches may.",
        f"Measured: alone, the task {_FASTER}, or its skill is {_HIGHER}; its share of "
        f"the trunk's gradient is not small, equal shares and equal weights do not help, and no mean cosine "
        f"is below {_PULLED_APART}.",
        "It is refuted if the task is as slow alone.",
        (
            "let the tasks share less: a wider trunk, larger heads, or a trunk of its own",
            "check layers that mix rows of tasks, such as BatchNorm",
        ),
    ),
    Explanation(
        Code.BALANCER_SETTINGS,
        "The balancing method's own settings hold the task back",
        "With equal weights the task learns, so the weights that the method chose keep it from learning: a "
        "weight rate, a restoring force or hand-made weights that do not suit the losses.",
        f"Measured: alone, the task {_FASTER}, or its skill is {_HIGHER}; equal weights "
        "help as much, and its share of the trunk's gradient is not small.",
        "It is refuted if equal weights do not help.",
        (
            "use the method's defaults: `mtctl explain KIND` shows them",
            "use another method, or equal weights",
        ),
    ),
    Explanation(
        Code.REGULARISATION,
        "Dropout or weight decay is too strong for the task",
        "So much is dropped, or weights are pulled to 0 so hard, that nothing is left to learn with.",
        "Measured: with all aids combined the task learns, and it stops learning once dropout is back, or "
        "once the optimizer's weight decay is; or without decay it learns at least "
        f"{t.FASTER:g} times as fast, and neither the other tasks nor the unit are to blame; or a task that "
        f"reaches {percent(t.HELD_BACK_SHARE)} or less of what it can closes {percent(t.RECOVERED)} of the "
        "gap without dropout, or without decay.",
        "It is refuted if the task learns with all aids and the dropout and decay of the recipe.",
        (
            "lower dropout: 0.1 to 0.3 is usual",
            "lower weight decay: AdamW's default is 0.01",
        ),
    ),
    Explanation(
        Code.CAPACITY,
        "The network is too small for the task",
        "Too few units in the trunk or in the head, a layer so narrow that what the task needs is lost in "
        "it, or an output that cannot take the targets' values. Several tasks may also share a layer that "
        "has fewer units than they are asked for numbers: what one of them gains there, another loses.",
        "Measured, of a narrow layer: at one place of the network after the other each row gets another "
        "row's numbers; where the answer is then the other row's, nothing reaches it beside these. If no "
        "more independent numbers pass there than the task answers, and a small readout of the numbers "
        f"before, trained on rows that it is not scored on, has a skill that is {percent(t.HELD_BACK)} "
        f"higher than the task's with all aids combined, the layer is too narrow; it takes {t.FEWEST_READ} "
        "validation and held-out rows each. Of a shared one: the tasks that depend on it alone are asked "
        f"for more numbers than pass, and without the others the task reaches {percent(t.HELD_BACK)} more. "
        f"Likely: after {t.HEART_UPDATES} updates on {t.FEW_ROWS} rows, alone, standardised and without "
        f"dropout, the training loss is between {percent(t.KNOWN_BY_HEART)} and {percent(t.UNDERFITTED)} "
        f"of the best constant's; or the task stays at a skill of {percent(t.HELD_BACK_SHARE)} or less "
        f"with all aids combined, and the training loss on {t.MORE_ROWS} rows is above "
        f"{percent(t.KNOWN_BY_HEART)}.",
        "It is refuted if a wider layer or network does no better.",
        (
            "widen the layer that the finding names, or let the task read what comes before it",
            "widen the trunk, or give the head a hidden layer",
            "check what limits the output's range",
        ),
    ),
    Explanation(
        Code.NOISY_LABELS,
        "Part of the task's labels look wrong",
        "A share of the rows has a label that does not follow from its inputs, whatever these are: "
        "another class, or another row's number. The model learns the rest and can never be sure; more "
        "training learns the wrong labels by heart. Classes that chance decides with the same odds for "
        "every row look the same, and so do numbers that chance replaces now and then; labels that are "
        "all random look like inputs that say nothing, which is `unlearnable`. Northcutt et al., 2021, "
        "compare classes.",
        f"Likely: the task does not learn, or ends at a skill of {percent(t.HELD_BACK_SHARE)} or less, and "
        f"gains less than {percent(t.HELD_BACK)} with all aids combined. Of classes: on held-out rows the "
        f"surest {percent(t.SUREST)} of the answers save at most {percent(t.SURE_GAIN)} of the loss that "
        f"they have with other rows' labels, at most {t.SURE_GAIN_OF_SKILL:g} times the skill, which is "
        f"{percent(t.SURE_SKILL)} or more and beyond {t.BEYOND_NOISE:g} standard errors, and "
        f"{t.LEAST_OF_HALF:g} to {t.SURE_GAIN_OF_HALF:g} times what the surer half saves; and labels that "
        "contradict sure answers are their second choice no more often than by chance. In an honest task "
        f"the surest answers are nearly always right, and wrong ones are near. It takes {t.SURE_ROWS} such "
        f"rows. Of numbers: {percent(t.STRAYS)} of the held-out targets or more are {t.STRAY:g} median "
        "errors from the line that most follow over the answers, this line is steeper than that of all, "
        f"and theirs has a slope of {t.STRAY_SLOPE:g} times its own at most. Errors that are only large, "
        "have long tails, or grow with the number, lie about the same line and are no finding.",
        "It is refuted if rows that the model answers surely and wrongly turn out to be labelled rightly.",
        (
            "look at the held-out rows that the model contradicts most surely, and repair their labels",
            "of numbers, check how targets were joined to rows; L1 or Huber losses are moved less by them",
            "train for fewer epochs, or with label smoothing: both learn less of what is wrong by heart",
            "judge the task by agreement with labels that were checked, not by its loss",
        ),
    ),
    Explanation(
        Code.SHIFTED_LABELS,
        "The task's labels belong to other rows",
        "In the order of the data set, each row has the label of a row before or after it: a header that was "
        "read as a row, two files that were joined by place, a window that begins one step late. Shuffled "
        "batches hide it.",
        "Measured: the task, alone and with all aids combined, is trained with the labels of the rows "
        f"{_listed(t.OFF_BY)} places further on, and its skill on held-out rows is {percent(t.HELD_BACK)} "
        f"higher or more; with its own it reaches {percent(t.HELD_BACK_SHARE)} of that or less. "
        f"Of a task that has a skill of {percent(t.CLEARLY_LEARNED)}, one row either way is tried. The data "
        "must be a torch DataLoader of a data set with numbered rows. Nothing is said where the "
        "row after that does as well: in a series whose rows hold earlier values, every forecast is easier "
        "with earlier labels.",
        "It is refuted if the task is a forecast, whose labels are later rows' on purpose.",
        (
            "compare a few rows of the data with their labels, and join them by a key, not by place",
            "try it: -o 'problem.target_shift={TASK: 1}', with the number that the finding names",
        ),
    ),
    Explanation(
        Code.BELOW_POTENTIAL,
        "The task reaches far less than it can, for an unknown reason",
        "With everything done for it the task reaches far more; yet no single change explains the "
        "difference: several causes work together, or one that is not tried.",
        f"Measured: with all aids combined (alone, standardised, no dropout, Adam at {t.HEART_LR:g}) its "
        f"skill is {percent(t.HELD_BACK)} higher or more, and as is it reaches {percent(t.HELD_BACK_SHARE)} "
        f"of that or less. No dropout, no weight decay, up to {t.WATCHED_BUDGETS} budgets, a standardised "
        "head, other rates of its head and of all parameters do not close "
        f"{percent(t.RECOVERED)} of the gap, nor is a single aid needed. The finding names the aids that are "
        "needed together. Where one of these changes does, it names the cause: `regularisation`, `slow`, "
        "`target-out-of-reach` or `learning-rate`.",
        "It is refuted if a single change of the recipe closes the gap.",
        (
            "take the best remedy, then take its parts back one at a time",
            "look at what the recipe does that the aids leave out: schedules, hooks, losses of your own",
        ),
    ),
)

EXPLANATIONS: Final[Mapping[Code, Explanation]] = MappingProxyType(
    {each.code: each for each in (*_ALL, *OF_PLAYERS)}
)
"""What every code means, in the order in which they are listed."""
