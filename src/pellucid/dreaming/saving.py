"""Dreams on disk: a picture or a contact sheet, and a manifest that says how it came about."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from pellucid.dreaming.atlas import Atlas
from pellucid.dreaming.dream import Dream
from pellucid.errors import BadOption
from pellucid.pictures import sheet
from pellucid.report import facts
from pellucid.report.folder import complete

_LEAST = 96  # pixels of a picture on a sheet
_FRAME = 80  # milliseconds of one frame of an animation


def as_image(picture: Tensor) -> Image.Image:
    """A picture `[channel, row, column]`, 0 to 1, as 8-bit RGB; other numbers of channels than 3 become their mean."""
    rgb = picture if picture.shape[0] == 3 else picture.mean(0, keepdim=True).expand(3, -1, -1)
    return Image.fromarray((rgb.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy())


def save_dream(made: Dream, path: Path, *, command: str = "") -> list[Path]:
    """Write `path` (one picture, or a contact sheet of several), `path` with .json, and .gif where there are snapshots.

    Raises:
        BadOption: the path does not end in .png, or cannot be written to.
    """
    if path.suffix.lower() != ".png":
        raise BadOption(f"Expected a file that ends in .png for the picture, got {str(path)!r}.")
    whole = as_sheet(made)
    names = [path.name, f"{path.stem}.json"]
    with complete(path.parent) as staging:
        whole.save(staging / names[0])
        (staging / names[1]).write_text(json.dumps(manifest(made, command), indent=2))
        if made.snapshots:
            names.append(f"{path.stem}.gif")
            frames = [as_image(pictures[0]) for _, pictures in made.snapshots]
            frames[0].save(staging / names[2], save_all=True, append_images=frames[1:], duration=_FRAME, loop=0)
    return [path.with_name(name) for name in names]


def as_sheet(made: Dream) -> Image.Image:
    """The picture, or all of them on a contact sheet, what belongs to them first."""
    images = [_enlarged(as_image(picture)) for picture in made.pictures]
    if made.mosaic:
        images = [_joined(images, made.columns or len(images))]
    titles = [""] if made.mosaic else made.titles or [""] * len(images)
    cells = [*made.beside, *zip(images, titles, strict=True)]
    if len(cells) == 1:
        return images[0]
    return sheet(
        cells, columns=2 if made.mosaic else made.columns or math.ceil(len(cells) ** 0.5), cell=max(images[0].size)
    )


def _joined(images: list[Image.Image], columns: int) -> Image.Image:
    """Pictures of one size as one, row by row, without gaps."""
    width, height = images[0].size
    whole = Image.new("RGB", (width * columns, height * -(-len(images) // columns)))
    for k, image in enumerate(images):
        whole.paste(image, (k % columns * width, k // columns * height))
    return whole


def _enlarged(image: Image.Image) -> Image.Image:
    """Tiny pictures with every pixel as a square."""
    factor = max(1, _LEAST // max(image.size))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


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
