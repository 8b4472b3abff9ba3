"""Which kind of input a file is, where its name allows several: the one that the network takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pellucid.contracts import Sample
from pellucid.errors import BadOption, BadSample
from pellucid.modalities.known import find_modality
from pellucid.modalities.parts import parts_of, read_part


def choose_kind(
    kinds: Sequence[str],
    sources: Sequence[Any],
    options: Mapping[str, Any],
    first_operation: Callable[[Sample], tuple[str, bool]],
) -> str:
    """The kind of some files: the only one that their names allow, or of several the one that the network takes.

    Each is tried: the first file that can be read so is given to the network, and what its first operation with weights
    is must be one of those of networks for that kind.

    Args:
        kinds: ids that the names of the files allow, at least one.
        sources: the files.
        options: what the user said of them; an option that only one kind has decides.
        first_operation: what that is, and whether the network took the sample to its end.

    Raises:
        BadOption: nothing tells.
    """
    able = [kind for kind in kinds if {*_said(options)} <= {option.name for option in find_modality(kind).options}]
    if len(kinds) == 1 or len(able) == 1:
        return (able or list(kinds))[0]
    fitting = [kind for kind in able or kinds if _fits(kind, sources, options, first_operation)]
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(str(source) for source in list(sources)[:3])
    why = f"the network takes them as {' and as '.join(fitting)}" if fitting else "the network takes them as none of it"
    listed = " or ".join(f"--kind {kind}" for kind in kinds)
    raise BadOption(
        f"{names} could be {' or '.join(find_modality(kind).title for kind in kinds)}, and {why}. Say which: {listed}, "
        f"in Python kind={kinds[0]!r}."
    )


def _said(options: Mapping[str, Any]) -> list[str]:
    return [name for name, value in options.items() if value is not None]


def _fits(
    kind: str,
    sources: Sequence[Any],
    options: Mapping[str, Any],
    first_operation: Callable[[Sample], tuple[str, bool]],
) -> bool:
    """Whether the network takes the first file that can be read as this kind."""
    modality = find_modality(kind)
    for source in sources:
        try:
            parts = parts_of(kind, [source], options)
            sample = read_part(parts[0])
        except (BadSample, BadOption, IndexError):
            continue
        operation, complete = first_operation(sample)
        return complete and (not modality.first or operation in modality.first)
    return False
