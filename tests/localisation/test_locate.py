"""`pellucid.locate` on networks whose maps are known by hand, and on the real one."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from spot_nets import colour_model, colour_network

import pellucid
from pellucid.errors import BadOption, Refused, UnknownName


def scene(size, *spots):
    """A black picture with coloured rectangles: (channel, left, top, right, bottom, brightness)."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    for channel, left, top, right, bottom, bright in spots:
        pixels[top:bottom, left:right, channel] = bright
    return Image.fromarray(pixels)


def test_the_box_of_a_bright_rectangle_is_exact():
    found = pellucid.locate(colour_model(32), scene((32, 32), (0, 5, 9, 17, 12, 255)), "cam")
    assert found[0].box == (5, 9, 17, 12)
    assert (found[0].target, found[0].label, found[0].segments[0].area) == ("red", 0, 36)
    assert found[0].size == (32, 32)
    assert not found[0].notes


def test_boxes_are_in_pixels_of_the_picture_behind_a_crop():
    """The model sees columns 10 to 42 of a picture that is not resized."""
    model = colour_model(32, resize=32)
    found = pellucid.locate(model, scene((52, 32), (0, 15, 9, 27, 12, 255)), "cam")[0]
    assert found.seen == (10, 0, 42, 32)
    assert found.box == (15, 9, 27, 12)
    assert "sees 62% of the picture" in " ".join(found.notes)


def test_boxes_are_right_to_a_cell_where_the_picture_was_shrunk():
    found = pellucid.locate(colour_model(16), scene((64, 128), (2, 20, 40, 48, 80, 200)), "cam")[0]
    assert found.target == "blue"
    np.testing.assert_allclose(found.box, (20, 40, 48, 80), atol=8)


def test_several_objects_the_largest_first():
    picture = scene((32, 32), (0, 1, 1, 4, 4, 255), (0, 10, 10, 20, 20, 200), (0, 28, 2, 29, 3, 30))
    found = pellucid.locate(colour_model(32), picture, "cam", objects=9)[0]
    assert [segment.bbox for segment in found.segments] == [[10, 10, 10, 10], [1, 1, 3, 3]]  # 30 is below 0.2 of 255
    found = pellucid.locate(colour_model(32), picture, "cam", objects=9, threshold=0.1)[0]
    assert len(found.segments) == 3


def test_each_target_has_its_own_boxes():
    picture = scene((32, 32), (0, 1, 1, 9, 9, 255), (1, 20, 20, 30, 30, 120))
    found = pellucid.locate(colour_model(32), picture, "cam", "top2")
    assert [each.target for each in found.pictures[0]] == ["red", "green"]  # red is brighter in the mean
    assert {each.target: each.box for each in found} == {"red": (1, 1, 9, 9), "green": (20, 20, 30, 30)}
    for target in ("green", 1, [1], torch.tensor([1])):
        only = pellucid.locate(colour_model(32), picture, "cam", target)[0]
        assert (only.label, only.box) == (1, (20, 20, 30, 30))
        assert 0 < only.probability < 1


def test_nothing_is_said_honestly():
    picture = scene((32, 32), (0, 1, 1, 9, 9, 255))
    found = pellucid.locate(colour_model(32), picture, "cam", "green")
    assert (found[0].segments, found[0].box) == ((), None)
    assert "Nothing found: the map has no positive evidence." in found[0].notes
    assert found.coco()["annotations"] == []
    white = pellucid.locate(colour_model(32), Image.new("RGB", (32, 32), "white"), "cam", "red")[0]
    assert white.box is None
    assert "same everywhere" in white.notes[0]


def test_tensors_and_batches():
    image = torch.zeros(2, 3, 20, 24)
    image[0, 0, 2:6, 3:9] = 1
    image[1, 1, 10:15, 11:13] = 2
    found = pellucid.locate(colour_network(), image, "grad-cam")
    assert [each.bbox for located in found for each in located.segments] == [[3, 2, 6, 4], [11, 10, 2, 5]]
    assert [located.label for located in found] == [0, 1]
    document = found.coco()
    assert [image["id"] for image in document["images"]] == [1, 2]
    assert [a["bbox"] for a in document["annotations"]] == [[3, 2, 6, 4], [11, 10, 2, 5]]
    assert [c["id"] for c in document["categories"]] == [0, 1]
    assert found[0].draw().size == (24, 20)


