"""`pellucid methods` and `pellucid metrics`: all of them, or all about one."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from pellucid._version import __version__
from pellucid.cli import console
from pellucid.cli.flags import json_flag
from pellucid.cli.options import default_text, described_arguments, flag, value_kind

if TYPE_CHECKING:
    from pellucid.contracts import Method, Metric, RegistryEntry


@click.command()
@click.argument("name", metavar="[ID]", required=False)
@json_flag
def methods(name: str | None, as_json: bool) -> int:
    """List the explanation methods, or tell all about one."""
    from pellucid import registry

    if name is not None:
        _one(registry.find_method(name), as_json)
    elif as_json:
        console.document({"methods": [_record(method) for method in registry.methods().values()]})
    else:
        _list_methods(list(registry.methods().values()))
    return 0


@click.command()
@click.argument("name", metavar="[ID]", required=False)
@json_flag
def metrics(name: str | None, as_json: bool) -> int:
    """List the metrics that judge maps, or tell all about one."""
    from pellucid import registry

    if name is not None:
        _one(registry.find_metric(name), as_json)
    elif as_json:
        console.document({"metrics": [_record(metric) for metric in registry.metrics().values()]})
    else:
        _list_metrics(list(registry.metrics().values()))
    return 0


def _one(entry: Method | Metric, as_json: bool) -> None:
    if as_json:
        console.document(_record(entry))
    else:
        _details(entry)


def _list_methods(found: Sequence[Method]) -> None:
    rows = [(m.id, _summary(m), looks_at(m), _options(m), m.reference.where) for m in found]
    console.table(("id", "what it shows", "looks at", "options", "reference"), rows)
    console.line("More about one: pellucid methods ID. Options are given as in --occlusion.window 16.")


def _list_metrics(found: Sequence[Metric]) -> None:
    rows = [(m.id, _summary(m), m.better, _options(m), m.reference.where) for m in found]
    console.table(("id", "what it measures", "better", "options", "reference"), rows)
    console.line("More about one: pellucid metrics ID. compare takes them with --metric, as in --metric deletion,road.")


def _options(entry: RegistryEntry) -> str:
    return "\n".join(f"{option} {default_text(entry, option)}" for option in entry.options)


def _summary(entry: RegistryEntry) -> str:
    """What it shows, and whose it is if it is not Pellucid's own."""
    from pellucid.plugins import origin_of

    return f"{entry.summary} Of {origin}." if (origin := origin_of(entry)) else entry.summary


def package_of(entry: RegistryEntry) -> str:
    """The package that a record comes from, with its version."""
    from pellucid.plugins import origin_of

    return str(origin_of(entry) or f"pellucid {__version__}")


def looks_at(method: Method) -> str:
    """Where a method takes its evidence from."""
    if "of" in method.options:
        return "as its method 'of'"
    if method.at_attention:
        return "attention"
    if method.fuse:
        return "several layers"
    if not method.at_site:
        return "the input"
    return "a layer and the input" if "image_gradient" in method.needs else "a layer"


def _record(entry: Method | Metric) -> dict[str, Any]:
    return {
        "id": entry.id,
        "title": entry.title,
        "summary": entry.summary,
        **_facts(entry),
        "options": {
            name: {
                "flag": flag(entry, name),
                "kind": value_kind(entry, name),
                "default": default,
                "help": described_arguments(entry).get(name, ""),
            }
            for name, default in entry.options.items()
        },
        "caveat": entry.caveat,
        "reference": str(entry.reference),
        "package": package_of(entry),
    }


def _facts(entry: Method | Metric) -> dict[str, str]:
    """What only methods, or only metrics have."""
    from pellucid.contracts import Method

    return {"looks_at": looks_at(entry)} if isinstance(entry, Method) else {"better": entry.better}


def _details(entry: Method | Metric) -> None:
    console.line(f"{entry.title} ({entry.id})", style="bold")
    console.line(f"\n{inspect.getdoc(entry.function) or ''}\n")
    console.line(f"Caveat: {entry.caveat}")
    console.line(f"Reference: {entry.reference}")
    console.line(f"Package: {package_of(entry)}")
    if entry.options:
        help_of = described_arguments(entry)
        rows = [
            (flag(entry, o), value_kind(entry, o), default_text(entry, o), help_of.get(o, "")) for o in entry.options
        ]
        console.table(("option", "value", "default", "meaning"), rows)
