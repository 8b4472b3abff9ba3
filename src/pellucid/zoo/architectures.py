"""The networks that can be trained here, by the names used on the command line and in checkpoints."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pellucid.errors import BadOption, unknown
from pellucid.seeds import TORCH, seed_below
from pellucid.zoo.alexnet import AlexNet
from pellucid.zoo.inception_v1 import InceptionV1
from pellucid.zoo.lenet5 import LeNet5
from pellucid.zoo.multilayer_perceptron import MultilayerPerceptron
from pellucid.zoo.self_explaining import SelfExplaining
from pellucid.zoo.small_resnet import SmallResNet
from pellucid.zoo.vgg16 import VGG16


@dataclass(frozen=True)
class Architecture:
    """A network of the zoo.

    Attributes:
        make: builds it from options that can stand in a JSON file.
        size: side of its pictures, in pixels.
        channels: of its pictures, as published.
        heads: ways that it can end, the usual one first.
    """

    make: Callable[..., nn.Module]
    size: int
    channels: int = 3
    heads: tuple[str, ...] = ("linear",)

    def takes(self, option: str) -> bool:
        """Whether its class has this option."""
        return option in inspect.signature(self.make).parameters


SELF_EXPLAINING = "self-explaining"


def _self_explaining(main: str, options: Mapping[str, Any], channels: int = 3) -> nn.Module:
    return SelfExplaining(build(main, options), channels)


ARCHITECTURES: Mapping[str, Architecture] = {
    "alexnet": Architecture(AlexNet, 227),
    "inception-v1": Architecture(InceptionV1, 224, heads=("gap",)),
    "lenet5": Architecture(LeNet5, 32, 1, heads=("linear", "gap")),
    "multilayer-perceptron": Architecture(MultilayerPerceptron, 28, 1),
    "small-resnet": Architecture(SmallResNet, 64, heads=("gap",)),
    "vgg16": Architecture(VGG16, 224),
}


_PAIR = Architecture(_self_explaining, 0)


def find_architecture(name: str) -> Architecture:
    """The network called `name`.

    Raises:
        UnknownName: there is none; the message lists all.
    """
    if name not in ARCHITECTURES:
        raise unknown("network of the zoo", name, ARCHITECTURES, f"The zoo has {', '.join(ARCHITECTURES)}.")
    return ARCHITECTURES[name]


def build(name: str, options: Mapping[str, Any] | None = None, *, seed: int | None = None) -> nn.Module:
    """Make a network of the zoo with random weights.

    Args:
        name: of the architecture, or `SELF_EXPLAINING` for one with an explaining network beside it.
        options: of its class; of the pair, `main` and its `options`.
        seed: of the weights, drawn without touching torch's own random state; None draws from that state.

    Raises:
        UnknownName: no such network.
        BadOption: an option that it does not have.
    """
    architecture = _PAIR if name == SELF_EXPLAINING else find_architecture(name)
    options = dict(options or {})
    strange = [option for option in options if not architecture.takes(option)]
    if strange:
        raise BadOption(f"{name} has no option {', '.join(strange)}.")
    make = architecture.make
    if seed is None:
        return make(**options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_below(TORCH, seed))
        return make(**options)
