"""Maps of several layers joined into one."""

import numpy as np
import pytest
import torch

import pellucid
import tiny
from pellucid.engine.fusion import fuse_maps
from pellucid.errors import BadOption
from pellucid.numerics import resize

DEEP = torch.tensor([[[0.0, 4.0], [-2.0, 2.0]]], dtype=torch.float64)
SHALLOW = torch.tensor([[[1.0, 3.0, 1.0, 1.0]] * 4], dtype=torch.float64)


def test_max_is_layer_cam_s():
    # the coarsest map by its maximum, the finer one as tanh(2 m / max m); evidence against counts as none
    joint, layers = fuse_maps([SHALLOW, DEEP], (4, 4), "max")
    deep = resize(torch.tensor([[[0.0, 1.0], [0.0, 0.5]]], dtype=torch.float64), (4, 4))
    shallow = torch.tanh(2 * SHALLOW / 3)
    torch.testing.assert_close(layers, torch.stack([shallow, deep], 1))
    torch.testing.assert_close(joint, torch.maximum(shallow, deep))


@pytest.mark.parametrize(("how", "join"), [("mean", lambda a, b: (a + b) / 2), ("product", lambda a, b: a * b)])
def test_mean_and_product_are_of_stretched_maps(how, join):
    deep = resize(torch.tensor([[[0.0, 1.0], [0.0, 0.5]]], dtype=torch.float64), (4, 4))
    torch.testing.assert_close(fuse_maps([SHALLOW, DEEP], (4, 4), how)[0], join((SHALLOW - 1) / 2, deep))


@pytest.mark.parametrize("how", ["max", "mean", "product"])
def test_empty_and_constant_maps_stay_finite(how):
    joint, _ = fuse_maps([-SHALLOW, torch.full((1, 2, 2), 3.0).double()], (4, 4), how)
    assert joint.isfinite().all()


def test_pictures_are_scaled_one_by_one():
    both, _ = fuse_maps([torch.cat([DEEP, 100 * DEEP]), torch.cat([SHALLOW, SHALLOW])], (4, 4), "mean")
    torch.testing.assert_close(both[0], both[1])


def test_one_attribution_per_method():
    net, image, layers = tiny.build(tiny.Pooled), tiny.images(), ["features.3", "features.5"]
    got = pellucid.explain(net, image, ["layer-cam", "saliency", "guided-grad-cam"], [1, 2], layers, fuse="max")
    apart = pellucid.explain(net, image, ["layer-cam", "guided-grad-cam"], [1, 2], layers)
    assert [a.method.id for a in got] == ["layer-cam", "saliency", "guided-grad-cam"]
    fused = got["layer-cam"]
    assert str(fused.site) == "features.3 + features.5"
    assert any("features.3, features.5" in note and "tanh" in note for note in fused.notes)
    raws = [a.raw for a in apart if a.method.id == "layer-cam"]
    torch.testing.assert_close(fused.values, fuse_maps(raws, (16, 16), "max")[0])
    guided = [a.values for a in apart if a.method.id == "guided-grad-cam"]
    torch.testing.assert_close(got["guided-grad-cam"].values, fuse_maps(guided, (16, 16), "max")[0])
    assert got["saliency"].site is None
    assert fused.extras["layers"].shape == (2, 2, 16, 16)
    assert fused.cost.forward == 2 * apart["layer-cam"].cost.forward
    assert got.choices["fuse"] == "max"


def test_refine_cam_is_a_product_of_grad_cam_plus_plus():
    torchcam = pytest.importorskip("torchcam.methods")
    net, image, layers = tiny.build(tiny.Pooled), tiny.images(1), ["features.3", "features.5"]
    ours = pellucid.explain(net, image, "grad-cam++", 2, layers, fuse="product")["grad-cam++"]
    maps = [pellucid.explain(net, image, "grad-cam++", 2, layer)["grad-cam++"].raw for layer in layers]
    theirs = torchcam.RefineCAM.fuse_cams(maps, (16, 16), normalized=False)
    np.testing.assert_allclose(ours.values, theirs, atol=1e-4)
    by_name = pellucid.explain(net, image, "refine-cam", 2, layers)["refine-cam"]
    assert torch.equal(by_name.values, ours.values)


def test_refine_cam_finds_its_layers():
    net, image = tiny.build(tiny.Pooled), tiny.images(1)
    found = pellucid.explain(net, image, ["refine-cam", "grad-cam"], 2)
    assert str(found["refine-cam"].site) == "features.2 + features"
    assert str(found["grad-cam"].site) == "features"
    named = pellucid.explain(net, image, "refine-cam", 2, ["features.2", "features"])["refine-cam"]
    assert torch.equal(named.values, found["refine-cam"].values)
    alone = pellucid.explain(net, image, "refine-cam", 2)
    assert alone.choices["layer"] == "the last layers of the coarsest sizes of grid"


def test_a_method_that_joins_layers_among_others():
    net, layers = tiny.build(tiny.Pooled), ["features.3", "features.5"]
    found = pellucid.explain(net, tiny.images(1), ["grad-cam", "refine-cam"], 2, layers)
    assert [(a.method.id, str(a.site)) for a in found] == [
        ("grad-cam", "features.3"),
        ("refine-cam", "features.3 + features.5"),
        ("grad-cam", "features.5"),
    ]
    with pytest.raises(BadOption, match=r"refine-cam joins the maps of several layers, got one: 'features\.3'"):
        pellucid.explain(net, tiny.images(1), ["refine-cam"], 2, "features.3")


@pytest.mark.parametrize(
    ("how", "layers", "message"),
    [
        ("sum", ["conv1", "conv2"], "Expected max, mean, product or None as fuse, got 'sum'"),
        ("max", ["conv1"], "at least two layers, got 1"),
        ("max", None, "at least two layers, got 0"),
        ("max", ["conv1", "conv1"], "at least two layers, got 1"),
    ],
)
def test_bad_choices(how, layers, message):
    with pytest.raises(BadOption, match=message):
        pellucid.explain(tiny.build(tiny.Plain), tiny.images(), "grad-cam", layer=layers, fuse=how)