def test_targets_that_are_no_class_have_numbers_of_their_own():
    found = pellucid.locate(colour_model(32), scene((32, 32), (0, 1, 1, 9, 9, 255)), "cam", "red vs green")
    (annotation,) = found.coco()["annotations"]
    assert annotation["category_id"] >= 1_000_000
    assert annotation["score"] is None
    assert found.coco()["categories"][0]["name"] == "red rather than green"


def test_thresholds_are_those_of_the_papers():
    picture = scene((32, 32), (0, 1, 1, 9, 9, 255), (0, 9, 1, 12, 9, 45))  # 45 is 0.176 of the maximum
    model = colour_model(32)
    assert pellucid.locate(model, picture, "cam")[0].segments[0].bbox == [1, 1, 8, 8]
    assert pellucid.locate(model, picture, "grad-cam")[0].segments[0].bbox == [1, 1, 11, 8]
    other = pellucid.locate(model, picture, "layer-cam")[0]
    assert "No threshold is published" in " ".join(other.notes)
    assert "chosen by you" in pellucid.locate(model, picture, "layer-cam", threshold=0.5)[0].rule.text


@pytest.mark.parametrize("wrong", [{"threshold": 1.0}, {"threshold": -0.1}, {"threshold": "high"}, {"objects": 0}])
def test_misuse_is_said(wrong):
    with pytest.raises(BadOption):
        pellucid.locate(colour_model(32), scene((32, 32)), "cam", **wrong)


def test_one_method_at_a_time():
    with pytest.raises(BadOption, match="one method"):
        pellucid.locate(colour_model(32), scene((32, 32)), ["cam", "grad-cam"])
    with pytest.raises(UnknownName):
        pellucid.locate(colour_model(32), scene((32, 32)), "cams")
    with pytest.raises(UnknownName):
        pellucid.locate(colour_model(32), scene((32, 32), (0, 1, 1, 2, 2, 9)), "cam")[1]


def test_a_method_that_would_be_wrong_is_refused():
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.Flatten(), torch.nn.Linear(2 * 36, 2))
    with pytest.raises(Refused):
        pellucid.locate(net, torch.rand(1, 3, 8, 8), "cam")


def test_what_is_saved(tmp_path):
    picture = scene((52, 32), (0, 15, 9, 27, 12, 255), (0, 30, 2, 33, 4, 255))
    found = pellucid.locate(colour_model(32, resize=32), picture, "cam", objects=2)
    out = found.save(tmp_path / "out")
    folder = out / "picture"
    assert {path.name for path in out.iterdir()} == {"picture", "localisation.json", "result.npz"}
    assert {path.name for path in folder.iterdir()} == {
        "boxes.png", "mask-1.png", "mask-2.png", "maps.npz", "manifest.json",
    }  # fmt: skip
    with Image.open(folder / "mask-1.png") as image:
        mask = np.asarray(image)
    assert mask.shape == (32, 52)
    np.testing.assert_array_equal(np.argwhere(mask == 255)[[0, -1]], [[9, 15], [11, 26]])
    with np.load(folder / "maps.npz") as maps:
        np.testing.assert_array_equal(maps["values"], found[0].values)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["targets"][0]["objects"][0]["bbox"] == [15, 9, 12, 3]
    assert manifest["rule"]["mask"].startswith("above 0.2 of the map's maximum (arXiv:1512.04150")
    written, coco = json.loads((out / "localisation.json").read_text()), found.coco()
    assert {name: written.get(name) for name in coco} == coco
    assert [each["name"] for each in written["inputs"]] == [each["file_name"] for each in coco["images"]]
    assert set(manifest["files"]) == {path.name for path in folder.iterdir()}


def test_several_pictures_and_targets_get_files_each(tmp_path):
    pictures = [scene((32, 32), (c, 4, 4, 9 + c, 9, 255)) for c in range(2)]
    folder = pellucid.locate(colour_model(32), pictures, "cam", "top2").save(tmp_path / "out")
    names = {str(path.relative_to(folder)) for path in folder.rglob("*.png")}
    assert {"picture/boxes.red.png", "picture/mask.red-1.png", "picture-2/mask.green-1.png"} <= names


def test_a_real_network_on_a_real_photograph():
    found = pellucid.locate(pellucid.load(resize=None), "sample:cat", "cam")[0]
    left, top, right, bottom = found.box
    assert found.target == "Egyptian cat"
    assert found.seen == (0, 0, 451, 300)
    assert right - left > 200
    assert bottom - top > 200
