"""Maps averaged over parts of a picture and their mirror images, as Simonyan et al. (2013, section 3.1) do."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pellucid.contracts import Model, Picture
from pellucid.errors import BadOption
from pellucid.models.preprocessing import preprocessing_of
from pellucid.pictures import prepare
from pellucid.pictures.geometry import Window, stretch

_SHARE = 7 / 8
"""Side of a part as a share of the picture's, 224 of 256, for models that are fed whole pictures."""


def windows(picture: Picture, *, whole: bool) -> list[Window]:
    """The four corners and the middle of a picture; evenly spaced parts where these would leave gaps.

    Args:
        picture: whose `box` is the part that the model usually sees.
        whole: True if that is the whole picture.
    """
    width, height = picture.image.size
    left, top, right, bottom = picture.box
    wide = max(1, round(_SHARE * width if whole else right - left))
    high = max(1, round(_SHARE * height if whole else bottom - top))
    across, down = _starts(width, wide), _starts(height, high)
    corners = [(x, y, x + wide, y + high) for y in down for x in across]
    x, y = (width - wide) // 2, (height - high) // 2
    middle = [] if len(across) > 2 or len(down) > 2 else [(x, y, x + wide, y + high)]
    return [*corners, *middle]


def _starts(length: int, part: int) -> list[int]:
    if length <= 3 * part:
        return sorted({0, length - part})
    return [round(start) for start in np.linspace(0, length - part, math.ceil(length / part))]


def averaged(
    model: Model, picture: Picture, maps_of: Callable[[Tensor], Tensor], whole: bool
) -> tuple[NDArray[np.float64], int]:
    """The mean map of all parts and mirror images, where they lie on the picture, and how many there are.

    Args:
        model: that explains them.
        picture: to cut up.
        maps_of: from inputs `[view, channel, row, column]` to maps `[view, row, column]`.
        whole: True if the model is usually fed the whole picture.

    Returns:
        `[row, column]`, over the whole picture, at the scale that the model sees it in.
    """
    import torch

    own = preprocessing_of(model)
    if own.transform is not None:
        raise BadOption(
            "Parts of a picture cannot be cut for a preprocessing that is a function, which may cut them once more. "
            "Say crops=False (--no-crops), or give size, mean and std instead of the function."
        )
    preprocess = replace(own, resize=None)
    places = windows(picture, whole=whole)
    cut = [picture.image.crop(place) for place in places]
    views = [*cut, *(part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for part in cut)]
    inputs = torch.stack([prepare(view, preprocess, picture.name).tensor for view in views])
    maps = maps_of(inputs).detach().cpu().double().numpy()
    maps = np.concatenate([maps[: len(cut)], maps[len(cut) :, :, ::-1]])
    width, height = picture.image.size
    first = places[0]
    scale_x, scale_y = inputs.shape[3] / (first[2] - first[0]), inputs.shape[2] / (first[3] - first[1])
    rows, columns = max(1, round(height * scale_y)), max(1, round(width * scale_x))
    total, count = np.zeros((rows, columns)), np.zeros((rows, columns))
    peak = float(np.abs(maps).max()) or 1.0  # maps are resized in float32, which very small numbers do not survive
    for values, (left, top, right, bottom) in zip(maps, places * 2, strict=True):
        box = (left * scale_x, top * scale_y, right * scale_x, bottom * scale_y)
        x, y = round(box[0]), round(box[1])
        pixels = (x, y, min(columns, x + maps.shape[2]), min(rows, y + maps.shape[1]))
        part = (slice(pixels[1], pixels[3]), slice(pixels[0], pixels[2]))
        total[part] += peak * stretch(values / peak, box, pixels)
        count[part] += 1
    return total / np.maximum(count, 1), len(views)
