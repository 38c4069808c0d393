"""The numbers by which a diagnosis decides, each with where its value comes from.

A skill is 1 − loss / loss of the best constant prediction. τ is how many updates a task needs to LEARNED.
Cosines are those of two tasks' gradients on the trunk.
"""

from __future__ import annotations

from typing import Final


def percent(share: float) -> str:
    """Return a share as text: 0.1 is "10 %"."""
    return f"{100 * share:g} %"


# ----- every diagnosis

FLAT: Final = 0.01
"""Relative change of a loss that counts as none; documented."""
IMPROVING: Final = 0.20
"""Relative improvement that counts as learning in the documented check."""
LEARNED: Final = 0.10
"""Skill from which a task counts as learning: a tenth of what the best constant prediction leaves. Runs
without any signal reach ±0.03 on 128 rows."""
AT_FLOOR: Final = 0.5
"""Skill from which a task that does not move any more has arrived: little is left to learn."""
NO_GRADIENT: Final = 1e-7
"""Norm below which a gradient is none: that of float32 rounding in a loss near 1. A connected task's is
orders above, at 1e-4 and more."""
OPPOSED: Final = -0.3
"""Mean cosine over a run from which one task's gradient opposes another's: a projection takes 5 % off their
lengths. Tasks that learn well together had means down to −0.2."""
BEYOND_NOISE: Final = 3.0
"""Standard errors from which a difference is more than chance, where one of many is looked at: the lowest of
many losses is low by chance. Losses with dealt inputs differed by −2.4 to 1.4 for tasks that ignore them."""
TWO_SIDED: Final = 1.96
"""Standard errors from which a trend is more than chance: 5 %, two-sided."""

# ----- wiring and inputs of a recipe

IGNORED: Final = 0.02
"""Relative change of the loss below which other rows' inputs show that a task ignores its own."""
DEALS: Final = 8
"""Ways in which inputs are dealt to other rows: one alone changes the loss of a head that looks at nothing
useful by up to 10 %, either way."""
FEWEST_ROWS: Final = 8
"""Rows below which there is no telling what is chance."""

# ----- trainings of a recipe, in budgets: how long it is diagnosed for

LOOKS: Final = 5
"""Looks at the tasks in a budget, at least: τ is no more exact than the distance between them."""
CLEARLY_LEARNED: Final = 0.20
"""Skill that counts at once; one between LEARNED and this must still be LEARNED at the next look."""
GRADIENT_MEASUREMENTS: Final = 6
"""Measurements of gradients in a budget: enough for a mean, at about the cost of the training itself."""
WATCHED_BUDGETS: Final = 4
"""Budgets that the run as is is watched for: a task that needs longer is not helped by patience alone."""
SLOW_BUDGETS: Final = 1.5
"""Budgets within which a task that learns is only slow."""
LATE_BUDGETS: Final = 0.5
"""Budgets from which a task that learns is late: what keeps it back is looked for, and costs it something."""
FEWEST_UPDATES: Final = 28
"""Updates in a budget below which no experiment tells anything but that it is small: with 25 updates causes
were named in turn, with the 30 of the documented five epochs they were told apart."""
FASTER: Final = 2.0
"""Speed-up of τ that counts: of equal runs with different seeds it varies by less than a factor of 1.6."""
MUCH_FASTER: Final = 5.0
"""Speed-up with ten times the learning rate that makes the rate the cause, not the number of updates."""
SPIKE: Final = 2.0
"""An epoch's training loss above this many times the larger of the first and the constant's is a spike."""
UNSTABLE: Final = 1.25
"""Training loss, relative to the larger of the first and the constant's, from which a task got worse."""
CERTAIN_SKILL: Final = 2.0
"""Standard errors above 0 from which a skill counts as learning: on few rows chance soon makes a tenth."""
UNCERTAIN_SKILL: Final = 0.05
"""Standard error of a skill above which its being below LEARNED may be an accident of the rows scored."""

# ----- experiments on a recipe, and remedies

