"""`pellucid.inspect`: everything about a network that needs no question to be asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from pellucid.capture.running import guarded
from pellucid.capture.tracing import trace
from pellucid.contracts import Model, Picture, Site
from pellucid.inspection.activations import Common, LayerMaps, activations_of
from pellucid.inspection.drawing import svg
from pellucid.inspection.fields import fields_of
from pellucid.inspection.filters import FilterBank, filters_of
from pellucid.inspection.graph import graph_of
from pellucid.inspection.graph_box import GraphBox
from pellucid.inspection.inputs import read_input
from pellucid.inspection.structure import Structure, structure_of
from pellucid.models.wrap import wrap
from pellucid.results import Result

_NO_FIELDS = (
    "Receptive fields are left out: on noise the network calls other layers than on this input, so its code acts on "
    "values."
)


@dataclass(frozen=True, eq=False)
class Inspection(Result):
    """What `pellucid.inspect` found.

    Attributes:
        model: the network.
        structure: one row per module.
        graph: the boxes of the drawing, nested as the modules are.
        filters: the kernels of every two-dimensional convolution, with their frequency responses.
        activations: the maps of the outermost layers, when there was a picture or a tensor to look at.
        picture: what the network was fed; None for noise or a tensor.
    """

    model: Model
    structure: Structure
    graph: GraphBox
    filters: tuple[FilterBank, ...]
    activations: tuple[LayerMaps, ...]
    picture: Picture | None

    def __repr__(self) -> str:
        total = self.structure.total
        return (
            f"<Inspection of {self.model.name}: {len(self.structure.rows):,} modules, {total.parameters:,} parameters, "
            f"{self.structure.least}{total.multiply_adds:,} multiply-adds>"
        )

    def drawing(self, *, most: int = 80) -> str:
        """The graph as an SVG document with at most that many boxes, modules folded as needed; see `drawing.svg`."""
        return svg(self.graph, most=most)

    def save(self, folder: str | Path, *, scale: Common = "unit", command: str = "") -> Path:
        """Write the page, the tables, the drawing and all sheets into a folder; files of the same names are replaced.

        Args:
            folder: path of the folder for `inspection.html`, `inspection.json`, `structure.csv`, `graph.svg`,
                `strip.png`, `filters/*.png` and `activations/*.png`.
            scale: range of the colours on the sheets of activations: one per `unit`, per `layer`, or `global`.
            command: the command line that did it, for the record.

        Raises:
            BadOption: the folder cannot be written to; nothing is left behind.
        """
        found: Path = self._do("save_inspection", Path(folder), scale=scale, command=command)
        return found

    def report(self, path: str | Path, *, command: str = "") -> Path:
        """Write everything as one HTML file that opens without a network.

        Raises:
            BadOption: the file cannot be written.
        """
        found: Path = self._do("write_inspection", Path(path), command=command)
        return found


def inspect(
    model: Model | nn.Module,
    picture: Any = None,
    *,
    size: int | tuple[int, int] | None = None,
    shape: tuple[int, ...] | None = None,
    layers: Sequence[str | Site] | None = None,
) -> Inspection:
    """Look into a network: its structure as a table and a drawing. The model is left exactly as it was.

    Args:
        model: a `Model` or any `nn.Module`; it is run once, in evaluation mode, on one sample.
        picture: a path, PIL image or array, or a tensor with a batch axis; None is seeded noise.
        size: rows and columns of the noise in pixels, or one number for both; None is the model's own input size.
        shape: shape of the noise for one sample, for networks that take no pictures: `(1, 16000)`, `(3, 8, 64, 64)`.
        layers: paths of the layers whose activations are kept; None: the outermost with a grid, at most 12, if there is
            a picture.

    Returns:
        An `Inspection`.

    Raises:
        BadOption: nothing says how large the input is, or the network cannot run on it.
        BadPicture: a picture that cannot be read.
        BadSite: one of `layers` has no grid.
    """
    model = wrap(model)
    image, decoded = read_input(model, picture, size, shape)
    with guarded(model.module):
        found = trace(model, image)
        if len(image) > 1 and any(call.constants for call in found.calls):
            for call, alone in zip(found.calls, trace(model, image[:1]).calls, strict=False):
                call.constants = alone.constants  # may be as many for one sample as for all, or as many times fewer
        wanted = None if layers is None else [Site.parse(layer) for layer in layers]
        seen = () if picture is None and layers is None else activations_of(model, image, found, wanted)
        fields = fields_of(model, image, found)
        structure = structure_of(model, found, fields)
        if not fields and found.steps and image.is_floating_point() and 3 <= image.ndim <= 5:
            structure = replace(structure, notes=(*structure.notes, _NO_FIELDS))
        return Inspection(
            model=model,
            structure=structure,
            graph=graph_of(found, model.name),
            filters=filters_of(found),
            activations=seen,
            picture=decoded,
        )
