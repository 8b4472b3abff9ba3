"""The restricted Boltzmann machine."""

import torch
from torch import Tensor, nn

from pellucid.seeds import seeded


class RestrictedBoltzmann(nn.Module):
    """Binary visible and hidden units; p(v, h) is proportional to exp(v^T W h + a^T v + b^T h).

    Smolensky (1986); contrastive divergence by Hinton, "Training products of experts by minimizing contrastive
    divergence", Neural Computation 14 (2002).

    Args:
        visible: number of visible units.
        hidden: number of hidden units.
        seed: of the first weights.
    """

    def __init__(self, visible: int, hidden: int, seed: int = 0) -> None:
        super().__init__()
        first = torch.randn(visible, hidden, generator=seeded(seed))
        self.weight = nn.Parameter(0.01 * first, requires_grad=False)
        self.visible_bias = nn.Parameter(torch.zeros(visible), requires_grad=False)
        self.hidden_bias = nn.Parameter(torch.zeros(hidden), requires_grad=False)

    def forward(self, visible: Tensor) -> Tensor:
        """P(h = 1 | v), `[batch, hidden]`."""
        return torch.sigmoid(visible @ self.weight + self.hidden_bias)

    def visible_given(self, hidden: Tensor) -> Tensor:
        """P(v = 1 | h), `[batch, visible]`."""
        return torch.sigmoid(hidden @ self.weight.T + self.visible_bias)

    def free_energy(self, visible: Tensor) -> Tensor:
        """F(v) = -a^T v - sum_j log(1 + exp(b_j + v^T W_j)), `[batch]`; p(v) is proportional to exp(-F(v))."""
        return -visible @ self.visible_bias - nn.functional.softplus(visible @ self.weight + self.hidden_bias).sum(1)

    def learn(
        self, patterns: Tensor, *, passes: int = 10, rate: float = 0.1, steps: int = 1, batch: int = 20, seed: int = 0
    ) -> list[float]:
        """Contrastive divergence: W += rate (v h^T of the data - v h^T after `steps` of Gibbs sampling).

        Args:
            patterns: `[pattern, visible]`, 0 to 1.
            passes: times that the set is shown.
            rate: of learning.
            steps: of Gibbs sampling, k of CD-k.
            batch: patterns per correction.
            seed: of order and samples.

        Returns:
            mean squared error of the reconstruction in each pass (a sign of life, not the likelihood).
        """
        generator = seeded(seed)
        errors = []
        for _ in range(passes):
            order = torch.randperm(len(patterns), generator=generator)
            errors.append(0.0)
            for chosen in torch.split(order, batch):
                error = self._correct(patterns[chosen], rate, steps, generator)
                errors[-1] += error * len(chosen) / len(patterns)
        return errors

    def _correct(self, data: Tensor, rate: float, steps: int, generator: torch.Generator) -> float:
        hidden = first = self(data)
        for _ in range(steps):
            model = self.visible_given(torch.bernoulli(hidden, generator=generator))
            hidden = self(model)
        scale = rate / len(data)
        self.weight.add_(scale * (data.T @ first - model.T @ hidden))
        self.visible_bias.add_(scale * (data - model).sum(0))
        self.hidden_bias.add_(scale * (first - hidden).sum(0))
        return float((data - model).square().mean())
