"""DeepLIFT."""

from collections.abc import Mapping

from torch import Tensor

from pellucid.contracts import Evidence, Maps, Method, Reference, Scores
from pellucid.errors import Refused
from pellucid.held import as_pictures
from pellucid.methods._relevance import check_operations
from pellucid.numerics import sums_up


def deep_lift(
    image: Maps,
    image_gradient: Maps,
    score: Scores,
    collected: Mapping[str, Tensor],
    uncovered: tuple[str, ...],
    assumed: tuple[str, ...],
    *,
    baseline: float | Tensor = 0.0,
    multiply_by_inputs: bool = True,
) -> Evidence:
    """How much each pixel's difference from a baseline adds to the difference of the scores.

    raw = m (I - B), with m the multipliers of the rescale rule: like a gradient, but every activation sends back
    (f(z) - f(z_B)) / (z - z_B) instead of f'(z), so that saturated units count. raw sums to S(I) - S(B); what rounding
    leaves is `extras["gap"]`, and where that is more than rounding the pass is repeated in float64. In max pooling the
    larger of both maxima decides which input is responsible; the difference of a product of two values is shared by
    its factors as by Shapley values (arXiv:1705.07874, section 4.2), in gates and attention too. Softmax and norms have
    rules of their own that stay bounded (all formulas: `capture/backward_rules/deep_lift_steps.py`, `in_steps.py`).

    Args:
        image: I, `[batch, channel, row, column]`.
        image_gradient: m, of the same shape.
        score: S(I), `[batch]`.
        collected: `reference_score`, S(B), `[batch]`.
        uncovered: operations of the network without a rule.
        assumed: sentences on how the pass was made, as that it was repeated in float64.
        baseline: B, one value for all pixels in the model's normalised space (0 is the mean colour), or in Python a
            tensor `[channel]` or `[channel, row, column]`.
        multiply_by_inputs: without it raw is m alone, the multipliers.

    Returns:
        raw shaped as the input, summed over channels for the map; extras `gap` `[batch]`, in units of the score.

    Raises:
        Refused: an operation without a rule, by name; or the sum is missed by more than rounding.
    """
    check_operations(METHOD.id, uncovered, "Use integrated-gradients.")
    if isinstance(baseline, Tensor):
        baseline = as_pictures(METHOD.id, "baseline", baseline, image)
    raw = image_gradient * (image - baseline)
    own, other = score, collected["reference_score"]
    gap = own - other - raw.flatten(1).sum(1)
    if not sums_up(raw, own - other, own, other):
        raise Refused(
            f"deep-lift misses the difference of the scores, {_range(own - other)}, by {float(gap.abs().max()):.3g}. "
            "Either the network hides a part of what it does with the picture from its gradient (detach, no_grad, "
            ".data, item, numpy), or it does not keep picture and baseline apart in the first axis. "
            "Use occlusion, or integrated-gradients and look at its gap."
        )
    return Evidence(raw if multiply_by_inputs else image_gradient, extras={"gap": gap}, notes=assumed)


def _range(values: Tensor) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"


METHOD = Method(
    deep_lift,
    id="deep-lift",
    title="DeepLIFT",
    reference=Reference("arXiv:1704.02685", "section 3.5.1"),
    caveat="Relative to the baseline: whatever looks like the baseline (mid-grey by default) can get nothing.",
    rule="differences",
    reduce="sum",
    joint=True,
)
