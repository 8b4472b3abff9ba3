"""A tiny model in a Python file, quick pictures, and the command line as a function."""

import textwrap
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from pellucid.cli import main

NETS = """
    import copy
    import warnings

    import torch
    from torch import nn
    from pellucid.models import wrap

    NAMES = ["tabby cat", "tiger cat", "red fox", "grey fox"]

    def _net(act, channels=3):
        parts = {"first": nn.Conv2d(channels, 6, 3, padding=1), "act": act, "pool": nn.MaxPool2d(2),
                 "second": nn.Conv2d(6, 8, 3, padding=1), "late": copy.deepcopy(act), "mean": nn.AdaptiveAvgPool2d(1),
                 "flat": nn.Flatten(), "head": nn.Linear(8, 4)}
        with torch.random.fork_rng():
            torch.manual_seed(4)
            net = nn.Sequential()
            for name, part in parts.items():
                net.add_module(name, part)
            for parameter in net.parameters():
                nn.init.normal_(parameter, std=0.4)
        return net

    def model():
        return wrap(_net(nn.ReLU()), name="tiny", size=16, mean=[0.5] * 3, std=[0.5] * 3, classes=NAMES)

    def gelu():
        return wrap(_net(nn.GELU()), name="tiny-gelu", size=16, classes=NAMES)

    def bare():
        return _net(nn.ReLU())

    def grey():
        return _net(nn.ReLU(), channels=1)

    def noisy():
        warnings.warn("these weights\\nare random")
        return model()

    class _Transformer(nn.Module):
        def __init__(self):
            super().__init__()
            self.patch, self.mix, self.head = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 24), nn.Linear(8, 4)

        def forward(self, x):
            x = self.patch(x).flatten(2).transpose(1, 2)
            x = x + nn.functional.scaled_dot_product_attention(*self.mix(x).chunk(3, -1))
            return self.head(x.mean(1))

    def transformer():
        return wrap(_Transformer(), name="tiny-transformer", size=16, classes=NAMES)

    class _Broken(nn.Module):
        def forward(self, x):
            return x / [][0]

    def broken():
        return wrap(_Broken(), size=16)
"""


class Answer(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working directory with the models and nothing else."""
    monkeypatch.chdir(tmp_path)
    for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "nets.py").write_text(textwrap.dedent(NETS))
    return tmp_path


@pytest.fixture
def run(capsys):
    def call(*arguments):
        code = main([str(argument) for argument in arguments])
        return Answer(code, *capsys.readouterr())

    return call


@pytest.fixture
def explain(run):
    """`pellucid explain ARGUMENTS --model nets.py`, with occlusion windows that fit the tiny model."""

    def call(*arguments, model="nets.py"):
        return run("explain", *arguments, "--model", model)

    return call


@pytest.fixture
def draw(folder):
    """Writes a small photograph-like picture and returns its path."""

    def make(name="photo.png", size=(24, 20), seed=0, **options):
        pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, **options)
        return path

    return make
