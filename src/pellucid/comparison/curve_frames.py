"""What the network saw while a map's pixels were hidden: a few steps of deletion, with the probability under each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from pellucid.capture.running import Draws
from pellucid.contracts import Maps, Model, Preprocess
from pellucid.evaluation import Score
from pellucid.held import plain
from pellucid.masking import fill_of
from pellucid.models.preprocessing import preprocessing_of
from pellucid.numerics import ranks
from pellucid.pictures import prepare

METRIC = "deletion"
STEPS = 5


@dataclass(frozen=True, eq=False)
class CurveFrame:
    """One step.

    Attributes:
        share: share of the pixels that are hidden.
        probability: of what was explained.
        image: what the network saw.
    """

    share: float
    probability: float
    image: Image.Image


def curve_frames(
    model: Model, image: Tensor, values: Tensor, score: Score, options: Mapping[str, Any] | None = None
) -> list[CurveFrame]:
    """Five steps of a deletion, evenly among those that were asked, between the whole picture and none of it.

    The frames are made as the metric made its own: the same order of pixels, the same that hides.

    Args:
        model: whose preprocessing turns its input into pictures again.
        image: the model's input `[channel, row, column]`.
        values: the map `[row, column]`.
        score: of that map by `deletion`, on this picture alone.
        options: of the metric, as they were given; None takes them from the score, which names tensors when it was
            read from a file.
    """
    preprocess, rows = preprocessing_of(model), image[None]
    baseline = plain(options or score.options)["baseline"]
    fill = fill_of(METRIC, baseline, rows, _Reader(preprocess), Draws(score.seed))
    place = ranks(values[None])
    frames = []
    for number in _chosen(len(score.axis)):
        count = round(score.axis[number] * place.numel())
        seen = fill.hide(rows.clone(), torch.zeros(1, dtype=torch.long), (place < count)[:, None])
        probability = float(score.extras["curve"][0, number])
        frames.append(CurveFrame(score.axis[number], probability, as_image(seen[0], preprocess)))
    return frames


def _chosen(points: int) -> list[int]:
    """Numbers of up to `STEPS` points of a curve, evenly between its ends, which everyone can picture."""
    last = points - 1
    return sorted({round(k * last / (STEPS + 1)) for k in range(1, STEPS + 1)} - {0, last})


def as_image(tensor: Tensor, preprocess: Preprocess) -> Image.Image:
    """A model's input `[channel, row, column]` as the picture that it stands for."""
    values = (preprocess.denormalise(tensor.detach().cpu().double()) * 255).round().clamp(0, 255).to(torch.uint8)
    if len(values) == 1:
        return Image.fromarray(values[0].numpy())
    return Image.fromarray(values.permute(1, 2, 0).contiguous().numpy())


class _Reader:
    """Reads other pictures, where one of them is what hides."""

    is_tabular = False
    parts = ()

    def __init__(self, preprocess: Preprocess) -> None:
        self.preprocess = preprocess

    def picture(self, name: str) -> Maps:
        """Another picture as the model's input."""
        return prepare(name, self.preprocess).tensor[None]
