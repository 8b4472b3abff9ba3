"""XRAI: which regions of the picture matter, best first."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid.contracts import Evidence, Maps, Method, Passes, ProbeLike, Reference
from pellucid.errors import MissingExtra
from pellucid.methods._paths import along_lines, plain_gradient, read_baselines
from pellucid.numerics import CHANNEL, resize_picture

_SCALES = (50, 100, 150, 250, 500, 1200)
_SIDE = 224
"""Segments are sought in a picture of this many rows and columns, whatever the model's input, as their scales and
sizes (in its pixels) were set for it: the smallest segment, its smallest gain, and by how much it is widened."""
_SMALLEST, _GAIN, _WIDEN = 150, 50, 5

Mask = NDArray[np.bool_]


def xrai(image: Maps, probe: ProbeLike, *, steps: int = 50, baseline: float | str | Tensor = "black,white") -> Evidence:
    """Integrated gradients gathered into regions of the picture, from the most to the least important.

    Segments come from Felzenszwalb's graph-based segmentation at six scales, widened so that they hold their edges.
    Starting from nothing, the segment is added whose new pixels have the largest mean attribution, again and again;
    that mean is the value of these pixels. Attribution is the mean of integrated gradients over the baselines, of which
    each pixel takes its largest channel. What no segment covers gets its own mean.

    Args:
        image: I, `[batch, channel, row, column]`.
        probe: access to the network, asked for the gradient on the ways.
        steps: points on each way.
        baseline: start of the way, as in `integrated-gradients`.

    Returns:
        raw `[batch, row, column]` at the size of the input, signed, constant in each region; extras `regions` of the
        same shape: the rank of each pixel's region, 1 the most important.

    Raises:
        BadOption: no steps, or another baseline.
        MissingExtra: scikit-image is not installed.
    """
    starts, notes = read_baselines(METHOD.id, baseline, image, probe)
    attribution = along_lines(METHOD.id, image, probe, starts, steps, plain_gradient).amax(CHANNEL)
    densities = attribution.double().cpu().numpy()
    ranked = [_rank(_segments(picture), density) for picture, density in zip(image, densities, strict=True)]
    values, regions = (torch.from_numpy(np.stack(part)).to(image.device) for part in zip(*ranked, strict=True))
    return Evidence(values.to(image.dtype), extras={"regions": regions}, notes=notes)


def _segments(picture: torch.Tensor) -> list[Mask]:
    """Masks `[row, column]` of all segments at all scales; they overlap."""
    try:
        from skimage.morphology import dilation, disk
        from skimage.segmentation import felzenszwalb
    except ImportError as error:
        raise MissingExtra("xrai seeks segments with scikit-image: pip install scikit-image.") from error
    size = (picture.shape[1], picture.shape[2])
    low, high = picture.min(), picture.max()
    stretched = (picture.float() - low) / (high - low).clamp(min=torch.finfo(torch.float32).tiny) * 2 - 1
    large = resize_picture(stretched[None].float(), (_SIDE, _SIDE))[0]
    pixels = np.asarray(large.permute(1, 2, 0).double().cpu())
    down, across = (((np.arange(length) + 0.5) * _SIDE / length).astype(int) for length in size)
    widen: Mask = disk(round(_WIDEN * min(size) / _SIDE))  # type: ignore[no-untyped-call]
    masks: list[Mask] = []
    for scale in _SCALES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of more than three channels, which are meant
            labels = felzenszwalb(pixels, scale=scale, sigma=0.8, min_size=_SMALLEST, channel_axis=-1)
        small = labels[down][:, across]
        masks += [dilation(small == label, widen) for label in np.unique(small)]
    return masks


def _rank(masks: list[Mask], attribution: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Value and rank of every pixel, by greedy choice of the mask whose new pixels have the largest mean."""
    least = max(1, round(_GAIN * attribution.size / _SIDE**2))
    flat = attribution.ravel()
    left = np.stack([mask.ravel() for mask in masks])
    sizes, sums = left.sum(1), left @ flat
    values, ranks = np.zeros_like(flat), np.zeros(flat.size, dtype=np.int64)
    for rank in range(1, len(masks) + 1):
        left, sums, sizes = (part[sizes >= least] for part in (left, sums, sizes))
        if not len(left):
            break
        new = left[(sums / sizes).argmax()].copy()
        values[new], ranks[new] = flat[new].mean(), rank
        lost = left[:, new]
        sizes, sums = sizes - lost.sum(1), sums - lost @ flat[new]
        left[:, new] = False
    rest = ranks == 0
    if rest.any():
        values[rest], ranks[rest] = flat[rest].mean(), ranks.max() + 1
    return values.reshape(attribution.shape), ranks.reshape(attribution.shape)


METHOD = Method(
    xrai,
    id="xrai",
    title="XRAI",
    reference=Reference("arXiv:1906.02825", "algorithm 1"),
    caveat="Regions come from the picture's colours alone: an object that the segmentation does not see has no region.",
    passes=Passes("steps", 2, 2, shared=False),
)
