"""A network of two colours, and what the commands that keep their work make of it."""

import numpy as np
import torch
from torch import nn

import pellucid


class Bright(nn.Module):
    """Two units, the brightest red and the brightest blue of cells."""

    def __init__(self):
        super().__init__()
        self.cells = nn.Conv2d(3, 2, 4, 4, bias=False)
        with torch.no_grad():
            self.cells.weight.zero_()
            self.cells.weight[0, 0], self.cells.weight[1, 2] = 1 / 16, 1 / 16

    def forward(self, x):
        return self.cells(x).mean((2, 3))


class Fuse:
    """Counts passes through `Bright` and stops one; outside of the network, whose attributes are part of its key."""

    def __init__(self):
        self.light()

    def light(self, at=None, error=KeyboardInterrupt):
        self.passes, self.at, self.error = 0, at, error

    def __call__(self, module, _):
        if isinstance(module, Bright):
            self.passes += 1
            if self.passes == self.at:
                raise self.error


def network(**changes):
    given = {"size": 8, "resize": None, "interpolation": "nearest", "classes": ["dog", "cat"], **changes}
    return pellucid.wrap(Bright(), **given)


def top(photos, out, model=None, **options):
    return pellucid.top_pictures(model or network(), photos, "cells", most=3, folder=out, **options)


def compare(fuse, photos, out, model=None, target="dog", **options):
    """Scores by name of the picture, and how many passes they took."""
    fuse.light()
    found = pellucid.compare(
        model or network(), photos, "saliency", "deletion", target, folder=out, sanity=False,
        options={"deletion": {"steps": 2}, **options.pop("options", {})}, **options,
    )  # fmt: skip
    return {p.name: next(iter(p.evaluation)).values.tolist() for p in found.pictures}, fuse.passes


class Parts(Bright):
    """Two outputs of opposite order."""

    def forward(self, x):
        scores = super().forward(x)
        return {"a": scores, "b": scores.flip(1)}


def parts(output):
    return pellucid.wrap(Parts(), size=8, resize=None, classes=["dog", "cat"], output=output)


def full_disk(monkeypatch, call):
    """From now on a call of `pathlib.Path` finds no room."""

    def no_room(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path." + call, no_room)


NET = """
import sys
from torch import nn
from pellucid import wrap

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 3)
        for p in self.parameters():
            nn.init.constant_(p, 0.1)

    def forward(self, x):
        if (x.flatten(1).amax(1) < 0.01).any():
            raise ERROR
        return self.head(self.conv(x).relu().mean((2, 3)))

def model():
    return wrap(Net(), size=8, resize=None, classes=["dog", "cat", "owl"])
"""


def maps(out):
    """All maps under a folder, by file and key."""
    found = {}
    for file in sorted(out.rglob("maps.npz")):
        with np.load(file) as arrays:
            found |= {f"{file.parent.name}/{key}": arrays[key].tolist() for key in arrays.files}
    return found
