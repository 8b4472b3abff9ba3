"""Groups of channels that are active at the same places, by non-negative matrix factorisation."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from pellucid.errors import BadOption


def channel_groups(maps: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Groups of channels of a layer, and where each is active: A ~ sum_k place_k direction_k.

    Negative values are factorised as channels of their own, so that nothing of the layer is dropped. Same maps, same
    groups: the start is Boutsidis and Gallopoulos' (2008), without random numbers that change.

    Args:
        maps: of one picture, `[channel, row, column]`.
        count: of groups.

    Returns:
        Where, `[group, row, column]`, not negative, strongest group first; and the directions `[group, channel]`, of
        length 1.

    Raises:
        BadOption: more groups than places or channels, or a layer that gives nothing but zeros.
    """
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    channels, rows, columns = maps.shape
    if not 1 <= count <= min(channels, rows * columns):
        raise BadOption(f"Expected 1 to {min(channels, rows * columns)} groups for {list(maps.shape)}, got {count}.")
    flat = maps.detach().cpu().double().flatten(1).T
    signed = torch.cat([flat.clamp(min=0), (-flat).clamp(min=0)], 1)
    if not bool(signed.any()):
        raise BadOption("The layer gives nothing but zeros for this picture, so there are no groups.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last digits of the groups do not matter
        model = NMF(count, init="nndsvda", random_state=0, max_iter=500)
        places = torch.from_numpy(model.fit_transform(signed.numpy()))
    parts = torch.from_numpy(model.components_)
    directions = parts[:, :channels] - parts[:, channels:]
    lengths = directions.norm(dim=1)
    strength = places.mean(0) * lengths
    order = strength.argsort(descending=True)
    where = (places * lengths).T.reshape(count, rows, columns)
    return where[order].float(), (directions / lengths.clamp(min=1e-12)[:, None])[order].float()
