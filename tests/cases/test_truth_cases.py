"""Truth is joined by path and canvas: what people drew is of the picture that they drew it on, or it is refused."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image
from torch import nn

import pellucid
from pellucid.cli import main
from pellucid.cli.dissect import _masks
from pellucid.contracts import Classes
from pellucid.errors import BadOption, BadPicture, PellucidError
from pellucid.inspection.concept_masks import covered
from pellucid.localisation.annotations import read_annotations
from pellucid.localisation.scoring import score
from pellucid.pictures import decode, find_pictures
from pellucid.pictures.decode import orientation_of
from pellucid.pictures.joining import told_apart

BOX = (3, 5, 17, 11)  # left, top, right, bottom on a canvas of 40 columns and 24 rows


def coco(path, images, annotations, **more):
    every = [{"id": k, **image} for k, image in enumerate(images)]
    things = [{"image_id": k, "category_id": 1, **each} for k, each in annotations]
    path.write_text(
        json.dumps({"categories": [{"id": 1, "name": "cat"}], "images": every, "annotations": things} | more)
    )
    return path


def xml(path, filename, box=BOX, size=(40, 24), name="cat"):
    edges = "".join(f"<{n}>{v}</{n}>" for n, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"<annotation><filename>{filename}</filename><size><width>{size[0]}</width><height>{size[1]}</height></size>"
        f"<object><name>{name}</name><bndbox>{edges}</bndbox></object></annotation>"
    )


def boxes(truth):
    return [thing.box for thing in truth.things]


def test_b5_each_picture_has_its_own_boxes_where_names_repeat(tmp_path):
    file = coco(
        tmp_path / "a.json",
        [{"file_name": "red/1.jpg"}, {"file_name": "green\\1.jpg"}, {"file_name": "./blue/1.jpg"}],
        [(0, {"bbox": [0, 0, 5, 5]}), (1, {"bbox": [9, 9, 7, 7]}), (2, {"bbox": [1, 1, 1, 1]})],
    )
    found = read_annotations(file)
    assert boxes(found.of("red/1.jpg")) == [(0, 0, 5, 5)]
    assert boxes(found.of("photos/green/1.jpg")) == [(9, 9, 16, 16)]
    assert boxes(found.of("/data/blue/1.png")) == [(1, 1, 2, 2)]  # a converted copy
    with pytest.raises(BadPicture, match=r"could be 'red/1\.jpg', 'green\\\\1\.jpg'"):
        found.of("photos/1.jpg")


def test_b5_the_longest_path_wins_and_no_truth_is_given_twice(tmp_path):
    images = [{"file_name": name} for name in ("1.jpg", "a/1.jpg", "b/a/1.jpg", "2.jpg")]
    found = read_annotations(coco(tmp_path / "a.json", images, [(k, {"bbox": [k, 0, 1, 1]}) for k in range(4)]))
    assert [boxes(found.of(f))[0][0] for f in ("x/1.jpg", "x/a/1.jpg", "b/a/1.jpg")] == [0, 1, 2]
    truths, notes = found.of_all(["p/2.jpg", "q/2.jpg", "b/a/1.jpg"])
    assert truths[:2] == [None, None] and truths[2] is not None
    assert len(notes) == 2 and "'2.jpg' could be of 'p/2.jpg' or 'q/2.jpg'" in notes[0]
    lone = read_annotations(coco(tmp_path / "b.json", [{"file_name": "green/1.jpg"}], [(0, {"bbox": [0, 0, 1, 1]})]))
    truths, notes = lone.of_all(["red/1.jpg", "green/1.jpg"])
    assert truths[0] is None and truths[1] is not None and notes == ()
    assert "found by their names alone" in lone.of_all(["red/1.jpg"])[1][0]


def test_b5_voc_folders_of_the_same_names(tmp_path):
    for k, folder in enumerate(("red", "green")):
        xml(tmp_path / "Annotations" / folder / "1.xml", "1.jpg", (1 + k, 1, 5, 5))
    found = read_annotations(tmp_path)
    assert boxes(found.of("JPEGImages/red/1.jpg")) == [(0, 0, 5, 5)]
    assert boxes(found.of("JPEGImages/green/1.jpg")) == [(1, 0, 5, 5)]


def test_stale_voc_filename_is_rescued_by_the_files_own_name(tmp_path):
    xml(tmp_path / "Annotations" / "cat7.xml", "IMG_0001.jpg")
    xml(tmp_path / "Annotations" / "IMG_0001.xml", "IMG_0001.jpg", (1, 1, 9, 9))
    found = read_annotations(tmp_path)
    assert boxes(found.of("cat7.png")) == [(2, 4, 17, 11)]
    assert boxes(found.of("IMG_0001.jpg")) == [(0, 0, 9, 9)]  # both of its names say so


def test_paths_are_told_apart_by_their_shortest_ends():
    assert told_apart(["/x/red/1.jpg", "/x/green/1.jpg", "/x/2.jpg"]) == ["red/1.jpg", "green/1.jpg", "2.jpg"]
    assert told_apart(["/x/a/b/1.jpg", "/x/c/b/1.jpg", "/x/c/b/1.jpg"]) == ["a/b/1.jpg", "c/b/1.jpg", "c/b/1.jpg"]


def test_b5_headings_and_localisation_json_tell_pictures_of_one_name_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("red", "green"):
        (tmp_path / folder).mkdir()
        Image.fromarray(spot(0, BOX)).save(f"{folder}/1.png")
    assert [each.name for each in find_pictures(["red", "green", "sample:cat"])] == ["red/1.png", "green/1.png", "cat"]
    found = pellucid.locate(colours(), ["red/1.png", "green/1.png"], "cam")
    assert [image["file_name"] for image in found.coco()["images"]] == ["red/1.png", "green/1.png"]
    compared = pellucid.compare(colours(), ["red/1.png", "green/1.png"], methods=["saliency"], metrics=["entropy"])
    assert [each.name for each in compared.pictures] == ["red/1.png", "green/1.png"]


def test_b5_masks_of_concepts_by_path(tmp_path):
    pictures = [str(tmp_path / folder / "1.png") for folder in ("q1", "q2")]
    for name in ("bright/q1/1.png", "bright/q2/1.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    found = _masks(tmp_path, pictures)["bright"]
    assert [path.parent.name for path in found] == ["q1", "q2"]
    (tmp_path / "dark").mkdir()
    (tmp_path / "dark" / "1.png").touch()
    with pytest.raises(BadOption, match=r"dark/1\.png' could be of .*q1/1\.png.* or .*q2/1\.png"):
        _masks(tmp_path, pictures)


def colours():
    """Three classes: the mean of each colour; class activation maps are the colours themselves."""
    net = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net.append(nn.Linear(3, 3, bias=False))
    net[0].weight.data = net[4].weight.data.new_tensor(np.eye(3)).view(3, 3, 1, 1)
    net[4].weight.data = net[4].weight.data.new_tensor(np.eye(3))
    return pellucid.wrap(net, size=(24, 40), resize=None, classes=["cat", "dog", "fox"])


def spot(channel, box, size=(24, 40)):
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[box[1] : box[3], box[0] : box[2], channel] = 200
    return pixels


STORED = {  # from upright pixels to those that a file with this mark holds: the inverse of what the mark asks for
    1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: a.swapaxes(0, 1),
    6: np.rot90, 7: lambda a: np.rot90(a, 2).swapaxes(0, 1), 8: lambda a: np.rot90(a, -1),
}  # fmt: skip


def stored(path, pixels, turn):
    """A file that shows `pixels` once it is turned as its EXIF data says."""
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(np.ascontiguousarray(STORED[turn](pixels))).save(path, exif=exif)
    return str(path)


def drawn_around(mask):
    """The box of what is lit, by looking for it."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("as_stored", [False, True])
