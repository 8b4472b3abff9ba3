"""`manifest.json`: how the files beside it were made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pellucid.contracts import Attribution
from pellucid.report import facts
from pellucid.report.views import MapView, PictureView
from pellucid.storage import provenance


def manifest(subject: PictureView, *, created: str, command: str = "", beside: Sequence[str] = ()) -> dict[str, Any]:
    """Everything about one picture's explanation except the maps themselves."""
    explanation = subject.explanation
    model = explanation.model
    seen = provenance.input_record(subject.input, subject.name)
    return {
        **provenance.head(created=created, command=command, model=model, inputs=[seen]),
        "device": facts.device(explanation),
        "preprocessing": None if model.preprocess is None else model.preprocess.known,
        "picture": _picture(subject),
        "predictions": [prediction.known for prediction in subject.predictions],
        "choices": dict(explanation.choices),
        "refused": dict(explanation.refused),
        "notes": list(explanation.notes),
        "seed": explanation.seed,
        "seconds": explanation.seconds,
        "methods": [_method(finding) for finding in subject.findings],
        "files": ["manifest.json", "maps.npz", *(() if explanation.undrawable else _drawn(subject)), *beside],
    }


def _drawn(subject: PictureView) -> list[str]:
    return ["report.html", *(f"{f.key}.png" for f in subject.findings)]


def _picture(subject: PictureView) -> dict[str, Any]:
    picture = subject.picture
    if picture is None:
        notes = [] if subject.sample is None else list(subject.sample.notes)
        return {"name": subject.name, "size": None, "box": None, "notes": notes}
    return {
        "name": picture.name,
        "size": list(picture.image.size),
        "box": list(picture.box),
        "notes": list(picture.notes),
    }


def _method(finding: MapView) -> dict[str, Any]:
    attribution = finding.attribution
    method, low_high = attribution.method, finding.range
    arrays = ["values", "raw", *attribution.extras]
    arrays += [f"inputs/{name}/{kind}" for name in finding.inputs for kind in ("values", "raw")]
    return {
        "key": finding.key,
        "id": method.id,
        "title": method.title,
        "reference": str(method.reference),
        "options": dict(attribution.options),
        "site": str(attribution.site) if attribution.site else None,
        "target": finding.target,
        "seed": attribution.seed,
        "min": low_high[0],
        "max": low_high[1],
        "seconds": attribution.cost.seconds,
        "forward": attribution.cost.forward,
        "backward": attribution.cost.backward,
        "notes": list(attribution.notes),
        "partial": partial(attribution),
        "trust": None if finding.trust is None else finding.trust.known(finding.index),
        "files": {"picture": f"{finding.key}.png", "maps": "maps.npz"},
        "arrays": [array_name(finding.key, name) for name in arrays],
        **({"shares": shares(attribution, finding.index)} if finding.inputs else {}),
    }


def shares(attribution: Attribution, index: int = 0) -> dict[str, dict[str, float] | None]:
    """What part of all evidence about a sample each of several inputs has; None where the method shares no budget."""
    return {
        name: None
        if each.share is None
        else {"signed": float(each.share.signed[index]), "absolute": float(each.share.absolute[index])}
        for name, each in attribution.inputs.items()
    }


def partial(attribution: Attribution) -> dict[str, int] | None:
    """How many samples a map rests on whose making was stopped; None for a complete one."""
    return None if attribution.partial is None else dict(zip(("samples", "of"), attribution.partial, strict=True))


def array_name(key: str, name: str) -> str:
    """An array's name within `maps.npz`."""
    return f"{key}/{name}"
