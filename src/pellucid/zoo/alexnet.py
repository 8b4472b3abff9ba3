"""AlexNet as it was published: two halves that meet in some layers, and local response normalisation."""

from torch import Tensor, nn


class AlexNet(nn.Module):
    """Five convolutions and three linear layers; pictures of 227 x 227; 60,965,224 parameters for 1000 classes.

    Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", NeurIPS (2012).
    Groups of 2 in the second, fourth and fifth convolution are the two graphics cards of the paper. Its 224 is taken
    for 227, the size for which its arithmetic holds. (torchvision's `alexnet` is another network: one column, fewer
    maps, no normalisation.)

    Args:
        classes: number of outputs.
    """

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        normalise = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 2.0}
        self.features = nn.Sequential(
            nn.Conv2d(3, 96, 11, stride=4),
            nn.ReLU(),
            nn.LocalResponseNorm(**normalise),  # type: ignore[arg-type]
            nn.MaxPool2d(3, 2),
            nn.Conv2d(96, 256, 5, padding=2, groups=2),
            nn.ReLU(),
            nn.LocalResponseNorm(**normalise),  # type: ignore[arg-type]
            nn.MaxPool2d(3, 2),
            nn.Conv2d(256, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 384, 3, padding=1, groups=2),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1, groups=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
        )
        self.classifier = nn.Sequential(
            nn.Dropout(),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Linear(4096, classes),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Scores `[batch, class]` of pictures `[batch, 3, 227, 227]`."""
        scores: Tensor = self.classifier(self.features(pictures).flatten(1))
        return scores
