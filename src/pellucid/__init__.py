"""Pellucid: see through neural networks.

Names are loaded when first used, so that `import pellucid` itself costs next to nothing and the command line can
prepare the process before torch is imported.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pellucid.moved import install

if TYPE_CHECKING:
    from pellucid import arithmetic as arithmetic
    from pellucid.api import explain as explain
    from pellucid.api import plan as plan
    from pellucid.comparison import Comparison as Comparison
    from pellucid.comparison import compare as compare
    from pellucid.contracts import Attribution as Attribution
    from pellucid.contracts import Canvas as Canvas
    from pellucid.contracts import Classes as Classes
    from pellucid.contracts import Method as Method
    from pellucid.contracts import Model as Model
    from pellucid.contracts import Picture as Picture
    from pellucid.contracts import Preprocess as Preprocess
    from pellucid.contracts import Site as Site
    from pellucid.data.mosaic import mosaics as mosaics
    from pellucid.data.sample_files import samples as samples
    from pellucid.errors import PellucidError as PellucidError
    from pellucid.evaluation import Evaluation as Evaluation
    from pellucid.evaluation import Metric as Metric
    from pellucid.evaluation import Score as Score
    from pellucid.evaluation import evaluate as evaluate
    from pellucid.explanation import Explanation as Explanation
    from pellucid.feature_visualisation.dream import dream as dream
    from pellucid.inspection import Dissection as Dissection
    from pellucid.inspection import Inspection as Inspection
    from pellucid.inspection import Look as Look
    from pellucid.inspection import TopPictures as TopPictures
    from pellucid.inspection import dissect as dissect
    from pellucid.inspection import inspect as inspect
    from pellucid.inspection import look as look
    from pellucid.inspection import top_pictures as top_pictures
    from pellucid.inspection.advice import layers as layers
    from pellucid.localisation import Localisation as Localisation
    from pellucid.localisation import locate as locate
    from pellucid.memory import keep_freed_memory as keep_freed_memory
    from pellucid.models.load import load as load
    from pellucid.models.wrap import wrap as wrap
    from pellucid.reading import read as read
    from pellucid.registry import methods as methods
    from pellucid.registry import metrics as metrics
    from pellucid.targets import Against as Against
    from pellucid.targets import Candidates as Candidates
    from pellucid.targets import Custom as Custom
    from pellucid.targets import Detection as Detection
    from pellucid.targets import Logit as Logit
    from pellucid.targets import Margin as Margin
    from pellucid.targets import Probability as Probability
    from pellucid.targets import Region as Region
    from pellucid.targets import Sigmoid as Sigmoid
    from pellucid.targets import Similarity as Similarity
    from pellucid.targets import Target as Target
    from pellucid.targets import Top as Top


install()

_HOME = {
    "__version__": "_version",
    "Against": "targets",
    "Attribution": "contracts",
    "Candidates": "targets",
    "Canvas": "contracts",
    "Classes": "contracts",
    "Comparison": "comparison",
    "Custom": "targets",
    "Detection": "targets",
    "Dissection": "inspection",
    "Evaluation": "evaluation",
    "Explanation": "explanation",
    "Inspection": "inspection",
    "Localisation": "localisation",
    "Logit": "targets",
    "Look": "inspection",
    "Margin": "targets",
    "Method": "contracts",
    "Metric": "evaluation",
    "Model": "contracts",
    "PellucidError": "errors",
    "Picture": "contracts",
    "Preprocess": "contracts",
    "Probability": "targets",
    "Region": "targets",
    "Score": "evaluation",
    "Sigmoid": "targets",
    "Similarity": "targets",
    "Site": "contracts",
    "Target": "targets",
    "Top": "targets",
    "TopPictures": "inspection",
    "compare": "comparison",
    "dissect": "inspection",
    "dream": "feature_visualisation",
    "evaluate": "evaluation",
    "explain": "api",
    "inspect": "inspection",
    "layers": "inspection",
    "keep_freed_memory": "memory",
    "load": "models",
    "locate": "localisation",
    "look": "inspection",
    "mosaics": "data",
    "plan": "api",
    "read": "reading",
    "samples": "data",
    "top_pictures": "inspection",
    "wrap": "models",
}
_MODULES = ("arithmetic", "methods", "metrics")
"""Modules that are public as such; the last two are callable: `pellucid.methods()` is the registry."""

__all__ = [
    "Against",
    "Attribution",
    "Candidates",
    "Canvas",
    "Classes",
    "Comparison",
    "Custom",
    "Detection",
    "Dissection",
    "Evaluation",
    "Explanation",
    "Inspection",
    "Localisation",
    "Logit",
    "Look",
    "Margin",
    "Method",
    "Metric",
    "Model",
    "PellucidError",
    "Picture",
    "Preprocess",
    "Probability",
    "Region",
    "Score",
    "Sigmoid",
    "Similarity",
    "Site",
    "Target",
    "Top",
    "TopPictures",
    "arithmetic",
    "compare",
    "dissect",
    "dream",
    "evaluate",
    "explain",
    "inspect",
    "keep_freed_memory",
    "layers",
    "load",
    "locate",
    "look",
    "methods",
    "metrics",
    "mosaics",
    "plan",
    "read",
    "samples",
    "top_pictures",
    "wrap",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"pellucid.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'pellucid' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"pellucid.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
