"""The radial-basis network."""

import torch
from torch import Tensor, nn

from pellucid.errors import BadOption
from pellucid.seeds import seeded


class RadialBasis(nn.Module):
    """Gaussian bumps and a linear layer: a = W exp(-|p - c_k|^2 / (2 s^2)) + b.

    Broomhead and Lowe, "Multivariable functional interpolation and adaptive networks", Complex Systems 2 (1988).

    Args:
        inputs: length of a pattern.
        centres: number of bumps.
        outputs: number of linear units.
        width: s, in the units of the input.

    Raises:
        BadOption: a width that is not positive.
    """

    def __init__(self, inputs: int, centres: int, outputs: int = 1, width: float = 1.0) -> None:
        super().__init__()
        if width <= 0:
            raise BadOption(f"Expected a width above 0, got {width}.")
        self.centres = nn.Parameter(torch.zeros(centres, inputs))
        self.width = width
        self.linear = nn.Linear(centres, outputs)

    def bumps(self, patterns: Tensor) -> Tensor:
        """How near each pattern is to each centre, 0 to 1, `[batch, centre]`."""
        return (-torch.cdist(patterns, self.centres).square() / (2 * self.width**2)).exp()

    def forward(self, patterns: Tensor) -> Tensor:
        """`[batch, output]`."""
        answers: Tensor = self.linear(self.bumps(patterns))
        return answers

    @torch.no_grad()
    def learn(self, patterns: Tensor, targets: Tensor, *, seed: int = 0) -> float:
        """Put the centres on patterns drawn at random and solve the linear layer by least squares.

        With as many centres as (different) patterns it passes through every target.

        Args:
            patterns: `[batch, input]`, at least as many as centres.
            targets: `[batch, output]`.
            seed: of the draw.

        Returns:
            mean squared error on the patterns.

        Raises:
            BadOption: fewer patterns than centres.
        """
        if len(patterns) < len(self.centres):
            raise BadOption(f"Expected at least {len(self.centres)} patterns, one per centre, got {len(patterns)}.")
        drawn = torch.randperm(len(patterns), generator=seeded(seed))[: len(self.centres)]
        self.centres.copy_(patterns[drawn.sort().values])
        bumps = self.bumps(patterns)
        extended = torch.cat([bumps, torch.ones_like(bumps[:, :1])], 1)
        solved = torch.linalg.lstsq(extended, targets, driver="gelsd").solution
        self.linear.weight.copy_(solved[:-1].T)
        self.linear.bias.copy_(solved[-1])
        return float((self(patterns) - targets).square().mean())
