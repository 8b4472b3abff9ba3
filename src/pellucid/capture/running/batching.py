"""How a network takes batches: measured once, by a few passes over noise, before anything is built on it.

- *Rows do not influence each other.* Every batch, every sum of scores and every chunk rests on it. Where it does not
  hold, what a picture gets alone is the answer, and pictures go through the network one by one.
- *It repeats itself.* A random network is run one picture at a time too, from the same random state in every pass, so
  that one seed stands for one network; one that answers by how often it is called is refused.
- *Channels last* is the order of memory in which CPUs run convolutions a quarter to a third faster. The numbers are the
  same but for rounding, except in networks that look at strides (`view` fails, `as_strided` reads something else).

Three passes tell all this of almost every network: two different rows, the same rows in other company and in the faster
order of memory, and one of them alone, these in inference mode. Only where they disagree, more passes find out why. The
first pass of each larger size is compared with the answers of two of its rows, since mixing may begin there.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from pellucid.capture.running.batch_size import is_out_of_memory
from pellucid.capture.running.branches import MOST, Looks
from pellucid.capture.running.modules import walk
from pellucid.capture.running.random_state import may_have_drawn, moved_between, state_now
from pellucid.capture.running.randomness import drawn_anew, drawn_freely
from pellucid.capture.running.rows import Rows, agree, by_row, gap_between
from pellucid.capture.running.without_graph import note_graphs, unrecorded
from pellucid.errors import OutOfMemory, Refused, said

Run: TypeAlias = Callable[[Tensor], Any]

_COMPANY = (1, 0, 0, 1, 1)
"""Two rows once more, in company of another size: what moves or ranks rows may leave each of a pair where it is."""
FEW = len(_COMPANY)
"""Rows that are tried before anything is built on them."""
_DRAWS = 8
"""Rows of a pass that shows whether what a network draws matters: it may do so now and then only."""
_MANY = 8
"""Shapes and manners to remember of each network."""
_known: weakref.WeakKeyDictionary[nn.Module, dict[Any, Conduct]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Conduct:
    """How a network takes batches of one shape.

    Attributes:
        last: True if channels last gives the same answers.
        mixes: by how much the other rows change a row's answer, as a share of the largest value; 0 when they do not.
        random: by how much two passes over one row were seen to differ, likewise.
        single: what the network says to two rows, if it takes only one.
        chooses: True if Python chooses a way by values of the whole batch, see `branches.py`.
    """

    last: bool = False
    mixes: float = 0.0
    random: float = 0.0
    single: str = ""
    chooses: bool = False

    @property
    def alone(self) -> bool:
        """Whether pictures must go through the network one by one."""
        return bool(self.mixes or self.random or self.single or self.chooses)

    @property
    def why(self) -> str:
        """The reason for that, a sentence about the network; empty where there is none."""
        if self.random:
            return f"is random: two passes over one picture differ by {_share(self.random)} of its largest score"
        if self.mixes:
            return f"lets the pictures of a batch influence each other, by {_share(self.mixes)} of its largest score"
        if self.chooses:
            return "chooses its way by values that Python reads (if, item), which other pictures of a batch may change"
        return f"takes one picture at a time ({self.single})" if self.single else ""

    def note(self, name: str, seed: int) -> tuple[str, ...]:
        """What readers of a map must know of the network called `name`: how it was run therefore."""
        if self.random:
            how = f"Every pass drew the same numbers, by seed {seed}: the map is of one of the networks that it may be."
        else:
            how = "Each picture was given to it alone, in every pass."
        return (f"{name} {self.why}. {how}",) if self.random or self.mixes or self.chooses else ()


def conduct_of(
    module: nn.Module, image: Tensor, kind: torch.dtype, manner: tuple[Any, ...], run: Run, *, name: str, plain: bool
) -> Conduct:
    """How the network takes inputs of this shape; remembered.

    Args:
        module: the network.
        image: what it is to be given, `[batch, channel, row, column]`.
        kind: in which number type.
        manner: how it is run; what was found holds for runs of equal manner.
        run: runs it on any number of rows.
        name: of the network, for people.
        plain: leave channels last untried.

    Raises:
        Refused: it does not repeat itself, even from the same random state.
    """
    key = key_of(module, image, kind, manner, plain=plain)
    known = _known.setdefault(module, {})
    if key not in known:
        if len(known) >= _MANY:
            known.clear()
        faster = not plain and any(isinstance(part, nn.Conv2d) for part in walk(module))
        with torch.no_grad(), drawn_freely(module):
            known[key] = _Trial(module, name, _noise(image, kind), run).conduct(faster=faster)
    return known[key]


def key_of(
    module: nn.Module, image: Tensor, kind: torch.dtype, manner: tuple[Any, ...], *, plain: bool
) -> tuple[Any, ...]:
    """What findings about a network hold for."""
    return (*image.shape[1:], kind, image.device, plain, *manner, *map(id, walk(module)))


def now_known_to_mix(module: nn.Module, key: Any, gap: float) -> None:
    """Remember of a network that was tried that larger batches change a row's answer, by this share."""
    known = _known.get(module, {})
    if key in known:
        known[key] = replace(known[key], mixes=gap)


def _noise(image: Tensor, kind: torch.dtype) -> Tensor:
    """Two rows that differ in all that a row can bring along: values, mean and spread."""
    generator = torch.Generator("cpu").manual_seed(0)
    noise = torch.randn(2, *image.shape[1:], generator=generator, dtype=torch.float32, device="cpu")
    return torch.stack([noise[0], 2 * noise[1] + 1]).to(image.device, kind)


