"""What methods may ask about an input besides scores: its colours, and other pictures that options name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.contracts import InputPart, Maps, NamedInputs, PartLike, Preprocess
from pellucid.errors import BadOption


@dataclass(frozen=True, eq=False)
class PartProbe:
    """One input among several that are explained together.

    Attributes:
        part: its name and shape.
        image: itself, `[batch, channel, *axes]`.
        named: reads other inputs that options name; None where none can be read.
    """

    part: InputPart
    image: Maps
    named: NamedInputs | None

    @property
    def is_tabular(self) -> bool:
        """Whether its rows have no channels."""
        return self.part.is_tabular

    @property
    def parts(self) -> Sequence[PartLike]:
        """Empty: it is one."""
        return ()

    def grey(self, level: float) -> Tensor | None:
        """As `Probe.grey`."""
        return grey(self.part.preprocess, self.image, level)

    def picture(self, name: str) -> Maps:
        """As `Probe.picture`."""
        return picture(self.named, self.image, name)

    def labels(self, name: str) -> Tensor:
        """As `Probe.labels`."""
        return labels(self.named, name)


def grey(known: Preprocess | None, image: Maps, level: float) -> Tensor | None:
    """What a grey picture of `level`, 0 to 1, is to a model: `[1, channel, 1...]`; None where nobody knows."""
    if known is None or len(known.mean) != image.shape[1]:
        return None
    values = [(level - mean) / std for mean, std in zip(known.mean, known.std, strict=True)]
    return torch.tensor(values, dtype=image.dtype, device=image.device)[(None, slice(None), *[None] * (image.ndim - 2))]


def picture(named: NamedInputs | None, image: Maps, name: str) -> Maps:
    """Another picture, a file or a sample, like the explained ones, `[1, channel, row, column]`.

    Raises:
        BadOption: it has another size or number of channels.
        BadPicture: it cannot be read.
    """
    if named is None:
        raise RuntimeError("this probe was made without the means to read pictures")
    found = named.picture(name).to(image)
    if found.shape[1:] != image.shape[1:]:
        raise BadOption(f"The picture {name!r} is {list(found.shape[1:])} to the model, not {list(image.shape[1:])}.")
    return found


def labels(named: NamedInputs | None, name: str) -> Tensor:
    """A label map from a file, int64 `[1, row, column]`.

    Raises:
        BadOption: its size is neither that of all pictures nor that of the model's input.
        BadPicture: it cannot be read, or has too many regions.
    """
    if named is None:
        raise RuntimeError("this probe was made without the means to read label maps")
    return named.labels(name)[None]
