"""`pellucid.explain`: what goes in, what is refused, what comes out."""

import itertools
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import pellucid
from pellucid.errors import BadOption, BadOutput, BadPicture, BadSite, Cancelled, Refused, UnknownName

CLASSES = ["cat", "dog", "bird", "fish", "ant", "bee", "cow"]


def network(activation=nn.ReLU):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), activation(), nn.Conv2d(4, 4, 3, padding=1), activation(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 7),
    )  # fmt: skip


MODEL = pellucid.wrap(network(), name="net", size=16, resize=None, classes=CLASSES)
TENSOR = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
ARRAY = np.random.default_rng(2).integers(0, 256, (16, 16, 3), dtype=np.uint8)
OCCLUSION = {"occlusion": {"window": 8, "stride": 8}}


def test_a_bare_module_and_a_wrapped_one():
    bare = pellucid.explain(MODEL.module, TENSOR, "grad-cam")["grad-cam"]
    wrapped = pellucid.explain(MODEL, TENSOR, "grad-cam")["grad-cam"]
    assert torch.equal(bare.values, wrapped.values)
    assert (bare.model.name, wrapped.model) == ("Sequential", MODEL)


def test_every_form_of_a_picture(tmp_path):
    path = tmp_path / "noise.png"
    Image.fromarray(ARRAY).save(path)
    forms = [ARRAY, Image.fromarray(ARRAY), path, str(path)]
    results = [pellucid.explain(MODEL, form, "saliency") for form in forms]
    together = pellucid.explain(MODEL, forms, "saliency")
    assert [r.pictures[0].name for r in results] == ["picture", "picture", "noise.png", "noise.png"]
    assert together["saliency"].values.shape == (4, 16, 16)
    tensor = torch.from_numpy(ARRAY).permute(2, 0, 1)[None] / 255
    expected = pellucid.explain(MODEL, tensor, "saliency")["saliency"].values[0]
    for values in [*(r["saliency"].values[0] for r in results), *together["saliency"].values]:
        torch.testing.assert_close(values, expected)


def test_prepared_pictures_are_taken_as_they_are():
    first = pellucid.explain(MODEL, ARRAY, "saliency")
    again = pellucid.explain(MODEL, list(first.pictures), "saliency")
    assert again.pictures == first.pictures
    assert torch.equal(again["saliency"].values, first["saliency"].values)


def test_pictures_need_preprocessing():
    with pytest.raises(BadOption, match=r"Sequential has no preprocessing.*tensors only.*size=224"):
        pellucid.explain(MODEL.module, ARRAY, "saliency")


def test_no_pictures():
    with pytest.raises(BadOption, match="Expected at least one picture, got an empty list"):
        pellucid.explain(MODEL, [], "saliency")


def test_a_bad_picture(tmp_path):
    (tmp_path / "empty.png").touch()
    with pytest.raises(BadPicture, match=r"empty\.png"):
        pellucid.explain(MODEL, [ARRAY, tmp_path / "empty.png"], "saliency")


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (TENSOR[0], r"got \[3, 16, 16\] of torch.float32. Add the batch axis with tensor\[None\]"),
        (TENSOR[0].byte(), r"got \[3, 16, 16\] of torch.uint8\.$"),
        (TENSOR.byte(), r"got \[2, 3, 16, 16\] of torch.uint8"),
        (TENSOR[:0], r"got \[0, 3, 16, 16\]"),
    ],
)
def test_tensors_that_do_not_fit(tensor, message):
    with pytest.raises(BadOption, match=r"Expected a float tensor \[batch, channel, row, column\].*" + message):
        pellucid.explain(MODEL, tensor, "saliency")


def test_the_default_methods():
    result = pellucid.explain(MODEL, TENSOR, options=OCCLUSION)
    assert [a.method.id for a in result] == ["grad-cam", "guided-backprop", "saliency", "occlusion"]
    assert result.refused == {}
    assert result.choices == {
        "class": "the top class of each picture",
        "layer": "the last layer with a grid that the score depends on",
        "methods": "the default set",
    }


