"""Maps of pictures, over the photograph or alone."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pellucid.contracts import Picture
from pellucid.figures.kinds import Kind, NewAxes, Place
from pellucid.figures.panel import FigureLook, FigurePanel
from pellucid.pictures import ColourScale, heat, overlay
from pellucid.pictures.geometry import window


def height(panel: FigurePanel, width: float, look: FigureLook) -> float:
    """That of the photograph, or of the part of it that the model saw, if maps stand alone."""
    rows, columns = _shape(panel, look)
    return width * min(rows / columns, 3.0)


def draw(new_axes: NewAxes, place: Place, panel: FigurePanel, scale: ColourScale, look: FigureLook) -> None:
    """The map as an image whose pixels are its own: nothing lies between them and the file."""
    axes = new_axes(place)
    image = _image(panel, scale, look, place)
    show(axes, image)
    rows, columns = _shape(panel, look)
    axes.set_aspect(rows / columns * image.width / image.height)  # an input that was squeezed is stretched again


def show(axes: Axes, image: Image.Image, extent: tuple[float, float, float, float] | None = None) -> None:
    """An image without a frame, embedded as it is."""
    axes.imshow(np.asarray(image), interpolation="none", extent=extent)
    axes.set_axis_off()


def ramp(signed: bool, look: FigureLook) -> NDArray[np.uint8]:
    """The colours of the maps, painted by what paints the maps: over mid-grey where they lie on photographs."""
    end = ColourScale(-1.0 if signed else 0.0, 1.0, signed, 100.0)
    values = torch.linspace(end.low, 1.0, 256).expand(8, 256)
    over = Picture("", Image.new("L", (256, 8), 128), values[None], (0.0, 0.0, 256.0, 8.0))
    drawn = overlay(over, values, scale=end, style="veil") if look.style == "overlay" else heat(values, scale=end)
    colours: NDArray[np.uint8] = np.asarray(drawn)[4]
    return colours


def on_grey(values: Tensor, grey: NDArray[np.uint8], scale: ColourScale) -> Image.Image:
    """A map `[row, column]` over grey values of the same size."""
    rows, columns = values.shape
    box = (0.0, 0.0, float(columns), float(rows))
    return overlay(Picture("", Image.fromarray(grey), values[None], box), values, scale=scale, style="veil")


def as_grey(given: Tensor) -> NDArray[np.uint8]:
    """An input `[channel, ...]` as brightness, the mean over its channels from its lowest to its highest value."""
    mean = torch.nan_to_num(given.double().mean(0)).numpy()
    low, high = float(mean.min()), float(mean.max())
    return np.asarray(np.rint(255 * (mean - low) / ((high - low) or 1.0)), dtype=np.uint8)


def _shape(panel: FigurePanel, look: FigureLook) -> tuple[float, float]:
    if panel.picture is not None and look.style == "map":  # of what the model saw
        left, top, right, bottom = panel.picture.box
        return bottom - top, right - left
    if panel.picture is not None:
        return panel.picture.image.height, panel.picture.image.width
    return panel.axes[0].size, panel.axes[1].size


def _image(panel: FigurePanel, scale: ColourScale, look: FigureLook, place: Place) -> Image.Image:
    picture = None if panel.picture is None else _smaller(panel.picture, round(place[2] * look.dpi))
    alone = look.style == "map"
    if picture is not None and panel.plain:
        return picture.image.convert("RGB").crop(window(picture.box)) if alone else picture.image.convert("RGB")
    if picture is not None and not alone:
        return overlay(picture, panel.values, scale=scale, style="veil")
    grey = None if panel.given is None else as_grey(panel.given)
    if grey is not None and panel.plain:
        return Image.fromarray(grey).convert("RGB")
    return heat(panel.values, scale=scale) if alone or grey is None else on_grey(panel.values, grey, scale)


def _smaller(picture: Picture, width: int) -> Picture:
    """The photograph with no more pixels than are printed; where the model looked stays in place."""
    factor = width / picture.image.width
    if factor >= 1:
        return picture
    size = (width, max(1, round(picture.image.height * factor)))
    across, down = size[0] / picture.image.width, size[1] / picture.image.height
    left, top, right, bottom = picture.box
    box = (left * across, top * down, right * across, bottom * down)
    return Picture(picture.name, picture.image.resize(size, Image.Resampling.LANCZOS), picture.tensor, box)


KIND = Kind(columns=5, height=height, draw=draw, ramp=ramp, original=True)
