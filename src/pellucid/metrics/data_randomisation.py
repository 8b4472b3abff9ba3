"""Data randomisation: whether the map is another one when the network has learned nonsense."""

from __future__ import annotations

from pellucid.contracts import Map, Metric, MetricResult, Reattribution, Reference
from pellucid.errors import BadOption
from pellucid.metrics._likeness import check_measure, likeness, measures_of


def data_randomisation(
    values: Map, explain: Reattribution, *, weights: str = "", measure: str = "rank"
) -> MetricResult:
    """How alike the map is to that of the same network trained on random labels.

    A map that explains what was learned has to differ between a network that learned the data and one that learned
    labels by heart which say nothing. `pellucid train ARCH --data DATA --random-labels` makes the second; its weights
    are substituted for the length of a pass.

    Args:
        values: the maps `[batch, *axes]`.
        explain: function that makes the maps anew.
        weights: file of the other network's weights, of the same architecture.
        measure: name of the likeness that counts, as of `randomisation`.

    Returns:
        The likeness, at most 1; about 0 is what chance gives for the correlations. A map that is the same everywhere is
        like none; NaN where the map itself is. extras: each of the four measures under its name, `[batch]`.

    Raises:
        BadOption: another measure, no file, or one that cannot be read.
        Refused: weights that are not those of this network.
    """
    check_measure(METRIC.id, measure, values)
    if not weights:
        raise BadOption(
            f"{METRIC.id} needs the weights of the same network trained on random labels: weights=FILE "
            "(--data-randomisation.weights FILE). "
            "`pellucid train ARCH --data DATA --random-labels` makes them."
        )
    new = explain.with_file(METRIC.id, weights)
    found = {name: likeness(name, values, new) for name in measures_of(values)}
    return MetricResult(found[measure], found)


METRIC = Metric(
    data_randomisation,
    id="data-randomisation",
    title="Randomisation of the data",
    reference=Reference("arXiv:1810.03292", "data randomisation"),
    better="lower",
    caveat="Wants a network that learned its random labels by heart: look at its accuracy on them.",
)
