"""Random networks from seeds: `build(seed)` is the same network and the same pictures wherever it runs."""

import random
from dataclasses import dataclass

import fuzz_blocks as blocks
import torch
from torch import nn

FAMILIES = ("plain", "rectified", "any", "rectified", "last", "plain", "hidden", "tokens")
SIDES = ((9, 13), (12, 8), (16, 12), (7, 11), (10, 15), (8, 8), (13, 9))
MOST_CHANNELS, MOST_VALUES = 12, 2500


class Network(nn.Module):
    """A trunk of blocks and a head."""

    def __init__(self, trunk, head):
        super().__init__()
        self.trunk, self.head = nn.Sequential(*trunk), nn.Sequential(*head)

    def forward(self, x):
        return self.head(self.trunk(x))


@dataclass
class Case:
    """A network with pictures, classes and a layer to look at.

    Attributes:
        seed: that it was built from.
        family: which blocks it may have.
        net: in float64 and evaluation mode.
        image: `[batch, channel, row, column]`.
        classes: one for each picture.
        layer: path of a module whose output has a grid.
        layout: of that output: `first`, `last`, `before` or `behind` (tokens after or before the network's own).
        grid: rows and columns of the layer.
        habits: of all blocks; see `fuzz_blocks`.
    """

    seed: int
    family: str
    net: Network
    image: torch.Tensor
    classes: list[int]
    layer: str
    layout: str
    grid: tuple[int, int]
    habits: set[str]

    def score(self, image, numbers=None):
        """Of the classes, `[batch]`; `numbers` says which pictures the rows are of."""
        out = self.net(image)
        rows = range(len(image)) if numbers is None else numbers
        return out[torch.arange(len(out)), [self.classes[k] for k in rows]]

    def __str__(self):
        return (
            f"fuzz_networks.build({self.seed}): {self.family}, pictures {list(self.image.shape)}, classes "
            f"{self.classes}, layer {self.layer!r} ({self.layout} {self.grid}), habits {sorted(self.habits)}\n"
            f"{self.net}"
        )


def build(seed):
    """The network of a seed: of those drawn from it the first that torch can differentiate and whose pictures count."""
    return next(case for attempt in range(100) if trainable(case := drawn(seed, attempt)))


