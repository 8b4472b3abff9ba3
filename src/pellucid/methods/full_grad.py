"""FullGrad."""

from collections.abc import Mapping

import torch
from torch import Tensor

from pellucid.contracts import Evidence, Maps, Method, Reference, Scores
from pellucid.errors import Refused
from pellucid.methods._relevance import check_operations
from pellucid.numerics import rescaled_map, sums_up


def full_grad(
    image: Maps,
    image_gradient: Maps,
    score: Scores,
    collected: Mapping[str, Tensor],
    uncovered: tuple[str, ...],
    assumed: tuple[str, ...],
) -> Evidence:
    """The whole score as a picture: what the pixels add to it, and what every bias of the network adds.

    S = I . dS/dI + sum_l b_l . dS/db_l holds exactly for networks of affine operations and rectifiers; here the biases
    are those of convolutions, dense layers, batch norm and added constants, and the implicit ones of other
    activations, f(z) - z f'(z), and of products such as gates, -x y. map = psi(I dS/dI) + sum_l psi(b_l dS/db_l) over
    the biases that have a grid, with psi(p): |p| stretched to 0..1, summed over channels, resized to the picture.

    Args:
        image: I, `[batch, channel, row, column]`.
        image_gradient: dS/dI, of the same shape.
        score: S, `[batch]`.
        collected: `parts` `[batch, bias]`, what each bias adds to S, and `map`, the sum over l above.
        uncovered: operations of the network that are neither affine nor activations nor products. Norms over a sample
            and attention are among them: below a norm all parts would cancel.
        assumed: sentences on how the pass was made: that it was repeated in float64, and that something that the
            network hides from its gradient was taken for a constant.

    Returns:
        `[batch, row, column]`; extras `input_part` `[batch]` and `bias_parts` `[batch, bias]`, from the score
        downwards, which sum to the score, and `gap` `[batch]`, what is missing.

    Raises:
        Refused: an operation for which the sum would not hold, by name; or the sum is missed by more than rounding.
    """
    check_operations(METHOD.id, uncovered, "Use integrated-gradients or lrp.")
    part = image * image_gradient
    input_part, parts = part.flatten(1).sum(1), collected["parts"]
    gap = score - input_part - parts.sum(1)
    if not sums_up(torch.cat([input_part[:, None], parts], 1), score, score):
        raise Refused(
            f"full-grad found parts that miss the score by {float(gap.abs().max()):.3g}: this network has biases that "
            "no rule sees, or needs more digits than float64 has. Use integrated-gradients."
        )
    raw = rescaled_map(part, tuple(image.shape[2:])) + collected["map"].to(part)
    return Evidence(raw, extras={"input_part": input_part, "bias_parts": parts, "gap": gap}, notes=assumed)


METHOD = Method(
    full_grad,
    id="full-grad",
    title="FullGrad",
    reference=Reference("arXiv:1905.00780", "eq. 3 and 8"),
    caveat="Every part is stretched to its own full range, so the map does not show how much each part counts.",
    rule="biases",
)
