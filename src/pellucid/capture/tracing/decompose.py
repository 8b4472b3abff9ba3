"""One value of one operation, taken apart into what it was made of."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.capture.operators import Operator, computed_by, declined, of, op
from pellucid.capture.tracing.traced import KeptStep


@dataclass(frozen=True, eq=False)
class Pieces:
    """The cells that one value is made of.

    Attributes:
        kind: `sum` (cells times weights, plus a bias), `maximum` (one of the cells) or `mean`.
        cells: what the operation saw, `[channel, *window]`; for dense layers `[feature]`. Padding is there as the
            operation counts it: 0 for sums, minus infinity for maxima.
        weights: of the same shape; for means 1 over their number, for maxima 1 at the winner.
        bias: added to the sum.
        backward: what a gradient of 1 at the value sends to the cells, of the same shape, by torch's own derivative.
        start: place of the window's first cell in the operation's input, one number per axis of positions; may lie in
            the padding.
        step: from one cell of the window to the next.
        value: what the operation gave.
    """

    kind: str
    cells: Tensor
    weights: Tensor
    bias: float
    backward: Tensor
    start: tuple[int, ...]
    step: tuple[int, ...]
    value: float

    @property
    def products(self) -> Tensor:
        """Cells times weights, in float64; 0 where the weight is 0."""
        products = self.cells.double() * self.weights.double()
        return torch.where(self.weights == 0, 0.0, products)

    @property
    def worked(self) -> float:
        """The value worked out from the pieces in float64: the sum of all products and the bias."""
        return float(self.products.sum()) + self.bias

    @property
    def winner(self) -> tuple[int, ...] | None:
        """Place of the largest cell in the window, for maxima."""
        if self.kind != "maximum":
            return None
        return tuple(int(k) for k in torch.unravel_index(self.cells.flatten().argmax(), self.cells.shape))


def take_apart(step: KeptStep, unit: int, at: tuple[int, ...]) -> Pieces | None:
    """The pieces of one value of an operation's first sample.

    Args:
        step: a convolution, a dense layer, or max, average or global pooling.
        unit: channel or feature of the output.
        at: position on the output's grid; for dense layers the row of the matrix, or nothing.

    Returns:
        None for other operations.
    """
    operator = computed_by(step.func._schema.name.removeprefix("aten::"))
    rule = RULES.get(operator) if operator else None
    return None if rule is None else rule(step, unit, at)


def take_pools_apart(layer: nn.Module, x: Tensor, unit: int, at: tuple[int, ...]) -> Pieces:
    """The pieces of one value of a layer that mixes several ways of pooling.

    Such a mixture doubles when its cells double, so the value is the sum of cells times slopes (Euler).

    Args:
        layer: the module; must be in evaluation mode.
        x: its input `[1, channel, *positions]`.
        unit: channel of the output.
        at: position on the output's grid.
    """
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        output = layer(leaf)[0, unit, *at]
        slopes = torch.autograd.grad(output, leaf)[0][0]
    window = _touched(slopes)
    part: Any = (slice(None), *window)
    channels = slopes[part].abs().flatten(1).sum(1) > 0
    cells, weights = x[0][part][channels].cpu(), slopes[part][channels].cpu()
    start, step = tuple(w.start for w in window), (1,) * len(window)
    return Pieces("sum", cells, weights, 0.0, weights, start, step, float(output.detach()))


def _dense(step: KeptStep, unit: int, at: tuple[int, ...]) -> Pieces | None:
    if step.output.ndim != 2 or "mat2" not in step.given:
        return None  # batches of matrices, and vectors
    name = "addmm" if "mat1" in step.given else "mm"
    row = at[0] if at else 0
    left, right = ("mat1", "mat2") if name == "addmm" else ("self", "mat2")
    cells, weights = step.given[left][row].cpu(), step.given[right][:, unit].cpu()
    scale = float(step.given.get("alpha", 1)) if name == "addmm" else 1.0
    bias = 0.0
    if name == "addmm":
        added = step.given["self"].expand(step.output.shape)
        bias = float(added[row, unit]) * float(step.given.get("beta", 1))
    weights = weights * scale
    return Pieces("sum", cells, weights, bias, weights, (0,), (1,), float(step.output[row, unit]))


def _convolution(step: KeptStep, unit: int, at: tuple[int, ...]) -> Pieces:
    given, value = step.given, float(step.output[0, unit, *at])
    bias = 0.0 if given.get("bias") is None else float(given["bias"][unit])
    axes = len(at)
    x, weight = given["input"][:1], given["weight"].detach()
    backward = _gradient(step, "input", unit, at)
    groups = given.get("groups", 1)
    if given.get("transposed"):
        first = unit // weight.shape[1] * (x.shape[1] // groups)
        channels = slice(first, first + x.shape[1] // groups)
        window = _touched(backward)
        part: Any = (channels, *window)
        cells, weights = x[0][part].cpu(), backward[part].cpu()
        return Pieces("sum", cells, weights, bias, weights, tuple(w.start for w in window), (1,) * axes, value)
    first = unit // (weight.shape[0] // groups) * weight.shape[1]
    channels = slice(first, first + weight.shape[1])
    stride, padding, dilation = (_each(given[name], axes) for name in ("stride", "padding", "dilation"))
    start = tuple(i * s - p for i, s, p in zip(at, stride, padding, strict=True))
    size = tuple(weight.shape[2:])
    cells = _window(x[0, channels], start, size, dilation, 0.0).cpu()
    sent = _window(backward[channels], start, size, dilation, 0.0).cpu()
    return Pieces("sum", cells, weight[unit].cpu(), bias, sent, start, dilation, value)


def _pooling(step: KeptStep, unit: int, at: tuple[int, ...]) -> Pieces | None:
    name = step.func._schema.name.removeprefix("aten::")
    given, x = step.given, step.given["self"][:1]
    adaptive = computed_by(name) in (op.ADAPTIVE_AVG_POOL, op.ADAPTIVE_MAX_POOL)
    axes = x.ndim - 2
    keeps = step.output.ndim == x.ndim
    if name == "mean" and (axes < 1 or sorted(d % x.ndim for d in given["dim"] or ()) != list(range(2, x.ndim))):
        return None
    at = at if keeps else ()
    value = float(step.output[0, unit, *at])
    backward = _gradient(step, "self", unit, at)[unit : unit + 1]
    if name == "mean" or adaptive:
        shape = x.shape[2:]
        grid = step.output.shape[2:] if name != "mean" else (1,) * axes
        place = at or (0,) * axes
        start = tuple(i * n // m for i, n, m in zip(place, shape, grid, strict=True))
        stop = tuple(-(-(i + 1) * n // m) for i, n, m in zip(place, shape, grid, strict=True))
        size, dilation = tuple(b - a for a, b in zip(start, stop, strict=True)), (1,) * axes
    else:
        size = _each(given["kernel_size"], axes)
        stride = _each(given["stride"], axes) if given["stride"] else size
        padding, dilation = _each(given["padding"], axes), _each(given.get("dilation", 1), axes)
        start = tuple(i * s - p for i, s, p in zip(at, stride, padding, strict=True))
    largest = "max" in name
    cells = _window(x[0, unit : unit + 1], start, size, dilation, -math.inf if largest else 0.0).cpu()
    sent = _window(backward, start, size, dilation, 0.0).cpu()
    return Pieces("maximum" if largest else "mean", cells, sent, 0.0, sent, start, dilation, value)


def _gradient(step: KeptStep, name: str, unit: int, at: tuple[int, ...]) -> Tensor:
    """Torch's own derivative of one output value with respect to the operation's input, without the batch axis."""
    with torch.enable_grad():
        x = step.given[name][:1].detach().clone().requires_grad_()
        given = {key: value for key, value in step.given.items() if key != name}
        output = step.func(**{name: x}, **given)
        first: Tensor = output[0] if isinstance(output, tuple) else output
        gradient: Tensor = torch.autograd.grad(first[0, unit, *at], x)[0]
    return gradient[0]


def _window(x: Tensor, start: tuple[int, ...], size: tuple[int, ...], step: tuple[int, ...], outside: float) -> Tensor:
    """Cells `[channel, *size]` of `[channel, *positions]` from `start` on; `outside` stands for padding."""
    result = x.new_full((len(x), *size), outside)
    for place in itertools.product(*(range(n) for n in size)):
        where = tuple(a + k * d for a, k, d in zip(start, place, step, strict=True))
        if all(0 <= w < n for w, n in zip(where, x.shape[1:], strict=True)):
            source: Any = (slice(None), *where)
            target: Any = (slice(None), *place)
            result[target] = x[source]
    return result


def _touched(gradient: Tensor) -> tuple[slice, ...]:
    """The smallest window that holds all that is not zero."""
    places = gradient.abs().sum(0).nonzero()
    if not len(places):
        return tuple(slice(0, 1) for _ in gradient.shape[1:])
    return tuple(slice(int(a), int(b) + 1) for a, b in zip(places.amin(0), places.amax(0), strict=True))


def _each(value: Any, axes: int) -> tuple[int, ...]:
    numbers = tuple(value) if isinstance(value, list | tuple) else (value,)
    return numbers * axes if len(numbers) == 1 else numbers


def apply_alone(step: KeptStep, index: tuple[int, ...]) -> float:
    """What an elementwise operation makes of the numbers at a place alone, in float64, with the step's own settings."""

    def there(item: Any) -> Any:
        if not isinstance(item, Tensor):
            return item
        number = item.broadcast_to(step.output.shape)[index].reshape(1).cpu()
        return number.double() if number.is_floating_point() else number

    return float(step.func(**{key: there(item) for key, item in step.given.items()})[0])