def test_annotations_on_resized_and_turned_copies(tmp_path, turn, scale, as_stored):
    """Property: boxes, polygons and run lengths land on what is lit in the picture as it is decoded.

    However it is turned and scaled, and wherever it was annotated; where sizes cannot tell (a half turn, mirrorings),
    the picture is refused.
    """
    rng = np.random.default_rng([turn, scale, as_stored])
    left, top = rng.integers(0, 30), rng.integers(0, 14)
    upright = spot(0, (left, top, left + rng.integers(2, 10), top + rng.integers(2, 10)))
    canvas = STORED[turn](upright) if as_stored else upright
    lit = canvas[..., 0] > 0
    left, top, right, bottom = drawn_around(lit)
    flat = lit.ravel(order="F").astype(int)  # the run lengths by counting, down the columns
    counts, now = [0], 0
    for value in flat:
        if value != now:
            counts, now = [*counts, 0], value
        counts[-1] += 1
    copy = stored(tmp_path / "1.png", np.kron(upright, np.ones((scale, scale, 1), np.uint8)), turn)
    code = {"size": list(lit.shape), "counts": counts}
    file = coco(
        tmp_path / "a.json",
        [{"file_name": "1.png", "width": lit.shape[1], "height": lit.shape[0]}],
        [
            (0, {"bbox": [left, top, right - left, bottom - top], "segmentation": s})
            for s in ([[left, top, right, top, right, bottom, left, bottom]], code)
        ],
    )
    shown = np.asarray(decode(copy)[0])[..., 0] > 0
    truth = read_annotations(file).of(copy)
    assert orientation_of(copy) == turn
    if turn in (2, 3, 4):
        with pytest.raises(BadPicture, match="cannot be told"):
            truth.on(shown.shape, turn)
        return
    for thing in truth.on(shown.shape, turn).things:
        assert thing.box == pytest.approx(drawn_around(shown), abs=1e-9)
        np.testing.assert_array_equal(thing.mask(shown.shape), shown)


