"""The page as text: what it says, and that names cannot break out of it."""

import ast
import json
import math
import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from made_by_hand import GRAD, HOSTILE, OCCLUSION, attribution, explanation, grids, photo, signed, smooth

import pellucid
import tiny
from pellucid.contracts import Choice, Prediction, Preprocess, Site
from pellucid.report import facts, notebook_frame, write_report
from pellucid.report.classes import classes_grid
from pellucid.report.packing import half, photograph, script_json
from pellucid.report.reproduce import snippet
from pellucid.report.trust import panels
from pellucid.report.views import picture_views


class Tags(HTMLParser):
    """Every element with its attributes, and the texts of scripts."""

    def __init__(self, text):
        super().__init__()
        self.found, self.scripts, self.inside = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.inside = tag

    def handle_data(self, data):
        if self.inside == "script":
            self.scripts.append(data)

    def of(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def written(tmp_path, found, **kwargs):
    return write_report(found, tmp_path / "report.html", **kwargs).read_text("utf-8")


def data(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


def test_the_page_says_what_was_found_and_how(tmp_path):
    page = written(tmp_path, explanation(), command="pellucid explain cat.png --seed 0")
    for said in (
        "cat.png", "It says “tabby” with 60 %", "the framed part only", "the top class of each picture", "tabby",
        "The output is a probability.", "Averages.", "What this method shows.", "This head is not linear.",
        "https://arxiv.org/abs/1610.02391", "Somewhere 2014", "window = 4", "layer4", "0.25 s, 1 sample forward",
        "pellucid explain cat.png --seed 0", "import pellucid", explanation().model.fingerprint, "7 places",
    ):  # fmt: skip
        assert said in page, said


def test_the_page_refers_to_nothing_outside_of_it(tmp_path):
    tags = Tags(written(tmp_path, explanation()))
    loaded = [a[name] for _, a in tags.found for name in ("src", "srcset", "poster", "action", "data") if name in a]
    assert loaded
    assert all(address.startswith("data:") for address in loaded)
    assert [a["href"] for a in tags.of("link")] == ["data:,"]
    policy = next(a["content"] for a in tags.of("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    assert not [a for _, a in tags.found if any(name.startswith("on") or name == "style" for name in a)]


def test_hostile_names_add_no_element(tmp_path):
    plain = Tags(written(tmp_path, explanation(), command="pellucid"))
    hostile = explanation((HOSTILE,), (HOSTILE, "tiger", "lynx"), notes=(HOSTILE,), refused={HOSTILE: HOSTILE})
    page = written(tmp_path, hostile, command=HOSTILE)
    tags = Tags(page)
    names = [name for name, _ in tags.found]
    assert set(names) == {name for name, _ in plain.found}
    assert len(tags.of("script")) == 2
    assert not [a for a in tags.of("img") if a.get("src") == "x"]
    assert "owned" in page
    assert "<img src=x" not in page


def test_an_undecodable_name_does_not_stop_the_page(tmp_path):
    assert "caf?.png" in written(tmp_path, explanation(("caf\udce9.png",)))


def test_json_in_a_script_cannot_end_it():
    text = script_json({"name": HOSTILE})
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {"name": HOSTILE}


def test_maps_travel_as_numbers(tmp_path):
    found = explanation()
    sent = data(written(tmp_path, found))["pictures"][0]
    assert sent["size"] == [90, 60]
    assert sent["box"] == list(found.pictures[0].box)
    assert [one["title"] for one in sent["maps"]] == ["Grad-CAM", "Occlusion"]
    assert (sent["maps"][1]["rows"], sent["maps"][1]["columns"]) == (24, 24)


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1.0, 1e30, 1e300])
def test_maps_keep_float16_precision_whatever_their_size(size):
    values = np.linspace(-1, 1, 30).reshape(5, 6) * size
    packed = half(values)
    back = np.frombuffer(b64decode(packed["data"]), "<f2").astype(float).reshape(5, 6) * packed["unit"]
    np.testing.assert_allclose(back, values, rtol=2**-11)


def test_values_that_are_not_finite_are_kept():
    packed = half(np.array([[np.nan, np.inf, -2.0]]))
    assert math.isfinite(packed["unit"])


def test_large_photographs_are_shrunk_and_small_ones_are_not():
    assert photograph(photo(3000, 30))[1] == (1200, 12)
    assert photograph(photo(30, 30))[1] == (30, 30)
    assert photograph(photo(5000, 1))[1] == (1200, 1)
    assert photograph(photo().convert("L"))[0].startswith("data:image/jpeg;base64,")


def test_several_pictures_share_a_page(tmp_path):
    page = written(tmp_path, explanation(("a.png", "b.png")))
    assert len(data(page)["pictures"]) == 2
    assert len(Tags(page).of("article")) == 2


@pytest.mark.parametrize("changes", [{"tensors": 1}, {"attributions": lambda m: []}, {"chosen": {}, "refused": {}}])
def test_pages_with_parts_missing(tmp_path, changes):
    assert "Pellucid" in written(tmp_path, explanation(**changes))


def test_targets_and_layers_are_named_where_there_are_several(tmp_path):
    def several(model):
        for target in ("tabby", "lynx"):
            for site in ("a", "b"):
                yield attribution(model, GRAD, smooth(), target=(target,), site=Site(site))

    sent = data(written(tmp_path, explanation(attributions=several)))
    titles = [one["title"] for one in sent["pictures"][0]["maps"]]
    assert titles == [f"Grad-CAM · {site} · {target}" for target in ("tabby", "lynx") for site in "ab"]


def test_a_notebook_shows_the_page_in_a_closed_frame():
    tags = Tags(notebook_frame(explanation((HOSTILE,))))
    assert [name for name, _ in tags.found] == ["iframe"]
    frame = tags.of("iframe")[0]
    assert frame["sandbox"] == "allow-scripts"
    assert frame["srcdoc"].startswith("<!doctype html>")
    assert explanation()._repr_html_().startswith("<iframe")


def test_an_existing_report_is_replaced_and_nothing_else_left(tmp_path):
    (tmp_path / "report.html").write_text("old")
    written(tmp_path, explanation())
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_the_grid_of_classes_counts_and_names_them():
    grid = classes_grid(picture_views(explanation())[0].findings[1])
    assert grid.legend == (("tabby", 7), ("tiger", 1), ("lynx", 1))
    assert [cell.name for cell in grid.cells[:4]] == ["tabby", "tabby", "tiger", "lynx"]
    assert (grid.cells[0].strength, grid.cells[8].strength) == (0.3, 1.0)


def test_a_method_without_classes_has_no_grid():
    for extras in ({}, {"scores": torch.ones(1, 2, 2)}, {**grids(), "classes": torch.zeros(1, 9)}):
        found = explanation(attributions=lambda m, e=extras: [attribution(m, OCCLUSION, signed(), extras=e)])
        assert classes_grid(picture_views(found)[0].findings[0]) is None


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.3928, "39 %"), (0.0143, "1.4 %"), (0.0996, "10 %"), (1.0, "100 %"), (0.99999, "> 99.9 %"), (1e-9, "< 0.1 %")],
)
def test_percent(fraction, text):
    assert facts.percent(fraction) == text


