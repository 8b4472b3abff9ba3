"""The files and the page of an inspection."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from pellucid.inspection import Inspection, Row
from pellucid.inspection.activations import Common, LayerMaps, scales, sheet, strip
from pellucid.inspection.fields import described, starts, steps
from pellucid.inspection.filter_sheets import matrix, pairs, strongest
from pellucid.inspection.filter_sheets import sheet as filter_sheet
from pellucid.inspection.filters import FilterBank
from pellucid.inspection.graph_box import GraphBox
from pellucid.inspection.structure import SETTINGS
from pellucid.pictures.packing import tables
from pellucid.report import facts
from pellucid.report.document import document
from pellucid.report.names import slug, unique
from pellucid.report.packing import half, photograph, script_json
from pellucid.report.tables import comma_separated
from pellucid.storage import provenance, values
from pellucid.storage.atomic import complete, encode, write_text
from pellucid.storage.plain_json import as_file

_UNITS, _CELLS = 24, 56  # of a layer on the page, and cells of a map along its longer side
_BANKS, _KERNELS, _FIRST = 12, 16, 64
_READS = 6


def save_inspection(found: Inspection, folder: Path, *, scale: Common = "unit", command: str = "") -> Path:
    """Write everything about an inspection into a folder; files of the same names are replaced.

    Raises:
        BadOption: the folder cannot be written to; nothing is left behind.
    """
    created = provenance.now()
    with complete(folder) as staging:
        (staging / "inspection.json").write_bytes(as_file(record_of(found, created=created, command=command)))
        (staging / values.NAME).write_bytes(values.to_bytes(found))
        (staging / "structure.csv").write_bytes(encode(table(found)))
        (staging / "graph.svg").write_bytes(encode(found.drawing()))
        (staging / "inspection.html").write_bytes(encode(page(found, created=created, command=command)))
        _write_filters(found, staging / "filters")
        if found.activations:
            strip(found.activations, found.picture).save(staging / "strip.png")
            _write_activations(found, staging / "activations", scale)
    return folder


def write_inspection(found: Inspection, path: Path, *, command: str = "") -> Path:
    """Write the page; one that exists is replaced.

    Raises:
        BadOption: it cannot be written.
    """
    return write_text(path, page(found, created=provenance.now(), command=command))


def _write_filters(found: Inspection, folder: Path) -> None:
    banks = [bank for bank in found.filters if bank.weights.shape[2:] != (1, 1) or bank.on_picture]
    if banks:
        folder.mkdir()
    for bank, name in zip(banks, unique(slug(bank.path, "network") for bank in banks), strict=True):
        filter_sheet(bank).save(folder / f"{name}.png")
        if bank.weights.shape[1] > 1 and not bank.on_picture:
            matrix(bank).save(folder / f"{name}.inputs.png")


def _write_activations(found: Inspection, folder: Path, scale: Common) -> None:
    folder.mkdir()
    names = unique(slug(str(layer.site), "layer") for layer in found.activations)
    for layer, drawn, name in zip(found.activations, scales(found.activations, scale), names, strict=True):
        sheet(layer, drawn).save(folder / f"{name}.png")


def record_of(found: Inspection, *, created: str = "", command: str = "") -> dict[str, Any]:
    """The inspection without its pictures, for JSON."""
    structure, model = found.structure, found.model
    inputs = [provenance.input_record(found.picture)] if found.picture else []
    return {
        **provenance.head(created=created, command=command, model=model, inputs=inputs),
        "input": list(structure.input),
        "picture": found.picture.name if found.picture else None,
        "output": structure.total.output,
        "parameters": structure.total.parameters,
        "trainable": structure.total.trainable,
        "multiply_adds": structure.total.multiply_adds,
        "uncounted": list(structure.uncounted),
        "functions": dict(structure.functions),
        "notes": list(structure.notes),
        "modules": [_module(row) for row in structure.rows],
        "filters": [
            {"path": bank.path, "names": bank.names, "kernels": [vars(kernel) for kernel in bank.kernels]}
            for bank in found.filters
        ],
        "activations": [
            {
                "site": str(layer.site),
                "shape": list(layer.maps.shape),
                "order": list(layer.order),
                "silent": list(layer.silent),
                "saturated": list(layer.saturated),
                "limits": list(layer.limits),
            }
            for layer in found.activations
        ],
    }


def _module(row: Row) -> dict[str, Any]:
    field = row.field
    known = {name: getattr(field, name) for name in ("size", "step", "start", "status", "why")} if field else None
    return {**asdict(replace(row, field=None)), "field": known}


def table(found: Inspection) -> str:
    """The structure as comma-separated values."""
    header = ["path", "kind", "calls", *SETTINGS, "output", "parameters", "multiply_adds", "parameter_share",
              "multiply_add_share", "field", "step", "start", "status"]  # fmt: skip
    return comma_separated([header, *map(_cells, found.structure.rows)])


def _cells(row: Row) -> list[Any]:
    settings = [row.settings.get(name, "") for name in SETTINGS]
    shares = [f"{share:.6f}" for share in (row.parameter_share, row.multiply_add_share)]
    return [
        row.path,
        row.kind,
        row.calls,
        *settings,
        row.output,
        row.parameters,
        row.multiply_adds,
        *shares,
        *_field(row),
    ]


def _field(row: Row) -> list[str]:
    if row.field is None:
        return ["", "", "", ""]
    return [" x ".join(map(str, row.field.size)), steps(row.field), starts(row.field), row.field.status]


def page(found: Inspection, *, created: str, command: str = "") -> str:
    """Everything about an inspection as one HTML file."""
    shown = _shown_banks(found)
    data = {
        "tables": tables(),
        "graph": _packed(found.graph),
        "layers": [_layer(layer) for layer in found.activations],
    }
    source = ""
    if found.picture:
        left, top, right, bottom = found.picture.box
        side = (224, max(1, round(224 * (bottom - top) / max(right - left, 1e-9))))
        source, _ = photograph(
            found.picture.image.convert("RGB").resize(side, Image.Resampling.BICUBIC, (left, top, right, bottom))
        )
    return document(
        "inspection.html",
        created=created,
        styles=("page.css", "inspection.css"),
        scripts=("paint.js", "inspection.js"),
        found=found,
        total=found.structure.total,
        rows=list(_rows(found)),
        settings=SETTINGS,
        banks=shown,
        more_banks=len(found.filters) - len(shown),
        source=source,
        dimensions=len(found.structure.input) - 2,
        data=script_json(data),
        command=command,
        versions=provenance.versions(),
        facts=facts,
        short=short,
        field=described,
        step=steps,
        start=starts,
    )


def short(number: int) -> str:
    """`10.8 M`: three digits are enough to compare by."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)


