"""Backward rules: what flows back through a ReLU, decided by the operation itself and not by a module.

A `TorchFunctionMode` replaces the rectifier *operation* for the length of one forward pass, whether a module, a
function or a tensor method calls it, in place or not, and however often. The replacement computes the same values;
its backward reads the rule that is in force when gradients are taken, so one forward pass serves every rule.

With x the rectifier's input, c its ceiling (none for ReLU, 6 for ReLU6) and R the signal from above:

    plain      1[0 < x < c] R             the gradient
    guided     1[0 < x < c] max(R, 0)     Springenberg et al., arXiv:1412.6806, section 3.4
    deconvnet  max(R, 0)                  Zeiler & Fergus, arXiv:1311.2901

A rectifier put together by hand out of `where`, `masked_fill`, multiplication by a mask or `abs` is recognised by what
it does to other values, see `handwritten.py`; every other activation is named. A capped rectifier of a value that a
number was added to, relu6(s + 3) / 6, is hard sigmoid: no rectifier, whoever writes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pellucid.capture.backward_rules.base import Rewriting
from pellucid.capture.backward_rules.familiar import Familiar
from pellucid.capture.backward_rules.handwritten import HARD_SIGMOID, Handwritten, Rectifier
from pellucid.capture.operators import (
    Call,
    Operator,
    behind,
    called,
    declined,
    depends,
    made_by,
    nodes_below,
    of,
    op,
    plain_name,
)
from pellucid.capture.running import comes_from_outside
from pellucid.contracts import Model

_WORDS = {
    op.ELU: "elu or selu",
    op.HARDTANH: "hardtanh with a floor other than 0",
    op.RELU: "a relu hidden from Python",
}


def activation_word(node: str) -> str | None:
    """The name for people of an activation without a rectifier rule, by the plain name of its node in the graph."""
    operator = behind(node)
    if operator is None or not ("activation" in operator.traits or operator in (op.MAXIMUM, op.MINIMUM)):
        return None
    return _WORDS.get(operator, operator.name)


# Custom functions that only read a map between its cells: torchvision's detectors read features inside boxes.
_INTERPOLATES = {"GeneratedBackwardFor_torchvision_roi_align_default"}
_OUTSIDE = (
    "numbers that it makes of the picture outside torch (NumPy, item, tolist), such as a mask or a choice in Python"
)

RULES: Mapping[Operator, Callable[[Mapping[str, Any]], float | None]] = {
    op.RELU: lambda _: math.inf,
    op.RELU6: lambda _: 6.0,
    op.HARDTANH: lambda named: float(named["max_val"]) if named["min_val"] == 0 else None,
    op.THRESHOLD: lambda named: math.inf if named["threshold"] == 0 and named["value"] == 0 else None,
    op.CLAMP: lambda named: _ceiling(named["min"], named["max"], named["input"]),
    op.CLAMP_MIN: lambda named: _ceiling(named["min"], None, named["input"]),
}
"""The ceiling of a call that is a rectifier, by its arguments; None for other calls."""
DECLINED: dict[Operator, str] = {
    **declined("an activation of another kind, which is named", *(of("activation")), op.MAXIMUM, op.MINIMUM),
}
DECLINED = {operator: reason for operator, reason in DECLINED.items() if operator not in RULES}


def _ceiling(low: Any, high: Any, x: Tensor) -> float | None:
    """The upper bound as a number, which a constant tensor is where all its values are the same."""
    if isinstance(high, Tensor):
        fits = torch.broadcast_shapes(high.shape, x.shape) == x.shape  # type: ignore[no-untyped-call]
        high = float(high.min()) if fits and high.numel() and not depends(high) and high.min() == high.max() else high
    numbers = high is None or isinstance(high, (int, float))
    return None if not numbers or not _is_floor(low, x) else math.inf if high is None else float(high)


class Rectifiers(Rewriting):
    """Replaces every rectifier by one with a choice of backward rules; `rule` is read when gradients are taken."""

    freezes = False

    def __init__(self, rule: str = "plain") -> None:
        super().__init__()
        self.rule = rule
        self._by_hand: Handwritten | None = None
        self._familiar: Familiar | None = None
        self._pooling: set[Any] = set()
        self._outside = False

    def prepare(self, model: Model, image: Tensor, samples: Tensor) -> None:
        """See whether the network makes numbers of the picture where no call is seen, such as masks in NumPy."""
        self._outside = comes_from_outside(model, image, samples)

    def feed(self, rows: Tensor, model: Model) -> Tensor:
        """The rows themselves; what the network makes of them is followed, to find rectifiers written by hand."""
        self._by_hand, self._familiar = Handwritten(rows, activation_name), Familiar(model.module, rows)
        return rows

    def __exit__(self, *error: Any) -> None:
        """Remember the calls of a pass without anything by hand."""
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        if self._by_hand and self._familiar and not self._by_hand.found and error[0] is None:
            self._familiar.remember()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.check_call(func)
        kwargs = kwargs or {}
        found = as_rectifier(func, args, kwargs, exact=True) if torch.is_grad_enabled() else None
        covered = found is not None and found[0].requires_grad
        call = (func, args, kwargs)
        if self._by_hand is None or self._familiar is None or self._familiar.has(call):
            return self._call(func, args, kwargs, found if covered else None)
        by_hand = self._by_hand.rectifier(call) if torch.is_grad_enabled() and not covered else None
        with self._by_hand.following(call, covered=covered or by_hand is not None) as results:
            if by_hand is None:
                result = self._call(func, args, kwargs, found if covered else None)
            else:
                result = self._rectify(by_hand, call)
            results.append(result)
        return result

    def _rectify(self, found: Rectifier, call: Call) -> Any:
        """What the call gives, with the rectifier's values in place of the first result."""
        func, args, kwargs = call
        x = found.x if found.sign > 0 else -found.x
        y = self._rectified(x, found.ceiling, found.in_place, "mask")
        y = y if found.scale == 1 else y * found.scale
        if found.in_place:
            return y
        whole = func(*args, **kwargs)
        if isinstance(whole, Tensor):
            return y.reshape(whole.shape)
        return type(whole)((y.reshape(whole[0].shape), *whole[1:]))

    def _rectified(self, x: Tensor, ceiling: float, in_place: bool, kept: str) -> Tensor:
        moved = not math.isinf(ceiling) and self._by_hand is not None and self._by_hand.is_moved(x)
        y: Tensor = _Rectified.apply(x, ceiling, in_place, kept, Rectifiers() if moved else self)
        if moved and self._by_hand is not None:
            self._by_hand.named[y.grad_fn] = HARD_SIGMOID
        return y

    def _call(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        found: tuple[Tensor, float, bool] | None,
    ) -> Any:
        if found is not None:
            return self._rectified(*found, _kept(func, in_place=found[2]))
        result = func(*args, **kwargs)
        # what rectifies there cannot be negative
        if called(func) is op.LP_POOL and result.grad_fn is not None:
            self._pooling.update(nodes_below(result.grad_fn, *(t.grad_fn for t in args if isinstance(t, Tensor))))
        return result

    @contextmanager
    def use(self, rule: str) -> Iterator[None]:
        """Take gradients under another rule."""
        before, self.rule = self.rule, rule
        try:
            yield
        finally:
            self.rule = before

    def uncovered(self, made: Collection[Any]) -> tuple[str, ...]:
        """Activations that no rectifier rule covers."""
        by_hand = self._by_hand.names(made) if self._by_hand else ()
        others = other_activations(node for node in made if node not in self._pooling)
        return tuple(sorted({*others, *by_hand, *([_OUTSIDE] if self._outside else [])}))


