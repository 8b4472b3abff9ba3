"""Small networks, one awkward habit each; weights from a fixed seed, inputs `[n, 3, 16, 16]`."""

from __future__ import annotations

import copy
import random
import threading
import weakref
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from pellucid.zoo.self_explaining import SelfExplaining

CLASSES = 5


def build(make, *args, dtype=torch.float64, **kwargs):
    """An evaluation-mode network with weights that are the same in every process and thread."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return make(*args, **kwargs).to(dtype).eval()


def images(n=2, dtype=torch.float64, size=(16, 16), seed=3):
    return torch.randn(n, 3, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def _own(act):
    """Modules are copied, so that two places never share one by accident."""
    return copy.deepcopy(act) if isinstance(act, nn.Module) else act


class Plain(nn.Module):
    """conv, act, conv, act, mean, linear; `act` is a module or any function of a tensor."""

    def __init__(self, act=None):
        super().__init__()
        act = nn.ReLU() if act is None else act
        self.conv1, self.act1 = nn.Conv2d(3, 6, 3, padding=1), _own(act)
        self.conv2, self.act2 = nn.Conv2d(6, 8, 3, padding=1, stride=2), _own(act)
        self.fc = nn.Linear(8, CLASSES)

    def features(self, x):
        return self.act2(self.conv2(self.act1(self.conv1(x))))

    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3)))


class Pooled(nn.Module):
    """What most CNNs are made of: batch norm, in-place ReLUs and max pooling; CAM applies to it."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1, bias=False),
            nn.BatchNorm2d(6),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.pool, self.drop, self.fc = nn.AdaptiveAvgPool2d(1), nn.Dropout(0.5), nn.Linear(8, CLASSES)
        self.features[1].running_mean.uniform_(-0.2, 0.2)
        self.features[1].running_var.uniform_(0.5, 1.5)

    def forward(self, x):
        return self.fc(self.drop(self.pool(self.features(x)).flatten(1)))


class Skip(nn.Module):
    """`z + conv(act(z))`: the activation's input has a second consumer."""

    def __init__(self, act=None):
        super().__init__()
        self.conv1, self.act = nn.Conv2d(3, 8, 3, padding=1), _own(nn.ReLU() if act is None else act)
        self.conv2, self.fc = nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, CLASSES)

    def forward(self, x):
        z = self.conv1(x)
        return self.fc((z + self.conv2(self.act(z))).mean((2, 3)))


class InPlaceSkip(Skip):
    """An in-place ReLU overwrites the tensor that is also the skip: `relu(z) + conv(relu(z))`."""

    def __init__(self, act=None):
        super().__init__(nn.ReLU(inplace=True) if act is None else act)


class Reused(Skip):
    """One ReLU module called twice."""

    def forward(self, x):
        return self.fc(self.act(self.conv2(self.act(self.conv1(x)))).mean((2, 3)))


class AddAfter(Skip):
    """In-place add and ReLU right after the target layer `conv2`, as in ResNets."""

    def forward(self, x):
        z = F.relu(self.conv1(x))
        y = self.conv2(z)
        y += z
        return self.fc(F.relu_(y).mean((2, 3)))


class Joined(Skip):
    """`conv2` is joined with an earlier layer by concatenation."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(16, CLASSES)

    def forward(self, x):
        z = self.act(self.conv1(x))
        return self.fc(torch.cat([z, self.conv2(z)], 1).relu().mean((2, 3)))


class KeepsBatch(Skip):
    """Reads the batch size before `conv2` and uses it after."""

    def forward(self, x):
        n = len(x)
        y = self.conv2(self.act(self.conv1(x))).relu()
        return self.fc(y.reshape(n, 8, -1).mean(2))


class SliceInPlace(Skip):
    """Writes into a slice of an earlier tensor after `conv2` (coupling layers do)."""

    def forward(self, x):
        y = self.conv1(x)
        left = y[:, :8]
        left += self.conv2(F.relu(y))
        return self.fc(left.mean((2, 3)))


class FirstOfList(nn.Module):
    """Rectifies the last tensor of a list in place and returns it."""

    def forward(self, xs):
        return xs[-1].relu_()


class ListAlias(InPlaceSkip):
    """`InPlaceSkip` whose activation takes a list, as DenseNet's layers do."""

    def __init__(self):
        super().__init__(FirstOfList())

    def forward(self, x):
        z = self.conv1(x)
        y = self.act([z])
        return self.fc((z + self.conv2(y)).mean((2, 3)))


class Identity2(nn.Module):
    """Returns its input, or a view of it."""

    def __init__(self, view=False):
        super().__init__()
        self.view = view

    def forward(self, x):
        return x.view(x.shape) if self.view else x


class Gate(nn.Module):
    """Squeeze and excite: a sigmoid gate per channel."""

    def __init__(self):
        super().__init__()
        self.conv, self.squeeze = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 1)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x):
        y = F.relu(self.conv(x))
        y = y * torch.sigmoid(self.squeeze(y.mean((2, 3), keepdim=True)))
        return self.fc(y.mean((2, 3)))


