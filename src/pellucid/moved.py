"""Import paths and names of earlier versions: they still work, and say once what they are called now."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MODULES: Mapping[str, str] = {
    "blur": "numerics.blur",
    "cli.known_boxes": "cli.locate_scores",
    "cli.present": "cli.explain_text",
    "cli.show": "cli.console",
    "cli.work": "cli.explain_job",
    "comparing": "comparison",
    "comparison.film": "comparison.curve_frames",
    "components": "numerics.connected_components",
    "dreaming": "feature_visualisation",
    "feature_visualisation.catalogue": "feature_visualisation.objectives",
    "feature_visualisation.grouping": "feature_visualisation.factorisation",
    "feature_visualisation.keeping": "feature_visualisation.checkpoint",
    "feature_visualisation.looking": "feature_visualisation.layer_activations",
    "fills": "masking.fills",
    "fooling": "adversarial",
    "fusing": "engine.fusion",
    "judging": "contracts",
    "localise": "localisation",
    "regions": "masking.regions",
    "report.subjects": "report.views",
    "types": "contracts",
}
"""Former module below `pellucid`: where its content is now. Modules below it moved with it."""

NAMES: Mapping[str, str] = {
    "Answers": "VariantScores",
    "Asking": "ScoreQueries",
    "Change": "Perturbation",
    "Dream": "Visualisation",
    "Entry": "RegistryEntry",
    "Explaining": "Reattribution",
    "FilmFrame": "CurveFrame",
    "Judgement": "MetricResult",
    "Keeping": "CheckpointFolder",
    "Local": "LocalPerturbation",
    "Paper": "Reference",
    "Question": "Provenance",
    "Tally": "SamplesDone",
    "console": "terminal",
    "film": "curve_frames",
    "subjects": "picture_views",
}
"""Former name of a class or function in one of these modules: its name now."""


def place_now(path: str) -> str:
    """Where a module below `pellucid` is now; it may have moved more than once."""
    parts = path.split(".")
    heads = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    former = next((head for head in heads if head in MODULES), None)
    return path if former is None else place_now(MODULES[former] + path[len(former) :])


class FormerPaths:
    """A finder of modules under their former paths; last of all finders, so that it costs nothing else."""

    @staticmethod
    def find_spec(
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG004
        target: ModuleType | None = None,  # noqa: ARG004
    ) -> ModuleSpec | None:
        """The module that has moved, if this is its former path."""
        head, _, path_below = name.partition(".")
        now = place_now(path_below)
        if head != "pellucid" or now == path_below:
            return None
        return importlib.util.spec_from_loader(name, _Former(f"pellucid.{now}"), is_package=True)


class _Former(Loader):
    """Loads a module that passes on what is asked of it."""

    def __init__(self, now: str) -> None:
        self.now = now

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:  # noqa: ARG002
        return None

    def exec_module(self, module: ModuleType) -> None:
        there = importlib.import_module(self.now)
        warnings.warn(f"{module.__name__} is called {self.now} now", DeprecationWarning, stacklevel=2)

        def passed_on(name: str) -> Any:
            if hasattr(there, name) or name not in NAMES or not hasattr(there, NAMES[name]):
                return getattr(there, name)
            warnings.warn(f"{name} is called {NAMES[name]} now", DeprecationWarning, stacklevel=2)
            return getattr(there, NAMES[name])

        module.__getattr__ = passed_on  # type: ignore[method-assign]


def install() -> None:
    """Let former paths be found."""
    if FormerPaths not in sys.meta_path:
        sys.meta_path.append(FormerPaths)
