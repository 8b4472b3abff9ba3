"""Excitation: the chance that a random walk from the score, along excitatory connections only, passes through a value.

Marginal winning probability (Zhang et al., arXiv:1608.00507, eq. 1-4): with activations x_j >= 0 below an output k,

    P_j = sum_k x_j w_jk+ / sum_i x_i w_ik+ P_k,

the z-plus rule without biases. Means and sums of two values choose in proportion to their positive parts. In the
contrastive form (section 3.3) the walk begins at the score and at its dual unit, whose weights are -w, and the two
probabilities are subtracted right below.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pellucid.capture.backward_rules.lrp import Relevance, is_weighted
from pellucid.capture.backward_rules.lrp_rules import RelevanceRule, alpha_beta, with_options
from pellucid.capture.operators import SAMPLE_NORMS, Affine, Call, Product, called, nearest
from pellucid.numerics import full_precision, safe_divide

_EXCITE: RelevanceRule = with_options(alpha_beta, biased=False)


class Excitation(Relevance):
    """Marginal winning probabilities; a gate is a weight of the connection that it opens."""

    gives_to_constants = False

    def __init__(self) -> None:
        super().__init__(other_activations="refuse")

    def start(self, score: Tensor) -> Tensor:
        """The walk begins at the score with certainty."""
        return torch.ones_like(score)

    def rule(self, operation: Affine, x: Tensor) -> RelevanceRule:  # noqa: ARG002
        """One rule for all operations."""
        return _EXCITE

    def replace(self, call: Call) -> Any:
        """As for relevance, but for norms: behind them values have both signs."""
        return None if called(call[0]) in SAMPLE_NORMS else super().replace(call)

    def _two_features(self, product: Product, call: Call) -> Tensor | None:  # noqa: ARG002
        return None

    def _attend(self, found: tuple[Tensor, Affine], call: Call) -> Tensor | None:  # noqa: ARG002
        return None

    def shares(self, a: Any, b: Any) -> tuple[Tensor, Tensor]:
        """In proportion to the positive parts of the summands."""
        up = [full_precision(torch.as_tensor(t)).clamp(min=0) for t in (a, b)]
        total = up[0] + up[1]
        return safe_divide(up[0].expand_as(total), total), safe_divide(up[1].expand_as(total), total)


class ContrastiveExcitation(Excitation):
    """Marginal winning probabilities of the score minus those of its dual."""

    def start(self, score: Tensor) -> Tensor:
        """Begin at both: the operations right below the score subtract what their dual would send."""
        for node in nearest(score.grad_fn, is_weighted):
            node.rule = _contrast
        return torch.ones_like(score)


def _contrast(operation: Affine, x: Tensor, relevance: Tensor) -> Tensor:
    dual = Affine(operation.call, -operation.kernel)
    return _EXCITE(operation, x, relevance) - _EXCITE(dual, x, relevance)
