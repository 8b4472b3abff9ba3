"""`pellucid.read`: what was saved comes back as the same class with equal values, and says what it does not hold."""

import dataclasses
import json
import math

import numpy as np
import PIL.Image
import pytest
import torch

import pellucid
from pellucid.cli import main
from pellucid.contracts import Model, Unsaved
from pellucid.errors import BadResult, PellucidError, Refused
from pellucid.feature_visualisation.saving import save_dream
from pellucid.jobs import content_of
from pellucid.storage import values
from tiny import Plain, build, images


def same(one, other):
    """Whether two values hold the same, bit by bit; networks and functions apart, which are not saved."""
    if isinstance(other, Unsaved) or isinstance(one, torch.nn.Module):
        return True
    if isinstance(one, Model):
        assert (one.fingerprint, one.computation) == (other.fingerprint, other.computation)
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one.isnan(), other.isnan()) and torch.equal(
            one.nan_to_num(), other.nan_to_num()
        )  # fmt: skip
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, PIL.Image.Image):
        return content_of(one) == content_of(other)
    if isinstance(one, PellucidError):
        return str(one) == str(other) and type(one) is type(other)
    if isinstance(one, float) and math.isnan(one):
        return math.isnan(other)
    assert type(one) is type(other) or isinstance(one, dict | np.generic), (type(one), type(other))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if dataclasses.is_dataclass(one) and not hasattr(one, "needs"):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(one))
    return bool(one == other)


@pytest.fixture(scope="module")
def model():
    net = build(Plain, dtype=torch.float32)
    return pellucid.wrap(net, name="tiny", size=16, mean=(0.4,) * 3, std=(0.25,) * 3, classes=list("abcde"))


@pytest.fixture(scope="module")
def photograph():
    shades = np.random.default_rng(0).integers(0, 255, (20, 24, 3), np.uint8)
    return PIL.Image.fromarray(shades)


@pytest.fixture(scope="module")
def explained(model, photograph):
    given = [photograph, photograph.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT)]
    options = {"occlusion": {"window": (8, 8), "stride": 8}}
    return pellucid.explain(model, given, ["grad-cam", "occlusion"], "top2", "act2", options, seed=3)


@pytest.fixture(scope="module")
def kept(explained, tmp_path_factory):
    return explained.save(tmp_path_factory.mktemp("kept") / "out")


def test_an_explanation_comes_back_bit_by_bit(explained, kept, tmp_path):
    found = pellucid.read(kept)
    assert same(explained, found)
    assert explained["occlusion"].values.equal(found["occlusion"].values)
    assert found.picture("grad-cam", 1).tobytes() == explained.picture("grad-cam", 1).tobytes()
    assert same(explained, pellucid.read(found.save(tmp_path / "again")))
    first, again = (
        place / "report.html" for place in sorted(kept.iterdir())[:1] + sorted((tmp_path / "again").iterdir())[:1]
    )
    assert len(first.read_text()) == len(again.read_text())


def test_what_needs_the_network_says_so_and_the_rest_is_scored(explained, kept):
    found = pellucid.read(kept)
    sparse = [each["grad-cam"].score("gini-sparseness") for each in (explained, found)]
    assert sparse[0].values.equal(sparse[1].values)
    for ask in (
        lambda: found["grad-cam"].score("deletion"),
        lambda: found["grad-cam"].score("randomisation"),
        lambda: pellucid.explain(found.model, images(1, torch.float32), "saliency"),
    ):
        with pytest.raises(Refused, match="the network 'tiny' itself"):
            ask()


def test_values_of_every_type_come_back(tmp_path):
    tensor = torch.tensor([[1.1, math.nan, -math.inf]])
    given = {
        (1, "a"): [tensor.to(dtype) for dtype in (torch.float64, torch.bfloat16, torch.float16, torch.complex64)],
        "flat": (torch.tensor(2.5, dtype=torch.bfloat16), torch.zeros(0, 3), torch.tensor([True]), np.float32(0.1)),
        "numbers": (math.inf, -0.0, 0.1, 2**70, True, None, frozenset({1, 2})),
        "images": tuple(PIL.Image.new(mode, (3, 2), 7) for mode in ("L", "RGB", "RGBA", "1", "I;16")),
    }
    (tmp_path / values.NAME).write_bytes(values.to_bytes(given))
    assert same(given, pellucid.read(tmp_path))


def test_judged_maps_come_back_with_what_they_are_of(tmp_path):
    found = pellucid.explain(build(Plain), images(1), ["saliency"], 1)
    judged = dataclasses.replace(found, evaluation=pellucid.evaluate(found, "deletion"))
    back = pellucid.read(judged.save(tmp_path / "out"))
    assert same(judged, back)
    assert back.evaluation.scores[0].attribution is back.attributions[0]


