"""The state of a network, taken before a pass and put back after it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice
from operator import is_, itemgetter
from typing import Any

import torch
from torch import nn

from pellucid.capture.running.contents import Contents, put_back, put_back_set
from pellucid.capture.running.modules import walk
from pellucid.capture.running.watch import Watch
from pellucid.errors import TraceLeft

_USUAL = [*nn.Module().__dict__]
"""What torch gives to every module, and gives first."""
_TABLES = tuple(name for name in _USUAL if isinstance(nn.Module().__dict__[name], dict) and "state_dict" not in name)
_tables: Callable[[dict[str, Any]], tuple[dict[str, Any], ...]] = itemgetter(*_TABLES)
_parameters: Callable[[dict[str, Any]], dict[str, Any]] = itemgetter("_parameters")
_buffers: Callable[[dict[str, Any]], dict[str, Any]] = itemgetter("_buffers")
_of_tree: Callable[[dict[str, Any]], tuple[dict[str, Any], ...]] = itemgetter("_parameters", "_buffers", "_modules")


class Snapshot:
    """The state of a module tree. Parameters' values and gradients are watched, all other tensors are copied.

    Putting back never clears anything before its replacement is there, and can be repeated: after an exception in the
    middle of it the second try does the rest.

    Args:
        modules: of the tree, see `walk`.

    Attributes:
        untouched: False once something had to be put back.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        # Flat lists: tens of thousands of small tuples a second would keep Python's garbage collector busy.
        self.untouched = True
        self.contents = Contents(map(id, modules))
        self.parts: list[nn.Module] = []
        self.own: list[Any] = []
        self.counts: list[int] = []
        new = list(modules)
        while new:  # modules in plain lists are no parts to torch, yet run all the same
            self.parts += new
            owns = [_own(part.__dict__) for part in new]
            self.counts += map(len, owns)
            own = list(chain.from_iterable(owns))
            self.own += own
            self.contents.add(own)
            new = _parts_of(self.contents.modules, self.parts) if self.contents.modules else []
            self.contents.modules.clear()
        self.dicts = [part.__dict__ for part in self.parts]
        self.attributes = [attributes.copy() for attributes in self.dicts]
        self.flagged = [attributes for attributes in self.dicts if "training" in attributes]  # compiled parts have none
        self.training = list(map(itemgetter("training"), self.flagged))
        self.tables = list(chain.from_iterable(map(_tables, self.dicts)))
        self.of_tree = list(chain.from_iterable(map(_of_tree, self.dicts)))
        self.filled = list(filter(None, self.tables))
        self.names = list(chain.from_iterable(self.filled))
        self.values = list(chain.from_iterable([table.values() for table in self.filled]))
        self.lengths = list(map(len, self.filled))
        self.not_saved = {id(names): names.copy() for names in self._sets() if names}
        self._keep_tensors()

    def _sets(self) -> list[set[str]]:
        """Which buffers `state_dict` leaves out."""
        return [attributes["_non_persistent_buffers_set"] for attributes in self.dicts]

    def _keep_tensors(self) -> None:
        parameters = [p for table in map(_parameters, self.dicts) for p in table.values() if p is not None]
        buffers = [b for table in map(_buffers, self.dicts) for b in table.values() if b is not None]
        self.parameters = parameters + self.contents.parameters
        self.requires_grad = [p.requires_grad for p in self.parameters]
        self.grads = [p.grad if p.is_leaf else None for p in self.parameters]
        self.tensors = buffers + self.contents.tensors
        self.copies = torch._foreach_clone(self.tensors) if self.tensors else []
        self.of_parameters = Watch(self.parameters)
        self.of_grads = Watch([grad for grad in self.grads if grad is not None])
        self.of_tensors = Watch(self.tensors)

    def watch_again(self) -> bool:
        """Let this stand for the network as it is now, if no more than numbers have changed since it was last put back.

        Returns:
            Whether it does. Copies of tensors are those of the last time.
        """
        same = (
            _identical(chain.from_iterable(map(_of_tree, self.dicts)), self.of_tree)
            and self._has_same_tables()
            and self._has_same_attributes()
            and [p.requires_grad for p in self.parameters] == self.requires_grad
            and _identical([p.grad if p.is_leaf else None for p in self.parameters], self.grads)
        )
        return same and self.of_parameters.begin_again() and self.of_tensors.begin_again()

    @property
    def has_inference_tensors(self) -> bool:
        """Whether some were made in inference mode, so that no gradient goes through them."""
        return self.of_parameters.inference or self.of_tensors.inference

    def steps(self) -> tuple[Callable[[], None], ...]:
        """What has to be done to put everything back, each to be tried whatever happens to the others.

        The last raises:
            TraceLeft: values that are only watched have changed.
        """
        return (
            self._put_back_flags,
            self._put_back_tables,
            self._put_back_attributes,
            self.contents.put_back,
            self._put_back_tensors,
            self._put_back_gradients,
            self._check,
        )

    def _put_back_flags(self) -> None:
        for attributes, training in zip(self.flagged, self.training, strict=True):
            attributes["training"] = training

    def _has_same_tables(self) -> bool:
        filled = list(filter(None, self.tables))
        return (
            _identical(filled, self.filled)
            and list(map(len, filled)) == self.lengths
            and _identical(chain.from_iterable(filled), self.names)
            and _identical(chain.from_iterable([table.values() for table in filled]), self.values)
        )

    def _put_back_tables(self) -> None:
        if self._has_same_tables():
            return
        self.untouched = False
        entries, known = zip(self.names, self.values, strict=True), dict[int, dict[str, Any]]()
        for table, length in zip(self.filled, self.lengths, strict=True):
            known[id(table)] = dict(islice(entries, length))
        for table in self.tables:
            put_back(table, known.get(id(table), {}))
        for names in self._sets():
            put_back_set(names, self.not_saved.get(id(names), set()))

    def _has_same_attributes(self) -> bool:
        return _equal(self.dicts, self.attributes) and _identical(self._own_now(), self.own)

    def _put_back_attributes(self) -> None:
        if not self._has_same_attributes():
            self.untouched = False
            for attributes, before in zip(self.dicts, self.attributes, strict=True):
                put_back(attributes, before)

    def _own_now(self) -> Iterable[Any]:
        """The values that stand last, the last first: behind those that torch gives, where these are as usual."""
        return chain.from_iterable(
            [
                [*islice(reversed(attributes.values()), count)]
                for attributes, count in zip(self.dicts, self.counts, strict=True)
                if count
            ]
        )

    def _put_back_tensors(self) -> None:
        for k in self.of_tensors.changed():
            self.untouched = False  # a copy may become the tensor's own memory
            tensor, copy = self.tensors[k], self.copies[k]
            if tensor.data_ptr() == self.of_tensors.places[k]:
                tensor.data.copy_(copy)
            else:
                tensor.data = copy

    def _put_back_gradients(self) -> None:
        for parameter, requires_grad, grad in zip(self.parameters, self.requires_grad, self.grads, strict=True):
            if parameter.requires_grad != requires_grad:
                self.untouched = False
                parameter.requires_grad_(requires_grad)
            if parameter.is_leaf and parameter.grad is not grad:
                self.untouched = False
                parameter.grad = grad

    def _check(self) -> None:
        watched = {"parameters": self.of_parameters, "gradients": self.of_grads}
        changed = " and ".join(name for name, watch in watched.items() if watch.changed())
        if changed:
            self.untouched = False
            raise TraceLeft(
                f"The network changed its own {changed} in place during a forward pass, so its answers depend on how "
                f"often it is called. The {changed} were left as the network set them."
            )


