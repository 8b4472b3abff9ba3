"""`pellucid methods`: all methods, or all about one."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import click

from pellucid.cli import show
from pellucid.cli.flags import json_flag
from pellucid.cli.options import default_text, described_arguments, flag, value_kind

if TYPE_CHECKING:
    from pellucid.contracts import Method


@click.command()
@click.argument("name", metavar="[ID]", required=False)
@json_flag
def methods(name: str | None, as_json: bool) -> int:
    """List the explanation methods, or tell all about one."""
    from pellucid import registry

    if name is None:
        _list(list(registry.methods().values()), as_json)
    elif as_json:
        show.document(_record(registry.find_method(name)))
    else:
        _details(registry.find_method(name))
    return 0


def _list(found: list[Method], as_json: bool) -> None:
    if as_json:
        show.document({"methods": [_record(method) for method in found]})
        return
    rows = [
        (m.id, m.summary, looks_at(m), "\n".join(f"{o} {default_text(m, o)}" for o in m.options), m.reference.where)
        for m in found
    ]
    show.table(("id", "what it shows", "looks at", "options", "reference"), rows)
    show.line("More about one: pellucid methods ID. Options are given as in --occlusion.window 16.")


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


def _record(method: Method) -> dict[str, Any]:
    return {
        "id": method.id,
        "title": method.title,
        "summary": method.summary,
        "looks_at": looks_at(method),
        "options": {
            name: {
                "flag": flag(method, name),
                "kind": value_kind(method, name),
                "default": default,
                "help": described_arguments(method).get(name, ""),
            }
            for name, default in method.options.items()
        },
        "caveat": method.caveat,
        "reference": str(method.reference),
    }


def _details(method: Method) -> None:
    show.line(f"{method.title} ({method.id})", style="bold")
    show.line(f"\n{inspect.getdoc(method.function) or ''}\n")
    show.line(f"Caveat: {method.caveat}")
    show.line(f"Reference: {method.reference}")
    if method.options:
        help_of = described_arguments(method)
        rows = [
            (flag(method, o), value_kind(method, o), default_text(method, o), help_of.get(o, ""))
            for o in method.options
        ]
        show.table(("option", "value", "default", "meaning"), rows)
