"""What the methods that ask about masked pictures share: fading by degrees, masks of cells, the search for a mask."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.contracts import Maps, Noise, ProbeLike, Scores
from pellucid.errors import BadOption
from pellucid.masking import BLUR, blurred, fill_of
from pellucid.numerics import CHANNEL

_LEVELS = 8
"""Steps from the sharp picture to the most blurred one, with straight lines between them."""


@dataclass(frozen=True, eq=False)
class Fade:
    """Pictures that masks fade out by degrees.

    Attributes:
        levels: what is seen where a mask is 1, ..., 0, at equal steps: `[level, batch, channel, row, column]`. Between
            two levels a picture is their weighted mean.
        move: how many pixels further down and right the pictures are seen than they are, their edges repeated.
    """

    levels: Tensor
    move: tuple[int, int] = (0, 0)

    def show(self, samples: Tensor, masks: Tensor) -> Maps:
        """The pictures `samples` `[n]` behind `masks` `[n, row, column]` of 0 (hidden) to 1 (seen)."""
        seen, hidden, share = self._between(samples, masks)
        return torch.lerp(hidden, seen, share)

    def slope(self, samples: Tensor, masks: Tensor) -> Maps:
        """The derivative of `show` by the mask at each pixel, `[n, channel, row, column]`."""
        seen, hidden, _ = self._between(samples, masks)
        return (len(self.levels) - 1) * (seen - hidden)

    def _between(self, samples: Tensor, masks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The two levels on either side of each mask value, and the share of the first."""
        steps = len(self.levels) - 1
        if steps == 1 and self.move == (0, 0):
            return self.levels[0, samples], self.levels[1, samples], masks[:, None]
        depth = (1 - masks) * steps
        level = depth.floor().clamp(0, steps - 1)
        rows, columns = (
            (torch.arange(n, device=masks.device) - move).clamp(0, n - 1)
            for n, move in zip(masks.shape[1:], self.move, strict=True)
        )
        at = samples[:, None, None], slice(None), rows[:, None], columns
        seen, hidden = (self.levels[level.long() + k, *at].permute(0, 3, 1, 2) for k in (0, 1))
        return seen, hidden, (1 - (depth - level))[:, None]


def fade_of(method: str, kind: float | str | Tensor, image: Maps, probe: ProbeLike, rng: Noise) -> Fade:
    """What the option `fill` names, for masks that hide by degrees: `blur` gets blurrier, all others shine through.

    Raises:
        BadOption: `inpaint`, which needs a hole, or no fill at all; the message names `method`.
        BadPicture: the other picture cannot be read.
    """
    if isinstance(kind, str) and kind == "blur":
        widths = [BLUR * level / (_LEVELS - 1) for level in range(_LEVELS)]
        return Fade(torch.stack([blurred(image, width) for width in widths]))
    cover = fill_of(method, kind, image, probe, rng).cover
    if cover is None:
        raise BadOption(f"{method} hides by degrees, which the fill {kind!r} cannot; try blur, mean or a number.")
    return Fade(torch.stack([image, cover]))


def cells_of(method: str, cells: int | None, default: int, size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of a grid of cells over pictures of `size`: the default, but no cell smaller than a pixel.

    Raises:
        BadOption: no cells, or more than there are pixels, so that some would hide nothing; the message names `method`.
    """
    if cells is None:
        return min(default, size[0]), min(default, size[1])
    if not 1 <= cells <= min(size):
        raise BadOption(f"Expected 1 to {min(size)} cells for {method}, as many as there are pixels, got {cells}.")
    return cells, cells


def cells_to_pixels(cells: Tensor, size: tuple[int, int]) -> Tensor:
    """Draw `[n, cell, cell]` out to `[n, row, column]`, each cell a rectangle of nearly equal size."""
    across = [torch.arange(n, device=cells.device) * side // n for n, side in zip(size, cells.shape[1:], strict=True)]
    return cells[:, across[0][:, None], across[1]]


def ends(probe: ProbeLike, fade: Fade) -> tuple[Scores, Scores]:
    """The scores of the pictures themselves and of what is seen where all is hidden, `[batch]` each."""
    levels = fade.levels[:: len(fade.levels) - 1]
    score = probe.score(2, lambda _, samples, numbers: levels[numbers, samples]).score
    return score[:, 0], score[:, 1]


def readings(verb: str, areas: Tensor, scores: Tensor, whole: Scores, hidden: Scores) -> tuple[str, ...]:
    """For each picture what its masks do to its score, as notes.

    Args:
        verb: `shown` or `hidden`: what happens to the area.
        areas: shares of the picture `[batch, count]`.
        scores: of the masked pictures `[batch, count]`.
        whole: scores of the pictures as they are `[batch]`.
        hidden: scores with all hidden `[batch]`.
    """
    notes = []
    for k, (all_, none) in enumerate(zip(whole.tolist(), hidden.tolist(), strict=True)):
        shares = ", ".join(f"{100 * share:.1f} %" for share in areas[k].tolist())
        found = ", ".join(f"{score:.3g}" for score in scores[k].tolist())
        subject = "the picture" if len(whole) == 1 else f"picture {k}"
        weak = "" if none < all_ else " This fill hides nothing that speaks for the target."
        notes.append(
            f"With {shares} of {subject} {verb} the score is {found}; with all of it seen {all_:.3g}, with none "
            f"{none:.3g}.{weak}"
        )
    return tuple(notes)


def score_and_slope(probe: ProbeLike, fade: Fade, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Scores `[batch, count]` of pictures behind `masks` `[batch, count, row, column]`, and the derivative by these."""
    score, slope = masks.new_zeros(masks.shape[:2]), torch.zeros_like(masks)

    def show(_: Maps, samples: Tensor, numbers: Tensor) -> Maps:
        return fade.show(samples, masks[samples, numbers])

    for samples, numbers, found in probe.each(masks.shape[1], show, _gradient_and_score):
        change = fade.slope(samples, masks[samples, numbers])
        score[samples, numbers] = found[:, -1].to(score.dtype)
        slope[samples, numbers] = (found[:, :-1].reshape(change.shape) * change).sum(CHANNEL).to(slope.dtype)
    return score, slope


def _gradient_and_score(image_gradient: Maps, score: Scores) -> Tensor:
    return torch.cat([image_gradient.flatten(1), score[:, None].to(image_gradient.dtype)], 1)


class MaskSearch:
    """Adam (arXiv:1412.6980) for masks of values from 0 to 1; each goes its own way, whatever it is in a batch with."""

    def __init__(self, start: Tensor, rate: float) -> None:
        self.here, self.rate, self.count = start, rate, 0
        self.mean, self.square = torch.zeros_like(start), torch.zeros_like(start)

    def step(self, gradient: Tensor) -> None:
        """Go up along `gradient`, shaped as the masks."""
        self.count += 1
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.square = 0.999 * self.square + 0.001 * gradient**2
        mean, square = self.mean / (1 - 0.9**self.count), self.square / (1 - 0.999**self.count)
        self.here = (self.here + self.rate * mean / (square.sqrt() + 1e-8)).clamp(0, 1)
