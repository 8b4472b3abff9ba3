"""How well Grad-CAM does at each of several layers on given pictures, and which layer to look at therefore.

Two questions, asked of every layer in the same way:

- *Does the map tell classes apart?* One minus the correlation of the top class's map with those of the next two.
- *Does the map name what counts?* The picture is cut into 14 x 14 cells, a signal into 64, a volume into 6 x 6 x 6,
  the same for all layers, so that a fine grid gets no credit for hiding speckles. The cells that the map ranks highest
  are blurred, a tenth to a half of the picture, and the class's score is compared with that after blurring as many of
  the lowest. 1 means: without the first the score is gone, without the last it is untouched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import isnan, prod

import torch
from torch import Tensor
from torch.nn import functional as F

from pellucid.capture.layers import Candidate, survey, why_recommended
from pellucid.capture.meter import ProgressMeter
from pellucid.capture.passes import PassRequest, run_passes
from pellucid.capture.probe import Probe
from pellucid.capture.running import Budget, Draws, nothing_to_look_at
from pellucid.contracts import Canvas, Map, Maps, Model, Site
from pellucid.errors import BadOption, BadSite
from pellucid.masking import fill_of
from pellucid.numerics import onto_picture, ranks, safe_divide
from pellucid.registry import find_method
from pellucid.targets import NotUnderstood, Target

_CELLS = {1: 64, 2: 14, 3: 6}
"""Along each axis, by the number of axes."""
_POOL: Mapping[int, Callable[..., Tensor]] = {
    1: F.adaptive_avg_pool1d,
    2: F.adaptive_avg_pool2d,
    3: F.adaptive_avg_pool3d,
}
_HIDDEN = (0.1, 0.2, 0.3, 0.5)
_CLASSES = 3
_MOST = 32
_AS_FAITHFUL = 0.95
"""Layers with this share of the best one's faithfulness count as equal; the classes that they tell apart decide."""


@dataclass(frozen=True)
class Trial:
    """How Grad-CAM of the top class (or object) did at one layer; means over the pictures.

    Attributes:
        discrimination: one minus the correlation of its map with those of the next two classes, 0 to 2; 0 where the map
            is empty, NaN if there is one class only.
        faithfulness: what hiding the highest cells costs of the score beyond hiding as many of the lowest, as a share
            of what blurring the whole picture costs. Negative: the map points away from what counts. NaN if the
            class's score is no smaller for the blurred picture.
    """

    discrimination: float
    faithfulness: float


@dataclass(frozen=True)
class Advice:
    """Where to look, and why.

    Attributes:
        site: the layer.
        reason: for people, as a part of a sentence.
        trials: by layer, of those that were tried.
    """

    site: Site
    reason: str
    trials: Mapping[Site, Trial]


def advise(model: Model, image: Maps, budget: Budget, meter: ProgressMeter) -> Advice:
    """Try up to 32 layers on the pictures `[batch, channel, *axes]`. Must run inside `guarded`.

    Raises:
        BadOption: the model's output is not understood, so there is nothing to judge by.
        BadSite: no layer has a grid.
    """
    meter.label = "layers"
    tried = worth_trying(survey(model, image).candidates)
    if not tried:
        raise BadSite(nothing_to_look_at(model))
    trials = _try(model, image, tried, budget, meter)
    default = next((c for c in tried if c.recommended), tried[-1])
    return Advice(*choose(trials, default), trials)


def choose(trials: Mapping[Site, Trial], default: Candidate) -> tuple[Site, str]:
    """The layer to look at, and why: of the most faithful ones the one that tells classes apart best, else the last."""
    good = {site: trial for site, trial in trials.items() if trial.faithfulness > 0}
    if not good:
        return default.site, f"faithful at none of {len(trials)} layers tried, so {why_recommended(default)}"
    best = max(trial.faithfulness for trial in good.values())
    equal = [site for site, trial in good.items() if trial.faithfulness >= _AS_FAITHFUL * best]
    site = max(reversed(equal), key=lambda s: _or(trials[s].discrimination, 0.0))
    mine = trials[site]
    costs = (
        f"blurring what Grad-CAM points at there takes {mine.faithfulness:.2f} of the class's score more than blurring "
        "as much elsewhere"
    )
    if len(equal) == 1 or isnan(mine.discrimination):
        return site, f"the most faithful of {len(trials)} layers tried: {costs}"
    return site, (
        f"of the {len(equal)} most faithful of {len(trials)} layers tried the one that tells the top classes apart "
        f"best ({mine.discrimination:.2f}): {costs} (at best {best:.2f})"
    )


