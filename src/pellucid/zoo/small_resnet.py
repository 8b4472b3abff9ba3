"""A small residual network."""

from torch import Tensor, nn
from torch.nn import functional as F

from pellucid.errors import BadOption


class SmallResNet(nn.Module):
    """One convolution, three stages of residual blocks, global average pooling and one linear layer.

    He et al., "Deep residual learning for image recognition", CVPR (2016), section 4.2: with 3 blocks per stage and 16
    maps this is ResNet-20, 0.27 million parameters; where shapes change, the shortcut takes every second value and
    adds maps of zeros (option A), so it has no parameters. The method `cam` is defined for it.

    Args:
        classes: number of outputs.
        channels: of the picture.
        blocks: per stage.
        width: maps of the first stage; each stage doubles them.
        head: `gap` only: this network ends with global average pooling.

    Raises:
        BadOption: another head.
    """

    def __init__(
        self, classes: int = 10, channels: int = 3, blocks: int = 3, width: int = 16, head: str = "gap"
    ) -> None:
        super().__init__()
        if head != "gap":
            raise BadOption(f"small-resnet ends with global average pooling (gap), got head {head!r}.")
        self.conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        stages, seen = [], width
        for stage in range(3):
            for block in range(blocks):
                maps = width * 2**stage
                stages.append(ResidualBlock(seen, maps, 2 if stage and not block else 1))
                seen = maps
        self.blocks = nn.Sequential(*stages)
        self.classifier = nn.Linear(seen, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        """Scores `[batch, class]` of pictures `[batch, channel, row, column]`."""
        maps = self.blocks(F.relu(self.norm(self.conv(pictures))))
        scores: Tensor = self.classifier(maps.mean((2, 3)))
        return scores


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm, and the way around them."""

    def __init__(self, seen: int, maps: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(seen, maps, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(maps)
        self.conv2 = nn.Conv2d(maps, maps, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(maps)
        self.stride, self.more = stride, maps - seen

    def forward(self, maps: Tensor) -> Tensor:
        """What was there plus what the convolutions add."""
        around = F.pad(maps[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))
        added = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(maps)))))
        return F.relu(around + added)
