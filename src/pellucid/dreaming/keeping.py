"""Climbs on disk: one that was interrupted goes on where it was, to the same pictures as if it had not been."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pellucid.dreaming.images import Image
from pellucid.dreaming.objectives import Objective
from pellucid.report.folder import complete

_SECONDS = 30.0


@dataclass
class Kept:
    """The state of one climb in a file, written every half minute and when it is interrupted.

    Attributes:
        path: of the file. Its name says what is climbed, so that another climb never goes on from it.
        latest: the state after the last whole step: tensors, and what goes into JSON.
    """

    path: Path
    latest: tuple[dict[str, Tensor], dict[str, Any]] | None = None
    written: float = field(default_factory=time.monotonic)

    def read(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """What an earlier call has left; None if nothing that can be read."""
        try:
            with safe_open(str(self.path), "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
                return tensors, json.loads((file.metadata() or {})["state"])
        except (OSError, SafetensorError, KeyError, ValueError):
            return None

    def remember(self, tensors: Mapping[str, Tensor], state: dict[str, Any]) -> None:
        """Take a copy after a whole step; an interrupt in the middle of the next one then does no harm."""
        self.latest = {name: tensor.detach().clone() for name, tensor in tensors.items()}, state
        if time.monotonic() - self.written > _SECONDS:
            self.write()

    def write(self) -> None:
        """Put the latest state on disk."""
        if self.latest is None:
            return
        tensors, state = self.latest
        with complete(self.path.parent) as staging:
            given = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
            (staging / self.path.name).write_bytes(save(given, {"state": json.dumps(state)}))
        self.written = time.monotonic()


def kept_in(folder: str | Path | None, image: Image, objective: Objective, *facts: object) -> Kept | None:
    """The place for a climb, named after all that decides what comes of it; None without a folder.

    Args:
        folder: where climbs are kept.
        image: as it begins.
        objective: with the contents of the files that it names.
        facts: everything else.
    """
    if folder is None:
        return None
    digest = hashlib.sha256(repr((str(objective), facts)).encode())
    with torch.no_grad():
        for tensor in (*image.parameters, image.pictures()):
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    for part in objective.walk():
        for name in ("picture", "file"):
            path = Path(str(getattr(part, name, "")))
            if path.is_file():
                digest.update(path.read_bytes())
    return Kept(Path(folder) / f"{digest.hexdigest()[:24]}.safetensors")


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
    with torch.no_grad():
        for k, parameter in enumerate(parameters):
            parameter.copy_(tensors[f"parameter.{k}"])
