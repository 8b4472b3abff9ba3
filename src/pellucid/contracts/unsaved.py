"""What a saved result does not hold: the network, and functions of the user's own. Using them says so."""

from __future__ import annotations

from typing import Any, NoReturn

from torch import nn

from pellucid.errors import Refused


class Unsaved:
    """Stands for a function or an object that a file cannot hold; named as it was."""

    def __init__(self, kind: str) -> None:
        self.__qualname__ = kind

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse.

        Raises:
            Refused: always.
        """
        raise Refused(
            f"This result was read from a file, which does not hold {self.__qualname__!r}. Make the result again to "
            "use it."
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unsaved) and other.__qualname__ == self.__qualname__

    def __hash__(self) -> int:
        return hash(self.__qualname__)

    def __repr__(self) -> str:
        return f"<{self.__qualname__}, not saved>"


class NetworkNotSaved(nn.Module):
    """Stands for the network of a result that was read from a file.

    Args:
        name: of the model.
        source: what loads it, or "".
    """

    def __init__(self, name: str, source: str) -> None:
        super().__init__()
        self.name, self.source = name, source

    def forward(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse.

        Raises:
            Refused: always; the message names what loads the network.
        """
        raise Refused(self.why)

    @property
    def why(self) -> str:
        """That the network is needed, and how to have it."""
        load = f"pellucid.load({self.source!r})" if self.source else "your module"
        return (
            f"This needs the network {self.name!r} itself, and the result was read from a file, which holds none. Call "
            f"pellucid.explain with {load}, and ask that result."
        )
