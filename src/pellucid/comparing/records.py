"""Scores of single pictures on disk, so that a comparison of many goes on where it was stopped."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pellucid import __version__
from pellucid.comparing.comparison import Compared
from pellucid.evaluation import Evaluation, Score
from pellucid.registry import find_metric
from pellucid.report.folder import write_bytes, write_text
from pellucid.report.manifest import as_json
from pellucid.types import Cost, Picture, Prediction

SCHEMA_VERSION = 1
FOLDER = "scores"


class Kept:
    """Scores of pictures that were judged in exactly this way before.

    Args:
        key: all that they depend on besides the picture; None if that cannot be written down.
        folder: where they are kept, in a folder of their own; None keeps nothing.
    """

    def __init__(self, key: Mapping[str, Any] | None, folder: Path | None) -> None:
        self.folder = None if folder is None or key is None else folder / FOLDER
        self.key = as_json({"schema": SCHEMA_VERSION, "version": __version__, **(key or {})})

    def find(self, picture: Picture | Tensor, *, shown: bool) -> Compared | None:
        """What is known of a picture, with `shown` its maps too; a record that cannot be read is none."""
        if self.folder is None:
            return None
        file = self._file(picture)
        try:
            found = _read(json.loads(file.read_text("utf-8")))
            return replace(found, maps=_read_maps(file.with_suffix(".npz"))) if shown else found
        except (OSError, ValueError, KeyError, TypeError, LookupError):
            return None

    def keep(self, picture: Picture | Tensor, found: Compared, *, shown: bool) -> None:
        """Write the scores of a picture, with `shown` its maps too, in place of those that were there.

        Raises:
            BadOption: the folder cannot be written to.
        """
        if self.folder is None:
            return
        file = self._file(picture)
        if shown:
            content = BytesIO()
            np.savez(content, **{name: values.numpy() for name, values in found.maps.items()})  # type: ignore[arg-type]
            write_bytes(file.with_suffix(".npz"), content.getvalue())
        write_text(file, as_json(_record(found)))

    def _file(self, picture: Picture | Tensor) -> Path:
        tensor = picture.tensor if isinstance(picture, Picture) else picture
        seen = tensor.detach().cpu().double().contiguous().numpy().tobytes()
        digest = hashlib.sha256(self.key.encode() + repr(tuple(tensor.shape)).encode() + seen).hexdigest()
        return (self.folder or Path()) / f"{digest[:20]}.json"


def _read_maps(file: Path) -> dict[str, Tensor]:
    with np.load(file) as arrays:
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
        controls={name: _score(control) for name, control in record["controls"].items()},
    )


def _tensor(values: Any) -> Tensor:
    """Numbers as they were; null, by which JSON writes what is not finite, is NaN."""
    return torch.tensor(_known(values), dtype=torch.float64)


def _known(values: Any) -> Any:
    return [_known(v) for v in values] if isinstance(values, list) else math.nan if values is None else values
