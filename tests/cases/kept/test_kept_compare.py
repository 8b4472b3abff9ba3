"""`compare` that was stopped, repeated and mixed, and one bad picture among others."""

from bright import Bright, compare, full_disk, network, parts
from PIL import Image

import pellucid
from pellucid.cli import main
from pellucid.errors import Cancelled


def test_s3_compare_with_other_classes_parts_files_and_code(few, tmp_path, monkeypatch, fuse):
    """Each other question costs passes and gives what it gives alone; the same one again costs none."""
    fill = tmp_path / "fill.png"
    Image.new("RGB", (8, 8), (200, 10, 30)).save(fill)
    questions = {
        "as it is": {},
        "other classes": {"model": network(classes=["cat", "dog"])},
        "part a": {"model": parts("a")},
        "part b": {"model": parts("b")},
        "other mean": {"model": network(mean=(0.1,) * 3, std=(1.0,) * 3)},
        "a file": {"options": {"deletion": {"steps": 2, "baseline": str(fill)}}},
    }
    out = tmp_path / "out"
    for name, asked in questions.items():
        found, passes = compare(fuse, few, out, **asked)
        assert passes > 0, name
        assert found == compare(fuse, few, None, **asked)[0], name
    assert (
        compare(fuse, few, out, **questions["as it is"])[0] != compare(fuse, few, out, **questions["other classes"])[0]
    )
    for name, asked in questions.items():
        found, passes = compare(fuse, few, out, **asked)
        assert passes == 0, name
    Image.new("RGB", (8, 8), (0, 250, 0)).save(fill)
    assert compare(fuse, few, out, **questions["a file"])[1] > 0, "the file has another content"
    monkeypatch.setattr(Bright, "forward", lambda self, x: -self.cells(x).mean((2, 3)))
    found, _ = compare(fuse, few, out, **questions["as it is"])
    assert found == compare(fuse, few, None, **questions["as it is"])[0], "same weights, other code"


def test_compare_stopped_in_any_pass_gives_the_same(few, tmp_path, fuse):
    whole, _ = compare(fuse, few, None)
    for k in range(1, 1000, 3):
        out = tmp_path / f"out{k}"
        fuse.light(at=k)
        try:
            pellucid.compare(
                network(), few, "saliency", "deletion", options={"deletion": {"steps": 2}}, folder=out, sanity=False
            )
            assert k > 9, "it was not stopped"
            break
        except Cancelled:
            fuse.light()
            assert compare(fuse, few, out)[0] == whole


def test_c5_kept_scores_of_any_shape_are_none(few, tmp_path, fuse):
    out = tmp_path / "out"
    whole, _ = compare(fuse, few, out)
    for shape in ("", "[", "null", "[]", "{}", '{"scores": 5}', "[" * 100_000, "PK\3\4", "\0" * 99):
        for file in (out / "scores").iterdir():
            file.write_text(shape)
        found, passes = compare(fuse, few, out)
        assert found == whole, shape[:20]
        assert passes > 0, shape[:20]


def test_compare_goes_on_when_a_picture_fails_whatever_it_raises(few, fuse, tmp_path):
    """An error in any pass is that picture's, or is mended where only a shortcut failed: the others are judged."""
    whole, passes = compare(fuse, few, None)
    failures = []
    errors = [ValueError("no"), SystemExit(0), StopIteration(), pellucid.errors.BadOption("no"), OSError(5, "x")]
    for k in range(1, passes + 1, 2):
        fuse.light(at=k, error=errors[k % len(errors)])
        found = pellucid.compare(
            network(), few, "saliency", "deletion", options={"deletion": {"steps": 2}}, sanity=False
        )
        failures += (failed := [failure.name for failure in found.failed])
        assert len(failed) <= 1
        assert {p.name for p in found.pictures} == set(whole) - set(failed)
        assert found.planned == 4
    assert set(failures) == set(whole)


def test_what_compare_found_is_said_when_the_disk_is_full(few, tmp_path, monkeypatch, capsys):
    (tmp_path / "net.py").write_text(
        "from torch import nn\nfrom pellucid import wrap\ndef model():\n"
        "    return wrap(nn.Sequential(nn.Conv2d(3, 2, 4, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten()), size=8)\n"
    )
    full_disk(monkeypatch, "mkdir")
    command = ["compare", str(few), "--model", str(tmp_path / "net.py"), "--method", "saliency", "--metric", "deletion"]
    code = main([*command, "--deletion.steps", "2", "--no-sanity", "--out", str(tmp_path / "out")])
    said = capsys.readouterr()
    assert code == 2
    assert "4 of 4 pictures" in said.out
    assert said.err.count("cannot be kept for a later call") == 1
    assert said.err.count("No space left on device") == 2
    assert "Wrote" not in said.out