DIVERGED_RATES: Final = (0.1, 0.01, 0.001)
"""Factors on the learning rate of a run that diverged."""
COMMON_RATES: Final = (30.0, 1000.0, 0.1, 0.01)
"""Factors on the learning rate of a run in which no task learns."""
LOWER_RATES: Final = (0.1, 0.01)
"""Factors for a task that got worse; 0.3 would leave an optimizer that is ten times too fast too fast."""
MORE_UPDATES_RATES: Final = (10.0, 3.0)
"""Factors for a task that learns in no company: if one of them helps, more updates would too."""
STARTS_FAR: Final = 0.05
"""Part by which the first loss of a head for classes is above the constant's, if it starts far from it."""
MOST_OF_THE_GAIN: Final = 0.8
"""Part of the best remedy's gain that a smaller change has to keep to be shown in its place."""
USUAL_RATE: Final = 1e-3
"""Learning rate of Adam that most networks learn with: tried too where a recipe's is far from it."""
USUAL_RATE_OF_SGD: Final = 0.1
"""The same for an optimizer that the length of the gradient matters to."""
HELD_BACK: Final = 0.15
"""Skill that a task is behind what it reaches alone in the same budget, from which the others cost it
something: seeds change a skill by up to 0.05."""
CATCHES_UP_BUDGETS: Final = 2
"""Budgets within which a task that catches up with what it reaches alone is not held back, but late."""
HELD_BACK_SHARE: Final = 0.6
"""Part of the skill alone below which it must be too."""
SUREST: Final = 0.1
"""Share of the held-out rows, those whose answers are surest, in which wrong labels show: in honest tasks the
surest answers are right, however hard the others are."""
SURE_GAIN: Final = 0.7
"""Part of the loss with other rows' labels that the surest answers save, up to which labels look wrong: 0.46
to 0.62 with 35 % of labels wrong; 0.81 to 0.97 for classes that overlap or are rare."""
SURE_GAIN_OF_SKILL: Final = 3.3
"""The same in units of the skill of all rows: 1.4 to 3.3 where labels are wrong at random, whatever the
inputs, and half of the rest is learned; 2.5 to 8 where classes overlap, so that some rows are surer."""
SURE_GAIN_OF_HALF: Final = 1.35
"""The same in units of the part that the surer half of the answers saves: 0.8 to 1.4 where labels are wrong
at random; 1.2 to 2.6 where classes overlap and surer answers save as little."""
LEAST_OF_HALF: Final = 0.75
"""The same, from which on: a rare class, whose rows are fewer than the surest tenth, has 0.7 and less."""
SECOND_CHOICE: Final = 0.05
"""How much more often than by chance a label that contradicts a sure answer is its second choice, as a part
of all that is possible, from which classes overlap: 0.13 to 0.9; wrong labels are any class …"""
SECOND_CHOICE_ERRORS: Final = 1.5
"""… within so many standard errors."""
STRAYS: Final = 0.1
"""Part of the held-out rows that must be far from a line through most of them: normal errors leave 0.012,
those of long tails 0.08."""
STRAY: Final = 3.7
"""Median absolute errors from which a row is far: two and a half standard deviations of normal errors."""
STRAY_SLOPE: Final = 0.5
"""Slope of such rows' targets on the answers, in units of the others', up to which they are targets of other
rows: 0 where they are; 1 where errors have long tails."""
STRAY_SPREAD: Final = 0.6
"""Range of the middle half of their targets over that of all, at least: 0 where they are one value."""
SURE_ROWS: Final = 20
"""Such rows, at least: below, a few labels decide."""
SURE_SKILL: Final = 0.05
"""Skill below which nothing tells labels that are partly wrong from labels that are all wrong: 0.07 is left
of two classes with 35 % of labels wrong, and the best of many looks at shuffled labels reached 0.02."""
OFF_BY: Final = (1, -1, 2, -2)
"""Rows that a task's labels may be off by."""
RECOVERED: Final = 0.5
"""Part of that gap that a change has to close to count as its cure."""
SMALL_SHARE: Final = 0.25
"""Share of the trunk's gradient, relative to a fair one (1/T), up to which the others can drown a task."""
UNDERFITTED: Final = 0.9
"""Training loss relative to the best constant's below which a head has a slope, if too little capacity."""
OTHER_RATES: Final = (100.0, 0.3, 0.03)
"""Factors for such a task that show that the recipe's rate is not for it."""
FEW_ROWS: Final = 16
"""What any head that works can learn by heart."""
MORE_ROWS: Final = 64
"""Rows of one batch, which a network learns by heart if it is large enough for a task learned in part."""
HEART_UPDATES: Final = 400
"""Updates to learn a few rows by heart: 200 have been too few for class labels."""
HEART_LR: Final = 5e-3
"""Learning rate at which they are learned: it must not depend on the recipe's, which may be what is wrong."""
KNOWN_BY_HEART: Final = 0.5
"""Training loss relative to the best constant's below which rows are known by heart."""
RANKED_ROWS: Final = 64
"""Rows of each batch by which the numbers that pass at a place of a network are counted."""
RANK: Final = 1e-5
"""Singular value of a number of its own, in units of the largest value and per root of the rows: copies of
others leave 1e-7 in float32."""
SAME_ANSWER: Final = 1e-3
"""Part of an answer's spread up to which two answers are the same: rounding in another order makes 1e-5."""
FEWEST_READ: Final = 100
"""Rows that a readout is learned from, at least."""
PATIENT_UPDATES: Final = 400
"""Updates, at least, before a task counts as unlearnable: daily stock prices have needed more than 120 for a
tenth of skill."""
PATIENT_BUDGETS: Final = 2 * WATCHED_BUDGETS
"""Budgets, at least, before that."""
OTHER_HEAD_RATE: Final = 10.0
"""Factor between a head's learning rate and the trunk's from which the trunk's is tried for it first."""
HEAD_LR: Final = 20.0
"""Factor on a head's learning rate that moves its output as far as dividing a target of ±20 by 20."""
OWN_FACTOR: Final = 10.0
"""Factor on one task's loss that makes it matter in the trunk, or leaves the trunk to the others."""
FAST: Final = 5.0
"""Factor on the learning rate that standardised heads and a clipped gradient bear."""
COMPARED_BATCHES: Final = 6
"""Batches whose gradients are compared at one point of the training: an interval between two tasks, and 15
pairs for a task with itself, in under a second."""
PULLED_APART: Final = -0.1
"""Mean cosine of such batches above which two tasks do not hinder each other: a tenth of a step at most is
lost."""

