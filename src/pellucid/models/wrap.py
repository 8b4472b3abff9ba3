"""Any `nn.Module` as a `Model`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from pellucid.capture.running import manner_of
from pellucid.contracts import Canvas, Classes, Model, Preprocess, Site
from pellucid.errors import BadModel, BadOption
from pellucid.models.config import told_by_config
from pellucid.models.labels import read_classes
from pellucid.models.preprocessing import Auto, preprocess_with
from pellucid.models.recognisers import recognised
from pellucid.pictures.transforms import measured
from pellucid.targets import Part, checked_above, checked_answers, checked_unit
from pellucid.zoo.self_explaining import mask_of


def wrap(  # noqa: PLR0913 - whatever is known of a network may be said
    module: nn.Module | Model,
    *,
    name: str | None = None,
    preprocess: Preprocess | Callable[..., Any] | None = None,
    size: int | tuple[int, int] | None = None,
    resize: int | Auto | None = "auto",
    interpolation: str | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    classes: Classes | Sequence[str] | str | Path | None = None,
    site: Site | str | None = None,
    output: Callable[[Any], Any] | str | int | None = None,
    call: Callable[..., Any] | None = None,
    canvas: Callable[[tuple[int, ...]], Canvas] | None = None,
    answers: str | None = None,
    unit: str | None = None,
    above: float | Sequence[float] | None = None,
) -> Model:
    """Make a `Model` of a module, which stays as it is: its mode, gradients and hooks are not touched.

    torchvision's detectors are recognised: their targets are boxes and classes, before suppression. Installed packages
    may recognise others, see docs/plugins.md; what is given here comes first.
    A module from `torch.compile` is replaced by the one it was made from. A `Model` comes back as it is, or as a
    copy with what else is given put in its place.

    Args:
        module: any network; it may be in training mode and is explained as if in evaluation mode.
        name: text for people; default: the name of its class.
        preprocess: way pictures become its input: a `Preprocess`, or a function of a PIL image that returns the input
            for it (torchvision's `Compose`, an image processor of Hugging Face, your own), alone or as a batch of one.
            What a function does is measured: its size and scale now, on test pictures, and for each picture which part
            of it is seen. Where that is no upright rectangle, maps are shown over the model's own input, with a note.
            Or give the values one by one, at least `size`:
        size: rows and columns of the input in pixels, or one number for both. Without it, tensors only.
        resize: shorter side before the central crop, in pixels; None squeezes; "auto" is 8/7 of a square size.
        interpolation: bicubic (default), bilinear, lanczos or nearest.
        mean: mean per channel, for values between 0 and 1; one number is grey. Not given: no normalisation, RGB.
        std: standard deviation per channel.
        classes: names in the order of the output, or a text file with one per line.
        site: the layer to look at by default, as text or `Site`; otherwise one pass finds it.
        output: picks the scores out of what the module returns: a function, or the path of the part: a key, attribute
            or position, several joined by dots, as in `logits`, `1` or `heads.age`.
        call: way the module is run, when that is not `module(pictures)`: a function of the module, the pictures
            `[batch, channel, row, column]` and what else `explain` was given as `inputs`. It must run no other network.
        canvas: plane (a `pellucid.Canvas`) that layers see of a picture of so many rows and columns, for networks that
            resize and pad pictures themselves. Without it maps are stretched over the whole picture.
        answers: what one number of the output is: `classes` (of which one is right: a softmax makes probabilities of
            them), `multi-label` (each label has a sigmoid of its own), `binary` (one number, a sigmoid), `regression`
            (a quantity). Outputs that already are probabilities are noticed. Nothing said: what the module's own config
            says (`problem_type`); without that several columns are taken for classes, and one number has no
            probability. Of one number, two `classes` name both sides: `["no", "yes"]`.
        unit: text behind a quantity, such as "years"; with it, nothing else said, the output counts as `regression`.
        above: probability above which a label of a multi-label network is explained when no target is named; 0.5, or
            one for each label.

    Raises:
        BadModel: not a module, or an unusable file of class names.
        BadOption: a value that cannot be.
    """
    model = module if isinstance(module, Model) else _bare(module)
    base = model.preprocess if preprocess is None else _preprocess(preprocess)
    prepared = preprocess_with(base, size, resize, interpolation, mean, std)
    given = {
        "name": name,
        "preprocess": prepared if prepared != model.preprocess else None,
        "classes": None if classes is None else read_classes(classes),
        "site": None if site is None else Site.parse(site),
        "output": _output(output),
        "call": _function(call, "a function of the module and the pictures as call"),
        "answers": checked_answers(answers) or None,
        "unit": checked_unit(unit, answers),
        "above": checked_above(above),
        "canvas": _function(canvas, "a function of a picture's rows and columns as canvas"),
    }
    changes: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
    if call is not None:
        changes["mask"] = None  # it would be drawn of other pictures than those that this function gives the network
    if unit and not answers:
        changes["answers"] = "regression"
    said = {name: words for name, words in model.by_config.items() if name not in changes}
    if said != model.by_config:
        changes["by_config"] = said
    return replace(model, **changes) if changes else model


def _preprocess(given: Any) -> Preprocess:
    if isinstance(given, Preprocess):
        return given
    if not callable(given):
        raise BadOption(
            f"Expected a pellucid.Preprocess, or a function of a PIL image, as preprocess, got {given!r:.80}. Single "
            "values are given by name: size=224, mean=..., std=...."
        )
    return measured(given)


def _output(given: Any) -> Callable[[Any], Any] | None:
    if isinstance(given, str | int) and not isinstance(given, bool):
        return Part(given)
    if given is not None and not callable(given):
        raise BadOption(f"Expected a function or the path of a part as output, got {given!r}.")
    return given  # type: ignore[no-any-return]


def _function(given: Any, expected: str) -> Callable[..., Any] | None:
    if given is not None and not callable(given):
        raise BadOption(f"Expected {expected}, got {given!r}.")
    return given  # type: ignore[no-any-return]


def _bare(module: object) -> Model:
    if isinstance(module, type) and issubclass(module, nn.Module):
        raise BadModel(
            f"Expected a torch.nn.Module, got the class {module.__name__}. Make one: {module.__name__}(...)."
        )
    if not isinstance(module, nn.Module):
        raise BadModel(
            f"Expected a torch.nn.Module, got a {type(module).__name__}. "
            'A model named by a text is loaded with pellucid.load("...").'
        )
    plain = _uncompiled(module)
    bare, manner = (
        Model(plain, name=type(plain).__name__, mask=mask_of(plain), **told_by_config(plain)),
        manner_of(plain),
    )
    if manner is None:
        return recognised(plain, lambda told: wrap(bare, **told)) or bare
    own = Preprocess(None, None, "bilinear", (0.0,) * 3, (1.0,) * 3)  # it resizes and normalises by itself
    return replace(bare, preprocess=own, call=manner.call, canvas=manner.canvas, site=manner.site)


def _uncompiled(module: nn.Module) -> nn.Module:
    """The module inside a `torch.compile`d one; without importing the compiler, which takes seconds."""
    compiler = sys.modules.get("torch._dynamo.eval_frame")
    if compiler is not None and isinstance(module, compiler.OptimizedModule):
        original: nn.Module = module._orig_mod
        return original
    return module
