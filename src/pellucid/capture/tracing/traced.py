"""What a trace holds: steps, the values that they use, and module calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from pellucid.capture.operators import Operator

INPUT = -1
"""Number of the network's input, where a step would have its own."""


@dataclass(frozen=True, eq=False)
class TracedStep:
    """One operation on something that depends on the input.

    Attributes:
        number: from 0, in the order of the pass.
        operation: torch's own name of it, such as `aten::convolution`.
        arguments: by their names in torch's schema; tensors as `Value`.
        inputs: numbers of the steps whose results it uses, `INPUT` for the network's input; each once.
        outputs: shapes of its results.
        call: number of the module call that it belongs to.
        function: what the module's code called (`relu`, `cat`, `__add__`), and the number of that call; steps of one
            function share it. None where the code did not call torch from Python.
        multiply_adds: of this step; None where no rule counts it.
        operator: what the code called, or where it called nothing, what was computed; None for what has no record.
    """

    number: int
    operation: str
    arguments: Mapping[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[tuple[int, ...], ...]
    call: int
    function: tuple[str, int] | None
    multiply_adds: int | None
    operator: Operator | None


@dataclass(frozen=True)
class Value:
    """A tensor among a step's arguments.

    Attributes:
        shape: its shape.
        sources: steps that made it, with the number of the result among theirs; empty for weights and constants.
    """

    shape: tuple[int, ...]
    sources: tuple[tuple[int, int], ...]


@dataclass(eq=False)
class ModuleCall:
    """One call of one module.

    Attributes:
        number: from 0, in the order of the pass; 0 is the whole network.
        path: as `named_modules` prints it first.
        times: which call of this module it is, from 0.
        parent: number of the module call that made this one; None for the whole network.
        module: the module.
        output: what it returned, in words and shapes.
        sources: steps that made the tensors in its output.
        steps: numbers of the steps made in it, those of modules inside included.
        constants: multiply-adds made in it that do not depend on the input, such as those of weights computed in the
            pass; what modules inside do is included.
        value: a copy of the tensor that it returned, if that was asked for.
        kernels: of a convolution, a copy of what it convolved with, if that is not its own parameter as it is.
    """

    number: int
    path: str
    times: int
    parent: int | None
    module: nn.Module
    output: str = ""
    shape: tuple[int, ...] | None = None
    sources: tuple[tuple[int, int], ...] = ()
    steps: range = field(default_factory=lambda: range(0))
    constants: int = 0
    value: Tensor | None = None
    kernels: Tensor | None = None


@dataclass(frozen=True, eq=False)
class KeptStep:
    """One step with copies of all that it was given and gave.

    Attributes:
        func: torch's operation.
        given: its arguments by their names in torch's schema.
        output: its first result.
    """

    func: Any
    given: Mapping[str, Any]
    output: Tensor


@dataclass(frozen=True, eq=False)
class Trace:
    """One pass, taken apart.

    Attributes:
        image: shape of the input.
        steps: all that depends on the input, in order.
        calls: all module calls, in order of their begin.
        idle: modules that were never called, by path.
        hidden: TorchScript modules, whose insides show their steps but not their modules, by path.
        used: those of the idle modules whose code or parameters the pass used all the same, by path.
        uncounted: operations that multiply inside and that no rule counts, by torch's names.
        kept: the steps that were asked for, with their numbers.
    """

    image: tuple[int, ...]
    steps: tuple[TracedStep, ...]
    calls: tuple[ModuleCall, ...]
    idle: Mapping[str, nn.Module]
    hidden: Mapping[str, nn.Module]
    used: frozenset[str] = frozenset()
    uncounted: tuple[str, ...] = ()
    kept: Mapping[int, KeptStep] = field(default_factory=dict)
