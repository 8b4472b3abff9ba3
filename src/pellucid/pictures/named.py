"""Pictures and label maps that options name, read as the explained pictures are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pellucid.contracts import Frame, Maps, Model
from pellucid.models.preprocessing import preprocessing_of
from pellucid.pictures.labels import read_labels
from pellucid.pictures.prepare import prepare


@dataclass(frozen=True)
class NamedPictures:
    """Files and samples by name.

    Attributes:
        model: its preprocessing makes pictures its input.
        frames: how each explained picture lies in that input.
    """

    model: Model
    frames: Sequence[Frame]

    def picture(self, name: str) -> Maps:
        """A file or a sample, as the model's input `[1, channel, row, column]`.

        Raises:
            BadOption: the model was wrapped without preprocessing.
            BadPicture: it cannot be read.
        """
        return prepare(name, preprocessing_of(self.model)).tensor[None]

    def labels(self, name: str) -> Tensor:
        """A label map from a file, as the model sees the explained pictures, int64 `[row, column]`.

        Raises:
            BadOption: its size is neither that of all pictures nor that of the model's input.
            BadPicture: it cannot be read, or has too many regions.
        """
        return torch.from_numpy(read_labels(name, self.frames))

    def of_frames(self, frames: Sequence[Frame]) -> NamedPictures:
        """The same for pictures that lie so in the model's input."""
        return replace(self, frames=tuple(frames))
