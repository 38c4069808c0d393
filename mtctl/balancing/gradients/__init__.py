"""From differentiable losses to per-task gradients, and what a Gramian says about them."""

from mtctl.balancing.gradients.autograd import AutogradGradients
from mtctl.balancing.gradients.reading import conflict_rate, cosines, gradient_shares

__all__ = ["AutogradGradients", "conflict_rate", "cosines", "gradient_shares"]
