"""The network's own mask."""

from pellucid.contracts import Map, Method, ProbeLike, Reference
from pellucid.errors import Refused


def own_mask(probe: ProbeLike) -> Map:
    """What a self-explaining network itself says that its scores need, whatever the class.

    map = m(x), of the second network that was trained beside the one that scores, so that the scores of
    m x + (1 - m) noise stay and m is small and smooth. It costs one pass and is no measurement of the scores.

    Args:
        probe: access to the network, asked for it.

    Returns:
        `[batch, row, column]` at the input, from 0 (not needed) to 1.

    Raises:
        Refused: the network draws no mask.
    """
    mask = probe.own_mask()
    if mask is None:
        raise Refused(
            "own-mask cannot read this network: it draws no mask of its own, as those do that "
            "`pellucid train --self-explaining` makes. Use extremal-perturbation, which finds one for any network."
        )
    return mask


METHOD = Method(
    own_mask,
    id="own-mask",
    title="Own mask",
    reference=Reference("arXiv:1705.07857", "a mask learned by a second network, here trained together with the first"),
    caveat="Says what the network was trained to name, not what a class's score was measured to depend on.",
)
