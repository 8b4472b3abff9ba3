"""Small networks to dream with, and photographs of noise."""

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import pellucid


class Small(nn.Module):
    """conv, functional relu, conv, in-place relu, mean, linear."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.fc = nn.Linear(8, 4)
        self.runs = 0

    def forward(self, x):
        self.runs += 1
        return self.fc(self.act(self.conv2(F.relu(self.conv1(x)))).mean((2, 3)))


def small(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Small()
    return pellucid.wrap(
        net, size=16, resize=None, mean=(0.5,) * 3, std=(0.25,) * 3, classes=["ant", "bee", "cat", "dog"]
    )


def noise_photo(folder, rows, columns, seed):
    """A file to start from or to look at."""
    pixels = np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "photo.png")
    return str(folder / "photo.png")
