"""The graph as an SVG file for papers: plain shapes and text, black on white, nothing to run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from pellucid.errors import BadOption
from pellucid.inspection.graph_box import ABOVE, BELOW, GraphBox, GraphLine

_COLOURS = {
    "convolution": "#e69f00", "norm": "#8b8f96", "activation": "#009e73", "pooling": "#3a9bd9", "dense": "#cc79a7",
    "join": "#d55e00", "moving": "#c9c7c0", "other": "#5b5f66",
}  # fmt: skip
_FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"
_HIGH, _ROUND, _GAP, _BESIDE, _LANE, _PAD, _TITLE = 38.0, 24.0, 22.0, 18.0, 11.0, 12.0, 24.0
_LETTER, _SMALL = 6.5, 5.4  # mean width of a letter at 12 and 10 pixels


@dataclass(frozen=True)
class _Placed:
    """A box with its size, and where its items stand in it; the way in and out is in the middle of its width."""

    box: GraphBox
    width: float
    height: float
    inside: tuple[tuple[float, float, _Placed], ...] = ()

    @property
    def open(self) -> bool:
        return bool(self.inside)


def svg(graph: GraphBox, *, most: int = 80) -> str:
    """Draw a network from top to bottom.

    Modules are unfolded level by level while no more than `most` boxes are to be seen; a folded module says how many
    parts it has.

    Args:
        graph: of the whole network, or any box in it.
        most: boxes.

    Returns:
        The SVG document. Text stays text, in a font that every viewer has.

    Raises:
        BadOption: `most` is below 1.
    """
    if most < 1:
        raise BadOption(f"Expected at least one box in the drawing, got {most}.")
    placed = _place(graph, _unfolded(graph, most), outermost=True)
    width, height = placed.width + 2, placed.height + 2
    parts = "\n".join(_draw(placed, 1, 1, outermost=True))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.1f} {height:.1f}" font-family="{_FONT}" font-size="12">\n'
        f"<title>{escape(graph.label)}</title>\n"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
        '<path d="M0 0.5 L8 4 L0 7.5 z" fill="#444"/></marker></defs>\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n{parts}\n</svg>\n'
    )


def _unfolded(graph: GraphBox, most: int) -> set[int]:
    """Which boxes show their insides: whole levels, from the outermost inwards, as long as there is room."""
    opened, level, seen = {id(graph)}, [graph], len(graph.items)
    while level:
        below = [item for box in level for item in box.items if item.items]
        seen += sum(len(box.items) for box in below)
        if seen > most:
            break
        opened |= {id(box) for box in below}
        level = below
    return opened


def _place(box: GraphBox, opened: set[int], *, outermost: bool = False) -> _Placed:
    if id(box) not in opened or not box.items:
        if box.family == "join" and len(box.label) == 1:
            return _Placed(box, _ROUND, _ROUND)
        first, second = _texts(box)
        return _Placed(box, max(len(first) * _LETTER, len(second) * _SMALL, 70.0) + 22, _HIGH)
    items = [_place(item, opened) for item in box.items]
    rows = [[items[k] for k in rank] for rank in box.ranks]
    wide = [sum(item.width for item in row) + _BESIDE * (len(row) - 1) for row in rows]
    title = 0.0 if outermost else len(f"{box.name} {box.label}") * _LETTER
    width = max(max(wide) + 2 * _PAD + 2 * _LANE * box.lanes, title + 2 * _PAD)
    top, inside = (_PAD if outermost else _TITLE + _GAP / 2), {}
    for rank, row, whole in zip(box.ranks, rows, wide, strict=True):
        left, tallest = (width - whole) / 2, max(item.height for item in row)
        for number, item in zip(rank, row, strict=True):
            inside[number] = (left, top + (tallest - item.height) / 2, item)
            left += item.width + _BESIDE
        top += tallest + _GAP
    height = top - _GAP + (_PAD if outermost else _GAP / 2 + 4)
    return _Placed(box, width, height, tuple(inside[k] for k in range(len(items))))


def _texts(box: GraphBox) -> tuple[str, str]:
    run = box.family == "run"
    first = " ".join(word for word in (box.label, "" if run else box.detail) if word)
    folded = box.detail if run else f"{box.count} parts" if box.items else ""
    return first, " · ".join(word for word in (box.name, box.shape, folded) if word)


def _draw(placed: _Placed, x: float, y: float, *, outermost: bool = False) -> Iterator[str]:
    box, title = placed.box, f"<title>{escape(_told(placed.box))}</title>"
    if not placed.open:
        yield f"<g>{title}{_leaf(placed, x, y)}</g>"
        return
    if not outermost:
        yield (
            f'<g>{title}<rect x="{x:.1f}" y="{y:.1f}" width="{placed.width:.1f}" height="{placed.height:.1f}" rx="8" '
            f'fill="#000" fill-opacity="0.035" stroke="#bbb"/>'
            f'<text x="{x + 10:.1f}" y="{y + 16:.1f}" fill="#555"><tspan font-weight="bold">{escape(box.name)}</tspan> '
            f"{escape(box.label)}</text></g>"
        )
    for line in box.lines:
        tip = "" if line.end == BELOW else ' marker-end="url(#tip)"'
        yield f'<path d="{_route(placed, line, x, y)}" fill="none" stroke="#444"{tip}/>'
    for left, top, item in placed.inside:
        yield from _draw(item, x + left, y + top)


def _told(box: GraphBox) -> str:
    """What a viewer shows of a box on pointing at it."""
    facts = (
        f"{box.path or box.label}: {box.label}",
        f"{box.parameters:,} parameters" if box.parameters else "",
        f"{box.multiply_adds:,} multiply-adds" if box.multiply_adds else "",
        f"hears from {', '.join(box.reads)}" if box.reads else "",
    )
    return "; ".join(fact for fact in facts if fact)


def _leaf(placed: _Placed, x: float, y: float) -> str:
    box, width, height = placed.box, placed.width, placed.height
    colour = _COLOURS.get(box.family, "#1a1b1e")
    if height == _ROUND:
        return (
            f'<circle cx="{x + width / 2:.1f}" cy="{y + height / 2:.1f}" r="{height / 2:.1f}" fill="#fff" '
            f'stroke="{colour}" stroke-width="1.5"/>'
            f'<text x="{x + width / 2:.1f}" y="{y + height / 2 + 5:.1f}" text-anchor="middle" '
            f'font-size="15">{escape(box.label)}</text>'
        )
    first, second = _texts(box)
    stripe = "" if box.family in ("end", "module", "run") else (
        f'<path d="M{x + 5:.1f} {y:.1f} h-1 a4 4 0 0 0 -4 4 v{height - 8:.1f} a4 4 0 0 0 4 4 h1 z" fill="{colour}"/>'
    )  # fmt: skip
    double = box.items and (
        f'<rect x="{x + 3:.1f}" y="{y + 3:.1f}" width="{width:.1f}" height="{height:.1f}" rx="4" fill="#fff" '
        f'stroke="#bbb"/>'
    )
    middle = x + width / 2
    return (
        f'{double or ""}<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="4" fill="#fff" '
        f"stroke={quoteattr('#999' if box.family != 'end' else '#fff')}/>{stripe}"
        f'<text x="{middle:.1f}" y="{y + 16:.1f}" text-anchor="middle">{escape(first)}</text>'
        f'<text x="{middle:.1f}" y="{y + 30:.1f}" text-anchor="middle" font-size="10" fill="#666">'
        f"{escape(second)}</text>"
    )


def _route(placed: _Placed, line: GraphLine, x: float, y: float) -> str:
    """A connection's way through a box whose upper left corner is at (x, y)."""
    rank_of = {number: rank for rank, items in enumerate(placed.box.ranks) for number in items}
    middle = x + placed.width / 2
    top = y + _TITLE - 4
    bottom = y + placed.height

    def alone(end: int) -> bool:
        return end >= 0 and len(placed.box.ranks[rank_of[end]]) == 1 and not placed.inside[end][2].open

    def middle_of(end: int) -> float:
        left, _, item = placed.inside[end]
        return x + left + item.width / 2

    if line.start == ABOVE:
        x1, y1 = middle, top
    else:
        x1, y1 = middle_of(line.start), y + placed.inside[line.start][1] + placed.inside[line.start][2].height
    if line.end == BELOW:
        x2, y2 = middle, bottom
    else:
        x2, y2 = middle_of(line.end), y + placed.inside[line.end][1]
    if not line.lane:
        half = (y1 + y2) / 2
        return f"M{x1:.1f} {y1:.1f} L{x2:.1f} {y2:.1f}" if abs(x1 - x2) < 1 else (
            f"M{x1:.1f} {y1:.1f} C{x1:.1f} {half:.1f} {x2:.1f} {half:.1f} {x2:.1f} {y2:.1f}"
        )  # fmt: skip
    lane = x + placed.width - _PAD - _LANE * (placed.box.lanes - line.lane + 0.5)
    if alone(line.start):
        _, above, item = placed.inside[line.start]
        begin = f"M{x1 + item.width / 2:.1f} {y + above + item.height / 2:.1f} H{lane - 6:.1f} q6 0 6 6"
    else:
        begin = f"M{x1:.1f} {y1:.1f} v4 q0 4 4 4 H{lane - 6:.1f} q6 0 6 6"
    if alone(line.end):
        _, above, item = placed.inside[line.end]
        level = y + above + item.height / 2
        return f"{begin} V{level - 6:.1f} q0 6 -6 6 H{x2 + item.width / 2:.1f}"
    return f"{begin} V{y2 - 14:.1f} q0 6 -6 6 H{x2 + 4:.1f} q-4 0 -4 4 V{y2:.1f}"
