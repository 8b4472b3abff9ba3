"""Preprocessing from separate values, checked once."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from pellucid.contracts import Model, Preprocess
from pellucid.errors import BadOption

INTERPOLATIONS = ("bicubic", "bilinear", "lanczos", "nearest")
CROP = 0.875
"""Side of the central crop as a fraction of the resized picture, where nothing else is known: 224 of 256."""

LARGEST = 30_000
"""Pixels on a side: more than any network takes, and a batch of one still fits in a large machine's memory."""

Auto = Literal["auto"]


def preprocessing_of(model: Model) -> Preprocess:
    """The model's preprocessing.

    Raises:
        BadOption: it has none.
    """
    if model.preprocess is None:
        raise BadOption(
            f"{model.name} has no preprocessing, so it can explain tensors only. Say how pictures reach it: "
            "pellucid.wrap(module, size=224, mean=..., std=...), or --size, --mean and --std."
        )
    return model.preprocess


def nominal_size(preprocess: Preprocess) -> tuple[int, int]:
    """Rows and columns of the model's input, or, where it takes any, of a picture as it often gets."""
    if preprocess.size is not None:
        return preprocess.size
    return (480, 640) if preprocess.resize is None else (preprocess.resize, preprocess.resize)


def preprocess_with(
    base: Preprocess | None,
    size: int | tuple[int, int] | None = None,
    resize: int | Auto | None = "auto",
    interpolation: str | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
) -> Preprocess | None:
    """`base` with what is given put in its place; None when there is nothing to start from.

    Args:
        base: the model's own preprocessing, or None.
        size: rows and columns of the model's input, or one number for both, in pixels.
        resize: shorter side before the central crop, in pixels; None squeezes the whole picture; "auto" keeps the
            base's ratio of crop to picture (7/8 without a base, and no crop when `size` is not square).
        interpolation: bicubic, bilinear, lanczos or nearest.
        mean: mean per channel, for values between 0 and 1; one number is grey. Without a base and not given: no
            normalisation, RGB.
        std: standard deviation per channel.

    Raises:
        BadOption: a value out of range, or values without a size where there is no base.
    """
    given: dict[str, Any] = {
        "interpolation": interpolation, "mean": _per_channel("mean", mean), "std": _per_channel("std", std)
    }  # fmt: skip
    changes = {name: value for name, value in given.items() if value is not None}
    if base is not None and base.transform is not None and (changes or size is not None or resize != "auto"):
        raise BadOption(
            "Got a function as preprocess and separate values beside it, which it does not know. Give the function "
            "alone, or size, resize, interpolation, mean and std."
        )
    if size is None and base is None:
        if changes or resize not in ("auto", None):
            raise BadOption(
                f"Got {', '.join(changes) or 'resize'} but no size: how large is the model's input, in pixels?"
            )
        return None
    if size is not None:
        changes["size"] = _sides(size)
        changes["resize"] = _resize(base, changes["size"])
    if resize != "auto":
        changes["resize"] = resize
    return checked(replace(base or _plain(changes), **changes))


def _plain(given: Mapping[str, Any]) -> Preprocess:
    """No normalisation, of as many channels as what is given has."""
    channels = len(given.get("mean", given.get("std", (0.0,) * 3)))
    return Preprocess(mean=(0.0,) * channels, std=(1.0,) * channels)


def _per_channel(name: str, given: Any) -> tuple[float, ...] | None:
    """Mean or std as numbers; a single one is that of a grey model."""
    if given is None:
        return None
    try:
        several = hasattr(given, "__len__") and getattr(given, "shape", None) != ()
        return tuple(n if type(n) in (int, float) else float(n) for n in (given if several else (given,)))
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadOption(f"Expected one number per channel as {name}, or one for grey, got {given!r:.80}.") from error


def _sides(given: Any) -> tuple[int, ...]:
    """Rows and columns; `checked` says what they may be."""
    try:
        return tuple(map(operator.index, given)) if isinstance(given, list | tuple) else (operator.index(given),) * 2
    except TypeError as error:
        raise BadOption(f"The input size is one or two positive numbers of pixels, got {given!r:.80}.") from error


def _resize(base: Preprocess | None, size: tuple[int, ...]) -> int | None:
    if base is None:
        return round(size[0] / CROP) if len(set(size)) == 1 else None
    return None if base.resize is None or base.size is None else round(base.resize * min(size) / min(base.size))


def checked(value: Preprocess) -> Preprocess:
    """The same; values that no picture could be prepared with are refused.

    Raises:
        BadOption: there is such a value.
    """
    if value.size is not None and (len(value.size) != 2 or not all(isinstance(n, int) and n > 0 for n in value.size)):
        raise BadOption(f"The input size is one or two positive numbers of pixels, got {value.size}.")
    if value.size is not None and max(value.size) > LARGEST:
        raise BadOption(f"The input size is at most {LARGEST:,} pixels on a side, got {max(value.size):,}.")
    if value.resize is not None and (not isinstance(value.resize, int) or value.resize < 1):
        raise BadOption(f"The resized side is a positive number of pixels, got {value.resize}.")
    if value.resize is not None and value.resize > LARGEST:
        raise BadOption(f"The resized side is at most {LARGEST:,} pixels, got {value.resize:,}.")
    if value.interpolation not in INTERPOLATIONS:
        raise BadOption(f"Interpolation is one of {', '.join(INTERPOLATIONS)}; got {value.interpolation!r}.")
    if len(value.mean) != len(value.std) or len(value.mean) not in (1, 3):
        raise BadOption(
            f"Mean and std have one number per channel, 1 or 3 each; got {len(value.mean)} and {len(value.std)}."
        )
    if not all(0 < deviation < math.inf for deviation in value.std):
        raise BadOption(f"Every std is above 0, got {value.std}.")
    if not all(map(math.isfinite, value.mean)):
        raise BadOption(f"Every mean is a finite number, got {value.mean}.")
    return value
