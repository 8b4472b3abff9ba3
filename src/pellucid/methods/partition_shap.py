"""Partition SHAP: Owen values of regions under a hierarchy of halves."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.contracts import Evidence, Maps, Method, Noise, Passes, ProbeLike, Reference
from pellucid.errors import BadOption
from pellucid.methods._players import Game, game_of

_AT_ONCE = 16
"""Groups divided between two looks at which matter most; a fixed number, so that chunks never change a result."""


def partition_shap(
    image: Maps,
    probe: ProbeLike,
    rng: Noise,
    *,
    regions: int | str | Tensor | None = None,
    samples: int = 1000,
    fill: float | str | Tensor = 0.0,
) -> Evidence:
    """What each region adds to the score, shared out between halves of the picture, halves of halves, and so on.

    The regions are halved across their longer extent until each is alone. The gain G of a group L + R in a context C
    (what else is shown) is shared fairly among its halves: L gets the mean of S(C + L) - S(C) and S(C + L + R) - S(C +
    R), each to be shared further in its own context; with all groups divided these are Owen's values. Groups with the
    largest part in the result are divided first; where the samples end, regions share evenly. The values add up to S(I)
    - S(nothing shown) at any number of samples.

    Args:
        image: I, `[batch, channel, *axes]`, of pictures `[batch, channel, row, column]`.
        probe: scores the pictures with some regions shown.
        rng: random draws of the noise of the fill `noise`; the same for all pictures.
        regions: number of superpixels, a grid such as `7x7`, `channels`, or the file of a label map (see
            `pellucid.masking.regions`); None is 50 superpixels, or on small pictures a grid of about as many cells; of
            signals 50 segments, of tables the columns.
        samples: largest number of pictures to ask for; dividing one group takes two.
        fill: what hides: a value in the model's normalised space (0 is the mean colour of its training data), `mean`,
            `blur`, `noise`, `inpaint` or another picture (see `pellucid.masking.fills`).

    Returns:
        raw `[batch, *axes]` at the size of the input, signed, or with `channels` shaped as the input: each pixel has
        its region's value; extras `values of regions` `[batch, region]`, `score` S(I), `baseline` S(nothing shown) and
        `undivided`, the share of the value that regions share evenly for want of samples, all `[batch]`, and the label
        map `regions`.

    Raises:
        BadOption: fewer than two samples.
    """
    if samples < 2:
        raise BadOption(f"Expected at least 2 samples for {METHOD.id}, got {samples}.")
    game = game_of(METHOD.id, image, probe, rng, regions, fill)
    nobody, everybody = game.ends()
    alone = torch.zeros(game.players, dtype=torch.bool)
    ends = zip(nobody.tolist(), everybody.tolist(), strict=True)
    trees = [[_Group(0, game.players, alone, none, everyone - none, 1.0)] for none, everyone in ends]
    places = _places(game)
    _divide(game, places, trees, samples)
    shared = torch.stack([_shared(groups, game.players) for groups in trees])
    undivided = torch.tensor([_undivided(groups) for groups in trees], dtype=torch.float64)
    notes = (
        f"The samples did not suffice to divide all groups: up to {float(undivided.max()):.0%} of the value is shared "
        "evenly within groups of regions.",
    )
    return game.evidence(
        shared.gather(1, places),
        *(notes if bool(undivided.any()) else ()),
        score=everybody,
        baseline=nobody,
        undivided=undivided,
    )


@dataclass(frozen=True, eq=False)
class _Group:
    """Regions `first` to `last` (exclusive), in the order of the tree, in one context.

    `gain` is what they add to `without`, the score of the context alone; `weight` is how much of it counts.
    """

    first: int
    last: int
    context: Tensor
    without: float
    gain: float
    weight: float

    @property
    def size(self) -> int:
        return self.last - self.first

    @property
    def part(self) -> float:
        return abs(self.weight * self.gain)

    def with_halves(self) -> tuple[Tensor, Tensor]:
        """The context with the first half shown, and with the second."""
        middle = (self.first + self.last) // 2
        first, second = self.context.clone(), self.context.clone()
        first[self.first : middle] = second[middle : self.last] = True
        return first, second

    def halves(self, first: float, second: float) -> list[_Group]:
        """Both halves, each without and with the other; `first` and `second` are the scores of `with_halves`."""
        middle = (self.first + self.last) // 2
        with_first, with_second = self.with_halves()
        both, half = self.without + self.gain, self.weight / 2
        return [
            _Group(self.first, middle, self.context, self.without, first - self.without, half),
            _Group(self.first, middle, with_second, second, both - second, half),
            _Group(middle, self.last, self.context, self.without, second - self.without, half),
            _Group(middle, self.last, with_first, first, both - first, half),
        ]


def _divide(game: Game, places: Tensor, trees: list[list[_Group]], samples: int) -> None:
    """Divide groups in all pictures until the samples, or the groups, are used up."""
    total = min(samples // 2 * 2, _needed(game.players))
    with game.probe.interruptible(total, least=2) as tally:
        while tally.done < total:
            chosen = [_next(groups, samples // 2) for groups in trees]
            asked = torch.zeros(len(trees), 2 * max(map(len, chosen)), game.players, dtype=torch.bool)
            for sets, groups in zip(asked, chosen, strict=True):
                for j, group in enumerate(groups):
                    sets[2 * j], sets[2 * j + 1] = group.with_halves()
            scores = _scores(game, asked.gather(2, places[:, None].expand_as(asked)))
            for k, groups in enumerate(chosen):
                new = [half for j, group in enumerate(groups) for half in group.halves(*scores[k][2 * j : 2 * j + 2])]
                trees[k] = [group for group in trees[k] if group not in groups] + new  # at once: Ctrl-C may come here
            tally.done = 2 * min(map(_divided, trees))


def _next(groups: list[_Group], most: int) -> list[_Group]:
    """The groups to divide now: those that matter most, as long as no more than `most` are ever divided."""
    open_ = sorted((group for group in groups if group.size > 1), key=lambda group: -group.part)
    return open_[: min(_AT_ONCE, most - _divided(groups))]


def _divided(groups: list[_Group]) -> int:
    """How many divisions led to these groups; each puts four in the place of one."""
    return (len(groups) - 1) // 3


def _scores(game: Game, shown: Tensor) -> list[list[float]]:
    """Scores of sets of regions, which are bool `[batch, set, region]`."""
    scores: list[list[float]] = game.payoffs(shown.shape[1], lambda k, numbers: shown[k, numbers]).tolist()
    return scores


def _shared(groups: list[_Group], players: int) -> Tensor:
    """The value of each region, in the order of the tree."""
    values = torch.zeros(players, dtype=torch.float64)
    for group in groups:
        values[group.first : group.last] += group.weight * group.gain / group.size
    return values


def _undivided(groups: list[_Group]) -> float:
    """The share of groups of more than one region in the sum of all parts."""
    left = sum(group.part for group in groups if group.size > 1)
    return left / sum(group.part for group in groups) if left else 0.0


def _needed(players: int) -> int:
    """Samples that divide every group down to single regions."""
    return 0 if players == 1 else 2 + 2 * _needed(players // 2) + 2 * _needed(players - players // 2)


def _places(game: Game) -> Tensor:
    """Where each region stands in the order of its picture's tree, `[batch, region]`."""
    labels = game.regions.labels.cpu()
    orders = [_halved(_centres(picture, game.players), list(range(game.players))) for picture in labels]
    return torch.tensor(orders).argsort(1)


