"""What `explain --json` prints: everything that the tables show."""

from __future__ import annotations

from typing import Any

from pellucid._version import __version__
from pellucid.cli.request import Work
from pellucid.cli.results import CommandResult, Done, Earlier, Failed
from pellucid.contracts import Attribution
from pellucid.evaluation import trust_of
from pellucid.explanation import Explanation
from pellucid.report.manifest import partial

SCHEMA_VERSION = 1


def as_document(work: Work, result: CommandResult) -> dict[str, Any]:
    """The whole run as one JSON document."""
    return {
        "schema_version": SCHEMA_VERSION,
        "pellucid": __version__,
        "command": work.command,
        "model": {
            "name": work.model.name,
            "source": work.model.source,
            "fingerprint": work.model.fingerprint,
            "device": work.device,
        },
        "seed": work.seed,
        "out": str(work.out),
        "pictures": [each.document if isinstance(each, Earlier) else of_picture(each) for each in result.done],
        "failed": [_failed(failed) for failed in result.failed],
        "plan": None if result.plan is None else result.plan.known,
        "interrupted": result.interrupted or None,
        "exit_code": result.exit_code,
    }


def of_picture(done: Done) -> dict[str, Any]:
    """What is said of a picture that was explained."""
    explanation = done.explanation
    predictions = explanation.predictions[0] if explanation.predictions else ()
    return {
        "name": done.found.name,
        "source": done.found.source,
        "size": {"rows": done.picture.image.height, "columns": done.picture.image.width},
        "seen": list(done.picture.box),
        "notes": [*done.picture.notes, *explanation.notes],
        "predictions": [prediction.known for prediction in predictions],
        "choices": dict(explanation.choices),
        "attributions": [_attribution(attribution, explanation) for attribution in explanation],
        "refused": dict(explanation.refused),
        "seconds": explanation.seconds,
        "folder": str(done.folder),
        "files": [str(path) for path in done.files],
    }


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
