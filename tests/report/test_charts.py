"""Charts: the numbers end up where they belong, and nothing in a name can become markup."""

import itertools
import math
import re
import xml.etree.ElementTree as ET

from pellucid.report.charts import curves


def polylines(svg):
    root = ET.fromstring(str(svg))
    return [
        [tuple(map(float, point.split(","))) for point in line.get("points").split()] for line in root.iter("polyline")
    ]


def test_values_map_to_places_in_proportion():
    (line,) = polylines(curves({"a": [(0, 0.0), (1, 0.25), (2, 1.0)]}, across="pass", up="loss"))
    (x0, y0), (x1, y1), (x2, y2) = line
    assert x1 - x0 == x2 - x1 > 0
    assert math.isclose((y0 - y1) / (y0 - y2), 0.25, abs_tol=0.01)
    assert y2 < y0, "larger values stand higher"


def test_logarithmic_axis_spaces_factors_evenly():
    (line,) = polylines(curves({"a": [(0, 1.0), (1, 0.1), (2, 0.01)]}, across="x", up="y", logarithmic=True))
    assert math.isclose(line[1][1] - line[0][1], line[2][1] - line[1][1], abs_tol=0.2)


def test_gaps_names_and_labels():
    svg = curves({"<b>&": [(0, 1.0), (1, math.nan), (2, 3.0)], "one": [(0, 2.0)]}, across="x", up="y", marks={"m": 1})
    assert len(polylines(svg)[0]) == 2
    assert "<b>" not in svg
    root = ET.fromstring(str(svg))
    assert "<b>&" in {text.text for text in root.iter("text")}
    assert len(list(root.iter("circle"))) == 1, "a single value is a dot"
    near = curves({name: [(0, 1.0), (1, 1.0 + k / 1000)] for k, name in enumerate("abc")}, across="x", up="y")
    heights = sorted(float(y) for y in re.findall(r'class="c[0-9]" x="[0-9.]+" y="([0-9.]+)"', near))
    assert all(b - a >= 13.9 for a, b in itertools.pairwise(heights)), "labels do not touch"
    assert "Nothing to draw" in curves({"a": []}, across="x", up="y")


def test_points_are_not_joined():
    line = [(0, 0.0), (1, 1.0)]
    svg = curves({"ideal": line, "answers": line}, across="target", up="answer", points=("answers",))
    assert len(polylines(svg)) == 1
    assert len(list(ET.fromstring(str(svg)).iter("circle"))) == 2


def test_small_charts_have_a_key_and_quiet_series_lie_below():
    series = {"own": [(0, 0.0), (1, 1.0)], "random": [(0, 1.0), (1, 0.0)], "edges": [(0, 0.5), (1, 0.5)]}
    svg = curves(series, across="share", up="p", quiet={"random", "edges"}, small=True)
    kinds = [line.get("class") for line in ET.fromstring(str(svg)).iter("polyline")]
    assert sorted(kinds) == ["l0", "l0", "lq0", "lq0", "lq1", "lq1"], "each with its line in the key"
    assert kinds[-2] == "l0", "what matters is drawn last"
    places = {text.text: float(text.get("y")) for text in ET.fromstring(str(svg)).iter("text") if text.get("x")}
    assert places["own"] < places["random"] < places["edges"]
    assert 'rotate(-90)">p</text>' in svg, "a small chart says what goes up, too"
