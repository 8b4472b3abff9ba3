"""Models of torchvision and timm with the preprocessing that each library states for them.

Both are optional and are imported only when one of their models is asked for.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import sys
import warnings
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from pellucid.contracts import Classes, Model, Preprocess
from pellucid.errors import BadModel, BadOption, MissingExtra, unknown
from pellucid.models.efficientnet_lite import EfficientNetLite0
from pellucid.models.embedded import NAME as EMBEDDED
from pellucid.models.labels import imagenet_classes
from pellucid.models.preprocessing import INTERPOLATIONS
from pellucid.models.weights import SUFFIXES, load_weights
from pellucid.models.wrap import wrap
from pellucid.zoo.architectures import ARCHITECTURES, build

STACK_TO_CALLER = 4
"""Frames from `_warn_untrained` up to whoever called `pellucid.load`."""


def from_torchvision(rest: str, weights: Path | None) -> Model:
    """`resnet50` (random), `resnet50:IMAGENET1K_V2` (torchvision's own weights, which it downloads), or with a file."""
    name, _, pretrained = rest.partition(":")
    if pretrained and weights:
        raise BadOption(
            f"Both torchvision's {pretrained!r} and the weights file {weights.name!r} were given. Keep one."
        )
    models = _library("torchvision.models")
    if name not in models.list_models():
        raise unknown("torchvision model", name, models.list_models())
    kinds = models.get_model_weights(name)
    chosen = _entry(kinds, pretrained, name) if pretrained else None
    stated = chosen or getattr(kinds, "DEFAULT", None)
    if chosen is None and weights is None:
        _warn_untrained(f"torchvision:{name}", f"Name its weights ({_names(kinds)}), or give a weights file.")
    module = _build_torchvision(models, name, chosen, random=weights is None)
    classes = _torchvision_classes(stated) if stated else None
    if weights:
        made = partial(_build_torchvision, models, name, None, random=False)
        usual = len(classes.names) if classes else None
        fitted = load_weights(module, weights, made=lambda number: made(num_classes=number), classes=usual)
        classes = classes if fitted is module else None
        module = fitted
    return wrap(
        module.eval(),
        name=name,
        preprocess=_torchvision_preprocess(stated) if stated else None,
        classes=classes,
    )


def knows(family: str, name: str) -> bool:
    """Whether torchvision, timm or the zoo has a model of this name; not if it is not installed."""
    if family == "zoo":
        return name in ARCHITECTURES
    try:
        library = _library("torchvision.models" if family == "torchvision" else family)
    except MissingExtra:
        return False
    return name in library.list_models() if family == "torchvision" else bool(library.is_model(name))


def _entry(kinds: Any, wanted: str, name: str) -> Any:
    if wanted not in kinds.__members__:
        raise unknown(f"set of weights of torchvision:{name}", wanted, kinds.__members__, f"It has {_names(kinds)}.")
    return kinds[wanted]


def _names(kinds: Any) -> str:
    return ", ".join(kinds.__members__) or "torchvision has none"


def _build_torchvision(models: ModuleType, name: str, chosen: Any, *, random: bool, **given: int) -> Any:
    options: dict[str, Any] = {"weights": chosen, **given}
    if "weights_backbone" in inspect.signature(models.get_model_builder(name)).parameters:
        options["weights_backbone"] = None  # by default it is downloaded even for a random model
    if name in ("inception_v3", "googlenet") and chosen is None:
        # As torchvision does with its own weights: these two turn ImageNet's normalisation into their own inside.
        options |= {"transform_input": not random, "init_weights": random}
    try:
        # torch announces downloads on standard output, which belongs to the caller's results.
        with contextlib.redirect_stdout(sys.stderr):
            return models.get_model(name, **options)
    except OSError as error:
        raise BadModel(
            f"torchvision could not download {chosen}: {error}. Give the file as weights instead."
        ) from error


def _torchvision_preprocess(stated: Any) -> Preprocess | None:
    """Read torchvision's transforms for classification and segmentation; detectors transform by themselves."""
    config = stated.transforms()
    kind = type(config).__name__
    if kind not in ("ImageClassification", "SemanticSegmentation"):
        return None
    side = _side(config.crop_size) if kind == "ImageClassification" else None
    return Preprocess(
        size=(side, side) if side else None,
        resize=_side(config.resize_size),
        interpolation=_interpolation(config.interpolation.value),
        mean=tuple(config.mean),
        std=tuple(config.std),
    )


def _side(value: Any) -> int:
    return int(value[0] if isinstance(value, list | tuple) else value)


def _torchvision_classes(stated: Any) -> Classes | None:
    names = stated.meta.get("categories") or ()
    if len(names) == 1000:
        return imagenet_classes()
    return Classes(tuple(names)) if names else None


def without_weights(source: Any) -> nn.Module:
    """The network that a file's text names, with random weights: the file brings its own.

    Only names of the libraries, the zoo and the embedded network count; nothing is downloaded, read or run for them.

    Raises:
        BadModel: it is another kind of name, such as a Python file.
    """
    text = source if isinstance(source, str) else repr(source)
    family, _, rest = text.partition(":")
    name, _, trained = rest.partition(":")
    if family == "torchvision":
        models = _library("torchvision.models")
        if name not in models.list_models():
            raise unknown("torchvision model", name, models.list_models())
        made: nn.Module = _build_torchvision(models, name, None, random=not trained)
        return made
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that its weights are random
        if family == "timm":
            return from_timm(name, None).module
    if family == "zoo":
        return build(name, seed=0)
    if text.removeprefix("embedded:").partition(":")[0] == EMBEDDED:  # files of older versions have the word in front
        return EfficientNetLite0()
    raise BadModel(
        f"its network is made by {text[:200]!r}, and a file's text does not choose what is run here. If you trust it, "
        "name that yourself, and give the file as weights: --model FILE.py:FACTORY --weights FILE."
    )


def from_timm(rest: str, weights: Path | None) -> Model:
    """`convnext_tiny`, also with the tag of a training (`resnet50.a1_in1k`), which decides the preprocessing."""
    name = rest
    timm = _library("timm")
    if ":" in name:
        raise BadModel(
            f"Expected a weights file ({', '.join(SUFFIXES)}) after timm:{name.partition(':')[0]}:, "
            f"got {name.partition(':')[2]!r}. Pellucid downloads nothing for timm models."
        )
    if not timm.is_model(name):
        raise unknown("timm model", name, timm.list_models())
    if weights is None:
        _warn_untrained(f"timm:{name}", "Give a weights file; Pellucid downloads none for timm models.")
    try:
        module = timm.create_model(name, pretrained=False)
    except (RuntimeError, ValueError) as error:
        raise BadModel(f"timm cannot make {name!r}: {error}.") from error
    if weights:
        made = partial(timm.create_model, name, pretrained=False)
        usual = getattr(module, "num_classes", None)
        module = load_weights(module, weights, made=lambda number: made(num_classes=number), classes=usual)
    classes = imagenet_classes() if getattr(module, "num_classes", 0) == 1000 else None
    return Model(module.eval(), name=name, preprocess=_timm_preprocess(timm, module), classes=classes)


def _timm_preprocess(timm: ModuleType, module: Any) -> Preprocess:
    config = timm.data.resolve_data_config({}, model=module)
    _, rows, columns = config["input_size"]
    crops = config["crop_mode"] == "center"
    return Preprocess(
        size=(rows, columns),
        resize=int(min(rows, columns) / config["crop_pct"]) if crops else None,
        interpolation=_interpolation(config["interpolation"]),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )


def _interpolation(name: str) -> str:
    return name if name in INTERPOLATIONS else "bicubic"


def _library(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision that was built for another torch
        top = name.partition(".")[0]
        raise MissingExtra(
            f'{top} models need {top}, which cannot be imported ({error}). Install it: pip install "pellucid[models]".'
        ) from error


def _warn_untrained(spec: str, advice: str) -> None:
    warnings.warn(
        f"{spec} has random weights, so its explanations mean nothing. {advice}", UserWarning, STACK_TO_CALLER
    )
