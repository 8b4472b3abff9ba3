"""What a network is fed when it is looked into: a picture, or seeded noise of the right shape."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pellucid.contracts import Model, Picture
from pellucid.errors import BadOption
from pellucid.models.preprocessing import nominal_size

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def read_input(
    model: Model,
    picture: Any = None,
    size: int | tuple[int, int] | None = None,
    shape: tuple[int, ...] | None = None,
) -> tuple[Tensor, Picture | None]:
    """The network's input, batch axis first, on the model's device, and the picture that it was made from.

    Args:
        model: the network.
        picture: a path, PIL image or array, a `Picture`, or a tensor with a batch axis; None is seeded noise.
        size: rows and columns of the noise in pixels, or one number for both; None is the model's own input size.
        shape: shape of the noise for one sample, channels first, for networks that take no pictures: `(1, 16000)`.

    Raises:
        BadOption: neither the model nor the caller says how large the input is.
    """
    if isinstance(picture, Tensor):
        if picture.ndim < 2 or not len(picture):
            raise BadOption(f"Expected a tensor with a batch axis and at least one sample, got {list(picture.shape)}.")
        return picture.detach().to(model.device), None
    if picture is not None and model.preprocess is not None:
        from pellucid.pictures import prepare

        found = picture if isinstance(picture, Picture) else prepare(picture, model.preprocess)
        return found.tensor[None].to(model.device), found
    if shape is None:
        square = (size, size) if isinstance(size, int) else size
        square = square or (nominal_size(model.preprocess) if model.preprocess else None)
        if square is None or picture is not None:
            raise BadOption(
                f"Nothing says how large the input of {model.name} is. Give size=224 or what it was trained with."
            )
        shape = (_channels(model), *square)
    if not shape or any(not isinstance(n, int) or n < 1 for n in shape):
        raise BadOption(f"Expected the shape of one sample, such as (3, 224, 224) or (1, 16000), got {shape!r}.")
    noise = torch.randn(1, *shape, generator=torch.Generator("cpu").manual_seed(0), dtype=torch.float32, device="cpu")
    return noise.to(model.device), None


def _channels(model: Model) -> int:
    if model.preprocess:
        return model.preprocess.channels
    first = next((part for part in model.module.modules() if isinstance(part, _CONVOLUTIONS)), None)
    return 3 if first is None else first.in_channels
