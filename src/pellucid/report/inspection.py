"""The files of an inspection."""

from __future__ import annotations

import csv
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any

from pellucid.inspection import Inspection, Row
from pellucid.inspection.structure import SETTINGS
from pellucid.report import facts
from pellucid.report.folder import complete, encode
from pellucid.report.manifest import as_json

SCHEMA_VERSION = 1


def save_inspection(found: Inspection, folder: Path, *, command: str = "") -> Path:
    """Write everything about an inspection into a folder; files of the same names are replaced.

    Raises:
        BadOption: the folder cannot be written to; nothing is left behind.
    """
    with complete(folder) as staging:
        record = {**record_of(found), "created": facts.created(), "command": command or None}
        (staging / "inspection.json").write_bytes(encode(as_json(record)))
        (staging / "structure.csv").write_bytes(encode(table(found)))
        (staging / "graph.svg").write_bytes(encode(found.drawing()))
    return folder


def record_of(found: Inspection) -> dict[str, Any]:
    """The inspection without its pictures, for JSON."""
    structure, model = found.structure, found.model
    return {
        "schema_version": SCHEMA_VERSION,
        "versions": facts.versions(),
        "model": {"name": model.name, "source": model.source or None, "fingerprint": model.fingerprint},
        "input": list(structure.input),
        "picture": found.picture.name if found.picture else None,
        "output": structure.total.output,
        "parameters": structure.total.parameters,
        "trainable": structure.total.trainable,
        "multiply_adds": structure.total.multiply_adds,
        "functions": dict(structure.functions),
        "notes": list(structure.notes),
        "modules": [asdict(row) for row in structure.rows],
    }


def table(found: Inspection) -> str:
    """The structure as comma-separated values."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "kind", "calls", *SETTINGS, "output", "parameters", "multiply_adds",
                     "parameter_share", "multiply_add_share"])  # fmt: skip
    for row in found.structure.rows:
        writer.writerow(_cells(row))
    return text.getvalue()


def _cells(row: Row) -> list[Any]:
    settings = [row.settings.get(name, "") for name in SETTINGS]
    shares = [f"{share:.6f}" for share in (row.parameter_share, row.multiply_add_share)]
    return [row.path, row.kind, row.calls, *settings, row.output, row.parameters, row.multiply_adds, *shares]
