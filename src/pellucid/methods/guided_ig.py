"""Guided integrated gradients: a path that avoids what the score is most sensitive to."""

import torch
from torch import Tensor

from pellucid.contracts import Evidence, Maps, Method, Passes, ProbeLike, Reference
from pellucid.errors import BadOption
from pellucid.methods._paths import completeness_gap, plain_gradient, read_baselines

_OFF = 1e-4
"""Of the way from the baseline to the picture. In a picture of one colour the windows of a max pooling are ties, and
rounding decides where their gradient goes; just off it, the side to which the path leaves does."""


def guided_ig(
    image: Maps,
    probe: ProbeLike,
    *,
    steps: int = 200,
    fraction: float = 0.25,
    distance: float = 0.02,
    baseline: float | str | Tensor = "black",
) -> Evidence:
    """Integrated gradients with less noise: at every step the features move first that matter least for the moment.

    A path X_0 = B, ..., X_steps = I whose L1 distance to I falls evenly. At each step the `fraction` of the features
    with the smallest |dS/dI| moves as far as it may, then the next, until the step's distance is covered; no feature
    may be further than `distance` from the straight line, as a fraction of its way. raw = sum over the steps of the
    move times the mean of dS/dI at its two ends: the trapezoid rule, as the gradient at the start alone, by which moves
    are chosen, would be small on purpose. The first gradient is taken just off B, on the side of I: B itself may be a
    tie. `extras["gap"]` is what it misses of S(I) - S(B). Each picture goes its own way.

    Args:
        image: I, `[batch, channel, row, column]`.
        probe: access to the network, asked for the gradient on the way, a pass per step.
        steps: number of steps.
        fraction: share of the features that move at once, above 0 to 1.
        distance: 0 to 1; 0 is the straight line of integrated gradients, 1 leaves the path free.
        baseline: B: as in `integrated-gradients`; of several, the mean of the maps.

    Returns:
        raw shaped as the input, signed; summed over channels for the map; extras `gap` `[batch]`, in score units.

    Raises:
        BadOption: no steps, a fraction or distance out of range, or another baseline.
    """
    if steps < 1 or not 0 < fraction <= 1 or not 0 <= distance <= 1:
        raise BadOption(
            "Expected steps >= 1, 0 < fraction <= 1 and 0 <= distance <= 1 for guided-ig, got steps "
            f"{steps}, fraction {fraction} and distance {distance}."
        )
    starts, notes = read_baselines(METHOD.id, baseline, image, probe)
    first, last = torch.stack(starts).flatten(2).double(), image.flatten(1).double().expand(len(starts), -1, -1)
    here, move, raw = first.clone(), torch.zeros_like(first), torch.zeros_like(first)

    def there(rows: Maps, pictures: torch.Tensor, numbers: torch.Tensor) -> Maps:
        points = here + _OFF * (last - first) if step == 1 else here
        return points[numbers, pictures].reshape(rows.shape).to(rows.dtype)

    for step in range(1, steps + 2):
        for pictures, numbers, gradient in probe.each(len(starts), there, plain_gradient):
            for row, picture, number in zip(gradient, pictures.tolist(), numbers.tolist(), strict=True):
                at, slope = (number, picture), row.flatten().double()
                path = _Line(first[at], last[at], fraction, distance)
                moved = path.step(here[at], slope, min(step / steps, 1.0))
                raw[at] += (move[at] + moved - here[at]) / 2 * slope
                move[at], here[at] = moved - here[at], moved
    mean = raw.mean(0).reshape(image.shape).to(image.dtype)
    return Evidence(mean, extras={"gap": completeness_gap(image, probe, starts, mean)}, notes=notes)


class _Line:
    """The straight line from `first` to `last`, and how far a path may stray from it; all flat, in float64."""

    def __init__(self, first: torch.Tensor, last: torch.Tensor, fraction: float, distance: float) -> None:
        self.first, self.last, self.way = first, last, last - first
        self.fraction, self.distance = fraction, distance

    def step(self, here: torch.Tensor, slope: torch.Tensor, t: float) -> torch.Tensor:
        """Move on until the L1 distance to the end is 1 - t of the whole."""
        wanted = (1 - t) * float(self.way.abs().sum())
        least = self.first + max(t - self.distance, 0.0) * self.way
        most = self.last if t + self.distance >= 1 else self.first + (t + self.distance) * self.way
        here = torch.where((least - here) * self.way.sign() > 0, least, here)
        steep = slope.abs().masked_fill(here == most, torch.inf)
        index = 1 + int(self.fraction * (len(steep) - 1))
        while (missing := float((self.last - here).abs().sum()) - wanted) > 1e-9 * max(wanted, 1.0):
            # features of one slope move together: rounding must not decide which of them goes first
            flat = (steep <= steep.kthvalue(index).values * (1 + 1e-6)) & steep.isfinite()
            room = float(((most - here).abs() * flat).sum())
            if missing < room:
                return torch.where(flat, here + (missing / room) * (most - here), here)
            if not bool(flat.any()):
                break
            here = torch.where(flat, most, here)
            steep = steep.masked_fill(flat, torch.inf)
        return here


METHOD = Method(
    guided_ig,
    id="guided-ig",
    title="Guided integrated gradients",
    reference=Reference("arXiv:2106.09788", "definition of Guided IG"),
    caveat="The path itself depends on the network's gradients, so two networks with the same scores can differ; a gap "
    "that is not small asks for more steps.",
    reduce="sum",
    passes=Passes("steps", 1, 1, shared=False),
    joint=True,
)
