"""ADALINE: a linear unit that learns by least mean squares."""

import torch
from torch import Tensor, nn

from pellucid.errors import BadOption


class Adaline(nn.Module):
    """Linear units a = W p + b with the Widrow-Hoff rule.

    Widrow and Hoff, "Adaptive switching circuits", IRE WESCON (1960); the bound as in Hagan et al., "Neural Network
    Design", chapter 10.

    Args:
        inputs: length of a pattern.
        outputs: number of units.
    """

    def __init__(self, inputs: int, outputs: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, inputs), requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(outputs), requires_grad=False)

    def forward(self, patterns: Tensor) -> Tensor:
        """W p + b, `[batch, output]`, of patterns `[batch, input]`."""
        return nn.functional.linear(patterns, self.weight, self.bias)

    @staticmethod
    def rate_bound(patterns: Tensor) -> float:
        """The rate below which learning settles in the mean: 1 / (largest eigenvalue of R), R = E[z z^T], z = (p, 1).

        Args:
            patterns: all of them, `[batch, input]`.
        """
        extended = torch.cat([patterns, torch.ones_like(patterns[:, :1])], 1)
        correlation = extended.T @ extended / len(extended)
        return 1 / float(torch.linalg.eigvalsh(correlation)[-1])

    def learn(self, patterns: Tensor, targets: Tensor, rate: float | None = None, passes: int = 100) -> list[float]:
        """Step down the squared error of all patterns together: W += 2 rate E[e p^T], b += 2 rate E[e], e = t - a.

        Args:
            patterns: `[batch, input]`.
            targets: `[batch, output]`.
            rate: step; None takes half of `rate_bound`.
            passes: number of steps.

        Returns:
            mean squared error before each step. It falls for a rate below the bound and grows without end above it.

        Raises:
            BadOption: a rate that is not positive.
        """
        rate = self.rate_bound(patterns) / 2 if rate is None else rate
        if rate <= 0:
            raise BadOption(f"Expected a learning rate above 0, got {rate}.")
        errors = []
        for _ in range(passes):
            error = targets - self(patterns)
            errors.append(float(error.square().mean()))
            self.weight.add_(2 * rate * error.T @ patterns / len(patterns))
            self.bias.add_(2 * rate * error.mean(0))
        return errors
