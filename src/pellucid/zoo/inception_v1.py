"""Inception-v1 (GoogLeNet) as it was published."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BLOCKS = {
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}
"""Table 1 of the paper: input maps, #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool projection."""


class InceptionV1(nn.Module):
    """A stem, nine blocks of four branches, global average pooling and one linear layer; 6,998,552 parameters.

    Szegedy et al., "Going deeper with convolutions", CVPR (2015), table 1; without the two classifiers that only help
    training. Pictures of 224 x 224. (torchvision's `googlenet` has batch norm, and 3 x 3 kernels in place of 5 x 5.)

    Args:
        classes: number of outputs.
    """

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        self.reduce2 = nn.Conv2d(64, 64, 1)
        self.conv2 = nn.Conv2d(64, 192, 3, padding=1)
        self.normalise = nn.LocalResponseNorm(5, 1e-4, 0.75, 1.0)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.blocks = nn.ModuleDict({name: InceptionBlock(*sizes) for name, sizes in BLOCKS.items()})
        self.dropout = nn.Dropout(0.4)
        self.classifier = nn.Linear(1024, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        """Scores `[batch, class]` of pictures `[batch, 3, row, column]`."""
        maps = self.normalise(self.pool(F.relu(self.conv1(pictures))))
        maps = self.normalise(F.relu(self.conv2(F.relu(self.reduce2(maps)))))
        for name, block in self.blocks.items():
            maps = block(self.pool(maps) if name in ("3a", "4a", "5a") else maps)
        scores: Tensor = self.classifier(self.dropout(maps.mean((2, 3))))
        return scores


class InceptionBlock(nn.Module):
    """Branches of 1 x 1, 3 x 3 and 5 x 5 convolutions and of pooling, side by side; sizes as in `BLOCKS`."""

    def __init__(self, seen: int, one: int, reduce3: int, three: int, reduce5: int, five: int, project: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(seen, one, 1)
        self.reduce3, self.three = nn.Conv2d(seen, reduce3, 1), nn.Conv2d(reduce3, three, 3, padding=1)
        self.reduce5, self.five = nn.Conv2d(seen, reduce5, 1), nn.Conv2d(reduce5, five, 5, padding=2)
        self.pool, self.project = nn.MaxPool2d(3, 1, padding=1), nn.Conv2d(seen, project, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """The branches' maps, one after the other."""
        three = self.three(F.relu(self.reduce3(maps)))
        five = self.five(F.relu(self.reduce5(maps)))
        return F.relu(torch.cat([self.one(maps), three, five, self.project(self.pool(maps))], 1))
