"""What is explained, and what the model says to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image

from pellucid.contracts.axes import Axis, AxisName, Box, axes_of
from pellucid.contracts.geometry import Frame


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded image, what the model sees of it, and the way back.

    Attributes:
        name: file name or sample name, for people; untrusted text.
        image: RGB or grey `PIL.Image`, upright (EXIF rotation applied), at its own size.
        tensor: float32 `[channel, row, column]`, the model's input.
        box: the part of `image` that the model sees: left, top, right, bottom in its pixels. Together with the
            tensor's size this is the affine map between the two.
        notes: what was done on the way that a user may not expect ("first of 12 frames").
    """

    name: str
    image: Image
    tensor: Tensor
    box: tuple[float, float, float, float]
    notes: tuple[str, ...] = ()

    @property
    def frame(self) -> Frame:
        """How its pixels lie in the model's input."""
        rows, columns = self.tensor.shape[-2:]
        return Frame((self.image.height, self.image.width), self.box, (rows, columns))


@dataclass(frozen=True, eq=False)
class Sample:
    """A signal, a row of a table, a volume, ...: what the model sees of it, and the way back to where it is from.

    Attributes:
        name: of the file, or what a tensor is called, for people; untrusted text.
        kind: id of its modality, such as `signal`.
        tensor: float `[channel, *axes]`, the model's input; of a row of a table, which has no channels, `[1, feature]`.
        names: of the axes behind the channels, such as `("time",)`.
        channels: what the channels are called; () where nothing says it.
        geometry: what leads back to the original, by names that its modality knows: `rate` of a signal, `columns` of a
            table, `affine` of a volume; `file`, its name; `units`, by the name of an axis how far apart two places are
            and in which unit, such as `{"time": (0.002, "s")}`. Plain values, tuples and mappings of these, tensors.
        fill: `[channel, *axes]`, what an absent part of it is by default; None where 0 is as good as any.
        notes: what was done on the way that a user may not expect ("integers, divided by 32768").
    """

    name: str
    kind: str
    tensor: Tensor
    names: tuple[AxisName, ...]
    channels: tuple[str, ...] = ()
    geometry: Mapping[str, Any] = field(default_factory=dict)
    fill: Tensor | None = None
    notes: tuple[str, ...] = ()

    @property
    def axes(self) -> tuple[Axis, ...]:
        """What lies along its axes, such as (time 500,)."""
        return axes_of(self.tensor.shape[1:], self.names)

    @property
    def frame(self) -> Frame:
        """How it lies in the model's input: it is the input itself."""
        return Frame.whole(tuple(self.tensor.shape[1:]))


@dataclass(frozen=True)
class Prediction:
    """One class of a picture's prediction.

    Attributes:
        index: of the class.
        name: of the class.
        score: as the network gives it.
        probability: 0 to 1, as the kind of output has it; None where nothing says that there is one.
        share: of the picture that the class fills, for networks that score every pixel; score and probability are then
            means over that part.
        box: of the object, in pixels of the picture, for detectors.
        unit: of the score, where it is a quantity and the unit was said.
    """

    index: int
    name: str
    score: float
    probability: float | None
    share: float | None = None
    box: Box | None = None
    unit: str | None = None

    @property
    def known(self) -> dict[str, Any]:
        """What there is to say, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}