def _rows(found: Inspection) -> Iterable[dict[str, Any]]:
    """Rows with what the page needs to fold them: whether others lie inside."""
    rows = found.structure.rows[1:]
    holding = {row.path.rpartition(".")[0] for row in rows}
    for row in rows:
        output = " × ".join(map(str, row.shape[1:])) if row.shape and len(row.shape) > 1 else row.output
        yield {"row": row, "holds": row.path in holding, "output": output}


def _shown_banks(found: Inspection) -> list[dict[str, Any]]:
    """The first layers with kernels of more than one cell: their strongest kernels as pictures."""
    banks = [bank for bank in found.filters if bank.weights.shape[2:] != (1, 1) or bank.on_picture]
    return [_bank(bank) for bank in banks[:_BANKS]]


def _bank(bank: FilterBank) -> dict[str, Any]:
    units = strongest(bank, _FIRST if bank.on_picture else _KERNELS)
    pictures = [_png(Image.fromarray(picture)) for picture in pairs(bank, units)]
    kernels = [{"kernel": bank.kernels[u], "source": source} for u, source in zip(units, pictures, strict=True)]
    return {"bank": bank, "kernels": kernels, "shape": " × ".join(map(str, bank.weights.shape))}


def _png(image: Image.Image) -> str:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"


def _layer(layer: LayerMaps) -> dict[str, Any]:
    """A layer's strongest maps as numbers; large ones are averaged to at most 56 cells."""
    units = list(layer.order[:_UNITS])
    maps = torch.cat([layer.mean[None], layer.maps[units]])
    rows, columns = maps.shape[1:]
    factor = max(1, -(-max(rows, columns) // _CELLS))
    if factor > 1:
        maps = torch.nn.functional.avg_pool2d(maps[None], factor, ceil_mode=True, count_include_pad=False)[0]
    return {
        "site": str(layer.site),
        "units": units,
        "averaged": factor,
        "high": float(layer.maps.abs().amax()),
        "signed": bool((layer.maps < 0).any()),
        "maps": [half(one.double().numpy()) for one in maps],
    }


def _packed(box: GraphBox) -> dict[str, Any]:
    """A box for the page's script; what is empty is left out."""
    lines = [[line.start, line.end, line.lane] for line in box.lines]
    reads = [*box.reads[:_READS], *([f"{len(box.reads) - _READS} more"] if len(box.reads) > _READS else [])]
    packed = {
        "label": box.label, "name": box.name, "path": box.path, "family": box.family, "detail": box.detail,
        "shape": box.shape, "parameters": box.parameters, "costs": box.multiply_adds, "reads": reads,
        "count": box.count, "items": [_packed(item) for item in box.items], "ranks": box.ranks, "lines": lines,
        "lanes": box.lanes,
    }  # fmt: skip
    return {name: value for name, value in packed.items() if value}
