"""Networks that show no layers: TorchScript and exported programs. Why that is, and what to do."""

from __future__ import annotations

import torch
from torch import fx, nn

from pellucid.contracts import Model

_INSTEAD = "the network in Python that it was made from (--model FILE.py:FACTORY, with --weights FILE if need be)"
_GUARDS = "_guards_fn"  # what an exported program calls first, to check its inputs


def nothing_to_look_at(model: Model, within: str = "") -> str:
    """That no layer can be looked at, why if that is known, and what still works.

    Args:
        model: of which no layer has a grid.
        within: what it was tried with, as in ` for an input of [8, 8]`.
    """
    why = hidden_inside(model.module)
    return (
        f"No layer of {model.name} has a spatial grid{within}. {why}{' ' if why else ''}Methods that look at the "
        f"input (saliency, occlusion, ...) still work{'.' if why else '; otherwise name a layer.'}"
    )


def hidden_inside(module: nn.Module) -> str:
    """Why layers of a network cannot be watched, and what to give instead; "" where nothing hides them."""
    parts = dict(module.named_modules())
    scripted = next((path for path, part in parts.items() if isinstance(part, torch.jit.ScriptModule)), None)
    if scripted is not None:
        return (
            f"{_called(scripted)} is TorchScript, which runs outside Python, so its layers are not seen. "
            f"Give {_INSTEAD}."
        )
    exported = next((path for path, part in parts.items() if _dissolved(part)), None)
    if exported is not None:
        return (
            f"{_called(exported)} is an exported program: a list of operations that calls no layers. Give "
            f"torch.export.unflatten(program), which has them again, or {_INSTEAD}."
        )
    return ""


def _called(path: str) -> str:
    return f"Its part {path!r}" if path else "It"


def _dissolved(part: nn.Module) -> bool:
    """Whether it runs a recorded graph that has operations and calls no module."""
    if not isinstance(part, fx.GraphModule):
        return False
    calls = [node for node in part.graph.nodes if node.op == "call_module" and node.target != _GUARDS]
    return not calls and any(node.op == "call_function" for node in part.graph.nodes)
