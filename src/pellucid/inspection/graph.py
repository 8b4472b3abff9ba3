"""A network as a drawing: nested boxes from top to bottom, with every function call, addition and concatenation.

A box is a module call, or a function called in a module's code. Inside a module its parts stand in *ranks*: each is one
rank below the lowest of those that it hears from. Where everything stands depends only on the module itself, so that
folding one never moves the insides of another.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from torch import nn

from pellucid.capture.tracing import INPUT, ModuleCall, Trace, TracedStep
from pellucid.inspection.structure import settings_of

ABOVE, BELOW = -1, -2
"""In place of an item's place: what comes into the box from above, and what leaves it below."""
MOST = 60
"""A box with more parts than this has them folded, run by run."""

_JOINS = {"add": "+", "iadd": "+", "radd": "+", "sub": "−", "isub": "−", "rsub": "−", "mul": "×", "imul": "×",
          "rmul": "×", "truediv": "÷", "div": "÷", "cat": "cat", "concat": "cat", "concatenate": "cat",
          "stack": "stack", "matmul": "·", "bmm": "·", "mm": "·", "where": "where", "maximum": "max"}  # fmt: skip
_FAMILIES = {
    "convolution": "conv",
    "norm": "norm",
    "pooling": "pool",
    "dense": "linear addmm attention embedding lstm gru rnn bilinear",
    "activation": """
        relu elu gelu silu sigmoid tanh softmax swish mish hardtanh softplus softsign threshold glu shrink
    """,
    "moving": """
        flatten view reshape permute transpose squeeze slice getitem pad chunk split roll expand contiguous clone
        upsample interpolate shuffle unbind detach repeat select movedim alias t to unfold copy
    """,
}


@dataclass(frozen=True)
class GraphLine:
    """A connection inside a box.

    Attributes:
        start, end: numbers of items, or `ABOVE` and `BELOW`.
        lane: 0 runs straight down to the next rank; others run down beside the ranks between.
    """

    start: int
    end: int
    lane: int = 0


