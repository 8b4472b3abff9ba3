"""Videos from files, by PyAV, and from folders of pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pellucid.contracts import AxisName, Sample
from pellucid.errors import BadOption, BadSample
from pellucid.extras import library
from pellucid.modalities.modality import SampleRef
from pellucid.modalities.painting import evenly
from pellucid.pictures import SUFFIXES as PICTURES
from pellucid.pictures import decode

SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg")
"""Endings of its files."""
NAMES: tuple[AxisName, ...] = ("frame", "row", "column")
_MOST = 2**28
"""Numbers that are held: 1 GiB."""
STATISTICS = {
    "kinetics": ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Means and standard deviations of red, green and blue from 0 to 1."""


def parts(source: str | Path, options: Mapping[str, Any]) -> Sequence[SampleRef]:
    """A file is one video. A folder stands for the videos in it; without any, its pictures are the frames of one."""
    path = Path(source)
    files = sorted(each for each in path.iterdir() if each.suffix.lower() in SUFFIXES) if path.is_dir() else []
    return [SampleRef(each.name, str(each), "video", options) for each in files or [path]]


def read(part: SampleRef) -> Sample:
    """A file, a folder of pictures or a tensor as a video `[channel, frame, row, column]`, red, green and blue 0 to 1.

    Raises:
        BadSample: it is none, or has no frames.
        BadOption: a size, number of frames or normalisation that cannot be.
        MissingExtra: PyAV is not installed.
    """
    said = {name: value for name, value in part.options.items() if value is not None}
    _check(said)
    if isinstance(part.source, Tensor):
        if part.source.ndim != 4:
            raise BadSample(f"Expected [channel, frame, row, column] in {part.name!r}, got {list(part.source.shape)}.")
        return Sample(part.name, part.kind, part.source, NAMES, (), said)
    path = Path(part.source)
    if not path.exists():
        raise FileNotFoundError(path)
    frames, times, total = (_folder if path.is_dir() else _film)(path, said)
    numbers = torch.from_numpy(frames).permute(3, 0, 1, 2).float() / 255
    if name := said.get("normalise"):
        mean, std = (torch.tensor(each)[:, None, None, None] for each in STATISTICS[name])
        numbers = (numbers - mean) / std
    taken = (f"{len(frames)} of {total} frames, evenly spaced",) if len(frames) < total else ()
    known = {"file": path.name, **said, "times": times, **_steps(times, known=not path.is_dir() or "fps" in said)}
    return Sample(part.name, part.kind, numbers.contiguous(), NAMES, ("red", "green", "blue"), known, None, taken)


def _check(said: Mapping[str, Any]) -> None:
    if said.get("frames", 1) < 1:
        raise BadOption(f"Expected at least 1 frame, got {said['frames']}.")
    if not 0 < said.get("fps", 1.0) < float("inf"):
        raise BadOption(f"Expected frames per second above 0, got {said['fps']:g}.")
    if (name := said.get("normalise")) is not None and name not in STATISTICS:
        raise BadOption(f"Expected {' or '.join(STATISTICS)} as normalise, got {name!r}.")
    _size(said)


def _size(said: Mapping[str, Any]) -> tuple[int, int] | None:
    """Rows and columns that were asked for."""
    if (text := said.get("frame_size")) is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if found is None:
        raise BadOption(f"Expected ROWSxCOLUMNS as frame_size, such as 112x112, got {text!r}.")
    return int(found[1]), int(found[2])


def _steps(times: Sequence[float], *, known: bool) -> dict[str, Any]:
    """Whether times are seconds, and how far apart frames are, if all are equally far apart but for their rounding."""
    gaps = np.diff(times)
    even = known and gaps.size and np.ptp(gaps) <= 0.1 * gaps.mean()
    return {"seconds": known, **({"units": {"frame": (float(gaps.mean()), "s")}} if even else {})}


Frames = tuple[NDArray[np.uint8], tuple[float, ...], int]
"""Frames `[frame, row, column, 3]`, their times (seconds, or numbers where not known), and how many the video has."""


def _film(path: Path, said: Mapping[str, Any]) -> Frames:
    """Frames of a film. It is decoded twice: to know its frames, and to keep the wanted ones alone."""
    if not str(path).lower().endswith(SUFFIXES):
        raise BadSample(f"{path.name!r} is no video: expected {', '.join(SUFFIXES)} or a folder of pictures.")
    times = [time for time, _ in _decoded(path)]
    if not times:
        raise BadSample(f"{path.name!r} is empty: it has no frames.")
    chosen = _chosen(path, len(times), said)
    wanted, kept = set(chosen), []
    for number, (_, frame) in enumerate(_decoded(path)):
        if number in wanted:
            image = Image.fromarray(np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90))
            kept.append(_fitted(path, image, len(chosen), said))
    return np.stack(kept), tuple(times[k] for k in chosen), len(times)


def _decoded(path: Path) -> Iterator[tuple[float, Any]]:
    """Frames of the first video stream with their times from the first on."""
    av = library("av", "Videos are read with PyAV", "video")
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise BadSample(f"{path.name!r} has no pictures in it.")
        stream, first = container.streams.video[0], None
        for number, frame in enumerate(container.decode(stream)):
            time = frame.time if frame.time is not None else number / float(stream.average_rate or 1)
            first = time if first is None else first
            yield float(time - first), frame


def _folder(path: Path, said: Mapping[str, Any]) -> Frames:
    """Pictures of a folder, as people count."""
    files = [each for each in path.iterdir() if each.suffix.lower() in PICTURES and not each.name.startswith(".")]
    if not files:
        raise BadSample(f"The folder {str(path)!r} holds neither videos ({', '.join(SUFFIXES)}) nor pictures.")
    files.sort(key=lambda each: [int(x) if x.isdecimal() else x for x in re.split(r"(\d+)", each.name)])
    chosen = _chosen(path, len(files), said)
    kept: list[NDArray[np.uint8]] = []
    for k in chosen:
        frame = _fitted(path, decode(files[k])[0].convert("RGB"), len(chosen), said)
        if kept and frame.shape != kept[0].shape:
            raise BadSample(
                f"{files[k].name!r} in {path.name!r} has {frame.shape[0]} x {frame.shape[1]} pixels, the frames before "
                f"it {kept[0].shape[0]} x {kept[0].shape[1]}. Bring all to one size: frame_size='112x112'."
            )
        kept.append(frame)
    rate = said.get("fps", 1.0)
    return np.stack(kept), tuple(k / rate for k in chosen), len(files)


def _chosen(path: Path, count: int, said: Mapping[str, Any]) -> list[int]:
    """Numbers of the wanted frames."""
    wanted = said.get("frames", count)
    if wanted > count:
        raise BadOption(f"{path.name!r} has {count} frames, got frames={wanted}.")
    return evenly(count, wanted)


def _fitted(path: Path, image: Image.Image, count: int, said: Mapping[str, Any]) -> NDArray[np.uint8]:
    """A frame at the size that was asked for."""
    size = _size(said) or (image.height, image.width)
    if 3 * size[0] * size[1] * count > _MOST:
        raise BadSample(
            f"{path.name!r} is long: {count} frames of {size[0]} x {size[1]} pixels take more than 1 GiB. Take some "
            "(frames=16, --frames 16), or smaller ones (frame_size='112x112')."
        )
    if size != (image.height, image.width):
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(image)
