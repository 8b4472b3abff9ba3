"""Signals from files: `.npy` and `.npz` arrays, columns of text, WAV."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid.contracts import Sample
from pellucid.errors import BadOption, BadSample
from pellucid.modalities.arrays import read_array
from pellucid.modalities.columns import read_columns
from pellucid.modalities.modality import SampleRef

Read = tuple[NDArray[Any], tuple[str, ...], float | None, tuple[str, ...]]
"""Numbers `[channel, time]`, names of the channels, samples per second where the file says it, notes."""


def read(part: SampleRef) -> Sample:
    """A file or tensor as a signal.

    Raises:
        BadSample: it is none, or its sample rate is 0.
        BadOption: a sample rate that cannot be, or another than the file's own.
    """
    asked = part.options.get("rate")
    if asked is not None and not 0 < asked < float("inf"):
        raise BadOption(f"Expected a sample rate above 0, in samples per second, got {asked:g}.")
    if isinstance(part.source, Tensor):
        return _sample(part, part.source, (), asked, ())
    path = Path(part.source)
    reader = next((each for suffix, each in _READERS.items() if path.name.lower().endswith(suffix)), None)
    if reader is None:
        raise BadSample(f"{part.name!r} is no file of signals: expected {', '.join(SUFFIXES)}.")
    numbers, channels, rate, notes = reader(path)
    if rate is not None and asked not in (None, rate):
        raise BadOption(f"{part.name!r} says itself that it has {rate:g} samples per second, not {asked:g}.")
    numbers = numbers.astype(np.float32) if numbers.dtype.itemsize < 4 or numbers.dtype.kind in "iu" else numbers
    return _sample(part, torch.from_numpy(np.ascontiguousarray(numbers)), channels, rate or asked, notes)


def _sample(
    part: SampleRef, numbers: Tensor, channels: tuple[str, ...], rate: float | None, notes: tuple[str, ...]
) -> Sample:
    if numbers.ndim not in (1, 2):
        raise BadSample(f"Expected [time] or [channel, time] in {part.name!r}, got {list(numbers.shape)}.")
    file = {} if isinstance(part.source, Tensor) else {"file": Path(part.source).name}
    known = {**file, **({} if rate is None else {"rate": float(rate), "units": {"time": (1 / rate, "s")}})}
    return Sample(part.name, part.kind, numbers.reshape(-1, numbers.shape[-1]), ("time",), channels, known, None, notes)


def _array(path: Path) -> Read:
    """An array of numpy's."""
    return read_array(path), (), None, ()


def _columns(path: Path) -> Read:
    """Columns of text, one for each channel."""
    titles, numbers = read_columns(path)
    return numbers.T, titles, None, ()


def _sound(path: Path) -> Read:
    """A WAV file; integers become -1 to 1."""
    from scipy.io import wavfile

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wavfile.WavFileWarning)  # chunks that hold no sound
        rate, numbers = wavfile.read(path)
    if rate == 0:
        raise BadSample(f"{path.name!r} says that it has 0 samples per second. Write its sample rate into it.")
    if numbers.size == 0:
        raise BadSample(f"{path.name!r} is empty: it has 0 frames.")
    kind, notes = numbers.dtype, tuple[str, ...]()
    if kind.kind == "u":
        numbers, notes = (numbers.astype(np.float32) - 128) / 128, ("8-bit integers: 128 is 0, divided by 128",)
    elif kind.kind == "i":
        full = float(2 ** (8 * kind.itemsize - 1))
        said = f"{8 * kind.itemsize}-bit integers, divided by {full:.0f}"
        numbers, notes = (numbers / full).astype(np.float32), (said,)
    return numbers.reshape(len(numbers), -1).T, (), float(rate), notes


_READERS: Mapping[str, Callable[[Path], Read]] = {
    ".csv": _columns, ".tsv": _columns, ".npy": _array, ".npz": _array, ".wav": _sound,
}  # fmt: skip
SUFFIXES = tuple(_READERS)
"""Endings of its files."""
