"""VGG-16, configuration D."""

from collections.abc import Sequence

from torch import Tensor, nn

BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class VGG16(nn.Module):
    """Thirteen 3 x 3 convolutions in five blocks and three linear layers; 138,357,544 parameters for 1000 classes.

    Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", arXiv:1409.1556, table
    1, column D; pictures of 224 x 224.

    Args:
        classes: number of outputs.
        blocks: maps of each convolution, block by block; a max pooling ends each block.
    """

    def __init__(self, classes: int = 1000, blocks: Sequence[Sequence[int]] = BLOCKS) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        seen = 3
        for block in blocks:
            for maps in block:
                layers += [nn.Conv2d(seen, maps, 3, padding=1), nn.ReLU()]
                seen = maps
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(seen * 7 * 7, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, classes),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Scores `[batch, class]` of pictures `[batch, 3, 224, 224]`."""
        scores: Tensor = self.classifier(self.features(pictures).flatten(1))
        return scores
