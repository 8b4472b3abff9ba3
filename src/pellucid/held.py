"""Tensors and functions as values of options: results keep them, and name them by what they hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from pellucid.digests import digest
from pellucid.errors import BadOption

_DIGITS = 12

Own: TypeAlias = Callable[..., Any]
"""The annotation of options that take a function of the user's own."""


@dataclass(frozen=True, eq=False)
class Held:
    """A tensor or a function that was given as an option.

    Attributes:
        value: it. Tensors are copies: what the caller does to theirs later changes nothing.
    """

    value: Any

    @cached_property
    def digest(self) -> str:
        """Equal for equal contents, or equal code, in every process."""
        return digest(self.value)[:_DIGITS]

    def __repr__(self) -> str:
        if isinstance(self.value, Tensor):
            kind = str(self.value.dtype).removeprefix("torch.")
            return f"<tensor {list(self.value.shape)} of {kind}, digest {self.digest}>"
        name = getattr(self.value, "__qualname__", type(self.value).__name__)
        return f"<function {name}, digest {self.digest}>"

    def __str__(self) -> str:
        return repr(self)  # also in JSON, where values without words of their own are written field by field

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Held) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Any, ...]:
        return Held, (self.value,)

    def of_pictures(self, pictures: Tensor, axes: int = 2) -> Held:
        """For a batch of which row i is picture `pictures[i]`; only what has an entry for each picture changes."""
        if not isinstance(self.value, Tensor) or not _has_batch(self.value, axes) or len(self.value) == 1:
            return self
        return Held(self.value[pictures.to(self.value.device)])


def _has_batch(tensor: Tensor, axes: int) -> bool:
    """Pictures `[batch, channel, *axes]`, or whole numbers `[batch, *axes]`."""
    return tensor.ndim == axes + 2 or (tensor.ndim == axes + 1 and not tensor.is_floating_point())


def held_tensor(given: Any, said: str) -> Held:
    """A tensor or array as an option's value; `said` names the option in errors.

    Raises:
        BadOption: it is empty, sparse, complex, or holds NaN or infinity.
    """
    try:
        tensor = torch.as_tensor(given).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadOption(f"Expected numbers in the tensor for {said}, got {given!r:.60}.") from error
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_complex() or not tensor.numel():
        raise BadOption(f"Expected a dense tensor of real numbers for {said}, got {list(tensor.shape)} {tensor.dtype}.")
    if not bool(tensor.isfinite().all()):
        raise BadOption(f"Expected finite numbers in the tensor for {said}, got NaN or infinity.")
    return Held(tensor.clone())


def is_tensor(value: Any) -> bool:
    """Whether this is a tensor or an array, which no other option's value is."""
    return isinstance(value, Tensor | np.ndarray)


def plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with the tensors and functions themselves, as methods take them."""
    return {name: value.value if isinstance(value, Held) else value for name, value in options.items()}


def of_pictures(options: Mapping[str, Any], pictures: Tensor, axes: int = 2) -> dict[str, Any]:
    """Options for a batch of which row i is picture `pictures[i]`, with so many axes behind the channels."""
    return {
        name: value.of_pictures(pictures, axes) if isinstance(value, Held) else value for name, value in options.items()
    }


def as_pictures(method: str, option: str, given: Tensor, image: Tensor) -> Tensor:
    """A tensor given as an option, one picture for each of `image` `[batch, channel, *axes]`.

    Raises:
        BadOption: it is no `[channel]`, `[channel, *axes]` or `[batch, channel, *axes]` of their sizes.
    """
    shaped = given.reshape(-1, *[1] * (image.ndim - 2)) if given.ndim == 1 else given
    if shaped.ndim in (0, image.ndim - 1, image.ndim):
        try:
            return shaped.to(image).expand_as(image)
        except RuntimeError:
            pass
    raise BadOption(
        f"Expected a tensor [channel], [channel, row, column] or [batch, channel, row, column] as {option} of {method} "
        f"that fits pictures of shape {list(image.shape)}, got {list(given.shape)}."
    )
