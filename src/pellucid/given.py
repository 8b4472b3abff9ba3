"""What a call is given: pictures, files of other kinds or tensors, read into one batch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pellucid.capture.running import first_operation, guarded, network_seed
from pellucid.contracts import Maps, Model, Picture, Sample
from pellucid.errors import BadOption, Refused
from pellucid.modalities import (
    PICTURE,
    SampleRef,
    choose_kind,
    find_modality,
    kinds_of,
    modalities,
    parts_of,
    read_part,
)
from pellucid.models.preprocessing import preprocessing_of
from pellucid.numerics import all_finite
from pellucid.pictures import SUFFIXES, expanded, find_pictures, names_apart, prepare


def read_samples(model: Model, given: Any, kind: str | None, reading: Mapping[str, Any]) -> tuple[Sample, ...]:
    """Signals, rows of tables, ... as read; () of pictures, and of tensors whose kind was not said.

    Raises:
        BadSample: one cannot be read, or holds no finite values.
        BadOption: nothing tells the kind, what was said of the files does not fit it, or shapes that differ.
        UnknownName: there is no such kind.
    """
    if isinstance(given, Tensor):
        sources = list(_check_tensor(given, rows=True)) if kind not in (None, PICTURE) else []
    else:
        sources = list(given) if isinstance(given, (list, tuple)) else [given]
    if sources and all(isinstance(each, Sample) for each in sources):
        return tuple(sources)
    kind = kind_of_input(model, sources, kind, reading)
    if kind == PICTURE:
        refuse_reading(reading)
        return ()
    samples = tuple(read_part(part) for part in parts_of(kind, sources, reading))
    if not samples:
        raise BadOption(f"Expected at least one sample of the kind {kind!r}, got an empty list.")
    return samples


def kind_of_input(model: Model, sources: Sequence[Any], kind: str | None, reading: Mapping[str, Any]) -> str:
    """The id of the kind of some files or tensors: the one that was said, or that their names and the network tell.

    Raises:
        BadOption: nothing tells.
        UnknownName: there is no such kind.
    """
    if kind is not None:
        return kind if kind == PICTURE else find_modality(kind).id
    parts = {each.kind for each in sources if isinstance(each, SampleRef)}
    if len(parts) == 1:
        return parts.pop()
    if all(_can_only_be_pictures(each) for each in sources):
        return PICTURE
    kinds = kinds_of(sources)
    if not kinds:
        return PICTURE

    def first(sample: Sample) -> tuple[str, bool]:
        with guarded(model.module), network_seed(0):
            return first_operation(model.along(sample.names), together(model, [sample]))

    return choose_kind(kinds, sources, reading, first)


def _can_only_be_pictures(source: Any) -> bool:
    """Whether something needs no look at what kinds of input there are: by far the most is so.

    A folder with pictures in it, or in its folders, is one of pictures, whatever tables of labels lie beside them.
    """
    if not isinstance(source, str | os.PathLike):
        return True
    text = os.fspath(source)
    if text.startswith("sample:") or Path(text).suffix.lower() in SUFFIXES:
        return True
    return Path(text).is_dir() and [found.source for found in find_pictures([text])] != [text]


def refuse_reading(reading: Mapping[str, Any]) -> None:
    """Refuse what was said of files that pictures do not take.

    Raises:
        BadOption: something of another kind of input.
        TypeError: something that no kind knows.
    """
    said = [name for name, value in reading.items() if value is not None]
    known = {option.name for each in modalities().values() for option in each.options} if said else ()
    if said and said[0] not in known:
        raise TypeError(f"got an unexpected keyword argument {said[0]!r}")
    if said:
        raise BadOption(
            f"Got {said[0]}={reading[said[0]]!r}, which pictures and tensors of no said kind do not take. Say of which "
            "kind the input is: kind='signal' (--kind signal)."
        )


def together(model: Model, samples: Sequence[Sample]) -> Maps:
    """Samples as one batch on the model's device, in the type that it takes or better.

    Raises:
        BadOption: they have different shapes.
    """
    shapes = list(dict.fromkeys(tuple(sample.tensor.shape) for sample in samples))
    if len(shapes) > 1:
        listed = " and ".join(str(list(shape)) for shape in shapes[:2])
        raise BadOption(
            f"The samples of one call must share one shape, got {listed}. Explain them one by one; the command line "
            "does so with each file."
        )
    kept = torch.promote_types(model.dtype, torch.float32)
    return torch.stack([sample.tensor.to(kept) for sample in samples]).to(model.device)


def read_pictures(model: Model, pictures: Any) -> tuple[Maps, tuple[Picture, ...]]:
    """The batch on the model's device, and the decoded pictures unless tensors were given."""
    device = model.device
    if device.type == "meta":
        raise Refused(f"{model.name} has no weights: they are on the device 'meta', which holds no values.")
    if isinstance(pictures, Tensor):
        return _check_tensor(pictures).to(device), ()
    preprocess = preprocessing_of(model)
    given = expanded(pictures if isinstance(pictures, (list, tuple)) else [pictures])
    names = names_apart(given)
    decoded = tuple(
        p if isinstance(p, Picture) else prepare(p, preprocess, name) for p, name in zip(given, names, strict=True)
    )
    if not decoded:
        raise BadOption("Expected at least one picture, got an empty list.")
    shapes = list(dict.fromkeys(tuple(picture.tensor.shape[-2:]) for picture in decoded))
    if len(shapes) > 1:
        listed = " and ".join(f"{rows} x {columns}" for rows, columns in shapes[:2])
        raise BadOption(
            f"{model.name} takes pictures of any shape, but those of one call must share one; got {listed}. Explain "
            "them one by one, or give them a common size with pellucid.wrap(model, size=...) (--size)."
        )
    return torch.stack([picture.tensor for picture in decoded]).to(device), decoded


def _check_tensor(tensor: Tensor, *, rows: bool = False) -> Maps:
    if tensor.layout != torch.strided or tensor.is_nested or tensor.is_meta:
        kind = "nested" if tensor.is_nested else "meta" if tensor.is_meta else str(tensor.layout).removeprefix("torch.")
        hint = "Take pictures with values." if tensor.is_meta else "Convert it with tensor.to_dense()."
        raise BadOption(f"Expected a dense tensor of pictures to explain, got a {kind} one. {hint}")
    if not tensor.is_floating_point():
        raise BadOption(
            f"{_EXPECTED} in the model's own space, such as tensor.float() after normalising, got {list(tensor.shape)} "
            f"of {tensor.dtype}."
        )
    if not 2 <= tensor.ndim <= 5 or not tensor.numel():
        raise BadOption(
            f"{_EXPECTED}, of signals [batch, channel, time], of volumes [batch, channel, depth, row, column], of "
            f"tables [batch, feature], no axis empty, got {list(tensor.shape)}.{_hint(tensor)}"
        )
    if not all_finite(tensor):
        raise BadOption("Expected finite numbers in the tensor to explain, got NaN or infinity.")
    held = tensor.detach().clone()  # results hold their input, which the caller may go on writing to
    return held[:, None] if held.ndim == 2 and not rows else held


_EXPECTED = "Expected a float tensor [batch, channel, row, column]"


def _hint(tensor: Tensor) -> str:
    return " Add the batch axis with tensor[None] if it is one row of a table." if tensor.ndim == 1 else ""
