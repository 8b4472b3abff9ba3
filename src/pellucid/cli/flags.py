"""Flags that several commands share, and the model that they describe."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pellucid.cli import process
from pellucid.errors import BadOption
from pellucid.paths import usable_path

if TYPE_CHECKING:
    from pellucid.contracts import Model

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
_NUMBER = r"[0-9]{1,9}"


@dataclass(frozen=True)
class Invocation:
    """One call of the program.

    Attributes:
        arguments: what stood behind `pellucid`.
        keeps_memory: True if the C library keeps freed memory in this process.
    """

    arguments: list[str]
    keeps_memory: bool

    @property
    def command(self) -> str:
        """The call as a line for the shell."""
        import shlex

        return shlex.join(["pellucid", *self.arguments])


def together(*flags: Callable[[Any], Any]) -> Callable[[Decorated], Decorated]:
    """Several flags as one decorator; the help lists them in this order."""

    def add(function: Decorated) -> Decorated:
        for flag in reversed(flags):
            function = flag(function)
        return function

    return add


json_flag = click.option("--json", "as_json", is_flag=True, help="Write one JSON document to standard output.")

run_flags = together(
    click.option("--out", default="pellucid-out", show_default=True, metavar="DIR", help="Folder for the results."),
    click.option("--seed", type=int, default=0, show_default=True, help="Of all random draws."),
    click.option("--chunk", type=click.IntRange(min=1), help="Samples at once. [default: what memory allows]"),
)
"""Where the results of a run go, and how it is done."""

spec_flag = click.option(
    "--model", "spec", metavar="SPEC", help="The model; `pellucid models` says how. [default: efficientnet-lite0]"
)

model_flags = together(
    click.option("--weights", metavar="FILE", help="A .safetensors or .pth file with the model's weights."),
    click.option("--part", metavar="PATH", help="The part of its output that holds the scores: logits, 1, heads.age."),
    click.option(
        "--answers",
        metavar="KIND",
        help="What one number of the output is: classes, multi-label, binary or regression.",
    ),
    click.option(
        "--above", metavar="P[,P]", help="Probability above which labels are explained by default. [default: 0.5]"
    ),
    click.option("--classes", metavar="FILE", help="A text file with one class name per line."),
    click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, mps or auto."),
    click.option("--size", metavar="N|RxC", help="Rows and columns of the model's input, in pixels."),
    click.option("--resize", metavar="N|none", help="Shorter side before the central crop; none squeezes."),
    click.option("--interpolation", metavar="NAME", help="bicubic, bilinear, lanczos or nearest."),
    click.option("--mean", metavar="R,G,B", help="Per channel, for values between 0 and 1; one number: grey."),
    click.option("--std", metavar="R,G,B", help="Likewise."),
    click.option("--max-pixels", type=click.IntRange(1, 2**31), help="Largest picture read. [default: 100000000]"),
)
"""How a model is loaded and fed."""

unit_flag = click.option(
    "--unit", metavar="TEXT", help="Of a quantity that the model gives (regression), such as years."
)
"""Of commands that show what a model says; to `look` a unit is a part of a layer."""


def load_model(spec: str | None, flags: dict[str, Any], *, sized: bool = True) -> Model:
    """Load the model that was asked for, and check that it can be fed.

    Args:
        spec: as on the command line; None is the network that comes with Pellucid.
        flags: those of `model_flags`; others may be among them.
        sized: True if the size of its input must be known.

    Raises:
        BadOption: a flag's value cannot be, or the size of the model's input is known to no one.
    """
    import torch

    from pellucid.models import embedded, load
    from pellucid.pictures.decode import allow_pixels

    process.settled()
    allow_pixels(flags.get("max_pixels"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # what a factory draws is the same at every call, so that work goes on and numbers agree
        model = load(
            spec or embedded.NAME,
            weights=None if flags["weights"] is None else usable_path(flags["weights"], "--weights"),
            output=flags["part"],
            answers=flags["answers"],
            unit=flags.get("unit"),
            above=_numbers("--above", flags["above"]),
            classes=None if flags["classes"] is None else usable_path(flags["classes"], "--classes"),
            device=flags["device"],
            size=_size(flags["size"]),
            resize=_resize(flags["resize"]),
            interpolation=flags["interpolation"],
            mean=_numbers("--mean", flags["mean"]),
            std=_numbers("--std", flags["std"]),
        )
    if sized:
        check_sized(model)
    return model


def check_sized(model: Model) -> None:
    """Whether the model can be fed with pictures.

    Raises:
        BadOption: the size of its input is known to no one.
    """
    if model.preprocess is None:
        raise BadOption(
            f"Nothing says how large the input of {model.name} is. Add --size 224 or what it was trained with, and "
            "--mean and --std if it expects normalised pictures."
        )


def split_ids(texts: Iterable[str]) -> list[str]:
    """The ids in texts such as `a,b`, one text for each time that the flag was given."""
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]


def results_folder(text: str) -> Path:
    """The folder that --out names.

    Raises:
        BadOption: it is a file, or a name that no folder can have.
    """
    out = usable_path(text, "--out")
    if out.exists() and not out.is_dir():
        raise BadOption(f"{str(out)!r} is a file. Name a folder for the results with --out.")
    return out


def png_file(text: str, flag: str = "--out") -> Path:
    """The file that --out or another flag names.

    Raises:
        BadOption: it does not end in .png, there is a folder of this name, or no file can have it.
    """
    out = usable_path(text, flag)
    if out.is_dir():
        raise BadOption(f"{str(out)!r} is a folder. Name a file that ends in .png with {flag}.")
    if out.suffix.lower() != ".png":
        raise BadOption(f"Expected a file that ends in .png for {flag}, got {str(out)!r}.")
    return out


def _size(text: str | None) -> int | tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(rf"({_NUMBER})(?:[x,]({_NUMBER}))?", text.strip().lower())
    if match is None:
        raise BadOption(f"Expected pixels such as 224, or rows and columns such as 224x192, for --size, got {text!r}.")
    return (int(match[1]), int(match[2])) if match[2] else int(match[1])


def _resize(text: str | None) -> Any:
    if text is None or text.strip().lower() in ("none", "auto"):
        return "auto" if text is None or text.strip().lower() == "auto" else None
    if not re.fullmatch(_NUMBER, text.strip()):
        raise BadOption(f"Expected a number of pixels or none for --resize, got {text!r}.")
    return int(text)


def _numbers(flag: str, text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise BadOption(f"Expected numbers such as 0.485,0.456,0.406 for {flag}, got {text!r}.") from error
