"""The page in a real browser, opened from disk."""

from dataclasses import replace
from io import BytesIO
from itertools import product

import numpy as np
import pytest
import torch
from made_by_hand import GRAD, HOSTILE, OCCLUSION, attribution, explanation, grids, photo, signed, smooth
from PIL import Image

from browsing import Opened
from pellucid.contracts import Choice, Preprocess
from pellucid.pictures import overlay, prepare, scale
from pellucid.report import notebook_frame, write_report

pytestmark = pytest.mark.browser


@pytest.fixture
def show(browser, tmp_path):
    contexts = []

    def opened(found, width=1280, **kwargs):
        path = write_report(found, tmp_path / "report.html", **kwargs)
        context = browser.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        result = Opened(context.new_page())
        result.page.goto(path.as_uri())
        result.page.wait_for_selector("html[data-ready]", timeout=10_000)
        return result

    yield opened
    for context in contexts:
        context.close()


def test_the_page_works_without_network_and_without_complaint(show):
    seen = show(explanation(), command="pellucid explain cat.png")
    for button in seen.page.locator("button:visible").all():
        button.click()
    assert seen.complaints == []
    assert {url.partition(":")[0] for url in seen.requests} <= {"file", "data"}
    assert sum(url.startswith("file:") for url in seen.requests) == 1


def test_the_slider_changes_the_picture(show):
    seen = show(explanation())
    full = seen.pixels()
    seen.page.locator(".opacity").fill("0")
    none = seen.pixels()
    assert np.abs(full - none).max() > 50
    seen.page.locator(".opacity").fill("50")
    assert np.abs(seen.pixels() - (full + none) / 2).max() <= 2


def test_chips_switch_methods(show):
    seen = show(explanation())
    before = seen.pixels()
    chips = seen.page.locator(".chip")
    chips.nth(1).click()
    assert [chip.get_attribute("aria-pressed") for chip in chips.all()] == ["false", "true"]
    assert np.abs(seen.pixels() - before).max() > 50
    assert "Occlusion" in seen.page.locator(".scale").inner_text()


def test_the_keyboard_works_chips_and_read_out(show):
    seen = show(explanation())
    seen.page.locator(".chip").nth(1).focus()
    seen.page.keyboard.press("Enter")
    assert seen.page.locator(".chip").nth(1).get_attribute("aria-pressed") == "true"
    seen.page.locator(".stage").focus()
    seen.page.keyboard.press("ArrowRight")
    assert "row" in seen.page.locator(".where").inner_text()
    assert seen.page.locator(".readout .value").get_attribute("data-value")
    seen.page.keyboard.press("Escape")
    assert seen.page.locator(".readout .value").inner_text() == "–"


def test_the_value_read_is_that_of_the_map(show):
    found = explanation()
    seen = show(found)
    left, top, right, bottom = found.pictures[0].box
    for number, (across, down) in product((0, 1), ((0.5, 0.5), (0.3, 0.7), (0.6, 0.2))):
        seen.page.locator(".chip").nth(number).click()
        value = float(seen.hover(across, down))
        column = int((90 * across - left) / (right - left) * 24)
        row = int((60 * down - top) / (bottom - top) * 24)
        values = found.attributions[number].values[0].numpy()
        near = values[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]  # the mouse stops at whole pixels
        said = seen.page.locator(".where").inner_text()
        row, column = (int(said.partition(f"{word} ")[2].split()[0].strip(",")) for word in ("row", "column"))
        assert value == pytest.approx(float(values[row, column]), rel=2**-10, abs=1e-12)
        assert np.abs(near - value).min() <= 2**-10 * np.abs(values).max()


def test_outside_of_what_the_model_saw_there_is_no_value(show):
    seen = show(explanation())
    assert seen.hover(0.01, 0.01) == ""
    assert "never saw" in seen.page.locator(".where").inner_text()


def test_cursors_are_linked(show):
    seen = show(explanation())
    first = float(seen.hover(0.5, 0.5, "figure[data-map='0'] canvas"))
    values = seen.page.locator("figure .value").all()
    assert float(values[0].get_attribute("data-value")) == first
    assert values[1].get_attribute("data-value")
    assert seen.page.locator(".cursor:visible").count() == 3


def test_one_scale_changes_the_fainter_map_only(show):
    seen = show(explanation())
    before = [seen.pixels(f"figure[data-map='{k}'] canvas") for k in (0, 1)]
    seen.page.locator("[data-scale=one]").click()
    after = [seen.pixels(f"figure[data-map='{k}'] canvas") for k in (0, 1)]
    assert np.array_equal(before[0], after[0])
    assert np.abs(before[1] - after[1]).max() > 50


def test_sign_and_percentile_change_scale_and_picture(show):
    seen = show(explanation())
    seen.page.locator(".chip").nth(1).click()
    before, ends = seen.pixels(), seen.page.locator(".ends").inner_text()
    seen.page.locator(".sign").select_option("against")
    assert seen.page.locator(".ends").inner_text() != ends
    assert np.abs(seen.pixels() - before).max() > 50
    seen.page.locator(".alone").check()
    assert seen.complaints == []


