"""Which of the compared methods to use for this model and data, and why."""

from __future__ import annotations

import math
from pathlib import Path

from pellucid.choices import BestMethod, as_record, file_of
from pellucid.comparison.comparison import Comparison, Place
from pellucid.errors import Refused
from pellucid.storage.atomic import write_text
from pellucid.storage.plain_json import as_json
from pellucid.storage.provenance import head, now
from pellucid.wording import counted


def best(comparison: Comparison) -> BestMethod:
    """The method with the best mean rank; of equals, the faster one.

    Methods that fail the sanity check are left out, and those of which by no metric the mean is better than those of
    all maps that know nothing of the network.

    Raises:
        Refused: no method is left.
    """
    ranked = [place for place in comparison.ranking if not math.isinf(place.rank)]
    sane = [place for place in ranked if comparison.is_sane(place.method) is not False]
    if not sane:
        why = "all of them show the same with random weights" if ranked else "none of them has a score"
        raise Refused(f"There is no best of these methods: {why}.")
    worth = [place for place in sane if not comparison.controlled or comparison.beats_controls(place.method)]
    if not worth:
        raise Refused(
            "There is no best of these methods: by no metric is the mean of one better than maps that know nothing "
            "of the network. Nothing is remembered. Compare on more pictures, by other metrics, or other methods."
        )
    first = min(worth, key=lambda place: (place.rank, comparison.seconds_of(place.method)))
    given = comparison.options.get(first.method, {})
    return BestMethod(first.method, dict(given), _why(comparison, first, ranked), len(comparison.pictures), now())


def remember(comparison: Comparison, choice: BestMethod) -> Path:
    """Keep a choice for `--method auto`, in place of the one that was kept for this model; returns the file.

    Raises:
        BadOption: it cannot be written.
    """
    model = comparison.model
    record = {**head(created=choice.created, model=model), **as_record(choice)}
    return write_text(file_of(model), as_json(record))


def _why(comparison: Comparison, first: Place, ranked: list[Place]) -> str:
    metrics = ", ".join(metric.id for metric, _ in comparison.metrics)
    among = f"of {len(ranked)} methods" if len(ranked) > 1 else "as the only method"
    where = counted(len(comparison.pictures), "picture")
    said = f"Best mean rank ({first.rank:.3g}) {among} by {metrics} on {where}"
    failed = [place.method for place in ranked if comparison.is_sane(place.method) is False]
    if failed:
        said += f", {', '.join(failed)} left out for showing the same with random weights"
    if not comparison.checked:
        said += ", without a check that the maps change when the weights are drawn at random"
    beaten = [score.metric.id for score in comparison.scores_of(first.method).values() if comparison.beats_all(score)]
    if not beaten:
        return f"{said}; not told apart from maps that know nothing of the network by any of them, picture by picture."
    leads = "; ".join(f"{name}: {comparison.ahead[first.method, name].text}" for name in beaten)
    return f"{said}; better than all maps that know nothing of the network by {', '.join(beaten)} ({leads})."
