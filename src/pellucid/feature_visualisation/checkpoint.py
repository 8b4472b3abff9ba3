"""Climbs on disk: one that was interrupted goes on where it was, to the same pictures as if it had not been."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pellucid.contracts import Model
from pellucid.digests import digest
from pellucid.feature_visualisation.images import Image
from pellucid.feature_visualisation.objectives import Objective
from pellucid.jobs import Store, question
from pellucid.jobs.tensors import packed, unpacked

_SECONDS = 30.0


@dataclass
class Checkpoint:
    """The state of one climb in a folder, written every half minute and when it is interrupted.

    Attributes:
        store: of the dream that the climb is a part of.
        content: digest of what is climbed, so that another climb never goes on from it.
        latest: the state after the last whole step: tensors, and plain values.
    """

    store: Store
    content: str
    latest: tuple[dict[str, Tensor], dict[str, Any]] | None = None
    written: float = field(default_factory=time.monotonic)

    def read(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """What an earlier call has left; None if nothing that can be read."""
        found = unpacked(self.store.read(self.content))
        try:
            return None if found is None else (found["tensors"], found["state"])
        except KeyError:
            return None

    def remember(self, tensors: Mapping[str, Tensor], state: dict[str, Any]) -> None:
        """Take a copy after a whole step; an interrupt in the middle of the next one then does no harm."""
        self.latest = {name: tensor.detach().clone() for name, tensor in tensors.items()}, state
        if time.monotonic() - self.written > _SECONDS:
            self.write()

    def write(self) -> None:
        """Put the latest state on disk. Without room there the climb goes on, which is said once."""
        if self.latest is None:
            return
        tensors, state = self.latest
        given = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
        self.store.write(self.content, packed({"tensors": given, "state": state}))
        self.written = time.monotonic()


class CheckpointFolder:
    """The folder where the climbs of one call are kept.

    Args:
        folder: path of the folder, made where there is none; None keeps nothing.
    """

    def __init__(self, folder: str | Path | None) -> None:
        self.folder = None if folder is None else Path(folder)
        self.stores: list[Store] = []

    def store(self, model: Model, **facts: Any) -> Store | None:
        """Of one dream, named after all that decides what comes of it; see `jobs.question`."""
        if self.folder is None:
            return None
        self.stores.append(Store(self.folder, question("dream 1", model, **facts)))
        return self.stores[-1]

    def forget(self) -> None:
        """Remove what this call has kept or taken up; what is of other dreams stays."""
        for store in self.stores:
            store.forget()


def checkpoint_folder(where: str | Path | CheckpointFolder | None) -> CheckpointFolder:
    """A folder of climbs, by its path or as it is."""
    return where if isinstance(where, CheckpointFolder) else CheckpointFolder(where)


def kept_in(store: Store | None, image: Image, objective: Objective, numbers: Sequence[int]) -> Checkpoint | None:
    """The place for a climb; None without a folder.

    Args:
        store: of the dream.
        image: as it begins.
        objective: of the pictures of this climb; files that it names count by their contents.
        numbers: of these pictures.
    """
    if store is None:
        return None
    with torch.no_grad():
        first = [tensor.detach() for tensor in (*image.parameters, image.pictures())]
    return Checkpoint(store, digest(type(image).__name__, first, objective, list(numbers)))


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What an optimiser carries from step to step."""
    state = optimiser.state_dict()["state"]
    return {
        f"optimiser.{k}.{name}": value
        for k, own in state.items()
        for name, value in own.items()
        if isinstance(value, Tensor)
    }


def restore(optimiser: torch.optim.Optimizer, parameters: Sequence[Tensor], tensors: Mapping[str, Tensor]) -> None:
    """Put parameters and optimiser back to where they were."""
    own: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimiser":
            number, _, what = rest.partition(".")
            own.setdefault(int(number), {})[what] = value
    record = optimiser.state_dict()
    record["state"] = own
    optimiser.load_state_dict(record)
    put(parameters, [tensors[f"parameter.{k}"].view_as(parameter) for k, parameter in enumerate(parameters)])


@torch.no_grad()
def put(parameters: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Give parameters other values, in place."""
    for parameter, value in zip(parameters, values, strict=True):
        parameter.copy_(value)
