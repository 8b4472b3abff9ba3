"""`pellucid dissect FOLDER --masks DIR --layer PATH`: which units match which concept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pellucid.cli import console
from pellucid.cli.console import plain
from pellucid.cli.flags import json_flag, load_model, model_flags, spec_flag
from pellucid.errors import BadOption
from pellucid.paths import usable_path


@click.command(short_help="Find the units of a layer that match given concepts.")
@click.argument("pictures", metavar="PICTURE...", nargs=-1, required=True)
@click.option("--masks", required=True, metavar="DIR", help="One folder per concept, with masks named as the pictures.")
@spec_flag
@click.option("--layer", required=True, metavar="SITE", help="A layer with a grid; `pellucid layers MODEL` lists them.")
@click.option("--threshold", type=float, default=0.04, show_default=True, help="Least overlap (IoU) that counts.")
@click.option(
    "--quantile", type=float, default=0.005, show_default=True, help="Share of places where a unit is strong."
)
@click.option("--out", metavar="DIR", help="Folder for the result: dissection.json, and what `pellucid read` reads.")
@model_flags
@json_flag
@click.pass_context
def dissect(
    ctx: click.Context,
    /,
    pictures: tuple[str, ...],
    masks: str,
    spec: str | None,
    layer: str,
    threshold: float,
    quantile: float,
    out: str | None,
    as_json: bool,
    **given: Any,
) -> int:
    """Find the units of a layer that are strong where a concept is.

    DIR holds a folder per concept; in it, a picture's mask is the PNG file of the same name, as large as the picture
    and not black where the concept is, or opaque where all of it is black. Where names repeat, a folder tells them
    apart: cat/holiday/1.png is of holiday/1.jpg. A picture without a mask does not show the concept.
    """
    from pellucid.inspection import dissect as take_apart
    from pellucid.inspection.dissection_saving import record_of
    from pellucid.pictures import find_pictures
    from pellucid.storage.provenance import named_inputs

    held = usable_path(masks, "--masks")
    if not held.is_dir():
        raise BadOption(
            f"There is no folder {str(held)!r}. Name one with --masks that holds a folder for each concept."
        )
    model = load_model(spec, given)
    every = [found.source for found in find_pictures(pictures)]
    truth = _masks(held, every)
    found = take_apart(model, every, truth, layer, quantile=quantile, threshold=threshold)
    folder = None if out is None else found.save(usable_path(out, "--out"), command=ctx.obj.command)
    if as_json:
        document = {**record_of(found), "out": None if folder is None else str(folder)}
        console.document(document, model=model, inputs=named_inputs(every))
        return 0
    title = f"{found.site} of {model.name}: {len(found.matches)} of {len(found.iou)} units match a concept"
    console.line(plain(title), style="bold")
    console.table(
        (("unit", "right"), "concept", ("overlap", "right"), ""),
        [(str(m.unit), plain(m.concept), f"{m.iou:.3f}", console.bar(m.iou)) for m in found.matches[:40]],
    )
    if len(found.matches) > 40:
        console.line(f"{len(found.matches) - 40} more: --json has all.")
    console.line("Overlap: intersection over union of where the unit is strong and where the concept is.")
    if folder is not None:
        console.line(plain(f"Wrote dissection.json to {folder}"))
    return 0


def _masks(folder: Path, pictures: list[str]) -> dict[str, list[Path | None]]:
    """For each concept the mask of each picture: of the path that agrees with the picture's for longest.

    Raises:
        BadOption: there is no mask, or one that could be of several pictures.
    """
    from pellucid.errors import BadPicture
    from pellucid.pictures.joining import Joined

    concepts = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    found: dict[str, list[Path | None]] = {}
    for concept in concepts:
        files = sorted(file for file in concept.rglob("*") if file.suffix.lower() == ".png" and file.is_file())
        joined = Joined([((file.relative_to(concept).as_posix(),), file) for file in files], str)
        masks = joined.of_all(pictures)
        for clash in masks:
            if isinstance(clash, BadPicture):
                raise BadOption(f"{clash} Masks are found as {concept.name}/FOLDER/NAME.png.")
        found[concept.name] = [mask if isinstance(mask, Path) else None for mask in masks]
    if not any(file for files in found.values() for file in files):
        raise BadOption(f"{str(folder)!r} holds no folder with masks named as the pictures, such as cat/photo.png.")
    return found
