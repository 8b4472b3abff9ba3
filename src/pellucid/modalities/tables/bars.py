"""The columns of a row in the order of what speaks for and against, with what stands in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pellucid.contracts import Sample

MOST = 30
"""Bars that are drawn; the columns with the smallest evidence are summed up in one more."""


@dataclass(frozen=True)
class EvidenceBar:
    """A column's evidence.

    Attributes:
        name: of the column; untrusted text.
        cell: what stands in it; "" of several columns.
        value: the evidence; of several columns their sum.
    """

    name: str
    cell: str
    value: float


def bars(sample: Sample, values: NDArray[np.float64]) -> list[EvidenceBar]:
    """Those of all columns, the largest evidence first; values that are not finite come first of all."""
    cells = sample.tensor[0].tolist()
    names = sample.geometry["columns"]
    size = np.where(np.isfinite(values), np.abs(values), np.inf)
    order = np.argsort(-size, kind="stable").tolist()
    found = [EvidenceBar(names[k], f"{cells[k]:.6g}", float(values[k])) for k in order]
    if len(found) <= MOST + 1:
        return found
    rest = found[MOST:]
    return [*found[:MOST], EvidenceBar(f"{len(rest)} other columns together", "", sum(each.value for each in rest))]
