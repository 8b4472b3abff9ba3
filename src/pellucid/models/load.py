"""Models by name: `load("torchvision:resnet50:DEFAULT")`."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from pellucid.contracts import Classes, Model, Preprocess, Site
from pellucid.errors import BadModel, BadOption, UnknownName, unknown
from pellucid.models import embedded as _embedded
from pellucid.models.efficientnet_lite import WEIGHTS_PACKAGE
from pellucid.models.factory import DEFAULT_FACTORY, FILE_SPEC, from_file, from_package, from_python
from pellucid.models.libraries import from_timm, from_torchvision, knows
from pellucid.models.preprocessing import Auto
from pellucid.models.recognisers import family as family_of
from pellucid.models.recognisers import recognisers
from pellucid.models.trained import TRAINED, from_trained, from_zoo, holds_head, with_head
from pellucid.models.weights import SUFFIXES
from pellucid.models.wrap import wrap
from pellucid.paths import usable_path
from pellucid.plugins import origin_of


def _from_trained(path: Path, weights: Path | None) -> Model:
    if weights is not None:
        raise BadOption(f"{path.name} holds weights already, so {weights.name} has no place. Keep one.")
    return from_trained(path)


def _from_embedded(rest: str, weights: Path | None) -> Model:
    if rest != _embedded.NAME:
        raise unknown("model", rest, [_embedded.NAME], HOW_TO_NAME)
    return _embedded.embedded(weights)


def _from_code(made: Callable[[str, Path | None], Model], rest: str, weights: Path | None) -> Model:
    """What the caller's own code makes, with a file's weights, and with the head that `pellucid camify` gave it."""
    if weights is None or not holds_head(weights):
        return made(rest, weights)
    return with_head(made(rest, None), weights)


FAMILIES: dict[str, Callable[[str, Path | None], Model]] = {
    "embedded": _from_embedded,
    "torchvision": from_torchvision,
    "timm": from_timm,
    "python": from_python,
    "zoo": from_zoo,
}
HOW_TO_NAME = (
    f"Expected {_embedded.NAME}, torchvision:NAME, timm:NAME, zoo:NAME, a .safetensors file from pellucid train, "
    "python:package.module:factory or path/to/file.py:factory."
)


def load(  # noqa: PLR0913 - as `wrap`
    spec: str | Path = _embedded.NAME,
    *,
    weights: str | Path | None = None,
    classes: Classes | Sequence[str] | str | Path | None = None,
    preprocess: Preprocess | Callable[..., Any] | None = None,
    size: int | tuple[int, int] | None = None,
    resize: int | Auto | None = "auto",
    interpolation: str | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    site: Site | str | None = None,
    output: Callable[[Any], Any] | str | int | None = None,
    answers: str | None = None,
    unit: str | None = None,
    above: float | Sequence[float] | None = None,
    device: str | torch.device = "cpu",
) -> Model:
    """Load a model by name, ready to be explained: in evaluation mode, with preprocessing and class names.

    Args:
        spec: `efficientnet-lite0[:FILE]` (comes with Pellucid), `torchvision:NAME[:WEIGHTS]`, `timm:NAME[:FILE]`,
            `zoo:NAME[:FILE]`, a `.safetensors` file that `pellucid train` wrote, `python:package.module:factory` or
            `path/to/file.py:factory`, or `ID:NAME` of an installed package, see docs/plugins.md. WEIGHTS is one of
            torchvision's names (`DEFAULT`, `IMAGENET1K_V2`; torchvision downloads them) or a file. A factory is a
            function without arguments that returns a module; without a name it is called `model`.
        weights: a `.safetensors` or `.pth` file with a state dict; read without running code.
        classes: names in the order of the output, or a text file with one per line (`n02123045 tabby` is fine too).
        preprocess: replaces the model's own, also by a function; see `wrap`. Or replace single values:
        size: rows and columns of the input in pixels, or one number for both.
        resize: shorter side before the central crop, in pixels; None squeezes; "auto" keeps the model's own ratio.
        interpolation: bicubic, bilinear, lanczos or nearest.
        mean: mean per channel, for values between 0 and 1; one number is grey.
        std: standard deviation per channel.
        site: the layer to look at by default, as text or `Site`.
        output: picks the scores out of what the module returns; see `wrap`.
        answers: what one number of the output is: classes, multi-label, binary or regression; see `wrap`.
        unit: text behind a quantity, such as "years"; see `wrap`.
        above: probability above which a label is explained when no target is named; see `wrap`.
        device: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto` for the fastest that is there.

    Raises:
        UnknownName: no such model; the message offers near names.
        BadModel: it cannot be made, or the weights cannot be read or do not fit.
        BadOption: a value that cannot be.
        MissingExtra: torchvision or timm is needed and not installed.

    Warns:
        UserWarning: a library's model without weights is random.
    """
    if not isinstance(spec, str | Path):
        raise BadModel(f"Expected a model's name as text, got a {type(spec).__name__}. Use pellucid.wrap for a module.")
    if "\0" in str(spec):
        raise unknown("model", str(spec).replace("\0", "\\0"), [_embedded.NAME], HOW_TO_NAME)
    where = pick_device(device)
    file = None if weights is None else usable_path(weights, "weights")
    if str(spec).endswith(TRAINED) and not _is_family(str(spec).partition(":")[0]):
        family, rest = "", str(spec)
        model = _from_trained(Path(spec).expanduser(), file)
    else:
        family, rest, file = _split(str(spec), file)
        model = _maker(family, rest)(rest, file)
    model = wrap(
        model,
        preprocess=preprocess,
        size=size,
        resize=resize,
        interpolation=interpolation,
        mean=mean,
        std=std,
        classes=classes,
        site=site,
        output=output,
        answers=answers,
        unit=unit,
        above=above,
    )
    model.module.to(where)
    return replace(model, source=model.source or _source(family, rest, file))


def _maker(family: str, rest: str) -> Callable[[str, Path | None], Model]:
    """Who makes a model of this family; called by `load` itself, since warnings name the line that called that."""
    if not family or family == "python":
        return partial(_from_code, from_python if family else from_file)
    if family in FAMILIES:
        return FAMILIES[family]
    recogniser = family_of(family)
    if recogniser is None:
        raise _unknown_model(f"{family}:{rest}")
    return partial(_from_code, partial(from_package, recogniser))


def _is_family(name: str) -> bool:
    return name in FAMILIES or family_of(name) is not None


def _split(spec: str, weights: Path | None) -> tuple[str, str, Path | None]:
    """Take a spec apart into family ("" for a Python file), the family's own text, and a weights file."""
    spec = f"embedded:{spec}" if spec.partition(":")[0] == _embedded.NAME else spec
    family, _, rest = spec.partition(":")
    known = _is_family(family)
    if FILE_SPEC.fullmatch(spec) and not known:
        return "", spec, weights
    if not known or not rest:
        raise _unknown_model(spec)
    name, _, last = rest.partition(":")
    if family == "python" or Path(last).suffix.lower() not in SUFFIXES:
        return family, rest, weights
    if weights is not None:
        raise BadOption(f"Two weights files were given: {last!r} in the model's name and {str(weights)!r}. Keep one.")
    return family, name, Path(last).expanduser()


def _unknown_model(spec: str) -> UnknownName:
    """What to say of a text that names no model, with what was probably meant."""
    if Path(spec).suffix.lower() in SUFFIXES:
        return UnknownName(
            f"{spec!r} is a file of weights, which does not say of which network. Name the network, and give the file "
            f"beside it: --model torchvision:resnet50 --weights {spec}, or --model FILE.py:FACTORY --weights {spec}."
        )
    homes = [f"{family}:{spec}" for family in ("torchvision", "timm", "zoo") if knows(family, spec.partition(":")[0])]
    if homes:
        return UnknownName(f"There is no model {spec!r}. Did you mean {' or '.join(homes)}? {HOW_TO_NAME}")
    packages = "".join(f" Installed packages add {each}:NAME." for each in recognisers())
    return unknown("model", spec, [_embedded.NAME], HOW_TO_NAME + packages)


def _source(family: str, rest: str, weights: Path | None) -> str:
    spec = f"{family}:{rest}" if family else rest
    return f"{spec}:{weights}" if weights and family not in ("", "embedded", "python") else spec


_COUNTS: Mapping[str, Callable[[], int]] = {
    "cpu": lambda: 1,
    "cuda": torch.cuda.device_count,
    "mps": torch.mps.device_count,
    "xpu": torch.xpu.device_count,
}
"""How many devices of each type there are; types that compute nothing here, such as meta, have none."""


def pick_device(name: str | torch.device = "auto") -> torch.device:
    """The device by name; `auto` takes CUDA, then MPS, then the CPU.

    Raises:
        BadOption: no such device here.
    """
    if name == "auto":
        found = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(found)
    try:
        device = torch.device(name)
    except (RuntimeError, ValueError, TypeError) as error:
        raise BadOption(f"Expected a device such as cpu, cuda, cuda:1, mps or auto; got {name!r}.") from error
    count = _COUNTS.get(device.type, lambda: 0)()
    if (device.index or 0) >= count:
        raise BadOption(
            f"Device {str(device)!r} is not there: torch sees {count} of type {device.type}. Use cpu or auto."
        )
    return device


class Available(NamedTuple):
    """A way to name a model: how it is written, what it is, whether what it needs is installed."""

    spec: str
    what: str
    installed: bool


def available() -> list[Available]:
    """What `load` understands. Imports no library of models, so it is quick; what other packages add comes last."""
    return [
        Available(
            _embedded.NAME, "EfficientNet-Lite0, ImageNet, 1000 classes; comes with Pellucid", _has(WEIGHTS_PACKAGE)
        ),
        Available(
            "torchvision:NAME[:WEIGHTS]", "a torchvision model, as in torchvision:resnet50:DEFAULT", _has("torchvision")
        ),
        Available(
            "timm:NAME[:FILE]", "a timm model with a weights file, as in timm:convnext_tiny:w.safetensors", _has("timm")
        ),
        Available("zoo:NAME[:FILE]", "a network of the textbooks, as in zoo:lenet5", True),
        Available("FILE.safetensors", "a network that `pellucid train` trained", True),
        Available("python:PACKAGE.MODULE:FACTORY", "what a function of yours returns", True),
        Available(
            "PATH/FILE.py:FACTORY", f"the same from a file; the function is called {DEFAULT_FACTORY!r} by default", True
        ),
        *(
            Available(f"{each.id}:NAME", f"{each.title}; of the package {origin_of(each)}", True)
            for each in recognisers().values()
            if each.load
        ),
    ]


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
