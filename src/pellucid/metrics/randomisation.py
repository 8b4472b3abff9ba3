"""Randomisation: whether the map is another one when the network has forgotten what it learned."""

from __future__ import annotations

import torch

from pellucid.contracts import Map, Metric, MetricResult, Reattribution, Reference
from pellucid.errors import BadOption
from pellucid.metrics._likeness import check_measure, likeness, measures_of

ORDERS = ("cascading", "independent")
FAILS = 0.5
"""A map with a larger mean rank correlation down the cascade fails the check. On the embedded network, over three
photographs and with two seeds, guided backprop has 0.65 and 0.69, Grad-CAM 0, the gradient 0.3; an edge detector 1."""


def randomisation(
    values: Map, explain: Reattribution, *, order: str = "cascading", stages: int = 6, measure: str = "rank"
) -> MetricResult:
    """How alike the map is to those of the same network with weights drawn at random, on the mean over stages.

    A map that explains the network has to change when the network's knowledge goes. Layers with weights are taken from
    the logits down, the last alone and the others in equal groups. New weights are normal, with the mean and deviation
    that each tensor has; the statistics of batch norms stay. A network's own weights are never written to: the others
    are substituted for the length of a pass.

    Args:
        values: the maps `[batch, *axes]`.
        explain: function that makes the maps anew.
        order: `cascading` adds group after group, `independent` draws one group at a time.
        stages: number of groups, at most one for each layer.
        measure: name of the likeness that counts: `rank` is Spearman's correlation of absolute values, `signed-rank` of
            the values themselves, `ssim` structural similarity of absolute values, `hog` the correlation of their
            histograms of oriented gradients.

    Returns:
        The mean likeness, at most 1; about 0 is what chance gives for the correlations. A map that is the same
        everywhere is like none; NaN where the map itself is. extras `curve` `[batch, stages]`: that measure, and
        each of the four under its name; axis: the share of the layers with weights that are drawn.

    Raises:
        BadOption: another order or measure, or no stage.
        Refused: weights that cannot be exchanged.
    """
    check_measure(METRIC.id, measure, values)
    if order not in ORDERS or stages < 1:
        raise BadOption(f"Expected {' or '.join(ORDERS)} and stages >= 1 for {METRIC.id}, got {order!r} and {stages}.")
    layers = explain.layers()
    groups = grouped(layers, stages)
    ends = torch.tensor([len(group) for group in groups]).cumsum(0).tolist()
    found: dict[str, list[torch.Tensor]] = {name: [] for name in measures_of(values)}
    for group, end in zip(groups, ends, strict=True):
        new = explain.with_drawn(layers[:end] if order == "cascading" else group)
        for name, alike in found.items():
            alike.append(likeness(name, values, new))
    extras = {name: torch.stack(alike, 1) for name, alike in found.items()}
    curve = extras[measure]
    note = f"Drawn {'up to' if order == 'cascading' else 'in the groups that end at'}: " + ", ".join(
        group[-1] for group in groups
    )
    return MetricResult(curve.mean(1), {"curve": curve, **extras}, tuple(e / len(layers) for e in ends), (f"{note}.",))


def grouped(layers: tuple[str, ...], stages: int) -> list[tuple[str, ...]]:
    """The first layer alone, the others in groups whose sizes differ by one at most; fewer than asked for at need."""
    rest = layers[1:]
    count = min(stages - 1, len(rest))
    ends = [len(rest) * (k + 1) // count for k in range(count)]
    return [layers[:1], *(rest[a:b] for a, b in zip([0, *ends], ends, strict=False))]


METRIC = Metric(
    randomisation,
    id="randomisation",
    title="Randomisation of the weights",
    reference=Reference("arXiv:1810.03292", "cascading and independent randomisation"),
    better="lower",
    caveat="Says that a map depends on the weights, not that it shows what they do: noise that follows them "
    "passes too.",
    remade="stages",
)
