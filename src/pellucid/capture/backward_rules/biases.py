"""Biases: a pass that takes the plain gradient and notes what every constant of the network adds to the score.

For a network of affine operations and rectifiers, S(x) = sum_i x_i dS/dx_i + sum_l b_l . dS/db_l (Srinivas & Fleuret,
arXiv:1905.00780, eq. 3), where b_l runs over all biases: of convolutions and dense layers, the shift of batch norm,
added constants, and the implicit biases f(z) - z f'(z) of activations that are no rectifiers (section 4.1) and -x y of
products x * y, such as gates. The gradient with respect to a bias is that at the operation's output.

Norms over a sample and attention have no rule on purpose. A layer norm does not change with the scale of its input, so
all that lies below it adds up to nothing and the decomposition, though exact, says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from pellucid.capture.backward_rules.base import Rewriting
from pellucid.capture.backward_rules.relu import activation_word, as_rectifier
from pellucid.capture.operators import (
    ABSENT,
    ACTIVATIONS,
    ADDING,
    FACTORS,
    IN_PARTS,
    SAMPLE_NORMS,
    WITH_WEIGHTS,
    Call,
    Operator,
    behind,
    called,
    chooses,
    constant_batch_norm,
    declined,
    depends,
    in_parts,
    is_linear,
    made_by,
    nodes,
    of,
    op,
    plain_name,
    product_of_two,
    strangers,
    summands,
    weighted,
)
from pellucid.contracts import Canvas, Model
from pellucid.numerics import full_precision, rescaled_map, sums_up


def _word(node: str) -> str | None:
    return "constants joined to values" if node in ("cat", "stack") else activation_word(node)


class Biases(Rewriting):
    """The gradient, and beside it the share of every bias in the score."""

    gives_to_constants = True

    def __init__(self) -> None:
        super().__init__()
        self.rows = torch.zeros(0)
        self.canvas = Canvas((0, 0), (0, 0))
        self.seen: set[Any] = set()
        self.axes: dict[Any, int] = {}  # of channels, in what operations with weights gave
        self.lost: set[Any] = set()  # what has as many axes as the input, of which none is known to be that of channels
        self.others: set[Any] = set()  # what adds something to values whose first axis is not that of the pictures
        self.parts: list[Tensor] = []
        self.maps: list[Tensor] = []
        self.sums: list[Tensor] = []

    def feed(self, rows: Tensor, model: Model) -> Tensor:
        """The rows themselves; notes their size."""
        self.rows = full_precision(rows.detach())
        self.canvas = model.canvas_of(tuple(rows.shape[2:]))
        return rows

    def collected(self, number: int) -> Mapping[str, Tensor]:  # noqa: ARG002
        """`parts` `[n, bias]` in the order of the backward pass, `map` `[n, *axes]` of those with a grid."""
        parts, maps, self.parts, self.maps = self.parts, self.maps, [], []
        together = torch.stack(parts, 1) if parts else self.rows.new_zeros(len(self.rows), 0)
        self.sums.append(together.sum(1))
        return {
            "parts": together,
            "map": sum(maps, torch.zeros_like(self.rows[:, 0])),
        }

    def holds(self, rows: Tensor, signal: Tensor, score: Tensor, number: int) -> bool:
        """Whether pixels and biases together give the score, but for rounding."""
        pixels = (signal * rows).flatten(1).sum(1)
        return sums_up(torch.stack([pixels, self.sums[number]], 1), score, score)

    def uncovered(self, made: Collection[Any]) -> tuple[str, ...]:
        """Operations that are neither affine nor rectifiers, and those whose bias was out of sight."""
        return (
            *strangers(made, self._knows, _word),
            *[_LOST] * (not self.lost.isdisjoint(made)),
            *[_OTHERS] * (not self.others.isdisjoint(made)),
        )

    def _knows(self, node: Any) -> bool:
        name = plain_name(node)
        live = [below is not None for below, _ in node.next_functions].count(True)
        traits = operator.traits if (operator := behind(name)) else frozenset()
        joins_constants = "joining" in traits or operator in (op.MAXIMUM, op.MINIMUM)
        if joins_constants and live < len(node.next_functions):
            return False
        if node in self.seen or (made_by(node) is None and chooses(name)):
            return True
        # what is weighted adds a constant that its node does not tell: it must have been seen by the pass
        return made_by(node) is None and is_linear(node) and not ("weighted" in traits and live == 1)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.check_call(func)
        call = (func, args, kwargs or {})
        if called(func) in IN_PARTS and torch.is_grad_enabled():
            with self:
                parts = in_parts(call)
            if parts is not None:
                return parts
        bias, inputs = _bias(call) if torch.is_grad_enabled() else _NONE
        below = [x.grad_fn for x in inputs]
        result = func(*args, **call[2])
        if inputs:
            self.seen.update(nodes(result, *below))
        operator = called(func)
        if inputs and (operator in WITH_WEIGHTS or operator is op.BATCH_NORM):
            self.axes[result.grad_fn] = result.ndim - 1 if operator is op.LINEAR else 1
        if callable(bias):
            bias = bias(result)
        if bias is not None:
            if not result.ndim or len(result) != len(self.rows):
                self.others.add(result.grad_fn)
                return result
            axis = self._channel_axis(result.grad_fn)
            if result.ndim == self.rows.ndim and not axis:
                self.lost.add(result.grad_fn)
            result.register_hook(lambda signal: self._note(signal, bias, axis))
        return result

    def _channel_axis(self, node: Any) -> int:
        """In a tensor with the input's number of axes: that of the nearest operation with weights below, through turns.

        0 where a turn of another number of axes, or one of the pictures' own axis, stands in between.
        """
        turns = []
        while node is not None and node not in self.axes:
            turns.append(node)
            node = next((below for below, _ in node.next_functions if below is not None), None)
        axis = self.axes.get(node, 1)  # 1 is that of the picture itself
        for turn in reversed(turns):
            axis = _turned(turn, axis, self.rows.ndim) if axis else 0
        return axis

    def _note(self, signal: Tensor, bias: Tensor, axis: int) -> None:
        part = full_precision(signal) * bias
        self.parts.append(part.reshape(len(self.rows), -1).sum(1))
        if not axis or part.ndim < self.rows.ndim:
            return
        part = _without_idle_axes(part.movedim(axis, 1), self.rows.ndim)
        if part.ndim == self.rows.ndim:
            pixels = tuple(self.rows.shape[2:])
            self.maps.append(rescaled_map(part, pixels, self.canvas))


def _without_idle_axes(part: Tensor, axes: int) -> Tensor:
    """Without the axes of one place, `[n, channel, ...]`, where so many axes are left then: a picture as a volume."""
    idle = tuple(k for k in range(2, part.ndim) if part.shape[k] == 1)
    return part.squeeze(idle) if idle and part.ndim - len(idle) == axes else part


def _turned(node: Any, axis: int, axes: int) -> int:
    """Where an axis of so many comes to lie behind a node that permutes them; 0 if it permutes others."""
    name = plain_name(node)
    if name == "permute":
        if len(node._saved_dims) != axes:
            return 0
        return [_signed(dim, axes) for dim in node._saved_dims].index(axis)
    if name == "transpose":
        swapped = (_signed(node._saved_dim0, axes), _signed(node._saved_dim1, axes))
        return swapped[1 - swapped.index(axis)] if axis in swapped else axis
    return axis


def _signed(dim: int, axes: int) -> int:
    """Torch hands out negative numbers of axes as unsigned ones of 64 bits."""
    return (dim - 2**64 if dim >= 2**63 else dim) % axes


_LOST = "a turn behind which channels cannot be told from places"
_OTHERS = "a constant that is added where the first axis is not that of the pictures"

BiasOf = tuple[Any, tuple[Tensor, ...]]
_CURVED = "no straight line, and no function of one value that this pass takes apart"
_NONE: tuple[None, tuple[Tensor, ...]] = (None, ())


def _bias(call: Call) -> BiasOf:
    """What a call adds (a tensor, or a function of its result), and its inputs; nothing for all other calls."""
    operator = called(call[0])
    rule = RULES.get(operator) if operator else None
    return _NONE if rule is None else rule(call)


def _weighted(call: Call) -> BiasOf:
    found = weighted(call)
    return (_per_channel(found[1].bias, found[1].kind), (found[0],)) if found else _NONE


def _norm(call: Call) -> BiasOf:
    norm = constant_batch_norm(call)
    return (lambda y: norm[2].reshape(-1, *[1] * (y.ndim - 2)), (norm[0],)) if norm else _NONE


def _sum(call: Call) -> BiasOf:
    args = call[1]
    if [depends(t) for t in args].count(True) != 1:
        return _NONE
    both = summands(call)
    which = int(depends(args[0]))
    return (both[which], (args[1 - which],)) if both else _NONE


def _product(call: Call) -> BiasOf:
    product = product_of_two(call)
    return (lambda y: -full_precision(y.detach()), product[:2]) if product else _NONE


def _per_channel(bias: Tensor | None, kind: str) -> Any:
    if bias is None or kind == "dense":
        return bias
    return lambda y: bias.reshape(-1, *[1] * (y.ndim - 2))


def _is_activation(func: Any) -> bool:
    operator = called(func)
    return operator is not None and "activation" in operator.traits


def _implicit(call: Call) -> BiasOf:
    """f(z) - z f'(z) of an activation."""
    func, args, kwargs = call
    found = as_rectifier(func, args, kwargs)
    x = found[0] if found else args[0] if args and _is_activation(func) else None
    if not isinstance(x, Tensor) or not depends(x):
        return _NONE
    if found and found[1] == float("inf"):
        return None, (x,)
    with torch.enable_grad():
        z = x.detach().clone().requires_grad_()
        y = func(*[z.clone() if a is x else a for a in args], **kwargs)
        return full_precision(y.detach() - z.detach() * torch.autograd.grad(y.sum(), z)[0]), (x,)


