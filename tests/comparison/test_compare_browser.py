"""The page about a comparison, from disk in a real browser."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import pellucid
import tiny
from browsing import Opened
from pellucid.contracts import Preprocess

METHODS = ["saliency", "grad-cam", "layer-cam"]
OPTIONS = {"deletion": {"steps": 6}, "insertion": {"steps": 4}}
LUMINANCE = """selector => {
    const [ink, paper] = [getComputedStyle(document.querySelector(selector)).color,
                          getComputedStyle(document.body).backgroundColor];
    return [ink, paper].map(colour => colour.match(/[\\d.]+/g).slice(0, 3).reduce((sum, x) => sum + Number(x), 0) / 3);
}"""


@pytest.fixture
def compared(tmp_path):
    for k in range(2):
        pixels = np.random.default_rng(k).integers(0, 256, (20, 24, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{k}-{'long' * 20}.png")
    model = replace(pellucid.wrap(tiny.build(tiny.Plain)), preprocess=Preprocess((16, 16), 16))
    found = pellucid.compare(model, str(tmp_path), METHODS, ["deletion", "insertion", "entropy"], options=OPTIONS)
    failing = [replace(picture, sanity=dict.fromkeys(METHODS, 0.8)) for picture in found.pictures]
    return replace(found, pictures=tuple(failing))


@pytest.mark.browser
def test_the_page_opens_from_disk_at_every_width_in_both_schemes(browser, compared, tmp_path):
    path = compared.save(tmp_path / "out", command="pellucid compare " + "photos/" * 40) / "comparison.html"
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    seen = Opened(context.new_page())
    page = seen.page
    page.goto(path.as_uri())
    titles = {method.id: method.title for method in compared.methods}
    ranked = [titles[place.method] for place in compared.ranking]
    said = [text.removesuffix(" fails sanity") for text in page.locator(".ranked tbody th").all_inner_texts()]
    assert said == [*ranked, "random", "centre", "edges"]
    assert page.locator(".film").count() == 2 * 3, "a strip for each picture and method"
    assert page.locator(".film img").count() == 2 * 3 * (1 + 5), "its map and five steps"
    sizes = page.evaluate("[...document.images].map(image => image.complete ? image.naturalWidth : 0)")
    assert len(sizes) == 2 * (1 + 3 * (1 + 5))
    assert min(sizes) >= 16
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for selector in (".lead", ".ranked td b", ".film figcaption"):
            ink, paper = page.evaluate(LUMINANCE, selector)
            assert (paper - ink if scheme == "light" else ink - paper) > 100, (scheme, selector)
        chips, ranks = (page.locator(f".ranked {name}") for name in (".chip-warning", "tbody td:nth-child(2)"))
        for width in (1280, 360):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (scheme, width)
            box, rank = chips.first.bounding_box(), ranks.first.bounding_box()
            assert box["x"] + box["width"] <= rank["x"], "no chip lies over a number"
    frame = page.locator(".film img").nth(1).bounding_box()
    assert frame["width"] >= 90, "on a phone frames are still to be told apart"
    assert seen.complaints == []
    assert {url.partition(":")[0] for url in seen.requests} <= {"file", "data"}
    assert sum(url.startswith("file:") for url in seen.requests) == 1
    context.close()
