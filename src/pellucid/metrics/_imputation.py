"""Noisy linear imputation's linear part: missing pixels as weighted means of their neighbours."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid.contracts import Maps


def imputed(pictures: Maps, missing: Tensor) -> Maps:
    """Pictures whose missing pixels are the weighted means of their neighbours, missing ones among them.

    Neighbours outside the picture count for nothing and the weights of the others are scaled up. One sparse system for
    each row, factorised once and solved for all its channels; a picture of which nothing is left becomes 0.

    Args:
        pictures: `[n, channel, *axes]`.
        missing: bool `[n, *axes]`.
    """
    numbers = pictures.detach().cpu().double().numpy()
    holes = missing.cpu().numpy()
    solved = np.stack([_solve(picture, hole) for picture, hole in zip(numbers, holes, strict=True)])
    return torch.from_numpy(solved).to(pictures)


def _solve(picture: NDArray[np.float64], hole: NDArray[np.bool_]) -> NDArray[np.float64]:
    """One picture `[channel, *axes]`."""
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import splu

    count = int(hole.sum())
    if count == hole.size:
        return np.zeros_like(picture)
    if count == 0:
        return picture
    at = np.stack(np.nonzero(hole))
    number = np.full(hole.shape, -1)
    number[tuple(at)] = np.arange(count)
    weights, known = np.zeros(count), np.zeros((count, len(picture)))
    entries: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
    ends = np.array(hole.shape)[:, None]
    for step, weight in _neighbours(hole.ndim):
        near = at + np.array(step)[:, None]
        there = np.flatnonzero(((near >= 0) & (near < ends)).all(0))
        near = near[:, there]
        weights[there] += weight
        unknown = hole[tuple(near)]
        missing, found = near[:, unknown], near[:, ~unknown]
        entries.append((there[unknown], number[tuple(missing)], np.full(int(unknown.sum()), -weight)))
        known[there[~unknown]] += weight * picture[(slice(None), *found)].T
    entries.append((np.arange(count), np.arange(count), weights))
    i, j, value = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    system = csc_array((value, (i, j)), shape=(count, count))
    # symmetric with a dominant diagonal: no pivoting, and an ordering for symmetric matrices
    factors = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    filled = picture.copy()
    filled[(slice(None), *at)] = factors.solve(known).T
    return filled


def _neighbours(axes: int) -> list[tuple[tuple[int, ...], float]]:
    """Steps to the neighbours and their weights: half as much for each further axis that is stepped along, 1 in all."""
    steps = [step for step in product((-1, 0, 1), repeat=axes) if any(step)]
    parts = [2.0 ** (1 - sum(map(abs, step))) for step in steps]
    return [(step, part / sum(parts)) for step, part in zip(steps, parts, strict=True)]
