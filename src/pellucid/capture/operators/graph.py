"""Reading the autograd graph of a score: the authority on which operations it really went through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch import Tensor
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import GradientEdge, get_gradient_edge

# Operations that only move values about, by the names of their nodes. Their gradient hands every signal to the value
# that it belongs to (max pooling: to the winner), which is what relevance and multipliers must do there too.
ROUTING = frozenset(
    """
    accumulategrad adaptivemaxpool2d adaptivemaxpool3d alias amax amin asstrided cat chunk clone constantpadnd
    copybackwards
    diagonal expand flip gather index indexselect maskedfill max maximum maxpool2dwithindices maxpool3dwithindices min
    minimum mkldnnreshape movedim narrow nativechannelshuffle permute pixelshuffle pixelunshuffle reflectionpad1d
    reflectionpad2d reflectionpad3d repeat replicationpad1d replicationpad2d replicationpad3d reshapealias roll select
    slice split splitwithsizes squeeze stack t tocopy torch::autograd::accumulategrad torch::autograd::copybackwards
    transpose unbind unsafesplit unsafesplitwithsizes unsafeview unsqueeze view where
    """.split()  # noqa: SIM905
)

_IN_WORDS = {
    "adaptivemaxpool2d": "max pooling",
    "maxpool2dwithindices": "max pooling",
    "nativegroupnorm": "group norm",
    "nativelayernorm": "layer norm",
    "torch::autograd::copyslices": "writing into a part of a tensor",
}
_PLAINLY = _IN_WORDS | {
    "mul": "a product of two values that both depend on the picture",
    "div": "a quotient of two values that both depend on the picture",
    "bmm": "a matrix product of two values that both depend on the picture",
    "mm": "a matrix product hidden from Python",
    "nativebatchnorm": "batch norm over the batch itself",
}
_FUSED_ATTENTION = "scaleddotproduct"  # the name goes on with that of the kernel


def nodes(result: Tensor, *stops: Any) -> Iterator[Any]:
    """Every node of the graph below a tensor, each once, without `stops` and what only they lead to."""
    return nodes_below(result.grad_fn, *stops)


def nodes_below(start: Any, *stops: Any) -> Iterator[Any]:
    """A node, None for no node, and all below it, each once, without `stops` and what only they lead to."""
    stack = [start] if start is not None else []
    seen = {*stack, *stops}
    while stack:
        node = stack.pop()
        yield node
        for below in _below(node):
            if below not in seen:
                seen.add(below)
                stack.append(below)


def _below(node: Any) -> list[Any]:
    return [below for below, _ in node.next_functions if below is not None]


def plain_name(node: Any) -> str:
    """`MeanBackward1` -> `mean`."""
    return str(node.name()).rstrip("0123456789").removesuffix("Backward").lower()


def made_by(node: Any) -> type | None:
    """The custom autograd function that a node belongs to, or None for torch's own operations."""
    return getattr(node, "_forward_cls", type(node)) if isinstance(node, BackwardCFunction) else None


def between(result: Tensor, end: GradientEdge | Tensor | None) -> set[Any]:
    """The nodes of the graph between a site's edge and `result`, without what passes the site by."""
    site = _node_of(end)
    users: dict[Any, list[Any]] = {}
    for node in nodes(result, site):
        for below in _below(node):
            users.setdefault(below, []).append(node)
    found: set[Any] = set()
    stack = [site]
    while stack:  # upwards from the site
        for node in users.get(stack.pop(), ()):
            if node not in found:
                found.add(node)
                stack.append(node)
    return found


def _node_of(end: GradientEdge | Tensor | None) -> Any:
    return end.node if isinstance(end, GradientEdge) else get_gradient_edge(end).node if end is not None else None


def operations(result: Tensor, end: GradientEdge | Tensor | None) -> tuple[str, ...]:
    """Names of the operations in the graph between a site's edge and `result`, such as `mean` or `addmm`."""
    found = between(result, end)
    inside = found | {_node_of(end)}
    return tuple(sorted({_with_operands(node, inside) for node in found}))


