"""One cell of the matrix: a method on a network. It keeps the contract, or it is refused with a sentence."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from architectures import CLASSES, NETWORKS, build
from support_page import OK
from torch import Tensor, nn

import pellucid
from pellucid.contracts import Attribution
from pellucid.errors import BadSite, Refused

# The contract does not depend on how fine a method looks, so each looks as coarsely as it can. By the option's name, so
# that a new method with an option of that name is quick from the start.
CHEAP: Mapping[str, Any] = {
    "baselines": 2, "cells": 2, "channels": 8, "designs": 2, "factor": 2, "masks": 12, "permutations": 4, "regions": 4,
    "samples": 2, "steps": 2,
}  # fmt: skip
CHEAP_FOR: Mapping[str, Mapping[str, Any]] = {
    "blur-ig": {"sigma": 4.0},
    "fem": {"threshold": 1.0},  # of 2 x 2 cells none can be more than 1.5 deviations above the mean
    "kernel-shap": {"samples": 16},
    "lime": {"samples": 16},
    "partition-shap": {"samples": 16},
}
CHUNK = 3
MANY = {"ablation-cam": 100}
"""Methods that ask so many questions that small chunks would take minutes: the chunk to use instead."""
TOLERANCE = 1e-6
"""Of a map's largest value. In float64: in float32 rounding decides which ReLUs of a deep random network are open."""


def options(method: str, pixels: int) -> dict[str, Any]:
    """The cheapest options of a method."""
    known = pellucid.methods()[method].options
    sizes = {"window": pixels // 2, "stride": pixels // 2}
    cheap = {name: value for name, value in {**CHEAP, **sizes}.items() if name in known}
    return {**cheap, **CHEAP_FOR.get(method, {})}


class Column:
    """One network and what every method makes of it.

    Attributes:
        outcomes: by method, `OK` or the sentence with which it was refused.
        faults: what broke the contract, in words.
    """

    def __init__(self, network: str, methods: Sequence[str]) -> None:
        self.network, self.net = NETWORKS[network], build(network)
        self.image = self.network.images()
        self.outcomes: dict[str, str] = {}
        self.faults: list[str] = []
        self.alone: dict[str, Attribution] = {}
        before = contents(self.net)
        for method in methods:
            self._try(method)
        self._pack_otherwise()
        if contents(self.net) != before:
            self.faults.append(f"a parameter or buffer of {network} has other values than before")
        self._in_single_precision()

    def _explain(self, image: Tensor, methods: Sequence[str], **more: Any) -> dict[str, Attribution]:
        chosen = {method: options(method, self.network.pixels) for method in methods}
        result = pellucid.explain(self.net, image, methods, options=chosen, **more) if methods else ()
        return {a.method.id: a for a in result}

    def _try(self, method: str) -> None:
        image, before = self.image.clone(), state(self.net)
        try:
            found = self.alone[method] = self._explain(image, [method])[method]
        except (Refused, BadSite) as error:
            self.outcomes[method] = str(error)
        except Exception as error:  # noqa: BLE001 - one broken cell must not hide the others
            self._blame(method, f"raised {type(error).__name__}: {error}")
        else:
            self.outcomes[method] = OK
            self._check_values(found)
        if state(self.net) != before or not torch.equal(image, self.image):
            self._blame(method, "left a trace")

    def _check_values(self, found: Attribution) -> None:
        method, size = found.method.id, (self.network.pixels, self.network.pixels)
        if found.values.shape != (2, *size):
            self._blame(method, f"gave values of shape {list(found.values.shape)}")
        if not is_finite(found):
            self._blame(method, "gave values that are not finite")
        if bool((found.values == 0).flatten(1).all(1).any()):
            if not any("zero everywhere" in note for note in found.notes):
                self._blame(method, "gave an empty map and did not say so")
            if not self._speaks_for_some_class(method):
                self._blame(method, "gave empty maps for every class")

    def _speaks_for_some_class(self, method: str) -> bool:
        chosen = {method: options(method, self.network.pixels)}
        ranks = pellucid.explain(self.net, self.image, method, f"top{CLASSES}", options=chosen)
        # what several layers agree on may well be nothing
        return any(bool((a.extras["layers"] if a.method.fuse else a.values).any()) for a in ranks)

    def _pack_otherwise(self) -> None:
        """The second picture by itself, all methods in one call, in chunks: the same maps for the same seed."""
        found: dict[str, Attribution] = {}
        for chunk in sorted({CHUNK, *MANY.values()}):
            chosen = [name for name in self.alone if MANY.get(name, CHUNK) == chunk]
            found |= self._explain(self.image[1:], chosen, chunk=chunk)
        for method, a in found.items():
            expected = self.alone[method].values[1:]
            off = float((a.values - expected).abs().max() / expected.abs().max().clamp(min=1e-30))
            if not off <= TOLERANCE:
                self._blame(method, f"gives another map in company and in chunks: off by {off:.2g} of its maximum")

    def _in_single_precision(self) -> None:
        """As most networks are used, and through other kernels."""
        self.net.float()
        try:
            for method, found in self._explain(self.image[:1].float(), list(self.alone)).items():
                if not is_finite(found):
                    self._blame(method, "gave values that are not finite in float32")
        finally:
            self.net.double()

    def _blame(self, method: str, what: str) -> None:
        self.faults.append(f"{method} on {self.network.spec} {what}")


def is_finite(found: Attribution) -> bool:
    """Whether everything that an attribution holds is finite."""
    return all(bool(t.isfinite().all()) for t in (found.values, found.raw, *found.extras.values()))


def state(net: nn.Module) -> list[Any]:
    """What a call could leave behind, but for the values of tensors: those are in `contents`."""
    seen: list[Any] = [random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()]
    for path, part in net.named_modules():
        hooks = [(name, list(value)) for name, value in vars(part).items() if "hooks" in name and value]
        kept = {name: id(value) for name, value in vars(part).items() if not name.startswith("_")}
        inner = {name: list(value) for name, value in vars(part).items() if type(value) is dict and name[0] != "_"}
        seen += [path, type(part), part.training, hooks, kept, inner]
        seen += [(name, id(p), p._version, p.requires_grad, p.grad) for name, p in _own(part)]
    return seen


def _own(part: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in (*part._parameters.items(), *part._buffers.items()):
        if tensor is not None:
            yield name, tensor


def contents(net: nn.Module) -> dict[str, tuple[int, float]]:
    """Where every parameter and buffer lies, and its sum."""
    return {name: (t.data_ptr(), float(t.double().sum())) for name, t in net.state_dict().items()}
