"""What methods on inner products of the tasks' gradients have in common."""

from __future__ import annotations

from mtctl.balancing.contract import AdaptiveMethod, Space


class GradientMethod(AdaptiveMethod):
    """A method on inner products of the tasks' gradients."""

    layer: Space = "all_shared"
    """Where they are measured: all shared parameters as in the papers, the last shared layer's, or what the
    heads read (`features`), which takes no backward pass of single tasks through the shared parameters."""

    needs = frozenset({"gramian"})
    scope = "shared"
