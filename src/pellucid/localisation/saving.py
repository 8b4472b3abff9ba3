"""The files of a localisation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pellucid._version import __version__
from pellucid.contracts import Model
from pellucid.localisation.coco import document
from pellucid.numerics import Mask
from pellucid.report import facts
from pellucid.report.names import picture_slug, slug, unique
from pellucid.storage import provenance, values
from pellucid.storage.atomic import complete
from pellucid.storage.plain_json import as_file

if TYPE_CHECKING:
    from pellucid.localisation.localisation import Localisation
    from pellucid.localisation.located import Located

_COMPRESS = 1  # of the photographs, as in reports: a little larger, much faster


def save(found: Localisation, folder: Path, *, command: str = "", apart: bool = True) -> Path:
    """Write everything about every picture: a folder for each, and the document of all beside them.

    One picture of several that are worked on one after the other lies in `folder` itself, not `apart`; whoever has
    seen them all writes the document.
    """
    folders = unique(picture_slug(every[0].name) for every in found.pictures)
    with complete(folder) as staging:
        if apart:
            whole = summary(found.explanation.model, document(found.pictures), command=command)
            (staging / "localisation.json").write_bytes(as_file(whole))
        for index, (every, name) in enumerate(zip(found.pictures, folders, strict=True)):
            inside = staging / name if apart else staging
            inside.mkdir(exist_ok=True)
            files = _pictures(every, inside)
            if not apart:
                files.append(values.NAME)
            record = _manifest(found, index, files, command)
            (inside / "manifest.json").write_bytes(as_file(record))
        (staging / values.NAME).write_bytes(values.to_bytes(found))
    return folder


def input_of(first: Located, source: str | None = None) -> dict[str, Any]:
    """The head's entry of a picture, or of a sample of a tensor."""
    rows, columns = first.size
    known = {"name": first.name, "source": source, "size": {"rows": rows, "columns": columns}}
    return {**known, "box": list(first.seen), "notes": []}


def summary(model: Model, coco: Mapping[str, Any], *, command: str = "") -> dict[str, Any]:
    """A COCO document with the head of all documents, which readers of COCO pass over.

    Args:
        model: that was asked.
        coco: images, annotations and categories; an image may say where it is `from`.
        command: the command line.
    """
    inputs = [
        {
            "name": image["file_name"],
            "source": image.get("source"),
            "size": {"rows": image["height"], "columns": image["width"]},
            "box": image.get("box"),
            "notes": [],
        }
        for image in coco["images"]
    ]
    info = {"description": "found by pellucid locate", "version": __version__, "command": command}
    return {**provenance.head(command=command, model=model, inputs=inputs), "info": info, **coco}


def _pictures(every: tuple[Located, ...], folder: Path) -> list[str]:
    """Write boxes, masks and maps; returns the names of the files."""
    targets = unique(slug(located.target, "target") for located in every)
    files = []
    maps = {}
    for located, target in zip(every, targets, strict=True):
        behind = f".{target}" if len(every) > 1 else ""
        maps[f"values{behind}"] = located.values
        located.draw().save(folder / f"boxes{behind}.png", compress_level=_COMPRESS)
        files.append(f"boxes{behind}.png")
        for number, segment in enumerate(located.segments, 1):
            files.append(f"mask{behind}-{number}.png")
            _as_image(segment.mask).save(folder / files[-1])
    np.savez_compressed(folder / "maps.npz", **maps)  # type: ignore[arg-type]
    return [*files, "maps.npz", "manifest.json"]


def _as_image(mask: Mask) -> Image.Image:
    return Image.fromarray(mask.astype(np.uint8) * 255)


def _manifest(found: Localisation, index: int, files: list[str], command: str) -> dict[str, Any]:
    explanation, attribution, every = found.explanation, found.attribution, found.pictures[index]
    model = explanation.model
    return {
        **provenance.head(command=command, model=model, inputs=[input_of(every[0])]),
        "device": facts.device(explanation),
        "preprocessing": None if model.preprocess is None else model.preprocess.known,
        "picture": {
            "name": every[0].name,
            "size": [every[0].size[1], every[0].size[0]],
            "box": list(every[0].seen),
            "seen": list(every[0].seen),
        },
        "predictions": [each.known for each in explanation.predictions[index]] if explanation.predictions else [],
        "choices": dict(explanation.choices),
        "seed": explanation.seed,
        "method": {
            "id": attribution.method.id,
            "reference": str(attribution.method.reference),
            "site": str(attribution.site) if attribution.site else None,
            "options": dict(attribution.options),
        },
        "rule": {
            "mask": every[0].rule.text,
            "resizing": "bilinear, half-pixel centres, to the picture's own pixels",
            "parts": "pixels that share an edge or a corner, largest first",
        },
        "targets": [
            {
                "target": located.target,
                "label": located.label,
                "probability": located.probability,
                "objects": [
                    {"bbox": segment.bbox, "area": segment.area, "peak": segment.peak} for segment in located.segments
                ],
                "notes": list(located.notes),
            }
            for located in every
        ],
        "files": files,
    }