def test_default_methods_that_would_be_wrong_are_left_out_with_the_reason():
    result = pellucid.explain(network(nn.SiLU), TENSOR, options=OCCLUSION)
    assert [a.method.id for a in result] == ["grad-cam", "saliency", "occlusion"]
    assert list(result.refused) == ["guided-backprop"]
    assert "silu" in result.refused["guided-backprop"]
    with pytest.raises(
        UnknownName, match=r"'guided-backprop' was not run.*It was refused: guided-backprop is defined for"
    ):
        result["guided-backprop"]


def test_no_layer_with_a_grid():
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3))
    result = pellucid.explain(flat, TENSOR, options=OCCLUSION)
    assert [a.method.id for a in result] == ["guided-backprop", "saliency", "occlusion"]
    assert "No layer of Sequential has a spatial grid" in result.refused["grad-cam"]
    with pytest.raises(BadSite, match="No layer of Sequential has a spatial grid"):
        pellucid.explain(flat, TENSOR, "grad-cam")


def test_a_chosen_method_is_refused_loudly():
    with pytest.raises(Refused, match="silu"):
        pellucid.explain(network(nn.SiLU), TENSOR, ["saliency", "guided-backprop"])


def test_unknown_names():
    with pytest.raises(UnknownName, match="Did you mean 'saliency'"):
        pellucid.explain(MODEL, TENSOR, "salience")
    with pytest.raises(UnknownName, match="no layer '9'"):
        pellucid.explain(MODEL, TENSOR, "grad-cam", layer="9")
    with pytest.raises(UnknownName, match=r"no class 'dogs'. Did you mean 'dog'"):
        pellucid.explain(MODEL, TENSOR, "saliency", target="dogs")
    with pytest.raises(UnknownName, match="no method 'occlude'"):
        pellucid.explain(MODEL, TENSOR, "saliency", options={"occlude": {}})


def test_layers():
    result = pellucid.explain(MODEL, TENSOR, ["grad-cam", "saliency"], layer=["1", pellucid.Site("3")])
    assert [(a.method.id, str(a.site)) for a in result] == [("grad-cam", "1"), ("saliency", "None"), ("grad-cam", "3")]
    assert str(result["grad-cam"].site) == "1"
    assert result.choices["layer"] == "chosen by you"
    own = pellucid.wrap(MODEL, site="1")
    result = pellucid.explain(own, TENSOR, "grad-cam")
    assert (str(result["grad-cam"].site), result.choices["layer"]) == ("1", "the model's own default")
    assert pellucid.explain(MODEL, TENSOR, "saliency").choices["layer"] == "not needed"
    with pytest.raises(BadSite, match=r"The layer '6' has no spatial grid: its output has shape \[2, 7\]"):
        pellucid.explain(MODEL, TENSOR, "grad-cam", layer="6")


def test_options_reach_the_method_and_the_result():
    given = {"occlusion": {"window": 4, "stride": 4}}
    result = pellucid.explain(MODEL, TENSOR, ["occlusion", "grad-cam"], options=given)
    assert result["occlusion"].raw.shape == (2, 4, 4)
    assert result["occlusion"].options == {**pellucid.methods()["occlusion"].options, **given["occlusion"]}
    assert result["grad-cam"].options == {"rectify": True}
    assert given == {"occlusion": {"window": 4, "stride": 4}}


