"""Can a dream be trusted? What it reached, against photographs; and whether the network treats it as it treats them.

Geirhos et al., "Don't trust your eyes: on the (un)reliability of feature visualizations", arXiv:2306.04719, section 4:
a synthetic picture may reach a unit on a way through the layers that no photograph takes. For each layer, the rank
correlation between the channels' mean answers to the synthetic picture and to the photographs that the unit likes most
is put on a scale from 0, what such photographs have in common with any others, to 1, what they have in common with each
other. The paper correlates whole layers; channel means are used here, since things may stand elsewhere in a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid.capture.differentiable import differentiable_forward
from pellucid.capture.layers import survey
from pellucid.capture.passes import activations
from pellucid.capture.running import guarded
from pellucid.contracts import Model, Preprocess, Site
from pellucid.errors import BadOption, BadPicture
from pellucid.feature_visualisation.evaluator import ObjectiveEvaluator
from pellucid.feature_visualisation.layer_activations import layer_field, layer_maps
from pellucid.feature_visualisation.objectives import Channel, Objective, of_pictures, parse
from pellucid.feature_visualisation.photograph import photograph, sized
from pellucid.feature_visualisation.spectrum import spectrum_slope
from pellucid.feature_visualisation.trust_panel import Natural, Path, VisualisationTrust
from pellucid.feature_visualisation.visualisation import Visualisation
from pellucid.inspection.units import part_seen
from pellucid.models.preprocessing import preprocessing_of
from pellucid.numerics import full_precision
from pellucid.pictures import find_pictures, prepare

_LAYERS = 8
_AT_ONCE = 8


def trust(
    made: Visualisation,
    pictures: Sequence[str],
    *,
    top: int = 9,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[VisualisationTrust, ...]:
    """Compare each picture of a dream with photographs.

    Args:
        made: of one objective, with a unit, class or direction in it; of several joined ones the first is compared.
        pictures: folders and files; dozens at least.
        top: photographs that stand for a unit; at most half of them.
        progress: function that is called with what is going on, pictures done and pictures in all.

    Raises:
        BadOption: the objective has nothing to compare, or there are fewer than four photographs.
    """
    preprocess = sized(preprocessing_of(made.model), made.size)
    if ";" in made.objective:
        raise BadOption("These pictures have objectives in layers of their own; they cannot be compared at once.")
    wanted = parse(made.objective)
    units = [part for part in wanted.walk() if (part.sites or part.needs_scores) and not part.parts]
    units = [part for part in units if not part.together]
    if not units:
        raise BadOption(f"{made.objective} has no unit, class or direction that photographs could be compared by.")
    sources, natural = _read([found.source for found in find_pictures(list(pictures))], preprocess)
    if len(sources) < 4:
        raise BadOption(f"Expected four photographs at least to compare with, got {len(sources)}.")
    count, panels = len(made.pictures), []
    for k in range(count):
        unit = of_pictures(units[0], [k], count)
        panels.append(_panel(made, k, unit, sources, natural, preprocess, min(top, len(sources) // 2)))
        if progress:
            progress("comparing with photographs", k + 1, count)
    return tuple(panels)


def _read(names: list[str], preprocess: Preprocess) -> tuple[list[str], Tensor]:
    sources, read = [], []
    for name in names:
        try:
            read.append(photograph(name, preprocess))
            sources.append(name)
        except BadPicture:
            continue
    return sources, torch.cat(read) if read else torch.zeros(0)


def _panel(
    made: Visualisation, k: int, unit: Objective, sources: list[str], natural: Tensor, preprocess: Preprocess, top: int
) -> VisualisationTrust:
    model, own = made.model, made.judged[k : k + 1]
    values = _values(model, unit, torch.cat([own, natural]), preprocess)
    achieved, found = float(values[0]), values[1:]
    order = found.argsort(descending=True, stable=True)
    best, rest = order[:top], order[-top:]
    slopes = [spectrum_slope(natural[j]) for j in best.tolist()]
    answers = _answers(model, unit, torch.cat([own, natural[best], natural[rest]]), preprocess)
    return VisualisationTrust(
        str(unit),
        achieved,
        float(found.max()),
        float((found < achieved).double().mean()),
        len(sources),
        tuple(_tops(model, unit, [(sources[j], float(found[j])) for j in best.tolist()], natural[best], preprocess)),
        spectrum_slope(own[0]),
        sum(slopes) / len(slopes),
        tuple(_path(layer, table, top) for layer, table in answers.items()),
    )


def _tops(
    model: Model, unit: Objective, found: list[tuple[str, float]], natural: Tensor, preprocess: Preprocess
) -> list[Natural]:
    """The photographs with the part of each that the unit could see where it answered most."""
    places, seen = [(0, 0)] * len(found), None
    if isinstance(unit, Channel):
        (_, _, _, columns), seen = layer_field(model, unit.layer, natural[:1], preprocess)
        number = unit.unit[0] if isinstance(unit.unit, tuple) else unit.unit
        best = layer_maps(model, unit.layer, natural, preprocess)[:, number].flatten(1).argmax(1).tolist()
        places = [divmod(place, columns) for place in best]
    return [
        Natural(source, value, part_seen(prepare(source, preprocess), seen, row, column))
        for (source, value), (row, column) in zip(found, places, strict=True)
    ]


def _values(model: Model, unit: Objective, pictures: Tensor, preprocess: Preprocess) -> Tensor:
    with differentiable_forward(model, list(unit.sites), scores=unit.needs_scores) as eyes:
        look = ObjectiveEvaluator(model, eyes, preprocess, unit)
        return torch.cat([look.judge(some)[0].cpu() for some in torch.split(pictures, _AT_ONCE)])


def _answers(model: Model, unit: Objective, pictures: Tensor, preprocess: Preprocess) -> dict[str, NDArray[Any]]:
    """Per layer the channels' mean answers, `[picture, channel]`."""
    given = preprocess.normalise(pictures).to(model.device)
    with guarded(model.module):
        found = survey(model, given[:1]).candidates
        grids = {each.site: each.grid for each in found}
        sites = chosen(list(grids), unit.sites[0] if unit.sites else None)
        tables: dict[str, list[Tensor]] = {str(site): [] for site in sites}
        for some in torch.split(given, _AT_ONCE):
            for site, values in activations(model, some, sites).items():
                maps = full_precision(grids[site].to_maps(values)).cpu()
                tables[str(site)].append(maps.flatten(2).mean(2))
    return {layer: torch.cat(parts).double().numpy() for layer, parts in tables.items()}