@dataclass(frozen=True)
class _Trial:
    """Runs a network on `rows` `[2, channel, row, column]`, or some of them, to see how it takes them."""

    module: nn.Module
    name: str
    rows: Tensor
    run: Run

    def conduct(self, *, faster: bool) -> Conduct:
        """The findings; `faster` says whether channels last is worth trying."""
        devices = [self.rows.device] if self.rows.is_cuda else []
        before = state_now(devices)
        try:
            pair, looks = self._looked_at()
        except Exception as error:
            single = self._single()  # what is not about their number is raised here again
            if self._tried([0, 1], last=False):
                raise error  # nor is what comes once
            return self._slowly([], single, faster=faster, said=said(error).splitlines()[0][:120])
        with unrecorded(self.module):
            other, single = self._tried(_COMPANY, last=faster), self._tried([0], last=faster)
        moved = moved_between(before, state_now(devices)) and may_have_drawn()
        if moved and (found := self._drawing()):
            return found
        if agree(pair[:1], single) and agree([pair[k] for k in _COMPANY], other):
            return Conduct(last=faster, chooses=self._chooses(looks, pair))
        found = self._slowly(pair, self._answers([0]), faster=faster)
        return found if found.alone else replace(found, chooses=self._chooses(looks, pair))

    def _looked_at(self, opposite: int | None = None) -> tuple[Rows, Looks]:
        """The answers to both rows, and what Python read on the way, told the opposite in one place if need be."""
        rows = self.rows.clone()
        with Looks(rows, opposite) as looks:
            output = self.run(rows)
        return by_row(output, len(rows)), looks

    def _chooses(self, looks: Looks, pair: Rows) -> bool:
        """Whether Python chooses a way for all rows at once; what raises when told the opposite is a check."""
        return looks.numbers or looks.answers > MOST or any(map(self._is_choice, range(looks.answers), repeat(pair)))

    def _is_choice(self, number: int, pair: Rows) -> bool:
        try:
            return not agree(pair, self._looked_at(number)[0])
        except (Exception, SystemExit):  # noqa: BLE001 - whatever a check raises, or ends the program with
            return False

    def _drawing(self) -> Conduct | None:
        """Of a network that draws: by how much its answers differ; None where they never do, as far as can be seen."""
        several = [0] * _DRAWS if self._tried([0] * _DRAWS, last=False) else [0]
        first, *others = (self._answers(several) for _ in range(3))
        gap = self._tamed(max(gap_between(first, other) for other in others))
        return Conduct(random=gap) if gap else None

    def _single(self) -> Rows:
        try:
            return self._answers([0])
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemory(
                f"Not even one sample fits into the memory of {self.rows.device}. Use a smaller input, a smaller model "
                "or another device."
            ) from error

    def _slowly(self, pair: Rows, single: Rows, *, faster: bool, said: str = "") -> Conduct:
        """The same, one question after the other, where the first passes disagree."""
        if (gap := gap_between(single, self._answers([0]))) > 0:
            return Conduct(random=self._tamed(gap))
        note_graphs(self.module, lambda: agree(single, self._tried([0], last=False)))
        last = faster and agree(single, self._tried([0], last=True))
        if said:
            return Conduct(last=last, single=said)
        company = _COMPANY if self._tried(_COMPANY, last=False) else (1, 0)  # so many may be more than fit into memory
        if mixes := max(gap_between(pair[:1], single), self._mixed(single, company)):
            return Conduct(last=last, mixes=mixes)
        return Conduct(last=last and agree(pair, self._tried([0, 1], last=True)))

    def _mixed(self, single: Rows, company: Sequence[int]) -> float:
        """By how much the company of other rows changes a row's answer.

        The second row is unlike any picture, and a network that makes rounding large may answer it otherwise in a batch
        of another size. So only the first is compared with its answer alone; beside that, both are compared with
        themselves at the same place of a batch of the same size, where nothing differs but the other rows.
        """
        found, size = self._answers(company), len(company)
        calm, wild, between = (
            self._answers([0] * size),
            self._answers([1] * size),
            self._answers([1, *[0] * (size - 1)]),
        )
        first = [found[k] for k in range(size) if company[k] == 0]
        return max(
            gap_between(first, single * len(first)),
            gap_between(between[:1], wild[:1]),
            gap_between(between[1:], calm[1:]),
        )

    def _tamed(self, gap: float) -> float:
        """The gap, if passes from one random state agree."""
        drawn_anew.add(self.module)
        again = gap_between(self._answers([0]), self._answers([0]))
        if again == 0:
            return gap
        gap = max(gap, again)
        drawn_anew.discard(self.module)
        raise Refused(
            f"{self.name} does not repeat itself: two passes over one picture differ by {_share(gap)} of its largest "
            "score, also with the same random numbers. Does it count its calls, remember pictures, or draw from a "
            "generator of its own? Its maps would be accidents."
        )

    def _answers(self, numbers: Sequence[int], *, last: bool = False) -> Rows:
        order = torch.channels_last if last else torch.contiguous_format
        rows = self.rows[list(numbers)].to(memory_format=order, copy=True)
        return by_row(self.run(rows), len(rows))

    def _tried(self, numbers: Sequence[int], *, last: bool) -> Rows:
        """The answers; none where the network does not take the rows so."""
        try:
            return self._answers(numbers, last=last)
        except Exception:  # noqa: BLE001 - whatever a network does when strides, or so many rows, are new to it
            return []


def _share(gap: float) -> str:
    return f"{gap:.1%}" if 0.001 <= gap < 10 else f"{gap:.2g} times the size"