class Block(nn.Module):
    """Pre-norm attention block."""

    def __init__(self, width):
        super().__init__()
        self.norm1, self.qkv, self.proj = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm2, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x):
        q, k, v = self.qkv(self.norm1(x)).chunk(3, -1)
        x = x + self.proj(F.scaled_dot_product_attention(q, k, v))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Tokens(nn.Module):
    """A vision transformer with a class token and a register token; the head reads the class token."""

    def __init__(self, width=8):
        super().__init__()
        self.patch = nn.Conv2d(3, width, 4, 4)
        self.prefix = nn.Parameter(torch.randn(1, 2, width))
        self.position = nn.Parameter(torch.randn(1, 18, width))
        self.blocks = nn.Sequential(Block(width), Block(width))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CLASSES)

    def embed(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        return torch.cat([self.prefix.expand(len(x), -1, -1), x], 1) + self.position

    def forward(self, x):
        return self.head(self.norm(self.blocks(self.embed(x)))[:, 0])


class ChannelsLast(nn.Module):
    """Swin's habit: `[batch, row, column, channel]` inside."""

    def __init__(self):
        super().__init__()
        self.stem, self.mix, self.norm = nn.Conv2d(3, 12, 4, 4), nn.Linear(12, 12), nn.LayerNorm(12)
        self.head = nn.Linear(12, CLASSES)

    def forward(self, x):
        x = self.stem(x).permute(0, 2, 3, 1)
        x = self.norm(x + F.gelu(self.mix(x)))
        return self.head(x.mean((1, 2)))


class Output(Plain):
    """Hands its scores out in a `dict`, a `tuple`, an object with `.logits`, or after softmax."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def forward(self, x):
        scores = super().forward(x)
        kinds = {
            "dict": lambda: {"logits": scores, "aux": scores * 2},
            "tuple": lambda: (scores, scores * 2),
            "object": lambda: SimpleNamespace(logits=scores),
            "softmax": lambda: scores.softmax(1),
        }
        return kinds[self.kind]()


_calls = weakref.WeakKeyDictionary()  # of fuses; not on the objects, where a guard would put them back


class Fuse:
    """Raises `error` at one call of the network, counted over its whole life; shared by copies on purpose."""

    def __init__(self, at=None, error=None):
        self.at, self.error = at, error
        _calls[self] = 0

    @property
    def calls(self):
        return _calls[self]

    def __call__(self):
        _calls[self] += 1
        if self.calls == self.at:
            raise self.error

    def __deepcopy__(self, memo):
        return self


class _Remembers:
    """Every state that a forward pass may leave behind, and a fuse in the middle."""

    def prepare(self, fuse):
        self.fuse = fuse or Fuse()
        self.count, self.seen, self.notes = 0, [], {"first": None}
        self.register_buffer("ticks", torch.zeros(1))
        self.register_buffer("scratch", torch.zeros(1))

    def remember(self, x):
        self.count += 1
        self.seen.append(len(x))
        self.notes["last"] = self.count
        self.extra = self.count
        self.ticks.add_(1)
        self.scratch = self.scratch + 1
        x.add_(0.1)

    def middle(self):
        self.fuse()
        random.random(), np.random.rand(), torch.rand(1)


class Habits(_Remembers, Pooled):
    def __init__(self, fuse=None):
        super().__init__()
        self.prepare(fuse)

    def forward(self, x):
        self.remember(x)
        x = self.features(x)
        self.middle()
        return self.fc(self.pool(x).flatten(1))


class TokenHabits(_Remembers, Tokens):
    def __init__(self, fuse=None):
        super().__init__()
        self.prepare(fuse)

    def forward(self, x):
        self.remember(x)
        x = self.blocks[0](self.embed(x))
        self.middle()
        return self.head(self.norm(self.blocks[1](x))[:, 0])


class Masked(SelfExplaining):
    """Explains itself; its mask has both large and small values."""

    def __init__(self):
        super().__init__(Pooled(), width=4)
        last = self.explainer[-1]
        last.weight.data *= 30
        last.bias.data.zero_()


class MaskedHabits(_Remembers, Masked):
    def __init__(self, fuse=None):
        super().__init__()
        self.prepare(fuse)

    def forward(self, x):
        self.remember(x)
        self.middle()
        return super().forward(x)

    def mask(self, x):
        self.remember(x)
        self.middle()
        return super().mask(x)


class MyReLU(torch.autograd.Function):
    """A ReLU that no rule can see into."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, signal):
        (x,) = ctx.saved_tensors
        return signal * (x > 0)


class BatchStatistics(Plain):
    """Batch norm without running statistics: every sample's score depends on its neighbours."""

    def __init__(self):
        super().__init__(nn.BatchNorm2d(6, track_running_stats=False))
        self.act2 = nn.ReLU()


class Sometimes(Plain):
    """Calls `extra` in training only."""

    def __init__(self):
        super().__init__()
        self.extra = nn.Conv2d(8, 8, 1)

    def forward(self, x):
        y = self.features(x)
        return self.fc((self.extra(y) if self.training else y).mean((2, 3)))


class TwoHeads(nn.Module):
    """Two outputs from two separate layers."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(3, 8, 3, padding=1)
        self.fa, self.fb = nn.Linear(8, CLASSES), nn.Linear(8, CLASSES)

    def forward(self, x):
        return {"a": self.fa(self.a(x).relu().mean((2, 3))), "b": self.fb(self.b(x).relu().mean((2, 3)))}


@contextmanager
def beside_a_thread():
    """Another thread is alive and does nothing, as there always is in a notebook."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Do(nn.Module):
    """A function as a layer."""

    def __init__(self, function, *layers):
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, x):
        return self.function(x, *self.layers)