@pytest.mark.parametrize("chunk", [0, -1, 2.5, "all"])
def test_chunk_errors(chunk):
    with pytest.raises(BadOption, match="Expected a positive number of samples as chunk, got"):
        pellucid.explain(MODEL, TENSOR, "saliency", chunk=chunk)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"methods": 3}, r"an id of a method such as 'grad-cam', or a list of ids, as methods; got 3"),
        ({"methods": {"saliency": {}}}, r"or a list of ids, as methods; got \{'saliency'"),
        ({"methods": ["saliency", 3]}, r"ids of methods such as 'grad-cam', got 3 among them"),
        ({"methods": [pellucid.methods()["cam"]]}, r"among them. Give its id, 'cam'"),
        ({"options": [1]}, r"options by method, as in options=\{'occlusion': \{'window': 32\}\}, got \[1\]"),
        ({"options": {"saliency": 3}}, r"options by method, as in .*, got 'saliency': 3"),
        ({"options": {3: {}}}, r"options by method, as in .*, got 3: \{\}"),
        ({"layer": 3}, r"a layer's path such as 'layer4', or a list, as layer; got 3"),
        ({"layer": ["1", 3]}, r"a layer's path such as 'layer4', got 3"),
        ({"layer": MODEL.module[0]}, r"or a list, as layer; got a module, Conv2d"),
        ({"layer": [MODEL.module[0]]}, r"got a module, Conv2d. Give the path under which the model knows it"),
        ({"seed": 1.5}, "an integer as seed, got 1.5"),
        ({"seed": True}, "an integer as seed, got True"),
        ({"fuse": ["max"]}, r"max, mean, product or None as fuse, got \['max'\]"),
        ({"progress": 3}, "a function as progress, got 3"),
        ({"cancel": "no"}, "a function as cancel, got 'no'"),
        ({"target": b"dog"}, "a class index, a class name, a list of these, a Target or a callable, got b'dog'"),
    ],
)
def test_arguments_of_a_wrong_kind(given, message):
    with pytest.raises(BadOption, match=f"^Expected .*{message}"):
        pellucid.explain(MODEL, TENSOR, **{"methods": "saliency", **given})


def test_integers_of_any_kind():
    result = pellucid.explain(MODEL, TENSOR, "saliency", target=np.int64(3), seed=np.int64(3), chunk=np.int64(1))
    assert (result.seed, type(result.seed)) == (3, int)


def test_targets():
    result = pellucid.explain(MODEL, TENSOR, "saliency", target=["dog", 3])
    assert result["saliency"].target == ("dog", "fish")
    result = pellucid.explain(MODEL, TENSOR, "saliency", target="top2")
    tops = [tuple(row[rank].name for row in result.predictions) for rank in (0, 1)]
    assert [a.target for a in result] == tops
    with pytest.raises(BadOption, match=r"Expected one class or 2 \(one per picture\)"):
        pellucid.explain(MODEL, TENSOR, "saliency", target=[1, 2, 3])


def test_predictions_are_sorted_and_named():
    with torch.no_grad():
        scores = MODEL.module(TENSOR)
    result = pellucid.explain(MODEL, TENSOR, "saliency")
    for row, expected in zip(result.predictions, scores, strict=True):
        order = expected.argsort(descending=True)[:5].tolist()
        assert [p.index for p in row] == order
        assert [p.name for p in row] == [CLASSES[i] for i in order]
        assert [p.score for p in row] == pytest.approx(expected[order].tolist(), rel=1e-5)
        assert [p.probability for p in row] == pytest.approx(expected.softmax(0)[order].tolist(), rel=1e-5)


def test_an_output_that_is_a_probability_is_noted():
    soft = nn.Sequential(*network(), nn.Softmax(1))
    result = pellucid.explain(soft, TENSOR, "saliency")
    assert "already is a probability" in result.notes[0]
    assert result.predictions[0][0].probability == pytest.approx(result.predictions[0][0].score)
    assert pellucid.explain(MODEL, TENSOR, "saliency").notes == ()


def test_an_output_without_classes():
    net = nn.Sequential(*network()[:2], nn.Flatten(2))
    result = pellucid.explain(net, TENSOR, "saliency", lambda out: out.flatten(1).sum(1))
    assert result.predictions == ()
    for method in ("saliency", "occlusion"):
        with pytest.raises(BadOutput, match=r"Expected class scores \[batch, class\].*or pass a callable as target"):
            pellucid.explain(net, TENSOR, method)


def test_an_empty_map_is_noted():
    class Sure(nn.Module):
        def forward(self, x):
            return torch.tensor([[1.0, 2.0]]) + torch.relu(-x.flatten(1)[:, :2] - 100)

    image = TENSOR.clone()
    image[1, 0, 0] = -200
    assert "map of picture 0 is zero everywhere" in pellucid.explain(Sure(), image, "saliency")["saliency"].notes[0]


