"""Which named parts of a network are at work, known at every moment of a pass."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn

from pellucid.errors import BadModel, unknown


class Presence:
    """Watches parts of a module while it runs; `stop` ends that and leaves no trace.

    Attributes:
        inside: paths of those that are at work now, the innermost last.
    """

    def __init__(self, module: nn.Module, paths: Collection[str]) -> None:
        parts = {path: part for path, part in module.named_modules(remove_duplicate=False) if path}
        for path in paths:
            if path not in parts:
                raise unknown("layer", path, parts, "`pellucid.layers(model)` lists all.")
        self.inside: list[str] = []
        self._handles: list[Any] = []
        try:
            for path in sorted(paths, key=lambda path: path.count(".")):
                self._watch(path, parts[path])
        except RuntimeError as error:
            self.stop()
            raise BadModel(f"Layers of {type(module).__name__} cannot be watched: {error}") from error

    def _watch(self, path: str, part: nn.Module) -> None:
        def enter(*_: Any) -> None:
            self.inside.append(path)

        def leave(*_: Any) -> None:
            self.inside.remove(path)

        self._handles.append(part.register_forward_pre_hook(enter))
        self._handles.append(part.register_forward_hook(leave, always_call=True))

    def stop(self) -> None:
        """Watch no longer."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self.inside.clear()
