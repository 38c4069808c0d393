"""Random loss weighting."""

from __future__ import annotations

from typing import Literal

from mtctl.balancing._softmax import softmax
from mtctl.balancing.contract import AdaptiveMethod, Array, Random, Signals, State


class RLW(AdaptiveMethod):
    """Weights drawn anew at each step, T·softmax of normal numbers: a control (Lin et al., 2022).

        w = T·softmax(z),   z ~ N(0, I)

    The mean weight is 1 at every step, and every task's is 1 on average: the plain sum with noise. What is
    not better than this has not balanced anything; that makes it a control as well as a method. T and the
    softmax are over the active tasks. The draws are the run's own, and a resumed run goes on with them.

    Helps: as a control: a method that is no better has balanced nothing.

    Fails: where scales differ: on average it is the plain sum.

    Costs nothing besides the backward pass of the weighted sum.

    Source: Lin, Ye, Zhang & Tsang, Reasonable Effectiveness of Random Weighting, 2022 (arXiv 2111.10603).
    There weights sum to 1; here to T, so that the step is as long as that of `Equal`.
    """

    kind: Literal["rlw"] = "rlw"

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        logits = rng.normal(signals.active.shape)
        return signals.active.sum(-1, keepdims=True) * softmax(logits, signals.active), state
