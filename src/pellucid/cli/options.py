"""Flags of the methods and of other records, made from their functions' signatures: `--occlusion.window 32`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from pellucid.errors import unknown

if TYPE_CHECKING:
    from pellucid.registry import HasOptions

_GIVEN = "pellucid.method_options"


class MethodFlag(click.Option):
    """One option of one method; what is given is collected by `given_options`."""

    def __init__(self, number: int, method: HasOptions, name: str) -> None:
        self.method, self.option = method, name
        super().__init__(
            [f"method_option_{number}", flag(method, name)],
            metavar=value_kind(method, name),
            help=_help(method, name),
            callback=self.collect,
            expose_value=False,
        )

    def collect(self, ctx: click.Context, _: click.Parameter, text: str | None) -> None:
        """Read the text as the option's own type and remember it."""
        from pellucid.registry import parse_option

        if text is not None:
            value = parse_option(self.method, self.option, text)
            ctx.meta.setdefault(_GIVEN, {}).setdefault(self.method.id, {})[self.option] = value


class CommandWithMethods(click.Command):
    """A command that takes the options of all methods; they are read from the registry when it is called."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own parameters and the methods'."""
        return [*super().get_params(ctx), *self._flags(ctx)]

    def records(self) -> Mapping[str, HasOptions]:
        """What the options belong to, by id."""
        from pellucid.registry import methods

        return methods()

    def _flags(self, ctx: click.Context) -> list[MethodFlag]:
        key = "pellucid.method_flags"
        if key not in ctx.meta:
            pairs = [(record, name) for record in self.records().values() for name in record.options]
            ctx.meta[key] = [MethodFlag(number, record, name) for number, (record, name) in enumerate(pairs)]
        flags: list[MethodFlag] = ctx.meta[key]
        return flags

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the command's own options, those of metrics, and where those of methods are told."""
        own = [r for p in super().get_params(ctx) if isinstance(p, click.Option) and (r := p.get_help_record(ctx))]
        with formatter.section("Options"):
            formatter.write_dl(own)
        with formatter.section("Options of methods"):
            first = next(iter(self._flags(ctx)))
            formatter.write_text(
                f"Each is given by the method's id, as in {first.opts[0]} VALUE. `pellucid methods ID` tells all of "
                "one, with what it is for and its default."
            )
        groups: dict[str, list[tuple[str, str]]] = {}
        for each in self._flags(ctx):
            if each.method.kind != "method":
                groups.setdefault(each.method.id, []).append(each.get_help_record(ctx) or ("", ""))
        for metric, records in groups.items():
            with formatter.section(f"Options of {metric}"):
                formatter.write_dl(records)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line; an unknown option is answered with near names."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            known = [name for p in self.get_params(ctx) for name in p.opts if name.startswith("--")]
            raise unknown("option", error.option_name, known, f"`{ctx.command_path} --help` lists all.") from error


def given_options(ctx: click.Context) -> dict[str, dict[str, Any]]:
    """What the command line says about methods: option values by method id."""
    found: dict[str, dict[str, Any]] = ctx.meta.get(_GIVEN, {})
    return found


def flag(method: HasOptions, name: str) -> str:
    """How an option is written on the command line."""
    return f"--{method.id}.{name.replace('_', '-')}"


_PYTHON_ONLY = (
    "Tensor",
    "torch.Tensor",
    "Own",
    "collections.abc.Mapping[str, str]",
    "collections.abc.Callable[..., typing.Any]",
)
"""Types that nobody can type on a command line."""


def value_kind(method: HasOptions, name: str) -> str:
    """The type that an option's value has, for people."""
    kind = method.function.__annotations__.get(name, type(method.options[name]))
    text = kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))
    words = {
        "int": "whole number",
        "float": "number",
        "str": "text",
        "bool": "yes|no",
        "tuple[int, int]": "RxC",
        "tuple[int, ...]": "RxC",
        "None": "none",
    }
    parts = [part.strip() for part in text.split("|")]
    return "|".join(words.get(part, part) for part in parts if part not in _PYTHON_ONLY)


def described_arguments(method: HasOptions) -> Mapping[str, str]:
    """What the docstring's `Args:` says about each parameter, in one line each."""
    _, _, rest = (inspect.getdoc(method.function) or "").partition("\nArgs:\n")
    section = re.split(r"\n(?=\S)", rest)[0]
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def _help(method: HasOptions, name: str) -> str:
    text = described_arguments(method).get(name, "")
    return f"{text[:1].upper()}{text[1:]} [default: {default_text(method, name)}]".strip()


def default_text(method: HasOptions, name: str) -> str:
    """An option's default as one would type it."""
    value = method.options[name]
    if value is None:
        return "none"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def normalise(token: str) -> str:
    """Flags may be written with underscores, as the options are in Python."""
    return token.replace("_", "-")
