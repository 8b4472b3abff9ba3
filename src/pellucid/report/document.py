"""One HTML file without any request, from a template, the style and scripts in `page_parts/`."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

_PARTS = Path(__file__).with_name("page_parts")


def document(
    template: str,
    *,
    created: str,
    scripts: Sequence[str] = (),
    styles: Sequence[str] = ("page.css",),
    own_script: str = "",
    own_style: str = "",
    **values: Any,
) -> str:
    """A page with the head, style and policy that all pages share.

    Args:
        template: a file in `page_parts/` that extends `base.html`.
        created: when, in ISO 8601, UTC.
        scripts: files in `page_parts/`, put one after the other into one script.
        styles: likewise; the shared style first.
        own_script: what a kind of input brings, put behind them.
        own_style: likewise.
        values: what the template refers to; texts in them are escaped, `Markup` is not.
    """
    read = _read()
    style = "".join(f"\n{read[name]}" for name in styles) + (f"\n{own_style}" if own_style else "")
    script = "".join(f"\n{read[name]}" for name in scripts) + (f"\n{own_script}" if own_script else "")
    return (
        _environment()
        .get_template(template)
        .render(
            style=style,
            script=script,
            policy=_policy(style, script),
            created=created.replace("T", " ").replace("+00:00", " UTC"),
            **values,
        )
    )


def _policy(style: str, script: str) -> str:
    """Content security policy: this style, this script and pictures inside of the page; nothing from elsewhere."""
    hashes = [f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in (style, script)]
    return (
        f"default-src 'none'; img-src data:; style-src {hashes[0]}; script-src {hashes[1]}; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _environment() -> Environment:
    from jinja2 import DictLoader, Environment, StrictUndefined

    return Environment(
        loader=DictLoader(dict(_read())),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _read() -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in _PARTS.iterdir() if path.is_file()}
