"""A picture as a game, by plain loops: one forward pass for each coalition."""

from itertools import combinations
from math import factorial

import numpy as np
import torch

from pellucid.capture.running import Draws


def grid(rows, columns, down, across):
    """The label map of a grid, pixel by pixel."""
    labels = np.zeros((rows, columns), dtype=int)
    for y, x in np.ndindex(rows, columns):
        labels[y, x] = (y * down // rows) * across + x * across // columns
    return labels


class Payoff:
    """The score of class `c` for `image` `[channel, row, column]` when only some regions are shown."""

    def __init__(self, net, image, labels, c, fill=0.0, read=lambda scores: scores):
        self.net, self.image, self.labels, self.c, self.fill, self.read = net, image, labels, c, fill, read
        self.players, self.known = int(labels.max()) + 1, {}

    def __call__(self, shown):
        shown = frozenset(int(player) for player in shown)
        if shown not in self.known:
            picture = self.image.clone()
            for y, x in np.ndindex(self.labels.shape):
                if self.labels[y, x] not in shown:
                    picture[:, y, x] = self.fill
            with torch.no_grad():
                self.known[shown] = float(self.read(self.net(picture[None]))[0, self.c])
        return self.known[shown]

    @property
    def nobody(self):
        return self(())

    @property
    def everybody(self):
        return self(range(self.players))


def shapley(payoff):
    """Shapley values by the definition: every coalition of the others, with its weight."""
    n = payoff.players
    values = np.zeros(n)
    for player in range(n):
        others = [p for p in range(n) if p != player]
        for size in range(n):
            weight = factorial(size) * factorial(n - 1 - size) / factorial(n)
            for coalition in combinations(others, size):
                values[player] += weight * (payoff((*coalition, player)) - payoff(coalition))
    return values


def painted(labels, values):
    """A map in which each pixel has its region's value."""
    out = np.zeros(labels.shape)
    for y, x in np.ndindex(labels.shape):
        out[y, x] = values[labels[y, x]]
    return out


def uniform(seed, number, count):
    """The draws that are called `number`."""
    return Draws(seed).uniform(torch.tensor([number]), torch.empty(1, count, dtype=torch.float64))[0].numpy()
