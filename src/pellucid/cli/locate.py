"""`pellucid locate`: boxes and masks from a network that was never shown any."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pellucid.cli import console
from pellucid.cli.console import plain
from pellucid.cli.flags import (
    Invocation,
    json_flag,
    load_model,
    model_flags,
    results_folder,
    run_flags,
    spec_flag,
    unit_flag,
)
from pellucid.cli.options import CommandWithMethods, given_options, normalise
from pellucid.errors import BadOption, PellucidError, exit_code
from pellucid.wording import chance

if TYPE_CHECKING:
    from pellucid.contracts import Model
    from pellucid.localisation import Localisation, Located
    from pellucid.localisation.coco import Document
    from pellucid.pictures import PictureRef


@click.command(
    cls=CommandWithMethods,
    short_help="Find where the class is: boxes and masks in the picture's pixels.",
    context_settings={"token_normalize_func": normalise},
)
@click.argument("pictures", metavar="PICTURE...", nargs=-1, required=True)
@spec_flag
@click.option("--method", "-m", default="grad-cam", show_default=True, metavar="ID", help="Whose map is used.")
@click.option("--target", metavar="WHAT", help="A class, top5, ... as for explain. [default: the top class]")
@click.option("--layer", metavar="SITE|auto", help="Where layer methods look.")
@click.option("--by", default="threshold", show_default=True, metavar="RULE", help="threshold or graph-cut.")
@click.option("--threshold", type=float, help="Share of the map's maximum. [default: as published for the method]")
@click.option("--crops/--no-crops", default=None, help="Average over ten crops. [default: for graph-cut only]")
@click.option("--objects", type=click.IntRange(min=1), default=1, show_default=True, help="Parts at most, by size.")
@click.option("--annotations", metavar="FILE|DIR", help="Known boxes (COCO, VOC, ILSVRC): print how well it locates.")
@click.option("--held-out", type=float, default=0.2, show_default=True, help="Share of these to choose thresholds on.")
@run_flags
@model_flags
@unit_flag
@json_flag
@click.pass_context
def locate(ctx: click.Context, /, pictures: tuple[str, ...], as_json: bool, **given: Any) -> int:
    """Find where in pictures the class is, with a classifier that never saw a box.

    PICTURE is a file, a folder or a sample. Writes a folder per picture with the boxes drawn, each mask as PNG, the
    map and a manifest, and localisation.json for all of them: COCO's format, boxes as [left, top, width, height] in
    pixels of the original picture.

    \b
    pellucid locate sample:cat --method cam
    pellucid locate photos/ --target top3 --objects 3
    pellucid locate photos/ --method saliency --by graph-cut
    pellucid locate val/ --annotations instances_val.json --resize none
    """  # noqa: D301 - click's mark for lines that are to stay lines
    from pellucid.localisation.rules import rule_for
    from pellucid.pictures import find_pictures
    from pellucid.registry import find_method

    call: Invocation = ctx.obj
    options = given_options(ctx)
    rule_for(find_method(given["method"]), given["by"], given["threshold"])  # misuse is said before the model is loaded
    for strange in set(options) - {given["method"]}:
        name = next(iter(options[strange])).replace("_", "-")
        raise BadOption(f"--{strange}.{name} was given, but the method is {given['method']}. Add --method {strange}.")
    out = results_folder(given["out"])
    model = load_model(given["spec"], given)
    if given["annotations"]:
        from pellucid.cli.locate_scores import compare

        return compare(model, find_pictures(pictures), given, options, out, call.command, as_json=as_json)
    loop = _Loop(model, options, given, out, call.command, quiet=as_json)
    loop.run(find_pictures(pictures))
    document = loop.finish()
    if as_json:
        console.document(document)
    return loop.exit_code


class _Loop:
    """Each picture is read, looked at and saved alone, so that a bad one never stops the others."""

    def __init__(
        self, model: Model, options: Any, given: dict[str, Any], out: Path, command: str, *, quiet: bool
    ) -> None:
        from pellucid.localisation.coco import Document

        self.model, self.options, self.given = model, options, given
        self.out, self.command, self.quiet = out, command, quiet
        self.found: Document = Document()
        self.failed: list[tuple[PictureRef, PellucidError]] = []
        self.interrupted = ""

    @property
    def exit_code(self) -> int:
        """Interrupted, or the gravest failure, or 0."""
        return exit_code((error for _, error in self.failed), interrupted=bool(self.interrupted))

    def run(self, pictures: list[PictureRef]) -> None:
        """Look at all pictures, or at those before Ctrl-C."""
        from pellucid.cli.progress import Bar
        from pellucid.jobs import over
        from pellucid.report.names import picture_slug, unique

        folders = unique(picture_slug(found.name) for found in pictures)
        with Bar(len(pictures)) as bar:
            outcome = over(
                list(zip(pictures, folders, strict=True)),
                lambda one: self._one(one[0], self.out / one[1], bar),
                name=lambda one: one[0].name,
                each=lambda _: bar.finish_picture(),
            )
        self.failed = [(failure.input[0], failure.error) for failure in outcome.failed]
        if outcome.interrupted is not None:
            self.interrupted = str(outcome.interrupted) or "Interrupted."

    def _one(self, found: PictureRef, folder: Path, bar: Any) -> None:
        from pellucid.localisation import locate as find
        from pellucid.localisation.saving import save
        from pellucid.models.preprocessing import preprocessing_of
        from pellucid.pictures import prepare

        given = self.given
        located = find(
            self.model,
            prepare(found.source, preprocessing_of(self.model), found.name),
            given["method"],
            given["target"],
            given["layer"],
            self.options,
            given["seed"],
            by=given["by"],
            threshold=given["threshold"],
            crops=given["crops"],
            objects=given["objects"],
            chunk=given["chunk"],
            progress=bar.tick,
        )
        save(located, folder, command=self.command, apart=False)
        self.found.add(located.pictures[0], source=found.source, folder=str(folder))
        if not self.quiet:
            _print(located, folder)

    def finish(self) -> dict[str, Any]:
        """Write the document of all pictures, say what failed, and return the document with both."""
        from pellucid.localisation.saving import summary
        from pellucid.storage.atomic import write_bytes
        from pellucid.storage.plain_json import as_file

        document = summary(self.model, self.found.as_dict(), command=self.command)
        if self.found.images:
            write_bytes(self.out / "localisation.json", as_file(document))
        for _, error in self.failed:
            console.error(str(error))
        if self.interrupted:
            kept = f"What was finished is in {self.out}." if self.found.images else "Nothing was finished."
            console.note(f"{self.interrupted} {kept}")
        elif not self.quiet and self.found.images:
            console.line(plain(f"All boxes: {self.out / 'localisation.json'}"), style="bold")
        return {
            **document,
            "failed": [{"source": found.source, "message": str(error)} for found, error in self.failed],
            "interrupted": self.interrupted or None,
            "exit_code": self.exit_code,
        }


_EDGES = tuple(f"{edge}\npixels" for edge in ("left", "top", "width", "height"))


def _print(located: Localisation, folder: Path) -> None:
    first = located.pictures[0][0]
    console.line()
    console.line(plain(f"{first.name}, {first.size[1]} x {first.size[0]} pixels"), style="bold")
    console.line(plain(f"{located.attribution.method.title}, {first.rule.text}"))
    rows = [row for each in located for row in _rows(each)]
    numbers = tuple((name, "right") for name in ("probability", *_EDGES, "of the picture"))
    if rows:
        console.table(("found", *numbers), rows)
    for note in dict.fromkeys(f"{each.target}: {note}" if each is not first else note for each in located
                              for note in each.notes):  # fmt: skip
        console.line(plain(f"Note: {note}"))
    console.line(plain(f"Wrote boxes, masks, maps and manifest to {folder}"))


def _rows(located: Located) -> list[tuple[str, ...]]:
    sure = "" if located.probability is None else chance(located.probability)
    whole = located.size[0] * located.size[1]
    return [
        (plain(located.target), sure, *map(str, segment.bbox), f"{segment.area / whole:.1%}")
        for segment in located.segments
    ]
