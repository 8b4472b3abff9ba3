"""Relevance: a rewriting under which the signal that flows back is a share of the score instead of its gradient.

In one file, since this table is one: which of two cases an operation falls under depends on all others.

    linear operations      a rule, see `affine.py`; which one says the composite
    batch norm             folded into the convolution or dense layer right below it, with weights of this pass alone;
                           elsewhere an operation of its own
    means, sums, resizing  in proportion to the summands
    sums of two values     in proportion to the summands; a constant's share is absorbed, as a bias's is
    rectifiers             pass everything on
    factors, signs         pass everything on
    other activations      pass everything on (identity rule, Achtibat et al., arXiv:2402.05602, section 3.3)
    max pooling            to the winner, by its gradient; copying and moving likewise
    x * gate               all to x, none to the gate (Arras et al., arXiv:1706.07206, section 3.1); `gates.py` says
                           what a gate is
    attention              in proportion to the values; its weights are held constant, that is softmax(...) @ v, fused
                           or not, and whoever computes it (Ali et al., arXiv:2202.07304, section 4)
    layer norm and kin     in proportion; what it divides by is held constant (the same)
    other products         half to each factor (Achtibat et al.)

Whatever else the score went through is named by `uncovered`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pellucid.capture.backward_rules.base import Rewriting
from pellucid.capture.backward_rules.gates import ROOT, weighs
from pellucid.capture.backward_rules.lrp_composites import (
    WEIGHTED,
    Numbers,
    find_composite,
    layer_rules,
    make_rule,
    rule_for,
)
from pellucid.capture.backward_rules.lrp_rules import STABILISER, RelevanceRule, stabilise, with_options, z_box
from pellucid.capture.backward_rules.lrp_steps import AffineStep, PassStep, ProductStep, SumStep
from pellucid.capture.backward_rules.relu import activation_word, as_rectifier
from pellucid.capture.operators import (
    ABSENT,
    ACTIVATIONS,
    ADDING,
    FACTORS,
    IN_PARTS,
    MATRIX_PRODUCTS,
    MEANS,
    SAMPLE_NORMS,
    WITH_WEIGHTS,
    Affine,
    Call,
    Operator,
    Product,
    attend,
    attention_weights,
    called,
    constant_batch_norm,
    declined,
    depends,
    factor,
    held,
    in_parts,
    made_by,
    matrix_product,
    moves,
    nearest,
    nodes,
    of,
    op,
    plain_name,
    pooled,
    product_of_two,
    quotient,
    routes,
    sample_norm,
    scaling,
    strangers,
    summands,
    weighted,
    writes,
)
from pellucid.capture.running import Presence
from pellucid.contracts import Model, Preprocess, cut, joined
from pellucid.errors import BadOption, Refused
from pellucid.numerics import full_precision, per_row


class Relevance(Rewriting):
    """Layer-wise relevance propagation; the parameters are the options of the method `lrp`."""

    gives_to_constants = True

    def __init__(
        self,
        composite: str = "epsilon-plus",
        first: str = "",
        epsilon: float = STABILISER,
        gamma: float = 0.25,
        alpha: float = 2.0,
        low: float | None = None,
        high: float | None = None,
        other_activations: str = "pass",
        dense: str = "",
        bias: bool = True,
        rules: str = "",
    ) -> None:
        super().__init__()
        self.numbers = Numbers(epsilon, gamma, alpha)
        self.numbers.check()
        self.composite = find_composite(composite, first, dense)
        self.of_layers = layer_rules(rules)
        self.presence: Presence | None = None
        self.met: set[str] = set()
        if other_activations not in ("refuse", "pass"):
            raise BadOption(f"expected 'refuse' or 'pass' as other_activations, got {other_activations!r}.")
        for name, bound in (("low", low), ("high", high)):
            if bound is not None and not isinstance(bound, (int, float)):
                raise BadOption(f"expected a number or None as {name}, got {bound!r}.")
        if not isinstance(bias, bool):
            raise BadOption(f"expected True or False as bias, got {bias!r}.")
        self.low, self.high, self.biased = low, high, bias
        self.passes_all = other_activations == "pass"
        self.boxes: dict[Any, tuple[Tensor, Tensor]] = {}

    def feed(self, rows: Tensor, model: Model) -> Tensor:
        """The rows themselves; notes the range of their values for the z-box rule, and watches layers with rules."""
        if self.of_layers:
            self.presence = Presence(model.module, self.of_layers)
        if "z-box" not in (self.composite.first, *self.of_layers.values()):
            return rows
        low, high = value_range(rows.detach(), model)
        self.boxes[rows.grad_fn] = (
            (low if self.low is None else torch.full_like(low, self.low)).expand_as(rows),
            (high if self.high is None else torch.full_like(high, self.high)).expand_as(rows),
        )
        return rows

    def __exit__(self, *raised: Any) -> None:
        if self.presence is not None:
            self.presence.stop()
        super().__exit__(*raised)  # type: ignore[no-untyped-call]

    def start(self, score: Tensor) -> Tensor:
        """The score itself is what is handed out.

        Raises:
            BadOption: a layer with a rule of its own, in which nothing ran that has weights.
        """
        for path in self.of_layers:
            if path not in self.met:
                raise BadOption(
                    f"lrp has a rule for the layer {path!r}, but no dense layer and no convolution of the picture ran "
                    "in it."
                )
        return score.detach()

    def uncovered(self, made: Collection[Any]) -> tuple[str, ...]:
        """Every operation that has no rule here."""
        return strangers(made, _has_rule, activation_word)

    def assumed(self, made: Collection[Any]) -> tuple[str, ...]:
        """Which activations were taken for ReLUs, and what was held constant."""
        passed = {n.function.__name__.strip("_") for n in made if _passed(n, "activation", "squashing")}
        kinds = {n.operation.kind for n in made if made_by(n) is AffineStep}
        held_constant = {
            "attention": "attention weights",
            "sample-normalisation": "the spread in layer norm and its kin",
        }
        constant = [words for kind, words in held_constant.items() if kind in kinds]
        constant += ["gates"] if any(_passed(n, "weight") for n in made) else []
        return (
            *([f"As ReLU does, {' and '.join(sorted(passed))} passed relevance on unchanged."] if passed else []),
            *([f"Held constant: {', '.join(constant)}."] if constant else []),
        )

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.check_call(func)
        call = (func, args, kwargs or {})
        replaced = self.replace(call) if torch.is_grad_enabled() else None
        if replaced is not None:
            return replaced
        result = func(*args, **call[2])
        if self.boxes:
            self._carry_box(call, result)
        return result

    def replace(self, call: Call) -> Any:
        """What an operation with a rule gives, or None for all others. Complex numbers have no shares."""
        if any(isinstance(value, Tensor) and value.is_complex() for value in call[1]):
            return None
        operator = called(call[0])
        rule = RULES.get(operator) if operator else None
        return None if rule is None else rule(self, call)

    def _carry_box(self, call: Call, result: Any) -> None:
        """Moving the picture's values about, or padding it, does the same to the range of its values."""
        func, args, kwargs = call
        below = args[0].grad_fn if args and isinstance(args[0], Tensor) else None
        box = self.boxes.get(below) if below is not None else None
        moved = list(result) if isinstance(result, (list, tuple)) else [result]
        if box is None or not all(map(depends, moved)) or any(map(depends, args[1:])):
            return
        if all(moves(plain_name(node)) for value in moved for node in nodes(value, below)):
            low, high = (func(bound, *args[1:], **kwargs) for bound in box)
            pairs = zip(low, high, strict=True) if isinstance(result, (list, tuple)) else [(low, high)]
            self.boxes |= {value.grad_fn: ends for value, ends in zip(moved, pairs, strict=True)}

    def _in_parts(self, call: Call) -> Any:
        with self:
            return in_parts(call)

    def _affine(self, found: tuple[Tensor, Affine] | None, call: Call) -> Tensor | None:
        if found is None:
            return None
        operation = found[1] if self.biased else replace(found[1], bias=None)
        return AffineStep.run(found[0], operation, self.rule(operation, found[0]), call)

    def _weighted(self, call: Call) -> Tensor | None:
        return self._affine(self._in_layer(weighted(call)), call)

    def _in_layer(self, found: tuple[Tensor, Affine] | None) -> tuple[Tensor, Affine] | None:
        """The operation with the rule of the innermost layer at work that has one."""
        inside = self.presence.inside if self.presence else ()
        if found is None or not inside or found[1].kind not in WEIGHTED:
            return found
        self.met.update(inside)
        return found[0], replace(found[1], rule=self.of_layers[inside[-1]])

    def _pooling(self, call: Call) -> Tensor | None:
        return self._affine(pooled(call), call)

    def _matrix_product(self, call: Call) -> Tensor | None:
        found = matrix_product(call)
        return self._affine(self._in_layer(found), call) if found else self._product(call)

    def _batch_norm(self, call: Call) -> Tensor | None:
        found = constant_batch_norm(call)
        if found is None:
            return None
        x, scale, shift = found
        below: Any = x.grad_fn
        if made_by(below) is AffineStep and below.operation.foldable and x.ndim in (2, below.operation.weight.ndim):
            return self._affine((below.saved_tensors[0], below.operation.fold(scale, shift)), call)
        return self._affine((x, scaling(scale, shift, x.ndim)), call)

    def _sample_norm(self, call: Call) -> Tensor | None:
        norm = sample_norm(call)
        return self._affine((norm.x, norm.spread_held()), call) if norm else None

    def _sum(self, call: Call) -> Tensor | None:
        found = summands(call)
        if found is None:
            return None
        a, b = found
        if not isinstance(b, Tensor) and b == 0:  # where Python's own sum() begins
            return PassStep.run(call[1][0], 1, call)
        if not self.biased and list(map(depends, call[1])) == [True, False]:  # the constant is a bias
            return PassStep.run(call[1][0], 1, call)
        return SumStep.run(call[1], self.shares(a, b), call)

    def _factor(self, call: Call) -> Tensor | None:
        scaled = factor(call)
        return PassStep.run(*scaled, call) if scaled else self._product(call)

    def _product(self, call: Call) -> Tensor | None:
        """Two values that both depend on the picture: all to the feature, or half to each of two features."""
        fraction, product = quotient(call), product_of_two(call)
        if fraction and depends(fraction[0]) and weighs(fraction[1].grad_fn) == ROOT:
            return PassStep.run(fraction[0], 1, call, "weight")
        if product is None:
            return None
        a, b, _ = product
        ranks = weighs(a.grad_fn), weighs(b.grad_fn)
        if ranks[0] == ranks[1]:
            return self._two_features(product, call)
        side = int(ranks[1] > ranks[0])
        if called(call[0]) in MATRIX_PRODUCTS:
            return self._attend(held(*product, side=side, kind="attention"), call)
        x, weight = (b, a) if side == 0 else (a, b)
        return None if side == 0 and writes(call) else PassStep.run(x, weight.detach(), call, "weight")

    def _two_features(self, product: Product, call: Call) -> Tensor | None:
        return None if writes(call) else ProductStep.run(*product, call)

    def _attend(self, found: tuple[Tensor, Affine], call: Call) -> Tensor | None:
        return self._affine(found, call)

    def _fused_attention(self, call: Call) -> Tensor | None:
        """The weights are computed here, the result by the network's own operation."""
        _, args, kwargs = call
        value = kwargs["value"] if "value" in kwargs else args[2]
        if not depends(value):
            return None
        with torch.no_grad():
            weights = attention_weights(*args, **kwargs)
        return self._attend(held(weights, value, attend, side=0, kind="attention"), call)

    def _larger(self, call: Call) -> Tensor | None:
        """fmax(x, 0), whichever of both is the zero: a rectifier."""
        a, b = op.FMAX.bind(*call[1:]).values()
        for x, floor in ((a, b), (b, a)):
            if depends(x) and isinstance(floor, Tensor) and as_rectifier(torch.clamp_min, (x, floor), {}):
                return PassStep.run(x, 1, call, "rectifier")
        return None

    def _activation(self, call: Call) -> Tensor | None:
        func, args, kwargs = call
        found = as_rectifier(func, args, kwargs)
        if found:
            x, kind = found[0], "rectifier" if math.isinf(found[1]) else "capped"
        elif args and self.passes_all and "activation" in (traits := _traits(func)):
            x, kind = args[0], "squashing" if "squashing" in traits else "activation"
        else:
            return None
        return PassStep.run(x, 1, call, kind) if depends(x) else None

    def shares(self, a: Any, b: Any) -> tuple[Tensor, Tensor]:
        """The parts of the relevance of a + b that belong to a and to b."""
        a, b = (full_precision(torch.as_tensor(t)) for t in (a, b))
        total = stabilise(a + b, a.abs() + b.abs())
        return a / total, b / total

    def rule(self, operation: Affine, x: Tensor) -> RelevanceRule:
        """The rule for an operation with input x.

        Raises:
            Refused: z-box where the range of the input is not known.
        """
        first = bool(self.composite.first) and not nearest(x.grad_fn, is_weighted)
        name = rule_for(self.composite, operation, first=first)
        if name != "z-box":
            return make_rule(name, self.numbers)
        if x.grad_fn not in self.boxes:
            names = {plain_name(node) for node in nodes(x)} - {"clone", _LEAF}
            between = sorted(_IN_WORDS.get(name, name) for name in names)
            raise Refused(
                "The z-box rule needs the range of what the first operation sees, and this network changes the picture "
                f"before that ({', '.join(between)}). Use 'flat' or 'w-square' there."
            )
        low, high = self.boxes[x.grad_fn]
        return with_options(z_box, low=low, high=high)


