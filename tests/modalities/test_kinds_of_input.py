"""What all kinds of input share: how the kind is told, records of other packages, the pages in a browser."""

import json
import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

import pellucid
from browsing import Opened
from held_to_schemas import wrong_with
from pellucid import modalities
from pellucid.capture.running import first_operation
from pellucid.contracts import Model
from pellucid.given import kind_of_input
from pellucid.modalities import known

PAGE = Path(__file__).parents[2] / "docs/inputs.md"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """What the code of the page leaves behind, in a folder of its own."""
    folder = tmp_path_factory.mktemp("inputs")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        space = {}
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
            exec(block, space)
    return folder, space


def test_the_page_works_as_written(saved):
    folder, space = saved
    assert space["signal"].samples[0].geometry["rate"] == 360
    assert space["table"].samples[0].geometry["columns"][0] == "alcohol"
    for place, method in (
        ("heart/ecg", "occlusion.png"), ("wine/wine-row-17", "integrated-gradients.png"),
        ("head/anatomical", "grad-cam.nii.gz"), ("moving/frames", "input-x-gradient.apng"),
    ):  # fmt: skip
        assert (folder / place / method).is_file() and (folder / place / "report.html").is_file()
    assert all(f"`{kind}`" in PAGE.read_text() for kind in ("signal", "table", "video", "volume"))


@pytest.mark.parametrize(("net", "shape", "found"), [
    (nn.Conv1d(2, 1, 3), (1, 2, 8), ("convolution 1", True)),
    (nn.Conv3d(2, 1, 3), (1, 2, 8), ("convolution 3", False)),
    (nn.LSTM(8, 2), (1, 2, 8), ("recurrent", True)),
    (nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), (1, 2, 8), ("linear 2", True)),
    (nn.Softmax(1), (1, 2, 8), ("", True)),
])  # fmt: skip
def test_the_first_operation_with_weights_is_seen(net, shape, found):
    assert first_operation(Model(net), torch.zeros(shape)) == found


def test_pictures_with_a_table_beside_them_stay_pictures(tmp_path):
    for folder in ("flat", "classes/cat"):
        (tmp_path / folder).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / folder / "a.png")
    for folder in ("flat", "classes"):
        (tmp_path / folder / "labels.csv").write_text("file,label\na.png,1\n")
        assert kind_of_input(Model(nn.Conv2d(3, 1, 3)), [tmp_path / folder], None, {}) == "picture"
    assert kind_of_input(Model(nn.Conv2d(3, 1, 3)), ["gone/", "gone", "gone.png"], None, {}) == "picture"


def test_records_of_other_packages_are_kinds_too(monkeypatch):
    record = modalities.Modality(
        "spectrum",
        "a spectrum",
        ("time",),
        (".spc",),
        read=lambda part: None,
        draw=lambda *_: None,
        view=lambda *_: None,
    )
    monkeypatch.setattr(known, "records_of", lambda group, accept: {each.id: accept(each) for each in [record]})
    known.modalities.cache_clear()
    try:
        assert known.find_modality("spectrum") is record and known.find_modality("signal").id == "signal"
        assert modalities.kinds_of(["a.SPC"]) == ("spectrum",)
    finally:
        known.modalities.cache_clear()


@pytest.mark.browser
def test_pages_of_signals_and_tables_work_in_a_browser(browser, saved):
    folder, _ = saved
    for width, scheme in ((1280, "dark"), (360, "light")):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        seen = Opened(context.new_page())
        seen.page.goto((folder / "heart/ecg/report.html").as_uri())
        seen.page.wait_for_selector("html[data-ready]")
        _check_signal(seen)
        assert seen.page.evaluate("document.documentElement.scrollWidth") == width
        seen.page.goto((folder / "wine/wine-row-17/report.html").as_uri())
        first = seen.page.locator(".bars figure").first
        sizes = [abs(float(text.replace("−", "-"))) for text in first.locator("tbody td:last-child").all_inner_texts()]
        assert len(sizes) == 13 and sizes == sorted(sizes, reverse=True)
        assert float(first.locator("rect").first.get_attribute("width")) == pytest.approx(98)
        assert seen.page.evaluate("document.documentElement.scrollWidth") == width
        assert seen.complaints == [] and {url.partition(":")[0] for url in seen.requests} <= {"file", "data"}
        context.close()


def _check_signal(seen):
    """Zoom and read-out, with and without the mouse."""
    plot = seen.page.locator(".plot")
    span = lambda: [float(plot.get_attribute(f"data-{end}")) for end in ("from", "to")]  # noqa: E731
    assert span() == pytest.approx([0, 1024 / 360])
    seen.page.locator("[data-zoom=in]").click()
    assert span()[1] - span()[0] == pytest.approx(512 / 360)
    plot.press("ArrowRight")
    assert span()[0] == pytest.approx(512 / 360)
    plot.press("Escape")
    assert span() == pytest.approx([0, 1024 / 360])
    seen.page.locator("[data-map='1']").click()
    assert seen.page.locator(".plot rect").count() > 3
    plot.hover()
    assert " s · signal" in seen.page.locator(".where").inner_text()


def test_an_explanation_of_a_sample_tells_its_kind_in_the_manifest(saved):
    manifest = json.loads((saved[0] / "wine/wine-row-17/manifest.json").read_text())
    assert wrong_with(manifest, "manifest") == []
    (entry,) = manifest["inputs"]
    assert entry["kind"] == "table" and entry["axes"] == [{"name": "feature", "size": 13, "step": None, "unit": None}]
    assert entry["geometry"]["row"] == 17
    again = pellucid.read(saved[0] / "heart").picture("occlusion")
    assert again.size[0] == 1200
