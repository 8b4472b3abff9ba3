"""What random networks are made of: blocks from maps to maps, each with one habit of real networks.

Every activation is an `Activation`, which computes the same in many spellings and, for references only, can be told to
send signals back by another rule. Blocks say by `habits` what methods may refuse:

    other activations    an activation that is no rectifier, gates among them
    by hand              a rectifier put together out of other operations
    sample norms         a norm over a sample's own values
    attention            a softmax over places
    wrapped              a convolution whose cells at one border see the other
    chosen values        a maximum taken by reduction, for which DeepLIFT has no rule
    hidden               a part that depends on the picture and that the gradient does not see
"""

import copy
import math

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

OTHER, BY_HAND, NORMS, ATTENTION = "other activations", "by hand", "sample norms", "attention"
WRAPPED, CHOSEN, HIDDEN = "wrapped", "chosen values", "hidden"


class ByRule(torch.autograd.Function):
    """min(max(x, 0), c) with the plain backward, or that of guided backprop or DeconvNet, from the papers' formulas."""

    @staticmethod
    def forward(ctx, x, ceiling, rule):
        ctx.save_for_backward(x)
        ctx.ceiling, ctx.rule = ceiling, rule
        return x.clamp(0, ceiling)

    @staticmethod
    def backward(ctx, signal):
        (x,) = ctx.saved_tensors
        open_ = torch.ones_like(x) if ctx.rule == "deconvnet" else ((x > 0) & (x < ctx.ceiling)).to(x)
        return (signal if ctx.rule == "plain" else signal.clamp(min=0)) * open_, None, None


RECTIFIERS = {
    "nn.ReLU": nn.ReLU(),
    "nn.ReLU in place": nn.ReLU(inplace=True),
    "nn.ReLU6": nn.ReLU6(),
    "F.relu": F.relu,
    "torch.relu_": lambda x: torch.relu_(x),
    "clamp": lambda x: x.clamp(min=0),
    "clamp_min_": lambda x: x.clamp_min_(0),
    "hardtanh(0, 1)": lambda x: F.hardtanh(x, 0.0, 1.0),
    "threshold": lambda x: F.threshold(x, 0.0, 0.0),
}
WRITTEN = {
    "where": lambda x: torch.where(x > 0, x, torch.zeros_like(x)),
    "x * (x > 0)": lambda x: x * (x > 0),
    "masked_fill": lambda x: x.masked_fill(x < 0, 0),
    "(x + |x|) / 2": lambda x: (x + x.abs()) / 2,
}
OTHERS = {
    "nn.GELU": nn.GELU(),
    "nn.SiLU in place": nn.SiLU(inplace=True),
    "leaky_relu": lambda x: F.leaky_relu(x, 0.1),
    "tanh": torch.tanh,
    "softplus": F.softplus,
    "nn.ELU in place": nn.ELU(inplace=True),
    "hardswish": F.hardswish,
    "x.sigmoid()": lambda x: x.sigmoid(),
}
CEILINGS = {"nn.ReLU6": 6.0, "hardtanh(0, 1)": 1.0}


class Activation(nn.Module):
    """One activation by its spelling; `rule` makes a rectifier send signals back by another rule, for references."""

    def __init__(self, spelling):
        super().__init__()
        self.spelling, self.rule = spelling, None
        found = copy.deepcopy((RECTIFIERS | WRITTEN | OTHERS)[spelling])
        self.module, self.function = (found, None) if isinstance(found, nn.Module) else (None, found)
        self.habits = {OTHER} if spelling in OTHERS else {BY_HAND} if spelling in WRITTEN else set()

    @property
    def ceiling(self):
        """What a rectifier is capped at."""
        return CEILINGS.get(self.spelling, math.inf)

    def forward(self, x):
        if self.rule:
            return ByRule.apply(x, self.ceiling, self.rule)
        return (self.module or self.function)(x)

    def extra_repr(self):
        return repr(self.spelling)


