"""Noisy linear imputation's linear part: missing pixels as weighted means of their neighbours."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid.contracts import Maps

_SIDE, _CORNER = 1 / 6, 1 / 12
_NEIGHBOURS = tuple(
    (down, across, _SIDE if 0 in (down, across) else _CORNER)
    for down in (-1, 0, 1)
    for across in (-1, 0, 1)
    if (down, across) != (0, 0)
)


def imputed(pictures: Maps, missing: Tensor) -> Maps:
    """Pictures whose missing pixels are the weighted means of their neighbours, missing ones among them.

    Neighbours outside the picture count for nothing and the weights of the others are scaled up. One sparse system for
    each row, factorised once and solved for all its channels; a picture of which nothing is left becomes 0.

    Args:
        pictures: `[n, channel, row, column]`.
        missing: bool `[n, row, column]`.
    """
    numbers = pictures.detach().cpu().double().numpy()
    holes = missing.cpu().numpy()
    solved = np.stack([_solve(picture, hole) for picture, hole in zip(numbers, holes, strict=True)])
    return torch.from_numpy(solved).to(pictures)


def _solve(picture: NDArray[np.float64], hole: NDArray[np.bool_]) -> NDArray[np.float64]:
    """One picture `[channel, row, column]`."""
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import splu

    count = int(hole.sum())
    if count == hole.size:
        return np.zeros_like(picture)
    if count == 0:
        return picture
    rows, columns = np.nonzero(hole)
    number = np.full(hole.shape, -1)
    number[rows, columns] = np.arange(count)
    weights, known = np.zeros(count), np.zeros((count, len(picture)))
    entries: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
    for down, across, weight in _NEIGHBOURS:
        r, c = rows + down, columns + across
        there = np.flatnonzero((r >= 0) & (r < hole.shape[0]) & (c >= 0) & (c < hole.shape[1]))
        r, c = r[there], c[there]
        weights[there] += weight
        unknown = hole[r, c]
        entries.append((there[unknown], number[r[unknown], c[unknown]], np.full(int(unknown.sum()), -weight)))
        seen = there[~unknown]
        known[seen] += weight * picture[:, r[~unknown], c[~unknown]].T
    entries.append((np.arange(count), np.arange(count), weights))
    i, j, value = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    system = csc_array((value, (i, j)), shape=(count, count))
    # symmetric with a dominant diagonal: no pivoting, and an ordering for symmetric matrices
    factors = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    filled = picture.copy()
    filled[:, rows, columns] = factors.solve(known).T
    return filled
