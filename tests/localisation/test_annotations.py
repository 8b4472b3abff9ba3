"""The layouts of COCO, VOC and ILSVRC, on small files of the same format."""

import json

import numpy as np
import pytest

from pellucid.contracts import Classes
from pellucid.errors import BadOption, BadPicture
from pellucid.localisation.annotations import Thing, read_annotations, unpacked
from pellucid.localisation.coco import run_lengths

CLASSES = Classes(("tabby cat", "red fox"), ("n02123045", "n02119022"))

VOC = """<annotation><folder>VOC2007</folder><filename>000005.jpg</filename>
<size><width>50</width><height>40</height><depth>3</depth></size>
<object><name>tabby cat</name><pose>Left</pose><truncated>0</truncated><difficult>0</difficult>
  <bndbox><xmin>11</xmin><ymin>6</ymin><xmax>30</xmax><ymax>15</ymax></bndbox></object>
<object><name>person</name><difficult>1</difficult>
  <bndbox><xmin>1</xmin><ymin>1</ymin><xmax>50</xmax><ymax>40</ymax></bndbox></object></annotation>"""

ILSVRC = """<annotation><folder>val</folder><filename>ILSVRC2012_val_00000001</filename>
<source><database>ILSVRC_2012</database></source><size><width>50</width><height>40</height></size>
<object><name>n02123045</name><bndbox><xmin>10</xmin><ymin>5</ymin><xmax>30</xmax><ymax>15</ymax></bndbox></object>
</annotation>"""


def coco(**more):
    return {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 8, "height": 6}, {"id": 9, "file_name": "b.jpg"}],
        "categories": [{"id": 17, "name": "tabby cat"}, {"id": 18, "name": "unicorn"}],
        "annotations": [
            {"image_id": 7, "category_id": 17, "bbox": [2, 1, 3, 2], "segmentation": [[2, 1, 5, 1, 5, 3, 2, 3]]},
            {"image_id": 7, "category_id": 18, "bbox": [0, 0, 1, 1], "iscrowd": 0},
            {"image_id": 9, "category_id": 17, "bbox": [0, 0, 1, 1], "iscrowd": 1},
        ],
        **more,
    }


def test_coco(tmp_path):
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(coco()))
    found = read_annotations(path)
    assert (found.layout, found.notes) == ("COCO", ("1 crowds were left out.",))
    truth = found.of("photos/a.jpg")
    assert [thing.box for thing in truth.things] == [(2, 1, 5, 3), (0, 0, 1, 1)]
    expected = np.zeros((6, 8), bool)
    expected[1:3, 2:5] = True
    np.testing.assert_array_equal(truth.things[0].mask((6, 8)), expected)
    assert found.of("b.jpg").things == ()
    assert found.of("c.jpg") is None
    matched = found.matched(CLASSES)
    assert [thing.labels for thing in matched.of("a.jpg").things] == [(0,)]
    assert "1 annotated classes are none of the model's and were left out: unicorn." in matched.notes


def test_coco_run_lengths_plain_and_packed(tmp_path):
    mask = np.zeros((6, 8), bool)
    mask[2:5, 3:6] = True
    code = run_lengths(mask)
    for counts in (code["counts"], packed(code["counts"])):
        content = coco()
        content["annotations"][0]["segmentation"] = {"size": [6, 8], "counts": counts}
        (tmp_path / "a.json").write_text(json.dumps(content))
        np.testing.assert_array_equal(read_annotations(tmp_path / "a.json").of("a.jpg").things[0].mask((6, 8)), mask)


def packed(counts):
    """COCO's text, written the long way round."""
    text = ""
    for number, count in enumerate(counts):
        value = count - counts[number - 2] if number > 2 else count
        more = True
        while more:
            low = value & 31
            value >>= 5
            more = value != (-1 if low & 16 else 0)
            text += chr((low | (32 if more else 0)) + 48)
    return text


def test_packed_numbers_by_hand():
    assert unpacked("0") == [0]
    assert unpacked(packed([5, 1000, 3, 70000, 2, 1])) == [5, 1000, 3, 70000, 2, 1]


def test_voc_counts_pixels_from_one(tmp_path):
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "000005.xml").write_text(VOC)
    found = read_annotations(tmp_path)
    cat, person = found.of("JPEGImages/000005.jpg").things
    assert found.layout == "VOC"
    assert cat.box == (10, 5, 30, 15)
    assert cat.mask((40, 50)).sum() == 20 * 10
    assert (cat.difficult, person.difficult) == (False, True)
    assert person.box == (0, 0, 50, 40)
    assert len(found.matched(CLASSES).of("000005.jpg").things) == 1


def test_ilsvrc_gives_edges_and_synsets(tmp_path):
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "ILSVRC2012_val_00000001.xml").write_text(ILSVRC)
    found = read_annotations(tmp_path)
    assert found.layout == "ILSVRC"
    (thing,) = found.matched(CLASSES).of("ILSVRC2012_val_00000001.JPEG").things
    assert (thing.box, thing.labels) == ((10, 5, 30, 15), (0,))


def test_ilsvrc_solution_file(tmp_path):
    path = tmp_path / "LOC_val_solution.csv"
    path.write_text("ImageId,PredictionString\nILSVRC2012_val_00000002,n02119022 1 2 30 40 n02119022 5 6 7 8 \n")
    first, second = read_annotations(path).matched(CLASSES).of("x/ILSVRC2012_val_00000002.JPEG").things
    assert (first.box, first.labels, second.box) == ((1, 2, 30, 40), (1,), (5, 6, 7, 8))


def test_what_was_located_can_be_read_again(tmp_path):
    from spot_nets import colour_model

    import pellucid

    picture = np.zeros((32, 32, 3), np.uint8)
    picture[4:9, 6:20, 1] = 200
    found = pellucid.locate(colour_model(32), picture, "cam")
    found.save(tmp_path)
    (thing,) = read_annotations(tmp_path / "localisation.json").pictures[0].things
    assert thing.box == found[0].box
    np.testing.assert_array_equal(thing.mask((32, 32)), found[0].segments[0].mask)


def test_damaged_and_missing_files_are_named(tmp_path):
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text('{"images": []}')
    (tmp_path / "xml").mkdir()
    (tmp_path / "xml" / "a.xml").write_text("<annotation><object><name>cat</name></object></annotation>")
    for name in ("a.json", "b.json", "xml"):
        with pytest.raises(BadPicture, match="cannot be read"):
            read_annotations(tmp_path / name)
    (tmp_path / "empty").mkdir()
    for name, words in (("c.json", "does not exist"), ("empty", "no .xml file"), ("a.txt", "does not exist")):
        with pytest.raises(BadOption, match=words):
            read_annotations(tmp_path / name)


def test_classes_that_the_model_does_not_have():
    thing = Thing("unicorn", (0, 0, 1, 1))
    from pellucid.localisation.annotations import Annotations, Truth

    with pytest.raises(BadOption, match="unicorn"):
        Annotations("COCO", (Truth("a.jpg", (thing,)),)).matched(CLASSES)
    with pytest.raises(BadOption, match="--classes"):
        Annotations("COCO", (Truth("a.jpg", (thing,)),)).matched(None)
