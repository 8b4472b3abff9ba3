"""A picture as a game: its regions are the players, the score of the picture with only some of them is the payoff."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from pellucid.contracts import Evidence, Maps, Noise, ProbeLike, Regions, VariantScores
from pellucid.errors import BadOption
from pellucid.masking import Fill, Players, fill_of, regions_of


@dataclass(frozen=True, eq=False)
class Game:
    """The players of a batch of pictures, and whom to ask."""

    parts: Players
    probe: ProbeLike

    @property
    def players(self) -> int:
        """How many regions each picture has."""
        return self.parts.count

    @property
    def regions(self) -> Regions:
        """The players' places."""
        return self.parts.regions

    @property
    def fill(self) -> Fill:
        """What hides them."""
        return self.parts.fill

    def answers(
        self, count: int, shown: Callable[[Tensor, Tensor], Tensor], *, least: int | None = None, step: int = 1
    ) -> VariantScores:
        """What the model says to pictures of which only some regions are shown.

        Args:
            count: coalitions for each picture.
            shown: `shown(samples, numbers)` gives the regions to show, bool `[n, region]`, on the CPU, for coalition
                `numbers` `[n]` of pictures `samples` `[n]`.
            least: from so many on the work may be stopped, see `Probe.score`.
            step: what belongs together then.
        """
        change = self.parts.change(lambda samples, numbers: shown(samples.cpu(), numbers.cpu()))
        return self.probe.score(count, change, least=least, step=step)

    def payoffs(
        self, count: int, shown: Callable[[Tensor, Tensor], Tensor], *, least: int | None = None, step: int = 1
    ) -> Tensor:
        """The scores alone, float64 `[batch, count]` on the CPU, where sums of them are exact enough."""
        return self.answers(count, shown, least=least, step=step).score.cpu().double()

    def ends(self) -> tuple[Tensor, Tensor]:
        """The scores of nobody and of everybody, `[batch]`: the picture all hidden and the picture itself."""
        players = self.players
        both = self.payoffs(2, lambda _, numbers: (numbers == 1)[:, None].expand(-1, players))
        return both[:, 0], both[:, 1]

    def evidence(self, values: Tensor, *notes: str, **extras: Tensor) -> Evidence:
        """The map that gives each region its value, with values, regions and `extras`; values are `[batch, region]`."""
        kind, device = self.fill.image.dtype, self.fill.image.device
        found = {name: value.to(device, kind) for name, value in {"values of regions": values, **extras}.items()}
        raw = self.parts.paint(found["values of regions"])
        return Evidence(raw, extras={**found, "regions": self.regions.labels}, notes=(*self.regions.notes, *notes))


def game_of(
    method: str,
    image: Maps,
    probe: ProbeLike,
    rng: Noise,
    regions: int | str | Tensor | None,
    fill: float | str | Tensor,
) -> Game:
    """Cut the pictures into regions and prepare what hides them; errors name the `method`.

    Raises:
        BadOption: regions or a fill that cannot be.
        BadPicture: a file that they name cannot be read.
    """
    if isinstance(regions, int) and regions < 2:
        raise BadOption(f"{method} compares regions and needs at least two, got {regions}.")
    parts = Players(regions_of(method, regions, image, probe), fill_of(method, fill, image, probe, rng))
    return Game(parts, probe)
