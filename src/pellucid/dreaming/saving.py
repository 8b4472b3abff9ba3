"""Dreams on disk: a picture or a contact sheet, and a manifest that says how it came about."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pellucid.dreaming.atlas import Atlas
from pellucid.dreaming.drawing import as_image, as_sheet
from pellucid.dreaming.dream import Dream
from pellucid.dreaming.page import dream_page
from pellucid.dreaming.transparency import over_grey
from pellucid.errors import BadOption
from pellucid.report import facts
from pellucid.report.folder import complete, encode

_FRAME = 80  # milliseconds of one frame of an animation


def save_dream(made: Dream, path: Path, *, command: str = "") -> list[Path]:
    """Write `path` (one picture, or a contact sheet of several), the same with .json, .html, and .gif for snapshots.

    Raises:
        BadOption: the path does not end in .png, or cannot be written to.
    """
    if path.suffix.lower() != ".png":
        raise BadOption(f"Expected a file that ends in .png for the picture, got {str(path)!r}.")
    whole = as_sheet(made)
    names = [path.name, f"{path.stem}.json", f"{path.stem}.html"]
    with complete(path.parent) as staging:
        whole.save(staging / names[0])
        (staging / names[1]).write_text(json.dumps(manifest(made, command), indent=2))
        (staging / names[2]).write_bytes(encode(dream_page(made, command)))
        if made.snapshots:
            names.append(f"{path.stem}.gif")
            channels = made.pictures.shape[1]  # a GIF has no half opacity
            frames = [as_image(over_grey(pictures[:1], channels)[0][0]) for _, pictures in made.snapshots]
            frames[0].save(staging / names[3], save_all=True, append_images=frames[1:], duration=_FRAME, loop=0)
    return [path.with_name(name) for name in names]


def manifest(made: Dream, command: str = "") -> dict[str, Any]:
    """All that has to be known to make the same again, and what was reached."""
    return {
        "schema_version": 1,
        "created": facts.created(),
        "command": command,
        "model": {"name": made.model.name, "source": made.model.source, "fingerprint": made.model.fingerprint},
        "objective": made.objective,
        "made_by": {"recipe": made.made_by, "options": made.options} if made.made_by else None,
        "recipe": asdict(made.recipe),
        "seed": made.seed,
        "size": list(made.size),
        "titles": made.titles,
        "final": made.final.tolist(),
        "terms": {name: values.tolist() for name, values in made.terms.items()},
        "objective_per_step": made.objectives.tolist(),
        "spectrum_slope": made.slope,
        "trust": [asdict(panel) | {"ratio": panel.ratio, "verdict": panel.verdict} for panel in made.trust],
        "rescued": made.rescued,
        "stopped": made.stopped,
        "seconds": made.seconds,
        "notes": made.notes,
        "versions": facts.versions(),
    }


def save_atlas(made: Atlas, folder: Path, *, command: str = "") -> list[Path]:
    """Write atlas.png and atlas.json into the folder that holds the directions.

    Raises:
        BadOption: it cannot be written to, or no icons were drawn.
    """
    page = made.draw()
    about = {
        "layer": made.layer,
        "layout": made.layout,
        "variance": list(made.shares),
        "grid": made.grid,
        "cells": [asdict(cell) for cell in made.cells],
        "pictures": len(set(made.sources)),
        "points": [[*point, source] for point, source in zip(made.points.tolist(), made.sources, strict=True)],
        "failed": made.failed,
        "atlas_notes": made.notes,
    }
    icons = manifest(made.dream, command) if made.dream else {}
    with complete(folder) as staging:
        page.save(staging / "atlas.png")
        (staging / "atlas.json").write_text(json.dumps({**icons, **about}, indent=1))
    return [folder / "atlas.png", folder / "atlas.json"]
