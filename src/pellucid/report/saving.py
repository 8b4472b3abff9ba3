"""`save`: the files of an explanation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from pellucid.explanation import Explanation
from pellucid.modalities import find_modality
from pellucid.pictures import heat, overlay
from pellucid.report.manifest import array_name, manifest
from pellucid.report.page import page
from pellucid.report.views import MapView, PictureView, as_numpy, picture_views
from pellucid.storage import provenance, values
from pellucid.storage.atomic import complete, encode
from pellucid.storage.plain_json import as_file

_COMPRESS = 1  # of PNG: 12 % larger than the usual 6, a third of the time


def save(explanation: Explanation, folder: Path, *, command: str = "", apart: bool = False) -> Path:
    """Write pictures, maps, manifest and report of every picture that was explained.

    Args:
        explanation: of any number of pictures, or of a tensor.
        folder: where one picture's files go; several get a folder each in it, named after them. Files of the same
            names are replaced, and what an earlier call left there goes; all others are left alone.
        command: the command line that did it, for the record.
        apart: True if a single picture gets a folder in it as well.

    Returns:
        The folder. It holds, for each picture, `<key>.png` per attribution (the picture with the map over it; for
        tensors the map alone), `maps.npz` (`<key>/values`, `<key>/raw` and further findings), `manifest.json` and
        `report.html`; of maps along other axes than rows and columns neither pictures nor a report. The key is the
        method's id, with class and layer where there are several. `result.npz` in the folder itself is what
        `pellucid.read` reads.

    Raises:
        BadOption: the folder cannot be written to; nothing is left behind.
    """
    every, created = picture_views(explanation), provenance.now()
    with complete(folder) as staging:
        for subject in every:
            inside = staging / subject.folder if apart or len(every) > 1 else staging
            inside.mkdir(exist_ok=True)
            _write(subject, inside, created, command, (values.NAME,) if inside == staging else ())
        (staging / values.NAME).write_bytes(values.to_bytes(explanation))
        outdated = [path for file in staging.rglob("manifest.json") for path in _outdated(file, staging, folder)]
    for path in outdated:
        path.unlink(missing_ok=True)
    return folder


def _outdated(manifest_file: Path, staging: Path, folder: Path) -> list[Path]:
    """Files that an earlier call listed in its manifest and this one no longer writes; no others are ever touched."""
    old = folder / manifest_file.relative_to(staging)
    try:
        listed = json.loads(old.read_text())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    plain = [name for name in listed if isinstance(name, str) and name == Path(name).name]
    return [old.parent / name for name in plain if not (manifest_file.parent / name).exists()]


def _write(subject: PictureView, folder: Path, created: str, command: str, beside: tuple[str, ...]) -> None:
    """The files of one picture; its manifest lists those `beside` it as well."""
    drawn = not subject.explanation.undrawable
    for finding in subject.findings if drawn else ():
        draw(subject, finding).save(folder / f"{finding.key}.png", compress_level=_COMPRESS)
    arrays = {name: array for finding in subject.findings for name, array in _arrays(finding).items()}
    with (folder / "maps.npz").open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    for name, content in (further := _further(subject)).items():
        (folder / name).write_bytes(content)
    listed = manifest(subject, created=created, command=command, beside=(*further, *beside))
    (folder / "manifest.json").write_bytes(as_file(listed))
    if drawn:
        (folder / "report.html").write_bytes(encode(page([subject], created=created, command=command)))


def _further(subject: PictureView) -> dict[str, bytes]:
    """What a kind of input writes of its maps besides: contents by name."""
    write = None if subject.sample is None else find_modality(subject.sample.kind).write
    if subject.sample is None or write is None:
        return {}
    return {
        f"{finding.key}{ending}": content
        for finding in subject.findings
        for ending, content in write(subject.sample, finding.values).items()
    }


def draw(subject: PictureView, finding: MapView) -> Image:
    """The map over the picture, as its kind of input draws it, or alone where there is neither."""
    if subject.sample is not None:
        return find_modality(subject.sample.kind).draw(subject.sample, finding.values)
    return overlay(subject.picture, finding.values) if subject.picture else heat(finding.values)


def _arrays(finding: MapView) -> dict[str, NDArray[Any]]:
    found = {name: as_numpy(value) for name, value in finding.extras.items()}
    found["values"] = as_numpy(finding.values).astype(np.float32)
    found["raw"] = as_numpy(finding.attribution.raw[finding.index])
    for name, each in finding.inputs.items():
        found[f"inputs/{name}/values"] = as_numpy(each.values[finding.index])
        found[f"inputs/{name}/raw"] = as_numpy(each.raw[finding.index])
    return {array_name(finding.key, name): array for name, array in found.items()}
