"""A network as a drawing: nested boxes from top to bottom, with every function call, addition and concatenation.

A box is a module call, or a function called in a module's code. Inside a module its parts stand in *ranks*: each is one
rank below the lowest of those that it hears from. Where everything stands depends only on the module itself, so that
folding one never moves the insides of another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from torch import nn

from pellucid.capture.operators import Operator, op
from pellucid.capture.tracing import INPUT, ModuleCall, Trace, TracedStep
from pellucid.inspection.graph_box import ABOVE, BELOW, GraphBox
from pellucid.inspection.graph_layout import folded
from pellucid.inspection.structure import settings_of

_JOINS = {
    op.ADD: "+", op.SUB: "−", op.RSUB: "−", op.MUL: "×", op.DIV: "÷", op.RDIV: "÷", op.CAT: "cat", op.STACK: "stack",
    op.MATMUL: "·", op.WHERE: "where", op.MAXIMUM: "max",
}  # fmt: skip
_OF_KIND = {
    "convolution": "convolution", "norms": "norm", "pooling": "pooling", "activations": "activation",
    "moving": "moving", "products": "dense", "attention": "dense", "recurrent": "dense",
}  # fmt: skip
_OF_OPERATOR = {
    op.INTERPOLATE: "moving", op.EMBEDDING: "dense", op.NORM: "norm", op.DROPOUT: "other", op.ALPHA_DROPOUT: "other",
    op.MAKE: "other", op.FILL: "other", op.GRID_SAMPLE: "moving",
}  # fmt: skip
"""Operators that are drawn as of another family than that of their record."""
_OF_MODULE = {
    "convolution": "conv",
    "norm": "norm",
    "pooling": "pool",
    "dense": "linear attention embedding lstm gru rnn",
    "activation": """
        relu elu gelu silu sigmoid tanh softmax swish mish hardtanh softplus softsign threshold glu shrink
    """,
    "moving": "flatten pad upsample shuffle fold",
}
"""Words in the names of modules, which are no operators."""


def graph_of(found: Trace, name: str) -> GraphBox:
    """The drawing's boxes, of which the outermost is the whole network."""
    return _Builder(found, name).build()


@dataclass(eq=False)
class _Part:
    """A box while it is built: its steps are `steps`, except where they belong to parts inside."""

    number: int
    call: ModuleCall | None = None
    function: str = ""
    owner: ModuleCall | None = None
    steps: list[int] = field(default_factory=list)
    inside: list[_Part] = field(default_factory=list)
    up: _Part | None = None


class _Builder:
    def __init__(self, found: Trace, name: str) -> None:
        self.found, self.name = found, name
        self.numbers = 0
        self.of_step: dict[int, _Part] = {}
        self.parts = {call.number: self._part(call=call) for call in found.calls}
        self.root = self.parts[0]
        self.start, self.end = self._part(function="input"), self._part(function="output")
        self.of_step[INPUT] = self.start
        self._own = [c.path.rpartition(".")[2] + (f":{c.times}" if c.times else "") for c in found.calls]

    def _part(self, **given: object) -> _Part:
        self.numbers += 1
        return _Part(self.numbers, **given)  # type: ignore[arg-type]

    def build(self) -> GraphBox:
        self._collect()
        users: list[tuple[_Part, _Part]] = []
        for step in self.found.steps:
            users += [(self.of_step[source], self.of_step[step.number]) for source in step.inputs]
        users += [(self.of_step[number], self.end) for number, _ in self.found.calls[0].sources]
        edges = dict.fromkeys((a, b) for a, b in users if a is not b)
        reads: dict[_Part, dict[_Part, None]] = {}
        lifted: dict[_Part | None, dict[tuple[_Part | int, _Part | int], None]] = {}
        for a, b in edges:
            outside = set(_ancestors(a))
            for part in (b, *_ancestors(b)):
                if part in outside:
                    break
                reads.setdefault(part, {})[a] = None
            _lift(a, b, lifted)
        self.root.inside = [self.start, *self.root.inside, self.end]
        return self._box(self.root, lifted, reads)

    def _collect(self) -> None:
        """Put every step into its box, and every box that has one into the box around it."""
        functions: dict[tuple[int, int], _Part] = {}
        for step in self.found.steps:
            call = self.found.calls[step.call]
            part = self.parts[call.number]
            if not _is_atom(call):
                key = (call.number, step.function[1] if step.function else -1 - step.number)
                known = functions.get(key)
                if known is None:
                    known = functions[key] = self._part(function=_function(step), owner=call)
                    self._into(known, call)
                part = known
            elif not part.steps and call.parent is not None:
                self._into(part, self.found.calls[call.parent])
            part.steps.append(step.number)
            self.of_step[step.number] = part
        self.start.up = self.end.up = self.root

    def _into(self, part: _Part, owner: ModuleCall) -> None:
        outer = self.parts[owner.number]
        part.up = outer
        outer.inside.append(part)
        if outer.up is None and owner.parent is not None:
            self._into(outer, self.found.calls[owner.parent])

    def _box(
        self,
        part: _Part,
        lifted: dict[_Part | None, dict[tuple[_Part | int, _Part | int], None]],
        reads: dict[_Part, dict[_Part, None]],
    ) -> GraphBox:
        items = [self._box(inner, lifted, reads) for inner in part.inside]
        place = {inner: k for k, inner in enumerate(part.inside)}
        pairs = [(_at(a, place), _at(b, place)) for a, b in lifted.get(part, ())]
        names = tuple(self._title(other) for other in reads.get(part, ()))
        return folded(replace(self._front(part), reads=names, items=tuple(items)), pairs)

    def _front(self, part: _Part) -> GraphBox:
        """The box without its insides."""
        if part in (self.start, self.end):
            calls = self.found.calls
            shape = _words(self.found.image[1:]) if part is self.start else calls[0].output
            if part is self.end and calls[0].shape is not None:
                shape = _words(calls[0].shape[1:])
            return GraphBox(part.function, family="end", shape=shape)
        if part.call is None:
            return self._function_box(part)
        module, call = part.call.module, part.call
        shape = call.output if call.shape is None else _words(call.shape[1:])
        kind = type(module).__name__
        steps = self.found.steps[call.steps.start : call.steps.stop]
        return GraphBox(
            label=self.name if call.number == 0 else kind,
            name="" if call.number == 0 else self._own[call.number],
            path=call.path,
            family=family(kind) if _is_atom(call) else "module",
            detail=_settings(module),
            shape=shape,
            parameters=sum(p.numel() for p in module.parameters() if not _is_lazy(p)),
            multiply_adds=sum(step.multiply_adds or 0 for step in steps) // self.found.image[0] + call.constants,
        )

    def _function_box(self, part: _Part) -> GraphBox:
        steps = [self.found.steps[number] for number in part.steps]
        name = part.function
        shape = next((step.outputs[0] for step in reversed(steps) if step.outputs), ())
        operator = steps[-1].operator
        sign = None if operator is None else _JOINS.get(operator)
        joins = sign is not None and len(self._sources(steps)) > 1
        return GraphBox(
            label=sign if sign is not None and joins else name,
            path=part.owner.path if part.owner else "",
            family="join" if joins else _family_of(operator),
            detail="" if joins or sign is None else "with a constant",
            shape=_words(shape[1:]),
            multiply_adds=sum(step.multiply_adds or 0 for step in steps) // self.found.image[0],
        )

    def _sources(self, steps: Sequence[TracedStep]) -> set[int]:
        own = {step.number for step in steps}
        return {source for step in steps for source in step.inputs} - own

    def _title(self, part: _Part) -> str:
        if part.call is not None:
            return part.call.path or self.name
        where = f" in {part.owner.path}" if part.owner and part.owner.path else ""
        return f"{part.function}{where}"


