"""Relevance rules as plain loops: NumPy, float64, nothing from `pellucid`; and networks for them."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

TINY = 1e-6


def stable(z, size, amount=TINY):
    """A sum moved away from zero by a millionth of the mean size of all sums of its layer."""
    return z + (amount * size if z >= 0 else -amount * size)


def size_of(layer, x):
    """Mean size of all outputs of a dense layer, whose relevance may begin at one of them."""
    with torch.no_grad():
        return float(layer(torch.as_tensor(x)).abs().mean())


def contributions(rule, x, w, b, low=None, high=None, gamma=0.25):
    """For one output with inputs x, weights w, bias b: [(share of the relevance, what each input gives, the sum)]."""
    pos, neg = np.maximum, np.minimum
    z = x * w
    if rule == "epsilon":
        return [(1, z, z.sum() + b)]
    if rule == "z-plus":
        return [(1, pos(z, 0), pos(z, 0).sum() + pos(b, 0))]
    if rule == "alpha-beta":
        up, down = pos(z, 0), neg(z, 0)
        return [(2, up, up.sum() + pos(b, 0)), (-1, down, down.sum() + neg(b, 0))]
    if rule == "gamma":
        favoured = pos if z.sum() + b >= 0 else neg
        z = z + gamma * favoured(z, 0)
        return [(1, z, z.sum() + b + gamma * favoured(b, 0))]
    if rule == "flat":
        return [(1, np.ones_like(x), float(len(x)))]
    if rule == "w-square":
        return [(1, w**2, (w**2).sum())]
    if rule == "z-box":
        z = z - low * pos(w, 0) - high * neg(w, 0)
        return [(1, z, z.sum())]
    raise ValueError(rule)


def hand_down(rule, x, weight, bias, relevance, size=None, **bounds):
    """A dense layer: x `[input]`, weight `[output, input]`, relevance `[output]` -> `[input]`."""
    below, found = np.zeros_like(x), []
    for k, w in enumerate(weight):
        used = w != 0 if rule in ("flat", "w-square", "z-box") else np.ones_like(w, bool)
        cut = {name: bound[used] for name, bound in bounds.items()}
        found.append((used, contributions(rule, x[used], w[used], bias[k], **cut)))
    for k, (used, terms) in enumerate(found):
        for t, (share, parts, total) in enumerate(terms):
            mean = np.abs([other[t][2] for _, other in found]).mean() if size is None else size
            below[used] += share * parts * relevance[k] / stable(total, mean)
    return below


def as_dense(layer, shape):
    """A convolution (or any linear map) as the matrix `[output, input]` and bias of a dense layer."""
    with torch.no_grad():
        zero = layer(torch.zeros(1, *shape, dtype=torch.float64))
        basis = torch.eye(int(np.prod(shape)), dtype=torch.float64).reshape(-1, *shape)
        return (layer(basis) - zero).flatten(1).T.numpy(), zero.flatten().numpy()


def vgg(bias=True, norm=False):
    def block(a, b):
        return [nn.Conv2d(a, b, 3, padding=1, bias=bias), *([nn.BatchNorm2d(b)] if norm else []), nn.ReLU(inplace=True)]

    return seeded(
        lambda: nn.Sequential(
            *block(3, 4), *block(4, 4), nn.MaxPool2d(2), *block(4, 6), nn.AvgPool2d(2), nn.Flatten(),
            nn.Linear(6 * 2 * 2, 10, bias=bias), nn.ReLU(), nn.Dropout(), nn.Linear(10, 5, bias=bias),
        )
    )  # fmt: skip


def seeded(make):
    """Float64, evaluation mode, with batch norms whose statistics and weights are not those of a fresh one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        net = make().double().eval()
        for part in net.modules():
            if isinstance(part, (nn.Conv2d, nn.Linear)):
                part.weight.data.mul_(3)  # so that activations do not fade away
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.2)
                part.running_var.uniform_(0.5, 1.5)
                part.weight.data.uniform_(0.5, 1.5)
                part.bias.data.normal_(0, 0.1)
    return net


class Written(nn.Module):
    """The same small residual network, written in several ways."""

    def __init__(self, how, bias=False):
        super().__init__()
        self.how = how
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, padding=1, bias=bias), nn.Conv2d(4, 4, 3, padding=1, bias=bias)
        self.relu, self.relu_in_place = nn.ReLU(), nn.ReLU(inplace=True)
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(4, 5, bias=bias)

    def forward(self, x):
        if self.how == "modules":
            z = self.relu(self.conv1(x))
            return self.fc(self.pool(self.relu(z + self.conv2(z))).flatten(1))
        if self.how == "in place":
            z = self.relu_in_place(self.conv1(x))
            y = self.conv2(z)
            y += z
            return self.fc(self.pool(self.relu_in_place(y)).flatten(1))
        z = F.conv2d(x, self.conv1.weight, self.conv1.bias, padding=1).clamp(min=0)
        y = torch.add(z, F.conv2d(input=z, weight=self.conv2.weight, bias=self.conv2.bias, padding=1)).relu_()
        y = torch.mean(y, dim=(2, 3)) @ self.fc.weight.T
        return y if self.fc.bias is None else y + self.fc.bias


class Branches(nn.Module):
    """Two branches joined by concatenation, as in Inception, and one convolution used twice."""

    def __init__(self, bias=False):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1, bias=bias)
        self.left, self.right = nn.Conv2d(4, 3, 1, bias=bias), nn.Conv2d(4, 4, 3, padding=1, bias=bias)
        self.fc = nn.Linear(7, 5, bias=bias)

    def forward(self, x):
        z = F.relu(self.stem(x))
        right = F.relu(self.right(F.relu(self.right(z))))
        left = F.max_pool2d(F.relu(self.left(F.avg_pool2d(z, 3, 1, 1))), 3, 1, 1)
        return self.fc(torch.cat([left, right], 1).permute(0, 2, 3, 1).mean((1, 2)))