def _hidden(call: Call) -> BiasOf:
    """Nothing, where values are replaced by 0: what is left is straight, as behind a rectifier."""
    x, _, value = op.MASKED_FILL.bind(call[1], call[2], call[0]).values()
    return (None, (x,)) if depends(x) and not isinstance(value, Tensor) and value == 0 else _NONE


RULES: dict[Operator, Callable[[Call], BiasOf]] = {
    **dict.fromkeys(WITH_WEIGHTS, _weighted),
    op.BATCH_NORM: _norm,
    **dict.fromkeys(ADDING, _sum),
    **dict.fromkeys(FACTORS, _product),
    op.MASKED_FILL: _hidden,
    **dict.fromkeys((*ACTIVATIONS, op.CLAMP, op.CLAMP_MIN), _implicit),
}
DECLINED: dict[Operator, str] = {
    **declined("what lies below a norm over a sample adds up to nothing", *SAMPLE_NORMS),
    **declined("attention weighs values by values", op.FUSED_ATTENTION, op.NATIVE_ATTENTION),
    **declined(_CURVED, *of(kinds=("activations", "arithmetic", "reductions", "products", "recurrent"))),
    **declined("adds a constant that its node does not tell", *of("weighted")),
    **declined("where values go, the picture may say", *of("by mask"), op.SCATTER, op.MASKED_SELECT, op.EMBEDDING),
    **declined("its windows are drawn by chance, or told by the picture", op.FRACTIONAL_MAX_POOL, op.MAX_UNPOOL),
    **declined("values that come from nowhere", op.FILL),
    **declined("computed inside, out of sight", op.NORMALIZE, op.LOCAL_RESPONSE_NORM, op.LP_POOL),
}
DECLINED = {each: reason for each, reason in DECLINED.items() if each not in RULES and each not in ABSENT}
