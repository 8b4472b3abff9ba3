"""Likeness to another picture, for networks that give an embedding."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pellucid.contracts import Frame, Model, Scores
from pellucid.errors import BadOption, BadOutput
from pellucid.numerics import full_precision
from pellucid.targets.base import Interpretation, Target, TargetContext
from pellucid.targets.outputs import described, scores_of


@dataclass(frozen=True, eq=False)
class Similarity:
    """The cosine of the angle between what the network gives for the picture and for a reference, -1 to 1.

    Attributes:
        reference: a picture (a path, a PIL image or a uint8 array), pictures as a float tensor in the model's space
            `[1 or batch, channel, row, column]`, or what the network gave for them, `[number]` or
            `[1 or batch, number]`. A list of pictures has one for each.
        name: name of the reference, for people.
        embedding: `[1 or batch, number]`; filled in when the target is fit to the pictures.
    """

    reference: Any
    name: str = ""
    embedding: Tensor | None = None

    def fit(self, scene: TargetContext) -> Target:
        count = len(scene.frames)
        if isinstance(self.reference, Tensor) and self.reference.is_floating_point() and self.reference.ndim in (1, 2):
            found = self.reference.detach().reshape(-1, self.reference.shape[-1])
        else:
            found = vectors(scene.output(self.reference), scene.model).detach()
        if len(found) not in (1, count):
            raise BadOption(f"Expected one reference or {count} (one per picture), got {len(found)}.")
        if not bool((found.isfinite().all(1) & (found != 0).any(1)).all()):
            raise BadOption("Expected a reference whose embedding is finite and not zero: it has no direction.")
        return replace(self, embedding=found, name=self.name or _name(self.reference))

    def resolve(self, reading: Interpretation, model: Model) -> Target:
        return self

    def score(self, output: Any, samples: Tensor, model: Model) -> Scores:
        own = vectors(output, model)
        if self.embedding is None:
            raise BadOption("A similarity has no score before its reference is known: call fit first.")
        reference = self.embedding.to(own)
        if reference.shape[1] != own.shape[1]:
            raise BadOption(
                f"The reference has {reference.shape[1]} numbers, and {model.name} gives {own.shape[1]} for a picture."
            )
        wanted = reference if len(reference) == 1 else reference[samples]
        return cosine(full_precision(own), full_precision(wanted))

    def labels(self, model: Model, frames: Sequence[Frame]) -> tuple[str, ...]:
        return (f"similarity to {self.name or 'the reference'}",) * len(frames)


def cosine(own: Tensor, wanted: Tensor) -> Scores:
    """The cosine of the angle between vectors `[n, number]`, 0 where one is zero.

    In steps that every backward rule knows, which torch's own function is not made of.
    """
    tiny = torch.finfo(own.dtype).tiny
    lengths = (own.square().sum(1) + tiny).sqrt(), (wanted.square().sum(1) + tiny).sqrt()
    return (own * (wanted / lengths[1][:, None])).sum(1) / lengths[0]


def vectors(output: Any, model: Model) -> Tensor:
    """What a network gives for each row, as one vector `[n, number]`.

    Raises:
        BadOutput: it is not a tensor with the rows first.
    """
    found = scores_of(output, model)
    if not isinstance(found, Tensor) or found.ndim < 2 or not found.is_floating_point():
        raise BadOutput(
            f"Expected an embedding [batch, number] from {model.name}, got {described(found)}. Name the part to read "
            "with pellucid.wrap(module, output=...) (--part PATH)."
        )
    return found.flatten(1)


def _name(reference: Any) -> str:
    if isinstance(reference, str | os.PathLike):
        return os.path.basename(os.fspath(reference)).removeprefix("sample:")  # noqa: PTH119 - may be a sample's name
    return "the references" if isinstance(reference, list | tuple) else "the reference"
