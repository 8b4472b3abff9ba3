"""Layer-wise relevance propagation."""

from collections.abc import Mapping

from pellucid.contracts import Evidence, Maps, Method, Reference, Scores
from pellucid.methods._relevance import absorbed, check_operations


def lrp(  # noqa: PLR0913 - every rule has numbers of its own
    image_gradient: Maps,
    score: Scores,
    uncovered: tuple[str, ...],
    assumed: tuple[str, ...],
    *,
    composite: str = "epsilon-plus",  # noqa: ARG001
    first: str = "",  # noqa: ARG001
    epsilon: float = 1e-6,  # noqa: ARG001
    gamma: float = 0.25,  # noqa: ARG001
    alpha: float = 2.0,  # noqa: ARG001
    low: float | None = None,  # noqa: ARG001
    high: float | None = None,  # noqa: ARG001
    other_activations: str = "pass",  # noqa: ARG001
    dense: str = "",  # noqa: ARG001
    bias: bool = True,  # noqa: ARG001
    rules: str | Mapping[str, str] = "",  # noqa: ARG001
) -> Evidence:
    """The score itself, handed down operation by operation until it lies on the pixels.

    Every operation shares out the relevance of its outputs among its inputs by R_j = sum_k x'_j w'_jk / z'_k R_k, where
    the rule says what x', w' and z' are (`capture/backward_rules/lrp_rules.py` has all formulas). What arrives sums to
    the score, except
    for what biases and stabilisers absorb: `extras["gap"]`. Batch norm is taken together with the convolution below it.
    Attention weights, gates and the spread that a layer norm divides by are held constant (Ali et al. 2022,
    arXiv:2202.07304): relevance goes to the values that they weigh.

    Args:
        image_gradient: the relevance at the input, `[batch, channel, row, column]`.
        score: what is shared out, `[batch]`.
        uncovered: operations of the network that have no rule.
        assumed: sentences on what was taken for a ReLU, which weights of attention, gates and norms were held
            constant, and whether something that the network hides from its gradient was.
        composite: name of the rules: `epsilon` everywhere; `epsilon-plus` (dense layers epsilon, convolutions z-plus);
            `epsilon-gamma-box` (convolutions gamma, the first operation z-box); `epsilon-alpha2-beta1`; and
            `epsilon-plus-flat`, `epsilon-alpha2-beta1-flat` (the first operation flat).
        first: another rule for the operations that look at the picture itself: `epsilon`, `z-plus`, `gamma`,
            `alpha-beta`, `flat`, `w-square` or `z-box`.
        epsilon: stabiliser of the epsilon rule, in units of the mean size of the layer's outputs for a picture, so that
            shares do not change with the units of weights or scores.
        gamma: factor by which the gamma rule favours contributions of the output's sign; 0 is the epsilon rule.
        alpha: weight of positive contributions in the alpha-beta rule; beta is alpha - 1.
        low: smallest possible pixel value for z-box, in the model's normalised space. None is black under the model's
            own normalisation, or each picture's smallest value where that is not known.
        high: largest possible pixel value for z-box; None is white, or each picture's largest value.
        other_activations: let activations other than ReLU and its capped forms `pass` relevance on unchanged, as ReLU
            does, which the result notes; or `refuse` them.
        dense: another rule for dense layers than the composite's; named as for `first`, but for z-box.
        bias: True if biases count in the sums that relevance is divided by, and so absorb their share of it.
        rules: rules for single layers, by their path: `features.0=z-box,classifier=gamma`, in Python also
            `{"features.0": "z-box"}`. A path stands for all dense layers and convolutions that run inside the layer,
            and the innermost one counts; `pellucid layers` lists the paths.

    Returns:
        raw shaped as the input, summed over channels for the map; extras `gap` `[batch]`, in units of the score.

    Raises:
        Refused: an operation without a rule, by name.
        UnknownName: a rule for a layer that the network does not have.
        BadOption: a rule that does not exist, or for a layer in which nothing ran that has weights.
    """
    check_operations(METHOD.id, uncovered, "Use integrated-gradients.")
    return Evidence(image_gradient, extras={"gap": absorbed(score, image_gradient)}, notes=assumed)


METHOD = Method(
    lrp,
    id="lrp",
    title="LRP",
    reference=Reference("doi:10.1371/journal.pone.0130140", "eq. 56-60"),
    caveat="The picture depends on the rules: composites with z-plus look much the same for every class "
    "(arXiv:1912.09818).",
    rule="relevance",
    reduce="sum",
    joint=True,
)
