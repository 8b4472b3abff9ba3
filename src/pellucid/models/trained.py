"""Networks of the zoo: made by name with random weights, or as they were trained, from one safetensors file."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from pellucid.contracts import Classes, Model, Preprocess
from pellucid.errors import BadModel
from pellucid.models.camified import Camified
from pellucid.models.card import KEY, ModelCard, check_numbers, outlines, read_card
from pellucid.models.libraries import without_weights
from pellucid.models.weights import load_weights
from pellucid.storage.atomic import write_bytes
from pellucid.zoo.architectures import build, find_architecture
from pellucid.zoo.self_explaining import mask_of

__all__ = [
    "CAMIFIED",
    "TRAINED",
    "ModelCard",
    "from_trained",
    "from_zoo",
    "holds_head",
    "read_card",
    "save_trained",
    "with_head",
]

TRAINED = ".safetensors"
CAMIFIED = "camified"
"""Stands for an architecture in the card of a network with a new head; its options say which network."""


def save_trained(module: nn.Module, path: Path, card: ModelCard) -> None:
    """Write weights and card to one file, complete or not at all.

    Raises:
        BadOption: it cannot be written.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    record = {**asdict(card), "preprocess": card.preprocess and card.preprocess.known}
    write_bytes(path, save(tensors, {KEY: json.dumps(record)}))


def from_trained(path: Path) -> Model:
    """A network that was trained here, ready to be explained. Nothing in the file is run.

    Raises:
        BadModel: the file cannot be used.
    """
    card = read_card(path)
    with _made_from(path):
        module = _build(card, outlines(path))
    return _finished(module, path, card)


def holds_head(path: Path) -> bool:
    """Whether a weights file holds a network with the head that `pellucid camify` gives."""
    try:
        return path.suffix == TRAINED and read_card(path).architecture == CAMIFIED
    except BadModel:  # plain weights, or none; whoever reads them says so
        return False


def with_head(model: Model, path: Path) -> Model:
    """A network that the caller made, with the head and the weights of a file.

    Raises:
        BadModel: they are not those of this network.
    """
    card = read_card(path)
    with _made_from(path):
        module = _camified(model.module, card, outlines(path))
    made = _finished(module, path, card)
    return replace(made, preprocess=made.preprocess or model.preprocess)


@contextmanager
def _made_from(path: Path) -> Iterator[None]:
    """Whatever goes wrong when a network is made from a file's text is the file's fault."""
    try:
        yield
    except Exception as error:
        reason = str(error) or type(error).__name__
        if isinstance(error, KeyError):
            reason = f"{reason} is neither in its card nor among its tensors"
        raise BadModel(f"{path.name} holds weights of a network that cannot be made: {reason:.500}") from error


def _finished(module: nn.Module, path: Path, card: ModelCard) -> Model:
    return Model(
        load_weights(module, path).eval(),
        mask=mask_of(module),
        name=path.stem,
        preprocess=card.preprocess,
        classes=Classes(card.classes) if card.classes else None,
    )


def _build(card: ModelCard, held: Mapping[str, Tensor], prefix: str = "") -> nn.Module:
    """The network of a card, whose sizes are those of the tensors that the file holds."""
    check_numbers(card.options, held)
    if card.architecture != CAMIFIED:
        with torch.device("meta"):
            wanted = build(card.architecture, card.options, seed=0).state_dict()
        for name, value in wanted.items():
            if prefix + name not in held or held[prefix + name].shape != value.shape:
                raise BadModel(f"{card.architecture} of these options has another {name} than the file.")
        return build(card.architecture, card.options, seed=0)
    base = card.options["base"]
    if "source" in base:
        trunk = without_weights(base["source"])
    else:
        trunk = _build(ModelCard(base["architecture"], base["options"]), held, f"{prefix}trunk.")
    return _camified(trunk, card, held, prefix)


def _camified(trunk: nn.Module, card: ModelCard, held: Mapping[str, Tensor], prefix: str = "") -> nn.Module:
    path, maps, classes = (card.options[name] for name in ("path", "maps", "classes"))
    if tuple(held[f"{prefix}linear.weight"].shape) != (classes, maps):
        raise BadModel(f"the file's head has another size than {classes} x {maps}.")
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
    middle = (0.5,) * architecture.channels
    return Model(
        module.eval(),
        mask=mask_of(module),
        name=rest,
        preprocess=Preprocess((architecture.size,) * 2, None, "bilinear", middle, middle),
    )
