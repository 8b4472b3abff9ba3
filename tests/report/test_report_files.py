"""What `save` leaves on disk: names, maps, manifest, and nothing after a failure."""

import dataclasses
import json
import os
import time

import numpy as np
import pytest
import torch
from made_by_hand import GRAD, HOSTILE, OCCLUSION, attribution, explanation, grids, signed, smooth
from PIL import Image

from pellucid.contracts import Site
from pellucid.errors import BadOption
from pellucid.pictures import heat, overlay
from pellucid.report import save, write_report
from pellucid.report.names import picture_slug, slug, unique

FILES = {"grad-cam.png", "occlusion.png", "maps.npz", "manifest.json", "report.html"}
ALONE = FILES | {"result.npz"}


def names(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def read(folder):
    return json.loads((folder / "manifest.json").read_text("utf-8"))


def test_one_picture_is_written_into_the_folder_itself(tmp_path):
    found = explanation()
    assert save(found, tmp_path / "new" / "out") == tmp_path / "new" / "out"
    assert names(tmp_path / "new") == {"out", *(f"out/{name}" for name in ALONE)}
    with Image.open(tmp_path / "new/out/grad-cam.png") as drawn:
        expected = overlay(found.pictures[0], found["grad-cam"].values[0])
        np.testing.assert_array_equal(np.asarray(drawn), np.asarray(expected))


def test_several_pictures_get_a_folder_each_under_names_that_differ(tmp_path):
    save(explanation(("a.png", "A.jpg", "../../a.png", "a-2", "")), tmp_path / "out")
    found = {path.name for path in (tmp_path / "out").iterdir()} - {"result.npz"}
    assert found == {"a", "A-2", "a-3", "a-2-2", "picture"}
    assert all(names(tmp_path / "out" / name) == FILES for name in found)
    every = {f"out/{n}" for n in (*found, "result.npz")} | {f"out/{n}/{f}" for n in found for f in FILES}
    assert names(tmp_path) == {"out"} | every


def test_maps_are_the_signed_values_the_raw_maps_and_the_extras(tmp_path):
    found = explanation()
    save(found, tmp_path / "out")
    with np.load(tmp_path / "out/maps.npz") as maps:
        occlusion = found["occlusion"]
        assert set(maps) == {*(f"{k}/{n}" for k in ("grad-cam", "occlusion") for n in ("values", "raw")),
                             "occlusion/scores", "occlusion/classes"}  # fmt: skip
        np.testing.assert_array_equal(maps["occlusion/values"], occlusion.values[0])
        np.testing.assert_array_equal(maps["occlusion/raw"], occlusion.raw[0])
        np.testing.assert_array_equal(maps["occlusion/classes"], occlusion.extras["classes"][0])
        assert maps["grad-cam/values"].dtype == np.float32
        assert maps["occlusion/values"].min() < 0
        assert [e["arrays"] for e in read(tmp_path / "out")["methods"]] == [
            ["grad-cam/values", "grad-cam/raw"],
            ["occlusion/values", "occlusion/raw", "occlusion/scores", "occlusion/classes"],
        ]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_maps_of_every_type_are_saved_as_float32(tmp_path, dtype):
    save(explanation(attributions=lambda m: [attribution(m, GRAD, smooth().to(dtype))]), tmp_path / "out")
    with np.load(tmp_path / "out/maps.npz") as maps:
        assert maps["grad-cam/values"].dtype == np.float32
        assert maps["grad-cam/raw"].dtype == (np.float64 if dtype == torch.float64 else np.float32)


def test_each_picture_of_a_batch_gets_its_own_map(tmp_path):
    found = explanation(("a", "b"), attributions=lambda m: [attribution(m, GRAD, torch.cat([smooth(), signed()]))])
    save(found, tmp_path / "out")
    for index, name in enumerate("ab"):
        with np.load(tmp_path / "out" / name / "maps.npz") as maps:
            np.testing.assert_array_equal(maps["grad-cam/values"], found["grad-cam"].values[index])


def test_the_manifest_says_how_it_was_made(tmp_path):
    found = explanation(seed=7, seconds=1.5)
    save(found, tmp_path / "out", command="pellucid explain cat.png")
    record = read(tmp_path / "out")
    assert record["schema_version"] == 1
    assert record["command"] == "pellucid explain cat.png"
    assert record["model"] == {
        "name": "tiny", "source": None, "fingerprint": found.model.fingerprint,
        "computation": found.model.computation, "device": "cpu",
    }  # fmt: skip
    assert set(record["versions"]) == {"pellucid", "torch", "numpy", "pillow", "python"}
    assert record["device"] == "cpu"
    assert record["preprocessing"]["size"] == [24, 24]
    assert record["picture"] == {"name": "cat.png", "size": [90, 60], "box": list(found.pictures[0].box), "notes": []}
    assert record["predictions"][0] == {"index": 0, "name": "tabby", "score": 1.0, "probability": 0.6}
    assert record["refused"] == {"cam": "This head is not linear."}
    assert (record["seed"], record["seconds"], record["notes"]) == (7, 1.5, ["The output is a probability."])
    assert set(record["files"]) == ALONE
    first = record["methods"][0]
    assert first["min"] == pytest.approx(float(found["grad-cam"].values.min()))
    assert first["max"] == pytest.approx(float(found["grad-cam"].values.max()))
    rest = {"key": "grad-cam", "id": "grad-cam", "title": "Grad-CAM", "options": {"window": 4}, "site": "layer4",
            "target": "tabby", "seed": 0, "seconds": 0.25, "forward": 1, "backward": 1, "notes": []}  # fmt: skip
    assert {name: first[name] for name in rest} == rest


def test_values_that_json_does_not_know_become_null(tmp_path):
    values = torch.full((1, 24, 24), float("nan"))
    save(explanation(attributions=lambda m: [attribution(m, GRAD, values)], seconds=float("inf")), tmp_path / "out")
    record = read(tmp_path / "out")
    assert (record["methods"][0]["min"], record["seconds"]) == (None, None)


def test_several_targets_and_layers_are_told_apart(tmp_path):
    def several(model):
        for target in ("crane", "crane", "a/b"):
            for site in ("layer3", "layer4"):
                yield attribution(model, GRAD, smooth(), target=(target,), site=Site(site))
            yield attribution(model, OCCLUSION, signed(), target=(target,), extras=grids())

    save(explanation(attributions=several), tmp_path / "out")
    keys = [entry["key"] for entry in read(tmp_path / "out")["methods"]]
    assert keys == [
        "grad-cam.crane.layer3", "grad-cam.crane.layer4", "occlusion.crane",
        "grad-cam.crane.layer3-2", "grad-cam.crane.layer4-2", "occlusion.crane-2",
        "grad-cam.a-b.layer3", "grad-cam.a-b.layer4", "occlusion.a-b",
    ]  # fmt: skip
    assert {f"{key}.png" for key in keys} <= names(tmp_path / "out")


def test_tensors_without_pictures_give_heat_maps(tmp_path):
    found = explanation(tensors=2)
    save(found, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"sample-1", "sample-2", "result.npz"}
    assert names(tmp_path / "out/sample-1") == FILES
    with Image.open(tmp_path / "out/sample-2/occlusion.png") as drawn:
        expected = heat(found["occlusion"].values[1])
        np.testing.assert_array_equal(np.asarray(drawn), np.asarray(expected))
    assert read(tmp_path / "out/sample-1")["picture"]["size"] is None


def test_without_any_map_the_rest_is_written(tmp_path):
    save(explanation(attributions=lambda m: []), tmp_path / "out")
    assert names(tmp_path / "out") == {"maps.npz", "manifest.json", "report.html", "result.npz"}


def test_files_of_others_in_the_folder_stay(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "grad-cam.png").write_text("old")
    save(explanation(), tmp_path)
    assert names(tmp_path) == {*ALONE, "mine.txt"}
    assert (tmp_path / "grad-cam.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_after_a_failure_nothing_is_left(tmp_path, monkeypatch, exists, failure):
    def fail(*args, **kwargs):
        raise failure

    folder = tmp_path / "out"
    if exists:
        folder.mkdir()
        (folder / "grad-cam.png").write_text("old")
    monkeypatch.setattr("pellucid.report.saving.page", fail)
    with pytest.raises(failure):
        save(explanation(), folder)
    assert names(tmp_path) == ({"out", "out/grad-cam.png"} if exists else set())
    assert not exists or (folder / "grad-cam.png").read_text() == "old"


@pytest.mark.parametrize("write", [save, write_report])
def test_a_place_that_cannot_be_written_is_an_error_that_names_it(tmp_path, write):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadOption, match=r"Cannot write to '.*inside'.*Name another place"):
        write(explanation(), tmp_path / "file" / "inside")


def test_a_folder_where_a_file_stands_is_an_error(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadOption, match="Cannot write to"):
        save(explanation(), tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    assert names(tmp_path) == {"file"}


def test_new_folders_and_files_have_ordinary_permissions(tmp_path):
    save(explanation(), tmp_path / "out")
    (tmp_path / "other").mkdir()
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "other").stat().st_mode
    assert os.access(tmp_path / "out/report.html", os.R_OK)


def test_hostile_names_stay_text(tmp_path):
    undecodable = os.fsdecode(b"caf\xe9.png")
    save(explanation((HOSTILE, undecodable), (HOSTILE, "b", "c")), tmp_path / "out")
    folders = [path for path in (tmp_path / "out").iterdir() if path.is_dir()]
    assert len(folders) == 2
    written = {read(path)["picture"]["name"] for path in folders}
    assert written == {HOSTILE, undecodable}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("grad-cam++", "grad-cam++"),
        ("layer4.1:2@input", "layer4.1-2-input"),
        ("tabby, tabby cat", "tabby-tabby-cat"),
        ("../../etc/passwd", "etc-passwd"),
        ("con", "con-file"),
        ("NUL.txt", "NUL.txt-file"),
        ("Käse 猫", "Käse-猫"),
        ("\0\n/", "unnamed"),
        ("\udcff", "unnamed"),
        ("", "unnamed"),
    ],
)
def test_slugs(text, expected):
    assert slug(text) == expected


def test_long_names_fit_into_a_file_name():
    assert len(".".join([slug("猫" * 500)] * 3).encode()) < 200
    assert picture_slug("猫" * 500 + ".png")


def test_names_are_never_twice_the_same():
    assert unique(["a", "a", "a-2", "A", "a"]) == ["a", "a-2", "a-2-2", "A-3", "a-4"]


def test_saving_is_quick(tmp_path):
    found = explanation()
    save(found, tmp_path / "warm")
    start = time.process_time()
    save(found, tmp_path / "out")
    assert time.process_time() - start < 1


def test_a_second_run_leaves_no_picture_of_the_first(tmp_path):
    out, first = tmp_path / "out", explanation()
    save(first, out)
    (out / "mine.png").write_bytes(b"mine")
    (tmp_path / "kept.txt").write_text("kept")
    record = read(out) | {"files": [*read(out)["files"], "../kept.txt"]}  # a manifest is no order to delete elsewhere
    (out / "manifest.json").write_text(json.dumps(record))
    save(dataclasses.replace(first, attributions=(first["grad-cam"],)), out)
    assert names(out) == (ALONE | {"mine.png"}) - {"occlusion.png"}
    assert (tmp_path / "kept.txt").exists()
