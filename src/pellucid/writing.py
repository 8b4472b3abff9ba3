"""Who saves, reports, draws and judges which result. Results themselves know none of it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

ACTIONS: Mapping[str, Mapping[str, str]] = {
    "Attribution": {"evaluate": "pellucid.evaluation"},
    "Comparison": {"figure": "pellucid.comparison.figure", "save": "pellucid.comparison.saving"},
    "Dissection": {"save": "pellucid.inspection.dissection_saving"},
    "Explanation": {
        "figure": "pellucid.figures",
        "notebook_frame": "pellucid.report",
        "save": "pellucid.report",
        "write_report": "pellucid.report",
    },
    "Inspection": {"save_inspection": "pellucid.inspection.page", "write_inspection": "pellucid.inspection.page"},
    "Localisation": {"save": "pellucid.localisation.saving"},
    "Located": {"draw": "pellucid.localisation.drawing"},
    "Look": {"draw": "pellucid.inspection.value_picture"},
}
"""For each type of result its actions, and the module that has a function of that name; loaded when it is used."""


def function_for(result: object, action: str) -> Callable[..., Any]:
    """The function that does this with results of this type.

    Raises:
        TypeError: there is none.
    """
    known = (ACTIONS.get(kind.__name__, {}).get(action) for kind in type(result).__mro__)
    home = next(filter(None, known), None)
    if home is None:
        raise TypeError(f"{type(result).__name__} has no {action}")
    function: Callable[..., Any] = getattr(importlib.import_module(home), action)
    return function
