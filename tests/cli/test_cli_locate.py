"""`pellucid locate` as it is typed."""

import json

import numpy as np
from PIL import Image


def test_a_real_network_on_a_real_photograph(run, folder):
    answer = run("locate", "sample:cat", "--method", "cam")
    assert answer.code == 0, answer.err
    for text in ("tiger cat", "0.2 of the map's maximum (arXiv:1512.04150", "sees 51% of the picture", "boxes"):
        assert text in answer.out
    out = folder / "pellucid-out"
    (annotation,) = json.loads((out / "localisation.json").read_text())["annotations"]
    left, top, width, height = annotation["bbox"]
    with Image.open(out / "cat" / "mask-1.png") as image:
        mask = np.asarray(image) > 0
    assert mask.shape == (300, 451)
    assert mask.sum() == annotation["area"]
    assert mask[top : top + height, left : left + width].sum() == annotation["area"]
    assert (
        json.loads((out / "cat" / "manifest.json").read_text())["command"] == "pellucid locate sample:cat --method cam"
    )


def test_json_is_the_coco_document(run, draw, folder):
    paths = [draw("one.png"), draw("two.png", seed=1)]
    answer = run("locate", *paths, "missing.png", "--model", "nets.py", "--target", "top2", "--json")
    found = json.loads(answer.out)
    assert answer.code == found["exit_code"] == 3
    assert [image["file_name"] for image in found["images"]] == ["one.png", "two.png"]
    assert [image["source"] for image in found["images"]] == [str(path) for path in paths]
    assert (found["images"][0]["width"], found["images"][0]["height"]) == (24, 20)
    assert "missing.png" in found["failed"][0]["message"]
    assert "missing.png" in answer.err
    saved = json.loads((folder / "pellucid-out" / "localisation.json").read_text())
    assert saved["annotations"] == found["annotations"]
    for annotation in found["annotations"]:
        left, top, width, height = annotation["bbox"]
        assert 0 <= left < left + width <= 24
        assert 0 <= top < top + height <= 20


def test_options_thresholds_and_objects(run, draw):
    flags = ("--model", "nets.py", "-m", "occlusion", "--occlusion.window", "8", "--occlusion.stride", "4", "--json")
    few = json.loads(run("locate", draw(), *flags, "--threshold", "0.9").out)["annotations"]
    many = json.loads(run("locate", draw(), *flags, "--threshold", "0.9", "--objects", "9").out)["annotations"]
    assert few == many[:1]
    wide = json.loads(run("locate", draw(), *flags, "--threshold", "0.1").out)["annotations"]
    assert wide[0]["area"] > few[0]["area"]


def test_misuse_is_said_before_anything_is_done(run, draw, folder):
    for flags, words in (
        (("-m", "cams"), "no method 'cams'"),
        (("--threshold", "1.5"), "from 0 to below 1"),
        (("--occlusion.window", "8"), "Add --method occlusion"),
    ):
        answer = run("locate", draw(), "--model", "nets.py", *flags)
        assert (answer.code, answer.out) == (2, "")
        assert words in answer.err
    assert not (folder / "pellucid-out").exists()


def test_what_was_finished_before_an_interrupt_is_kept(run, draw, folder, monkeypatch):
    from pellucid import localisation as localise

    done = []

    def once(*arguments, **options):
        if done:
            raise KeyboardInterrupt
        done.append(1)
        return whole(*arguments, **options)

    whole = localise.locate
    monkeypatch.setattr(localise, "locate", once)
    answer = run("locate", draw("a.png"), draw("b.png"), "--model", "nets.py")
    assert answer.code == 130
    assert "What was finished is in pellucid-out" in answer.err
    assert len(json.loads((folder / "pellucid-out" / "localisation.json").read_text())["images"]) == 1


def test_nothing_found_is_said(run, folder):
    Image.new("RGB", (24, 20), "grey").save(folder / "flat.png")
    answer = run("locate", "flat.png", "--model", "nets.py", "-m", "occlusion", "--occlusion.fill", "mean",
                 "--occlusion.window", "8")  # fmt: skip
    assert answer.code == 0, answer.err
    assert "Nothing found" in answer.out


def test_the_help_shows_each_example_on_a_line_of_its_own(run):
    lines = [line.strip() for line in run("locate", "--help").out.splitlines()]
    assert "pellucid locate sample:cat --method cam" in lines
