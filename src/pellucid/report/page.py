"""The HTML page: one file without any request, from the template, style and scripts in `page_parts/`."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pellucid.explanation import Explanation
from pellucid.modalities import DrawnMap, find_modality
from pellucid.pictures.packing import tables
from pellucid.report import facts
from pellucid.report.classes import classes_grid
from pellucid.report.document import document
from pellucid.report.packing import half, photograph, script_json
from pellucid.report.reproduce import snippet
from pellucid.report.trust import panels
from pellucid.report.views import MapView, PictureView, picture_views
from pellucid.storage import provenance
from pellucid.storage.atomic import write_text


def write_report(explanation: Explanation, path: Path, *, command: str = "") -> Path:
    """Write the page about all pictures of an explanation.

    Args:
        explanation: of pictures or of a tensor.
        path: of the HTML file; one that exists is replaced.
        command: the command line that did it, shown for reproduction.

    Raises:
        BadOption: the file cannot be written.
    """
    return write_text(path, page(picture_views(explanation), created=provenance.now(), command=command))


def notebook_frame(explanation: Explanation) -> str:
    """The page in a frame that can neither reach the notebook nor the network."""
    document = html.escape(page(picture_views(explanation), created=provenance.now()))
    return (
        f'<iframe srcdoc="{document}" sandbox="allow-scripts" title="Pellucid report" loading="lazy" '
        'style="width: 100%; height: 900px; border: 0"></iframe>'
    )


def page(pictures: Sequence[PictureView], *, created: str, command: str = "") -> str:
    """The page about some pictures, signals, ... of one explanation, as HTML."""
    if pictures[0].sample is not None:
        return sample_page(pictures, created=created, command=command)
    shown = [_shown(subject) for subject in pictures]
    data = {"tables": tables(), "pictures": [one["data"] for one in shown]}
    return document(
        "page.html",
        scripts=("paint.js", "viewer.js"),
        explanation=pictures[0].explanation,
        shown=shown,
        data=script_json(data),
        created=created,
        versions=provenance.versions(),
        device=facts.device(pictures[0].explanation),
        command=command,
        snippet=snippet(pictures),
        facts=facts,
    )


def sample_page(samples: Sequence[PictureView], *, created: str, command: str) -> str:
    """The page about signals, rows of tables, ...: each is shown by the view of its kind."""
    shown = [_shown_sample(subject) for subject in samples]
    views = list({subject.sample.kind: one["view"] for subject, one in zip(samples, shown, strict=True)
                  if subject.sample is not None}.values())  # fmt: skip
    return document(
        "sample.html",
        own_script="\n".join(view.script for view in views if view.script),
        own_style="\n".join(view.style for view in views if view.style),
        explanation=samples[0].explanation,
        shown=shown,
        data=script_json({"views": [one["view"].data for one in shown]}),
        created=created,
        versions=provenance.versions(),
        device=facts.device(samples[0].explanation),
        command=command,
        snippet=snippet(samples),
        facts=facts,
    )


def _shown_sample(subject: PictureView) -> dict[str, Any]:
    """What the template needs to know about one sample, with what its kind shows of it."""
    sample = subject.sample
    if sample is None:
        raise TypeError(f"{subject.name} is no sample of a kind.")
    maps = [DrawnMap(label(finding, subject), finding.numbers) for finding in subject.findings]
    judged = panels(subject.findings)
    return {
        "subject": subject,
        "methods": _methods(subject),
        "view": find_modality(sample.kind).view(sample, maps),
        "panels": [(each.title, panel) for each, panel in zip(maps, judged, strict=True)],
        "judged": any(judged),
    }


def _shown(subject: PictureView) -> dict[str, Any]:
    """What the template and the script need to know about one picture."""
    picture = subject.picture
    source, size = photograph(picture.image) if picture else ("", (0, 0))
    return {
        "subject": subject,
        "source": source,
        "shown_size": size,
        "groups": _groups(subject),
        "methods": _methods(subject),
        "panels": panels(subject.findings),
        "data": {
            "size": list(picture.image.size) if picture else None,
            "box": list(picture.box) if picture else None,
            "maps": [{"title": label(f, subject), **half(f.numbers)} for f in subject.findings],
        },
    }


def label(finding: MapView, subject: PictureView) -> str:
    """What a map is called beside the others: its method, and its layer or target where that tells them apart."""
    several = len({f.target for f in subject.findings}) > 1
    parts = [finding.attribution.method.title, _site(finding, subject), finding.target if several else ""]
    return " · ".join(part for part in parts if part)


def _site(finding: MapView, subject: PictureView) -> str:
    """Its layer, where its method looked at several."""
    sites = {f.attribution.site for f in subject.findings if f.attribution.method.id == finding.attribution.method.id}
    return str(finding.attribution.site or "") if len(sites) > 1 else ""


def _groups(subject: PictureView) -> dict[str, list[tuple[int, MapView, str]]]:
    """Maps with their numbers and, where needed, layers, by what they explain."""
    groups: dict[str, list[tuple[int, MapView, str]]] = {}
    for number, finding in enumerate(subject.findings):
        groups.setdefault(finding.target, []).append((number, finding, _site(finding, subject)))
    return groups


def _methods(subject: PictureView) -> list[dict[str, Any]]:
    """The methods that were run, each with its maps and what else it found."""
    by_id: dict[str, list[MapView]] = {}
    for finding in subject.findings:
        by_id.setdefault(finding.attribution.method.id, []).append(finding)
    return [
        {
            "method": found[0].attribution.method,
            "options": found[0].attribution.options,
            "findings": found,
            "notes": list(dict.fromkeys(note for f in found for note in f.attribution.notes)),
            "numbers": [(name, float(x)) for f in found for name, x in f.extras.items() if x.numel() == 1],
            "grids": [grid for f in found if (grid := classes_grid(f)) is not None],
        }
        for found in by_id.values()
    ]
