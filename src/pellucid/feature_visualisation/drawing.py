"""Tensors of a dream as images, alone and on a sheet."""

from __future__ import annotations

import math

import torch
from PIL import Image
from torch import Tensor

from pellucid.feature_visualisation.visualisation import Visualisation
from pellucid.pictures import sheet

_LEAST = 96  # pixels of a picture on a sheet


def as_image(picture: Tensor, alpha: Tensor | None = None) -> Image.Image:
    """A picture `[channel, row, column]`, 0 to 1, as 8-bit RGB; other numbers of channels than 3 become their mean.

    Args:
        picture: the colours.
        alpha: how opaque they are, `[row, column]`, 0 to 1; makes it RGBA.
    """
    rgb = picture if picture.shape[0] == 3 else picture.mean(0, keepdim=True).expand(3, -1, -1)
    whole = rgb if alpha is None else torch.cat([rgb, alpha[None]])
    return Image.fromarray((whole.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy())


def as_images(made: Visualisation) -> list[Image.Image]:
    """Each picture, with its alpha if it has one."""
    alphas = [None] * len(made.pictures) if made.alpha is None else list(made.alpha)
    return [as_image(picture, alpha) for picture, alpha in zip(made.pictures, alphas, strict=True)]


def as_sheet(made: Visualisation) -> Image.Image:
    """The picture, or all of them on a contact sheet, what belongs to them first."""
    images = [_enlarged(image) for image in as_images(made)]
    if made.mosaic:
        images = [_joined(images, made.columns or len(images))]
    titles = [""] if made.mosaic else made.titles or [""] * len(images)
    cells = [*made.beside, *zip(images, titles, strict=True)]
    if len(cells) == 1:
        return images[0]
    return sheet(
        cells, columns=2 if made.mosaic else made.columns or math.ceil(len(cells) ** 0.5), cell=max(images[0].size)
    )


def _joined(images: list[Image.Image], columns: int) -> Image.Image:
    """Pictures of one size as one, row by row, without gaps."""
    width, height = images[0].size
    whole = Image.new(images[0].mode, (width * columns, height * -(-len(images) // columns)))
    for k, image in enumerate(images):
        whole.paste(image, (k % columns * width, k // columns * height))
    return whole


def _enlarged(image: Image.Image) -> Image.Image:
    """Tiny pictures with every pixel as a square."""
    factor = max(1, _LEAST // max(image.size))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
