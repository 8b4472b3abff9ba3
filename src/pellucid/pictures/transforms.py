"""Preprocessing by a function of the user's own: what it does to pictures is measured, as its text says nothing.

A function takes a PIL image in RGB and returns the network's input for it: torchvision's `Compose`, a plain function,
an image processor of Hugging Face. Constant pictures show its scale, pictures that grow brighter from one edge to the
other show where it puts each pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pellucid.contracts import Preprocess
from pellucid.errors import BadOption, PellucidError, said

_SIZES = ((260, 300), (360, 240))
"""Widths and heights of the pictures that a function is tried on."""
_RAMP = (32.0, 223.0)
"""Levels at the edges of the pictures that grow brighter: a function that stretches the contrast moves them."""
_LEVEL = 2.5
"""Levels of 255 that a picture may be off through rounding, before and after it is resized."""
_ROUNDING = 0.6
"""Levels of 255 that a function may round by."""
_DIGITS = 7
"""Decimals of a mean or deviation that single precision can tell."""
_NEAR = 0.25
"""Pixels within which a measured edge is the picture's own: the filter that resizes pulls at the outermost places."""
_OUTSIDE = 1.0
"""Pixels by which a measured edge may miss the picture's own."""


def applied(transform: Callable[..., Any], image: Image.Image) -> Tensor:
    """What the function makes of a picture, float32 `[channel, row, column]`.

    Raises:
        BadOption: it fails, or returns something else.
    """
    try:
        made = transform(image.convert("RGB"))
    except (PellucidError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise BadOption(
            f"The function given as preprocess failed on a PIL image of {image.width} x {image.height} pixels: "
            f"{said(error)}. It takes a picture and returns the model's input for it."
        ) from error
    return _one_input(made)


def _one_input(made: Any) -> Tensor:
    """The input `[channel, row, column]` in a tensor, an array, or what holds one, with or without a batch axis."""
    if isinstance(made, Mapping):
        made = made.get("pixel_values", made)
    while isinstance(made, list | tuple) and len(made) == 1:
        made = made[0]
    found = torch.from_numpy(made) if isinstance(made, np.ndarray) else made
    if isinstance(found, Tensor) and found.ndim == 4 and len(found) == 1:
        found = found[0]
    if not isinstance(found, Tensor) or found.ndim != 3 or not found.is_floating_point() or not found.numel():
        got = f"{list(found.shape)} of {found.dtype}" if isinstance(found, Tensor) else f"a {type(made).__name__}"
        raise BadOption(
            f"Expected a float tensor [channel, row, column] from the function given as preprocess, got {got}. "
            "torchvision's ToTensor() makes one."
        )
    if not bool(found.isfinite().all()):
        raise BadOption("The function given as preprocess returned NaN or infinity for a picture.")
    return found.detach().to("cpu", torch.float32)


def measured(transform: Callable[..., Any]) -> Preprocess:
    """What a function does, in the numbers of a `Preprocess`: the size of its input, mean and deviation per channel.

    Raises:
        BadOption: it fails; it draws random numbers; or it does more to the values of a constant picture than to scale
            and shift each channel, so that black and white mean nothing to the network.
    """
    noise = np.random.default_rng(0).integers(0, 256, (_SIZES[0][1], _SIZES[0][0], 3), dtype=np.uint8)
    first, second = (applied(transform, Image.fromarray(noise)) for _ in range(2))
    if not torch.equal(first, second):
        raise BadOption(
            "The function given as preprocess makes something else of the same picture each time. Explain with the "
            "preprocessing of the evaluation, which crops and turns nothing at random."
        )
    shapes = [tuple(first.shape), tuple(applied(transform, Image.new("RGB", _SIZES[1])).shape)]
    black, grey, white = (_level(transform, level) for level in (0, 51, 255))
    std = 1 / (white - black)
    if len(black) not in (1, 3) or not bool(((grey - black) * std - 0.2).abs().max() < _ROUNDING / 255):
        raise BadOption(
            "The function given as preprocess does not scale and shift the values of each channel, one or three in "
            "all, so what is black to the network is not known. Give explain() the tensors that it makes."
        )
    mean = tuple(round(value, _DIGITS) + 0.0 for value in (-black * std).tolist())
    size = (shapes[0][1], shapes[0][2]) if shapes[0] == shapes[1] else None
    return Preprocess(
        size, None, mean=mean, std=tuple(round(value, _DIGITS) for value in std.tolist()), transform=transform
    )


def _level(transform: Callable[..., Any], level: int) -> Tensor:
    """What a picture of one level of grey becomes in its middle, float64 `[channel]`."""
    made = applied(transform, Image.new("RGB", _SIZES[0], (level,) * 3))
    return made[:, made.shape[1] // 2, made.shape[2] // 2].double()


def part_shown(preprocess: Preprocess, size: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """Which part of a picture of so many pixels, width and height, the function shows: in pixels, to about a tenth.

    None where it is no rectangle of the picture, upright and whole: turned, mirrored, framed or warped pictures.
    """
    return _part_shown(_Same(preprocess), size)


class _Same:
    """A preprocessing as a key of what is remembered: equal to itself only, as functions may have no hash."""

    def __init__(self, preprocess: Preprocess) -> None:
        self.preprocess = preprocess

    def __hash__(self) -> int:
        return id(self.preprocess.transform)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.preprocess.transform is self.preprocess.transform


@lru_cache(maxsize=64)
def _part_shown(key: _Same, size: tuple[int, int]) -> tuple[float, float, float, float] | None:
    width, height = size
    across = _line(_seen(key.preprocess, size, 1), width)
    down = _line(_seen(key.preprocess, size, 0).T, height)
    if across is None or down is None:
        return None
    return across[0], down[0], across[1], down[1]


def _seen(preprocess: Preprocess, size: tuple[int, int], axis: int) -> NDArray[np.float64]:
    """How far along the axis, 0 to 1, each place of the input lies on the picture, `[row, column]`."""
    width, height = size
    low, high = _RAMP
    length = size[1 - axis]
    ramp = np.round(low + (high - low) * (np.arange(length) + 0.5) / length).astype(np.uint8)
    plane = np.broadcast_to(ramp if axis else ramp[:, None], (height, width))
    made = applied(preprocess.transform or _nothing, Image.fromarray(np.repeat(plane[:, :, None], 3, axis=2)))
    levels = 255 * preprocess.denormalise(made).mean(0).double().numpy()
    seen: NDArray[np.float64] = (levels - low) / (high - low)
    return seen


def _nothing(image: Image.Image) -> Any:
    return image


def _line(seen: NDArray[np.float64], length: int) -> tuple[float, float] | None:
    """First and last edge on the picture where places lie evenly along the second axis and alike along the first."""
    cells = seen.shape[1]
    margin = min(max(1, cells // 16), (cells - 1) // 2)  # where a filter reaches beyond the picture its edge repeats
    centres = np.arange(cells) + 0.5
    middle = slice(margin, cells - margin)
    if cells - 2 * margin < 2:
        return None
    slope, start = np.polyfit(centres[middle], seen.mean(0)[middle], 1)
    off = np.abs(seen[:, middle] - (start + slope * centres[middle])).max()
    first, last = start * length, (start + slope * cells) * length
    tolerance = max(_OUTSIDE, _OUTSIDE * length / cells)
    if off > _LEVEL / (_RAMP[1] - _RAMP[0]) or slope <= 0 or first < -tolerance or last > length + tolerance:
        return None
    return (
        0.0 if first < _NEAR else float(first),
        float(length) if last > length - _NEAR else float(last),
    )