@pytest.mark.parametrize("values", [smooth(), signed(), signed().abs(), smooth(sign=-1.0), torch.rand(1, 24, 24) - 0.3])
def test_the_browser_paints_like_the_png(show, values):
    # 1000 pixels wide: the browser then neither shrinks nor enlarges, and only JPEG stands between the two.
    picture = prepare(photo(1000, 700).convert("L").convert("RGB"), Preprocess((24, 24), 32), "big")
    found = explanation(attributions=lambda m: [attribution(m, GRAD, values)])
    found = replace(found, pictures=(picture,))
    seen = show(found)
    expected = np.asarray(overlay(picture, values[0])).astype(float)
    assert seen.pixels().shape == expected.shape
    difference = np.abs(seen.pixels() - expected)
    assert difference.mean() < 1.5
    assert np.percentile(difference, 99.9) < 12
    high = float(seen.page.locator(".ends span").nth(2).inner_text())
    assert high == pytest.approx(scale(values[0]).high, rel=1e-3)


def test_values_that_are_not_finite_are_green(show):
    values = smooth()
    values[0, 8:16, 8:16] = float("nan")
    seen = show(explanation(attributions=lambda m: [attribution(m, GRAD, values)]))
    high, wide = seen.pixels().shape[:2]
    assert seen.pixels()[high // 2, wide // 2] == pytest.approx([0, 200, 120], abs=3)
    assert "not finite" in seen.page.locator(".scale").inner_text()


def test_an_empty_map_says_so(show):
    seen = show(explanation(attributions=lambda m: [attribution(m, GRAD, torch.zeros(1, 24, 24))]))
    assert "no evidence" in seen.page.locator(".scale").inner_text()
    assert seen.complaints == []


def test_hostile_names_are_only_text(show):
    found = explanation(
        (HOSTILE, "b"),
        (HOSTILE, "tiger", "lynx"),
        notes=(HOSTILE,),
        refused={HOSTILE: HOSTILE},
        chosen={HOSTILE: Choice(None, "default", HOSTILE)},
    )
    seen = show(found, command=HOSTILE)
    seen.page.locator(".chip:visible").nth(1).click()
    seen.hover(0.5, 0.5)
    assert seen.page.locator("h1").first.inner_text().startswith("</script><img src=x")
    assert seen.page.locator("img[src=x]").count() == 0
    assert seen.page.title() != "owned"
    assert seen.complaints == []


def test_narrow_screens_need_no_sideways_scrolling(show):
    seen = show(explanation(("a" * 80 + ".png",), ("tabby" * 20, "tiger", "lynx")), 400, command="pellucid " * 30)
    for width in (400, 320):
        seen.page.set_viewport_size({"width": width, "height": 900})
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        seen.page.locator(".chip").nth(1).click()
        assert float(seen.hover(0.5, 0.5)) != 0


def test_pictures_are_chosen_by_name(show):
    seen = show(explanation(("a.png", "b.png")))
    assert seen.page.locator("h1:visible").inner_text() == "a.png"
    seen.page.locator(".pictures button").nth(1).click()
    assert seen.page.locator("h1:visible").inner_text() == "b.png"
    seen.page.wait_for_selector("article[data-ready]:visible")
    assert seen.hover(0.5, 0.5, "article:nth-of-type(2) .stage")


def test_tensors_are_shown_without_a_photograph(show):
    seen = show(explanation(tensors=1))
    assert seen.hover(0.5, 0.5)
    assert seen.page.locator(".opacity").count() == 0
    assert seen.complaints == []


def test_without_maps_the_page_still_opens(show):
    assert show(explanation(attributions=lambda m: [])).complaints == []


def test_the_classes_at_each_hidden_place_are_drawn(show):
    seen = show(explanation(attributions=lambda m: [attribution(m, OCCLUSION, signed(), extras=grids())]))
    assert seen.page.locator(".classes > svg rect").count() == 9
    assert "tabby 7 places" in seen.page.locator(".classes li").first.inner_text()


def test_the_copy_button_answers(show):
    seen = show(explanation())
    seen.page.locator(".copy").click()
    seen.page.locator(".copy", has_text="ed").wait_for()  # Copied or, without a clipboard, Selected


def test_dark_mode_is_dark_and_print_hides_controls(show):
    seen = show(explanation())
    light = np.asarray(Image.open(BytesIO(seen.page.screenshot())).convert("L"))
    seen.page.emulate_media(color_scheme="dark")
    dark = np.asarray(Image.open(BytesIO(seen.page.screenshot())).convert("L"))
    assert light[-5:, :5].mean() > 200 > 60 > dark[-5:, :5].mean()
    seen.page.emulate_media(media="print")
    assert not seen.page.locator(".settings").is_visible()


def test_the_notebook_frame_runs_in_its_sandbox(browser, tmp_path):
    (tmp_path / "frame.html").write_text(f"<!doctype html>{notebook_frame(explanation())}", "utf-8")
    context = browser.new_context()
    seen = Opened(context.new_page())
    seen.page.goto((tmp_path / "frame.html").as_uri())
    frame = seen.page.frame_locator("iframe")
    frame.locator("html[data-ready]").wait_for()
    frame.locator(".chip").nth(1).click()
    assert frame.locator(".chip").nth(1).get_attribute("aria-pressed") == "true"
    assert seen.complaints == []
    context.close()
