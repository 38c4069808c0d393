"""What findings on what is played mean: players of environments, and policies with two heads."""

from __future__ import annotations

from typing import Final

from mtctl.diagnosis import thresholds as t
from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.explanation import Explanation
from mtctl.diagnosis.thresholds import percent


def _proof(change: str) -> str:
    """Say how a cause is proven by training a change."""
    return (
        f"Measured: the recipe is trained with {change}, from seeds that had no part in choosing this "
        f"change, and the final policy's return is higher beyond the interval over seeds, paired by seed, by "
        f"{percent(t.GAINED)} or more of the way from random play to a good policy. An error where that is "
        f"{percent(t.COSTLY)} or more, or the task does not learn without."
    )


def _refuted(what: str) -> str:
    return f"It is refuted if other seeds, or a longer run, do as well with the {what} of the recipe."


OF_PLAYERS: Final = (
    Explanation(
        Code.REPLAY_STARVATION,
        "A task has too little experience to learn from",
        "Its buffer is (nearly) empty, or episodes of other tasks fill the shared one, so its updates use "
        "few rows, the same rows repeatedly, or none.",
        "Certain: the run made no update, or no transition of the task is in replay. Likely: over the later "
        f"half of the records the task makes less than {percent(t.STARVED)} of a fair share of the rows "
        "that were learned from.",
        "It is refuted if the task has as many rows as the others.",
        (
            "use a buffer for each task: -o agent.replay.kind=per_task",
            "lower agent.replay.learning_starts, train for more episodes, or raise the capacity",
        ),
    ),
    Explanation(
        Code.SUCCESS_OUT_OF_REACH,
        "The task cannot reach the threshold of success",
        "No episode can succeed, however it is played: a time limit ends episodes before the reward, or the "
        "goal does not exist in the environment. With wind that pushes the hull even on the ground, a "
        "lander never comes to rest, so a landing is never rewarded.",
        "Certain: the task's rules exclude it, as with a wind that never stops. Likely: none of "
        f"{t.SEEN_ENOUGH} or more episodes succeeded and {percent(t.ONE_ENDING)} or more of the later ones "
        f"end the same way, while another task succeeds in {percent(t.OTHERS_SUCCEED)} of its later "
        "episodes or more.",
        "It is refuted by a single success, for example of a network that is trained on this task alone.",
        (
            "change the task or its time limit; balancing cannot help",
            "judge the task by its return instead of by successes",
        ),
    ),
    Explanation(
        Code.RATIO_NOT_ONE,
        "New and old probabilities are not of the same action",
        "PPO compares a policy with the one that played. Before the first update they are the same, so every "
        "ratio is 1. Where it is not, the kept action or its probability is another than the one drawn: a "
        "squashed action is squashed again, say. Gradients then point away from what was good, and clipping "
        "stops most of them.",
        f"Certain: the ratios of the first minibatch of each rollout are recorded before anything is learned "
        f"from it; one is off from 1 by more than {t.RATIO_OFF:g}.",
        "It is refuted if all of those ratios are 1 but for rounding.",
        (
            "keep the number that was drawn, before it is squashed, and take its probability from there",
            "check normalisation: old and new probability must see the same normalised observation",
        ),
    ),
    Explanation(
        Code.POLICY_JUMPS,
        "The policy moves too far in one iteration",
        "What was played says little about a policy far from the one that played: steps that large often "
        "undo what was learned.",
        f"Likely: in more than {percent(t.JUMPS)} of the iterations, the mean KL of old and new policy is "
        f"above {t.JUMPED:g} nats. It is a warning only if returns do not rise.",
        "It is refuted if returns rise as fast with half the learning rate.",
        (
            "lower `agent.lr`, or set `agent.target_kl: 0.02`, which ends an iteration's epochs early",
            "use fewer epochs, or larger minibatches",
        ),
    ),
    Explanation(
        Code.ENTROPY_COLLAPSED,
        "The choices were made up before anything was learned",
        "The discrete head gives all probability to one option, nothing else is tried any more, and returns "
        "stay where they are.",
        f"Likely: in the last fifth of the iterations its entropy is below {percent(t.DECIDED)} of what it "
        "was at first, and the returns are flat.",
        "It is refuted if returns rise, or if another option would not be better.",
        (
            "raise `agent.entropy.discrete`, by factors of 3",
            "lower `agent.lr`, or the weight of the discrete head",
        ),
    ),
    Explanation(
        Code.HEAD_STARVED,
        "The shared layers learn next to nothing from this head",
        "The other head's gradient in the shared layers is so much longer that this one's hardly counts. Its "
        "own last layer still learns.",
        f"Likely: in the second half of the run, the head's median share of the weighted gradient in the "
        f"shared layers is below {percent(t.HEAD_SHARE)}.",
        "It is refuted if equal shares do not help: `balancer: {kind: adaptive_scaling, mode: equalise}`.",
        (
            "balance by gradient norms: `balancer: {kind: adaptive_scaling, mode: equalise}`",
            "raise its weight: `balancer: {kind: manual, weights: …}`",
        ),
    ),
    Explanation(
        Code.CLIP_BINDS,
        "The clip stops most of what would be learned",
        "A row whose ratio is beyond the clip has no gradient in the direction that took it there. With so "
        "many rows there, further epochs and minibatches hardly teach anything, though the policy has barely "
        "moved.",
        f"Likely: in the median iteration, more than {percent(t.CLIPPED)} of the head's rows are beyond the "
        f"clip, and not in more than {percent(t.JUMPS)} of the iterations is its KL above {t.JUMPED:g} nats.",
        "It is refuted if returns rise no faster with a wider clip.",
        (
            "widen `agent.clip`; 0.1 to 0.3 are usual",
            "use fewer epochs, or a lower `agent.lr`",
        ),
    ),
    Explanation(
        Code.UNUSED_PARAMETER,
        "A parameter that no action has used",
        "A parameter that an action does not use has no part in its probability, and so no gradient. No "
        "action of the whole run has used these: their outputs are what they were at first.",
        "Certain: after every iteration, parameters that no row of any rollout has used so far are recorded.",
        "It is refuted if an action of a later rollout uses it: the environment may come to it late.",
        (
            "check `problem.uses`, or the environment's attribute `uses`: which option has this parameter?",
            "if the environment switches it on late, train for longer; else take it out of the action",
        ),
    ),
    Explanation(
        Code.DISCOUNT,
        "The discount factor is wrong for the task",
        "Rewards so many steps away count so little, or so much, that what the task asks for cannot be told "
        "from noise: at a discount of 0.5 a landing 20 steps ahead counts a millionth.",
        _proof("the usual discount"),
        _refuted("discount"),
        ("take the discount that helped; 0.99 is usual for tasks of some hundred steps",),
    ),
    Explanation(
        Code.TARGET_NETWORK,
        "The target network follows too slowly, or too fast",
        "Targets are computed with a copy of the network. A copy that hardly ever changes teaches what the "
        "network knew long ago; one that follows at once chases its own errors.",
        _proof("a target that takes 1 % of the network with each update"),
        _refuted("target"),
        ("take the target that helped: `agent.target: {kind: soft, tau: 0.01}`",),
    ),
    Explanation(
        Code.EXPLORATION,
        "There is too little exploration, or too much",
        "Actions by chance show what else there is. If they end too early, the policy keeps what it found "
        "first; if they do not end, it never sees where its own actions lead.",
        _proof("the usual exploration, or entropy bonus,"),
        _refuted("exploration"),
        ("take the exploration that helped", "let ε end near 0.01 within the first third of the run"),
    ),
    Explanation(
        Code.REWARD_SCALE,
        "The scale of rewards or observations keeps the learner from learning",
        "Losses and steps are in units of the rewards: with returns of hundreds a squared error has "
        "gradients of hundreds, and with tiny ones Adam's ε and a Huber loss see nothing.",
        _proof("rewards (and what else is usual) scaled to about 1"),
        _refuted("scale"),
        ("scale or normalise rewards as in the change that helped",),
    ),
    Explanation(
        Code.TASK_ENCODING,
        "How the network is told the task costs this task something",
        "A network that is not told the task must act alike wherever two tasks look alike. One that is told "
        "learns less from the others' experience, and an embedding can be learned too slowly.",
        _proof("the task told otherwise (not at all, or one-hot)"),
        _refuted("encoding"),
        ("take the encoding that helped: `agent.task_encoding`",),
    ),
    Explanation(
        Code.BATCHES,
        "The number or the size of updates is wrong",
        "Too few updates per step leave experience unused; too many, or too small ones, fit noise of the "
        "last few rows.",
        _proof("the usual number of rows and of updates"),
        _refuted("number"),
        ("take the numbers that helped",),
    ),
    Explanation(
        Code.LEARNER_SETTINGS,
        "Settings of the learner keep the task back",
        "Usual settings of the learner learn the task. Either a group of settings that belong together "
        "does it, or no single one of those that differ does it alone.",
        _proof("usual settings"),
        _refuted("settings"),
        ("start from the settings that helped, and take them back one at a time",),
    ),
    Explanation(
        Code.WORSE_THAN_RANDOM,
        "The final policy is worse than random play",
        "It has learned, and the wrong thing: a reward with the wrong sign, actions that are not those that "
        "were chosen, or a value function that grew without bound.",
        f"Measured: the final policies' mean skill is {percent(t.BELOW_RANDOM)} or less, 0 % being random "
        "play, and no change that was tried helps.",
        "It is refuted if a change of the learner's settings helps.",
        (
            "print a few transitions: is the reward higher where the task goes well?",
            "check that the action that is stored is the one that was taken",
        ),
    ),
    Explanation(
        Code.HOVERING,
        "Episodes run out of time",
        "The policy has learned what to avoid, and not what to do: a lander that never crashes and never "
        "lands. Crashing costs more at once than landing promises.",
        f"Certain: at least {percent(t.HOVERING)} of the final policies' held-out episodes end at the time "
        "limit.",
        "It is refuted if longer episodes end well.",
        (
            "train for longer: landing is learned after hovering",
            "look for what makes landing worthless: `mtctl diagnose --explain success-out-of-reach`",
            "`agent.advantage_learning: 0.9` makes small differences of actions count",
        ),
    ),
)
"""In the order in which they are listed."""