# ----- records of losses

FEWEST_RECORDS: Final = 5
"""Values below which no trend is told from noise: 4 in order are no surprise at 5 % (Mann–Kendall)."""
FEW_UPDATES: Final = 100
"""Updates below which a flat loss may only be a young one: the documented pattern fades with their number."""
BLOWN_UP: Final = 5.0
"""Factor over the first loss, and over the best constant's, that a healthy loss does not reach: unbalanced
losses of healthy runs took one to 2.8 times its first epoch before it fell."""
OVERFITTED: Final = 0.10
"""Relative rise of the held-out loss from its lowest point that counts, if it is beyond noise too."""
HALVED: Final = 0.5
"""Relative fall of a training loss beside which a held-out one that stays where it began is a finding."""
SINCE_LOWEST: Final = 3
"""Records after the lowest one that it takes to speak of a rise."""
CLEAR_FALL: Final = 0.10
"""Relative fall, beyond noise, that is learning where no other curve of the file falls further: losses of
language models that are trained further fall by 10 to 20 %."""
RISEN: Final = 0.10
"""Relative rise of a loss from its lowest point that counts, if it is beyond noise too …"""
LOST_AGAIN: Final = 0.3
"""… and if it loses as much of what the loss had fallen by: a restarted learning rate costs less."""
OPPOSITE: Final = -0.7
"""Correlation of two losses' changes from block to block below which one falls as the other rises."""
FEWEST_TRADED: Final = 20
"""Parts of two losses that are compared, and records that it takes: by chance, a rank correlation of the 19
changes is below −0.7 in one of 2,000 cases."""
OUTLYING: Final = 8.0
"""Standard deviations of the noise that a single value stands out by; 1e5 records of noise reach 5.5."""
OUTLYING_FACTOR: Final = 2.0
"""Factor over its neighbours from which such a value stands out, however small the noise."""

# ----- records of gradients, heads and weights

