"""LeNet-5, with the partial connections of its third layer."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pellucid.errors import unknown

CONNECTIONS = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip
"""Table I of the paper: which maps of S2 each map of C3 is computed from."""


class LeNet5(nn.Module):
    """C1, S2, C3, S4, C5, F6 and ten outputs, with scaled tan-sigmoids; pictures of 32 x 32.

    LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proceedings of the
    IEEE 86 (1998), section II.B. The paper's output compares F6 with fixed drawings of the digits; here it is a linear
    layer, as everywhere since; with `head="gap"` C5 keeps
    its 5 x 5 places and is averaged over them, so that the method `cam` is defined.

    Args:
        classes: number of outputs.
        channels: of the picture.
        head: `linear` (C5, F6, output) or `gap` (C5 averaged, output).

    Raises:
        UnknownName: another head.
    """

    def __init__(self, classes: int = 10, channels: int = 1, head: str = "linear") -> None:
        super().__init__()
        if head not in ("linear", "gap"):
            raise unknown("head of lenet5", head, ["linear", "gap"])
        self.c1 = nn.Conv2d(channels, 6, 5)
        self.s2 = Subsample(6)
        self.c3 = PartialConv2d(CONNECTIONS, 6, 5)
        self.s4 = Subsample(16)
        self.c5 = nn.Sequential(nn.Conv2d(16, 120, 5, padding=2 if head == "gap" else 0), ScaledTanh())
        self.head = head
        if head == "linear":
            self.f6 = nn.Linear(120, 84)
        self.output = nn.Linear(84 if head == "linear" else 120, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        """Scores `[batch, class]` of pictures `[batch, channel, 32, 32]`; larger pictures are fine with `gap`."""
        maps = scaled_tanh(self.c1(pictures))
        maps = scaled_tanh(self.c3(scaled_tanh(self.s2(maps))))
        maps = self.c5(scaled_tanh(self.s4(maps)))
        seen = maps.mean((2, 3)) if self.head == "gap" else scaled_tanh(self.f6(maps.flatten(1)))
        scores: Tensor = self.output(seen)
        return scores


def scaled_tanh(net: Tensor) -> Tensor:
    """1.7159 tanh(2 n / 3): its values at -1 and 1 are -1 and 1 (appendix A of the paper)."""
    return 1.7159 * torch.tanh(net * (2 / 3))


class ScaledTanh(nn.Module):
    """`scaled_tanh` as a layer that can be named."""

    def forward(self, net: Tensor) -> Tensor:
        """The same shape, -1.7159 to 1.7159."""
        return scaled_tanh(net)


class Subsample(nn.Module):
    """Mean of 2 x 2 values, times a trained number, plus a trained bias, per map."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(maps))
        self.bias = nn.Parameter(torch.zeros(maps))

    def forward(self, maps: Tensor) -> Tensor:
        """Half of the rows and columns."""
        return F.avg_pool2d(maps, 2) * self.weight[:, None, None] + self.bias[:, None, None]


class PartialConv2d(nn.Module):
    """A convolution each of whose output maps sees some input maps only; the others' kernels do not exist.

    Args:
        connections: of each output map, the input maps that it sees.
        maps: number of input maps.
        kernel: side of the kernels.
    """

    index: Tensor

    def __init__(self, connections: tuple[tuple[int, ...], ...], maps: int, kernel: int) -> None:
        super().__init__()
        self.shape = (len(connections), maps, kernel, kernel)
        pairs = [(k, seen) for k, row in enumerate(connections) for seen in row]
        self.register_buffer("index", torch.tensor([k * maps + seen for k, seen in pairs]), persistent=False)
        drawn = torch.rand(len(pairs), kernel, kernel)
        if not drawn.is_meta:  # only sizes are asked for then, and torch's arithmetic without values takes long to load
            fan_in = torch.tensor([len(connections[k]) * kernel * kernel for k, _ in pairs])
            drawn = (2 * drawn - 1) * (1 / fan_in.sqrt())[:, None, None]
        self.weight = nn.Parameter(drawn)
        self.bias = nn.Parameter(torch.zeros(len(connections)))

    def forward(self, maps: Tensor) -> Tensor:
        """`[batch, output map, row, column]`."""
        full = self.weight.new_zeros(self.shape[0] * self.shape[1], *self.shape[2:])
        return F.conv2d(maps, full.index_copy(0, self.index, self.weight).view(self.shape), self.bias)
