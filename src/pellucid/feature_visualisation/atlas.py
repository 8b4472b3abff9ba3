"""Activation atlas: what a layer sees in a whole folder, its neighbourhoods laid out on a map and drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image
from safetensors.torch import save
from torch import Tensor

from pellucid.contracts import Model
from pellucid.errors import BadOption, MissingExtra, TraceLeft
from pellucid.feature_visualisation.checkpoint import CheckpointFolder
from pellucid.feature_visualisation.objectives import Stored
from pellucid.feature_visualisation.photograph import photograph
from pellucid.feature_visualisation.renderer import Renderer
from pellucid.feature_visualisation.settings import RunSettings
from pellucid.feature_visualisation.visualisation import Visualisation
from pellucid.jobs import Failure, over
from pellucid.models.preprocessing import preprocessing_of
from pellucid.pictures import find_pictures
from pellucid.seeds import SCIKIT, seed_below, seeded
from pellucid.storage.atomic import write_bytes

_AT_ONCE = 16
_OUTER = 0.01  # of the points on either side lie outside of the map
_MARGIN = 0.1


@dataclass(frozen=True)
class AtlasCell:
    """One cell of the map.

    Attributes:
        row, column: place on the map, counted from 0.
        count: number of points in it.
        nearest: sources of the pictures whose points lie closest to the mean of the cell's values.
    """

    row: int
    column: int
    count: int
    nearest: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Atlas:
    """A map of what a layer gives for many pictures.

    Attributes:
        model: network that was asked.
        layer: path of the layer.
        layout: way in which points were laid out: `pca` or `umap`.
        grid: number of cells along each side.
        points: places on the map, 0 to 1, `[point, 2]`: down and across.
        sources: path of the picture that each point is of.
        failed: pictures that could not be read, and why.
        cells: cells that have enough points, in the order of `directions`.
        directions: mean values of each cell, `[cell, channel]`.
        shares: shares of the variance that the two axes hold, 0 to 1, for `pca`.
        dream: the icons, one for each cell; None until they are drawn.
        notes: sentences that the reader must know.
    """

    model: Model
    layer: str
    layout: str
    grid: int
    points: Tensor
    sources: tuple[str, ...]
    failed: Mapping[str, str]
    cells: tuple[AtlasCell, ...]
    directions: Tensor
    shares: tuple[float, ...] = ()
    dream: Visualisation | None = None
    notes: tuple[str, ...] = ()

    def draw(self) -> Image.Image:
        """The map: an icon in each cell that has one, white elsewhere.

        Raises:
            BadOption: no icons were drawn.
        """
        from pellucid.feature_visualisation.drawing import as_image

        if self.dream is None:
            raise BadOption("This atlas has no icons yet.")
        icons = [as_image(picture) for picture in self.dream.pictures]
        width, height = icons[0].size
        page = Image.new("RGB", (width * self.grid, height * self.grid), (255, 255, 255))
        for icon, cell in zip(icons, self.cells, strict=False):  # fewer icons after an interrupt
            page.paste(icon, (cell.column * width, cell.row * height))
        return page


def atlas(
    model: Model,
    pictures: Sequence[str],
    layer: str,
    folder: Path,
    *,
    layout: Literal["pca", "umap"] = "pca",
    grid: int = 8,
    places: int = 1,
    least: int = 3,
    icon: int = 96,
    power: float = 2.0,
    seed: int = 0,
    chunk: int = 16,
    progress: Callable[[str, int, int], None] | None = None,
    keep: str | Path | CheckpointFolder | None = None,
    **changes: Any,
) -> Atlas:
    """Lay out what a layer gives at random places of many pictures, and draw the mean of each neighbourhood.

    Carter et al., "Activation atlas", Distill (2019), doi:10.23915/distill.00015.

    Args:
        model: network that is asked; afterwards exactly as it was.
        pictures: paths of folders and files.
        layer: path of a layer with a grid.
        folder: path of the folder where `directions.safetensors` goes, to which the icons' objective refers.
        layout: `pca`, the two directions of most variance; or `umap`, if umap-learn is installed.
        grid: number of cells along each side.
        places: number of random places per picture; one keeps points independent.
        least: number of points that a cell needs to be drawn.
        icon: side of an icon in pixels, where the network takes pictures of other sizes than its own.
        power: exponent of the cosine, by which the direction counts against the strength.
        seed: integer that starts all random draws: places, layout and icons.
        chunk: number of icons that are drawn together.
        progress: function that is called with what is going on, steps done and steps in all.
        keep: folder from which an interrupted call goes on; see `dream`.
        **changes: fields of `Recipe` for the icons.

    Raises:
        BadOption: too few pictures for a map, or numbers that cannot be.
        MissingExtra: umap-learn is not installed.
    """
    if min(grid, places, least) < 1 or icon < 8 or layout not in _LAYOUTS:
        raise BadOption(
            f"Expected pca or umap, a grid, places and points of 1 or more and icons of 8 pixels or more; got {layout}"
            f", {grid}, {places}, {least}, {icon}."
        )
    values, sources, failed = _gather(model, list(pictures), layer, places, seed, progress)
    points, shares = _LAYOUTS[layout](values, seed)
    made = _binned(
        Atlas(model, layer, layout, grid, points, tuple(sources), failed, (), values[:0], shares), values, least
    )
    if not made.cells:
        raise BadOption(
            f"None of the {grid} x {grid} cells has {least} of the {len(values)} points. Give more pictures or places, "
            "a smaller grid, or ask for fewer points in a cell."
        )
    path = Path(folder) / f"directions-{_digest(made.directions)}.safetensors"
    write_bytes(path, save({"directions": made.directions, "points": made.points, "values": values}))
    wanted = Stored(layer, str(path), tuple(range(len(made.cells))), power)
    titles = [f"row {cell.row}, column {cell.column}: {cell.count} points" for cell in made.cells]
    run = RunSettings(Renderer(model).small(icon), seed, chunk, progress=progress, keep=keep)
    icons = Renderer(model, run, {"steps": 100, **changes})
    return replace(made, dream=icons(wanted, count=len(made.cells), titles=titles))


def _gather(
    model: Model, pictures: list[str], layer: str, places: int, seed: int, progress: Any
) -> tuple[Tensor, list[str], dict[str, str]]:
    """Values at random places, `[point, channel]`, and which picture each is of."""
    preprocess, draw = preprocessing_of(model), Renderer(model)
    found = find_pictures(pictures)
    values: list[Tensor] = []
    sources: list[str] = []
    failed: dict[str, str] = {}
    rows = _AT_ONCE if preprocess.size is not None else 1
    for start in range(0, len(found), rows):
        some = [(k, one.source) for k, one in enumerate(found[start : start + rows], start)]
        read = _each(some, lambda one: (*one, photograph(one[1], preprocess)), failed)
        for (k, source, _), own in _maps(draw, layer, read, failed):
            chosen = torch.randperm(own.shape[1], generator=seeded(seed, k))[:places]
            values.append(own[:, chosen].T)
            sources += [source] * len(chosen)
        if progress:
            progress("pictures", min(start + rows, len(found)), len(found))
    if len(sources) < 3:
        why = f" {next(iter(failed.values()))}" if failed else ""
        raise BadOption(f"A map needs three points at least, got {len(sources)} of {len(found)} pictures.{why}")
    return torch.cat(values), sources, failed


_Read = tuple[int, str, Tensor]


def _maps(draw: Renderer, layer: str, read: list[_Read], failed: dict[str, str]) -> list[tuple[_Read, Tensor]]:
    """What the layer gives for each picture, `[channel, place]`: all at once, or one by one where that fails."""
    try:
        maps = draw.maps(layer, torch.cat([picture for _, _, picture in read])) if read else ()
    except (KeyboardInterrupt, TraceLeft):
        raise
    except BaseException:  # noqa: BLE001 - one of them may be to blame, which is seen one by one
        maps = ()
    if len(maps) == len(read):
        return [(one, own.flatten(1)) for one, own in zip(read, maps, strict=True)]
    return _each(read, lambda one: (one, draw.maps(layer, one[2])[0].flatten(1)), failed)


def _each(given: list[Any], work: Callable[[Any], Any], failed: dict[str, str]) -> list[Any]:
    """Results of work on pictures, each of which starts with its number and source; errors go to `failed`."""

    def note(result: Any) -> None:
        if isinstance(result, Failure):
            failed[result.input[1]] = str(result.error)

    outcome = over(given, work, name=lambda one: str(one[1]), each=note)
    if outcome.interrupted is not None:
        raise outcome.interrupted
    return outcome.done


def _pca(values: Tensor, seed: int) -> tuple[Tensor, tuple[float, ...]]:  # noqa: ARG001 - nothing is drawn
    """The two directions of most variance, signs settled by their largest part."""
    centred = values.double() - values.double().mean(0)
    _, strengths, axes = torch.linalg.svd(centred, full_matrices=False)
    axes = axes[:2] * axes[:2].gather(1, axes[:2].abs().argmax(1, keepdim=True)).sign()
    shares = strengths.square() / strengths.square().sum().clamp(min=1e-30)
    return (centred @ axes.T).float(), tuple(shares[:2].tolist())


def _umap(values: Tensor, seed: int) -> tuple[Tensor, tuple[float, ...]]:
    try:
        from umap import UMAP
    except ImportError as error:
        raise MissingExtra(
            "The layout umap needs umap-learn: pip install 'pellucid[atlas]'. pca needs nothing."
        ) from error
    neighbours = min(50, len(values) - 1)
    made = UMAP(
        n_components=2,
        n_neighbors=neighbours,
        min_dist=0.05,
        metric="cosine",
        random_state=seed_below(SCIKIT, seed),
        n_jobs=1,
    )
    return torch.from_numpy(made.fit_transform(values.numpy())).float(), ()


_LAYOUTS: dict[str, Callable[[Tensor, int], tuple[Tensor, tuple[float, ...]]]] = {"pca": _pca, "umap": _umap}


def _binned(made: Atlas, values: Tensor, least: int) -> Atlas:
    """Places from 0 to 1, outermost ones on the rim; cells with their mean values."""
    low, high = (made.points.quantile(q, dim=0) for q in (_OUTER, 1 - _OUTER))
    edge = _MARGIN / 2 * (high - low)
    points = ((made.points - low + edge) / (high - low + 2 * edge).clamp(min=1e-12)).clamp(0, 1)
    which = (points * made.grid).long().clamp(max=made.grid - 1)
    cells, directions = [], []
    for row in range(made.grid):
        for column in range(made.grid):
            inside = ((which[:, 0] == row) & (which[:, 1] == column)).nonzero().flatten()
            if len(inside) >= least:
                mean = values[inside].mean(0)
                closest = (values[inside] - mean).norm(dim=1).argsort()[:3]
                nearest = tuple(made.sources[int(inside[k])] for k in closest)
                cells.append(AtlasCell(row, column, len(inside), nearest))
                directions.append(mean)
    left = len(values) - sum(cell.count for cell in cells)
    note = f"{left} of {len(values)} points lie in cells with fewer than {least} and are not drawn."
    return replace(
        made,
        points=points,
        cells=tuple(cells),
        directions=torch.stack(directions) if directions else values[:0],
        notes=(*made.notes, note) if left else made.notes,
    )


def _digest(values: Tensor) -> str:
    return hashlib.sha256(values.contiguous().numpy().tobytes()).hexdigest()[:12]
