"""Tables as comma-separated values, in which no cell is a formula."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from io import StringIO
from typing import Any

_BEGINNINGS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A spreadsheet computes what begins so; the last four are the wide forms of the first."""


def comma_separated(rows: Iterable[Iterable[Any]]) -> str:
    """Lines of cells; numbers stay numbers, and an apostrophe keeps text from being computed.

    File and class names are written by others, and a spreadsheet would follow the link in `=HYPERLINK(...)`.
    """
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_BEGINNINGS) else value
