"""Files of columns: numbers with commas between them, names above them. Errors say row and column."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import BadSample

_SEPARATORS = ",;\t"
_MISSING = ("", "na", "n/a", "null", "none")


def read_columns(path: str | Path) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """The columns of a text file: their names, () without a line of them, and the numbers `[row, column]`.

    A first line in which not every cell is a number is a line of names. Commas, semicolons or tabs stand between cells,
    whichever the first line has most of. Rows are counted from 0, without the line of names.

    Raises:
        BadSample: a cell is no number or is empty, a row has more or fewer cells than the first, or there is no row.
        OSError: it cannot be read.
    """
    name = Path(path).name
    lines = _lines(Path(path))
    if not lines:
        raise BadSample(f"{name!r} is empty: it has no rows.")
    first, width = lines[0][1], len(lines[0][1])
    numbers = [_number(cell) for cell in first]
    titles = () if all(number is not None for number in numbers) else tuple(cell.strip() for cell in first)
    rows = lines[1:] if titles else lines
    if not rows:
        raise BadSample(f"{name!r} has a line of names and no rows below it.")
    return titles, np.array([_row(name, k, line, cells, titles, width) for k, (line, cells) in enumerate(rows)])


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """The lines with cells in them, each with its number in the file, from 1."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadSample(f"{path.name!r} is no text in UTF-8 (byte {error.start}). Save it as CSV in UTF-8.") from error
    head = text.partition("\n")[0]
    separator = max(_SEPARATORS, key=head.count)
    reader = csv.reader(text.splitlines(), delimiter=separator)
    try:
        return [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise BadSample(f"{path.name!r}, line {reader.line_num}: {error}.") from error


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _row(name: str, k: int, line: int, cells: list[str], titles: tuple[str, ...], width: int) -> list[float]:
    """The numbers of one row."""
    if len(cells) != width:
        raise BadSample(f"{name!r}, row {k} (line {line}) has {len(cells)} cells, the first line {width}.")
    try:
        return [float(cell) for cell in cells]
    except ValueError:
        wrong = next(column for column, cell in enumerate(cells) if _number(cell) is None)
        raise BadSample(_said(name, k, line, cells[wrong], titles, wrong)) from None


def _said(name: str, k: int, line: int, cell: str, titles: tuple[str, ...], column: int) -> str:
    """What is wrong with a cell that is no number."""
    where = f"{name!r}, row {k} (line {line}), column {named(titles, column)}"
    if cell.strip().lower() in _MISSING:
        return f"{where} has no value. Fill it in, or leave the row out."
    return f"{where}: expected a number, got {cell!r:.60}. Turn categories into numbers as the network was trained."


def named(titles: tuple[Any, ...], column: int) -> str:
    """A column by its name, or by its number where it has none."""
    return repr(titles[column]) if column < len(titles) and titles[column] else str(column)
