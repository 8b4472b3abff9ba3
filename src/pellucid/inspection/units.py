"""`pellucid.top_pictures`: which parts of which pictures excite each unit of a layer most."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from torch import nn

from pellucid.capture.passes import activations, read_grid
from pellucid.capture.receptive import ReceptiveField, receptive_fields
from pellucid.capture.running import guarded
from pellucid.contracts import Model, Picture, Site
from pellucid.errors import BadOption, BadPicture, Cancelled
from pellucid.inspection.strongest import Hit, HitSearch
from pellucid.jobs import Store, over, question
from pellucid.models.preprocessing import preprocessing_of
from pellucid.models.wrap import wrap
from pellucid.pictures import PictureRef, find_pictures, prepare, sheet

SCHEMA_VERSION = 2
"""Version 1 had the network's name alone as `model`."""
KEPT = "kept"
_RESULT = "top.json"
_SHOWN = 16


@dataclass
class TopPictures:
    """The pictures that excite each unit most.

    Attributes:
        model: the network.
        site: the layer.
        most: pictures per unit.
        units: hits of each unit, strongest first; one per picture.
        seen: pictures that were looked at, by source, with a digest of their content.
        failed: pictures that nothing came of, by source, and why.
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
        folder: folder to write `top.json` and what `pellucid.read` reads to, and in `kept/` what each picture gave, 12
            bytes for each unit. The next call with the same network, preprocessing and layer looks only at pictures
            that it does not find there by their content; what it finds is the same as without the folder.
        progress: function that is called with (what, pictures done, pictures in all).

    Raises:
        BadSite: the layer has no grid.
        BadOption: `folder` cannot be written to.
        Cancelled: interrupted; `finished` holds what was found, and so does `folder`.
    """
    from pellucid.storage.atomic import writing

    if most < 1:
        raise BadOption(f"Expected at least one picture per unit, got {most}.")
    model, site = wrap(model), Site.parse(layer)
    given = pictures if isinstance(pictures, (list, tuple)) else [pictures]
    every = list({found.source: found for found in find_pictures([str(one) for one in given])}.values())
    place = None if folder is None else Path(folder).expanduser()
    if place is not None:
        with writing(place):  # before the work, which would be lost
            place.mkdir(parents=True, exist_ok=True)
    store = Store(place and place / KEPT, question("top", model, layer=site) if place else "")
    look = HitSearch(model, site, most, every, store)
    with guarded(model.module):
        outcome = over(every, look.one, name=lambda found: found.name, each=_counted(progress, len(every)))
        result = TopPictures(
            model, site, most, look.lists.units, look.lists.seen, {f.input.source: str(f.error) for f in outcome.failed}
        )
        interrupted = outcome.interrupted or _find_field(result, every)
    if place is not None and (result.seen or result.failed):
        _write(result, place / _RESULT)
    if interrupted is not None:
        done = len(result.seen) + len(result.failed)
        raise Cancelled(f"Interrupted; {done} of {len(every)} pictures are done.", result) from interrupted
    if not result.seen and outcome.failed and not isinstance(outcome.failed[0].error, BadPicture):
        raise outcome.failed[0].error
    return result


def _counted(progress: Callable[[str, int, int], None] | None, total: int) -> Callable[[object], None]:
    """Tells `progress` of each picture that is done."""
    done = itertools.count(1)
    return lambda _: progress("pictures", next(done), total) if progress else None


def _find_field(result: TopPictures, every: Sequence[PictureRef]) -> KeyboardInterrupt | None:
    """Fill in the layer's receptive field where all pictures share one; returns the interrupt if there was one."""
    preprocess = preprocessing_of(result.model)
    readable = next((found for found in every if found.source in result.seen), None)
    if readable is None or preprocess.size is None:
        return None
    try:
        image = prepare(readable.source, preprocess).tensor[None].to(result.model.device)
        values = activations(result.model, image, [result.site])[result.site]
        grid = read_grid(result.model, result.site, values, image)
        result.field = receptive_fields(result.model, image, {result.site: grid})[result.site]
    except KeyboardInterrupt as stop:
        return stop
    return None


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


def _write(result: TopPictures, path: Path) -> None:
    from pellucid.storage import values
    from pellucid.storage.atomic import write_bytes
    from pellucid.storage.plain_json import as_file
    from pellucid.storage.provenance import head, named_inputs

    record = {
        **head(model=result.model, inputs=named_inputs(result.seen), schema_version=SCHEMA_VERSION),
        "fingerprint": result.model.fingerprint,
        "layer": str(result.site),
        "most": result.most,
        "seen": result.seen,
        "failed": result.failed,
        "units": [[[hit.value, hit.source, hit.row, hit.column] for hit in hits] for hits in result.units],
    }
    write_bytes(path, as_file(record))
    write_bytes(path.with_name(values.NAME), values.to_bytes(result))
