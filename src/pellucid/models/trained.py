"""Networks of the zoo: made by name with random weights, or as they were trained, from one safetensors file."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from pellucid.errors import BadModel, PellucidError
from pellucid.models.camified import Camified
from pellucid.models.weights import load_weights
from pellucid.types import Classes, Model, Preprocess
from pellucid.zoo.architectures import build, find_architecture

KEY = "pellucid"
"""Where the card stands in the metadata of a safetensors file."""
TRAINED = ".safetensors"
CAMIFIED = "camified"
"""Stands for an architecture in the card of a network with a new head; its options say which network."""


@dataclass(frozen=True)
class Card:
    """What has to be known to use trained weights; stands as JSON in the file that holds them.

    Attributes:
        architecture: a name of the zoo.
        options: of its class.
        classes: names in the order of the output; empty for curves.
        preprocess: how pictures become its input; None when it takes none.
        facts: what else is worth keeping: data, seed, accuracy.
    """

    architecture: str
    options: Mapping[str, Any]
    classes: tuple[str, ...] = ()
    preprocess: Preprocess | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def save_trained(module: nn.Module, path: Path, card: Card) -> None:
    """Write weights and card to one file, complete or not at all."""
    part = path.with_name(f".{path.name}.part")
    tensors = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    save_file(tensors, part, metadata={KEY: json.dumps(asdict(card))})
    part.replace(path)


def read_card(path: Path) -> Card:
    """The card of a file that `save_trained` wrote.

    Raises:
        BadModel: no such file, another kind of file, or one without a card.
    """
    if not path.is_file():
        raise BadModel(f"There is no file {str(path)!r}.")
    try:
        with safe_open(path, "pt") as file:
            content = json.loads((file.metadata() or {})[KEY])
        preprocess = content["preprocess"] and {
            name: tuple(value) if isinstance(value, list) else value for name, value in content["preprocess"].items()
        }
        return Card(
            content["architecture"],
            content["options"],
            tuple(content["classes"]),
            Preprocess(**preprocess) if preprocess else None,
            content["facts"],
        )
    except (SafetensorError, OSError) as error:
        raise BadModel(f"{path.name} is not a readable safetensors file: {error}.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise BadModel(
            f"{path.name} holds weights, but does not say of which network. Name the network, and give the file as "
            "weights: --model torchvision:resnet50 --weights FILE."
        ) from error


def from_trained(path: Path) -> Model:
    """A network that was trained here, ready to be explained.

    Raises:
        BadModel: the file cannot be used.
    """
    card = read_card(path)
    try:
        module = _build(card)
    except (PellucidError, TypeError, KeyError) as error:
        raise BadModel(f"{path.name} holds weights of a network that cannot be made: {error}") from error
    return Model(
        load_weights(module, path).eval(),
        name=path.stem,
        preprocess=card.preprocess,
        classes=Classes(card.classes) if card.classes else None,
    )


def _build(card: Card) -> nn.Module:
    if card.architecture != CAMIFIED:
        return build(card.architecture, card.options, seed=0)
    base, path, maps, classes = (card.options[name] for name in ("base", "path", "maps", "classes"))
    if "source" in base:
        from pellucid.models.load import load

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # random weights: the file brings its own
            trunk = load(base["source"]).module
    else:
        trunk = _build(Card(base["architecture"], base["options"]))
    return Camified(trunk, path, maps, classes)


def from_zoo(rest: str, weights: Path | None) -> Model:
    """`lenet5`, with random weights or those of a file; pictures as its paper has them."""
    architecture = find_architecture(rest)
    module = build(rest, seed=None)
    if weights:
        load_weights(module, weights)
    else:
        warnings.warn(
            f"zoo:{rest} has random weights, so its explanations mean nothing. Train it: pellucid train {rest}.",
            UserWarning,
            stacklevel=3,
        )
    return Model(
        module.eval(),
        name=rest,
        preprocess=Preprocess((architecture.size,) * 2, None, "bilinear", *[(0.5,) * architecture.channels] * 2),
    )
