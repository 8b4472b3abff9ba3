"""`pellucid.inspect`: everything about a network that needs no question to be asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from pellucid.capture.guard import guarded
from pellucid.capture.trace import trace
from pellucid.inspection.drawing import svg
from pellucid.inspection.graph import Box, graph_of
from pellucid.inspection.inputs import read_input
from pellucid.inspection.structure import Structure, structure_of
from pellucid.models import wrap
from pellucid.types import Model, Picture


@dataclass(frozen=True, eq=False)
class Inspection:
    """What `pellucid.inspect` found.

    Attributes:
        model: the network.
        structure: one row per module.
        graph: the boxes of the drawing, nested as the modules are.
        picture: what the network was fed; None for noise or a tensor.
    """

    model: Model
    structure: Structure
    graph: Box
    picture: Picture | None

    def __repr__(self) -> str:
        total = self.structure.total
        return (
            f"<Inspection of {self.model.name}: {len(self.structure.rows):,} modules, {total.parameters:,} parameters, "
            f"{total.multiply_adds:,} multiply-adds>"
        )

    def drawing(self, *, most: int = 80) -> str:
        """The graph as an SVG document with at most that many boxes, modules folded as needed; see `drawing.svg`."""
        return svg(self.graph, most=most)

    def save(self, folder: str | Path, *, command: str = "") -> Path:
        """Write `inspection.json`, `structure.csv` and `graph.svg` into a folder.

        Raises:
            BadOption: the folder cannot be written to; nothing is left behind.
        """
        from pellucid.report.inspection import save_inspection

        return save_inspection(self, Path(folder), command=command)


def inspect(
    model: Model | nn.Module,
    picture: Any = None,
    *,
    size: int | tuple[int, int] | None = None,
    shape: tuple[int, ...] | None = None,
) -> Inspection:
    """Look into a network: its structure as a table and a drawing. The model is left exactly as it was.

    Args:
        model: a `Model` or any `nn.Module`; it is run once, in evaluation mode, on one sample.
        picture: a path, PIL image or array, or a tensor with a batch axis; None is seeded noise.
        size: rows and columns of the noise in pixels, or one number for both; None is the model's own input size.
        shape: of the noise for one sample, for networks that take no pictures: `(1, 16000)`, `(3, 8, 64, 64)`.

    Returns:
        An `Inspection`.

    Raises:
        BadOption: nothing says how large the input is, or the network cannot run on it.
        BadPicture: a picture that cannot be read.
    """
    model = wrap(model)
    image, decoded = read_input(model, picture, size, shape)
    with guarded(model.module):
        found = trace(model, image)
        return Inspection(model, structure_of(model, found), graph_of(found, model.name), decoded)
