"""Reading expressions: texts such as `channel("features.5", 12) - 0.01 * tv()`."""

from __future__ import annotations

import ast
from dataclasses import fields
from typing import Any

from pellucid.errors import BadOption, unknown
from pellucid.feature_visualisation.objectives.catalogue import CATALOGUE
from pellucid.feature_visualisation.objectives.expression import Combined, Objective, lift


def parse(text: str) -> Objective:
    """Read an expression such as `channel("features.5", 12) - 0.01 * tv()`.

    Nothing but numbers, texts, tuples, the objectives of the catalogue and + - * / is understood, so no text can run
    anything.

    Raises:
        BadOption: it cannot be read; the message says where.
        UnknownName: an objective that does not exist.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError) as error:
        where = f" at {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
        raise BadOption(
            f'The objective {text!r} cannot be read{where}. Write it as in channel("layer4", 12).'
        ) from error
    made = _read(tree, text)
    if not isinstance(made, Objective):
        raise BadOption(f'{text!r} is a {type(made).__name__}, not an objective. Write it as in logit("zebra").')
    return made


_SIGNS: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


def _read(node: ast.expr, text: str) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str):
        return node.value
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(_read(each, text) for each in node.elts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_read(node.operand, text)
    if isinstance(node, ast.BinOp) and type(node.op) in _SIGNS:
        left, right = _read(node.left, text), _read(node.right, text)
        if isinstance(left, Objective) or isinstance(right, Objective):
            return Combined(_SIGNS[type(node.op)], lift(left), lift(right))
        raise BadOption(f"{ast.unparse(node)!r} in {text!r} joins no objectives.")
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _call(node, node.func.id, text)
    raise BadOption(
        f"{ast.unparse(node)!r} in {text!r} is not understood. Objectives are {', '.join(sorted(CATALOGUE))}, joined "
        "by + - * and /."
    )


def _call(node: ast.Call, name: str, text: str) -> Objective:
    if name not in CATALOGUE:
        raise unknown("objective", name, CATALOGUE, f"Objectives: {', '.join(sorted(CATALOGUE))}.")
    args = [_read(each, text) for each in node.args]
    kwargs = {each.arg or "": _read(each.value, text) for each in node.keywords}
    try:
        return CATALOGUE[name](*args, **kwargs)
    except TypeError as error:
        wanted = ", ".join(each.name for each in fields(CATALOGUE[name]))  # type: ignore[arg-type]
        raise BadOption(f"{ast.unparse(node)!r} does not fit: {name}({wanted}). {error}.") from error
