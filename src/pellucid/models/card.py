"""The card of a weights file: what its text says of the network, read as a claim and checked against its tensors.

A file may come from anywhere, so its text never chooses code to run and never says how much memory to take: networks
are those of the zoo and of the libraries, without a download, and no number in it is larger than what the file holds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pellucid.contracts import Preprocess
from pellucid.errors import BadModel, BadOption
from pellucid.models.preprocessing import checked

KEY = "pellucid"
"""Where the card stands in the metadata of a safetensors file."""


@dataclass(frozen=True)
class ModelCard:
    """What has to be known to use trained weights; stands as JSON in the file that holds them.

    Attributes:
        architecture: a name of the zoo.
        options: of its class.
        classes: names in the order of the output; empty for curves.
        preprocess: way pictures become its input; None when it takes none.
        facts: what else is worth keeping: data, seed, accuracy.
    """

    architecture: str
    options: Mapping[str, Any]
    classes: tuple[str, ...] = ()
    preprocess: Preprocess | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def read_card(path: Path) -> ModelCard:
    """The card of a file that `save_trained` wrote.

    Raises:
        BadModel: no such file, another kind of file, one without a card or with one that makes no sense.
    """
    if not path.is_file():
        raise BadModel(f"There is no file {str(path)!r}.")
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(KEY)
    except (SafetensorError, OSError) as error:
        raise BadModel(f"{path.name} is not a readable safetensors file: {error}.") from error
    if text is None:
        raise BadModel(
            f"{path.name} holds weights, but does not say of which network. Name the network, and give the file as "
            "weights: --model torchvision:resnet50 --weights FILE."
        )
    try:
        return _parsed(json.loads(text))
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise BadModel(
            f"What {path.name} says of its network makes no sense: {str(error) or type(error).__name__}. Name the "
            "network, and give the file as weights: --model zoo:lenet5 --weights FILE."
        ) from error


def outlines(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name, without values: on the device that holds none.

    Raises:
        BadModel: it is no such file.
    """
    try:
        with safe_open(path, "pt") as file:
            return {
                name: torch.empty(file.get_slice(name).get_shape(), device="meta")
                for name in file.keys()  # noqa: SIM118
            }
    except (SafetensorError, OSError) as error:
        raise BadModel(f"{path.name} is not a readable safetensors file: {error}.") from error


_HARMLESS = 100
"""Layers and lists up to this length cost nothing, whatever the file holds."""


def check_numbers(value: Any, held: Mapping[str, Tensor]) -> None:
    """Refuse a card in which something is larger than the file's tensors are long, or than there are of them.

    Raises:
        BadOption: there is such a number, or such a list.
    """
    most = max([_HARMLESS, len(held), *(side for tensor in held.values() for side in tensor.shape)])
    _check_below(value, most)


def _check_below(value: Any, most: int) -> None:
    if isinstance(value, Mapping | list | tuple):
        if len(value) > most:
            raise BadOption(f"it lists {len(value)} values, more than the file has tensors.")
        for each in value.values() if isinstance(value, Mapping) else value:
            _check_below(each, most)
    elif isinstance(value, int | float) and not -1 <= value <= most:
        raise BadOption(f"it says {value}, and no tensor of the file has so many rows.")


def _parsed(content: Any) -> ModelCard:
    """A card from its JSON.

    Raises:
        ValueError, TypeError: it has another shape.
    """
    if not isinstance(content, Mapping):
        raise TypeError(f"expected an object, got {type(content).__name__}")
    architecture, options, classes, facts = (
        _entry(content, name, kind)
        for name, kind in (("architecture", str), ("options", Mapping), ("classes", list), ("facts", Mapping))
    )
    if not all(isinstance(name, str) for name in classes):
        raise TypeError("classes are names")
    preprocess = content.get("preprocess")
    return ModelCard(
        architecture, options, tuple(classes), None if preprocess is None else _preprocess(preprocess), facts
    )


def _entry(content: Mapping[str, Any], name: str, kind: type) -> Any:
    if not isinstance(content.get(name), kind):
        raise TypeError(f"{name} is {content.get(name)!r:.60}")
    return content[name]


def _preprocess(given: Any) -> Preprocess:
    names = [each.name for each in fields(Preprocess) if each.name != "transform"]  # no text of a file is a function
    if not isinstance(given, Mapping) or set(given) - set(names):
        raise TypeError(f"preprocess is {given!r:.60}")
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    for name, kinds in (("size", tuple | None), ("resize", int | None), ("interpolation", str), ("mean", tuple),
                        ("std", tuple)):  # fmt: skip
        value = values.get(name)
        if name in values and (isinstance(value, bool) or not isinstance(value, kinds)):
            raise TypeError(f"the {name} of its preprocessing is {value!r:.60}")
        if isinstance(value, tuple) and not all(type(n) in (int, float) for n in value):
            raise TypeError(f"the {name} of its preprocessing is {value!r:.60}")
    return checked(Preprocess(**values))
