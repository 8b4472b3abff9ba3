"""Rosenblatt's perceptron and its learning rule."""

import torch
from torch import Tensor, nn

from pellucid.errors import BadOption


class Perceptron(nn.Module):
    """Hard-limit units: a = 1 where W p + b >= 0, else 0.

    Rosenblatt, "The perceptron", Psychological Review 65 (1958); the rule as in Hagan et al., "Neural Network Design",
    chapter 4.

    Args:
        inputs: length of a pattern.
        outputs: number of units.
    """

    def __init__(self, inputs: int, outputs: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, inputs), requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(outputs), requires_grad=False)

    def net_input(self, patterns: Tensor) -> Tensor:
        """W p + b, `[batch, output]`: how far, and on which side of its line, each pattern lies."""
        return nn.functional.linear(patterns, self.weight, self.bias)

    def forward(self, patterns: Tensor) -> Tensor:
        """0 or 1, `[batch, output]`, of patterns `[batch, input]`."""
        return (self.net_input(patterns) >= 0).to(patterns.dtype)

    def learn(self, patterns: Tensor, targets: Tensor, passes: int = 100) -> list[int]:
        """Show the patterns one by one and correct after each: W += e p^T, b += e with e = t - a.

        Ends as soon as a pass makes no mistake, which comes for every separable set (the number of corrections is at
        most (R / margin)^2) and never for others.

        Args:
            patterns: `[batch, input]`.
            targets: 0 or 1, `[batch, output]`.
            passes: the most times that the set is shown.

        Returns:
            patterns answered wrongly in each pass.

        Raises:
            BadOption: targets other than 0 and 1.
        """
        if not bool(((targets == 0) | (targets == 1)).all()):
            raise BadOption("Expected targets of 0 and 1 for a perceptron.")
        mistakes: list[int] = []
        for _ in range(passes):
            mistakes.append(sum(self._correct(p, t) for p, t in zip(patterns, targets, strict=True)))
            if not mistakes[-1]:
                break
        return mistakes

    def _correct(self, pattern: Tensor, target: Tensor) -> bool:
        error = target.to(pattern.dtype) - self(pattern[None])[0]
        self.weight.add_(torch.outer(error, pattern))
        self.bias.add_(error)
        return bool(error.any())