def _own(attributes: dict[str, Any]) -> list[Any]:
    """The values that a class or the user gave to a module, the last first: all behind those that torch gives.

    These mostly are first. Where they are not, as in a module that was saved by another version of torch, all count as
    its own.
    """
    values, count = [*attributes.values()], len(_USUAL)
    usual = values[1] is attributes[_USUAL[1]] and values[count - 1] is attributes[_USUAL[-1]]
    return (values[count:] if usual else values)[::-1]


def _parts_of(roots: Sequence[nn.Module], known: Sequence[nn.Module]) -> list[nn.Module]:
    """All modules below these, each once, but for those that are known."""
    numbers = set(map(id, known))
    return list({id(part): part for root in roots for part in walk(root) if id(part) not in numbers}.values())


def _identical(now: Iterable[Any], before: Sequence[Any]) -> bool:
    """Whether these are the same objects in the same order."""
    found = list(now)
    return len(found) == len(before) and all(map(is_, found, before))


def _equal(now: Sequence[dict[str, Any]], before: Sequence[dict[str, Any]]) -> bool:
    """Whether these hold the same names with equal values; quicker than any loop, as the same object is equal."""
    try:
        return bool(now == before)
    except Exception:  # noqa: BLE001 - what was put in place of a value may not allow a comparison
        return False