class _Rectified(torch.autograd.Function):
    """min(max(x, 0), c), with the backward rule of a `Rectifiers`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ceiling: float, in_place: bool, kept: str, rules: Rectifiers) -> Tensor:
        if math.isinf(ceiling):
            y = x.relu_() if in_place else x.relu()
        else:
            y = x.clamp_(0, ceiling) if in_place else x.clamp(0, ceiling)
        if in_place:
            ctx.mark_dirty(x)
        if kept == "mask":
            saved = ((y > 0) & (y < ceiling)).to(y.dtype)
            ceiling = math.inf
        elif kept == "input":
            saved = x
        else:  # views of one base share a version, so writing another slice would invalidate this one
            saved = y.clone() if in_place and x._is_view() else y
        ctx.save_for_backward(saved)
        ctx.ceiling, ctx.rules = ceiling, rules
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, signal: Tensor) -> tuple[Tensor, None, None, None, None]:
        (y,) = ctx.saved_tensors  # or x, or 1 where it is open
        rule = ctx.rules.rule
        if rule != "plain":
            signal = signal.relu()
        if rule != "deconvnet":  # 0 < y < c exactly where 0 < x < c
            if math.isinf(ctx.ceiling):
                signal = torch.ops.aten.threshold_backward(signal, y, 0)
            else:
                signal = torch.ops.aten.hardtanh_backward(signal, y, 0, ctx.ceiling)
        return signal, None, None, None, None


def _kept(func: Any, *, in_place: bool) -> str:
    """What of a call stays as it is until gradients are taken: what torch itself keeps, as later steps may be in place.

    Where torch would keep a copy, or something else of a rectifier written by hand, that is a mask.
    """
    operator = called(func)
    if operator is op.RELU or (operator in (op.RELU6, op.HARDTANH) and in_place):
        return "output"
    return "mask" if in_place else "input"


def as_rectifier(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, exact: bool = False
) -> tuple[Tensor, float, bool] | None:
    """The input, ceiling and in-place flag if this call is min(max(x, 0), c); None if it is anything else.

    With `exact` only where torch's gradient is that of a ReLU in 0 too: a bound that is a tensor gets half of it there.
    """
    operator = called(func)
    rule = RULES.get(operator) if operator else None
    if operator is None or rule is None:
        return None
    try:
        named = operator.bind(args, kwargs, func)
    except TypeError:  # unexpected arguments: not a call that we know
        return None
    if exact and any(isinstance(named.get(end), Tensor) for end in ("min", "max")):
        return None
    ceiling = None if "out" in named else rule(named)
    if ceiling is None:
        return None
    return named["input"], ceiling, bool(named.get("inplace")) or func.__name__.endswith("_")


def _is_floor(low: Any, x: Tensor) -> bool:
    """Whether a lower bound is 0 for every value: as a number, or a constant tensor of zeros that fits."""
    if not isinstance(low, Tensor):
        return isinstance(low, (int, float)) and low == 0
    fits = torch.broadcast_shapes(low.shape, x.shape) == x.shape  # type: ignore[no-untyped-call]
    return fits and not depends(low) and not bool(low.any())


def other_activations(made: Iterable[Any]) -> tuple[str, ...]:
    """Names of the activations among these nodes of a graph that no rectifier rule covers.

    The graph is the authority: an activation that reached it by any road (a custom function, TorchScript, a compiled
    part, a function that the mode does not know) is found here, so nothing is silently treated as plain.
    """
    return tuple(sorted({name for node in made if (name := activation_name(node))}))


def activation_name(node: Any) -> str | None:
    """The name of the activation that a node of a graph belongs to; None if it is another operation or a rectifier."""
    owner = made_by(node)
    if owner is not None:
        passed = owner is _Rectified or owner.__name__ in _INTERPOLATES
        return None if passed else f"the custom function {owner.__name__}"
    kind = node.name()
    if "jit" in kind.lower() or "DifferentiableGraph" in kind:
        return "TorchScript code"
    if kind.startswith("Clamp") and any(_is_zero(getattr(node, f"_saved_{end}", None)) for end in ("min", "max")):
        return "clamp at 0"
    return activation_word(plain_name(node))


def _is_zero(bound: Any) -> bool:
    """Whether a bound, which may be one for each value, is 0 anywhere."""
    return bool((bound == 0).any()) if isinstance(bound, Tensor) else bound == 0
