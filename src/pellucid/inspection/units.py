"""`pellucid.top_pictures`: which parts of which pictures excite each unit of a layer most."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from pellucid.capture.guard import guarded
from pellucid.capture.passes import activations, read_grid
from pellucid.capture.receptive import ReceptiveField, receptive_fields
from pellucid.errors import BadOption, BadPicture, Cancelled
from pellucid.inspection.inputs import device_of
from pellucid.models import wrap
from pellucid.models.preprocessing import preprocessing_of
from pellucid.numerics import full_precision
from pellucid.pictures import Found, find_pictures, prepare, sheet
from pellucid.types import Model, Picture, Site

SCHEMA_VERSION = 1
_AT_ONCE = 8
_STATE = "top.json"
_SHOWN = 16


@dataclass(frozen=True, order=True)
class Hit:
    """One picture at the place where a unit answered most.

    Attributes:
        value: of the unit there.
        source: of the picture: its path or sample name.
        row, column: the place on the layer's grid.
    """

    value: float
    source: str
    row: int
    column: int


@dataclass
class TopPictures:
    """The pictures that excite each unit most.

    Attributes:
        model: the network.
        site: the layer.
        most: pictures per unit.
        units: per unit its hits, strongest first; one per picture.
        seen: pictures that were looked at, by source, with what tells whether a file has changed.
        failed: pictures that could not be read, and why.
        field: the layer's receptive field; None where it has none.
    """

    model: Model
    site: Site
    most: int
    units: list[list[Hit]] = field(default_factory=list)
    seen: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    field: ReceptiveField | None = None

    def strongest(self, count: int = _SHOWN) -> list[int]:
        """Units by their strongest answer."""
        answered = [k for k, hits in enumerate(self.units) if hits]
        return sorted(answered, key=lambda k: (-self.units[k][0].value, k))[:count]

    def crop(self, hit: Hit) -> Image.Image:
        """The part of the original picture that the unit could see there."""
        picture = prepare(hit.source, preprocessing_of(self.model))
        return _crop(picture, self.field, hit)

    def draw(self, units: Sequence[int] | None = None, *, cell: int = 120) -> Image.Image:
        """A contact sheet: one row per unit, strongest first, each crop with its value above.

        Args:
            units: None: the 16 with the strongest answers.
            cell: longest side of a crop, in pixels.

        Raises:
            BadOption: there is no such unit, or no picture was seen.
        """
        wanted = self.strongest() if units is None else list(units)
        for unit in wanted:
            if not 0 <= unit < len(self.units):
                raise BadOption(f"The layer '{self.site}' has the units 0 to {len(self.units) - 1}; got {unit}.")
        cells: list[tuple[Image.Image, str]] = []
        blank = Image.new("RGB", (cell, cell), (255, 255, 255))
        for unit in wanted:
            row = [(self.crop(hit), f"{unit}: {hit.value:.3g}") for hit in self.units[unit]]
            cells += [*row, *[(blank, "")] * (self.most - len(row))]
        return sheet(cells, columns=self.most, cell=cell, gap=8)


def top_pictures(
    model: Model | nn.Module,
    pictures: Any,
    layer: str | Site,
    *,
    most: int = 9,
    folder: str | Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> TopPictures:
    """Find, for every unit of a layer, the pictures that excite it most, and where in them.

    Args:
        model: a `Model` or any `nn.Module` that knows how it is fed.
        pictures: a folder, a file, or a list of these.
        layer: one with a spatial grid.
        most: pictures to keep per unit.
        folder: where to write `top.json` every few pictures; pictures that it lists already, unchanged, are not looked
            at again, so that a large folder can be finished in several goes.
        progress: called with (what, pictures done, pictures in all).

    Raises:
        BadSite: the layer has no grid.
        BadOption: `folder` holds the work on another model, layer or `most`, or cannot be written to.
        Cancelled: interrupted; `finished` holds what was found, and so does `folder`.
    """
    from pellucid.report.folder import writing

    if most < 1:
        raise BadOption(f"Expected at least one picture per unit, got {most}.")
    model, site = wrap(model), Site.parse(layer)
    given = pictures if isinstance(pictures, (list, tuple)) else [pictures]
    every = find_pictures([str(one) for one in given])
    state = None if folder is None else Path(folder).expanduser() / _STATE
    result = _resumed(TopPictures(model, site, most), state)
    if state is not None:
        with writing(state.parent):  # before the work, which would be lost
            state.parent.mkdir(parents=True, exist_ok=True)
    left = [found for found in every if result.seen.get(found.source) != _stamp(found)]
    done = len(every) - len(left)
    try:
        with guarded(model.module):
            alike = preprocessing_of(model).size is not None
            rows = _AT_ONCE if alike else 1
            for start in range(0, len(left), rows):
                chunk = left[start : start + rows]
                _look_at(result, chunk)
                done += len(chunk)
                if progress:
                    progress("pictures", done, len(every))
                if state is not None and start // rows % 4 == 3:
                    _write(result, state)
            if alike:  # otherwise every picture has a grid of its own
                _find_field(result, every)
    except KeyboardInterrupt as stop:
        if state is not None:
            _write(result, state)
        message = f"Interrupted; {done} of {len(every)} pictures are done."
        raise Cancelled(message, result) from stop
    if state is not None:
        _write(result, state)
    return result


def _look_at(result: TopPictures, chunk: Sequence[Found]) -> None:
    """Read some pictures and enter them into the lists."""
    preprocess, read = preprocessing_of(result.model), []
    for found in chunk:
        try:
            read.append((found, prepare(found.source, preprocess)))
            result.failed.pop(found.source, None)  # it may have been mended since
        except BadPicture as error:
            result.failed[found.source] = str(error)
        result.seen[found.source] = _stamp(found)
    if not read:
        return
    image = torch.stack([picture.tensor for _, picture in read]).to(device_of(result.model))
    values = activations(result.model, image, [result.site])[result.site]
    maps = full_precision(read_grid(result.model, result.site, values, image).to_maps(values)).cpu()
    best, place = maps.flatten(2).max(2)
    if not result.units:
        result.units = [[] for _ in range(maps.shape[1])]
    columns = maps.shape[3]
    for k, (found, _) in enumerate(read):
        for unit, (value, at) in enumerate(zip(best[k].tolist(), place[k].tolist(), strict=True)):
            hits = result.units[unit]
            hits[:] = [hit for hit in hits if hit.source != found.source]
            hits.append(Hit(value, found.source, at // columns, at % columns))
            hits.sort(key=lambda hit: (-hit.value, hit.source))
            del hits[result.most :]


def _find_field(result: TopPictures, every: Sequence[Found]) -> None:
    readable = next((found for found in every if found.source not in result.failed), None)
    if readable is None:
        return
    image = prepare(readable.source, preprocessing_of(result.model)).tensor[None].to(device_of(result.model))
    values = activations(result.model, image, [result.site])[result.site]
    grid = read_grid(result.model, result.site, values, image)
    result.field = receptive_fields(result.model, image, {result.site: grid})[result.site]


def _crop(picture: Picture, seen: ReceptiveField | None, hit: Hit) -> Image.Image:
    """The part of the original that the unit could see."""
    left, top, right, bottom = part_seen(picture, seen, hit.row, hit.column)
    size = (max(1, round(right - left)), max(1, round(bottom - top)))
    return picture.image.convert("RGB").resize(size, Image.Resampling.BICUBIC, (left, top, right, bottom))


def part_seen(
    picture: Picture, seen: ReceptiveField | None, row: int, column: int
) -> tuple[float, float, float, float]:
    """The receptive field's box in the original's pixels; all that the model sees where there is no such box."""
    left, top, right, bottom = picture.box
    rows, columns = picture.tensor.shape[1:]
    box = seen.box(row, column) if seen is not None and seen.boxes.ndim == 3 else None
    if box is not None and box[0][1] >= box[0][0] and box[1][1] >= box[1][0]:
        (first, last), (start, stop) = box
        down, across = (bottom - top) / rows, (right - left) / columns
        left, right = left + start * across, left + (stop + 1) * across
        top, bottom = top + first * down, top + (last + 1) * down
    return left, top, right, bottom


def _stamp(found: Found) -> str:
    """Tells whether a file is still the one that was looked at."""
    path = Path(found.source)
    try:
        facts = path.stat()
    except OSError:
        return "sample"
    return f"{facts.st_size}:{facts.st_mtime_ns}"


def _write(result: TopPictures, path: Path) -> None:
    units = [[[hit.value, hit.source, hit.row, hit.column] for hit in hits] for hits in result.units]
    from pellucid.report.folder import write_text

    record = {**_about(result), "seen": result.seen, "failed": result.failed, "units": units}
    write_text(path, json.dumps(record))


def _about(result: TopPictures) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "model": result.model.name,
        "fingerprint": result.model.fingerprint,
        "layer": str(result.site),
        "most": result.most,
    }


def _resumed(result: TopPictures, path: Path | None) -> TopPictures:
    if path is None or not path.exists():
        return result
    try:
        record = json.loads(path.read_text("utf-8"))
        about = {name: record[name] for name in _about(result)}
        units = [[Hit(*hit) for hit in hits] for hits in record["units"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadOption(f"{str(path)!r} is not the list of an earlier run: {error}. Name another folder.") from error
    other = [name for name, value in _about(result).items() if about[name] != value]
    if other:
        name, wanted = other[0], _about(result)[other[0]]
        raise BadOption(
            f"{str(path)!r} belongs to another {name}: {about[name]!r}, not {wanted!r}. Name another folder."
        )
    result.units, result.seen, result.failed = units, dict(record["seen"]), dict(record["failed"])
    return result