@dataclass(frozen=True, eq=False)
class GraphBox:
    """A module call, a function call, or a run of parts folded together.

    Attributes:
        label: what it is, such as `Conv2d` or `+`.
        name: how its owner calls it; "" for functions.
        path: the module's dotted path, or that of the module whose code called the function.
        family: convolution, norm, activation, pooling, dense, join, moving, module, run, end or other.
        detail: settings in words, such as `3, stride 2`.
        shape: of the output, without the batch axis, in words.
        parameters, multiply_adds: as in the table, of this call.
        reads: the boxes it hears from, by name, wherever they are.
        items: what lies inside, in the order of the pass.
        ranks: numbers of the items, rank by rank from above, each from left to right.
        lines: connections between the items.
        lanes: how many lanes there are beside the ranks.
    """

    label: str
    name: str = ""
    path: str = ""
    family: str = "module"
    detail: str = ""
    shape: str = ""
    parameters: int = 0
    multiply_adds: int = 0
    reads: tuple[str, ...] = ()
    items: tuple[GraphBox, ...] = ()
    ranks: tuple[tuple[int, ...], ...] = ()
    lines: tuple[GraphLine, ...] = ()
    lanes: int = 0

    @property
    def count(self) -> int:
        """How many boxes lie inside, on all levels."""
        return sum(1 + item.count for item in self.items)


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
        joins = name in _JOINS and len(self._sources(steps)) > 1
        return GraphBox(
            label=_JOINS[name] if joins else name,
            path=part.owner.path if part.owner else "",
            family="join" if joins else family(name),
            detail="" if joins or name not in _JOINS else "with a constant",
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
    """The kind of work that a module or function does, by its name; `other` if that does not tell."""
    lower = name.lower().strip("_")
    for kind, words in _FAMILIES.items():
        if any(word in lower if len(word) > 2 else word == lower for word in words.split()):
            return kind
    return "other"


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


def folded(box: GraphBox, pairs: Sequence[tuple[int, int]]) -> GraphBox:
    """Arrange a box's items; if there are too many, runs of them become boxes of their own first.

    Args:
        box: with its items, not arranged yet.
        pairs: connections between the items, by their numbers, `ABOVE` and `BELOW`; they only run forwards.
    """
    ends = sum(item.family == "end" for item in box.items)
    while len(box.items) > MOST + ends:
        box, pairs = _fold_once(box, pairs)
    return arranged(box, pairs)


def _fold_once(box: GraphBox, pairs: Sequence[tuple[int, int]]) -> tuple[GraphBox, list[tuple[int, int]]]:
    """Make one box of every run of items; the network's input and output stay alone."""
    runs = _runs(box.items)
    where = {k: (number, k - run.start) for number, run in enumerate(runs) for k in run}
    inner: list[dict[tuple[int, int], None]] = [{} for _ in runs]
    outer: dict[tuple[int, int], None] = {}
    for a, b in pairs:
        (run_a, place_a), (run_b, place_b) = where.get(a, (a, a)), where.get(b, (b, b))
        if run_a == run_b:
            inner[run_a][place_a, place_b] = None
            continue
        outer[run_a, run_b] = None
        if a >= 0:
            inner[run_a][place_a, BELOW] = None
        if b >= 0:
            inner[run_b][ABOVE, place_b] = None
    made = [
        _run(box, run, list(found)) if len(run) > 1 else box.items[run.start]
        for run, found in zip(runs, inner, strict=True)
    ]
    return replace(box, items=tuple(made)), list(outer)


def _runs(items: Sequence[GraphBox]) -> list[range]:
    first = 1 if items[0].family == "end" else 0
    last = len(items) - (items[-1].family == "end")
    length = max(2, min(MOST // 2, math.ceil((last - first) / (MOST // 2))))
    middle = [range(start, min(start + length, last)) for start in range(first, last, length)]
    return [*(range(k, k + 1) for k in range(first)), *middle, *(range(k, k + 1) for k in range(last, len(items)))]


def _run(box: GraphBox, run: range, pairs: Sequence[tuple[int, int]]) -> GraphBox:
    items = box.items[run.start : run.stop]
    whole = sum(item.count if item.family == "run" else 1 for item in items)
    made = GraphBox(
        f"{_end(items[0], 0)} … {_end(items[-1], -1)}", path=box.path, family="run", detail=f"{whole} parts",
        shape=items[-1].shape, parameters=sum(i.parameters for i in items),
        multiply_adds=sum(i.multiply_adds for i in items), items=items,
    )  # fmt: skip
    return arranged(made, pairs)


def _end(box: GraphBox, side: int) -> str:
    """The name of the first or last part of a run."""
    return _end(box.items[side], side) if box.family == "run" else box.name or box.label


def arranged(box: GraphBox, pairs: Sequence[tuple[int, int]]) -> GraphBox:
    """Give a box's items their ranks, their order from left to right, and lanes to long connections."""
    if not box.items:
        return box
    above: list[list[int]] = [[] for _ in box.items]
    for a, b in pairs:
        if a >= 0 and b >= 0:
            above[b].append(a)
    level: list[int] = []
    for k in range(len(box.items)):
        level.append(1 + max((level[a] for a in above[k]), default=-1))
    if box.items[-1].family == "end":
        level[-1] = max(level[:-1], default=-1) + 1  # the output stands below all else
    ranks = _ordered(level, above)
    lines, lanes = _with_lanes(pairs, level)
    return replace(box, ranks=tuple(map(tuple, ranks)), lines=tuple(lines), lanes=lanes)


def _ordered(level: Sequence[int], above: Sequence[Sequence[int]]) -> list[list[int]]:
    """Items rank by rank, each rank in the order of the middles of what its items hear from."""
    ranks: list[list[int]] = [[] for _ in range(max(level) + 1)]
    middle: dict[int, float] = {}
    for k, rank in enumerate(level):
        ranks[rank].append(k)
    for items in ranks:
        wish = {k: sum(middle[a] for a in above[k]) / len(above[k]) if above[k] else 0.5 for k in items}
        items.sort(key=lambda k: (wish[k], k))
        middle |= {k: (place + 0.5) / len(items) for place, k in enumerate(items)}
    return ranks


def _with_lanes(pairs: Sequence[tuple[int, int]], level: Sequence[int]) -> tuple[list[GraphLine], int]:
    """Connections that skip a rank share one lane per start; lanes are taken again when they are free."""
    bottom = max(level) + 1

    def rank(end: int) -> int:
        return -1 if end == ABOVE else bottom if end == BELOW else level[end]

    reach: dict[int, int] = {}
    for a, b in pairs:
        if rank(b) - rank(a) > 1:
            reach[a] = max(reach.get(a, 0), rank(b))
    free: list[int] = []  # per lane, the rank where it ends
    lane: dict[int, int] = {}
    for a in sorted(reach, key=lambda a: (rank(a), reach[a])):
        taken = next((k for k, end in enumerate(free) if end <= rank(a)), len(free))
        free[taken : taken + 1] = [reach[a]]
        lane[a] = taken + 1
    lines = [GraphLine(a, b, lane[a] if rank(b) - rank(a) > 1 else 0) for a, b in pairs]
    return lines, len(free)
