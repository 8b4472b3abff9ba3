"""The magnitude spectrum of one's own kind of picture, for MACO: measured on a folder, kept in a file with its card."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F

from pellucid.contracts import Preprocess
from pellucid.errors import BadOption, BadPicture
from pellucid.feature_visualisation.colours import decorrelate
from pellucid.jobs import Failure, over
from pellucid.numerics import resize_picture
from pellucid.pictures import find_pictures, prepare
from pellucid.storage import provenance
from pellucid.storage.atomic import complete


@dataclass(frozen=True)
class SpectrumCard:
    """What has to be known about a spectrum.

    Attributes:
        pictures: how many were measured.
        size: rows and columns at which they were.
        channels: 1 is grey; 3 are independent colours, see `colours.py`; others are taken as they are.
        slope: of log power over log frequency; photographs have about -2.
        source: what was measured.
        created: when.
        versions: of everything that can change a number.
        failed: pictures that could not be read, and why.
    """

    pictures: int
    size: tuple[int, int]
    channels: int
    slope: float
    source: list[str]
    created: str = field(default_factory=provenance.now)
    versions: dict[str, str] = field(default_factory=provenance.versions)
    failed: dict[str, str] = field(default_factory=dict)


def build_spectrum(
    sources: Sequence[str],
    *,
    side: int = 256,
    grey: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[Tensor, SpectrumCard]:
    """The mean magnitude of the spectra of pictures.

    Each picture's central square, its mean taken off, under a Hann window, so that its border does not count as an
    edge. Three channels become independent colours first.

    Args:
        sources: pictures, folders, and `.npy` arrays `[channel, row, column]` (or folders of them) of any number of
            channels.
        side: of the square, in pixels; smaller pictures are enlarged, which leaves high frequencies empty.
        grey: make colour pictures grey.
        progress: function that is called with (what, pictures done, pictures in all).

    Returns:
        The magnitude `[channel, row, column // 2 + 1]`, largest 1, and the card.

    Raises:
        BadOption: none could be read, or they have different numbers of channels.
    """
    if side < 16:
        raise BadOption(f"Expected a side of 16 pixels at least, got {side}.")
    names = [name for source in sources for name in _expanded(source)]
    measured = _Sum(lambda name: _magnitude(_read(name, side, grey=grey)), len(names), progress)
    outcome = over(names, measured.look, each=measured.enter)
    if outcome.interrupted is not None:
        raise outcome.interrupted
    failed = {failure.input: str(failure.error) for failure in outcome.failed}
    total = measured.total
    if total is None or not bool(total.any()):
        raise BadOption(f"No picture with any contrast could be read in {', '.join(map(repr, sources))}.")
    total[:, 0, 0] = total[:, [0, 1, -1], [1, 0, 0]].mean(1)  # the mean was taken off; its neighbours stand for it
    magnitude = (total / total.max()).float()
    card = SpectrumCard(
        len(names) - len(failed),
        (side, side),
        len(magnitude),
        _slope_of_magnitude(magnitude),
        list(sources),
        failed=failed,
    )
    return magnitude, card


class _Sum:
    """Magnitudes added up one by one; none is kept for a later call, since a picture is read as fast as a magnitude.

    Args:
        measure: gives the magnitude of a picture.
        pictures: number of pictures.
        progress: as in `build_spectrum`.
    """

    def __init__(
        self, measure: Callable[[str], Tensor], pictures: int, progress: Callable[[str, int, int], None] | None
    ) -> None:
        self.measure, self.pictures, self.progress = measure, pictures, progress
        self.total: Tensor | None = None
        self.last = torch.empty(0)
        self.count = 0

    def look(self, name: str) -> str:
        """Measure a picture; its name is all that the loop has to keep."""
        self.last = self.measure(name)
        return name

    def enter(self, found: str | Failure[str]) -> None:
        """Add what was measured last.

        Raises:
            BadOption: it has another number of channels than those before it, so that no sum means anything.
        """
        self.count += 1
        if not isinstance(found, Failure):
            known, given = self.total, self.last
            if known is not None and len(known) != len(given):
                raise BadOption(f"{found!r} has {len(given)} channels, those before it have {len(known)}.")
            self.total = given if known is None else known + given
        if self.progress:
            self.progress("pictures", self.count, self.pictures)


def _magnitude(picture: Tensor) -> Tensor:
    """Of the spectrum of a square picture without its mean, under a window, `[channel, row, column // 2 + 1]`."""
    window = torch.hann_window(picture.shape[2], periodic=False)
    centred = (picture - picture.mean((1, 2), keepdim=True)) * window[:, None] * window
    magnitude: Tensor = torch.fft.rfft2(centred.double()).abs()
    return magnitude


def save_spectrum(magnitude: Tensor, card: SpectrumCard, path: Path) -> Path:
    """Write a .safetensors file; the card is in its metadata.

    Raises:
        BadOption: another ending, or the place cannot be written to.
    """
    if path.suffix != ".safetensors":
        raise BadOption(f"Expected a file that ends in .safetensors for the spectrum, got {str(path)!r}.")
    with complete(path.parent) as staging:
        (staging / path.name).write_bytes(save({"magnitude": magnitude}, {"card": json.dumps(asdict(card))}))
    return path


def read_spectrum(path: str | Path) -> tuple[Tensor, dict[str, object]]:
    """The magnitude that `pellucid spectrum build` wrote, `[channel, row, column // 2 + 1]`, and its card.

    Raises:
        BadOption: no such file, or another kind of file.
    """
    try:
        with safe_open(str(Path(path).expanduser()), "pt") as file:
            return file.get_tensor("magnitude"), json.loads((file.metadata() or {})["card"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise BadOption(f"{str(path)!r} is no spectrum from `pellucid spectrum build`: {error}.") from error


def resized_spectrum(magnitude: Tensor, size: tuple[int, int]) -> Tensor:
    """A spectrum for another size of picture: frequencies keep their place in cycles per pixel.

    Below the lowest frequency that was measured, that one stands for the rest.
    """
    rows = magnitude.shape[1]
    columns = 2 * (magnitude.shape[2] - 1)
    whole = torch.fft.fftshift(magnitude, dim=1)[None]
    down = torch.fft.fftfreq(size[0]) * rows + rows // 2
    across = torch.fft.rfftfreq(size[1]) * columns
    grid = torch.stack(torch.meshgrid(across / (columns / 2) * 2 - 1, down / (rows - 1) * 2 - 1, indexing="xy"), -1)
    sampled = F.grid_sample(whole, grid[None].to(magnitude), "bilinear", "border", align_corners=True)
    return sampled[0]


def _expanded(source: str) -> list[str]:
    folder = Path(source).expanduser()
    arrays = sorted(folder.glob("*.npy")) if folder.is_dir() else []
    if arrays:
        return [str(path) for path in arrays]
    return [found.source for found in find_pictures([str(folder) if "~" in source else source])]


def _read(name: str, side: int, *, grey: bool) -> Tensor:
    """The central square, `[channel, row, column]`."""
    if name.endswith(".npy"):
        return _array(name, side)
    channels = 1 if grey else 3
    plain = Preprocess((side, side), side, mean=(0.0,) * channels, std=(1.0,) * channels)
    picture = prepare(name, plain).tensor
    return decorrelate(picture[None])[0]


def _array(name: str, side: int) -> Tensor:
    try:
        values = np.load(name, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise BadPicture(f"{name!r} cannot be read as an array: {error}.") from error
    if values.ndim != 3 or min(values.shape[1:]) < 2 or not np.isfinite(values).all():
        raise BadPicture(f"{name!r} is no array [channel, row, column] of finite numbers: {list(values.shape)}.")
    rows, columns = values.shape[1:]
    factor = side / min(rows, columns)
    picture = torch.from_numpy(values.astype(np.float32))[None]
    grown = resize_picture(picture, (max(side, round(rows * factor)), max(side, round(columns * factor))))
    top, left = (grown.shape[2] - side) // 2, (grown.shape[3] - side) // 2
    return decorrelate(grown[:, :, top : top + side, left : left + side])[0]


def spectrum_slope(picture: Tensor) -> float:
    """Slope of log power over log frequency of a picture `[channel, row, column]`; photographs have about -2."""
    grey = picture.mean(0) - picture.mean()
    down, across = (torch.fft.fftfreq(n) * n for n in grey.shape)
    power = torch.fft.fft2(grey).abs().square()
    return _slope(power, torch.hypot(down[:, None], across[None]), min(grey.shape) // 4)


def _slope_of_magnitude(magnitude: Tensor) -> float:
    """The same of the magnitude of square pictures' spectra, `[channel, row, column // 2 + 1]`."""
    rows = magnitude.shape[1]
    down = torch.fft.fftfreq(rows) * rows
    radius = torch.hypot(down[:, None], torch.arange(magnitude.shape[2])[None])
    return _slope(magnitude.square().mean(0), radius, rows // 4)


def _slope(power: Tensor, radius: Tensor, most: int) -> float:
    """By least squares over rings, from 2 cycles to half of the resolution, `most`."""
    rings, ring = range(2, most + 1), radius.round()
    x = torch.tensor([math.log(r) for r in rings])
    y = torch.tensor([math.log(max(float(power[ring == r].mean()), 1e-30)) for r in rings])
    x = x - x.mean()
    return float((x * (y - y.mean())).sum() / x.square().sum())
