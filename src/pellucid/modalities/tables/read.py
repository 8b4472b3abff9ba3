"""Rows of tables from files: columns of text, Parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid.contracts import TABLE, Sample
from pellucid.errors import BadOption, BadSample, PellucidError, unknown
from pellucid.extras import library
from pellucid.modalities.columns import read_columns
from pellucid.modalities.modality import SampleRef
from pellucid.wording import counted

SUFFIXES = (".csv", ".tsv", ".parquet")
"""Endings of its files."""
MOST = 32
"""Rows of a file that are explained where none is named."""

Columns = tuple[tuple[str, ...], NDArray[np.float64]]
"""Names, () where a file has none, and numbers `[row, column]`."""


def parts(source: str | Path, options: Mapping[str, Any]) -> Sequence[SampleRef]:
    """The rows of a file, or of the files of a folder. One that cannot be read is one part, for `read` to say so.

    Raises:
        BadOption: no row is named, and there are more than are explained unasked.
    """
    path = Path(source)
    if path.is_dir():
        inside = sorted(each for each in path.iterdir() if each.name.lower().endswith(SUFFIXES))
        return [part for each in inside for part in parts(each, options)] or [_part(path, None, options)]
    if "row" in options:
        return [_part(path, options["row"], options)]
    try:
        count = len(_columns(path)[1])
    except (PellucidError, OSError):
        return [_part(path, 0, options)]
    if count > MOST:
        raise BadOption(
            f"{path.name!r} has {count:,} rows, more than the {MOST} that are explained at once. Say which: --row 17, "
            "in Python row=17, counted from 0."
        )
    return [_part(path, row, options) for row in range(count)]


def _part(path: Path, row: int | None, options: Mapping[str, Any]) -> SampleRef:
    name = path.name if row is None else f"{path.stem} row {row}"
    return SampleRef(name, str(path), "table", {**options, "row": row})


def read(part: SampleRef) -> Sample:
    """A row of a file, or a tensor `[feature]`, with the means of the columns over the other rows.

    Raises:
        BadSample: a cell is no finite number.
        BadOption: there is no such row.
        UnknownName: there is no such column.
    """
    if isinstance(part.source, Tensor):
        return _of_tensor(part, part.source)
    path = Path(part.source)
    if path.is_dir():
        raise IsADirectoryError(part.source)
    titles, numbers = _chosen(path.name, *_columns(path), part.options.get("columns"))
    row, count = part.options["row"], len(numbers)
    if not 0 <= row < count:
        raise BadOption(f"{path.name!r} has {count:,} rows, 0 to {count - 1:,}; got row {row}.")
    _check(path.name, row, titles, numbers)
    known = {"file": path.name, "row": row, "columns": titles or tuple(str(k) for k in range(numbers.shape[1]))}
    if part.options.get("columns"):
        known["columns"] = tuple(part.options["columns"].split(","))
    others = np.delete(numbers, row, axis=0)
    return _sample(part.name, torch.from_numpy(numbers[row].copy()), known, torch.from_numpy(others), "file")


def _sample(name: str, cells: Tensor, known: Mapping[str, Any], others: Tensor, where: str) -> Sample:
    """A row with its columns' means over the other rows as what an absent column is."""
    fill = others.mean(0)[None] if len(others) else None
    said = f"a hidden column has its mean over the {counted(len(others), 'other row')} of the {where}, unless said"
    return Sample(name, "table", cells[None], TABLE, (), known, fill, () if fill is None else (said,))


def _of_tensor(part: SampleRef, cells: Tensor) -> Sample:
    """A row of a tensor; the other rows of the call stand beside it."""
    if cells.ndim != 1:
        raise BadSample(f"Expected a table [batch, feature], got rows of {list(cells.shape)}.")
    names = part.options.get("columns")
    columns = tuple(names.split(",")) if names else tuple(str(k) for k in range(len(cells)))
    if len(columns) != len(cells):
        raise BadOption(f"Expected the names of {counted(len(cells), 'column')}, got {len(columns)}.")
    others = [each for each in part.beside if each is not part.source]
    beside = torch.stack(others) if others else cells.new_empty((0, len(cells)))
    return _sample(part.name, cells, {"columns": columns}, beside, "tensor")


def _check(name: str, row: int, titles: tuple[str, ...], numbers: NDArray[np.float64]) -> None:
    """All rows must be finite: the row for itself, the others for their means."""
    wrong = np.argwhere(~np.isfinite(numbers))
    if len(wrong):
        at, column = wrong[0].tolist()
        place = f"{name!r}, row {at}, column {repr(titles[column]) if titles else column}"
        why = "" if at == row else " Columns are filled with means over the other rows, so all of them count."
        raise BadSample(f"{place} holds {numbers[at, column]}, no finite number.{why} Mend it or leave the row out.")


def _chosen(name: str, titles: tuple[str, ...], numbers: NDArray[np.float64], wanted: str | None) -> Columns:
    """The columns that were asked for, by name, or by number where they have none."""
    if not wanted:
        return titles, numbers
    known = titles or tuple(str(k) for k in range(numbers.shape[1]))
    asked = [each.strip() for each in wanted.split(",")]
    for each in asked:
        if each not in known:
            raise unknown("column", each, known, f"{name!r} has {', '.join(known[:12])}.")
    picked = [known.index(each) for each in asked]
    return tuple(known[k] for k in picked), numbers[:, picked]


def _columns(path: Path) -> Columns:
    """All columns of a file; kept, since every row of it asks."""
    stat = path.stat()
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=2)
def _read(path: Path, _changed: int, _size: int) -> Columns:
    return _parquet(path) if path.name.lower().endswith(".parquet") else read_columns(path)


def _parquet(path: Path) -> Columns:
    """A Parquet file; columns of anything but numbers are refused by name."""
    purpose = "Parquet files are read by pyarrow"
    parquet, types = library("pyarrow.parquet", purpose, "parquet"), library("pyarrow.types", purpose, "parquet")
    found = parquet.read_table(path)
    for column in found.schema:
        if not (types.is_integer(column.type) or types.is_floating(column.type) or types.is_boolean(column.type)):
            raise BadSample(
                f"{path.name!r}, column {column.name!r} holds {column.type}, no numbers. Turn categories into numbers "
                "as the network was trained."
            )
    columns = [found.column(k).to_numpy().astype(np.float64) for k in range(found.num_columns)]
    return tuple(found.column_names), np.stack(columns, 1) if columns else np.empty((found.num_rows, 0))