def _with_operands(node: Any, inside: set[Any]) -> str:
    """The plain name, unless what is linear in one operand has several, or a denominator, in a part of the graph."""
    name = plain_name(node)
    within = [below in inside for below, _ in node.next_functions]
    if name in _LINEAR and name not in _JOINING and (sum(within) > 1 or (name == "div" and not within[0])):
        return _OF_TWO
    return name


_OF_TWO = "a product of two values that both depend on that layer"


def in_words(names: Iterable[str]) -> tuple[str, ...]:
    """Plain names as people know them, where they are no names of linear operations."""
    words = {
        _IN_WORDS.get(name) or ("fused attention" if name.startswith(_FUSED_ATTENTION) else name) for name in names
    }
    return tuple(sorted(words))


def nearest(start: Any, wanted: Callable[[Any], bool]) -> list[Any]:
    """The nodes that satisfy `wanted` and are reached from the node `start` without passing another such node."""
    stack, seen, found = [start], {start}, []
    while stack:
        node = stack.pop()
        if wanted(node):
            found.append(node)
            continue
        fresh = [below for below in _below(node) if below not in seen]
        seen.update(fresh)
        stack += fresh
    return found


def strangers(made: Iterable[Any], known: Callable[[Any], bool], names: dict[str, str]) -> tuple[str, ...]:
    """Plain names of those of some nodes that are not `known`, for people.

    Args:
        made: nodes of a graph.
        known: whether a node is covered.
        names: better names for people, by a node's own name without its number.
    """
    return tuple(sorted({_describe(node, names) for node in made if not known(node)}))


def _describe(node: Any, names: dict[str, str]) -> str:
    owner = made_by(node)
    if owner is not None:
        return f"the custom function {owner.__name__}"
    kind = str(node.name())
    if "jit" in kind.lower() or "DifferentiableGraph" in kind:
        return "TorchScript code"
    plain = plain_name(node)
    return names.get(kind.rstrip("0123456789")) or _PLAINLY.get(plain) or in_words([plain])[0]


# Operations that are linear in what depends on the picture, as long as only one of their operands does.
_LINEAR = frozenset(
    """
    adaptiveavgpool2d adaptiveavgpool3d addbmm addmm addmv avgpool2d avgpool3d baddbmm bmm col2im convolution
    convolutionoverrideable cudnnbatchnorm cudnnconvolution cumsum div dot gridsampler2d gridsampler3d im2col linear
    mean miopenbatchnorm mkldnnconvolution mm mul mv nativebatchnorm neg slowconv2d sum take tril triu unfold
    upsamplebicubic2d upsamplebicubic2daa upsamplebilinear2d upsamplebilinear2daa upsamplelinear1d upsamplenearest1d
    upsamplenearest2d upsamplenearest3d upsampletrilinear3d
    """.split()  # noqa: SIM905
)
_IN_THE_FIRST = frozenset({"div", "gridsampler2d", "gridsampler3d"})
"""Of these only what comes first may depend on the picture: not the denominator, nor the places."""
_JOINING = frozenset({"add", "sub", "rsub"})
CHOOSING = frozenset(
    """
    adaptivemaxpool2d adaptivemaxpool3d amax amin max maximum maxpool2dwithindices maxpool3dwithindices min minimum
    """.split()  # noqa: SIM905
)

MOVING = ROUTING - CHOOSING - {"cat", "copybackwards", "maskedfill", "stack", "torch::autograd::copybackwards", "where"}
"""Those that only move, copy or leave out values of one tensor, or pad it with constants."""

# The choice may depend on the picture, which their node does not tell.
_PERHAPS_CHOOSING = frozenset({"maskedfill", "where"})


def is_linear(node: Any) -> bool:
    """Whether torch's own operation is affine in what depends on the picture; parameters must be frozen."""
    name = plain_name(node)
    if name in ROUTING - CHOOSING - _PERHAPS_CHOOSING or name in _JOINING:
        return True
    if name not in _LINEAR or getattr(node, "_saved_training", False):
        return False
    live = [below is not None for below, _ in node.next_functions]
    return sum(live) == 1 and (name not in _IN_THE_FIRST or live[0])
