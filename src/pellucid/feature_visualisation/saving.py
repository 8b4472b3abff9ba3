"""Dreams on disk: a picture or a contact sheet, and a manifest that says how it came about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pellucid.errors import BadOption, unknown
from pellucid.feature_visualisation.atlas import Atlas
from pellucid.feature_visualisation.drawing import as_sheet
from pellucid.feature_visualisation.page import dream_page
from pellucid.feature_visualisation.visualisation import Visualisation
from pellucid.storage import provenance, values
from pellucid.storage.atomic import complete, encode
from pellucid.storage.plain_json import as_file

_FRAME = 80  # milliseconds of one frame of an animation


ANIMATIONS = ("gif", "apng")
"""Kinds of animation: GIF is shown everywhere, APNG keeps all colours and alpha."""


def save_dream(made: Visualisation, path: Path, *, animation: str = "gif", command: str = "") -> list[Path]:
    """Write `path` (one picture, or a contact sheet of several), the same with .json and .html, and an animation.

    Args:
        made: the dream.
        path: ends in .png.
        animation: of the snapshots, if there are any: one of `ANIMATIONS`, which is also how its file ends. A GIF has
            no half opacity, so pictures with alpha lie over plain grey there.
        command: that made it.

    Raises:
        BadOption: the path does not end in .png, or cannot be written to.
        UnknownName: another kind of animation.
    """
    if animation not in ANIMATIONS:
        raise unknown("animation", animation, ANIMATIONS, f"Animations: {', '.join(ANIMATIONS)}.")
    if path.suffix.lower() != ".png":
        raise BadOption(f"Expected a file that ends in .png for the picture, got {str(path)!r}.")
    whole = as_sheet(made)
    names = [path.name, f"{path.stem}.json", f"{path.stem}.html", f"{path.stem}.npz"]
    with complete(path.parent) as staging:
        whole.save(staging / names[0])
        (staging / names[1]).write_bytes(as_file(manifest(made, command)))
        (staging / names[2]).write_bytes(encode(dream_page(made, command)))
        (staging / names[3]).write_bytes(values.to_bytes(made))
        if made.snapshots:
            names.append(f"{path.stem}.{animation}")
            frames = [as_sheet(each) for each in _on_the_way(made, flat=animation == "gif")]
            frames[0].save(
                staging / names[4],
                "PNG" if animation == "apng" else "GIF",
                save_all=True,
                append_images=frames[1:],
                duration=_FRAME,
                loop=0,
            )
    return [path.with_name(name) for name in names]


def _on_the_way(made: Visualisation, *, flat: bool) -> Iterator[Visualisation]:
    """The dream with the pictures of each snapshot; `flat` without alpha."""
    for _, pictures in made.snapshots:
        if made.alpha is None:
            yield replace(made, pictures=pictures)
        else:
            then = replace(made, pictures=pictures[:, :-1], alpha=pictures[:, -1])
            yield replace(then, pictures=then.judged, alpha=None) if flat else then


def manifest(made: Visualisation, command: str = "", inputs: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """All that has to be known to make the same again, and what was reached.

    Args:
        made: the pictures.
        command: that made them.
        inputs: what was given to the network, for those that show what it sees; see `storage.provenance`.
    """
    return {
        **provenance.head(command=command, model=made.model, inputs=inputs),
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
    inputs = provenance.named_inputs(dict.fromkeys(made.sources))
    icons = manifest(made.dream, command, inputs) if made.dream else provenance.head(command=command, inputs=inputs)
    with complete(folder) as staging:
        page.save(staging / "atlas.png")
        (staging / "atlas.json").write_bytes(as_file({**icons, **about}))
    return [folder / "atlas.png", folder / "atlas.json"]
