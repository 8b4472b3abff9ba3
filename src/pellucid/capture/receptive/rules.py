"""What each operation does to boxes of pixels; see `propagation.py`.

In one file, since the rules are a few lines each, over the same few helpers.

Operations are named as ATen names them, so that modules, functions, tensor methods and TorchScript all meet the same
rule. An operation without a rule may use everything that it is given: its results get the box around all of that, which
is never too small, and a doubt that says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from pellucid.capture.operators import Operator, computed_by, declined, of, op

_NOWHERE = -(2**40)
"""In place of a position: this tap does not exist, even beyond the edge."""


@dataclass(frozen=True)
class Doubt:
    """Why a box may not be the last word: a rule that gives more than needed, or pixels chosen by their values."""

    kind: Literal["bound", "data"]
    why: str


@dataclass(frozen=True)
class OperatorCall:
    """One operation: its arguments by name, its result, and the boxes of what it was given."""

    func: Any
    given: Mapping[str, Any]
    out: Any
    known: Callable[[Tensor], Tensor | None]
    doubts: set[Doubt] = field(default_factory=set)

    @property
    def name(self) -> str:
        """The operation's name without overload and without the underscore of its in-place form."""
        space, _, name = self.func._schema.name.partition("::")
        return name.rstrip("_") if space == "aten" else f"{space}::{name}"

    @property
    def operator(self) -> Operator | None:
        """Which of the vocabulary computes it; None for operations that are not in it."""
        return computed_by(self.name)

    @property
    def shape(self) -> torch.Size:
        """Of the first result."""
        shape: torch.Size = next(t for t in tree_leaves(self.out) if isinstance(t, Tensor)).shape
        return shape

    def boxes(self, name: str) -> Tensor:
        """Boxes `[2 n, ...]` of one argument; infinity if it is a constant."""
        tensor = self.given[name]
        known = self.known(tensor) if isinstance(tensor, Tensor) else None
        if known is not None:
            return known
        some = self.tracked()[0]
        return some.new_full((len(some), *[1] * tensor.ndim), torch.inf).expand(-1, *tensor.shape)

    def tracks(self, *names: str) -> bool:
        """Whether one of these arguments depends on the picture."""
        tensors = [t for name in names for t in tree_leaves(self.given.get(name)) if isinstance(t, Tensor)]
        return any(self.known(t) is not None for t in tensors)

    def tracked(self) -> list[Tensor]:
        """Boxes of all arguments that depend on the picture."""
        tensors = [t for t in tree_leaves(self.given) if isinstance(t, Tensor)]
        return [boxes for t in tensors if (boxes := self.known(t)) is not None]


Rule = Callable[[OperatorCall], Tensor]


def rule_for(call: OperatorCall) -> tuple[Tensor | None, frozenset[Doubt]]:
    """Boxes of the call's first result, None if it is a constant; and new doubts about them."""
    operator = call.operator
    if operator is op.MAKE or call.name.startswith("new_") or call.name.endswith("_like"):
        return None, frozenset()
    places = _PLACES.get(operator) if operator else _PLACES_ELSEWHERE.get(call.name)
    if places and call.tracks(*places):
        return _everything(call), frozenset({Doubt("data", f"{call.name} chooses pixels by their values")})
    rule = _elementwise if elementwise(call) else _rule(operator)
    if rule is None:
        return _everything(call), frozenset({Doubt("bound", f"no rule for {call.name}")})
    return rule(call), frozenset(call.doubts)


def _rule(operator: Operator | None) -> Rule | None:
    return RULES.get(operator) if operator else None


def elementwise(call: OperatorCall) -> bool:
    """Whether each value is made of those at its own position, operands broadcast."""
    rule = _rule(call.operator)
    joins_two = rule is _reduce and "other" in call.given
    return joins_two or rule is _elementwise or (rule is None and torch.Tag.pointwise in call.func.tags)


def lean(boxes: Tensor, keep: int = 0) -> Tensor:
    """The same boxes with every expanded axis but one cut to length 1."""
    for axis in range(1, boxes.ndim):
        if boxes.stride(axis) == 0 and boxes.shape[axis] > 1 and axis != keep:
            boxes = boxes.narrow(axis, 0, 1)
    return boxes