_LEAF = "torch::autograd::accumulategrad"
_IN_WORDS = {"passstep": "a factor or activation", "sumstep": "a sum", "affinestep": "pooling or batch norm"}


def value_range(rows: Tensor, model: Model) -> tuple[Tensor, Tensor]:
    """Smallest and largest value that a pixel can have in the model's space, `[n or 1, channel or 1, 1...]`.

    Black and white under the model's normalisation where that is known, else the smallest and largest value of each
    picture. Several inputs have each a range of their own, `[n, 1, feature]`.
    """
    if len(model.parts) > 1:
        pieces = cut(rows, model.parts)
        ranges = [_range_of(piece, part.preprocess) for piece, part in zip(pieces, model.parts, strict=True)]
        wide = [[end.expand_as(piece) for end in ends] for ends, piece in zip(ranges, pieces, strict=True)]
        return joined([low for low, _ in wide]), joined([high for _, high in wide])
    return _range_of(rows, model.preprocess)


def _range_of(rows: Tensor, known: Preprocess | None) -> tuple[Tensor, Tensor]:
    if known is None or len(known.mean) != rows.shape[1]:
        flat = rows.flatten(1)
        low, high = flat.amin(1), flat.amax(1)
        return per_row(low, rows), per_row(high, rows)
    mean, std = (per_row(rows.new_tensor(values), rows[0])[None] for values in (known.mean, known.std))
    return -mean / std, (1 - mean) / std


