"""File names from untrusted text: safe on every file system, never twice the same."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from pellucid.contracts import Attribution
from pellucid.explanation import Explanation

_BYTES = 60  # three parts and a number stay below the 255 bytes of common file systems
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


def slug(text: str, fallback: str = "unnamed") -> str:
    """Letters, digits, `+`, `-`, `_` and single dots of a text; everything else becomes a hyphen."""
    text = re.sub(r"[^\w.+]+", "-", unicodedata.normalize("NFC", text))
    text = re.sub(r"\.{2,}", ".", text).encode(errors="ignore")[:_BYTES].decode(errors="ignore").strip("-_.")
    if text.partition(".")[0].lower() in _DEVICES:  # Windows opens a device, whatever follows the dot
        text = f"{text}-file"
    return text or fallback


def picture_slug(name: str) -> str:
    """A picture's name as a folder name, without the file's ending."""
    return slug(PurePosixPath(re.sub(r"[/\\]", "-", name)).stem, "picture")


def unique(names: Iterable[str]) -> list[str]:
    """The names with `-2`, `-3`, ... added where one came before, also where only its letters' case differs."""
    seen: set[str] = set()
    result = []
    for name in names:
        candidate, number = name, 2
        while candidate.casefold() in seen:
            candidate, number = f"{name}-{number}", number + 1
        seen.add(candidate.casefold())
        result.append(candidate)
    return result


def keys(explanation: Explanation, index: int) -> list[str]:
    """What each attribution's files of a picture are called: the method's id and, where needed, class and layer."""
    return unique(_key(attribution, explanation, index) for attribution in explanation)


def _key(attribution: Attribution, explanation: Explanation, index: int) -> str:
    alike = [other for other in explanation if other.method.id == attribution.method.id]
    parts = [slug(attribution.method.id, "method")]
    if len({other.target[index] for other in alike}) > 1:
        parts.append(slug(attribution.target[index], "target"))
    if len({other.site for other in alike}) > 1:
        parts.append(slug(str(attribution.site or ""), "model"))
    return ".".join(parts)
