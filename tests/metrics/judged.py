"""What the tests of metrics share: networks whose answers are known by hand, and naive ways to ask."""

import torch
from torch import nn

import pellucid
import tiny
from pellucid.capture.running import Draws


def build():
    return tiny.build(tiny.Plain).requires_grad_(False)


def maps(count=3, seed=1, size=(16, 16)):
    """Random maps with some ties."""
    drawn = torch.randn(count, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return drawn.round(decimals=1)


def judge(net, image, metric, given, target=None, **options):
    """The score of each given map."""
    explained = pellucid.explain(net, image, "saliency", target=target)
    found = pellucid.evaluate(explained, metric, {metric: options}, maps=given)
    return {name: found[name, metric] for name in given}


def order(values):
    """Pixels of one map `[row, column]`, the largest value first, ties in reading order."""
    flat = values.flatten().tolist()
    return [divmod(i, values.shape[1]) for i in sorted(range(len(flat)), key=lambda i: (-flat[i], i))]


def replaced(picture, by, pixels):
    """A picture `[channel, row, column]` with pixels of another."""
    seen = picture.clone()
    for row, column in pixels:
        seen[:, row, column] = by[:, row, column]
    return seen


def random_pixels(number, size, count, seed=0):
    """The same subset as number `number` of the draws: those with the `size` smallest draws."""
    drawn = Draws(seed).uniform(torch.tensor([number]), torch.empty(1, count, dtype=torch.float64))[0].tolist()
    return sorted(range(count), key=lambda i: drawn[i])[:size]


class Weighted(nn.Module):
    """S_c = sum w_c I: linear, so that w_c I adds up to the score."""

    def __init__(self, classes=2, shape=(3, 16, 16)):
        super().__init__()
        weights = torch.randn(classes, *shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
        self.weights = nn.Parameter(weights)

    def forward(self, x):
        return (x[:, None] * self.weights).sum((2, 3, 4))

    def contributions(self, image, target):
        return (image * self.weights[target]).sum(1).detach()
