"""The slice viewer and the frame viewer in a real browser, opened from disk."""

import numpy as np
import pytest
import torch
from torch import nn

import pellucid
from browsing import Opened
from pellucid.contracts import Sample
from pellucid.modalities.volumes.space import geometry

pytestmark = pytest.mark.browser


def net(channels):
    torch.manual_seed(0)
    layers = nn.Conv3d(channels, 2, 3, padding=1), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(2, 2)
    return nn.Sequential(*layers).eval()


@pytest.fixture
def show(browser, tmp_path):
    contexts = []

    def opened(sample):
        found = pellucid.explain(net(len(sample.tensor)), sample, ["input-x-gradient", "saliency"])
        path = found.report(tmp_path / "report.html")
        contexts.append(browser.new_context(viewport={"width": 360, "height": 800}))
        seen = Opened(contexts[-1].new_page())
        seen.page.goto(path.as_uri())
        seen.page.wait_for_selector("html[data-ready]", timeout=10_000)
        return seen, found["input-x-gradient"].values[0]

    yield opened
    for context in contexts:
        context.close()


def quiet(seen):
    assert seen.complaints == [] and sum(url.startswith("file:") for url in seen.requests) == 1
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 360


def test_a_cross_hair_goes_through_three_planes(show):
    rng, affine = np.random.default_rng(0), np.diag([2.0, 1.0, 3.0, 1.0])  # axes to R, A, S
    affine[:3, 3] = -4, 5, 6
    tensor = torch.from_numpy(rng.normal(size=(1, 7, 8, 9)).astype(np.float32))
    sample = Sample("scan", "volume", tensor, ("depth", "row", "column"), geometry=geometry(affine))
    seen, values = show(sample)
    page, place = seen.page, [int(k) for k in np.unravel_index(int(values.abs().argmax()), values.shape)]

    def said():
        shown = [int(page.locator(f"input[data-axis='{axis}']").input_value()) for axis in range(3)]
        found = float(page.locator(".readout .value").get_attribute("data-value"))
        assert found == pytest.approx(float(values[tuple(shown)]), rel=1e-3)
        return shown

    assert said() == place
    axial = page.locator(".stage[data-plane='2']")
    box = axial.bounding_box()
    before = seen.pixels(".stage[data-plane='0']")
    axial.click(position={"x": box["width"] * 0.5 / 7, "y": box["height"] * 2.5 / 8})  # from R to L, from A to P
    place = [6, 5, place[2]]
    assert said() == place and np.abs(seen.pixels(".stage[data-plane='0']") - before).max() > 50
    assert "R 8.0, A 10.0" in page.locator(".where").inner_text()
    for key, axis, step in (("ArrowRight", 0, -1), ("ArrowUp", 1, 1), ("PageUp" if place[2] < 8 else "PageDown", 2, 0)):
        page.keyboard.press(key)
        place[axis] += step or (1 if key == "PageUp" else -1)
    assert said() == place
    for selector in ("[data-largest=yes]", ".methods .chip:last-child"):
        before = seen.pixels(".stage[data-plane='1']")
        page.locator(selector).click()
        assert np.abs(seen.pixels(".stage[data-plane='1']") - before).max() > 20
    quiet(seen)


def test_frames_follow_the_slider_and_the_curve(show):
    tensor = torch.rand(3, 5, 8, 8, generator=torch.Generator().manual_seed(0))
    sample = Sample("clip", "video", tensor, ("frame", "row", "column"), ("red", "green", "blue"),
                    {"times": (0.0, 1.0, 2.0, 3.0, 4.0), "seconds": True})  # fmt: skip
    seen, values = show(sample)
    now = seen.page.locator(".now")
    assert now.inner_text().startswith(f"{int(values.sum((1, 2)).abs().argmax())}: ")
    seen.page.locator(".video input").fill("3")
    assert now.inner_text() == "3: 3.00 s"
    box = seen.page.locator(".importance").bounding_box()
    seen.page.locator(".importance").click(position={"x": box["width"] * 0.27, "y": 20})
    assert now.inner_text() == "1: 1.00 s"
    seen.page.locator(".video .film button").nth(4).click()
    assert now.inner_text() == "4: 4.00 s"
    quiet(seen)
