"""Pooling layers of the literature as drop-in modules: maps `[batch, channel, row, column]` in, smaller ones out."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class _Window(nn.Module):
    """A window that moves over the maps.

    Args:
        kernel: side of the window.
        stride: distance between positions; None is `kernel`.
    """

    def __init__(self, kernel: int, stride: int | None = None) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride or kernel

    def windows(self, maps: Tensor) -> Tensor:
        """The values under each window, `[batch, channel, row, column, value]`."""
        return maps.unfold(2, self.kernel, self.stride).unfold(3, self.kernel, self.stride).flatten(4)


class MaxPool(_Window):
    """The largest value."""

    def forward(self, maps: Tensor) -> Tensor:
        """Pool."""
        return F.max_pool2d(maps, self.kernel, self.stride)


class AveragePool(_Window):
    """The mean."""

    def forward(self, maps: Tensor) -> Tensor:
        """Pool."""
        return F.avg_pool2d(maps, self.kernel, self.stride)


class MixedPool(_Window):
    """a max + (1 - a) mean with one trained a, kept between 0 and 1 by a log-sigmoid.

    Lee, Gallagher and Tu, "Generalizing pooling functions in convolutional neural networks", AISTATS (2016), 3.1.
    """

    def __init__(self, kernel: int, stride: int | None = None) -> None:
        super().__init__(kernel, stride)
        self.mix = nn.Parameter(torch.zeros(()))

    def forward(self, maps: Tensor) -> Tensor:
        """Pool."""
        share = torch.sigmoid(self.mix)
        largest, mean = F.max_pool2d(maps, self.kernel, self.stride), F.avg_pool2d(maps, self.kernel, self.stride)
        return share * largest + (1 - share) * mean


class GatedPool(_Window):
    """Like `MixedPool`, with a = log-sigmoid(w^T x) computed anew from each window's values x.

    Lee, Gallagher and Tu, AISTATS (2016), 3.2; one gate for all maps.
    """

    def __init__(self, kernel: int, stride: int | None = None) -> None:
        super().__init__(kernel, stride)
        self.gate = nn.Parameter(torch.zeros(kernel * kernel))

    def forward(self, maps: Tensor) -> Tensor:
        """Pool."""
        values = self.windows(maps)
        share = torch.sigmoid(values @ self.gate)
        return share * values.amax(4) + (1 - share) * values.mean(4)


class StochasticPool(_Window):
    """In training one value drawn with probability in proportion to it; otherwise the mean under that probability.

    Zeiler and Fergus, "Stochastic pooling for regularization of deep convolutional neural networks", ICLR (2013). For
    values that are not negative, as after a ReLU; a window of zeros gives zero.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Pool."""
        values = self.windows(maps)
        total = values.sum(4, keepdim=True)
        chance = torch.where(total > 0, values / total.clamp(min=torch.finfo(maps.dtype).tiny), 1 / values.shape[4])
        if not self.training:
            return (chance * values).sum(4)
        drawn = torch.multinomial(chance.detach().flatten(0, 3), 1).view(*values.shape[:4], 1)
        return values.gather(4, drawn)[..., 0]


class L2Pool(_Window):
    """The root of the sum of squares; the square root of 0 is taken to have no slope."""

    def forward(self, maps: Tensor) -> Tensor:
        """Pool."""
        squares = self.windows(maps).square().sum(4)
        return torch.where(squares > 0, squares, 1).sqrt() * (squares > 0)


class SpatialPyramidPool(nn.Module):
    """The largest value in each cell of grids of several sizes: a vector of one length for pictures of any size.

    He et al., "Spatial pyramid pooling in deep convolutional networks", ECCV (2014).

    Args:
        levels: cells per side of each grid.
    """

    def __init__(self, levels: Sequence[int] = (1, 2, 4)) -> None:
        super().__init__()
        self.levels = tuple(levels)

    def forward(self, maps: Tensor) -> Tensor:
        """`[batch, channel * cells]`."""
        return torch.cat([F.adaptive_max_pool2d(maps, side).flatten(1) for side in self.levels], 1)


class GlobalAveragePool(nn.Module):
    """The mean of each map.

    Lin, Chen and Yan, "Network in network", ICLR (2014).
    """

    def forward(self, maps: Tensor) -> Tensor:
        """`[batch, channel]`."""
        return maps.mean((2, 3))
