"""The page about a training: curves, confusions, mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from pellucid.evaluation import Score
from pellucid.pictures import decode
from pellucid.report import facts
from pellucid.report.charts import curves
from pellucid.report.document import document
from pellucid.report.packing import photograph
from pellucid.storage import provenance
from pellucid.training.hyperparameters import Settings
from pellucid.training.loop import Trained, TrainingPass
from pellucid.training.masks import MaskComparison
from pellucid.training.study import Study
from pellucid.training.waves import FITTED, Waves

_SHOWN_MISTAKES = 24
_SHOWN_MASKS = 12


def study_page(study: Study, settings: Settings, *, own: MaskComparison | None = None, command: str = "") -> str:
    """The page about a network that was trained on pictures, as HTML; `own` is of a self-explaining one."""
    history, card = study.trained.history, study.card
    learned, checked, tested = study.counts
    charts = [
        ("Loss", _history_chart(history, "loss", "validation_loss", "cross-entropy"), "mean per picture"),
        (
            "Accuracy",
            _history_chart(history, "accuracy", "validation_accuracy", "share right", low=None, high=1.0),
            "the weights kept are those of the smallest validation loss (dashed)",
        ),
    ]
    charts = [(title, chart(study.trained.best + 1), remark) for title, chart, remark in charts]
    mistakes = [
        (
            photograph(decode(study.test.sources[each.number])[0])[0],
            card.classes[each.label],
            card.classes[each.answer],
            each.probability,
        )
        for each in study.mistakes[:_SHOWN_MISTAKES]
    ]
    return _page(
        f"{card.architecture} on {card.facts['data']}",
        f"{facts.percent(study.accuracy)} of {tested} held-out pictures right; always answering "
        f"{study.right.guess!r}: {facts.percent(study.right.guessing)}",
        f"95 % interval {_percents(study.right.interval)}. Learned from {learned} pictures, {checked} more decided "
        f"when to stop; {_ending(study.trained)} "
        f"{study.seconds:.0f} s.",
        settings,
        notes=study.notes,
        charts=charts,
        confusion=study.confusion.tolist(),
        classes=card.classes,
        mistakes=mistakes,
        left=max(0, len(study.mistakes) - _SHOWN_MISTAKES),
        network={"options": dict(card.options)},
        own=_own(own) if own else None,
        command=command,
    )


def _percents(interval: tuple[float, float]) -> str:
    return " to ".join(map(facts.percent, interval))


def _own(own: MaskComparison) -> dict[str, Any]:
    """Curves and a sheet of the masks that the network draws itself."""
    charts = [
        (
            title,
            curves(
                {name: _mean_curve(each[metric]) for name, each in own.scores.items()},
                across="share of the pixels",
                up="probability of the first answer",
                low=0.0,
                high=1.0,
            ),
            remark,
        )
        for title, metric, remark in (
            ("Hiding what matters most first", "deletion", "a faithful map falls fast"),
            ("Showing what matters most first", "insertion", "a faithful map rises fast"),
        )
    ]
    rows = [(name, *own.written(name)) for name in own.scores]
    spread = slice(None, None, -(-len(own.pictures) // _SHOWN_MASKS))
    sheets = [("picture", _strip(own.pictures[spread].mean(1)))]
    sheets += [(name, _strip(maps[spread])) for name, maps in own.maps.items()]
    return {"charts": charts, "rows": rows, "sheets": sheets, "count": len(own.pictures)}


def _mean_curve(score: Score) -> list[tuple[float, float]]:
    return list(zip(score.axis, score.extras["curve"].mean(0).tolist(), strict=True))


def _strip(maps: Tensor) -> str:
    """Maps side by side, each on its own scale."""
    low, high = (maps.flatten(1).amin(1), maps.flatten(1).amax(1))
    unit = (maps - low[:, None, None]) / (high - low).clamp(min=1e-12)[:, None, None]
    pixels = (torch.cat(list(unit), 1) * 255).byte().numpy()
    strip = Image.fromarray(pixels)
    factor = max(1, 900 // strip.width)
    return photograph(strip.resize((strip.width * factor, strip.height * factor), Image.Resampling.NEAREST))[0]


def waves_page(waves: Waves, settings: Settings, *, command: str = "") -> str:
    """The page about the order in which frequencies were learned, as HTML."""
    x, target, answer = waves.curve.tolist()
    errors = {f"k = {k}": list(enumerate(values)) for k, values in waves.errors.items()}
    order = ", ".join(f"k = {k}" for k in waves.order) or "none"
    charts = [
        (
            "Error of each frequency",
            curves(errors, across="pass", up="relative error", logarithmic=True),
            f"learned once below {FITTED}",
        ),
        (
            "The curve",
            curves({"target": list(zip(x, target, strict=True)), "answer": list(zip(x, answer, strict=True))},
                   across="x", up="y"),
            "after training",
        ),
        (
            "Regression",
            curves({"ideal": [(min(target),) * 2, (max(target),) * 2],
                    "answers": sorted(zip(target, answer, strict=True))},
                   across="target", up="answer", points=("answers",)),
            "answer over target",
        ),
        ("Loss", _history_chart(waves.trained.history, "loss", "validation_loss", "mean squared error",
                                logarithmic=True)(waves.trained.best + 1), ""),
    ]  # fmt: skip
    return _page(
        f"{waves.card.architecture} on waves",
        f"Order in which frequencies were learned: {order}",
        f"Three waves of equal height, low before high: the frequency principle. {_ending(waves.trained)} "
        f"{waves.seconds:.0f} s.",
        settings,
        notes=[],
        charts=charts,
        confusion=[],
        classes=(),
        mistakes=[],
        left=0,
        network={"options": dict(waves.card.options)},
        own=None,
        command=command,
    )


def _page(
    name: str, headline: str, sentence: str, settings: Settings, *, network: Mapping[str, Any], **more: Any
) -> str:
    return document(
        "training.html",
        created=provenance.now(),
        name=name,
        headline=headline,
        sentence=sentence,
        settings={**asdict(settings), **network},
        versions=provenance.versions(),
        **more,
    )


def _ending(trained: Trained) -> str:
    return f"{len(trained.history)} passes ({trained.ended}) took"


def _history_chart(history: list[TrainingPass], learned: str, checked: str, up: str, **options: Any) -> Any:
    series = {
        name: [(number + 1, getattr(each, field)) for number, each in enumerate(history)]
        for name, field in (("training", learned), ("validation", checked))
    }
    return lambda best: curves(series, across="pass", up=up, marks={"kept": best}, whole=True, **options)