def _centres(labels: Tensor, players: int) -> list[list[float]]:
    """Mean place of each region along each axis."""
    along = torch.meshgrid(*(torch.arange(n) for n in labels.shape), indexing="ij")
    places = torch.stack(along, -1).reshape(-1, labels.ndim)
    sums = torch.zeros(players, labels.ndim, dtype=torch.float64).index_add_(0, labels.flatten(), places.double())
    means: list[list[float]] = (sums / labels.flatten().bincount(minlength=players)[:, None]).tolist()
    return means


def _halved(centres: list[list[float]], regions: list[int]) -> list[int]:
    """Regions in an order in which every group of the tree stands together; halved across the longer extent."""
    if len(regions) == 1:
        return regions
    extents = [max(c) - min(c) for c in zip(*(centres[r] for r in regions), strict=True)]
    axis = max(range(len(extents)), key=lambda k: (extents[k], k))
    ordered = sorted(regions, key=lambda r: (centres[r][axis], centres[r]))
    middle = len(ordered) // 2
    return _halved(centres, ordered[:middle]) + _halved(centres, ordered[middle:])


METHOD = Method(
    partition_shap,
    id="partition-shap",
    title="Partition SHAP",
    reference=Reference("doi:10.1007/978-3-642-45494-3_7", "Owen's values, for nested unions"),
    caveat="Values depend on how the picture is halved, as a region shares first with its neighbours; most of its "
    "questions are pictures with large parts hidden.",
    reduce="sum",
    passes=Passes("samples", shared=False),
    joint=True,
)
