"""Flags that say what the files are and what they do not say themselves: `--kind signal`, `--rate 500`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pellucid.cli.options import CommandWithMethods

if TYPE_CHECKING:
    from pellucid.modalities import ReadOption

_SAID = "pellucid.said_of_files"

kind_flag = click.option(
    "--kind", metavar="ID", help="What the files are: picture, signal, table, ... [default: what files and model tell]"
)


class _ReadFlag(click.Option):
    """One option of a kind of input; what is given is collected by `said_of_files`."""

    def __init__(self, option: ReadOption) -> None:
        self.option = option
        super().__init__(
            [f"reading_{option.name}", f"--{option.name.replace('_', '-')}"],
            type=option.type,
            metavar=option.metavar,
            help=option.help,
            callback=self.collect,
            expose_value=False,
        )

    def collect(self, ctx: click.Context, _: click.Parameter, value: Any) -> None:
        """Remember what was given."""
        if value is not None:
            ctx.meta.setdefault(_SAID, {})[self.option.name] = value


class CommandWithKinds(CommandWithMethods):
    """A command that takes files of any kind of input; its help lists the kinds with their options."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own parameters, the methods' and those of kinds of input."""
        return [*super().get_params(ctx), *self._read_flags(ctx)]

    def _read_flags(self, ctx: click.Context) -> list[_ReadFlag]:
        from pellucid.modalities import modalities

        key = "pellucid.read_flags"
        if key not in ctx.meta:
            options = {option.name: option for kind in modalities().values() for option in kind.options}
            ctx.meta[key] = [_ReadFlag(option) for option in options.values()]
        flags: list[_ReadFlag] = ctx.meta[key]
        return flags

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the kinds of input besides pictures, and what may be said of their files."""
        from pellucid.modalities import modalities

        with formatter.section("Kinds of input"):
            kinds = [(f"--kind {each.id}", ", ".join(each.suffixes)) for each in modalities().values()]
            flags = [record for flag in self._read_flags(ctx) if (record := flag.get_help_record(ctx))]
            formatter.write_dl([*kinds, *flags])


def said_of_files(ctx: click.Context) -> dict[str, Any]:
    """What the command line says of the files, by name of the option."""
    found: dict[str, Any] = ctx.meta.get(_SAID, {})
    return found
