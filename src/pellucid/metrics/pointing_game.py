"""The pointing game."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pellucid.contracts import Frame, Map, Metric, Reference, Scores
from pellucid.errors import BadOption
from pellucid.metrics._truth import answered
from pellucid.numerics import resize


def pointing_game(
    values: Map, mask: Tensor, frames: Sequence[Frame], *, tolerance: float = 15.0, weighted: bool = False
) -> Scores:
    """Whether the map's largest value lies on the thing, or within a few pixels of it.

    The map is resized to the pixels of the original picture, of which it covers the part that the model sees, and its
    largest value is a hit if the centre of a pixel of the mask is less than `tolerance` away, as in TorchRay. What is
    equally large must all be hits, and a map that is the same everywhere never is one.

    The published numbers are the mean over classes of each class's mean; on VOC, pictures in which all objects of the
    class are marked difficult are left out, and the difficult set are those whose objects cover less than a quarter
    of the picture beside another class. `pellucid locate --annotations` does that; here is one picture's answer.

    Args:
        values: the maps `[batch, *axes]`.
        mask: places of the thing, bool `[batch, row, column]`.
        frames: place of each original picture in them.
        tolerance: distance that still is a hit, in pixels of the original picture, exclusive.
        weighted: True if a hit counts as the part of the picture that the thing leaves free, as in Quantus: hitting
            what fills the picture is no achievement.

    Returns:
        1 for a hit (with `weighted` 1 minus the thing's share of the picture), 0 for none, NaN for empty masks.

    Raises:
        BadOption: a tolerance that is not positive.
    """
    if tolerance <= 0:
        raise BadOption(f"Expected a positive tolerance in pixels for {METRIC.id}, got {tolerance}.")
    hits = [
        hit(*in_picture(each, truth, frame), tolerance) for each, truth, frame in zip(values, mask, frames, strict=True)
    ]
    worth = 1 - mask.flatten(1).double().mean(1) if weighted else 1.0
    return answered(torch.tensor(hits, dtype=torch.float64, device=values.device) * worth, mask.flatten(1).any(1))


def in_picture(values: Tensor, mask: Tensor, frame: Frame) -> tuple[Tensor, Tensor]:
    """A map at the size of its part of the original picture, and the mask's pixel centres there, `[pixel, axis]`."""
    begins, ends = frame.box[: values.ndim], frame.box[values.ndim :]
    size = [max(1, round(end - begin)) for begin, end in zip(begins, ends, strict=True)][::-1]
    large = resize(values[None].double(), size)[0]
    scale = large.new_tensor([length / seen for length, seen in zip(size, mask.shape, strict=True)])
    return large, (mask.nonzero() + 0.5) * scale - 0.5


def hit(values: Tensor, centres: Tensor, tolerance: float) -> bool:
    """Whether every largest value of a map `[*axes]` is near one of the centres `[pixel, axis]`."""
    from scipy.spatial import KDTree

    peak = values.max()
    if not bool(values.min() < peak) or not len(centres):
        return False
    peaks = (values == peak).nonzero().cpu().numpy()
    distances, _ = KDTree(centres.double().cpu().numpy()).query(peaks)  # both may be a large part of the picture
    return bool((distances < tolerance).all())


METRIC = Metric(
    pointing_game,
    id="pointing-game",
    title="Pointing game",
    reference=Reference("arXiv:1608.00507", "pointing game, by the rules of arXiv:1910.08485"),
    better="higher",
    caveat="Looks at a single pixel of the map; on pictures with one large thing in the middle, a hill in the centre "
    "wins too.",
)
