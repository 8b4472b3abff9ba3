"""Top pictures per unit, and dissection by masks."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import pellucid
from pellucid.errors import BadOption, BadSite, Cancelled
from pellucid.inspection.strongest import Hit, HitSearch
from pellucid.models import wrap


class Bright(nn.Module):
    """Unit 0 answers to red, unit 1 to blue, both in cells of 4 x 4 pixels; unit 2 to nothing."""

    def __init__(self):
        super().__init__()
        self.cells = nn.Conv2d(3, 3, 4, 4, bias=False)
        with torch.no_grad():
            self.cells.weight.zero_()
            self.cells.weight[0, 0], self.cells.weight[1, 2] = 1 / 16, 1 / 16

    def forward(self, x):
        return self.cells(x).mean((2, 3))


def model():
    return wrap(Bright(), name="bright", size=16, resize=None, interpolation="nearest")


@pytest.fixture
def folder(tmp_path):
    """Five pictures of 32 x 32, each with a red square and a blue one at known places."""
    (tmp_path / "photos").mkdir()
    for k in range(5):
        pixels = np.zeros((32, 32, 3), np.uint8)
        pixels[0:8, 8 * (k % 4) : 8 * (k % 4) + 8, 0] = 50 * (k + 1)
        pixels[24:32, 0:8, 2] = 250 - 50 * k
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{k}.png")
    return tmp_path


def names(hits):
    return [hit.source.rpartition("/")[2] for hit in hits]


def test_the_strongest_pictures_and_places(folder):
    found = pellucid.top_pictures(model(), folder / "photos", "cells", most=3)
    assert names(found.units[0]) == ["4.png", "3.png", "2.png"]
    assert names(found.units[1]) == ["0.png", "1.png", "2.png"]
    assert [(hit.row, hit.column) for hit in found.units[0]] == [(0, 0), (0, 3), (0, 2)]
    assert found.units[0][0].value == pytest.approx(250 / 255, abs=1e-6)
    crop = np.asarray(found.crop(found.units[0][1]))
    assert crop.shape == (8, 8, 3)  # 4 x 4 pixels of the input are 8 x 8 of the original
    assert (crop[2:-2, 2:-2] == (200, 0, 0)).all()
    assert found.strongest(2) == [0, 1]
    assert found.draw([1]).size[0] > 3 * 120


def test_a_large_folder_in_several_goes(folder, monkeypatch):
    class Enough(KeyboardInterrupt):
        pass

    whole = pellucid.top_pictures(model(), folder / "photos", "cells", most=3)
    for k in range(5, 40):
        Image.fromarray(np.full((32, 32, 3), k, np.uint8)).save(folder / "photos" / f"{k}.png")

    def stop(_, done, __):
        if done >= 16:
            raise Enough

    with pytest.raises(Cancelled, match="16 of 40 pictures are done") as stopped:
        pellucid.top_pictures(model(), folder / "photos", "cells", most=3, folder=folder / "out", progress=stop)
    assert len(stopped.value.finished.seen) == 16
    looked, answers = [], HitSearch._answers
    monkeypatch.setattr(
        HitSearch, "_answers", lambda self, read: looked.extend(p.name for p in read) or answers(self, read)
    )

    def again():
        looked.clear()
        return pellucid.top_pictures(model(), folder / "photos", "cells", most=3, folder=folder / "out")

    resumed = again()
    assert len(looked) == 24, "the 16 that were done are not looked at again"
    assert len(resumed.seen) == 40
    fresh = pellucid.top_pictures(model(), folder / "photos", "cells", most=3)
    assert resumed.units == fresh.units
    assert names(resumed.units[0]) == names(whole.units[0])
    (folder / "photos" / "0.png").unlink()
    Image.fromarray(np.full((32, 32, 3), 255, np.uint8)).save(folder / "photos" / "0.png", compress_level=0)
    changed = again()
    assert looked == ["0.png"]
    assert names(changed.units[1])[0] == "0.png"
    assert sum(hit.source.endswith("/0.png") for hit in changed.units[1]) == 1


def test_another_run_is_not_mixed_in(folder):
    """What an earlier call left is answered by no other question; what lies there in another form is replaced."""
    pellucid.top_pictures(model(), folder / "photos", "cells", most=3, folder=folder / "out")
    found = pellucid.top_pictures(model(), folder / "photos", "cells", most=4, folder=folder / "out")
    assert found.units == pellucid.top_pictures(model(), folder / "photos", "cells", most=4).units
    (folder / "out" / "top.json").write_text("[]")
    pellucid.top_pictures(model(), folder / "photos", "cells", most=3, folder=folder / "out")
    assert json.loads((folder / "out" / "top.json").read_text())["most"] == 3


def test_bad_pictures_do_not_stop_the_others(folder):
    (folder / "photos" / "9.png").write_bytes(b"no picture")
    found = pellucid.top_pictures(model(), folder / "photos", "cells", most=2)
    assert [source.rpartition("/")[2] for source in found.failed] == ["9.png"]
    assert len(found.seen) == 5
    (folder / "file").write_text("")
    with pytest.raises(BadOption, match="Cannot write to"):
        pellucid.top_pictures(model(), folder / "photos", "cells", folder=folder / "file" / "under")
    pellucid.top_pictures(model(), folder / "photos", "cells", folder=folder / "out")
    Image.fromarray(np.full((32, 32, 3), 9, np.uint8)).save(folder / "photos" / "9.png")
    assert not pellucid.top_pictures(model(), folder / "photos", "cells", folder=folder / "out").failed
    with pytest.raises(BadOption, match="units 0 to 2; got 7"):
        found.draw([7])
    with pytest.raises(BadSite, match="no spatial grid"):
        pellucid.top_pictures(model(), folder / "photos", "")


def test_ties_do_not_depend_on_the_order():
    assert sorted([Hit(1.0, "b", 0, 0), Hit(1.0, "a", 0, 0)])[0].source == "a"


def masks(folder):
    paths = [folder / "photos" / f"{k}.png" for k in range(5)]
    pixels = [np.asarray(Image.open(path)) for path in paths]
    return paths, {"red": [p[..., 0] > 0 for p in pixels], "blue": [p[..., 2] > 0 for p in pixels]}


def test_dissection_finds_the_detectors(folder):
    paths, truth = masks(folder)
    found = pellucid.dissect(model(), paths, truth, "cells", quantile=0.0625)
    assert {(m.unit, m.concept) for m in found.matches} == {(0, "red"), (1, "blue")}
    assert found.covered == (1 / 16, 1 / 16)
    assert found.matches == tuple(sorted(found.matches, key=lambda m: -m.iou))
    assert found.iou[2].tolist() == [0, 0]


def test_overlap_by_hand(folder):
    """Strong places are those above the limit; maps are resized to the 16 x 16 pixels of the input."""
    paths, truth = masks(folder)
    found = pellucid.dissect(model(), paths, truth, "cells", quantile=0.05)
    maps = torch.zeros(5, 4, 4, dtype=torch.float64)
    for k in range(5):
        maps[k, 0, k % 4] = 50 * (k + 1) / 255
    limit = maps.flatten().sort().values[80 - 4 - 1]
    assert float(found.limits[0]) == pytest.approx(float(limit), abs=1e-6)
    large = torch.nn.functional.interpolate(maps[:, None], size=(16, 16), mode="bilinear", align_corners=False)[:, 0]
    strong = large > limit + 1e-6
    red = torch.stack([torch.from_numpy(mask[::2, ::2].copy()) for mask in truth["red"]])
    expected = (strong & red).sum() / (strong | red).sum()
    assert float(found.iou[0, 0]) == pytest.approx(float(expected), abs=0.02)  # cells at the limit may round either way


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"quantile": 0.0}, "shares between 0 and 1"),
        ({"pictures": []}, "at least one picture"),
        ({"masks": {"red": [None]}}, "one mask of 'red' per picture, got 1 for 5"),
        ({"masks": {"red": [np.zeros((3, 3))] * 5}}, "not rows x columns 32 x 32"),
    ],
)
def test_masks_that_do_not_fit(folder, given, words):
    paths, truth = masks(folder)
    arguments = {"pictures": paths, "masks": truth, "quantile": 0.05} | given
    with pytest.raises(BadOption, match=words):
        pellucid.dissect(model(), layer="cells", **arguments)


def test_on_the_command_line(folder, monkeypatch, capsys):
    from pellucid.cli import main

    monkeypatch.chdir(folder)
    (folder / "net.py").write_text(
        "import torch\nfrom torch import nn\nfrom pellucid.models import wrap\ndef model():\n"
        "    torch.manual_seed(0)\n    net = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU())\n"
        "    return wrap(net, size=16, resize=None)\n"
    )
    assert (
        main(["top", "photos", "--model", "net.py", "--layer", "0", "--units", "1,2", "--most", "2", "--out", "t"]) == 0
    )
    assert sorted(p.name for p in (folder / "t").iterdir()) == ["kept", "result.npz", "top.json", "top.png"]
    assert len(json.loads((folder / "t" / "top.json").read_text())["units"]) == 4
    assert main(["top", "photos", "--model", "net.py", "--layer", "0", "--units", "x"]) == 2
    assert "such as 3,12" in capsys.readouterr().err
    for concept, given in masks(folder)[1].items():
        (folder / "masks" / concept).mkdir(parents=True)
        for k, mask in enumerate(given):
            Image.fromarray(mask.astype(np.uint8) * 255).save(folder / "masks" / concept / f"{k}.png")
    common = ["dissect", "photos", "--model", "net.py", "--layer", "0", "--quantile", "0.1"]
    assert main([*common, "--masks", "masks", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["iou"]) == {"red", "blue"}
    assert main([*common, "--masks", "masks"]) == 0
    assert main([*common, "--masks", "nowhere"]) == 2
