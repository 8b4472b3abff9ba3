"""What a network is made of: one row per module, with sizes, parameters, multiply-adds and receptive field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from pellucid.capture.receptive import ReceptiveField
from pellucid.capture.tracing import ModuleCall, Trace
from pellucid.contracts import Model

SETTINGS = ("kernel", "stride", "padding", "dilation", "groups")
_ATTRIBUTES = {"kernel": "kernel_size"}
_CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)  # are never called themselves


@dataclass(frozen=True)
class Row:
    """One module.

    Attributes:
        path: dotted, as torch prints it; "" for the whole network.
        kind: class name.
        calls: how often it is called in one pass; 0: never.
        leaf: True if no module lies inside.
        settings: kernel, stride, padding, dilation and groups, where the module has them.
        output: shape that the first call returns, with the batch axis, or the containers and shapes in words.
        shape: the same as numbers; None if it is not one tensor.
        parameters: of the module and what lies inside; each once.
        trainable: those of them that require a gradient.
        multiply_adds: number of multiply-adds of one sample, of all its calls, what lies inside included.
        parameter_share, multiply_add_share: of the whole network, 0 to 1.
        field: the receptive field of the first output; None where it has none.
    """

    path: str
    kind: str
    calls: int
    leaf: bool
    settings: Mapping[str, str]
    output: str
    shape: tuple[int, ...] | None
    parameters: int
    trainable: int
    multiply_adds: int
    parameter_share: float
    multiply_add_share: float
    field: ReceptiveField | None = None

    @property
    def depth(self) -> int:
        """How many modules it lies in."""
        return self.path.count(".") + 1 if self.path else 0


@dataclass(frozen=True)
class Structure:
    """A network as a table.

    Attributes:
        model: its name.
        input: shape of the input, batch axis first.
        rows: the whole network, then every module in the order of its first call, then those never called.
        functions: how often each function was called outside of leaf modules (additions, concatenations, ...).
        notes: what the reader of the numbers must know.
        uncounted: operations that multiply and are not counted; the multiply-adds are too few by theirs.
    """

    model: str
    input: tuple[int, ...]
    rows: tuple[Row, ...]
    functions: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = ()

    @property
    def least(self) -> str:
        """Words in front of the total of multiply-adds: "at least " where some are not counted."""
        return "at least " if self.uncounted else ""

    @property
    def total(self) -> Row:
        """The whole network."""
        return self.rows[0]

    def __getitem__(self, path: str) -> Row:
        """The row of a module.

        Raises:
            KeyError: there is no such module.
        """
        for row in self.rows:
            if row.path == path:
                return row
        raise KeyError(path)


def structure_of(model: Model, found: Trace, fields: Mapping[str, ReceptiveField]) -> Structure:
    """The table of a network that was traced; `fields` by path."""
    by_path: dict[str, list[ModuleCall]] = {}
    for call in found.calls:
        by_path.setdefault(call.path, []).append(call)
    costs = [0]
    for step in found.steps:
        costs.append(costs[-1] + (step.multiply_adds or 0))
    samples = found.image[0]
    whole = max(costs[-1] / samples + sum(call.constants for call in by_path.get("", ())), 1)
    weights = max(_count(model.module), 1)

    def row(path: str, part: nn.Module, calls: Iterable[ModuleCall]) -> Row:
        calls = list(calls)
        first = calls[0] if calls else None
        cost = sum(costs[c.steps.stop] - costs[c.steps.start] for c in calls) // samples
        cost += sum(c.constants for c in calls)
        return Row(
            path=path,
            kind=type(part).__name__,
            calls=len(calls),
            leaf=not any(True for _ in part.children()),
            settings=settings_of(part),
            output=first.output if first else "",
            shape=first.shape if first else None,
            parameters=_count(part),
            trainable=_count(part, trainable=True),
            multiply_adds=cost,
            parameter_share=_count(part) / weights,
            multiply_add_share=cost / whole,
            field=fields.get(path),
        )

    called = [row(path, calls[0].module, calls) for path, calls in by_path.items()]
    idle = [row(path, part, ()) for path, part in {**found.hidden, **found.idle}.items() if path not in by_path]
    parts = {path: calls[0].module for path, calls in by_path.items()}
    notes = tuple(_notes(found, called, idle, parts))
    return Structure(model.name, found.image, (*called, *idle), _functions(found), notes, found.uncounted)


def settings_of(part: nn.Module) -> dict[str, str]:
    """Kernel, stride, padding, dilation and groups of a layer in words; equal numbers stand once."""
    found = {}
    for name in SETTINGS:
        value = getattr(part, _ATTRIBUTES.get(name, name), None)
        if isinstance(value, int | str) or (isinstance(value, tuple) and all(isinstance(v, int) for v in value)):
            found[name] = _words(value)
    return found if "kernel" in found else {}


def _words(value: Any) -> str:
    if not isinstance(value, tuple):
        return str(value)
    return str(value[0]) if len(set(value)) == 1 else " x ".join(map(str, value))


def _count(part: nn.Module, *, trainable: bool = False) -> int:
    """Numbers among the parameters of a module and what lies inside; a shared one counts once."""
    lazy = nn.parameter.UninitializedParameter
    wanted = (p for p in part.parameters() if not isinstance(p, lazy) and (p.requires_grad or not trainable))
    return sum(p.numel() for p in wanted)


def _functions(found: Trace) -> dict[str, int]:
    """Calls of functions that are not a leaf module's own, by name."""
    leaves = {call.number for call in found.calls if not any(True for _ in call.module.children())}
    calls = {step.function for step in found.steps if step.function and step.call not in leaves}
    counts: dict[str, int] = {}
    for name, _ in sorted(calls, key=lambda call: call[1]):
        counts[name.strip("_")] = counts.get(name.strip("_"), 0) + 1
    return counts


def _notes(found: Trace, called: list[Row], idle: list[Row], parts: Mapping[str, nn.Module]) -> Iterable[str]:
    never = [row.path for row in idle if row.path not in found.hidden and row.path not in found.used]
    never = [path for path in never if not isinstance(found.idle[path], _CONTAINERS)]
    if never:
        yield f"Never called in evaluation mode: {_some(never)}."
    if found.hidden:
        yield f"TorchScript, whose modules cannot be told apart: {_some(list(found.hidden))}."
    often = [f"{row.path} ({row.calls} times)" for row in called if row.calls > 1]
    if often:
        yield f"Called more than once, listed with the first output and the sum of all multiply-adds: {_some(often)}."
    if found.uncounted:
        yield (
            f"The multiply-adds inside of these operations are not counted: {_some(list(found.uncounted))}. "
            "The total is too small by theirs."
        )
    owners: dict[int, str] = {}
    shared: list[str] = []
    for path, part in parts.items():
        for parameter in part._parameters.values():
            if parameter is not None and owners.setdefault(id(parameter), path) != path:
                shared.append(f"{path} with {owners[id(parameter)]}")
    if shared:
        yield f"Parameters are shared, and counted once in the total: {_some(list(dict.fromkeys(shared)))}."


def _some(names: list[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