def test_b6_scores_of_a_resized_copy_and_of_a_picture_as_stored(tmp_path):
    model = colours()
    pixels = spot(0, BOX)
    big = stored(tmp_path / "big.png", np.kron(pixels, np.ones((2, 2, 1), np.uint8)), 1)
    turned = stored(tmp_path / "turned.png", np.kron(pixels, np.ones((2, 2, 1), np.uint8)), 6)
    left, top, right, bottom = drawn_around(STORED[6](pixels)[..., 0] > 0)
    file = coco(
        tmp_path / "a.json",
        [{"file_name": "big.png", "width": 40, "height": 24}, {"file_name": "turned.png", "width": 24, "height": 40}],
        [(0, {"bbox": [3, 5, 14, 6]}), (1, {"bbox": [left, top, right - left, bottom - top]})],
    )
    known = read_annotations(file).matched(model.classes)
    found = score(model, [(p, known.of(p)) for p in (big, turned)], "cam", held_out=0).scores
    assert (found["top-1 localisation error"].mean, found["MaxBoxAcc"].mean) == (0, 1)


def test_b6_another_cut_of_the_picture_is_refused_by_its_sizes(tmp_path):
    file = coco(
        tmp_path / "a.json",
        [{"file_name": "a.png", "width": 32, "height": 32}, {"file_name": "b.png"}],
        [(0, {"bbox": [0, 0, 5, 5]}), (1, {"bbox": [20, 0, 25, 5]})],
    )
    found = read_annotations(file)
    with pytest.raises(BadPicture, match="annotated on 32 x 32 pixels and has 40 x 24"):
        found.of("a.png").on((24, 40))
    with pytest.raises(BadPicture, match="drawn on another copy, whose size the annotations do not say"):
        found.of("b.png").on((24, 40))  # its box ends at column 45
    xml(tmp_path / "v" / "a.xml", "a.png")
    with pytest.raises(BadPicture, match="annotated on 40 x 24"):
        read_annotations(tmp_path / "v").of("a.png").on((40, 40))


