"""The files of a dissection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pellucid.inspection.dissection import Dissection
from pellucid.storage import provenance, values
from pellucid.storage.atomic import complete
from pellucid.storage.plain_json import as_file


def save(found: Dissection, folder: Path, *, command: str = "") -> Path:
    """Write `dissection.json` and `result.npz`; other files there are left alone.

    Raises:
        BadOption: the folder cannot be written to; nothing is left behind.
    """
    head = provenance.head(command=command, model=found.model, inputs=provenance.named_inputs(found.pictures))
    with complete(folder) as staging:
        (staging / "dissection.json").write_bytes(as_file({**head, **record_of(found)}))
        (staging / values.NAME).write_bytes(values.to_bytes(found))
    return folder


def record_of(found: Dissection) -> dict[str, Any]:
    """What was found, for JSON, besides the head."""
    return {
        "layer": str(found.site),
        "matches": [vars(match) for match in found.matches],
        "iou": {name: found.iou[:, k].tolist() for k, name in enumerate(found.concepts)},
        "covered": dict(zip(found.concepts, found.covered, strict=True)),
        "threshold": found.threshold,
        "limits": found.limits.tolist(),
    }