def test_the_verdict_of_networks_that_say_where():
    parts = tuple(Prediction(k, name, 1.0, 0.9, share) for k, (name, share) in enumerate([("cat", 0.3), ("sky", 0.02)]))
    found = picture_views(replace(explanation(), predictions=(parts,)))[0]
    assert facts.verdict(found) == "It sees “cat” in 30 %, “sky” in 2.0 % of the picture."
    boxes = [("cat", 0.9, (1, 2, 3, 4)), ("dog", 0.25, (0, 0, 9, 9)), ("cat", 0.12, (0, 0, 5, 5))]
    things = tuple(Prediction(k, name, 1.0, chance, box=box) for k, (name, chance, box) in enumerate(boxes))
    found = picture_views(replace(explanation(), predictions=(things,)))[0]
    assert facts.verdict(found) == "It detects “cat” (90 %, 12 %), “dog” (25 %)."
    assert [facts.named(p) for p in (*things, *parts)][1:4] == ["dog in 0, 0, 9, 9", "cat in 0, 0, 5, 5", "cat"]


@pytest.mark.parametrize(
    ("preprocess", "expected"),
    [
        (Preprocess((224, 192), 256), "192 × 224, shorter side to 256 and central crop"),
        (Preprocess((224, 192), None), "192 × 224, squeezed"),
        (Preprocess(None, 520), "shorter side to 520"),
        (Preprocess(None, None), "at its own size"),
    ],
)
def test_how_the_model_is_fed(preprocess, expected):
    assert facts.fed(preprocess) == expected


