"""GradNorm on a DQN, written step by step as its usual description reads: mtctl's peer in the benchmark.

    A. per task i: a forward pass gives Lᵢ; autograd gives Gᵢ = ‖∇_W (wᵢ·Lᵢ)‖, W being the last hidden layer's
       weights, with a graph of its own; the targets tᵢ = mean(G)·rᵢ^α are constants; Σ|Gᵢ − tᵢ| is
       differentiated through that graph, and Adam moves the log-weights s, where w = T·softmax(s);
    B. per task: a second forward pass, for the first graph is spent;
    C. Σ wᵢ·Lᵢ with the new weights is differentiated, and Adam moves the network.

Only the formulation is literal: batches are slices of one preallocated tensor, as mtctl's are.

Source: Chen et al., GradNorm, 2018 (arXiv 1711.02257).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from mtctl.problems.lander.replay import Batch


class Network(nn.Module):
    """Q-network observation → 256 → 128 → actions with ReLU.

    Args:
        sizes: units of the four layers, observations first.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.fc1, self.fc2, self.fc3 = (nn.Linear(*pair) for pair in pairwise(sizes))

    def forward(self, observations: Tensor) -> Tensor:
        hidden = torch.relu(self.fc1(observations))
        out: Tensor = self.fc3(torch.relu(self.fc2(hidden)))
        return out

    @torch.no_grad()
    def load_flat(self, values: Tensor) -> None:
        """Copy [P] values: per layer its weights [in, out], then its biases."""
        start = 0
        for layer in (self.fc1, self.fc2, self.fc3):
            middle = start + layer.weight.numel()
            layer.weight.copy_(values[start:middle].view(layer.in_features, layer.out_features).t())
            start = middle + layer.out_features
            layer.bias.copy_(values[middle:start])


class LiteralGradNorm:
    """One network, T log-weights, an Adam for each.

    Args:
        network: the one that learns.
        target: its delayed copy.
        tasks: T.
        lr: the network's learning rate.
        alpha: strength of the pull towards tasks that lag.
        weight_lr: the log-weights' learning rate.

    Attributes:
        initial_losses: [T] L(0): the first batch's losses, None before it.
    """

    def __init__(
        self,
        network: Network,
        target: Network,
        tasks: int,
        *,
        lr: float = 5e-4,
        alpha: float = 1.5,
        weight_lr: float = 0.01,
    ) -> None:
        self.network = network
        self.target = target
        self.log_weights = nn.Parameter(torch.zeros(tasks))
        self.initial_losses: Tensor | None = None
        self._alpha = alpha
        self._optimizer = torch.optim.Adam(network.parameters(), lr=lr)
        self._weight_optimizer = torch.optim.Adam([self.log_weights], lr=weight_lr)

    def weights(self) -> Tensor:
        """Return w [T], whose mean is 1."""
        return len(self.log_weights) * torch.softmax(self.log_weights, 0)

    def update(self, batches: Sequence[Batch]) -> None:
        """Move the weights, then the network, on one batch of each task."""
        self.move_weights(batches)
        self.move_network(batches)

    def losses(self, batches: Sequence[Batch]) -> list[Tensor]:
        """Return each task's mean squared error, from a forward pass of its own."""
        return [self._loss(batch) for batch in batches]

    def _loss(self, batch: Batch) -> Tensor:
        with torch.no_grad():
            following = self.target(batch.next_observations).amax(1)
            targets = batch.rewards + batch.bootstraps * following
        values = self.network(batch.observations).gather(1, batch.actions).squeeze(1)
        return nn.functional.mse_loss(values, targets)

    def move_weights(self, batches: Sequence[Batch]) -> None:
        """Step A."""
        losses = self.losses(batches)
        weights = self.weights()
        norms = torch.stack(
            [
                torch.autograd.grad(
                    weight * loss, self.network.fc2.weight, create_graph=True, retain_graph=True
                )[0].norm()
                for weight, loss in zip(weights, losses, strict=True)
            ]
        )
        now = torch.stack([loss.detach() for loss in losses])
        if self.initial_losses is None:
            self.initial_losses = now
        progress = now / self.initial_losses
        targets = (norms.mean() * (progress / progress.mean()) ** self._alpha).detach()
        self._weight_optimizer.zero_grad()
        (norms - targets).abs().sum().backward()
        self._weight_optimizer.step()

    def move_network(self, batches: Sequence[Batch]) -> None:
        """Steps B and C."""
        weights = self.weights().detach()
        losses = self.losses(batches)
        # Step A's backward has left gradients of the GradNorm loss on the network: they must not move it.
        self._optimizer.zero_grad()
        total = torch.stack([weight * loss for weight, loss in zip(weights, losses, strict=True)]).sum()
        total.backward()
        self._optimizer.step()
