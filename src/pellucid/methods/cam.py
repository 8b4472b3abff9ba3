"""CAM."""

from pellucid.contracts import Map, Maps, Method, Reference
from pellucid.errors import Refused
from pellucid.methods._relevance import before_softmax
from pellucid.numerics import CHANNEL, places

# What a score may do with a layer and stay linear in it, as named by the graph; `add` and `sub` join linear parts.
# Where both operands of a product depend on the layer, the graph does not call it `mul` but says so. A test holds that
# these are the names that the vocabulary of operators knows as linear or moving.
LINEAR = frozenset(
    """
    adaptiveavgpool2d adaptiveavgpool3d add addbmm addmm addmv alias asstrided avgpool2d avgpool3d baddbmm bmm
    cat channelshuffle chunk clone col2im constantpadnd convolution convolutionoverrideable cudnnconvolution
    cumsum diagonal div dot expand flip gather im2col index indexselect linear mean mkldnnconvolution
    mkldnnreshape mm movedim mul mv narrow nativechannelshuffle neg permute pixelshuffle pixelunshuffle
    reflectionpad1d reflectionpad2d reflectionpad3d repeat replicationpad1d replicationpad2d replicationpad3d
    reshapealias roll rot90 rsub select slice slowconv2d slowconv3d slowconvtranspose2d split splitwithsizes
    squeeze stack sub sum t take tocopy transpose tril triu unbind unfold unsafesplit unsafesplitwithsizes
    unsafeview unsqueeze upsamplebicubic2d upsamplebicubic2daa upsamplebilinear2d upsamplebilinear2daa
    upsamplelinear1d upsamplenearest1d upsamplenearest2d upsamplenearest3d upsamplenearestexact1d
    upsamplenearestexact2d upsamplenearestexact3d upsampletrilinear3d vdot view
    """.split()  # noqa: SIM905
)


def cam(activation: Maps, gradient: Maps, head: tuple[str, ...]) -> Map:
    """Where a class score comes from, exactly, in networks that end in global average pooling and one linear layer.

    map = sum_k w_k A_k, with w_k the class's weight for channel k and both signs kept. Its mean plus the class's bias
    *is* the score. Whether the head is of that kind is not guessed from module types but read off the pass itself: the
    gradient must be the same at all positions, and only linear operations may lie between the layer and the score.

    Args:
        activation: A, `[batch, channel, row, column]`.
        gradient: g, of the same shape; w_k = cells * g_k.
        head: the operations between the layer and the score.

    Returns:
        `[batch, row, column]` on the layer's grid, signed.

    Raises:
        Refused: the head is something else.
    """
    bent = [name for name in head if name not in LINEAR]
    if bent:
        raise Refused(
            "CAM needs global average pooling and one linear layer right behind its layer, but the score "
            f"also goes through {', '.join(bent)}. {before_softmax(tuple(bent))}Use grad-cam."
        )
    if not bool(gradient.any()):
        raise Refused("CAM has nothing to weigh: the score does not depend on the layer that it looks at. Use another.")
    weights = gradient.mean(places(gradient), keepdim=True)
    if bool((gradient - weights).abs().amax() > 1e-4 * gradient.abs().amax()):
        raise Refused(
            "CAM needs global average pooling right behind the layer that it looks at, but the score weighs its "
            "positions differently. Use grad-cam or hires-cam."
        )
    cells = activation[0, 0].numel()
    return (weights * cells * activation).sum(CHANNEL)


METHOD = Method(
    cam,
    id="cam",
    title="CAM",
    reference=Reference("arXiv:1512.04150", "eq. 2"),
    caveat="Exact for the last layer only; the grid is coarse, and a cell's receptive field may be the whole picture.",
)