class Block(nn.Module):
    """Base of blocks; `inner` parts are built by the generator."""

    habits = frozenset()


class Residual(Block):
    """x + f(x), in one of three spellings."""

    def __init__(self, inner, how):
        super().__init__()
        self.inner, self.how = inner, how

    def forward(self, x):
        if self.how == "in place":
            y = self.inner(x.clone())
            y += x
            return y
        y = self.inner(x.clone())
        return torch.add(x, y) if self.how == "function" else x + y

    def extra_repr(self):
        return self.how


class Concatenated(Block):
    """[f(x), g(x)] along the channels."""

    def __init__(self, left, right):
        super().__init__()
        self.left, self.right = left, right

    def forward(self, x):
        return torch.cat([self.left(x.clone()), self.right(x.clone())], 1)


class ChannelGate(Block):
    """Squeeze and excite."""

    habits = frozenset({OTHER})

    def __init__(self, channels):
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.squeeze(x.mean((2, 3), keepdim=True)))


class PlaceGate(Block):
    """A sigmoid for every place."""

    habits = frozenset({OTHER})

    def __init__(self, channels):
        super().__init__()
        self.look = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, x):
        return self.look(x).sigmoid() * x


class ChunkGate(Block):
    """A gated linear unit out of two chunks."""

    habits = frozenset({OTHER})

    def __init__(self, channels, out):
        super().__init__()
        self.conv = nn.Conv2d(channels, 2 * out, 1)

    def forward(self, x):
        value, gate = self.conv(x).chunk(2, 1)
        return value * torch.sigmoid(gate)


class Reused(Block):
    """One convolution and one activation, both called twice."""

    def __init__(self, channels, act):
        super().__init__()
        self.conv, self.act = nn.Conv2d(channels, channels, 3, padding=1), act

    def forward(self, x):
        return self.act(self.conv(self.act(self.conv(x))))


class Shuffled(Block):
    """Channels shuffled in groups by views, as ShuffleNet does."""

    def __init__(self, groups):
        super().__init__()
        self.groups = groups

    def forward(self, x):
        n, c, h, w = x.shape
        return x.view(n, self.groups, c // self.groups, h, w).transpose(1, 2).reshape(n, c, h, w)

    def extra_repr(self):
        return f"groups={self.groups}"


class SwappedChunks(Block):
    """Two chunks of channels, one rectified, joined the other way round."""

    def __init__(self, act):
        super().__init__()
        self.act = act

    def forward(self, x):
        first, second = x.chunk(2, 1)
        return torch.cat([second, self.act(first.clone())], 1)


class Einsum(Block):
    """A convolution of one pixel as an einsum."""

    def __init__(self, channels, out):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, channels) / channels**0.5)

    def forward(self, x):
        return torch.einsum("nchw,kc->nkhw", x, self.weight)

    def extra_repr(self):
        return f"{self.weight.shape[1]} -> {self.weight.shape[0]}"


class Masked(Block):
    """A pattern that does not depend on the picture takes values away."""

    def __init__(self, shape, how):
        super().__init__()
        self.how = how
        self.register_buffer("mask", (torch.rand(1, 1, *shape) > 0.25).double())

    def forward(self, x):
        return x * self.mask if self.how == "product" else x.masked_fill(self.mask == 0, 0)

    def extra_repr(self):
        return self.how


class Resized(Block):
    """Interpolation to another size."""

    def __init__(self, size, mode):
        super().__init__()
        self.size, self.mode = size, mode

    def forward(self, x):
        return F.interpolate(x, self.size, mode=self.mode)

    def extra_repr(self):
        return f"{self.size}, {self.mode!r}"