PieceRule = Callable[[KeptStep, int, tuple[int, ...]], Pieces | None]
RULES: dict[Operator, PieceRule] = {
    **dict.fromkeys((op.CONVOLUTION, op.TRANSPOSED_CONVOLUTION), _convolution),
    **dict.fromkeys((op.LINEAR, op.ADDMM, op.MATMUL), _dense),
    **dict.fromkeys((op.MAX_POOL, op.AVG_POOL, op.ADAPTIVE_AVG_POOL, op.ADAPTIVE_MAX_POOL, op.MEAN), _pooling),
}
_ONE_NUMBER = "one number at a time: worked out alone, not taken apart"
DECLINED: dict[Operator, str] = {
    **declined("no weighted cells: more than one value decides each other's part", *of(kinds=("attention", "norms"))),
    **declined("moves values only", *of(kinds=("moving",))),
    **declined(_ONE_NUMBER, *of(kinds=("activations", "arithmetic"))),
    **declined("products of rows that one matrix of weights does not give", *of(kinds=("products",))),
    **declined("steps that follow one another", *of(kinds=("recurrent",))),
    **declined("sums up more than a window", *of(kinds=("reductions",))),
    **declined("its windows are not told by its arguments", *of(kinds=("pooling", "convolution"))),
}
DECLINED = {operator: reason for operator, reason in DECLINED.items() if operator not in RULES}
