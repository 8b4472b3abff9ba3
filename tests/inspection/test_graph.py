"""The drawing: what is connected with what, however modules are nested and folded."""

import re
import time
from xml.etree import ElementTree

import pytest
import torch
from torch import nn

import pellucid
import tiny
from pellucid.errors import BadOption
from pellucid.inspection.graph import family
from pellucid.inspection.graph_box import ABOVE, BELOW, MOST, GraphBox
from pellucid.inspection.graph_layout import arranged


def graph(net, **given):
    return pellucid.inspect(net, **(given or {"size": 16})).graph


def every(box):
    yield box
    for item in box.items:
        yield from every(item)


def labels(box):
    return [item.label for item in box.items]


def connected(box):
    return {(line.start, line.end) for line in box.lines}


def test_a_residual_block():
    box = graph(tiny.build(tiny.Skip))
    assert labels(box) == ["input", "Conv2d", "ReLU", "Conv2d", "+", "mean", "Linear", "output"]
    assert connected(box) == {(0, 1), (1, 2), (2, 3), (1, 4), (3, 4), (4, 5), (5, 6), (6, 7)}
    assert [line.lane for line in box.lines if (line.start, line.end) == (1, 4)] == [1]
    assert [item.family for item in box.items[1:5]] == ["convolution", "activation", "convolution", "join"]
    assert box.items[4].reads == ("conv1", "conv2")
    assert box.items[1].detail == "kernel 3"
    assert box.items[1].shape == "8 × 16 × 16"


def test_a_concatenation():
    assert "cat" in labels(graph(tiny.build(tiny.Joined)))


def test_nested_modules_pass_connections_on():
    box = graph(tiny.build(tiny.Tokens))
    (blocks,) = [item for item in box.items if item.name == "blocks"]
    first = blocks.items[0]
    assert [item.label for item in first.items].count("+") == 2
    assert (ABOVE, 0) in connected(blocks)
    assert (0, 1) in connected(blocks)
    assert (1, BELOW) in connected(blocks)
    assert {(ABOVE, 0), (len(first.items) - 1, BELOW)} <= connected(first)


def test_branches_stand_side_by_side():
    box = graph(tiny.build(tiny.TwoHeads))
    assert [len(rank) for rank in box.ranks] == [1, 2, 2, 2, 2, 1]


def test_ranks_only_run_downwards():
    for make in (tiny.Pooled, tiny.Tokens, tiny.Gate, tiny.SliceInPlace, tiny.ListAlias, tiny.ChannelsLast):
        for box in every(graph(tiny.build(make))):
            rank = {k: number for number, items in enumerate(box.ranks) for k in items}
            assert sorted(rank) == list(range(len(box.items)))
            for line in box.lines:
                above = -1 if line.start == ABOVE else rank[line.start]
                below = len(box.ranks) if line.end == BELOW else rank[line.end]
                assert above < below
                assert (line.lane > 0) == (below - above > 1)


def test_lanes_are_taken_again():
    box = GraphBox("net", items=tuple(GraphBox(str(k)) for k in range(6)))
    chain = [(k, k + 1) for k in range(5)]
    found = arranged(box, [*chain, (0, 2), (2, 4), (1, 5)])
    lane = {(line.start, line.end): line.lane for line in found.lines}
    assert lane[0, 2] == lane[2, 4] == 1
    assert lane[1, 5] == 2
    assert found.lanes == 2


def test_a_function_with_a_constant_is_no_join():
    class Shift(nn.Module):
        def forward(self, x):
            return x + 1

    (box,) = [item for item in graph(Shift()).items if item.label == "add"]
    assert (box.family, box.detail) == ("other", "with a constant")


@pytest.mark.long
def test_ten_thousand_layers_fold():
    net = nn.Sequential(*[nn.ReLU() for _ in range(10_000)])
    start = time.perf_counter()
    found = pellucid.inspect(net, shape=(3,))
    picture = found.drawing()
    assert time.perf_counter() - start < 60  # seconds on a busy machine; about 5 on a calm one
    assert all(len(box.items) <= MOST + 2 for box in every(found.graph))
    assert sum(box.label == "ReLU" for box in every(found.graph)) == 10_000
    assert len(picture) < 100_000
    assert found.graph.items[0].label == "input"
    run = found.graph.items[1]
    assert run.label.startswith("0 … ")
    assert connected(found.graph) >= {(0, 1), (1, 2)}
    assert {(ABOVE, 0), (len(run.items) - 1, BELOW)} <= connected(run)


def test_families():
    assert family("AdaptiveAvgPool2d") == "pooling"
    assert family("MultiheadAttention") == "dense"
    assert family("FancyThing") == "other"


class Spelled(nn.Module):
    """Operators by their second names, those of turned operands, and with a constant."""

    def forward(self, x):
        x = torch.concatenate([x.multiply(x.tanh()), torch.subtract(x, x.flip(2))], 1)
        y = 3 - x.mean((2, 3)).t()
        return torch.mm(y, y.t()) @ y


def test_functions_are_known_in_every_spelling():
    items = graph(Spelled().eval()).items[1:-1]
    found = {item.label: item.family for item in items}
    assert found == {
        "tanh": "activation", "×": "join", "flip": "moving", "−": "join", "cat": "join", "mean": "other",
        "t": "moving", "rsub": "other", "·": "join",
    }  # fmt: skip
    assert {item.label: item.detail for item in items if item.detail} == {"rsub": "with a constant"}


def parsed(text):
    return ElementTree.fromstring(text)


def words(text):
    return ["".join(node.itertext()) for node in parsed(text).iter("{http://www.w3.org/2000/svg}text")]


def test_the_drawing_shows_what_fits():
    found = pellucid.inspect(tiny.build(tiny.Tokens), size=16)
    few, many = words(found.drawing(most=12)), words(found.drawing(most=200))
    assert any("blocks" in word and "parts" in word for word in few)
    assert not any("norm1" in word for word in few)
    assert any("norm1" in word for word in many)
    assert sum(word == "+" for word in many) == 4
    assert len(words(found.drawing(most=1))) == 2 * len(found.graph.items) - few.count("+")
    with pytest.raises(BadOption, match="at least one box"):
        found.drawing(most=0)


def test_names_in_the_drawing_are_harmless():
    class Hostile(nn.Module):
        def __init__(self):
            super().__init__()
            self._modules["<script>&"] = nn.Sequential(nn.ReLU())

        def forward(self, x):
            return self._modules["<script>&"](x)

    text = pellucid.inspect(Hostile(), shape=(3,)).drawing()
    assert "<script>" not in text
    assert any("<script>&" in word for word in words(text))


def test_lines_end_at_boxes():
    """Every connection of a plain chain starts and ends in the middle of the page."""
    text = pellucid.inspect(nn.Sequential(nn.ReLU(), nn.Tanh()), shape=(3,)).drawing()
    starts = re.findall(r'<path d="M([\d.]+) [\d.]+ L([\d.]+) [\d.]+"', text)
    assert len(starts) == 3
    assert len({float(number) for pair in starts for number in pair}) == 1


def test_the_same_network_gives_the_same_drawing():
    net, image = tiny.build(tiny.Tokens), tiny.images(1)
    assert pellucid.inspect(net, image).drawing() == pellucid.inspect(net, torch.zeros_like(image)).drawing()
