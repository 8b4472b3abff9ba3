"""DeepLIFT."""

from collections.abc import Mapping

from torch import Tensor

from pellucid.errors import Refused
from pellucid.methods._relevance import check_operations
from pellucid.types import Evidence, Maps, Method, Paper, Scores


def deep_lift(
    image: Maps,
    image_gradient: Maps,
    score: Scores,
    collected: Mapping[str, Tensor],
    uncovered: tuple[str, ...],
    *,
    baseline: float | Tensor = 0.0,
) -> Evidence:
    """How much each pixel's difference from a baseline adds to the difference of the scores.

    raw = m (I - B), with m the multipliers of the rescale rule: like a gradient, but every activation sends back
    (f(z) - f(z_B)) / (z - z_B) instead of f'(z), so that saturated units count. raw sums to S(I) - S(B); what rounding
    leaves is `extras["gap"]`. In max pooling the larger of the two windows decides which input is responsible; the
    difference of a product of two values is shared by its factors as by Shapley values (arXiv:1705.07874, section 4.2),
    in gates, attention and norms too.

    Args:
        image: I, `[batch, channel, row, column]`.
        image_gradient: m, of the same shape.
        score: S(I), `[batch]`.
        collected: `reference_score`, S(B), `[batch]`.
        uncovered: operations of the network without a rule.
        baseline: B, one value for all pixels in the model's normalised space; 0 is the mean colour.

    Returns:
        raw shaped as the input, summed over channels for the map; extras `gap` `[batch]`, in units of the score.

    Raises:
        Refused: an operation without a rule, by name.
    """
    check_operations(METHOD.id, uncovered, "Use integrated-gradients.")
    raw = image_gradient * (image - baseline)
    difference = score - collected["reference_score"]
    gap = difference - raw.flatten(1).sum(1)
    rounding = 1e-4 * (score.abs() + collected["reference_score"].abs())
    if not bool((gap.abs() <= 0.05 * (difference.abs() + raw.abs().flatten(1).sum(1)) + rounding).all()):
        raise Refused(
            f"deep-lift misses the difference of the scores by {float(gap.abs().max()):.3g}: this network does not "
            "keep picture and baseline apart in the first axis. Use integrated-gradients."
        )
    return Evidence(raw, extras={"gap": gap})


METHOD = Method(
    deep_lift,
    id="deep-lift",
    title="DeepLIFT",
    reference=Paper("arXiv:1704.02685", "section 3.5.1"),
    caveat="Relative to the baseline: whatever looks like the baseline (mid-grey by default) can get nothing.",
    rule="differences",
    reduce="sum",
)
