"""The page of an inspection, from disk in a real browser; and the files beside it."""

import json

import pytest
import torch
from torch import nn

import pellucid
import tiny
from browsing import Opened
from pellucid.models import wrap


def net():
    return tiny.build(tiny.Tokens, dtype=torch.float32)


@pytest.fixture
def opened(browser, tmp_path):
    found = []

    def open_page(inspection, width=1280):
        path = inspection.report(tmp_path / "inspection.html", command="pellucid inspect <b>")
        context = browser.new_context(viewport={"width": width, "height": 900})
        shown = Opened(context.new_page())
        shown.page.goto(path.as_uri())
        found.append((context, shown))
        return shown

    yield open_page
    for context, shown in found:
        context.close()
        assert shown.complaints == []
        assert [url for url in shown.requests if not url.startswith(("file:", "data:"))] == []


@pytest.mark.browser
def test_the_drawing_unfolds_by_mouse_and_keyboard(opened):
    page = opened(pellucid.inspect(net(), size=16)).page
    nodes = page.locator(".graph .node")
    outer = nodes.count()
    page.get_by_role("button", name="Sequential blocks").click()
    assert nodes.count() == outer + 2
    assert page.locator(".open .wires path:not(.tip)").first.get_attribute("d")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert nodes.count() > outer + 2
    assert "hears from add" in page.locator(".about").inner_text()
    assert page.locator(".node.sign").count() == 2
    page.get_by_role("button", name="unfold one level").click()
    assert page.locator(".node.sign").count() == 4
    page.get_by_role("button", name="fold all", exact=True).click()
    assert nodes.count() == outer


@pytest.mark.browser
def test_a_skip_runs_beside_the_chain(opened):
    page = opened(pellucid.inspect(tiny.build(tiny.Skip, dtype=torch.float32), size=16)).page
    way = page.locator(".graph > .inside > .wires path").first.get_attribute("d")
    right = max(float(part) for part in way.replace("H", " H").split() if part[0] == "H" for part in [part[1:]])
    chain = page.locator(".graph .node", has_text="ReLU").bounding_box()
    outer = page.locator(".graph > .inside").bounding_box()
    assert right + outer["x"] > chain["x"] + chain["width"]


@pytest.mark.browser
def test_activations_switch_layer_and_scale(opened):
    found = pellucid.inspect(tiny.build(tiny.Plain, dtype=torch.float32), tiny.images(1, torch.float32))
    shown = opened(found)
    page = shown.page
    own = shown.pixels(".units canvas")
    page.get_by_role("button", name="global").click()
    assert (shown.pixels(".units canvas") != own).any()
    page.locator(".station").nth(1).click()
    assert page.locator(".which").inner_text() == str(found.activations[1].site)
    canvas = page.locator(".units canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 1, box["y"] + 1)
    layer = found.activations[1]
    value = float(page.locator(".layers .readout .value").inner_text())
    assert value == pytest.approx(float(layer.maps[layer.order[0], 0, 0]), rel=2e-3)


@pytest.mark.browser
def test_rows_unfold(opened):
    page = opened(pellucid.inspect(net(), size=16)).page
    rows = page.locator(".structure tbody tr:visible")
    few = rows.count()
    page.locator('[data-rows="all"]').click()
    assert rows.count() > few


@pytest.mark.long
@pytest.mark.browser
def test_thousands_of_layers_and_a_narrow_screen(opened):
    deep = nn.Sequential(*[nn.Tanh() for _ in range(3000)])
    page = opened(pellucid.inspect(deep, shape=(3,)), width=420).page
    for _ in range(4):
        page.get_by_role("button", name="unfold one level").click()
    assert page.locator(".graph .node").count() <= 1300
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_what_cannot_be_drawn_is_said():
    page = pellucid.inspect(nn.Conv1d(1, 2, 3), shape=(1, 9))
    from pellucid.inspection.page import page as html

    text = html(page, created="2026-01-01T00:00:00+00:00")
    assert "cannot be drawn as maps" in text
    assert "tuned to" not in text


def test_names_are_harmless():
    from pellucid.inspection.page import page as html

    class Hostile(nn.Module):
        def __init__(self):
            super().__init__()
            self._modules["</script><img src=x>"] = nn.ReLU()

        def forward(self, x):
            return self._modules["</script><img src=x>"](x)

    text = html(pellucid.inspect(wrap(Hostile(), name="<i>"), shape=(3,)), created="", command="<b>")
    assert "<img src=x>" not in text
    assert "<i>" not in text
    assert "<b>" not in text


def test_files(tmp_path):
    found = pellucid.inspect(tiny.build(tiny.Pooled), tiny.images(1))
    found.save(tmp_path / "out", scale="layer")
    names = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert {"inspection.html", "graph.svg", "strip.png", "filters/features.0.png"} <= names
    assert sum(name.startswith("activations/") for name in names) == len(found.activations)
    record = json.loads((tmp_path / "out" / "inspection.json").read_text())
    assert record["modules"][0]["field"]["status"] == "whole picture"
    assert record["filters"][0]["kernels"][0]["name"] in {"edge", "spot", "low-pass"}
    assert record["activations"][0]["shape"] == list(found.activations[0].maps.shape)