def _traits(func: Any) -> frozenset[str]:
    operator = called(func)
    return operator.traits if operator else frozenset()


def _passed(node: Any, *kinds: str) -> bool:
    return made_by(node) is PassStep and node.kind in kinds


def _has_rule(node: Any) -> bool:
    owner = made_by(node)
    return owner in (AffineStep, PassStep, ProductStep, SumStep) if owner else routes(plain_name(node))


def is_weighted(node: Any) -> bool:
    """Whether a node of the graph is a dense layer or a convolution."""
    return made_by(node) is AffineStep and node.operation.kind in ("dense", "convolution")


RULES: dict[Operator, Callable[[Relevance, Call], Any]] = {
    op.FUSED_ATTENTION: Relevance._fused_attention,
    **dict.fromkeys(IN_PARTS, Relevance._in_parts),
    **dict.fromkeys(WITH_WEIGHTS, Relevance._weighted),
    **dict.fromkeys(MEANS, Relevance._pooling),
    **dict.fromkeys(MATRIX_PRODUCTS, Relevance._matrix_product),
    op.BATCH_NORM: Relevance._batch_norm,
    **dict.fromkeys(SAMPLE_NORMS, Relevance._sample_norm),
    **dict.fromkeys(ADDING, Relevance._sum),
    **dict.fromkeys(FACTORS, Relevance._factor),
    **dict.fromkeys((*ACTIVATIONS, op.CLAMP, op.CLAMP_MIN), Relevance._activation),
    op.FMAX: Relevance._larger,
}
DECLINED: dict[Operator, str] = {
    **declined("no rule hands out shares of a function of this kind", *of(kinds=("activations", "arithmetic"))),
    **declined("no shares of a product of this kind, which networks hardly use", *of(kinds=("products",))),
    **declined("no shares of what is not a sum, a mean or an extreme", *of(kinds=("reductions", "norms"))),
    **declined("its parts are out of sight", *of(kinds=("recurrent", "attention"))),
    **declined("no shares of this kind of pooling or resizing", *of(kinds=("pooling", "convolution"))),
    **declined("where values go, the picture may say, or values overlap", *of(kinds=("moving",))),
}
DECLINED = {each: reason for each, reason in DECLINED.items() if each not in RULES and each not in ABSENT}
