"""`pellucid locate --annotations`: how well it locates, against boxes that are known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pellucid.cli import console
from pellucid.cli.console import plain
from pellucid.cli.progress import Bar
from pellucid.errors import BadOption, Cancelled

if TYPE_CHECKING:
    from pellucid.contracts import Model
    from pellucid.localisation.annotations import Annotations, Truth
    from pellucid.localisation.tally import Report
    from pellucid.pictures import PictureRef


def compare(
    model: Model,
    pictures: list[PictureRef],
    given: dict[str, Any],
    options: Any,
    out: Path,
    command: str,
    *,
    as_json: bool,
) -> int:
    """Locate in all pictures that are annotated, print the scores and write `scores.json`; the exit status.

    Args:
        model: with class names.
        pictures: as they were asked for.
        given: the flags of `locate`.
        options: of the methods.
        out: folder.
        command: the command line, for the record.
        as_json: print the document instead of a table.
    """
    from pellucid.localisation.annotations import read_annotations
    from pellucid.localisation.scoring import score
    from pellucid.storage.atomic import write_bytes
    from pellucid.storage.plain_json import as_file
    from pellucid.storage.provenance import head, named_inputs

    known = read_annotations(given["annotations"]).matched(model.classes)
    pairs, clashes = _pairs(pictures, known, given["annotations"])
    how = {name: given[name] for name in ("layer", "by", "threshold", "crops", "chunk")}
    status = 0
    try:
        with Bar(1) as bar:
            report = score(
                model, pairs, given["method"], held_out=given["held_out"], seed=given["seed"], progress=bar.tick,
                options=options, **how,
            )  # fmt: skip
    except Cancelled as stop:
        if stop.finished is None:
            raise
        report, status = stop.finished, Cancelled.exit_code
    missing = len(pictures) - len(pairs) - sum(note.startswith("Left out") for note in clashes)
    notes = [
        *known.notes,
        *clashes,
        *report.notes,
        *([f"{missing} pictures are not in the annotations."] if missing else []),
    ]
    inputs = named_inputs(source for source, _ in pairs)
    about = {"method": given["method"], "layout": known.layout}
    # Version 1 had the network's name alone as `model`.
    document = {**head(command=command, model=model, inputs=inputs, schema_version=2), **about, **report.known}
    document["notes"] = notes
    write_bytes(out / "scores.json", as_file(document))
    if as_json:
        console.document(document)
        return status
    console.line(
        plain(f"{given['method']} with {model.name} on {report.judged} pictures ({known.layout})"), style="bold"
    )
    _table(report)
    for note in notes:
        console.line(plain(f"Note: {note}"))
    console.line(plain(f"Wrote {out / 'scores.json'}"))
    return status


def _pairs(
    pictures: list[PictureRef], known: Annotations, name: str
) -> tuple[list[tuple[str, Truth]], tuple[str, ...]]:
    """Pictures with what is known about them, and notes on those for which it cannot be told."""
    if not known.pictures:
        raise BadOption(f"{name} names no picture.")
    found, notes = known.of_all([each.source for each in pictures])
    pairs = [(each.source, truth) for each, truth in zip(pictures, found, strict=True) if truth is not None]
    if not pairs:
        raise BadOption(
            " ".join(notes)
            or f"None of the {len(pictures)} pictures is in {name}, which names {len(known.pictures)} such as "
            f"{known.pictures[0].name!r}."
        )
    return pairs, notes


def _table(report: Report) -> None:
    rows = [
        (name, f"{number.mean:.3f}", _interval(number.interval), str(number.count))
        for name, number in report.scores.items()
    ]
    console.table(("score", ("value", "right"), ("95 % interval", "right"), ("of", "right")), rows)
    if report.threshold is not None:
        console.line(
            f"The threshold {report.threshold:g} and a centre box of {report.centre:.0%} of the sides were chosen on "
            f"{report.held_out} other pictures."
        )


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