def test_one_bad_entry_does_not_refuse_a_file(tmp_path):
    good = {"bbox": [0, 0, 5, 5]}
    bad = [
        {}, {"bbox": [0, 0, 5]}, {"bbox": [0, 0, float("nan"), 5]}, {"bbox": "no"}, {"bbox": [9, 9, 0, 5]},
        {"bbox": [0, 0, 10**400, 5]}, {"bbox": [90, 0, 5, 5]}, {**good, "category_id": 9}, {**good, "image_id": 77},
        {**good, "image_id": []},
    ]  # fmt: skip
    outlines = [
        [[]], [[1, 2, 3]], {"size": [24, 40], "counts": [3]}, {"size": [24, 40], "counts": [-1, 961]},
        {"size": [10**6, 10**6], "counts": [0, 10**12]}, {"size": "x", "counts": "~~~~"}, {"counts": "o" * 999}, 5,
    ]  # fmt: skip
    every = [(0, good), *((0, each) for each in bad), *((0, {**good, "segmentation": each}) for each in outlines)]
    images = [{"file_name": "a.png", "width": 40, "height": 24}]
    file = coco(tmp_path / "a.json", images, every)
    content = json.loads(file.read_text())
    content["annotations"] += [5, None, []]
    content["images"] += [7, {"id": {}}]
    content["categories"] += ["x"]
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(content).encode())
    found = read_annotations(file)
    truth = found.of("a.png")
    assert boxes(truth) == [(0, 0, 5, 5)] * (1 + len(outlines))
    assert sum(int(note.split()[0]) for note in found.notes) == len(bad) + len(outlines) + 3 + 3
    shown = truth.on((12, 20)).things
    assert all(thing.mask((12, 20)).shape == (12, 20) for thing in shown)
    assert "8 outlines cannot be used" in " ".join(found.notes)


def test_x3_run_lengths_are_never_allocated_at_the_size_that_they_name(tmp_path):
    code = {"size": [10**6, 10**6], "counts": [0, 10**12]}  # fills its size: all of the picture is the thing
    file = coco(
        tmp_path / "a.json", [{"file_name": "a.png"}], [(0, {"bbox": [0, 0, 10**6, 10**6], "segmentation": code})]
    )
    (thing,) = read_annotations(file).of("a.png").on((8, 8)).things
    assert thing.box == (0, 0, 8, 8) and thing.mask((8, 8)).all()


def test_an_outline_without_a_box_gives_one(tmp_path):
    code = {"size": [4, 5], "counts": [5, 2, 2, 2, 9]}  # columns 1 and 2, rows 1 and 2
    things = [(0, {"segmentation": [[1, 1, 3, 1, 3, 3, 1, 3]]}), (0, {"segmentation": code})]
    found = read_annotations(coco(tmp_path / "a.json", [{"file_name": "a.png"}], things))
    assert boxes(found.of("a.png")) == [(1, 1, 3, 3)] * 2