def worth_trying(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The outermost layers, as deep as at most 32 of them go, and the one recommended without a picture."""
    usable = [c for c in candidates if c.influences and not c.final] or [c for c in candidates if c.recommended]
    depths = sorted({c.site.path.count(".") for c in usable})
    chosen = [c for c in usable if depths and c.site.path.count(".") <= depths[0]]
    for depth in depths[1:]:
        more = [c for c in usable if c.site.path.count(".") <= depth]
        if len(more) > _MOST:
            break
        chosen = more
    if len(chosen) > _MOST:
        chosen = [chosen[round(k * (len(chosen) - 1) / (_MOST - 1))] for k in range(_MOST)]
    return tuple(c for c in usable if c in chosen or c.recommended)


def _or(value: float, other: float) -> float:
    return other if isnan(value) else value


def _try(
    model: Model, image: Maps, tried: Sequence[Candidate], budget: Budget, meter: ProgressMeter
) -> dict[Site, Trial]:
    targets = _top_targets(model, image, meter)
    maps = _maps(model, image, tried, targets, budget, meter)
    canvas = model.canvas_of(tuple(image.shape[2:]))
    hidden = torch.stack([_hidden(each[:, 0], canvas) for each in maps.values()], 1)
    shares = _shares(model, image, targets[0], hidden, budget, meter)
    return {
        site: Trial(discrimination=_mean(_apart(each)), faithfulness=_mean(shares[:, k]))
        for k, (site, each) in enumerate(maps.items())
    }


def _top_targets(model: Model, image: Maps, meter: ProgressMeter) -> list[Target]:
    """What the model ranks first, and what comes next as far as there is anything in every picture."""
    samples = torch.arange(len(image), device=image.device)
    reading = run_passes(model, image, samples, [], PassRequest(reading=True)).reading
    meter.forward += len(image)
    if isinstance(reading, NotUnderstood):
        raise BadOption(
            f"The output of {model.name} is not understood, so layers cannot be compared by it. Name a layer."
        )
    found = [reading.top(0, model)]
    with suppress(BadOption):
        for rank in range(1, _CLASSES):
            found.append(reading.top(rank, model))
    return found


def _maps(
    model: Model,
    image: Maps,
    tried: Sequence[Candidate],
    targets: Sequence[Target],
    budget: Budget,
    meter: ProgressMeter,
) -> dict[Site, Maps]:
    """Grad-CAM before its ReLU, by layer: `[batch, class, *axes]`; a few layers at once, as memory allows."""
    tried_with = find_method("grad-cam").function
    bytes_per_layer = max(prod(c.shape) for c in tried) * 4 * (2 + len(targets))

    def run(start: int, stop: int) -> dict[Site, Maps]:
        sites = tuple(c.site for c in tried[start:stop])
        rows: list[list[Tensor]] = [[] for _ in sites]
        for k in range(len(image)):
            samples = torch.tensor([k], device=image.device)
            found = run_passes(model, image[k : k + 1], samples, targets, PassRequest(sites=sites, gradients=True))
            meter.forward += 1
            meter.backward += len(targets)
            for row, site in zip(rows, sites, strict=True):
                gradients = [found.gradient[number, site] for number in range(len(targets))]
                maps = [tried_with(found.activation[site], gradient, rectify=False) for gradient in gradients]
                row.append(torch.stack(maps, 1))
        return {site: torch.cat(row) for site, row in zip(sites, rows, strict=True)}

    parts = budget.chunks(len(tried), bytes_per_layer, run, most=len(tried))
    return {site: maps for part in parts for site, maps in part.items()}


def _hidden(maps: Map, canvas: Canvas) -> Tensor:
    """Which cells of the picture are blurred, `[batch, highest or lowest, share, *cells]`."""
    axes = maps.ndim - 1
    sides = (_CELLS[axes],) * axes
    fine = onto_picture(maps, tuple(8 * n for n in sides), canvas)
    cells, count = _POOL[axes](fine[:, None], sides).flatten(1), prod(sides)
    place = ranks(cells)
    numbers = torch.tensor([round(share * count) for share in _HIDDEN], device=maps.device)[:, None]
    highest, lowest = place[:, None] < numbers, place[:, None] >= count - numbers
    return torch.stack([highest, lowest], 1).reshape(len(maps), 2, len(_HIDDEN), *sides)


def _shares(model: Model, image: Maps, target: Target, hidden: Tensor, budget: Budget, meter: ProgressMeter) -> Tensor:
    """The faithfulness of each map, `[batch, layer]`; NaN where blurring the whole picture costs nothing."""
    nothing = torch.zeros_like(hidden[:, :1, 0, 0])
    cells = torch.cat([nothing, ~nothing, hidden.flatten(1, 3)], 1)
    probe = Probe(model, image, target, None, budget, meter)
    # a table has nothing to blur: its columns have no neighbours
    blurred = fill_of("layers", 0.0 if probe.is_tabular else "blur", image, probe, Draws(0))
    size = tuple(image.shape[2:])

    def hide(rows: Maps, samples: Tensor, numbers: Tensor) -> Maps:
        chosen = cells[samples, numbers][:, None].to(rows.dtype)
        return blurred.hide(rows, samples, F.interpolate(chosen, size, mode="nearest-exact") > 0)

    score = probe.score(cells.shape[1], hide).score
    whole = (score[:, 0] - score[:, 1])[:, None]
    highest, lowest = score[:, 2:].reshape(hidden.shape[:4]).mean(3).unbind(2)
    return torch.where(whole > 0, safe_divide(lowest - highest, whole.expand_as(lowest)), torch.nan)


def _apart(maps: Maps) -> Tensor:
    """One minus the mean correlation of the first class's rectified map with the others', `[batch]`."""
    if maps.shape[1] < 2:
        return maps.new_full((len(maps),), torch.nan)
    flat = maps.relu().flatten(2)
    flat = flat - flat.mean(2, keepdim=True)
    first, others = flat[:, :1], flat[:, 1:]
    lengths = first.norm(dim=2) * others.norm(dim=2)
    alike = safe_divide((first * others).sum(2), lengths).mean(1)
    return torch.where(first.flatten(1).any(1), 1 - alike, 0)


def _mean(values: Tensor) -> float:
    """Over the pictures, those without an answer left out."""
    return float(values.nanmean())