def test_an_uncertain_verdict_says_so():
    chances = tuple(Prediction(k, name, 0.0, c) for k, (name, c) in enumerate([("tabby", 0.4), ("tiger", 0.35)]))
    unsure = replace(explanation(), predictions=(chances,))
    assert facts.verdict(picture_views(unsure)[0]) == "It is not sure: “tabby” has 40 %, “tiger” 35 %."


def called(text):
    """The keyword arguments of `pellucid.explain` in a snippet."""
    tree = ast.parse(text)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    explain = next(call for call in calls if getattr(call.func, "attr", "") == "explain")
    return {word.arg: ast.literal_eval(word.value) for word in explain.keywords}, ast.literal_eval(explain.args[1])


def test_the_snippet_names_every_choice():
    options, picture = called(snippet(picture_views(explanation())))
    assert picture == "cat.png"
    changed = {"window": 4}
    assert options == {
        "methods": ["grad-cam", "occlusion"], "layer": "layer4", "seed": 0,
        "options": {"grad-cam": changed, "occlusion": changed},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("targets", "expected"),
    [(["lynx"], 2), (["tabby", "tiger"], "top2"), (["a function"], ...), (["tabby", "lynx"], ...)],
)
def test_the_snippet_names_the_target(targets, expected):
    found = explanation(
        chosen={"class": Choice.of_user(2)},
        attributions=lambda m: [attribution(m, GRAD, smooth(), target=(name,)) for name in targets],
    )
    assert called(snippet(picture_views(found)))[0]["target"] == expected


def test_the_snippet_stays_a_program_whatever_the_names():
    found = explanation((HOSTILE,), (HOSTILE + "\nimport os", "b", "c"), chosen={"class": Choice.of_user(2)})
    assert called(snippet(picture_views(found)))[1] == HOSTILE
    assert called(snippet(picture_views(explanation(tensors=2))))[1] is ...


def test_curves_of_scores_below_zero_are_drawn_whole_and_named():
    found = pellucid.explain(tiny.build(tiny.Plain), tiny.images(1), "saliency", target="2 vs 1", trust=True)
    (panel,) = panels(picture_views(found)[0].findings)
    title, _, chart = panel.charts[0]
    assert title == "Deletion"
    assert 'aria-label="score over share hidden: this map, random, centre, edges"' in chart
    curve = found.evaluation["saliency", "deletion"].extras["curve"][0]
    assert float(curve.max()) < 0
    points = max(re.findall(r'class="l0" points="([^"]+)"', chart), key=len).split()
    heights = [point.split(",")[1] for point in points]
    assert len(set(heights)) > 5, "not all on the frame"
    assert panel.columns == ("this map", "random", "centre", "edges")
    assert [row[:2] for row in panel.rows][:2] == [("Deletion", "lower is better"), ("Insertion", "higher is better")]
    assert [len(row[2]) for row in panel.rows] == [4] * 4
