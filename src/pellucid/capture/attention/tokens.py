"""Following tokens through a network by signals, so that their order and their places need not be assumed.

A random signal is sent back from the tokens of one tensor to another one below, once as it is and once with each
token's part multiplied by its number. What arrives at a place is its token's number times what arrived the first time,
exactly if that token alone is fed from there. Convolutions, pooling, mixing over tokens or channels give no whole
number.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from pellucid.capture.operators import behind, plain_name
from pellucid.capture.running import gradients
from pellucid.numerics import full_precision


def fed(tokens: Tensor, edge: GradientEdge, shape: str, batch: int) -> Tensor | None:
    """For each place of the tensor below, which token it feeds; None if some place feeds none, or not one alone.

    Args:
        tokens: `[..., token, feature]`, the axes before begin with the batch; part of the graph above `edge`.
        edge: of the tensor below.
        shape: of that tensor: `...tf` for `[..., token, feature]`, `...ft`, or `bf...` with any axes of places.
        batch: how many pictures.

    Returns:
        `[batch, place]`: number of the picture times tokens plus number of the token.
    """
    *lead, count, _ = tokens.shape
    others = tokens[..., 0, 0].numel() // batch
    if not lead or others * batch != tokens[..., 0, 0].numel() or others == 0:
        return None
    # half precision tells fewer numbers apart, so there they are spelt with several digits
    base, tolerance = (2**12, 0.02) if torch.finfo(tokens.dtype).eps < 1e-5 else (2**4, 0.2)
    numbers = torch.arange(batch * count, device=tokens.device).view(batch, 1, count, 1)
    numbers = numbers.expand(batch, others, count, 1).reshape(*lead, count, 1)
    generator = torch.Generator("cpu").manual_seed(0)
    seed = torch.randn(tokens.shape, generator=generator, dtype=torch.float32, device="cpu").to(tokens)
    plain = _arrived(tokens, edge, seed, shape, batch)
    if plain is None or not bool((plain != 0).any(-1).all()):
        return None
    power = plain.square().sum(-1)
    found, digit = torch.zeros(power.shape, dtype=torch.long, device=power.device), 1
    while digit < batch * count:
        signal = _arrived(tokens, edge, seed * (1 + numbers // digit % base), shape, batch)
        if signal is None:
            return None
        ratio = (signal * plain).sum(-1) / power
        rest = (signal - ratio[..., None] * plain).square().sum(-1)
        whole = ratio.round()
        if bool((rest > (tolerance * ratio).square() * power).any()) or bool(((ratio - whole).abs() > 0.25).any()):
            return None
        found += (whole.long() - 1) * digit
        digit *= base
    return found.cpu()


def _arrived(tokens: Tensor, edge: GradientEdge, seed: Tensor, shape: str, batch: int) -> Tensor | None:
    """What a signal at the tokens sends to the tensor below, `[batch, place, feature]`; None if nothing."""
    signal = gradients(tokens, [edge], seed, retain_graph=True, allow_unused=True)[0]
    return None if signal is None else by_place(signal, shape, batch)


def by_place(tensor: Tensor, shape: str, batch: int) -> Tensor | None:
    """A tensor of one of the shapes that `fed` knows as `[batch, place, feature]`; None if it has another."""
    if shape == "bf...":
        return full_precision(tensor.flatten(2).transpose(1, 2)) if tensor.ndim > 2 else None
    if shape == "...ft":
        tensor = tensor.transpose(-1, -2)
    count = tensor[..., 0, 0].numel()
    if tensor.ndim < 3 or count % batch:
        return None
    split = tensor.reshape(batch, count // batch, *tensor.shape[-2:])
    return full_precision(split.transpose(1, 2).flatten(2))


def grid_of_labels(labels: Tensor) -> Tensor | None:
    """The equal boxes of one label each that make up `[*axes]`, as a grid of these labels; None if none do.

    Cells of a convolution are boxes of one cell; patches of the picture itself are boxes of pixels.
    """
    grid, first = labels, torch.ones(1, dtype=torch.bool)
    for axis in range(labels.ndim):
        line = labels.movedim(axis, 0).reshape(labels.shape[axis], -1)[:, 0]
        grid = grid.index_select(axis, torch.cat([first, line[1:] != line[:-1]]).nonzero()[:, 0])
    whole = grid
    for axis, length in enumerate(labels.shape):
        whole = whole.repeat_interleave(length // grid.shape[axis], axis)
    if not torch.equal(whole, labels):
        return None
    return grid if len(set(grid.flatten().tolist())) == grid.numel() > 1 else None


def is_convolution(node: object) -> bool:
    """Whether a node of the graph is a convolution."""
    operator = behind(plain_name(node))
    return operator is not None and operator.kind == "convolution"
