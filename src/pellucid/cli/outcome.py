"""What `explain --json` prints: everything that the tables show."""

from __future__ import annotations

from typing import Any

from pellucid._version import __version__
from pellucid.cli.request import Work
from pellucid.cli.results import CommandResult, Done, Earlier, Failed
from pellucid.contracts import Attribution, Picture, Sample
from pellucid.evaluation import trust_of
from pellucid.explanation import Explanation
from pellucid.report.manifest import partial, shares
from pellucid.storage.provenance import axes_record, head, input_record


def as_document(work: Work, result: CommandResult) -> dict[str, Any]:
    """The whole run as one JSON document."""
    inputs = [inputs_of(each) for each in result.done]
    return {
        **head(command=work.command, model=work.model, inputs=inputs),
        "pellucid": __version__,
        "seed": work.seed,
        "out": str(work.out),
        "pictures": [each.document if isinstance(each, Earlier) else of_picture(each) for each in result.done],
        "failed": [_failed(failed) for failed in result.failed],
        "plan": None if result.plan is None else result.plan.known,
        "interrupted": result.interrupted or None,
        "exit_code": result.exit_code,
    }


def inputs_of(done: Done | Earlier) -> dict[str, Any]:
    """The head's entry of a picture that was explained, now or earlier."""
    if isinstance(done, Done):
        return input_record(done.picture, source=done.found.source)
    known = done.document
    return {**{name: known.get(name) for name in ("name", "source", "size", "box")}, "notes": known.get("decoding", []),
            **{name: known[name] for name in ("kind", "axes") if name in known}}  # fmt: skip


def of_picture(done: Done) -> dict[str, Any]:
    """What is said of a picture that was explained."""
    explanation = done.explanation
    predictions = explanation.predictions[0] if explanation.predictions else ()
    return {
        "name": done.found.name,
        "source": done.found.source,
        **_extent(done.picture),
        "notes": [*done.picture.notes, *explanation.notes],
        "decoding": list(done.picture.notes),
        "predictions": [prediction.known for prediction in predictions],
        "choices": dict(explanation.choices),
        "attributions": [_attribution(attribution, explanation) for attribution in explanation],
        "refused": dict(explanation.refused),
        "seconds": explanation.seconds,
        "folder": str(done.folder),
        "files": [str(path) for path in done.files],
    }


def _extent(picture: Picture | Sample) -> dict[str, Any]:
    """How large a picture is and which part of it was seen, or along which axes else a sample lies."""
    if isinstance(picture, Sample):
        return {"size": None, "box": None, "seen": None, "kind": picture.kind, "axes": axes_record(picture)}
    size = {"rows": picture.image.height, "columns": picture.image.width}
    return {"size": size, "box": list(picture.box), "seen": list(picture.box)}


def _attribution(attribution: Attribution, explanation: Explanation) -> dict[str, Any]:
    judged = explanation.evaluation
    return {
        "method": attribution.method.id,
        "target": attribution.target[0],
        "site": None if attribution.site is None else str(attribution.site),
        "options": dict(attribution.options),
        "seed": attribution.seed,
        "notes": list(attribution.notes),
        "partial": partial(attribution),
        **({"shares": shares(attribution)} if len(attribution.inputs) > 1 else {}),
        "trust": None if judged is None else trust_of(attribution, judged).known(0),
        **vars(attribution.cost),
    }


def _failed(failed: Failed) -> dict[str, Any]:
    return {
        "name": failed.found.name,
        "source": failed.found.source,
        "error": type(failed.error).__name__,
        "message": str(failed.error),
    }