def join(parts: Sequence[Tensor]) -> Tensor:
    """The box around each element's boxes; shapes are broadcast behind the first axis, as those of tensors are."""
    axes = max(part.ndim for part in parts)
    aligned = (lean(part).reshape(len(part), *[1] * (axes - part.ndim), *lean(part).shape[1:]) for part in parts)
    return reduce(torch.minimum, aligned)


def around(boxes: Tensor, axes: Sequence[int]) -> Tensor:
    """The box around all boxes along some of the tensor's axes, which keep the length 1."""
    ndim = boxes.ndim - 1
    wanted = sorted({axis % ndim + 1 for axis in axes}) if ndim else []
    if not wanted:
        return boxes
    lengths = [1 if axis in wanted else n for axis, n in enumerate(boxes.shape)]
    return lean(boxes).amin(wanted, keepdim=True).expand(lengths)


def box_around(parts: Tensor | Sequence[Tensor]) -> Tensor:
    """The one box around all boxes, `[2 n]`; around none it is that of a value that depends on nothing."""
    given = [parts] if isinstance(parts, Tensor) else parts
    found = [lean(part).flatten(1).amin(1) for part in given if part.numel()]
    return torch.stack(found).amin(0) if found else given[0].new_full((len(given[0]),), torch.inf)


def _everything(call: OperatorCall) -> Tensor:
    results = [t for t in tree_leaves(call.out) if isinstance(t, Tensor)]
    axes = results[0].ndim if results else 0
    return box_around(call.tracked()).reshape(-1, *[1] * axes)


def _elementwise(call: OperatorCall) -> Tensor:
    return join(call.tracked())


def _overwrite(source: str) -> Rule:
    """The old values are gone, where a call writes over them."""

    def rule(call: OperatorCall) -> Tensor:
        if not call.func._schema.name.endswith("_"):
            return _elementwise(call)
        if call.tracks(source):
            return join([call.boxes(source)])
        return torch.full_like(box_around(call.tracked()), torch.inf).reshape(-1, *[1] * len(call.shape))

    return rule


def _move(*indices: str) -> Rule:
    """Values are copied, left out and put elsewhere, by positions that do not depend on the picture."""

    def rule(call: OperatorCall) -> Tensor:
        count = len(call.tracked()[0])

        def plane(k: int) -> Tensor:
            def swap(value: Any) -> Any:
                if not isinstance(value, Tensor):
                    return value
                known = call.known(value)
                return torch.full(value.shape, torch.inf, device=value.device) if known is None else known[k]

            given = {n: v if n in indices else tree_map(swap, v) for n, v in call.given.items()}
            moved: Tensor = _plain(call)(**given)
            return moved

        return torch.stack([plane(k) for k in range(count)])

    return rule


def _plain(call: OperatorCall) -> Callable[..., Any]:
    """The same operation, not in place."""
    overload = call.func._overloadname
    functional: Callable[..., Any] = getattr(getattr(torch.ops.aten, call.name), overload)
    return functional


def take(boxes: Tensor, axis: int, taps: Tensor) -> Tensor:
    """The box around the values at some positions along one axis.

    Beyond the edge the boxes go on as they go at the edge, as on a picture without end: that is what zero padding
    stands for in the theory of receptive fields. Where they do not move along the axis there is nothing to go on.

    Args:
        boxes: `[2 n, ...]`.
        axis: of the tensor.
        taps: positions `[length of the result, taps]`, which may lie outside.
    """
    axis = axis % (boxes.ndim - 1) + 1
    lengths = [*boxes.shape[:axis], len(taps), *boxes.shape[axis + 1 :]]
    boxes = lean(boxes, keep=axis)
    taken = reduce(torch.minimum, (_take_one(boxes, axis, column) for column in taps.T.to(boxes.device)))
    return taken.expand(lengths)


def _take_one(boxes: Tensor, axis: int, positions: Tensor) -> Tensor:
    length = boxes.shape[axis]
    inside = positions.clamp(0, length - 1)
    taken = boxes.index_select(axis, inside)
    beyond = positions - inside
    for side, edge in ((beyond < 0, 0), (beyond > 0, max(length - 2, 0))):
        if bool(side.any()):
            places = side.nonzero()[:, 0]
            outside = _go_on(boxes, axis, edge, taken.index_select(axis, places), beyond[places])
            taken = taken.index_copy(axis, places, outside)
    return taken