def test_one_bad_file_or_row_does_not_refuse_the_others(tmp_path):
    xml(tmp_path / "x" / "good.xml", "good.jpg")
    xml(tmp_path / "x" / "nan.xml", "nan.jpg", ("nan", 1, 2, 3))
    (tmp_path / "x" / "cut.xml").write_text("<annotation><obj")
    (tmp_path / "x" / "code.xml").write_text('<?xml version="1.0" encoding="nope"?><annotation/>')
    (tmp_path / "x" / "folder.xml").mkdir()
    found = read_annotations(tmp_path / "x")
    assert boxes(found.of("good.jpg")) == [(2, 4, 17, 11)] and found.of("nan.jpg").things == ()
    assert [note.split()[0] for note in found.notes] == ["2", "1"]
    rows = [["ImageId", "PredictionString"], ["a", "n01 1 2 3 4 n01 5 6"], ["b"], ["c", "n01 1 2 3 " + "4" * 140_000]]
    text = io.StringIO()
    csv.writer(text).writerows([*rows, ["d", "n01 1 2 3 4"]])
    (tmp_path / "a.csv").write_text("\ufeff" + text.getvalue(), encoding="utf-8")
    found = read_annotations(tmp_path / "a.csv")
    assert [boxes(found.of(name)) for name in ("a.JPEG", "d.JPEG")] == [[(1, 2, 3, 4)]] * 2
    assert sum(int(note.split()[0]) for note in found.notes) == 3


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "[1]", "7", '{"images": {}}', "\x00", '{"images": [], "annotations": 3}']
)
def test_c9_annotations_of_any_shape(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(BadPicture, match="cannot be read"):
        read_annotations(tmp_path / "a.json")


def json_values(rng, depth=0):
    """A random JSON value that likes the words and numbers of annotations."""
    kind = rng.integers(0, 9 if depth < 4 else 6)
    words = ("bbox", "id", "counts", "size", "images", "file_name", "a.png", "", "~~", "²")
    if kind < 6:
        return [None, True, 10**400, float(rng.normal()), words[rng.integers(len(words))], int(rng.integers(-3, 50))][
            kind
        ]
    if kind == 6:
        return [json_values(rng, depth + 1) for _ in range(rng.integers(0, 5))]
    return {words[rng.integers(len(words))]: json_values(rng, depth + 1) for _ in range(rng.integers(0, 5))}


def test_annotations_of_random_json_are_read_or_refused(tmp_path):
    """Property: whatever stands in the file, it is read or refused in words."""
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(300):
        entry = {key: json_values(rng) for key in ("image_id", "bbox", "segmentation", "iscrowd") if rng.random() < 0.7}
        images = [{"file_name": "a.png", "width": json_values(rng), "height": json_values(rng)}]
        whole = json_values(rng) if rng.random() < 0.2 else None
        file = coco(tmp_path / "a.json", images, [(0, {"bbox": [0, 0, 5, 5], **entry})])
        if whole is not None:
            file.write_text(json.dumps(whole))
        try:
            read_annotations(file).matched(Classes(("cat",))).of("a.png").on((24, 40))
            outcomes.add("read")
        except PellucidError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_a_concept_mask_held_only_in_alpha_covers_what_is_opaque(tmp_path):
    alpha = np.zeros((4, 5), np.uint8)
    alpha[1:3, 2:4] = 255
    black = np.zeros((4, 5, 3), np.uint8)
    Image.fromarray(np.dstack([black, alpha])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(covered(tmp_path / "a.png"), alpha > 0)
    white = np.dstack([black + 255, alpha])
    np.testing.assert_array_equal(covered(Image.fromarray(white)), alpha > 0)
    opaque = np.dstack([np.repeat(alpha[..., None], 3, 2), black[..., 0] + 255])
    np.testing.assert_array_equal(covered(Image.fromarray(opaque)), alpha > 0)
    faint = np.where(alpha[..., None] > 0, np.uint8(1), black)  # (1, 1, 1) is not black, nor is a value of 16 bits
    np.testing.assert_array_equal(covered(Image.fromarray(faint)), alpha > 0)
    np.testing.assert_array_equal(covered(Image.fromarray(alpha.astype(np.uint16) + alpha // 255)), alpha > 0)


@pytest.mark.parametrize("turn", [5, 6, 7, 8])
def test_an_exif_turned_mask_and_a_mask_of_the_picture_as_stored(tmp_path, turn):
    """The concept is what is bright red, whichever way the mask is drawn; unit 0 is the red channel: overlap 1."""
    pixels = spot(0, BOX)
    lit = np.repeat((pixels[..., :1] > 0).astype(np.uint8) * 255, 3, 2)
    picture = stored(tmp_path / "1.png", pixels, turn)
    drawn = [
        stored(tmp_path / "turned.png", lit, turn),
        stored(tmp_path / "as-stored.png", STORED[turn](lit), 1),
        stored(tmp_path / "upright.png", lit, 1),
    ]
    for mask in drawn:
        found = pellucid.dissect(colours(), [picture], {"red": [mask]}, "0", quantile=(14 * 6) / (24 * 40))
        assert found.iou[0, 0] == 1


def test_a_mask_that_could_be_drawn_either_way_is_refused_with_the_reason(tmp_path):
    picture = stored(tmp_path / "1.png", spot(0, BOX), 3)
    with pytest.raises(BadOption, match=r"EXIF orientation 3.* cannot be told"):
        pellucid.dissect(colours(), [picture], {"red": [np.ones((24, 40))]}, "0")


def test_clashes_are_named_by_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text("from test_truth_cases import colours as model")
    monkeypatch.syspath_prepend(str(__import__("pathlib").Path(__file__).parent))
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        Image.fromarray(spot(0, BOX)).save(f"{name}/1.png")
    Image.fromarray(spot(0, BOX)).save("2.png")
    coco(tmp_path / "a.json", [{"file_name": "1.png"}, {"file_name": "2.png"}], [(1, {"bbox": [3, 5, 14, 6]})])
    how = ["--annotations", "a.json", "--model", "nets.py", "--method", "cam", "--json"]
    assert main(["locate", "x", "y", "2.png", *how]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert sum("could be of" in note for note in notes) == 2 and not any("not in the annotations" in n for n in notes)
