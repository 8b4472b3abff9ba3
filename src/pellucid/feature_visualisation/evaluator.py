"""From pictures to an objective's value."""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache, partial
from typing import Any

from torch import Tensor

from pellucid.capture.differentiable import DifferentiableForward, in_graph
from pellucid.capture.layers import check_grid
from pellucid.capture.passes import find_grid
from pellucid.contracts import Grid, Model, Preprocess, Site
from pellucid.feature_visualisation.objectives import Constant, Objective, ObjectiveContext
from pellucid.feature_visualisation.photograph import photograph, sized
from pellucid.feature_visualisation.transparency import over_grey
from pellucid.numerics import resize


class ObjectiveEvaluator:
    """From pictures to an objective's value."""

    def __init__(
        self, model: Model, eyes: DifferentiableForward, preprocess: Preprocess, objective: Objective,
        fed: tuple[int, int] | None = None,
    ) -> None:  # fmt: skip
        self.model, self.eyes, self.objective = model, eyes, objective
        self.preprocess, self.fed = preprocess, fed
        self.device = model.device
        self.kept: dict[Hashable, Any] = {}
        self.photograph = cache(self._photograph)
        self.of_photograph = cache(self._of_photograph)
        self.grids: dict[Hashable, Grid | str] = {}

    def input(self, pictures: Tensor) -> Tensor:
        """What the network is given."""
        sized = pictures if self.fed is None else resize(pictures, self.fed)
        return self.preprocess.normalise(sized).to(self.device)

    def judged(self, pictures: Tensor) -> tuple[Tensor, Tensor | None]:
        """Pictures with the network's channels only, and their opacity if they have one; see `over_grey`."""
        return over_grey(pictures, self.preprocess.channels)

    def value(self, pictures: Tensor, moved: Tensor, *, rescue: bool) -> Tensor:
        """Of each picture, `[batch]`; views of one picture count together by their mean."""
        given = self.input(moved)
        layers, scores = self.eyes.see(given, rescue=rescue)
        views = len(moved) // len(pictures)
        seen = self._seen(pictures.repeat_interleave(views, 0) if views > 1 else pictures, given, layers, scores)
        return self.objective.value(seen).view(len(pictures), views).mean(1)

    def judge(self, pictures: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective and each of its parts, of untransformed pictures."""
        given = self.input(self.judged(pictures)[0])
        layers, scores = self.eyes.see(given)
        seen = self._seen(pictures, given, layers, scores)
        leaves = [part for part in self.objective.walk() if not part.parts and not isinstance(part, Constant)]
        terms = {str(part): part.value(seen).detach() for part in leaves}
        return in_graph(lambda: self.objective.value(seen)).detach(), terms  # facets differentiate inside

    def _seen(
        self, pictures: Tensor, given: Tensor, layers: dict[Site, Tensor], scores: Tensor | None
    ) -> ObjectiveContext:
        flat, opacity = self.judged(pictures)
        return ObjectiveContext(
            self.model if scores is None else self.eyes.measured(given),
            flat,
            self.input(flat),
            layers,
            self.eyes.edges,
            scores,
            lambda name, site: self.of_photograph(name, site)[0],
            partial(self._as_maps, given),
            self._maps_of_photograph,
            self.photograph,
            opacity,
            self.kept,
        )

    def _photograph(self, name: str) -> Tensor:
        return photograph(name, self.preprocess)

    def _as_maps(self, given: Tensor, site: Site, value: Tensor) -> Tensor:
        """What a site gives for the network's input as maps; what has no places known stays, if it has four axes."""
        key = (site, given.shape[2:], value.shape[1:])
        if key not in self.grids:
            self.grids[key] = find_grid(self.model, site, value, given)
        grid = self.grids[key]
        return value if isinstance(grid, str) and value.dim() == 4 else check_grid(grid, site, value).to_maps(value)

    def _maps_of_photograph(self, name: str, site: Site, size: tuple[int, int] | None = None) -> Tensor:
        value, given = self.of_photograph(name, site, size)
        return self._as_maps(given, site, value)

    def _of_photograph(self, name: str, site: Site, size: tuple[int, int] | None = None) -> tuple[Tensor, Tensor]:
        """What a site gives for a photograph, and what the network was given."""
        preprocess = self.preprocess if size is None else sized(self.preprocess, size)
        edges = dict(self.eyes.edges)
        given = self.input(photograph(name, preprocess))
        layers, _ = self.eyes.see(given)
        self.eyes.edges.clear()
        self.eyes.edges.update(edges)  # those of the pictures that are being drawn
        return layers[site].detach(), given