def chosen(sites: Sequence[Site], last: Site | None) -> list[Site]:
    """A few layers from the first to `last`, evenly in the order of the network, outer ones before those inside."""
    names = list(sites)
    if last in names:
        names = names[: names.index(last) + 1]
    bins = np.array_split(np.arange(len(names)), min(_LAYERS, len(names)))
    return [min((names[k] for k in reversed(each)), key=lambda site: site.path.count(".")) for each in bins]


def _path(layer: str, answers: NDArray[Any], top: int) -> Path:
    """Mean rank correlations; the first row is synthetic, then the top photographs, then the others."""
    alike = rank_correlation(answers)
    natural, others = slice(1, 1 + top), slice(1 + top, None)
    among = alike[natural, natural]
    pairs = among[np.triu_indices(top, 1)]
    return Path(
        layer,
        float(alike[0, natural].mean()),
        float(pairs.mean()) if len(pairs) else 1.0,
        float(alike[natural, others].mean()),
    )


def rank_correlation(rows: NDArray[Any]) -> NDArray[Any]:
    """Spearman's correlation of every row with every other; ties share their mean rank, and a constant row has 0."""
    from scipy.stats import rankdata

    ranks = rankdata(rows, axis=1)
    ranks -= ranks.mean(1, keepdims=True)
    lengths = np.linalg.norm(ranks, axis=1, keepdims=True)
    unit = np.divide(ranks, lengths, out=np.zeros_like(ranks), where=lengths > 0)
    table: NDArray[Any] = unit @ unit.T
    return table