class Checkpointed(Block):
    """A part that is computed again on the way back."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        if not torch.is_grad_enabled():
            return self.inner(x.clone())
        return checkpoint(self.inner, x.clone(), use_reentrant=False)


class Attention(Block):
    """Attention over all places around a skip, fused or by hand."""

    habits = frozenset({ATTENTION})

    def __init__(self, channels, how):
        super().__init__()
        self.how, self.qkv, self.proj = how, nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, x):
        n, c, h, w = x.shape
        q, k, v = self.qkv(x.flatten(2).transpose(1, 2)).chunk(3, -1)
        if self.how == "fused":
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            y = torch.softmax(q @ k.transpose(1, 2) / c**0.5, -1) @ v
        return x + self.proj(y).transpose(1, 2).reshape(n, c, h, w)

    def extra_repr(self):
        return self.how


class ChannelsLastNorm(Block):
    """Layer norm and a dense layer with the channels last, as ConvNeXt has them."""

    habits = frozenset({NORMS})

    def __init__(self, channels):
        super().__init__()
        self.norm, self.dense = nn.LayerNorm(channels), nn.Linear(channels, channels)

    def forward(self, x):
        return self.dense(self.norm(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


class GroupNorm(nn.GroupNorm):
    """Group norm, which a gradient passes and a bias rule does not."""

    habits = frozenset({NORMS})


class HalfHidden(Block):
    """A part of each value that the gradient does not see."""

    habits = frozenset({HIDDEN})

    def __init__(self, how):
        super().__init__()
        self.how = how

    def forward(self, x):
        if self.how == "detach":
            return x + 0.3 * x.detach()
        with torch.no_grad():
            mask = x > x.mean((1, 2, 3), keepdim=True)
        return x * mask

    def extra_repr(self):
        return self.how


class SpaceMean(nn.Module):
    """The mean over all places, by reduction."""

    def forward(self, x):
        return x.mean((2, 3))


class SpaceMax(nn.Module):
    """The maximum over all places."""

    habits = frozenset({CHOSEN})

    def forward(self, x):
        return x.amax((2, 3))


class Viewed(nn.Module):
    """All values of a picture in a row, by a view with the batch's size in it."""

    def forward(self, x):
        return x.reshape(x.size(0), -1)


class ToLast(nn.Module):
    """Channels last: `[batch, row, column, channel]`."""

    def forward(self, x):
        return x.permute(0, 2, 3, 1)


class ToTokens(nn.Module):
    """A row of tokens `[batch, token, channel]`, with one of the network's own before or behind."""

    def __init__(self, channels, where):
        super().__init__()
        self.where, self.own = where, nn.Parameter(torch.randn(1, 1, channels))

    def forward(self, x):
        tokens, own = x.flatten(2).transpose(1, 2), self.own.expand(len(x), -1, -1)
        return torch.cat([own, tokens] if self.where == "before" else [tokens, own], 1)

    def extra_repr(self):
        return self.where


class Mixer(Block):
    """A dense layer around a skip, on the last axis."""

    def __init__(self, channels, act):
        super().__init__()
        self.norm, self.up, self.act = nn.LayerNorm(channels), nn.Linear(channels, channels), act
        self.habits = {NORMS, *act.habits}

    def forward(self, x):
        return x + self.act(self.up(self.norm(x)))


class TokenAttention(Block):
    """Attention among tokens around a skip."""

    habits = frozenset({NORMS, ATTENTION})

    def __init__(self, channels):
        super().__init__()
        self.norm, self.qkv = nn.LayerNorm(channels), nn.Linear(channels, 3 * channels)

    def forward(self, x):
        q, k, v = self.qkv(self.norm(x)).chunk(3, -1)
        return x + F.scaled_dot_product_attention(q, k, v)


class LastMean(nn.Module):
    """Mean over rows and columns with the channels last."""

    def forward(self, x):
        return x.mean((1, 2))


class OwnToken(nn.Module):
    """The network's own token."""

    def __init__(self, where):
        super().__init__()
        self.where = where

    def forward(self, x):
        return x[:, 0] if self.where == "before" else x[:, -1]
