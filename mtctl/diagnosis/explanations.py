"""What each finding means, how it is measured, what would refute it, and what helps.

Numbers by which a diagnosis decides are those of thresholds.py; others are measurements of the documented
problem.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from mtctl.diagnosis import thresholds as t
from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.thresholds import percent
from mtctl.errors import MtctlError
from mtctl.yaml.mistakes import closest


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a code stands for.

    Args:
        code: the stable name, as in `Finding.code`.
        title: the finding as a short statement.
        meaning: what happens to the task, and why.
        measured: how it is measured and decided.
        refuted_by: what would show that it is not so.
        remedies: what helps, the most effective first.
    """

    code: Code
    title: str
    meaning: str
    measured: str
    refuted_by: str
    remedies: tuple[str, ...]


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
    *others, last = (f"{number:g}" for number in numbers)
    return f"{', '.join(others)} and {last}"


_LEARNS: Final = f"reaches a skill of {percent(t.LEARNED)}"
_FASTER: Final = f"{_LEARNS} at least {t.FASTER:g} times as fast"
_OPPOSED: Final = f"−{-t.OPPOSED:g}"
_PULLED_APART: Final = f"−{-t.PULLED_APART:g}"

_ALL: Final = (
    Explanation(
        Code.BAD_TARGETS,
        "The targets cannot be learned from as they are",
        "Some targets are missing (NaN), all the same, or outside what the loss is made for, such as a "
        "binary target of 20. One NaN makes the mean of its batch NaN, and with it every weight that the "
        "update touches. A constant target is learned in a few updates and then teaches nothing.",
        "Read off the training targets before anything is trained: values that are missing, not finite, or "
        "outside what the loss can take, and targets that are the same for every window. Likely, from "
        "records: the loss was NaN in the first pass over the data.",
        "It is refuted if the count of such targets is 0.",
        (
            "repair the data: leave out or mask windows whose target is missing",
            "check the columns: a constant target is often the wrong column, or one that was never filled",
        ),
    ),
    Explanation(
        Code.DIVERGED,
        "The training blew up",
        "A loss became infinite or NaN, or rose far above where it began. What the curves show after that "
        "says nothing about balancing.",
        f"A loss that is not finite, or a mean training loss of an epoch above {t.SPIKE:g} times the larger "
        "of its first value and that of the best constant prediction; where only records are known, a last "
        f"loss above {t.BLOWN_UP:g} times the larger. A recipe is then trained at "
        f"{_listed(t.DIVERGED_RATES)} times the learning rate: if the task learns with one of them, the "
        "finding is `learning-rate`.",
        "It is refuted if a lower learning rate trains. If none does, look for a division by zero, a "
        "logarithm of zero, or targets in a huge unit.",
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
        "These may be good enough, so that the task seems to learn: it is a mistake all the same.",
        f"The norm of this task's gradient on the trunk is below {t.NO_GRADIENT:g} while its own head "
        "receives one: in the first batch of a recipe, or in every record of a run.",
        "It is refuted if any batch has a gradient on the trunk, or if the recipe cuts it on purpose.",
        (
            "take the cut out of the forward pass",
            "compute the loss from tensors, never from `.item()` or numpy values",
        ),
    ),
    Explanation(
        Code.NOT_IN_OPTIMIZER,
        "Parameters of the task are not in the optimizer",
        "The head receives gradients, and nothing moves it: typically a module made after the optimizer, or "
        "held in a plain list. The trunk may still adapt to the frozen head, so that the loss falls a "
        "little.",
        "The head's parameters are looked up in the optimizer's groups, one by one. In a run's records: the "
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
        "that none of them can have any effect: with the trunk frozen, the countdown stayed at 15.6 (best "
        "constant: 15.3) after 5 and after 20 epochs with any weights.",
        "The trunk's parameters are looked up in the optimizer's groups, one by one.",
        "It is refuted if the trunk moves.",
        (
            "set requires_grad, and give the trunk to the optimizer",
            "if it is frozen on purpose: larger heads, not other weights",
        ),
    ),
    Explanation(
        Code.DEAD_HEAD,
        "The task's head passes no gradient",
        "The head's answer does not depend on its weights any more: a ReLU that is never open, a saturated "
        "sigmoid, a cut output. No weight on the loss changes that, because it multiplies zero.",
        f"Certain: the task's gradient on its own head is below {t.NO_GRADIENT:g}. Measured: the task "
        f"cannot even learn {t.FEW_WINDOWS} windows by heart, alone, standardised and without dropout, in "
        f"{t.HEART_UPDATES} updates. Likely, from records: {percent(t.DEAD_UNITS)} or more of what the head "
        f"reads does not vary, or its loss is flat at more than {t.WORSE_THAN_CONSTANT:g} times the best "
        f"constant's and has no slope: the head's gradient norm is below {percent(t.NO_SLOPE)} of the loss.",
        f"It is refuted if the head has a gradient, or if it learns {t.FEW_WINDOWS} windows by heart.",
        (
            "initialise the head anew; start its bias at the targets' mean",
            "no ReLU at the output; logits and a loss that takes logits instead of a clamped probability",
        ),
    ),
    Explanation(
        Code.UNLEARNABLE,
        "The targets cannot be predicted from these inputs",
        "The network has the capacity and the gradient (it learns a few rows by heart), yet nothing carries "
        "over to other data: the labels are shuffled, shifted by a row, or about something that the inputs "
        "do not show.",
        f"Measured: nothing makes the task {t.FASTER:g} times as fast (alone, standardised, other learning "
        f"rates), it does not reach a skill of {percent(t.LEARNED)} within {t.WATCHED_BUDGETS} budgets, nor "
        f"with everything done for it in the longer of {t.PATIENT_BUDGETS} budgets and {t.PATIENT_UPDATES} "
        f"updates, yet it learns {t.FEW_WINDOWS} windows by heart: a training loss below "
        f"{percent(t.KNOWN_BY_HEART)} of the best constant's. Skill = 1 − loss / loss of the best constant "
        "prediction, on windows that were not trained on. It is only likely where these are too few to be "
        "sure of the skill.",
        "It is refuted if any model has skill on held-out data, or if a much longer training gets there.",
        (
            "check how inputs and labels are joined: sort order, off-by-one, window ids",
            "features that show what is asked for",
        ),
    ),
    Explanation(
        Code.IGNORES_INPUT,
        "The task's answers do not depend on the input",
        "The loss is below that of the best constant, but only because the answer follows the position in "
        "the window, which is the same for every window. A countdown's best answer by position alone "
        "already brings the loss from 15.3 to 5.6, so a falling loss may be no learning at all.",
        f"Skill is {percent(t.LEARNED)} or more, and the held-out loss rises by less than "
        f"{percent(t.IGNORED)}, or by no more than chance, when every window gets another window's inputs. "
        "What position alone gives is often learned first, so the task is trained on for up to "
        f"{t.WATCHED_BUDGETS} budgets before it is accused.",
        "It is refuted if the loss rises when the inputs are shuffled.",
        (
            "compare with the best predictor that knows only the position, not with a constant",
            "check labels (see `unlearnable`), then train longer",
        ),
    ),
    Explanation(
        Code.TARGET_OUT_OF_REACH,
        "The targets are too far away for the updates that there are",
        "The head starts near 0 and its targets are large (±20 bars). Adam moves each parameter by about "
        "the learning rate per update however large the gradient is, and a Huber loss's gradient has a "
        "ceiling as well, so that no weight on the loss makes the head arrive sooner. Such a task looks "
        "flat even when it is trained alone. In the documented problem this is the largest cause: targets "
        "divided by 20, and nothing else changed, brought the countdown from 15.2 to 2.7 in 20 epochs; "
        "dividing the head into one output instead of 105 did nothing that the scale did not.",
        "Measured: from the same start, with a head that begins at the best constant and answers in units "
        f"of the targets' standard deviation, the task {_FASTER}; or the same head does that once the task "
        "is alone. Likely, from records: the task does not learn and its `reach` (distance of the targets "
        f"over what Adam can move an answer in the whole run) is above {t.OUT_OF_REACH:g}.",
        f"It is refuted if the standardised head is less than {t.FASTER:g} times as fast.",
        (
            "standardise the head: -o model.standardise=[TASK]",
            f"a higher learning rate for the head: -o training.head_lr={{TASK: {t.HEAD_LR:g}}}",
            "more updates: more epochs, smaller batches",
        ),
    ),
    Explanation(
        Code.MULTIPLIER_DOMINANCE,
        "Other tasks' losses count so much more that the trunk does not serve this one",
        "What counts is ∂total/∂loss, the factor that a loss has in the sum. Weights divided by running "
        "means of the losses make it 0.7/0.0095 for ptr and 0.1/15.9 for the countdown: more than 10,000 to "
        "1, and growing as ptr improves. The countdown then has 0.4 to 0.7 % of the trunk's gradient. With "
        "Adam a small share alone does no harm (tasks with a weight of 0.002 learned as well as their "
        "controls); it does where the trunk has to move for this task within few updates.",
        f"Measured: alone, from the same start and with the same batches, the task {_FASTER} (once "
        "standardised, if it needs that too), and no other task's gradient opposes its own (mean cosine "
        f"above {_OPPOSED}); equal shares of the trunk's gradient are tried as well. Likely, from "
        f"records: the task does not learn, has less than {percent(t.DOMINATED_SHARE)} of the trunk's "
        f"gradient, and another's multiplier or gradient norm is {t.DOMINATING:g} times its own or more.",
        "It is refuted if the task is as slow alone: then the others are not to blame. If its gradient "
        "opposes another's, it is `conflict`.",
        (
            "weights of 1 on standardised targets, or fixed weights that equalise the trunk's gradients",
            "a method that equalises: uncertainty, gradnorm, imtl_l, db_mtl",
            "no division by a running mean of the loss",
        ),
    ),
    Explanation(
        Code.CONFLICT,
        "Another task pulls the shared network the other way",
        "The gradients of two tasks on the trunk point in opposite directions more than chance would have "
        "it, so that progress of one undoes the other's.",
        f"Measured: alone, the task {_FASTER}, and its mean cosine with another task's gradient is "
        f"{_OPPOSED} or less over the run as is. Likely, from records: the task does not learn, and its "
        f"mean cosine with another, over {t.FEWEST_RECORDS} records or more, is {_OPPOSED} or less and "
        "below 0 within its 95 % interval. The sign in a single batch is chance: a task's gradients do not "
        f"even agree with themselves from batch to batch. So {t.COMPARED_BATCHES} batches are compared in a "
        f"check of every pair of tasks besides: it names those with a mean cosine below {_PULLED_APART}.",
        "It is refuted if the mean cosine is within its noise.",
        (
            "surgery: balancer kinds pcgrad or cagrad",
            "let the tasks share less: larger heads, or a trunk of its own",
            "check signs: a shared output with opposite targets is a mistake, no conflict of interests",
        ),
    ),
    Explanation(
        Code.BUDGET_TOO_SMALL,
        "There are too few updates for this task",
        "The task learns as it is, only later. Epochs hide this: 168 windows in batches of 32 are 6 updates "
        "an epoch, 30 in 5 epochs. The documented pattern (a loss that moves by less than "
        f"{percent(t.FLAT)} in 5 epochs) fades as the number of updates grows, with nothing else changed.",
        f"Measured: neither the other tasks nor the target's unit make the task {t.FASTER:g} times as fast, "
        f"and it {_LEARNS} as it is within {t.WATCHED_BUDGETS} budgets, or sooner at "
        f"{t.MORE_UPDATES_RATES[1]:g} or {t.MORE_UPDATES_RATES[0]:g} times the learning rate, or only with "
        f"everything done for it at once. Likely: the budget has fewer than {t.FEWEST_UPDATES} updates, too "
        f"few to tell causes apart. From records: fewer than {t.FEW_UPDATES} updates while a task is "
        f"behind; for the lander, more than {percent(t.EXPLORING)} of the last actions were still random.",
        "It is refuted if ten times the updates do not get the task there.",
        (
            "more epochs",
            "smaller batches: more updates for the same epochs",
            "a higher learning rate, for this head alone where others would suffer",
        ),
    ),
    Explanation(
        Code.LEARNING_RATE,
        "The learning rate does not suit the task",
        "It is so low that nothing moves in the budget, or so high that losses are thrown about or blow up.",
        "Measured: no task learns, and at a much lower or higher rate half of them or more learn at least "
        f"{t.FASTER:g} times as fast; or this task's training loss rose to {t.UNSTABLE:g} times where it "
        f"began, or it lost what it had learned, and {_listed(t.LOWER_RATES)} times the rate help; or it "
        f"learns in no company and is {t.MUCH_FASTER:g} times as fast at {t.MORE_UPDATES_RATES[0]:g} times "
        f"the rate, or {t.FASTER:g} times at one farther away; or a training that diverged does not at a "
        f"lower rate. Likely, from records: a loss ends at {t.THROWN_ABOUT:g} times the best constant's or "
        f"more; or no task moves and none can reach its targets (`reach` above {t.OUT_OF_REACH:g}).",
        "It is refuted if no other rate helps.",
        (
            "the learning rate that helped, for all or by head: -o training.head_lr={TASK: 3}",
            "a schedule with warm-up if a high rate fails in the first updates only",
        ),
    ),
    Explanation(
        Code.REDUCTION_BIAS,
        "A mean over many outputs makes one task's loss smaller than another's",
        "The documented story: the countdown's loss is a mean over 105 steps, so each step's gradient is "
        "divided by 105, so the task starves. With losses divided by their running means this cannot be so: "
        "a factor on a loss is in its running mean too and cancels. Measured: sum instead of mean changes "
        "nothing, to the last digit. The number of outputs is not to blame either: the countdown's gradient "
        "on the trunk over 2, 10, 35 and 105 steps has norms of 0.144, 0.107, 0.104 and 0.108. It can be "
        "real with raw losses under fixed weights, where the reduction is a part of the weight.",
        "The stuck task is trained with its loss summed instead of averaged, from the same start: it is a "
        f"finding if the task has a skill of {percent(t.LEARNED)} at the end of the budget with the sum. If "
        f"the loss differs by less than {percent(t.FLAT)}, a note says that the story does not hold.",
        "It is refuted if the curve is the same with sum and mean.",
        (
            "choose the weight on purpose: mean over outputs × weight, not an accident of the reduction",
            "√d or d as weight helps only where raw losses are added up, or as a larger weight by another "
            "name",
        ),
    ),
    Explanation(
        Code.AT_NOISE_FLOOR,
        "The loss is flat because little is left to learn",
        "A flat curve at a low level: the task has learned what it can. Its relative progress is small "
        "beside a task that has just begun, and methods that look at progress may push it for nothing.",
        f"The loss changes by less than {percent(t.FLAT)} over the budget, or by no more than its noise in "
        f"records, and skill is {percent(t.AT_FLOOR)} or more.",
        "It is refuted if a longer training or a larger model lowers the held-out loss.",
        ("none is needed; less weight for this task frees the others", "a task's own floor in the balancer"),
    ),
    Explanation(
        Code.SLOW,
        "The task learns, but not far enough in the budget",
        "The loss falls by more than noise, yet ends near that of the best constant prediction.",
        f"Measured: skill reaches {percent(t.LEARNED)} only after the budget, within {t.SLOW_BUDGETS:g} "
        "times of it, and neither the other tasks nor the target's unit hold the task back. From records: "
        f"the loss falls by more than its noise, but no skill of {percent(t.LEARNED)} was reached or, where "
        f"skill is not known, it fell by {percent(t.IMPROVING)} or less. For the lander: the return "
        f"improves, by more than {percent(t.RETURN_MOVED)} and less than {percent(t.RETURN_LEARNED)} of the "
        "way to success.",
        "It is refuted if the curve is level at its end.",
        ("more updates", "a standardised head: it is the cheapest way to save updates"),
    ),
    Explanation(
        Code.WEIGHTS_COLLAPSED,
        "The balancing method has all but switched a task off",
        "A learned weight went towards 0 (or took everything) and does not come back: GradNorm with one odd "
        "first loss, uncertainty weighting of a task that it takes for noise.",
        f"Likely, from records: over the last third the task's weight is below {percent(t.COLLAPSED)} of "
        f"the mean weight, or rests below {percent(t.PINNED)} of it, and it did not begin there.",
        "It is refuted if the weights recover, or if the task does no better in a control with equal "
        "weights.",
        (
            "gradnorm: a weight_floor, and initial_loss: mean_of_first",
            "a lower learning rate of the weights",
            "equal weights as a control",
        ),
    ),
    Explanation(
        Code.REPLAY_STARVATION,
        "A task has too little experience to learn from",
        "Its buffer is (nearly) empty, or episodes of other tasks take up the shared one, so that its "
        "updates see few rows, the same ones over and over, or none.",
        "Certain: the run made no update, or no transition of the task is in replay. Likely: over the later "
        f"half of the records the task makes less than {percent(t.STARVED)} of a fair share of the rows "
        "that were learned from.",
        "It is refuted if the task has as many rows as the others.",
        (
            "a buffer for each task: -o agent.replay.kind=per_task",
            "a lower agent.replay.learning_starts, more episodes, or a larger capacity",
        ),
    ),
    Explanation(
        Code.SUCCESS_OUT_OF_REACH,
        "The task cannot reach the threshold of success",
        "No episode ever gets there, however it is played: a time limit that ends episodes before the "
        "reward, or an environment in which the goal does not exist. With wind that pushes the hull even on "
        "the ground, a lander never comes to rest, and a landing is never rewarded.",
        "Certain: the task's rules exclude it, as with a wind that never stops. Likely: none of "
        f"{t.SEEN_ENOUGH} or more episodes succeeded and {percent(t.ONE_ENDING)} or more of the later ones "
        f"end the same way, while another task succeeds in {percent(t.OTHERS_SUCCEED)} of its later "
        "episodes or more.",
        "It is refuted by a single success, for example of a network that is trained on this task alone.",
        (
            "change the task, or its time limit, not the balancing",
            "judge the task by its return instead of by successes",
        ),
    ),
    Explanation(
        Code.FLAT_TASK,
        "The task's loss does not fall",
        "Over the records its loss rises, or falls by no more than its noise. Curves alone do not tell why: "
        "out of reach, dominated, unlearnable, or already at its floor.",
        f"The loss falls by less than {percent(t.FLAT)} over the records, or by no more than its noise, and "
        "no other finding says why. For the lander: the return does not rise by more than chance "
        f"(Mann–Kendall test), or by less than {percent(t.RETURN_MOVED)} of the way to success. It is a "
        f"warning only where updates are fewer than {t.FEW_UPDATES}, where no curve of a metrics file "
        f"improves, or where more than {percent(t.EXPLORING)} of the last actions were random.",
        "It is refuted if the loss falls in a longer record.",
        (
            "find the cause: `mtctl diagnose RECIPE` trains counterfactuals where mtctl knows the problem",
            "compare the loss with that of the best constant prediction: at or above it, nothing was learned",
        ),
    ),
    Explanation(
        Code.OVERFITTING,
        "The task gets better on what it is trained on and worse on what it is not",
        "Training loss falls while the held-out loss rises: the task learns rows by heart.",
        "Measured: the task had learned, lost it again in the budget and did not come back within another, "
        "while its training loss went on below the best held-out one. From records: the last held-out "
        f"losses, {t.SINCE_LOWEST} or more after the lowest, are more than {percent(t.OVERFITTED)} above "
        f"it, and more than {t.BEYOND_NOISE:g} standard errors of their noise, while the training loss fell.",
        "It is refuted if the held-out curve is level.",
        (
            "the checkpoint at the lowest point: `mtctl eval RUN --checkpoint best`",
            "fewer epochs, more data, dropout or weight decay",
            "less weight for this task if others still learn",
        ),
    ),
)

EXPLANATIONS: Final[Mapping[Code, Explanation]] = MappingProxyType({each.code: each for each in _ALL})
"""What every code means, in the order in which they are listed."""
