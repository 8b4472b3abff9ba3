"""What the user means: which parts of which files, of which kinds they could be, and reading them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pellucid.contracts import Sample
from pellucid.errors import BadOption, BadSample, PellucidError, said
from pellucid.modalities.known import find_modality, modalities
from pellucid.modalities.modality import Modality, SampleRef


def kinds_of(sources: Iterable[Any]) -> tuple[str, ...]:
    """Ids of the kinds that files with these names can be; () where pictures are the only thing they can be.

    Only names are looked at, and the names of what is in a folder; of files without an ending the first bytes.
    """
    paths = [os.fspath(each) for each in sources if isinstance(each, str | os.PathLike)]
    return tuple(kind.id for kind in modalities().values() if any(_holds(kind, path) for path in paths))


def _holds(kind: Modality, path: str) -> bool:
    """Whether a path is a file of a kind, or a folder with such files in it."""
    if kind.takes(path):
        return True
    return Path(path).is_dir() and any(kind.takes(each) for each in _files(Path(path)))


def parts_of(kind: str, sources: Sequence[Any], options: Mapping[str, Any]) -> list[SampleRef]:
    """All that is to be explained, in the order given. What cannot be read stays in the list, for reading to say so.

    Args:
        kind: id.
        sources: paths of files and folders; float tensors without their batch axis; `SampleRef` as it is.
        options: what the user said of the files.

    Raises:
        UnknownName: there is no such kind.
        BadOption: an option that the kind does not have, or a value of another type.
    """
    modality, given = find_modality(kind), checked_options(kind, options)
    tensors = tuple(each for each in sources if isinstance(each, Tensor))
    found: list[SampleRef] = []
    for number, source in enumerate(sources, 1):
        if isinstance(source, SampleRef):
            found.append(source)
        elif isinstance(source, Tensor):
            name = "tensor" if len(sources) == 1 else f"sample {number}"
            found.append(SampleRef(name, source, kind, given, tensors))
        else:
            found += modality.parts(source, given) if modality.parts else _parts(source, given, modality)
    return found


def _parts(source: str | Path, options: Mapping[str, Any], modality: Modality) -> list[SampleRef]:
    path = Path(source)
    files = [each for each in _files(path) if modality.takes(each)] if path.is_dir() else []
    return [SampleRef(each.name, str(each), modality.id, options) for each in files or [path]]


def _files(folder: Path) -> list[Path]:
    """Files of a folder as people count, without hidden ones."""
    try:
        files = [each for each in folder.iterdir() if each.is_file() and not each.name.startswith(".")]
    except OSError:
        return []
    return sorted(files, key=lambda path: [int(x) if x.isdecimal() else x for x in re.split(r"(\d+)", path.name)])


def checked_options(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What a user said of how files are to be read, as the kind's own types; None is nothing said.

    Raises:
        BadOption: an option that the kind does not have, or a value of another type.
    """
    known = {option.name: option for option in find_modality(kind).options}
    found: dict[str, Any] = {}
    for name, value in options.items():
        if value is None:
            continue
        if name not in known:
            has = f" It has {', '.join(known)}." if known else ""
            raise BadOption(f"Reading {find_modality(kind).title} has no option {name!r}.{has}")
        wanted = known[name].type
        if isinstance(value, bool) or not isinstance(value, (int, float) if wanted is float else wanted):
            raise BadOption(f"Expected {wanted.__name__} for the option {name!r}, got {value!r:.80}.")
        found[name] = wanted(value)
    return found


def read_part(part: SampleRef) -> Sample:
    """A part as the sample that the model sees.

    Raises:
        BadSample: it cannot be read, has no values, or values that are not finite; the message names file and place.
    """
    modality = find_modality(part.kind)
    try:
        sample = modality.read(part)
    except PellucidError:
        raise
    except FileNotFoundError as error:
        raise BadSample(f"There is no file {part.source!r}.") from error
    except IsADirectoryError as error:
        wanted = ", ".join(modality.suffixes)
        raise BadSample(f"The folder {part.source!r} holds no file that ends in {wanted}.") from error
    except MemoryError:
        raise
    except Exception as error:  # whatever a reader of a damaged file says
        raise BadSample(f"{part.name!r} cannot be read as {modality.title}: {said(error)}.") from error
    check_values(sample)
    return sample


def check_values(sample: Sample) -> None:
    """Refuse what no network could be asked about.

    Raises:
        BadSample: an axis is empty, or a value is not finite.
    """
    empty = [str(axis) for axis in sample.axes if axis.size == 0] or ([] if len(sample.tensor) else ["channel 0"])
    if empty:
        raise BadSample(f"{sample.name!r} is empty: {', '.join(empty)}.")
    wrong = ~torch.isfinite(sample.tensor)
    if wrong.any():
        channel, *place = torch.nonzero(wrong)[0].tolist()
        where = ", ".join(f"{axis.name} {k}" for axis, k in zip(sample.axes, place, strict=True))
        named = sample.channels[channel] if channel < len(sample.channels) else str(channel)
        among = f"channel {named}, " if len(sample.tensor) > 1 else ""
        raise BadSample(
            f"{sample.name!r} holds {int(wrong.sum())} values that are not finite, the first at {among}{where} "
            "(counted from 0). Mend or cut them out."
        )