def _go_on(boxes: Tensor, axis: int, edge: int, at_edge: Tensor, beyond: Tensor) -> Tensor:
    if boxes.shape[axis] < 2:
        return torch.full_like(at_edge, torch.inf)
    slope = boxes.narrow(axis, edge + 1, 1) - boxes.narrow(axis, edge, 1)
    first, last = slope.chunk(2)
    moves = first * last < 0  # the last pixels are negated
    distance = torch.where(beyond > _NOWHERE // 2, beyond, 0)
    distance = distance.to(boxes.dtype).reshape(-1, *[1] * (boxes.ndim - 1 - axis))
    moved = at_edge + torch.where(torch.cat([moves, moves]), slope, 0) * distance
    real = moves.any(0, keepdim=True) & (beyond > _NOWHERE // 2).reshape(distance.shape)
    return torch.where(real, moved, torch.inf)


def _window(length: int, size: int, step: int, padding: int, dilation: int) -> Tensor:
    starts = torch.arange(length) * step - padding
    return starts[:, None] + dilation * torch.arange(size)


def _spread(length: int, size: int, step: int, padding: int, dilation: int) -> Tensor:
    """Taps of a transposed convolution: position o hears from i where o = i step - padding + tap dilation."""
    away = torch.arange(length)[:, None] + padding - dilation * torch.arange(size)
    return torch.where(away % step == 0, away // step, _NOWHERE)


def _shares(length: int, before: int) -> Tensor:
    """Taps of adaptive pooling."""
    starts = [i * before // length for i in range(length)]
    stops = [-(-(i + 1) * before // length) for i in range(length)]
    longest = max(b - a for a, b in zip(starts, stops, strict=True))
    rows = [[a + k if a + k < b else _NOWHERE for k in range(longest)] for a, b in zip(starts, stops, strict=True)]
    return torch.tensor(rows)


def _each(values: Any, axes: int, default: Any = None) -> list[int]:
    """One number per axis."""
    numbers: list[int] = list(values if isinstance(values, Sequence) else [values]) or list(default)
    return numbers * axes if len(numbers) == 1 else numbers


def _convolution(call: OperatorCall) -> Tensor:
    if call.tracks("weight", "bias"):
        call.doubts.add(Doubt("bound", "a convolution whose weights depend on the picture"))
        return _everything(call)
    boxes, groups, weight = call.boxes("input"), call.given["groups"], call.given["weight"]
    axes = weight.ndim - 2
    step, padding, dilation = (_each(call.given[n], axes) for n in ("stride", "padding", "dilation"))
    if groups == 1 or lean(boxes).shape[2] == 1:  # or all channels alike
        mixed = around(boxes, [1])
    else:
        parted = boxes.reshape(*boxes.shape[:2], groups, -1, *boxes.shape[3:]).amin(3, keepdim=True)
        mixed = parted.expand(-1, -1, -1, call.shape[1] // groups, *boxes.shape[3:]).flatten(2, 3)
    taps = _spread if call.given["transposed"] else _window
    for k in range(axes):
        mixed = take(mixed, 2 + k, taps(call.shape[2 + k], weight.shape[2 + k], step[k], padding[k], dilation[k]))
    return mixed


def _pool(call: OperatorCall) -> Tensor:
    name = "self" if "self" in call.given else "input"
    boxes = call.boxes(name)
    axes = int(next(c for c in call.name if c.isdigit()))
    size = _each(call.given["kernel_size"], axes)
    step, padding = _each(call.given["stride"], axes, size), _each(call.given["padding"], axes)
    dilation = _each(call.given.get("dilation", 1), axes)
    for k in range(axes):
        boxes = take(boxes, k - axes, _window(call.shape[k - axes], size[k], step[k], padding[k], dilation[k]))
    return boxes


def _adaptive_pool(call: OperatorCall) -> Tensor:
    boxes = call.boxes("self")
    for k in range(-len(call.given["output_size"]), 0):
        boxes = take(boxes, k, _shares(call.shape[k], boxes.shape[k]))
    return boxes


def _resize(call: OperatorCall) -> Tensor:
    """Which positions a resized one is made of is read off the operation's answers to single ones."""
    name = "self" if "self" in call.given else "input"
    boxes, axes = call.boxes(name), len(call.given["output_size"])
    scales = [n for n in call.given if n.startswith("scales")]
    for k in range(axes):
        before, after = call.given[name].shape[k - axes], call.shape[k - axes]
        # two places along the other axes: along one, torch reads some tensors in another order of memory
        beside = [before if j == k else 2 for j in range(axes)]
        line = torch.eye(before).reshape(1, before, *[before if j == k else 1 for j in range(axes)])
        impulses = line.expand(1, before, *beside).contiguous()
        sizes = [after if j == k else 2 for j in range(axes)]
        own = {n: call.given[n] if j == k else None for j, n in enumerate(scales)}
        answers = call.func(**{**call.given, name: impulses, "output_size": sizes, **own})
        used = answers[(0, slice(None), *[slice(None) if j == k else 0 for j in range(axes)])].T != 0
        rows = [row.nonzero()[:, 0].tolist() for row in used]
        longest = max(map(len, rows))
        taps = torch.tensor([row + [_NOWHERE] * (longest - len(row)) for row in rows])
        boxes = take(boxes, k - axes, taps)
    return boxes


def _pad(call: OperatorCall) -> Tensor:
    boxes, pad = call.boxes("self"), call.given["pad"]
    for k in range(len(pad) // 2):
        length = call.given["self"].shape[-1 - k]
        boxes = take(boxes, -1 - k, torch.arange(-pad[2 * k], length + pad[2 * k + 1])[:, None])
    return boxes


def _pad_from_inside(call: OperatorCall) -> Tensor:
    """Reflected or repeated values, and what the theory sees there."""
    boxes, pad = call.boxes("self"), call.given["padding"]
    beyond = boxes
    for k in range(len(pad) // 2):
        length = call.given["self"].shape[-1 - k]
        beyond = take(beyond, -1 - k, torch.arange(-pad[2 * k], length + pad[2 * k + 1])[:, None])
    return join([_move()(call), beyond])


def factors_of(call: OperatorCall) -> tuple[str, str, tuple[str, ...]] | None:
    """Names of a matrix product's factors, and of what is added to it."""
    found = (row for row in _FACTORS if {row[0], row[1], *row[2]} <= set(call.given))
    return next(found, None)


_FACTORS = (
    ("mat1", "mat2", ("self",)), ("batch1", "batch2", ("self",)), ("mat", "vec", ("self",)), ("self", "mat2", ()),
    ("self", "vec", ()),
)  # fmt: skip


def matrix_product(call: OperatorCall) -> Tensor:
    """Rows of the left factor meet columns of the right one."""
    if "weight" in call.given:
        return _dense(call)
    named = factors_of(call)
    if named is None:
        call.doubts.add(Doubt("bound", f"no rule for {call.name}"))
        return _everything(call)
    first, second, added = named
    a, b = call.boxes(first), call.boxes(second)
    rows = around(a, [-1])
    columns = around(b, [-2 if b.ndim > 2 else -1])
    parts = [rows.squeeze(-1) if b.ndim == 2 else rows, columns.squeeze(-1) if b.ndim == 2 else columns]
    return join([*parts, *(call.boxes(name) for name in added)])


def _dense(call: OperatorCall) -> Tensor:
    if call.tracks("weight", "bias"):
        call.doubts.add(Doubt("bound", "a dense layer whose weights depend on the picture"))
        return _everything(call)
    return around(call.boxes("input"), [-1])


def _attention(call: OperatorCall) -> Tensor:
    query, key, value = (call.boxes(name) for name in ("query", "key", "value"))
    mask = next((call.given[n] for n in ("attn_mask", "attn_bias") if isinstance(call.given.get(n), Tensor)), None)
    if call.given.get("is_causal") or (
        mask is not None and bool((~mask if mask.dtype == torch.bool else mask < -1e4).any())
    ):
        call.doubts.add(Doubt("bound", "attention with a mask"))
    if query.shape[2:-2] != key.shape[2:-2] or (mask is not None and call.tracks("attn_mask", "attn_bias")):
        call.doubts.add(Doubt("bound", "attention of an unusual kind"))
        return _everything(call)
    return join([around(query, [-1]), around(key, [-2, -1]), around(value, [-2])])


def _reduce(call: OperatorCall) -> Tensor:
    if "other" in call.given:
        return _elementwise(call)
    boxes, axes = call.boxes("self"), call.given.get("dim")
    chosen = [axes] if isinstance(axes, int) else list(axes or range(boxes.ndim - 1))
    return around(boxes, chosen).expand(-1, *_kept(call, chosen)).reshape(len(boxes), *call.shape)


def _kept(call: OperatorCall, chosen: Sequence[int]) -> list[int]:
    shape = call.given["self"].shape
    gone = {axis % len(shape) for axis in chosen} if len(shape) else set()
    return [1 if axis in gone else n for axis, n in enumerate(shape)]


def _along(call: OperatorCall) -> Tensor:
    """Every value depends on all others along an axis."""
    return around(call.boxes("self"), [call.given["dim"]])


def _so_far(call: OperatorCall) -> Tensor:
    boxes = call.boxes("self")
    return boxes.cummin(call.given["dim"] % (boxes.ndim - 1) + 1).values if boxes.ndim > 1 else boxes


def _layer_norm(call: OperatorCall) -> Tensor:
    return around(call.boxes("input"), range(-len(call.given["normalized_shape"]), 0))


def _group_norm(call: OperatorCall) -> Tensor:
    boxes = call.boxes("input")
    parted = boxes.reshape(*boxes.shape[:2], call.given["group"], -1)
    parted = parted.amin(3, keepdim=True).expand(-1, -1, -1, math.prod(boxes.shape[2:]) // parted.shape[2])
    return parted.reshape(boxes.shape)


def _batch_norm(call: OperatorCall) -> Tensor:
    boxes = call.boxes("input")
    if not call.given.get("training"):
        return boxes
    return around(boxes, [axis for axis in range(boxes.ndim - 1) if axis != 1])


def _gated(call: OperatorCall) -> Tensor:
    """One half of the channels weighs the other one."""
    return join(call.boxes("self").chunk(2, call.given["dim"] % len(call.given["self"].shape) + 1))


def _columns(call: OperatorCall) -> Tensor:
    boxes, given = call.boxes("self"), call.given
    for k, n in enumerate(given["padding"]):
        boxes = take(boxes, -2 + k, torch.arange(-n, given["self"].shape[-2 + k] + n)[:, None])
    boxes = boxes.expand(-1, *given["self"].shape[:-2], *boxes.shape[-2:])
    return torch.stack(
        [call.func(b.contiguous(), given["kernel_size"], given["dilation"], [0, 0], given["stride"]) for b in boxes]
    )


def _copied(call: OperatorCall) -> Tensor:
    return _overwrite("src")(call) if "src" in call.given else _elementwise(call)


def _filled(call: OperatorCall) -> Tensor:
    return _overwrite("value" if call.name == "fill" else "")(call)


def _put(call: OperatorCall) -> Tensor:
    """Values put into places told by number, which replace what was there."""
    added = call.given.get("accumulate") or call.given.get("reduce") is not None
    if call.name not in ("index_put", "scatter", "slice_scatter", "select_scatter") or added:
        call.doubts.add(Doubt("bound", f"no rule for {call.name}{' that adds up' * bool(added)}"))
        return _everything(call)
    if isinstance(call.given.get("value"), (int, float)):  # a constant depends on nothing
        call = replace(call, given={**call.given, "value": torch.inf})
    return _move("indices", "index")(call)


RULES: dict[Operator, Rule] = {
    **dict.fromkeys(of("elementwise"), _elementwise),
    **dict.fromkeys(
        (
            op.ADD, op.SUB, op.RSUB, op.MUL, op.DIV, op.RDIV, op.POW, op.RPOW, op.FLOAT_POW, op.ATAN2, op.HYPOT,
            op.REMAINDER, op.FMOD, op.FLOOR_DIVIDE, op.COMPARISON, op.ADDCMUL, op.ADDCDIV, op.LERP, op.MAXIMUM,
            op.MINIMUM, op.FMAX, op.FMIN, op.OUTER, op.DROPOUT, op.WHERE, op.MASKED_FILL, op.TRIANGLE,
        ),
        _elementwise,
    ),
    **dict.fromkeys((op.FFT, op.NATIVE_ATTENTION), _everything),
    **dict.fromkeys(
        (
            op.MEAN, op.SUM, op.NANSUM, op.MAX, op.MIN, op.AMAX, op.AMIN, op.AMINMAX, op.MEDIAN, op.NANMEDIAN, op.MODE,
            op.KTHVALUE, op.PROD, op.VAR, op.STD, op.VAR_MEAN, op.STD_MEAN, op.NORM, op.LOGSUMEXP, op.COUNTING,
        ),
        _reduce,
    ),
    op.COPY: _copied,
    op.FILL: _filled,
    **dict.fromkeys((op.CONVOLUTION, op.TRANSPOSED_CONVOLUTION), _convolution),
    **dict.fromkeys((op.MAX_POOL, op.AVG_POOL), _pool),
    **dict.fromkeys((op.ADAPTIVE_AVG_POOL, op.ADAPTIVE_MAX_POOL), _adaptive_pool),
    op.INTERPOLATE: _resize,
    op.PAD: lambda call: _pad(call) if call.name == "constant_pad_nd" else _pad_from_inside(call),
    **dict.fromkeys(
        (op.MATMUL, op.LINEAR, op.EINSUM, op.TENSORDOT, op.ADDMM, op.ADDMV, op.BADDBMM), matrix_product
    ),
    op.FUSED_ATTENTION: _attention,
    **dict.fromkeys((op.SOFTMAX, op.LOG_SOFTMAX, op.SORT, op.TOPK), _along),
    **dict.fromkeys((op.CUMSUM, op.CUMPROD, op.LOGCUMSUMEXP, op.CUMMAX, op.CUMMIN), _so_far),
    op.GLU: _gated,
    **dict.fromkeys((op.LAYER_NORM, op.RMS_NORM), _layer_norm),
    op.GROUP_NORM: _group_norm,
    op.BATCH_NORM: _batch_norm,
    **dict.fromkeys(
        (op.VIEW, op.CAT, op.STACK, op.ROLL, op.FLIP, op.REPEAT, op.PIXEL_SHUFFLE, op.CHANNEL_SHUFFLE), _move()
    ),
    op.GETITEM: _move("indices"),
    **dict.fromkeys((op.INDEX_SELECT, op.GATHER, op.TAKE), _move("index")),
    op.SCATTER: _put,
    op.IM2COL: _columns,
}  # fmt: skip
SHARED = frozenset({op.EXPAND, op.PERMUTE, op.SQUEEZE, op.SPLIT, op.MAKE})
"""Views share the boxes of the memory that they look at, and constants have none: no rule is asked."""
DECLINED: dict[Operator, str] = {
    **declined("its windows are drawn by chance", op.FRACTIONAL_MAX_POOL),
    **declined("where values go, the picture says", op.MAX_UNPOOL, op.MASKED_SELECT, op.GRID_SAMPLE, op.EMBEDDING),
    **declined("recurrence mixes all steps", op.LSTM, op.GRU, op.RNN, op.RNN_CELL),
    **declined("adds up columns that overlap", op.COL2IM),
    **declined(
        "every value may meet every other: the box around all", op.ADDBMM, op.ADDR, op.DOT, op.BILINEAR, op.CDIST,
        op.SHORT_MATMUL, op.SCALED_MATMUL,
    ),
    **declined("a kernel of other processors with other arguments", op.SLOW_CONVOLUTION),
}  # fmt: skip
_PLACES: Mapping[Operator, tuple[str, ...]] = {
    op.GETITEM: ("indices",),
    op.SCATTER: ("indices", "index", "mask"),
    op.INDEX_SELECT: ("index",),
    op.GATHER: ("index",),
    op.TAKE: ("index",),
    op.EMBEDDING: ("indices",),
    op.MASKED_SELECT: ("mask",),
    op.GRID_SAMPLE: ("grid",),
    op.MAX_UNPOOL: ("indices",),
}
"""Arguments that say which pixels are chosen."""
_PLACES_ELSEWHERE: Mapping[str, tuple[str, ...]] = {
    "nonzero": ("self",),
    "bincount": ("self",),
    "multinomial": ("self",),
    "torchvision::deform_conv2d": ("offset", "mask"),
    "torchvision::roi_align": ("rois",),
    "torchvision::roi_pool": ("rois",),
    "torchvision::ps_roi_align": ("rois",),
    "torchvision::ps_roi_pool": ("rois",),
    "torchvision::nms": ("dets",),
}
"""The same of operations that are in no vocabulary."""
