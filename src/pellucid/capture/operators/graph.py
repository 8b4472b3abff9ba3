"""Reading the autograd graph of a score: the authority on which operations it really went through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch import Tensor
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import GradientEdge, get_gradient_edge

from pellucid.capture.operators.arithmetic import DIV
from pellucid.capture.operators.vocabulary import ROUTES, behind

_LEAVES = frozenset({"accumulategrad", "torch::autograd::accumulategrad"})
_COPIES = frozenset({"copybackwards", "torch::autograd::copybackwards"})
"""Nodes of no operator: where graphs end, and copies into a tensor, which keep what was not written over."""


def routes(name: str) -> bool:
    """Whether an operation, by the plain name of its node, only moves values about.

    Its gradient hands every signal to the value that it belongs to (max pooling: to the winner), which is what
    relevance and multipliers must do there too.
    """
    operator = behind(name)
    return name in _LEAVES | _COPIES or (operator is not None and not operator.traits.isdisjoint(ROUTES))


def chooses(name: str) -> bool:
    """Whether it hands on the largest or smallest of several values."""
    operator = behind(name)
    return operator is not None and "choosing" in operator.traits


def moves(name: str) -> bool:
    """Whether it only moves, copies or leaves out values of one tensor, or pads it with constants."""
    operator = behind(name)
    return name in _LEAVES or (name not in _COPIES and operator is not None and "moving" in operator.traits)


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
    operator = behind(name)
    within = [below in inside for below, _ in node.next_functions]
    linear = operator is not None and "linear" in operator.traits and "moving" not in operator.traits
    if linear and (sum(within) > 1 or (operator is DIV and not within[0])):
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


def strangers(made: Iterable[Any], known: Callable[[Any], bool], names: Callable[[str], str | None]) -> tuple[str, ...]:
    """Plain names of those of some nodes that are not `known`, for people.

    Args:
        made: nodes of a graph.
        known: whether a node is covered.
        names: gives a better name for people, if there is one, by a node's plain name.
    """
    return tuple(sorted({_describe(node, names) for node in made if not known(node)}))


def _describe(node: Any, names: Callable[[str], str | None]) -> str:
    owner = made_by(node)
    if owner is not None:
        return f"the custom function {owner.__name__}"
    kind = str(node.name())
    if "jit" in kind.lower() or "DifferentiableGraph" in kind:
        return "TorchScript code"
    plain = plain_name(node)
    return names(plain) or _PLAINLY.get(plain) or in_words([plain])[0]


def is_linear(node: Any) -> bool:
    """Whether torch's own operation is affine in what depends on the picture; parameters must be frozen."""
    name = plain_name(node)
    operator = behind(name)
    if operator is None:
        return name in _LEAVES | _COPIES
    if not operator.traits.isdisjoint({"moving", "joining", "summing"}):
        return True
    if "linear" not in operator.traits or getattr(node, "_saved_training", False):
        return False
    live = [below is not None for below, _ in node.next_functions]
    return sum(live) == 1 and ("linear in the first" not in operator.traits or live[0])