OUT_OF_REACH: Final = 5.0
"""Reach (distance of the targets over what Adam can move an answer in the whole run) that keeps a head from
arriving: 12 to 51 for the documented countdown, 2 to 4 for pointers and standardised heads, which learn."""
DOMINATED_SHARE: Final = 0.01
"""Share of the trunk's weighted gradient below which a task that does not learn counts as dominated: 0.0006
for the documented countdown, 0.0025 for a type at a weight of 0.003."""
DOMINATING: Final = 30.0
"""How many times the largest weight, or gradient, exceeds the task's: 10,000 as documented."""
WORSE_THAN_CONSTANT: Final = 3.0
"""Loss in units of the best constant's that a head with a slope leaves quickly."""
NO_SLOPE: Final = 5e-3
"""Head gradient norm per unit of loss of a saturated head: 5e-4; other tasks have 0.1 and more."""
THROWN_ABOUT: Final = 30.0
"""Loss in units of the best constant's at the end of a run that only a head thrown about shows: 60 to 270 at
a learning rate of 0.5; 10 at most in healthy runs that began badly."""
DEAD_UNITS: Final = 0.95
"""Share of a head's inputs that do not vary, from which it has nothing to go by; healthy: 0.14 at most."""
COLLAPSED: Final = 0.01
"""Weight over the mean weight below which a task is switched off: 0.0002 in a collapsed run."""
PINNED: Final = 0.1
"""Weight over the mean weight below which one that rests counts as pinned; GradNorm's floor is 0.05."""
RESTING: Final = 0.05
"""Relative range of a weight that no longer moves."""

FEWEST_COSINES: Final = 3
"""Records of a cosine, each a mean over batches, that give an interval: with three, t is 4.3 at 95 %."""

# ----- records of a policy's heads

RATIO_OFF: Final = 1e-3
"""How far a ratio may be from 1 before the first update; rounding alone makes 1e-6."""
JUMPED: Final = 0.1
"""KL of old and new policy in an iteration, in nats, above which it has jumped: healthy ones have 0.01 to
0.04."""
JUMPS: Final = 0.2
"""Part of the iterations that may jump."""
DECIDED: Final = 0.03
"""Part of its first entropy below which a choice is made up: healthy policies end with 0.1 to 0.5."""
CLIPPED: Final = 0.5
"""Share of a head's rows beyond the clip from which it stops most of what would be learned: healthy policies
have 0.01 to 0.15."""
HEAD_SHARE: Final = 0.02
"""Share of the shared layers' weighted gradient below which a head is starved."""

# ----- records of episodes

FEWEST_EPISODES: Final = 20
"""Episodes of a task below which its returns (deviation about 100) tell nothing."""
RETURN_LEARNED: Final = 0.5
"""Part of the way from the first returns to the threshold of success from which a task has learned."""
RETURN_MOVED: Final = 0.1
"""Part of that way below which it is where it began."""
EXPLORING: Final = 0.1
"""Random part of the actions up to which training returns speak of the policy."""
STARVED: Final = 0.25
"""Part of a fair share (1/T) of the learned rows below which a task is starved."""
SEEN_ENOUGH: Final = 100
"""Episodes without success that count: a task with 5 % successes would show one with a chance of 99 %."""
OTHERS_SUCCEED: Final = 0.2
"""Success rate of another task beside which none at all is remarkable."""
ONE_ENDING: Final = 0.8
"""Part of the later episodes that end one way in a task whose goal is out of reach."""
EXPLODED: Final = 1e3
"""Growth of a value function's loss from which it may have diverged: as returns rise, healthy ones grow up to
some 300-fold …"""
OUT_OF_SCALE: Final = 10.0
"""… where it is this many times as large as the largest return: with Huber's loss, that is a mean error of
ten returns. A diverged one had 100 times the return after 386 updates."""

# ----- experiments on what is played

WELL_PLAYED: Final = 0.9
"""Skill (part of the way from random play to the reference) from which a player needs no help."""
PROMISING: Final = 0.1
"""Skill that a change gains with the first seed, from which it is tried with the others: equal recipes differ
by as much from seed to seed."""
GAINED: Final = 0.05
"""Mean gain of skill below which a change has no effect."""
COSTLY: Final = 0.3
"""Skill that a cause costs, from which it is an error and no warning."""
BELOW_RANDOM: Final = -0.2
"""Skill from which down a policy is worse than random play, beyond the noise of 20 episodes."""
LONGER: Final = 3
"""Times as long that a recipe is trained where nothing else has helped."""
MOST_PROMISING: Final = 3
"""Changes that are tried with all seeds."""
SINGLY: Final = 3
"""Changes of settings up to which each is tried at once; of more, all together come first."""
HOVERING: Final = 0.4
"""Share of the final episodes that run out of time, from which a policy hovers: 0.1 in healthy runs."""
