"""What each finding's code means, how it is measured, what would refute it, and what helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

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

    code: str
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
    if code in CODES:
        return CODES[code]
    match = closest(code, CODES)
    guess = f"did you mean `{match}`? " if match else ""
    raise MtctlError(f"there is no finding `{code}`", hint=f"{guess}codes: {', '.join(CODES)}")


_ALL: Final = (
    Explanation(
        "bad-targets",
        "The targets cannot be learned from as they are",
        "Some targets are missing (NaN), all the same, or outside what the loss is made for, such as a "
        "binary target of 20. One NaN makes the mean of its batch NaN, and with it every weight that the "
        "update touches. A constant target is learned in a few updates and then teaches nothing.",
        "Read off the training targets before anything is trained: values that are missing, not finite, "
        "or outside what the loss can take, and targets that are the same for every window.",
        "A count of such targets that is 0.",
        (
            "mend the data: leave out or mask windows whose target is missing",
            "check the columns: a constant target is often the wrong column, or one that was never filled",
        ),
    ),
    Explanation(
        "diverged",
        "The training blew up",
        "A loss became infinite or NaN, or rose far above where it began. What the curves show after that "
        "says nothing about balancing.",
        "A loss that is not finite, or one above twice the larger of its first value and that of the "
        "best constant prediction (three times where only records are known). A recipe is then trained "
        "at 0.1, 0.01 and 0.001 times the learning rate: if one of them trains, the finding is "
        "`learning-rate`.",
        "A lower learning rate that trains. If none does, look for a division by zero, a logarithm of "
        "zero, or targets in a huge unit.",
        (
            "a lower learning rate: try a tenth",
            "clip the combined gradient: -o training.gradient_clip=1, or agent.gradient_clip",
            "a bounded loss (Huber) where targets have outliers",
        ),
    ),
    Explanation(
        "detached-task",
        "The task's gradient does not reach the shared network",
        "Something between the task's head and the trunk cuts the graph (`.detach()`, `.item()`, "
        "`torch.no_grad()`, an integer cast). The head trains alone, on features made for the other tasks. "
        "These may be good enough, so that the task seems to learn: it is a mistake all the same.",
        "The norm of this task's gradient on the trunk is below 1e-7 while its own head receives one: in "
        "the first batch of a recipe, or in every record of a run.",
        "A gradient on the trunk in any batch; or a recipe that cuts it on purpose.",
        (
            "take the cut out of the forward pass",
            "compute the loss from tensors, never from `.item()` or numpy values",
        ),
    ),
    Explanation(
        "not-in-optimizer",
        "Parameters of the task are not in the optimizer",
        "The head receives gradients, and nobody moves it: typically a module made after the optimizer, or "
        "held in a plain list. The trunk may still adapt to the frozen head, so that the loss falls a "
        "little.",
        "The head's parameters are looked up in the optimizer's groups, one by one. In a run's records: "
        "the head has a gradient and never moves.",
        "Parameters that move in an update.",
        (
            "make the optimizer after all heads, from `model.parameters()`",
            "keep heads in a ModuleList or ModuleDict",
        ),
    ),
    Explanation(
        "frozen-trunk",
        "Nothing moves the shared network",
        "Only heads train, on random features. Weights and balancing methods act on the trunk alone, so that "
        "none of them can have any effect: with the trunk frozen, the countdown stayed at 15.6 (best "
        "constant: 15.3) after 5 and after 20 epochs with any weights.",
        "The trunk's parameters are looked up in the optimizer's groups, one by one.",
        "A trunk that moves.",
        (
            "set requires_grad, and give the trunk to the optimizer",
            "if it is frozen on purpose: larger heads, not other weights",
        ),
    ),
    Explanation(
        "dead-head",
        "The task's head passes no gradient",
        "The head's answer does not depend on its weights any more: a ReLU that is never open, a saturated "
        "sigmoid, a cut output. No weight on the loss changes that, because it multiplies zero.",
        "Certain: the task's gradient on its own head is below 1e-7. Measured: the task cannot even "
        "learn 16 windows by heart, alone, standardised and without dropout, in 400 updates. Likely, "
        "from records: 95 % or more of what the head reads does not vary, or its loss is three times the "
        "best constant's and has no slope.",
        "A gradient on the head; or 16 windows learned by heart.",
        (
            "initialise the head anew; start its bias at the targets' mean",
            "no ReLU at the output; logits and a loss that takes logits instead of a clamped probability",
        ),
    ),
    Explanation(
        "unlearnable",
        "The targets cannot be predicted from these inputs",
        "The network has the capacity and the gradient (it learns a few rows by heart), yet nothing carries "
        "over to other data: the labels are shuffled, shifted by a row, or about something that the inputs "
        "do not show.",
        "Measured: nothing makes the task twice as fast (alone, standardised, other learning rates), it "
        "does not reach a skill of 10 % within four times the budget, yet it learns 16 windows by heart: "
        "a training loss below half of the best constant's. Skill = 1 − loss / loss of the best constant "
        "prediction, on windows that were not trained on.",
        "Skill on held-out data with any model; a much longer training that gets there.",
        (
            "check how inputs and labels are joined: sort order, off-by-one, window ids",
            "features that show what is asked for",
        ),
    ),
    Explanation(
        "ignores-input",
        "The task's answers do not depend on the input",
        "The loss is below that of the best constant, but only because the answer follows the position in "
        "the window, which is the same for every window. A countdown's best answer by position alone already "
        "brings the loss from 15.3 to 5.6, so a falling loss may be no learning at all.",
        "Skill is 10 % or more, and the held-out loss changes by less than 2 % when every window gets "
        "another window's inputs. What position alone gives is often learned first, so the task is "
        "trained on for a while before it is accused.",
        "A loss that rises when the inputs are shuffled.",
        (
            "compare with the best predictor that knows only the position, not with a constant",
            "check labels (see `unlearnable`), then train longer",
        ),
    ),
    Explanation(
        "target-out-of-reach",
        "The targets are too far away for the updates that there are",
        "The head starts near 0 and its targets are large (±20 bars). Adam moves each parameter by about the "
        "learning rate per update however large the gradient is, and a Huber loss's gradient has a ceiling "
        "as well, so that no weight on the loss makes the head arrive sooner. Such a task looks flat even "
        "when it is trained alone. In the documented problem this is the largest cause: targets divided by "
        "20, and nothing else changed, brought the countdown from 15.2 to 2.7 in 20 epochs; dividing the "
        "head into one output instead of 105 did nothing that the scale did not.",
        "Measured: from the same start, with a head that begins at the best constant and answers in "
        "units of the targets' standard deviation, the task reaches a skill of 10 % in half the updates "
        "or fewer; or the same head does that once the task is alone. Likely, from records: the task "
        "does not learn and its `reach` (distance of the targets over what Adam can move an answer in "
        "the whole run) is above 5.",
        "The standardised head is no faster.",
        (
            "standardise the head: -o model.standardise=[TASK]",
            "a higher learning rate for the head: -o training.head_lr={TASK: 20}",
            "more updates: more epochs, smaller batches",
        ),
    ),
    Explanation(
        "multiplier-dominance",
        "Other tasks' losses count so much more that the trunk does not serve this one",
        "What counts is ∂total/∂loss, the factor that a loss has in the sum. Weights divided by running "
        "means of the losses make it 0.7/0.0095 for ptr and 0.1/15.9 for the countdown: more than 10,000 to "
        "1, and growing as ptr improves. The countdown then has 0.4 to 0.7 % of the trunk's gradient. With "
        "Adam a small share alone does no harm (tasks with a weight of 0.002 learned as well as their "
        "controls); it does where the trunk has to move for this task within few updates.",
        "Measured: alone, from the same start and with the same batches, the task reaches a skill of 10 "
        "% in half the updates or fewer (once standardised, if it needs that too), and no other task's "
        "gradient points away from its own; equal shares of the trunk's gradient are tried as well. "
        "Likely, from records: the task does not learn, has less than 1 % of the trunk's gradient, and "
        "another's multiplier or gradient norm is more than 30 times its own.",
        "It is as slow alone: then the others are not to blame. Or its gradient points away from "
        "another's: then it is `conflict`.",
        (
            "weights of 1 on standardised targets, or fixed weights that equalise the trunk's gradients",
            "a method that equalises: uncertainty, gradnorm, imtl_l, db_mtl",
            "no division by a running mean of the loss",
        ),
    ),
    Explanation(
        "conflict",
        "Another task pulls the shared network the other way",
        "The gradients of two tasks on the trunk point in opposite directions more than chance would have "
        "it, so that progress of one undoes the other's.",
        "Measured: alone, the task reaches a skill of 10 % in half the updates or fewer, and its mean "
        "cosine with another task's gradient is −0.3 or less over the run as is. Likely, from "
        "records: the task is flat, and its mean cosine with another is below −0.1 and below 0 within "
        "its 95 % interval over the records. The sign in a single batch is chance: a task's gradients do "
        "not even agree with themselves from batch to batch.",
        "A mean cosine within its noise.",
        (
            "surgery: balancer kinds pcgrad or cagrad",
            "let the tasks share less: larger heads, or a trunk of its own",
            "check signs: a shared output with opposite targets is a mistake, no conflict of interests",
        ),
    ),
    Explanation(
        "budget-too-small",
        "There are too few updates for this task",
        "The task learns as it is, only later. Epochs hide this: 168 windows in batches of 32 are 6 updates "
        "an epoch, 30 in 5 epochs. The documented pattern (a loss that moves by less than 1 % in 5 epochs) "
        "fades as the number of updates grows, with nothing else changed.",
        "Measured: nothing else makes the task twice as fast, and it reaches a skill of 10 % as it is "
        "within four times the budget, or sooner at a somewhat higher learning rate. Likely: the budget "
        "has fewer than some 30 updates, too few to tell causes apart. From records: fewer than 100 "
        "updates while a task is behind; for the lander, more than a tenth of the last actions were "
        "still random.",
        "Ten times the updates do not get it there.",
        (
            "more epochs",
            "smaller batches: more updates for the same epochs",
            "a higher learning rate, for this head alone where others would suffer",
        ),
    ),
    Explanation(
        "learning-rate",
        "The learning rate does not suit the task",
        "It is so low that nothing moves in the budget, or so high that losses are thrown about or blow up.",
        "Measured: no task learns, or this one got worse than it began, and a much lower or higher rate "
        "changes that; or a training that diverged does not at a lower rate. Likely, from records: a "
        "loss ends at ten times the best constant's or more; or no task moves and none can reach its "
        "targets.",
        "No other rate helps.",
        (
            "the learning rate that helped, for all or by head: -o training.head_lr={TASK: 3}",
            "a schedule with warm-up if a high rate fails in the first updates only",
        ),
    ),
    Explanation(
        "reduction-bias",
        "A mean over many outputs makes one task's loss smaller than another's",
        "The documented story: the countdown's loss is a mean over 105 steps, so each step's gradient is "
        "divided by 105, so the task starves. With losses divided by their running means this cannot be so: "
        "a factor on a loss is in its running mean too and cancels. Measured: sum instead of mean changes "
        "nothing, to the last digit. The number of outputs is not to blame either: the countdown's gradient "
        "on the trunk over 2, 10, 35 and 105 steps has norms of 0.144, 0.107, 0.104 and 0.108. It can be "
        "real with raw losses under fixed weights, where the reduction is a part of the weight.",
        "The task is trained with its loss summed instead of averaged, from the same start: it is a "
        "finding if the task reaches a skill of 10 % in the budget with the sum and not with the mean. "
        "If the loss differs by less than 1 %, a note says that the story does not hold.",
        "The same curve with sum and mean.",
        (
            "choose the weight on purpose: mean over outputs × weight, not an accident of the reduction",
            "√d or d as weight helps only where raw losses are added up, or as a larger weight by "
            "another name",
        ),
    ),
    Explanation(
        "at-noise-floor",
        "The loss is flat because little is left to learn",
        "A flat curve at a low level: the task has learned what it can. Its relative progress is small "
        "beside a task that has just begun, and methods that look at progress may push it for nothing.",
        "The loss changes by less than 1 % over the budget, or by no more than its noise in records, and "
        "skill is 50 % or more.",
        "A longer training or a larger model that lowers the held-out loss.",
        ("none is needed; less weight for this task frees the others", "a task's own floor in the balancer"),
    ),
    Explanation(
        "slow",
        "The task learns, but not far enough in the budget",
        "The loss falls by more than noise, yet ends near that of the best constant prediction.",
        "Measured: skill reaches 10 % only after the budget, within 1.5 times of it, or late in it. From "
        "records: the loss falls by more than its noise, but no skill of 10 % was reached or, where "
        "skill is not known, it fell by less than 20 %. For the lander: the return improves, by less "
        "than half of the way to success.",
        "A curve that is level at its end.",
        ("more updates", "a standardised head: it is the cheapest way to save updates"),
    ),
    Explanation(
        "weights-collapsed",
        "The balancing method has all but switched a task off",
        "A learned weight went towards 0 (or took everything) and does not come back: GradNorm with one odd "
        "first loss, uncertainty weighting of a task that it takes for noise.",
        "Likely, from records: over the last third the task's weight is below a hundredth of the mean "
        "weight, or rests below a tenth of it, and it did not begin there.",
        "Weights that recover; a control with equal weights in which the task does no better.",
        (
            "gradnorm: a weight_floor, and initial_loss: mean_of_first",
            "a lower learning rate of the weights",
            "equal weights as a control",
        ),
    ),
    Explanation(
        "replay-starvation",
        "A task has too little experience to learn from",
        "Its buffer is (nearly) empty, or episodes of other tasks take up the shared one, so that its "
        "updates see few rows, the same ones over and over, or none.",
        "Certain: the run made no update, or no transition of the task is in replay. Likely: over the "
        "later half of the records the task makes less than a quarter of a fair share of the rows that "
        "were learned from.",
        "Rows like the other tasks'.",
        (
            "a buffer for each task: -o agent.replay.kind=per_task",
            "a lower agent.replay.learning_starts, more episodes, or a larger capacity",
        ),
    ),
    Explanation(
        "success-out-of-reach",
        "The task cannot reach the threshold of success",
        "No episode ever gets there, however it is played: a time limit that ends episodes before the "
        "reward, or an environment in which the goal does not exist. With wind that pushes the hull even on "
        "the ground, a lander never comes to rest, and a landing is never rewarded.",
        "Certain: the task's rules exclude it, as with a wind that never stops. Likely: none of 100 or "
        "more episodes succeeded and four in five end the same way, while another task succeeds in a "
        "fifth of its episodes.",
        "A single success, for example of a network that is trained on this task alone.",
        (
            "change the task, or its time limit, not the balancing",
            "judge the task by its return instead of by successes",
        ),
    ),
    Explanation(
        "flat-task",
        "The task's loss does not move",
        "Over the records its loss changes by less than its noise. Curves alone do not tell why: out of "
        "reach, dominated, unlearnable, or already at its floor.",
        "The loss changes by less than 1 % over the records, or by no more than its noise, and no other "
        "finding says why. For the lander: the return does not rise by more than chance (Mann–Kendall "
        "test). It is a warning only where updates are few or most actions were random.",
        "A longer record that falls.",
        (
            "find the cause: `mtctl diagnose RECIPE` trains counterfactuals where mtctl knows the problem",
            "compare the loss with that of the best constant prediction: at or above it, nothing was learned",
        ),
    ),
    Explanation(
        "overfitting",
        "The task gets better on what it is trained on and worse on what it is not",
        "Training loss falls while the held-out loss rises: the task learns rows by heart.",
        "The last held-out losses are more than 10 % above the lowest, and more than three standard "
        "errors of their noise, while the training loss fell.",
        "A held-out curve that is level.",
        (
            "the checkpoint at the lowest point: `mtctl eval RUN --checkpoint best`",
            "fewer epochs, more data, dropout or weight decay",
            "less weight for this task if others still learn",
        ),
    ),
)

CODES: Final[Mapping[str, Explanation]] = MappingProxyType({each.code: each for each in _ALL})
"""Every code that a finding may have."""
