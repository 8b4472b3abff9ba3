"""Scores of localisation on pictures whose maps are known by hand, and against the metrics of single pictures."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from spot_nets import colour_model

import pellucid
from pellucid.cli import main
from pellucid.errors import BadOption, BadPicture, Cancelled
from pellucid.localisation.annotations import Thing, Truth
from pellucid.localisation.scoring import score
from pellucid.metrics.max_box_acc import max_box_acc
from pellucid.metrics.pxap import pxap

SIZE = 48


def spot(channel, left, top, right, bottom, bright=200):
    pixels = np.zeros((SIZE, SIZE, 3), np.uint8)
    pixels[top:bottom, left:right, channel] = bright
    return pixels


def thing(channel, box, **more):
    return Thing(str(channel), box, (channel,), **more)


def mask(box):
    found = np.zeros((SIZE, SIZE), bool)
    found[box[1] : box[3], box[0] : box[2]] = True
    return found


def scored(pairs, **how):
    named = [(Image.fromarray(p), Truth(f"{k}.png", tuple(things))) for k, (p, things) in enumerate(pairs)]
    return score(colour_model(SIZE), named, "cam", **{"held_out": 0, **how})


def test_by_hand():
    """Four pictures: right; right class but the box elsewhere; wrong class in the right place; half a box off."""
    pairs = [
        (spot(0, 4, 4, 20, 20), [thing(0, (4, 4, 20, 20))]),
        (spot(0, 4, 4, 20, 20), [thing(0, (28, 28, 44, 44))]),
        (spot(0, 4, 4, 20, 20), [thing(1, (4, 4, 20, 20))]),
        (spot(2, 4, 4, 20, 20), [thing(2, (4, 4, 20, 28))]),  # overlap 16 x 16 over 16 x 24
    ]
    found = scored(pairs).scores
    assert found["top-1 localisation error"].mean == 0.5
    assert found["top-5 localisation error"].mean == 0.5  # the map of green is empty, so nothing is found for it
    assert found["top-1 classification error"].mean == 0.25
    assert found["error with the class known"].mean == 0.5
    assert found["MaxBoxAcc"].mean == 0.5
    assert found["MaxBoxAccV2"].mean == pytest.approx((2 + 2 + 1) / 4 / 3)
    assert "PxAP" not in found  # boxes are no masks
    # Centre boxes of 0.7 of the sides never overlap these by half.
    assert found["centre box: top-1 localisation error"].mean == 1
    assert found["top-1 localisation error"].interval[0] < 0.5 < found["top-1 localisation error"].interval[1]


def test_top_five_forgives_the_order():
    both = spot(0, 4, 4, 20, 20) + spot(1, 28, 28, 40, 40)
    found = scored([(both, [thing(1, (28, 28, 40, 40))])]).scores
    assert (found["top-1 localisation error"].mean, found["top-5 localisation error"].mean) == (1, 0)


def test_pointing_is_the_mean_over_classes_without_what_is_difficult():
    near, far = (4, 4, 20, 20), (40, 40, 47, 47)
    pairs = [
        (spot(0, *near), [thing(0, near)]),
        (spot(0, *near), [thing(0, near)]),
        (spot(0, *near), [thing(0, far)]),
        (spot(1, *near), [thing(1, far)]),
        (spot(2, *near), [thing(2, far, difficult=True)]),
    ]
    # All pixels of a spot are equally bright: all of them must be near, and all are.
    assert scored(pairs).scores["pointing game"].mean == pytest.approx((2 / 3 + 0) / 2)
    assert "pointing game, difficult set" not in scored(pairs).scores
    two = [(spot(0, *near) + spot(1, *far), [thing(0, near), thing(1, (0, 0, 47, 47))])]
    found = scored(two).scores
    assert found["pointing game, difficult set"].count == 1  # the other one covers more than a quarter
    assert found["pointing game, difficult set"].mean == 1


def test_one_picture_has_the_metrics_own_numbers():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 100, (SIZE, SIZE, 3)).astype(np.uint8)
    pixels[10:30, 12:40, 0] += 90
    box = (12, 10, 40, 30)
    found = scored([(pixels, [thing(0, box, drawn=mask(box))])]).scores
    values = pellucid.explain(colour_model(SIZE), Image.fromarray(pixels), "cam", 0)["cam"].values
    curve = max_box_acc(values, [torch.tensor([box])]).extras["curve"]
    assert found["MaxBoxAcc"].mean == float(curve.max())
    assert found["PxAP"].mean == pytest.approx(float(pxap(values, torch.from_numpy(mask(box))[None])), abs=2e-3)


def test_thresholds_are_chosen_on_other_pictures():
    """Every thing has a halo of a third of its brightness, which 0.2 takes for a part of it."""
    pairs = []
    for k in range(12):
        left = 2 + 2 * k
        halo = np.maximum(spot(0, 0, 0, 48, 24, 70), spot(0, left, 4, left + 16, 20))
        pairs.append((halo, [thing(0, (left, 4, left + 16, 20))]))
    found = scored(pairs, held_out=0.5)
    assert (found.held_out, found.judged) == (6, 6)
    assert 0.34 < found.threshold < 1
    assert found.scores["error with the class known"].mean == 1
    assert found.scores["threshold chosen: error with the class known"].mean == 0
    assert found.scores["threshold chosen: top-1 localisation error"].mean == 0
    named = scored(pairs, held_out={"0.png", "11.png", "missing.png"})
    assert (named.held_out, named.judged) == (2, 10)
    few = scored(pairs[:4], held_out=0.5)
    assert few.threshold is None
    assert "Too few pictures (4)" in few.notes[0]


def test_what_lies_outside_of_the_crop_is_not_found():
    model = colour_model(32, resize=32)
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[8:20, 2:14, 0] = 255
    pixels[0:2, 30:32, 0] = 60
    truth = Truth("a.png", (thing(0, (2, 8, 14, 20), drawn=np.asarray(pixels[:, :, 0] == 255)),))
    found = score(model, [(Image.fromarray(pixels), truth)], "cam", held_out=0).scores
    assert found["error with the class known"].mean == 1
    assert found["MaxBoxAcc"].mean == 0
    assert found["PxAP"].mean == pytest.approx(144 / 2048, abs=0.01)
    assert found["pointing game"].mean == 0
    seen = score(model, [(Image.fromarray(pixels), truth)], "cam", held_out=0, crops=True).scores
    assert seen["error with the class known"].mean == 0


def test_nothing_to_compare_with_is_said():
    with pytest.raises(BadOption, match="nothing to compare"):
        scored([(spot(0, 1, 1, 5, 5), [])])
    with pytest.raises(BadOption, match="to hold out"):
        scored([(spot(0, 1, 1, 5, 5), [thing(0, (1, 1, 5, 5))])], held_out=1)


def test_intervals_of_scores_that_are_no_means():
    near, far = (4, 4, 20, 20), (40, 40, 47, 47)
    pairs = [(spot(k % 2, *near), [thing(k % 2, near if k < 6 else far)]) for k in range(8)]
    found = scored(pairs).scores
    for name, value in (("MaxBoxAcc", 6 / 8), ("MaxBoxAccV2", 6 / 8), ("pointing game", 6 / 8)):
        low, high = found[name].interval
        assert found[name].mean == value
        assert 0.3 < low < value < high <= 1
    again = scored(pairs).scores
    assert again == found
    assert scored(pairs[:1]).scores["MaxBoxAcc"].interval is None


def test_damaged_pictures_are_left_out_with_a_note(tmp_path):
    (tmp_path / "b.png").write_bytes(b"no picture")
    good = (Image.fromarray(spot(0, 4, 4, 20, 20)), Truth("a.png", (thing(0, (4, 4, 20, 20)),)))
    bad = (str(tmp_path / "b.png"), Truth("b.png", (thing(0, (4, 4, 20, 20)),)))
    found = score(colour_model(SIZE), [bad, good], "cam", held_out=0)
    assert found.judged == 1
    assert "b.png" in found.notes[0]
    with pytest.raises(BadPicture, match=r"b\.png"):
        score(colour_model(SIZE), [bad], "cam", held_out=0)


def test_an_interrupt_keeps_what_is_scored(monkeypatch):
    from pellucid.localisation import scoring

    pairs = [(spot(0, 4, 4, 20, 20), [thing(0, (4, 4, 20, 20))])] * 4
    calls, whole = [], scoring.locate

    def until(last):
        def locate(*arguments, **how):
            calls.append(1)
            if len(calls) > last:
                raise KeyboardInterrupt
            return whole(*arguments, **how)

        return locate

    monkeypatch.setattr(scoring, "locate", until(2))
    with pytest.raises(Cancelled, match="2 of 4 pictures are scored") as caught:
        scored(pairs)
    assert caught.value.finished.judged == 2
    assert caught.value.finished.scores["top-1 localisation error"].mean == 0
    calls.clear()
    monkeypatch.setattr(scoring, "locate", until(0))
    with pytest.raises(Cancelled) as caught:
        scored(pairs)
    assert caught.value.finished is None


def test_from_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    images, annotations = [], []
    for k in range(6):
        box = (4 + k, 6, 20 + k, 20)
        Image.fromarray(spot(0, *box)).save(tmp_path / "photos" / f"{k}.png")
        images.append({"id": k, "file_name": f"{k}.png"})
        annotations.append({"image_id": k, "category_id": 3, "bbox": [4 + k, 6, 16, 14]})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 3, "name": "red"}]}
    (tmp_path / "coco.json").write_text(json.dumps(content))
    Image.fromarray(spot(0, 1, 1, 9, 9)).save(tmp_path / "photos" / "unknown.png")
    (tmp_path / "net.py").write_text(
        f"import sys\nsys.path.insert(0, {str(__file__).rpartition('/')[0]!r})\n"
        f"from spot_nets import colour_model\n\ndef model():\n    return colour_model({SIZE})\n"
    )
    line = ["locate", "photos", "--model", "net.py", "--method", "cam", "--annotations", "coco.json"]
    assert main(line) == 0
    out = capsys.readouterr().out
    for text in ("top-1 localisation error", "MaxBoxAccV2", "pointing game", "centre box", "on 6 pictures (COCO)",
                 "1 pictures are not in the annotations."):  # fmt: skip
        assert text in out
    assert main([*line, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["scores"]["top-1 localisation error"]["mean"] == 0
    assert document == json.loads((tmp_path / "pellucid-out" / "scores.json").read_text())
    assert main([*line[:-1], "missing.json"]) == 2