def _is_atom(call: ModuleCall) -> bool:
    """Whether a module is drawn as one box: torch's own without modules inside, such as a convolution."""
    own = type(call.module).__module__.startswith("torch.nn.")
    return own and not any(True for _ in call.module.children()) and call.number != 0


def _is_lazy(parameter: nn.Parameter) -> bool:
    return isinstance(parameter, nn.parameter.UninitializedParameter)


def _function(step: TracedStep) -> str:
    name = step.function[0] if step.function else step.operation.rpartition("::")[2]
    return name.strip("_") or name


def family(name: str) -> str:
    """The kind of work that a module does, by the name of its class; `other` if that does not tell."""
    lower = name.lower()
    return next((kind for kind, words in _OF_MODULE.items() if any(word in lower for word in words.split())), "other")


def _family_of(operator: Operator | None) -> str:
    """The kind of work that an operator does."""
    if operator is None:
        return "other"
    return _OF_OPERATOR.get(operator) or _OF_KIND.get(operator.kind, "other")


def _settings(module: nn.Module) -> str:
    """`3, stride 2, 32 groups`; what is as usual is left out."""
    found = settings_of(module)
    if not found:
        return ""
    rest = (
        f"stride {found['stride']}" if found.get("stride", "1") != "1" else "",
        f"dilation {found['dilation']}" if found.get("dilation", "1") != "1" else "",
        f"{found['groups']} groups" if found.get("groups", "1") != "1" else "",
    )
    return ", ".join(word for word in (f"kernel {found['kernel']}", *rest) if word)


def _words(shape: Iterable[int]) -> str:
    return " × ".join(map(str, shape))


def _lift(a: _Part, b: _Part, lifted: dict[_Part | None, dict[tuple[_Part | int, _Part | int], None]]) -> None:
    """Break a connection up into pieces, one per box that it runs through."""
    above_a, above_b = _ancestors(a), _ancestors(b)
    common = next(part for part in above_a if part in set(above_b))
    upper, lower = above_a.index(common), above_b.index(common)
    lifted.setdefault(common, {})[_below(a, above_a, upper), _below(b, above_b, lower)] = None
    for chain, own, count, inward in ((above_a, a, upper, False), (above_b, b, lower, True)):
        for k in range(count):
            inner = own if k == 0 else chain[k - 1]
            pair: tuple[_Part | int, _Part | int] = (ABOVE, inner) if inward else (inner, BELOW)
            lifted.setdefault(chain[k], {})[pair] = None


def _ancestors(part: _Part) -> list[_Part]:
    found = []
    while part.up is not None:
        part = part.up
        found.append(part)
    return found


def _below(part: _Part, chain: list[_Part], place: int) -> _Part:
    return part if place == 0 else chain[place - 1]


def _at(end: _Part | int, place: dict[_Part, int]) -> int:
    return end if isinstance(end, int) else place[end]
