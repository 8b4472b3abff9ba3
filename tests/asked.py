"""A probe by plain loops, for methods and metrics on inputs of any axes: one forward pass for each variant."""

from contextlib import contextmanager

import torch
from torch import nn

from pellucid.contracts import SamplesDone, VariantScores
from pellucid.masking import regions_of


class Asked:
    """Scores of class `c` of `net` for changes of `image` `[batch, channel, *axes]`."""

    parts = ()

    def __init__(self, net, image, c=0, *, is_tabular=False):
        self.net, self.image, self.c, self.is_tabular = net, image, c, is_tabular

    def variants(self, count, change):
        """(which picture, which variant, its values with a batch axis), the first variant of all pictures first."""
        for number in range(count):
            for sample in range(len(self.image)):
                which = torch.tensor([sample]), torch.tensor([number])
                yield sample, number, change(self.image[sample : sample + 1].clone(), *which)

    def score(self, count, change, *, least=None, step=1, fast=False, shared=False):
        found = torch.zeros(len(self.image), count, dtype=self.image.dtype)
        with torch.no_grad():
            for sample, number, changed in self.variants(count, change):
                found[sample, number] = self.net(changed)[0, self.c]
        return VariantScores(found, None)

    def probability(self, count, change, *, shared=False):
        return VariantScores(self.score(count, change).score.sigmoid(), None)

    def each(self, count, change, function):
        for sample, number, changed in self.variants(count, change):
            asked = changed.detach().requires_grad_()
            score = self.net(asked)[:, self.c]
            (gradient,) = torch.autograd.grad(score.sum(), asked)
            yield torch.tensor([sample]), torch.tensor([number]), function(gradient, score.detach())

    @contextmanager
    def interruptible(self, total, least):
        yield SamplesDone(total)

    def grey(self, level):
        return None

    def regions(self, metric, kind, default=50):
        return regions_of(metric, kind, self.image, self, default)


class Linear(nn.Module):
    """S = sum w I, which w I adds up to."""

    def __init__(self, *shape):
        super().__init__()
        self.weight = torch.randn(shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)

    def forward(self, x):
        return (x * self.weight).flatten(1).sum(1, keepdim=True)


def alike_nets(kernel, size):
    """The same convolutional network for inputs `[n, 2, *size]`, and with an axis more, `[n, 2, 1, *size]`."""
    draw = torch.Generator().manual_seed(5)
    weight = torch.randn(3, 2, *kernel, generator=draw, dtype=torch.float64)
    last = torch.randn(2, 3 * torch.Size(size).numel(), generator=draw, dtype=torch.float64)
    nets = []
    for wanted in (weight, weight[:, :, None]):
        kind = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}[wanted.ndim]
        conv = kind(2, 3, wanted.shape[2:], padding=[side // 2 for side in wanted.shape[2:]], bias=False)
        head = nn.Linear(last.shape[1], 2, bias=False)
        conv.weight.data, head.weight.data = wanted, last
        nets.append(nn.Sequential(conv, nn.ReLU(), nn.Flatten(), head).requires_grad_(False))
    return nets


def sample(*shape, seed=6):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
