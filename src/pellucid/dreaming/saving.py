"""Dreams on disk: a picture or a contact sheet, and a manifest that says how it came about."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from pellucid.dreaming.dream import Dream
from pellucid.errors import BadOption
from pellucid.pictures import sheet
from pellucid.report import facts
from pellucid.report.folder import complete

_FRAME = 80  # milliseconds of one frame of an animation


def as_image(picture: Tensor) -> Image.Image:
    """A picture `[channel, row, column]`, 0 to 1, as 8-bit RGB; other numbers of channels than 3 become their mean."""
    rgb = picture if picture.shape[0] == 3 else picture.mean(0, keepdim=True).expand(3, -1, -1)
    return Image.fromarray((rgb.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy())


def save_dream(made: Dream, path: Path, *, titles: Sequence[str] = (), command: str = "") -> list[Path]:
    """Write `path` (one picture, or a contact sheet of several), `path` with .json, and .gif where there are snapshots.

    Raises:
        BadOption: the path does not end in .png, or cannot be written to.
    """
    if path.suffix.lower() != ".png":
        raise BadOption(f"Expected a file that ends in .png for the picture, got {str(path)!r}.")
    images = [as_image(picture) for picture in made.pictures]
    if len(images) == 1:
        whole = images[0]
    else:
        columns = max(1, round(len(images) ** 0.5))
        whole = sheet(
            list(zip(images, titles or [""] * len(images), strict=True)), columns=columns, cell=images[0].width
        )
    names = [path.name, f"{path.stem}.json"]
    with complete(path.parent) as staging:
        whole.save(staging / names[0])
        (staging / names[1]).write_text(json.dumps(manifest(made, titles, command), indent=2))
        if made.snapshots:
            names.append(f"{path.stem}.gif")
            frames = [as_image(pictures[0]) for _, pictures in made.snapshots]
            frames[0].save(staging / names[2], save_all=True, append_images=frames[1:], duration=_FRAME, loop=0)
    return [path.with_name(name) for name in names]


def manifest(made: Dream, titles: Sequence[str] = (), command: str = "") -> dict[str, Any]:
    """All that has to be known to make the same again, and what was reached."""
    return {
        "schema_version": 1,
        "created": facts.created(),
        "command": command,
        "model": {"name": made.model.name, "source": made.model.source, "fingerprint": made.model.fingerprint},
        "objective": made.objective,
        "recipe": asdict(made.recipe),
        "seed": made.seed,
        "size": list(made.size),
        "titles": list(titles),
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