def test_a_comparison_comes_back(model, photograph, tmp_path):
    made = pellucid.compare(model, [photograph], ["saliency", "grad-cam"], ["gini-sparseness", "deletion"],
                            layer="act2", sanity=0)  # fmt: skip
    found = pellucid.read(made.save(tmp_path / "out"))
    assert same([s.known for s in made], [s.known for s in found])
    assert same([place.rank for place in made.ranking], [place.rank for place in found.ranking])
    assert same(made.pictures[0].maps, found.pictures[0].maps)
    assert (tmp_path / "out/scores.csv").read_text() == (found.save(tmp_path / "b") / "scores.csv").read_text()


def test_a_localisation_an_inspection_and_a_dream_come_back(model, photograph, tmp_path):
    for made in (
        pellucid.locate(model, photograph, "grad-cam", layer="act2"),
        pellucid.inspect(model, photograph),
    ):
        found = pellucid.read(made.save(tmp_path / type(made).__name__))
        assert same(made, found), type(made)
    assert found.drawing() == made.drawing()
    dreamt = pellucid.dream(model, 'logit("a")', size=16, steps=2, snapshot=1)
    save_dream(dreamt, tmp_path / "dream.png")
    assert same(dreamt, pellucid.read(tmp_path / "dream.png"))


def test_top_pictures_and_a_dissection_come_back(model, photograph, tmp_path):
    for k in range(3):
        photograph.rotate(90 * k).save(tmp_path / f"{k}.png")
    paths = [tmp_path / f"{k}.png" for k in range(3)]
    masks = [None, np.arange(20 * 24).reshape(20, 24) % 3 == 0, np.ones((20, 24), bool)]
    made = pellucid.dissect(model, paths, {"some": masks, "none": [None] * 3}, "act2", quantile=0.1)
    found = pellucid.read(made.save(tmp_path / "dissected"))
    assert same(made, found)
    assert same(made.matches, found.matches)
    assert found.pictures == tuple(map(str, paths))
    top = pellucid.top_pictures(model, paths, "act2", most=2, folder=tmp_path / "top")
    back = pellucid.read(tmp_path / "top")
    assert same(top, back)
    assert top.field is not None
    assert back.draw([1, 0], cell=8).tobytes() == top.draw([1, 0], cell=8).tobytes()


def test_the_command_tells_what_python_reads(explained, kept, tmp_path, capsys):
    assert main(["read", str(kept), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["model"]["computation"]) == ("Explanation", explained.model.computation)
    assert [each["name"] for each in told["inputs"]] == [each.name for each in explained.pictures]
    expected = [
        (
            a.method.id,
            a.target[k],
            "" if a.site is None else str(a.site),
            float(a.values[k].min()),
            float(a.values[k].max()),
        )
        for k in range(2)
        for a in explained
    ]
    assert [(e["what"], e["target"], e["layer"], e["least"], e["largest"]) for e in told["holds"]] == expected
    assert told["saved"] <= told["created"]
    assert main(["read", str(kept)]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("Explanation of tiny", told["saved"], "grad-cam", "occlusion", "act2"))
    assert main(["read", str(tmp_path)]) == BadResult.exit_code
    assert "holds no result.npz" in capsys.readouterr().err


def test_a_folder_that_holds_no_result_is_refused_by_name(kept, tmp_path):
    one = next(path for path in sorted(kept.iterdir()) if path.is_dir())
    (tmp_path / "a").mkdir()
    for place, why in ((tmp_path / "none", "no folder"), (tmp_path / "a", "holds no result.npz"), (one, "whole call")):
        with pytest.raises(BadResult, match=why):
            pellucid.read(place)
    for name in "bc":
        (tmp_path / name).mkdir()
        (tmp_path / name / values.NAME).write_bytes((kept / values.NAME).read_bytes())
    with pytest.raises(BadResult, match="2 results, each in a folder"):
        pellucid.read(tmp_path)


def test_a_newer_or_damaged_file_is_refused_by_name(kept, tmp_path, monkeypatch):
    good = (kept / values.NAME).read_bytes()
    middle = len(good) // 2
    changed = good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :]
    for content in (b"", good[: len(good) // 2], changed, b"PK\3\4" + bytes(100)):
        (tmp_path / values.NAME).write_bytes(content)
        with pytest.raises(BadResult, match="damaged, or holds no result"):
            pellucid.read(tmp_path)
    monkeypatch.setattr(values, "SCHEMA_VERSION", 2)
    (tmp_path / values.NAME).write_bytes(values.to_bytes((1.5, None)))
    monkeypatch.undo()
    with pytest.raises(BadResult, match=r"version 2 of the format.*Upgrade"):
        pellucid.read(tmp_path)


def test_a_file_makes_nothing_but_results(tmp_path):
    tree = {"schema_version": 1, "pellucid": "", "value": {"value": "Popen", "fields": {"map": [["args", "true"]]}}}
    text = np.frombuffer(json.dumps(tree).encode(), np.uint8)
    np.savez(tmp_path / values.NAME, tree=text)
    with pytest.raises(BadResult, match="Popen"):
        pellucid.read(tmp_path)
