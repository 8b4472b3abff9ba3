"""What the methods that ask about masked pictures share: fading by degrees, masks of cells, the search for a mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pellucid.contracts import Maps, Noise, ProbeLike, Scores
from pellucid.errors import BadOption
from pellucid.masking import BLUR, blurred, fill_of
from pellucid.numerics import CHANNEL, per_row

_LEVELS = 8
"""Steps from the sharp picture to the most blurred one, with straight lines between them."""


@dataclass(frozen=True, eq=False)
class Fade:
    """Pictures that masks fade out by degrees.

    Attributes:
        levels: what is seen where a mask is 1, ..., 0, at equal steps: `[level, batch, channel, *axes]`. Between
            two levels a picture is their weighted mean.
        move: how many pixels further down and right, one number per axis, the pictures are seen than they are, their
            edges repeated; () leaves them.
    """

    levels: Tensor
    move: tuple[int, ...] = ()

    def show(self, samples: Tensor, masks: Tensor) -> Maps:
        """The pictures `samples` `[n]` behind `masks` `[n, *axes]` of 0 (hidden) to 1 (seen)."""
        seen, hidden, share = self._between(samples, masks)
        return torch.lerp(hidden, seen, share)

    def slope(self, samples: Tensor, masks: Tensor) -> Maps:
        """The derivative of `show` by the mask at each pixel, `[n, channel, *axes]`."""
        seen, hidden, _ = self._between(samples, masks)
        return (len(self.levels) - 1) * (seen - hidden)

    def _between(self, samples: Tensor, masks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The two levels on either side of each mask value, and the share of the first."""
        steps = len(self.levels) - 1
        move = self.move or (0,) * (masks.ndim - 1)
        if steps == 1 and not any(move):
            return self.levels[0, samples], self.levels[1, samples], masks[:, None]
        depth = (1 - masks) * steps
        level = depth.floor().clamp(0, steps - 1)
        seen_at = [
            (torch.arange(n, device=masks.device) - step).clamp(0, n - 1).reshape(-1, *(1,) * (len(move) - 1 - k))
            for k, (n, step) in enumerate(zip(masks.shape[1:], move, strict=True))
        ]
        at: tuple[Any, ...] = (per_row(samples, masks), slice(None), *seen_at)
        seen, hidden = (self.levels[level.long() + k, *at].movedim(-1, 1) for k in (0, 1))
        return seen, hidden, (1 - (depth - level))[:, None]


def fade_of(method: str, kind: float | str | Tensor, image: Maps, probe: ProbeLike, rng: Noise) -> Fade:
    """What the option `fill` names, for masks that hide by degrees: `blur` gets blurrier, all others shine through.

    Raises:
        BadOption: `inpaint`, which needs a hole, or no fill at all; the message names `method`.
        BadPicture: the other picture cannot be read.
    """
    if isinstance(kind, str) and kind == "blur" and not probe.is_tabular:
        widths = [BLUR * level / (_LEVELS - 1) for level in range(_LEVELS)]
        return Fade(torch.stack([blurred(image, width) for width in widths]))
    cover = fill_of(method, kind, image, probe, rng).cover
    if cover is None:
        raise BadOption(f"{method} hides by degrees, which the fill {kind!r} cannot; try blur, mean or a number.")
    return Fade(torch.stack([image, cover]))


def cells_of(
    method: str, cells: int | tuple[int, ...] | None, default: int, image: Maps, probe: ProbeLike
) -> tuple[int, ...]:
    """How many cells a grid over pictures has along each axis, none of them smaller than a pixel.

    Args:
        method: that errors name.
        cells: as the option has it: one number for all axes, or one for each.
        default: number along each of two axes; along one or three as many as make about as many cells in all.
        image: the pictures.
        probe: knows whether they are rows of a table, of which each column is a cell by default.

    Raises:
        BadOption: no cells, more than there are pixels, so that some would hide nothing, or another number of axes.
    """
    size = image.shape[2:]
    if cells is None and probe.is_tabular:
        return tuple(size)
    if cells is None:
        side = round(default ** (2 / len(size)))
        return tuple(min(side, length) for length in size)
    if isinstance(cells, int):
        if not 1 <= cells <= min(size):
            raise BadOption(f"Expected 1 to {min(size)} cells for {method}, as many as there are pixels, got {cells}.")
        return (cells,) * len(size)
    if len(cells) != len(size) or not all(1 <= n <= length for n, length in zip(cells, size, strict=True)):
        most = "x".join(map(str, size))
        raise BadOption(
            f"Expected at most {most} cells for {method}, as many as there are pixels, got {'x'.join(map(str, cells))}."
        )
    return cells


def cells_to_pixels(cells: Tensor, size: Sequence[int]) -> Tensor:
    """Draw `[n, *cells]` out to `[n, *size]`, each cell a box of nearly equal size."""
    for axis, length in enumerate(size, 1):
        count = cells.shape[axis]
        cells = cells.index_select(axis, torch.arange(length, device=cells.device) * count // length)
    return cells


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
    """Scores `[batch, count]` of pictures behind `masks` `[batch, count, *axes]`, and the derivative by these."""
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
