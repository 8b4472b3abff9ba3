"""Reading inside a network: what each site produced, and a place in the graph to differentiate towards.

Forward hooks at the named sites only, always removed. Up to the first site the pass builds no graph; there the tape
begins one. Each awkward case is met on purpose:

- An in-place operation after the site overwrites the tensor that the layer returned. The tape keeps a copy of the
  values, and names the gradient by its *edge* in the graph at that moment, not by the tensor, which later stands for
  something else.
- Others may hold the tensor that a layer returns: a skip connection around an in-place ReLU, an attribute of the layer.
  The graph therefore begins in that very object and not in a copy, so that every user of it is seen.
- A layer that returns a view: its base may be used elsewhere, so no cut there is safe, and the pass is run again with
  the whole graph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from operator import is_
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.utils._pytree import tree_leaves
from torch.utils.hooks import RemovableHandle

from pellucid.capture.running.modules import walk
from pellucid.capture.running.opaque import hidden_inside
from pellucid.contracts import Site
from pellucid.errors import BadSite, unknown

Change = Callable[[Tensor], Tensor]
CUT_IN_THE_WAY = ("view was created in no_grad mode", "leaf Variable that requires grad")
"""What torch says when the network writes through a view that it made before the graph began."""


def memory_of(tensor: Tensor) -> int | None:
    """Where its values begin; None for tensors without a place for each value: sparse ones, and rows under vmap."""
    try:
        return tensor.untyped_storage().data_ptr()
    except RuntimeError:
        return None


class NeedsWholeGraph(BaseException):
    """The graph cannot safely begin at a site; a BaseException so that no network catches it by accident."""


class Stop(BaseException):
    """Every wanted site has been met and nothing after it is needed."""


@dataclass
class Recording:
    """One site during one pass: a copy of its values, and the edge of the graph that gradients flow to."""

    value: Tensor
    edge: GradientEdge | Tensor | None = None


class Recorder:
    """Context manager that records `sites` during the one forward pass run inside it.

    Args:
        module: the network.
        sites: where to read.
        graph: True if gradients towards the sites will be asked for.
        whole: True if the graph begins at the input already.
        changes: functions that replace the value at a site by another one.
        stop: end the pass with `Stop` once all sites are met. Only sites with a call number can be trusted then, since
            a second call is not seen.
    """

    def __init__(
        self,
        module: nn.Module,
        sites: Iterable[Site],
        *,
        graph: bool = False,
        whole: bool = False,
        changes: Mapping[Site, Change] | None = None,
        stop: bool = False,
    ) -> None:
        self.module, self.graph, self.whole, self.stop = module, graph, whole, stop
        self.changes = dict(changes or {})
        self.sites = tuple(dict.fromkeys([*sites, *self.changes]))
        self._here: dict[tuple[str, str], list[Site]] = {}
        for site in self.sites:
            self._here.setdefault((site.path, site.port), []).append(site)
        self.taps: dict[Site, Recording] = {}
        self.calls: Counter[tuple[str, str]] = Counter()
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> Recorder:
        try:
            for path, port in self._here:
                self._listen(path, port)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._remove()
        if kind is None:
            self._check_met()

    def _remove(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _listen(self, path: str, port: str) -> None:
        part = find_module(self.module, path)
        if isinstance(part, torch.jit.ScriptModule):
            raise BadSite(f"The layer {path!r} cannot be looked at. {hidden_inside(self.module)}")

        def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if args and isinstance(args[0], Tensor):
                return (self._meet(path, port, args[0], (args[0],)), *args[1:]), kwargs
            raise BadSite(f"The first input of {path!r} is no tensor, so there is nothing to look at.")

        def after(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Any:
            if not isinstance(out, Tensor):
                raise BadSite(
                    f"The layer {path!r} returns {type(out).__name__}, not a tensor. Choose one inside it: "
                    f"{', '.join(repr(f'{path}.{name}') for name, _ in part.named_children()) or 'it has none'}."
                )
            return self._meet(path, port, out, (*args, *kwargs.values()))

        if port == "input":
            self._handles.append(part.register_forward_pre_hook(before, with_kwargs=True))
        else:
            self._handles.append(part.register_forward_hook(after, with_kwargs=True))

    def _meet(self, path: str, port: str, tensor: Tensor, inputs: tuple[Any, ...]) -> Tensor:
        call = self.calls[path, port]
        self.calls[path, port] += 1
        for site in self._here[path, port]:
            if site.call in (None, call):
                tensor = self._record(site, tensor, inputs)
        if self.stop and len(self.taps) == len(self.sites):
            raise Stop
        return tensor

    def _record(self, site: Site, tensor: Tensor, inputs: tuple[Any, ...]) -> Tensor:
        if memory_of(tensor) is None:
            raise BadSite(
                f"The layer {site} gives a sparse tensor, or is run under vmap, so its values cannot be looked at. "
                "Choose another layer."
            )
        if site in self.changes:
            self.taps[site] = Recording(tensor.new_empty(0))  # met; the values are the caller's own
            return self._replaced(site, tensor, self.changes[site](tensor), inputs)
        if not self.graph:
            self.taps[site] = Recording(tensor.detach().clone())
            return tensor
        if not tensor.is_floating_point():
            raise BadSite(f"The layer {site} gives {tensor.dtype}, which has no gradient.")
        if tensor.requires_grad:
            self.taps[site] = Recording(tensor.detach().clone(), get_gradient_edge(tensor))
            return tensor
        torch.set_grad_enabled(True)  # the caller of the pass restores it
        return self._begin_graph(site, tensor, inputs)

    def _begin_graph(self, site: Site, tensor: Tensor, inputs: tuple[Any, ...]) -> Tensor:
        if not self._is_alone(tensor, inputs):
            if not self.whole:
                raise NeedsWholeGraph
            leaf = tensor.detach().clone().requires_grad_()  # cut off from the input by the network itself
            self.taps[site] = Recording(leaf.detach(), leaf)
            return leaf.clone()
        # Adding zero in place makes this very object a part of the graph: all its holders see the same history.
        tensor.add_(torch.zeros((), dtype=tensor.dtype, device=tensor.device, requires_grad=True))
        self.taps[site] = Recording(tensor.detach().clone(), get_gradient_edge(tensor))
        return tensor

    def _replaced(self, site: Site, tensor: Tensor, changed: Tensor, inputs: tuple[Any, ...]) -> Tensor:
        """The changed value; written into the tensor itself if the layer's input is that tensor, for all its holders.

        Where it does not fit, the tensor is spoilt: if anyone but the next layer holds it, the network's answer shows.

        Raises:
            BadSite: it does not fit, and the tensor is the model's own.
        """
        if not any(t is tensor for t in tree_leaves(inputs)):
            return changed
        if changed.shape == tensor.shape:
            return tensor.copy_(changed)
        own = [t for part in walk(self.module) for t in (*part._parameters.values(), *part._buffers.values())]
        if any(t is not None and t.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr() for t in own):
            raise BadSite(f"The layer '{site}' hands on a tensor that belongs to the model, so no one may change it.")
        tensor.fill_(torch.nan)
        return changed

    def _is_alone(self, tensor: Tensor, inputs: tuple[Any, ...]) -> bool:
        """Whether this object is the only one that stands for its memory, and does not belong to the model."""
        buffers = chain.from_iterable([part._buffers.values() for part in walk(self.module)])
        if tensor._is_view() or any(map(partial(is_, tensor), buffers)):
            return False
        storage = tensor.untyped_storage().data_ptr()
        others = [t for t in tree_leaves(inputs) if isinstance(t, Tensor) and t is not tensor]
        return all(t.untyped_storage().data_ptr() != storage for t in others)

    def _check_met(self) -> None:
        for site in self.sites:
            calls = self.calls[site.path, site.port]
            if site.call is None and calls > 1:
                choices = ", ".join(f"'{Site(site.path, k, site.port)}'" for k in range(min(calls, 4)))
                raise BadSite(f"The layer {site.path!r} is called {calls} times in one pass. Say which: {choices}.")
            if site not in self.taps:
                raise BadSite(
                    f"The layer '{site}' was called {calls} times in this pass, so it has nothing to show. "
                    f"{hidden_inside(self.module) or 'Does the network skip it in evaluation mode?'}"
                )


def find_module(module: nn.Module, path: str) -> nn.Module:
    """The submodule at a dotted path.

    Raises:
        UnknownName: there is none; the message offers near paths.
    """
    part: Any = module
    for name in path.split(".") if path else []:
        inside = part._modules if isinstance(part, nn.Module) else {}
        part = dict(inside.items()).get(name)  # that of TorchScript has no `get`
        if part is None:
            known = [name for name, _ in module.named_modules() if name]
            raise unknown("layer", path, known, "`pellucid layers MODEL` lists the layers with a grid.")
    return part  # type: ignore[no-any-return]
