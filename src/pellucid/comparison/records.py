"""What is known of a single compared picture as bytes, so that a comparison of many goes on where it was stopped."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pellucid.comparison.comparison import Compared
from pellucid.contracts import Cost, Prediction
from pellucid.evaluation import Evaluation, Score
from pellucid.registry import find_metric
from pellucid.storage.plain_json import as_json

KIND = "compare 2"
"""Of the question; another number when what is written here changes."""
FOLDER = "scores"
MAPS = "maps"
"""The part of an entry that holds the maps; the other one holds all that is no map."""


def to_bytes(found: Compared) -> bytes:
    """All but names, picture and maps."""
    return as_json(_record(found)).encode("utf-8", "surrogatepass")


def from_bytes(payload: bytes) -> Compared:
    """Reads what `to_bytes` wrote."""
    return _read(json.loads(payload.decode("utf-8", "surrogatepass")))


def maps_to_bytes(maps: Mapping[str, Tensor]) -> bytes:
    """Maps by method."""
    content = BytesIO()
    np.savez(content, **{name: values.numpy() for name, values in maps.items()})  # type: ignore[arg-type]
    return content.getvalue()


def maps_from_bytes(payload: bytes) -> dict[str, Tensor]:
    """Reads what `maps_to_bytes` wrote."""
    with np.load(BytesIO(payload)) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def _record(found: Compared) -> dict[str, Any]:
    return {
        "target": found.target,
        "costs": {name: vars(cost) for name, cost in found.costs.items()},
        "refused": dict(found.refused),
        "sanity": None if found.sanity is None else dict(found.sanity),
        "seconds": found.seconds,
        "prediction": None if found.prediction is None else vars(found.prediction),
        "seed": found.evaluation.seed,
        "without": [[*pair, why] for pair, why in found.evaluation.refused.items()],
        "scores": [_score_record(score) for score in found.evaluation],
    }


def _read(record: Mapping[str, Any]) -> Compared:
    scores = tuple(_score(each) for each in record["scores"])
    without = {(subject, metric): why for subject, metric, why in record["without"]}
    evaluation = Evaluation(scores, without, record["seed"], sum(score.cost.seconds for score in scores))
    costs = {name: Cost(**cost) for name, cost in record["costs"].items()}
    first = None if record["prediction"] is None else Prediction(**record["prediction"])
    sanity = record["sanity"]
    return Compared(
        name="",
        source="",
        target=record["target"],
        evaluation=evaluation,
        costs=costs,
        refused=record["refused"],
        seconds=record["seconds"],
        prediction=first,
        sanity=None if sanity is None else {name: math.nan if x is None else x for name, x in sanity.items()},
    )


def _score_record(score: Score) -> dict[str, Any]:
    return {
        "metric": score.metric.id,
        "subject": score.subject,
        "target": list(score.target),
        "values": score.values.tolist(),
        "mean": score.mean,
        "interval": score.interval,
        "extras": {name: x.tolist() for name, x in score.extras.items() if x.is_floating_point()},
        "axis": list(score.axis),
        "options": dict(score.options),
        "seed": score.seed,
        "cost": vars(score.cost),
        "notes": list(score.notes),
        "asked": score.asked,
        "controls": {name: _score_record(control) for name, control in score.controls.items()},
    }


def _score(record: Mapping[str, Any]) -> Score:
    return Score(
        metric=find_metric(record["metric"]),
        subject=record["subject"],
        attribution=None,
        target=tuple(record["target"]),
        values=_tensor(record["values"]),
        mean=math.nan if record["mean"] is None else record["mean"],
        interval=None if record["interval"] is None else tuple(record["interval"]),
        extras={name: _tensor(rows) for name, rows in record["extras"].items()},
        axis=tuple(record["axis"]),
        options=record["options"],
        seed=record["seed"],
        cost=Cost(**record["cost"]),
        notes=tuple(record["notes"]),
        asked=record["asked"],
        controls={name: _score(control) for name, control in record["controls"].items()},
    )


def _tensor(values: Any) -> Tensor:
    """Numbers as they were; null, by which JSON writes what is not finite, is NaN."""
    return torch.tensor(_known(values), dtype=torch.float64)


def _known(values: Any) -> Any:
    return [_known(v) for v in values] if isinstance(values, list) else math.nan if values is None else values
