"""The self-organising map."""

import torch
from torch import Tensor, nn

from pellucid.seeds import seeded


class Kohonen(nn.Module):
    """A sheet of units that unfolds over the data, so that near units stand for near patterns.

    Kohonen, "Self-organized formation of topologically correct feature maps", Biological Cybernetics 43 (1982).

    Args:
        inputs: length of a pattern.
        rows: of the sheet.
        columns: of the sheet.
        seed: of the first prototypes, uniform in 0 to 1.
    """

    positions: Tensor

    def __init__(self, inputs: int, rows: int = 8, columns: int = 8, seed: int = 0) -> None:
        super().__init__()
        first = torch.rand(rows * columns, inputs, generator=seeded(seed))
        self.prototypes = nn.Parameter(first, requires_grad=False)
        self.rows, self.columns = rows, columns
        grid = torch.cartesian_prod(torch.arange(float(rows)), torch.arange(float(columns)))
        self.register_buffer("positions", grid)

    def forward(self, patterns: Tensor) -> Tensor:
        """Distance of each pattern from each prototype, `[batch, row, column]`; the smallest is the winner."""
        return torch.cdist(patterns, self.prototypes).view(-1, self.rows, self.columns)

    def winners(self, patterns: Tensor) -> Tensor:
        """Row and column of the nearest prototype, `[batch, 2]`."""
        nearest = self(patterns).flatten(1).argmin(1)
        return torch.stack([nearest // self.columns, nearest % self.columns], 1)

    def learn(
        self,
        patterns: Tensor,
        *,
        passes: int = 10,
        rate: tuple[float, float] = (0.5, 0.02),
        radius: tuple[float, float] | None = None,
        seed: int = 0,
    ) -> list[float]:
        """Move the winner and its neighbours on the sheet towards each pattern, less and less and ever fewer.

        w_i += rate exp(-d_i^2 / (2 radius^2)) (p - w_i), d_i the distance from the winner on the sheet.

        Args:
            patterns: `[pattern, input]`.
            passes: times that the set is shown.
            rate: first and last; falls geometrically.
            radius: likewise, in units of the sheet; None runs from half of the sheet to 0.5.
            seed: of the order.

        Returns:
            mean distance of the patterns from their prototypes after each pass.
        """
        generator = seeded(seed)
        radius = (max(self.rows, self.columns) / 2, 0.5) if radius is None else radius
        total, step, errors = passes * len(patterns), 0, []
        for _ in range(passes):
            for k in torch.randperm(len(patterns), generator=generator).tolist():
                share = step / max(1, total - 1)
                now, reach = (a * (b / a) ** share for a, b in (rate, radius))
                self._attract(patterns[k], now, reach)
                step += 1
            errors.append(float(self(patterns).flatten(1).amin(1).mean()))
        return errors

    def _attract(self, pattern: Tensor, rate: float, radius: float) -> None:
        away = pattern - self.prototypes
        winner = away.square().sum(1).argmin()
        reach = (self.positions - self.positions[winner]).square().sum(1)
        self.prototypes.add_(rate * (-reach / (2 * radius**2)).exp()[:, None] * away)
