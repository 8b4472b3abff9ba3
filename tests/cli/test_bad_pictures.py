"""One bad picture never stops the others; it is reported at the end, and the exit status says so."""

import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image


def truncated(path, draw):
    path.write_bytes(draw("whole.png", (200, 200)).read_bytes()[:900])


def huge(path, draw):
    chunk = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(start + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT")))


BAD = {
    "truncated": (truncated, "cut short"),
    "no picture": (lambda path, draw: path.write_text("hello, I am a letter"), "not a picture"),
    "zero bytes": (lambda path, draw: path.write_bytes(b""), "empty (0 bytes)"),
    "huge": (huge, "30,000 x 30,000"),
    "missing": (lambda path, draw: None, "does not exist"),
    "empty folder": (lambda path, draw: path.mkdir(), "a folder without pictures"),
}


def test_a_bad_picture_of_a_class_folder_is_named_with_it(explain, draw, folder):
    draw("val/cat/1.png")
    (folder / "val/dog").mkdir()
    (folder / "val/dog/2.png").write_text("no picture")
    answer = explain("val", "-m", "saliency", "--json")
    found = json.loads(answer.out)
    assert [each["name"] for each in found["pictures"]] == ["cat/1.png"]
    assert [(each["name"], each["source"]) for each in found["failed"]] == [("dog/2.png", "val/dog/2.png")]
    assert "dog/2.png" in found["failed"][0]["message"]


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_picture_between_good_ones(explain, draw, folder, kind):
    make, message = BAD[kind]
    make(folder / "bad.png", draw)
    answer = explain(draw("a.png"), "bad.png", draw("b.png", seed=1), "-m", "saliency")
    assert answer.code == 3
    assert message in answer.err
    assert "bad.png" in answer.err
    assert answer.err.endswith("1 of 3 pictures could not be explained.\n")
    assert sorted(p.name for p in (folder / "pellucid-out").iterdir()) == ["a", "b"]


def test_a_bad_picture_in_a_folder(explain, draw, folder):
    for name in ("photos/2.png", "photos/10.png"):
        draw(name)
    (folder / "photos" / "1.png").write_bytes(b"")
    answer = explain("photos", "-m", "saliency", "--json")
    found = json.loads(answer.out)
    assert answer.code == 3
    assert [p["name"] for p in found["pictures"]] == ["2.png", "10.png"]
    assert [f["name"] for f in found["failed"]] == ["1.png"]
    assert "empty (0 bytes)" in found["failed"][0]["message"]


def test_only_a_bad_picture(explain, folder):
    answer = explain("missing.png")
    assert answer.code == 3
    assert answer.err.count("\n") == 1
    assert not (folder / "pellucid-out").exists()


def test_an_unknown_sample_is_misuse_and_does_not_stop_the_others(explain, draw, folder):
    answer = explain("sample:cta", draw(), "-m", "saliency")
    assert answer.code == 2
    assert "Did you mean 'cat'" in answer.err
    assert (folder / "pellucid-out" / "photo" / "saliency.png").exists()


def unusual(folder, draw):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20, 24, 3), np.uint8)
    photo = Image.fromarray(pixels)
    Image.fromarray(rng.integers(0, 65536, (20, 24)).astype(np.uint16)).save(folder / "deep.png")
    photo.convert("L").save(folder / "grey.png")
    photo.quantize(16).save(folder / "palette.png", transparency=3)
    photo.convert("CMYK").save(folder / "print.jpg")
    photo.save(folder / "moving.gif", save_all=True, append_images=[photo.rotate(90)])
    exif = Image.Exif()
    exif[274] = 6
    photo.save(folder / "turned.jpg", exif=exif)
    photo.resize((5, 4)).save(folder / "small.png")


def test_unusual_pictures_are_explained_and_what_was_done_is_said(explain, draw, folder):
    (folder / "in").mkdir()
    unusual(folder / "in", draw)
    answer = explain("in", "-m", "saliency", "--json")
    assert answer.code == 0, answer.err
    found = {p["name"]: p for p in json.loads(answer.out)["pictures"]}
    assert set(found) == {p.name for p in (folder / "in").iterdir()}
    assert found["turned.jpg"]["size"] == {"rows": 24, "columns": 20}
    assert any("first of 2 frames" in note for note in found["moving.gif"]["notes"])
    assert any("enlarged" in note for note in found["small.png"]["notes"])
    assert "first of 2 frames" in explain("in/moving.gif", "-m", "saliency").out


def test_names_cannot_steer_the_terminal(explain, draw, folder):
    good, bad = "\x1b[31mgood [bold].png", "\x1b]0;bad.png"
    draw(good)
    answer = explain(good, bad, "-m", "saliency")
    assert answer.code == 3
    assert "\x1b" not in answer.out + answer.err
    assert "[bold]" in answer.out
    (out,) = (folder / "pellucid-out").iterdir()
    assert out.name.isprintable()


def test_a_name_that_is_not_unicode(explain, draw, folder):
    draw("x.png").rename(folder / "x\udcff.png")
    answer = explain(folder / "x\udcff.png", "-m", "saliency", "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["pictures"][0]["name"] == "x\udcff.png"
    assert explain(folder / "x\udcff.png", "-m", "saliency").code == 0
