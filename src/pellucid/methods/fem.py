"""FEM: feature explanation method."""

from pellucid.contracts import Map, Maps, Method, Reference
from pellucid.errors import BadOption
from pellucid.numerics import CHANNEL, places


def fem(activation: Maps, *, threshold: float = 2.0) -> Map:
    """Where a layer's channels are rarely strong, whatever the class; needs no gradient.

    B_k = 1[A_k > mean(A_k) + threshold std(A_k)]; map = sum_k mean(A_k) B_k, mean and standard deviation over all
    places of the channel. Strictly above, so that a constant channel is strong nowhere.

    Args:
        activation: A, `[batch, channel, row, column]`.
        threshold: standard deviations above the mean that count as strong.

    Returns:
        `[batch, row, column]` on the layer's grid.

    Raises:
        BadOption: a negative threshold.
    """
    if threshold < 0:
        raise BadOption(f"Expected threshold >= 0 for fem, got {threshold}.")
    mean = activation.mean(places(activation), keepdim=True)
    spread = activation.std(places(activation), keepdim=True, unbiased=False)
    strong = activation > mean + threshold * spread
    return (mean * strong).sum(CHANNEL)


METHOD = Method(
    fem,
    id="fem",
    title="FEM",
    reference=Reference("Fuad et al., IPTA 2020, doi:10.1109/IPTA50016.2020.9286629", "definition of FEM"),
    caveat="Knows nothing of the target: the map is the same for every class.",
)
