"""Base of what public functions return: a result is a value, and what can be done with it lives above it."""

from __future__ import annotations

from typing import Any


class Result:
    """A result that can be saved, reported, drawn or judged.

    The only class that looks up: `pellucid.writing` knows which module does what for which type, and is loaded when
    it is asked.
    """

    def _do(self, action: str, *args: Any, **options: Any) -> Any:
        """Call the function of this name that belongs to the result's type, with the result first."""
        from pellucid.writing import function_for

        return function_for(self, action)(self, *args, **options)