def test_the_result():
    result = pellucid.explain(MODEL, TENSOR, ["grad-cam", "saliency"], seed=7)
    assert len(result) == 2
    found = result["grad-cam"]
    assert found.values.shape == (2, 16, 16)
    assert (found.seed, result.seed, found.cost.forward, found.cost.backward) == (7, 7, 2, 2)
    assert 0 < found.cost.seconds <= result.seconds
    assert not found.values.requires_grad
    with pytest.raises(UnknownName, match="'occlusion' was not run; these were: grad-cam, saliency"):
        result["occlusion"]
    with pytest.raises(UnknownName, match="There is no picture 2: 2 pictures were explained"):
        result.picture("grad-cam", 2)
    with pytest.raises(AttributeError):
        result.seed = 8


def test_its_picture():
    result = pellucid.explain(MODEL, Image.fromarray(ARRAY).resize((40, 30)), "grad-cam")
    assert result.picture("grad-cam").size == (40, 30)
    with pytest.raises(UnknownName, match="There is no picture 1: 1 pictures were explained"):
        result.picture("grad-cam", 1)


def test_a_method_asked_for_twice_runs_once():
    assert len(pellucid.explain(MODEL, TENSOR, ["saliency", "saliency"])) == 1


def test_no_methods():
    assert len(pellucid.explain(MODEL, TENSOR, [])) == 0


def test_progress():
    seen = []
    pellucid.explain(
        MODEL, TENSOR, ["saliency", "occlusion"], options=OCCLUSION, chunk=3, progress=lambda *at: seen.append(at)
    )
    assert seen[0] == ("shared pass", 2, 2)
    occlusion = [(done, total) for label, done, total in seen if label == "occlusion"]
    done = [0, *(count for count, _ in occlusion)]
    assert {total for _, total in occlusion} == {10}
    assert (done[-1], max(b - a for a, b in itertools.pairwise(done))) == (10, 2)
    assert done == sorted(done)


def test_cancel_keeps_what_is_finished():
    seen = []
    with pytest.raises(Cancelled, match="Stopped at the caller's wish during occlusion") as stop:
        pellucid.explain(
            MODEL, TENSOR, ["saliency", "occlusion"], options=OCCLUSION,
            progress=lambda *at: seen.append(at), cancel=lambda: seen[-1][0] == "occlusion",
        )  # fmt: skip
    assert [a.method.id for a in stop.value.finished] == ["saliency"]


class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.conv(x).relu().mean((2, 3)) * torch.nan


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(pellucid.errors.Refused, match="scores of Broken are not finite"):
        pellucid.explain(Broken(), torch.zeros(1, 3, 8, 8), "saliency")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(value):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(BadOption, match="finite numbers in the tensor"):
        pellucid.explain(net, torch.full((1, 3, 8, 8), value), "saliency")
    with pytest.raises(BadOption, match="finite number for the option 'noise'"):
        pellucid.explain(net, torch.zeros(1, 3, 8, 8), "smoothgrad", options={"smoothgrad": {"noise": value}})


def test_wrong_number_of_channels_is_said():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for method in ("grad-cam", "saliency"):
        with pytest.raises(BadOption, match=r"cannot take an input of shape \[1, 2, 8, 8\]"):
            pellucid.explain(net, torch.zeros(1, 2, 8, 8), method)


def test_results_can_be_pickled_named_and_asked_for():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    result = pellucid.explain(net, torch.ones(1, 3, 8, 8), "saliency", target=np.int64(2))
    again = pickle.loads(pickle.dumps(result))
    assert torch.equal(again["saliency"].values, result["saliency"].values)
    assert "saliency" in result
    assert "grad-cam" not in result
    assert repr(result) == "<Explanation of Sequential: saliency>"
    assert len(repr(result["saliency"])) < 100


def test_the_processs_default_type_does_not_change_the_noise():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    image = torch.ones(1, 3, 8, 8)
    before = pellucid.explain(net, image, "smoothgrad")["smoothgrad"].raw
    torch.set_default_dtype(torch.float64)
    try:
        after = pellucid.explain(net, image, "smoothgrad")["smoothgrad"].raw
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(before, after)