def drawn(seed, attempt):
    """One network of a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1000 * seed + attempt)
        return _Builder(seed, attempt).case()


def trainable(case):
    """Whether each picture has a gradient; in-place steps may have overwritten what another step needs for it."""
    image = case.image.clone().requires_grad_()
    try:
        (gradient,) = torch.autograd.grad(case.score(image).sum(), image)
    except RuntimeError as error:
        if "inplace" not in str(error):
            raise
        return False
    return bool((gradient.flatten(1).abs().amax(1) > 1e-6).all())


class _Builder:
    def __init__(self, seed, attempt):
        self.random, self.seed = random.Random(1000 * seed + attempt), seed
        self.family = FAMILIES[seed % len(FAMILIES)]
        self.size = self.random.choice(SIDES)
        self.shape = (self.random.choice((1, 3, 3, 4)), *self.size)

    def case(self):
        image = torch.randn(self.random.randint(1, 3), *self.shape, dtype=torch.float64)
        trunk, sites = [], []
        for make in self.plan():
            block = make()
            if block is None:
                continue
            trunk.append(block)
            self.follow(block)
            if len(self.shape) == 3:
                sites.append((f"trunk.{len(trunk) - 1}", "first", self.shape[1:]))
        last = sites[-1]
        head = self.tail(trunk, sites) if self.family in ("last", "tokens") else self.head()
        net = settled(Network(trunk, head))
        layer, layout, grid = self.random.choice([*sites[1:], last, sites[-1]])
        classes = [self.random.randrange(net.head[-1].out_features) for _ in image]
        habits = set().union(*(part.habits for part in net.modules() if hasattr(part, "habits")))
        if any(getattr(part, "padding_mode", "") == "circular" for part in net.modules()):
            habits.add(blocks.WRAPPED)
        return Case(self.seed, self.family, net, image, classes, layer, layout, grid, habits)

    def plan(self):
        """What makes the blocks."""
        chosen = PLAIN if self.family == "plain" else RECTIFIED if self.family == "rectified" else ANY
        if self.family in ("last", "tokens"):
            return [self.conv, *self.random.choices(PLAIN_MAKERS(self), k=self.random.randint(0, 2))]
        makers = [getattr(self, name) for name in self.random.choices(chosen, k=self.random.randint(2, 5))]
        if self.family == "hidden":
            makers.insert(self.random.randint(1, len(makers)), self.hidden)
        return [self.conv, *makers]

    def follow(self, block):
        """The shape after a block."""
        with torch.no_grad():
            block = block.double().eval()
            self.shape = tuple(block(torch.zeros(1, *self.shape, dtype=torch.float64)).shape[1:])

    def width(self):
        """A number of channels that may be mistaken for rows or columns."""
        tempting = [side for side in (*self.shape[1:], *self.size) if side <= MOST_CHANNELS]
        return self.random.choice([4, 6, 8, *tempting])

    # blocks; None where the shape leaves no room

    def act(self):
        spellings = [*blocks.RECTIFIERS]
        if self.family != "plain":
            spellings += blocks.WRITTEN
        if self.family not in ("plain", "rectified"):
            spellings += blocks.OTHERS
        return blocks.Activation(self.random.choice(spellings))

    def conv(self):
        channels, least = self.shape[0], min(self.shape[1:])
        kernel = self.random.choice((1, 3, 3)) if least >= 5 else 1
        stride = 2 if kernel == 3 and least >= 8 and self.random.random() < 0.4 else 1
        pad = self.random.choice((0, 1)) if kernel == 3 and least >= 5 else 0
        mode = "zeros" if self.family == "plain" else self.random.choice(("zeros", "zeros", "reflect", "circular"))
        conv = nn.Conv2d(
            channels, self.width(), kernel, stride, pad, padding_mode=mode if pad else "zeros",
            bias=self.random.random() < 0.7,
        )  # fmt: skip
        parts = [conv]
        if self.random.random() < 0.4:
            parts.append(nn.BatchNorm2d(conv.out_channels))
        if self.random.random() < 0.8:
            parts.append(self.act())
        return nn.Sequential(*parts)

    def same(self):
        """A part that keeps the shape."""
        channels = self.shape[0]
        return nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), self.act())

    def max_pool(self):
        if min(self.shape[1:]) < 6:
            return nn.MaxPool2d(3, 1, 1)
        return self.random.choice((nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1), nn.MaxPool2d(2, ceil_mode=True)))

    def mean_pool(self):
        if min(self.shape[1:]) < 6:
            return nn.AvgPool2d(3, 1, 1)
        return self.random.choice((nn.AvgPool2d(2), nn.AdaptiveAvgPool2d((4, 5)), nn.AvgPool2d(3, 2)))

    def activation(self):
        return self.act()

    def residual(self):
        return blocks.Residual(self.same(), self.random.choice(("plain", "in place", "function")))

    def concatenated(self):
        if self.shape[0] > 8:
            return None
        return blocks.Concatenated(self.same(), nn.Sequential(nn.Conv2d(self.shape[0], 4, 1), self.act()))

    def reused(self):
        return blocks.Reused(self.shape[0], self.act())

    def shuffled(self):
        groups = next((k for k in (3, 2) if self.shape[0] % k == 0), None)
        return groups and blocks.Shuffled(groups)

    def swapped(self):
        return blocks.SwappedChunks(self.act()) if self.shape[0] > 1 else None

    def einsum(self):
        return blocks.Einsum(self.shape[0], self.width())

    def masked(self):
        return blocks.Masked(self.shape[1:], self.random.choice(("product", "fill")))

    def resized(self):
        rows, columns = self.shape[1:]
        size = (rows + self.random.randint(-1, 3), columns + self.random.randint(-1, 3))
        if self.shape[0] * size[0] * size[1] > MOST_VALUES:
            return None
        return blocks.Resized(size, self.random.choice(("nearest", "bilinear")))

    def checkpointed(self):
        return blocks.Checkpointed(self.same())

    def dropout(self):
        return nn.Sequential(nn.Dropout(0.5), nn.Identity())

    def channel_gate(self):
        return blocks.ChannelGate(self.shape[0])

    def place_gate(self):
        return blocks.PlaceGate(self.shape[0])

    def chunk_gate(self):
        return blocks.ChunkGate(self.shape[0], self.width())

    def group_norm(self):
        return blocks.GroupNorm(2 if self.shape[0] % 2 == 0 else 1, self.shape[0])

    def attention(self):
        return blocks.Attention(self.shape[0], self.random.choice(("fused", "by hand")))

    def channels_last_norm(self):
        return blocks.ChannelsLastNorm(self.shape[0])

    def hidden(self):
        return blocks.HalfHidden(self.random.choice(("detach", "mask")))

    # heads

    def head(self):
        channels, classes = self.shape[0], self.random.randint(3, 5)
        values = channels * self.shape[1] * self.shape[2]
        kinds = ["mean", "max", "pool"] + (["flat", "view"] * 2 if values <= MOST_VALUES else [])
        kind = self.random.choice([k for k in kinds if not (self.family == "plain" and k in ("mean", "max"))])
        before = {
            "mean": [blocks.SpaceMean()],
            "max": [blocks.SpaceMax()],
            "pool": [nn.AdaptiveAvgPool2d(1), nn.Flatten()],
            "flat": [nn.Flatten()],
            "view": [nn.Flatten()] if self.family == "plain" else [blocks.Viewed()],
        }[kind]
        width = values if kind in ("flat", "view") else channels
        if self.random.random() < 0.3:
            return [*before, nn.Linear(width, 6), self.act(), nn.Linear(6, classes)]
        return [*before, nn.Linear(width, classes)]

    def tail(self, trunk, sites):
        """Blocks with the channels last or of tokens, and the head that goes with them."""
        channels, grid, classes = self.shape[0], self.shape[1:], self.random.randint(3, 5)
        last = self.family == "last"
        layout = "last" if last else self.random.choice(("before", "behind"))
        trunk.append(blocks.ToLast() if last else blocks.ToTokens(channels, layout))
        for _ in range(self.random.randint(1, 2)):
            mixer = blocks.Mixer(channels, self.act())
            trunk.append(mixer if last or self.random.random() < 0.4 else blocks.TokenAttention(channels))
            sites.append((f"trunk.{len(trunk) - 1}", layout, grid))
        if last:
            return [blocks.LastMean(), nn.Linear(channels, classes)]
        trunk.append(blocks.TokenAttention(channels))  # in which the network's own token sees the others
        return [blocks.OwnToken(layout), nn.Linear(channels, classes)]


PLAIN = ("conv", "conv", "max_pool", "mean_pool", "activation")
RECTIFIED = (
    "conv", "max_pool", "mean_pool", "activation", "residual", "concatenated", "reused", "shuffled", "swapped",
    "einsum", "masked", "resized", "checkpointed", "dropout",
)  # fmt: skip
ANY = (
    *RECTIFIED, "channel_gate", "place_gate", "chunk_gate", "group_norm", "attention", "channels_last_norm",
)  # fmt: skip


def PLAIN_MAKERS(builder):
    return [getattr(builder, name) for name in PLAIN]


def settled(net):
    """Float64, evaluation mode, weights that keep values alive, statistics that are not those of a fresh network."""
    net = net.double().eval()
    for part in net.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear)):
            part.weight.data.mul_(2)
        if isinstance(part, (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)):
            part.weight.data.uniform_(0.5, 1.5)
            part.bias.data.normal_(0, 0.2)
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.3)
            part.running_var.uniform_(0.5, 1.5)
    return net
