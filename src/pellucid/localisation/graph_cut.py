"""Saliency and graph cut: a map says where to learn the colours, a cut does the rest (arXiv:1312.6034, section 3.2).

The energy of a labelling of the pixels is that of Boykov & Jolly (ICCV 2001), whom the paper cites for it, with the
contrast term of GrabCut (Rother et al. 2004, eq. 11):

    E = sum_n -log p(z_n | label_n) + gamma * sum_(m,n), labels differ, |m - n|^-1 exp(-beta |z_m - z_n|^2)

with z the colours, (m, n) all pairs of neighbours of eight, beta = 1 / (2 mean |z_m - z_n|^2), and p a Gaussian mixture
for either label. As in Boykov & Jolly the pixels that the models are learned from keep their label. The minimum is
found exactly, as a minimum cut.

The paper leaves open how grainy a gradient may be and how much an edge counts. Here the map is blurred first, as
TorchRay blurs gradients for the pointing game (arXiv:1910.08485), and gamma is that of GrabCut; both were chosen on one
half of the composites of `pellucid.data.stamps`, and docs/localisation.md reports the other half.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pellucid.numerics import Mask
from pellucid.seeds import SCIKIT, seed_below

Floats = NDArray[np.float64]

_STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))
_SAMPLE = 4000
"""Pixels that a colour model is learned from, at most; drawn evenly over the picture."""
_CERTAIN = 9.0
"""No pixel's colour counts more than so many times gamma: more than all its neighbours together."""
_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Colours:
    """How the colour models are learned and weighed.

    Attributes:
        foreground: pixels from this quantile of the map on are what the object's colours are learned from.
        blur: standard deviation of the blur of the map, as a share of the picture's longer side.
        background: pixels up to this quantile are what the background's are.
        mixture: Gaussians in each model.
        gamma: weight of the contrast term; 50 as in GrabCut. The paper names none.
        seed: of the mixtures' beginnings.
    """

    foreground: float = 0.95
    background: float = 0.30
    blur: float = 0.02
    mixture: int = 5
    gamma: float = 50.0
    seed: int = 0


def graph_cut(pixels: NDArray[np.uint8], saliency: Floats, colours: Colours | None = None) -> Mask:
    """The pixels whose colours are those of the salient ones, cut along edges of the picture.

    Args:
        pixels: `[row, column, 3]`.
        saliency: `[row, column]`, not negative.
        colours: how the colour models are made.

    Returns:
        `[row, column]`, True for foreground; all False when the map does not tell two sets of pixels apart.
    """
    colours = colours or Colours()
    z = pixels.astype(np.float64) / 255
    high, low = seeds(ndimage.gaussian_filter(saliency, colours.blur * max(saliency.shape)), colours)
    if not high.any() or not low.any():
        return np.zeros(saliency.shape, bool)
    inside, outside = (_surprise(z[where], z, colours) for where in (high, low))
    preference = inside - outside
    preference[high], preference[low] = -np.inf, np.inf
    return minimum_cut(preference, contrasts(z, colours.gamma), _CERTAIN * colours.gamma)


def seeds(saliency: Floats, colours: Colours) -> tuple[Mask, Mask]:
    """The pixels from which the two colour models are learned; no pixel is in both."""
    high = saliency >= np.quantile(saliency, colours.foreground)
    low = (saliency <= np.quantile(saliency, colours.background)) & ~high
    return high, low


def contrasts(z: Floats, gamma: float) -> list[Floats]:
    """Weight of each pair of neighbours: right, below, below right, below left; `[row, column]` of the first one."""
    differences = [((_second(z, step) - _first(z, step)) ** 2).sum(-1) for step in _STEPS]
    mean = np.concatenate([d.ravel() for d in differences]).mean()
    beta = 0.5 / mean if mean > 0 else 0.0
    return [gamma * np.exp(-beta * d) / np.hypot(*step) for d, step in zip(differences, _STEPS, strict=True)]


def minimum_cut(preference: Floats, weights: list[Floats], most: float) -> Mask:
    """The labelling of least energy.

    Args:
        preference: cost of foreground minus cost of background for each pixel, `[row, column]`.
        weights: as `contrasts` gives them: the cost of parting each pair of neighbours.
        most: costs beyond are cut to it.

    Returns:
        `[row, column]`, True for foreground; the smaller foreground where several labellings cost the same.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    shape, count = preference.shape, preference.size
    number = np.arange(count).reshape(shape)
    wish = np.clip(preference, -most, most).ravel()
    source, sink = count, count + 1
    starts = [_first(number, step).ravel() for step in _STEPS]
    ends = [_second(number, step).ravel() for step in _STEPS]
    a, b, between = (np.concatenate(parts) for parts in (starts, ends, [w.ravel() for w in weights]))
    for_it, against = np.maximum(-wish, 0), np.maximum(wish, 0)
    rows = np.concatenate([a, b, np.full(count, source), number.ravel()])
    columns = np.concatenate([b, a, number.ravel(), np.full(count, sink)])
    costs = np.concatenate([between, between, for_it, against])
    # The solver counts in 32-bit integers: no single cost and not the whole flow may exceed them.
    limit = max(for_it.sum(), costs.max(), 1e-12)
    capacity = np.floor(costs * min(1000.0, 0.99 * _LARGEST / limit)).astype(np.int32)
    graph = csr_matrix((capacity, (rows, columns)), shape=(count + 2, count + 2))
    left = graph - maximum_flow(graph, source, sink).flow
    left.eliminate_zeros()
    reached = np.zeros(count + 2, bool)
    reached[breadth_first_order(left, source, return_predecessors=False)] = True
    return np.asarray(reached[:count].reshape(shape))


def _first(values: NDArray[Any], step: tuple[int, int]) -> NDArray[Any]:
    """The first pixel of each pair that lies `step` apart."""
    down, across = step
    rows = values[: values.shape[0] - down]
    return rows[:, : values.shape[1] - across] if across >= 0 else rows[:, -across:]


def _second(values: NDArray[Any], step: tuple[int, int]) -> NDArray[Any]:
    down, across = step
    rows = values[down:]
    return rows[:, across:] if across >= 0 else rows[:, :across]


def _surprise(colours: Floats, every: Floats, how: Colours) -> Floats:
    """-log p of all colours `[row, column, 3]` under a mixture learned from some, `[n, 3]`."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    sample = colours[np.linspace(0, len(colours) - 1, min(_SAMPLE, len(colours))).round().astype(int)]
    count = min(how.mixture, len(np.unique(sample, axis=0)))
    if len(sample) == 1:
        sample = np.repeat(sample, 2, axis=0)
    mixture = GaussianMixture(count, reg_covar=1e-4, random_state=seed_below(SCIKIT, how.seed), max_iter=50)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a colour model need not be fitted to the last digit
        mixture.fit(sample)
    return np.asarray(-mixture.score_samples(every.reshape(-1, 3)).reshape(every.shape[:2]))
