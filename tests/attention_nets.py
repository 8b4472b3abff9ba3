"""Small vision transformers in many handwritings, and a twin of them all that forms every attention matrix in loops."""

import math

import torch
from torch import nn
from torch.nn import functional as F

CLASSES = 5
WRITINGS = (
    "fused",
    "softmax",
    "F.softmax",
    "bmm",
    "einsum",
    "turned",
    "module",
    "module, sequence first",
    "own rmatmul",
)


class Attention(nn.Module):
    """Multi-head self-attention of tokens `[batch, token, width]`, written in one of several ways."""

    def __init__(self, width, heads, how):
        super().__init__()
        self.heads, self.how = heads, how
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        if how.startswith("module"):
            self.module = nn.MultiheadAttention(width, heads, batch_first=not how.endswith("first"), device="meta")
            self.module.in_proj_weight, self.module.in_proj_bias = self.qkv.weight, self.qkv.bias
            self.module.out_proj = self.out

    def forward(self, x):
        if self.how.startswith("module"):
            return self.by_module(x)
        n, count, width = x.shape
        q, k, v = self.qkv(x).reshape(n, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        return self.out(self.attend(q, k, v).transpose(1, 2).reshape(n, count, width))

    def attend(self, q, k, v):
        if self.how == "fused":
            return F.scaled_dot_product_attention(q, k, v)
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        if self.how == "softmax":
            return F.dropout(scores.softmax(-1), 0.5, training=self.training) @ v
        if self.how == "F.softmax":
            return torch.matmul(F.softmax(scores, dim=-1), v)
        if self.how == "bmm":
            return torch.bmm(torch.softmax(scores, -1).flatten(0, 1), v.flatten(0, 1)).view(v.shape)
        if self.how == "einsum":
            return torch.einsum("b h i j, b h j d -> b h i d", scores.softmax(-1), v)
        if self.how == "turned":  # features before tokens, as in convolutional code
            return (v.transpose(-2, -1) @ scores.softmax(-1).transpose(-2, -1)).transpose(-2, -1)
        return v.__rmatmul__(nn.Softmax(-1)(scores))

    def by_module(self, x):
        if self.how.endswith("first"):
            x = x.transpose(0, 1)
            return self.module(x, x, x, need_weights=False)[0].transpose(0, 1)
        return self.module(x, x, x, need_weights=False)[0]


class Block(nn.Module):
    def __init__(self, width, heads, how, skip=True):
        super().__init__()
        self.norm1, self.attn, self.skip = nn.LayerNorm(width), Attention(width, heads, how), skip
        self.norm2, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x):
        x = (x if self.skip else 0) + self.attn(self.norm1(x))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class ViT(nn.Module):
    """Pictures of 12 x 16 pixels as 3 x 4 patches.

    Args:
        how: one of `WRITINGS`.
        prefix: class and other tokens before the patches, `behind` as many after them.
        reads: which tokens the head looks at: their numbers, or "patches".
        cut: "convolution", "stem" (two convolutions) or "linear" (of rearranged pixels).
    """

    def __init__(self, how="fused", *, prefix=1, behind=0, reads=(0,), cut="convolution", depth=3, skip=True, width=8):
        super().__init__()
        self.prefix, self.behind, self.reads, self.cut = prefix, behind, reads, cut
        if cut == "stem":
            self.patch = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, width, 2, 2))
        else:
            self.patch = nn.Conv2d(3, width, 4, 4) if cut == "convolution" else nn.Linear(48, width)
        self.extra = nn.Parameter(torch.randn(1, prefix + behind, width))
        self.position = nn.Parameter(torch.randn(1, prefix + behind + 12, width))
        self.blocks = nn.Sequential(*(Block(width, 2, how, skip) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CLASSES)

    def tokens(self, x):
        if self.cut == "linear":
            n, _, rows, columns = x.shape
            cut = x.reshape(n, 3, rows // 4, 4, columns // 4, 4).permute(0, 2, 4, 3, 5, 1).reshape(n, -1, 48)
            x = self.patch(cut)
        else:
            x = self.patch(x).flatten(2).transpose(1, 2)
        extra = self.extra.expand(len(x), -1, -1)
        return torch.cat([extra[:, : self.prefix], x, extra[:, self.prefix :]], 1) + self.position

    def answer(self, x):
        x = self.norm(x)
        which = range(self.prefix, self.prefix + 12) if self.reads == "patches" else self.reads
        return torch.stack([self.head(x[:, k]) for k in which]).mean(0)

    def forward(self, x):
        return self.answer(self.blocks(self.tokens(x)))


def build(*args, make=ViT, dtype=torch.float64, **kwargs):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        return make(*args, **kwargs).to(dtype).eval()


def images(n=2, size=(12, 16), dtype=torch.float64):
    return torch.randn(n, 3, *size, generator=torch.Generator().manual_seed(5), dtype=torch.float64).to(dtype)


class Twin:
    """The same network by loops over pictures, heads and queries; keeps every matrix as a leaf of the graph above it.

    Attributes:
        matrices: of each layer, `[head][query, key]` for the picture.
        behind: the tokens behind each layer, `[token, width]`.
    """

    def __init__(self, net, picture):
        self.net, self.matrices, self.behind = net, [], []
        x = net.tokens(picture[None])[0]
        for block in net.blocks:
            x = self._block(block, x)
            self.behind.append(x)
        self.scores = net.answer(x[None])[0]

    def _block(self, block, x):
        attn = block.attn
        y = attn.qkv(block.norm1(x))
        width, size = x.shape[1], x.shape[1] // attn.heads
        heads, parts = [], []
        for h in range(attn.heads):
            q, k, v = (y[:, part * width + h * size : part * width + (h + 1) * size] for part in range(3))
            rows = []
            for i in range(len(x)):
                powers = torch.stack([(q[i] @ k[j] / math.sqrt(size)).exp() for j in range(len(x))])
                rows.append(powers / powers.sum())
            heads.append(torch.stack(rows))
            parts.append(sum(heads[-1][:, j, None] * v[j] for j in range(len(x))))
        self.matrices.append(heads)
        x = (x if block.skip else 0) + attn.out(torch.cat(parts, 1))
        return x + block.down(F.gelu(block.up(block.norm2(x))))

    def gradients(self, score):
        """d score / d matrix for every layer, head by head."""
        flat = [matrix for heads in self.matrices for matrix in heads]
        found = torch.autograd.grad(score, flat, retain_graph=True, allow_unused=True)
        found = [torch.zeros_like(m) if g is None else g for m, g in zip(flat, found, strict=True)]
        count = len(self.matrices[0])
        return [found[k : k + count] for k in range(0, len(found), count)]
