"""Networks that score every pixel: a class over a part of the picture."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import pellucid
import tiny
from pellucid.capture.layers import survey
from pellucid.capture.running import guarded
from pellucid.contracts import Frame
from pellucid.errors import BadOption, BadOutput
from pellucid.targets import Logit, Margin, PixelClasses, Probability, Region, TargetContext, Top

IMAGE = tiny.images(3, size=(16, 24))
BOX = (4, 2, 12, 9)


class Segments(nn.Module):
    """conv, relu, conv at half the size, classes per pixel, resized back; an auxiliary head beside it."""

    def __init__(self, output="out"):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, stride=2), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1))
        self.act, self.classes, self.aux = nn.ReLU(), nn.Conv2d(6, tiny.CLASSES, 1), nn.Conv2d(6, tiny.CLASSES, 1)
        self.output = output

    def forward(self, x):
        features = self.act(self.backbone(x))
        scores = self.classes(features)
        if self.output == "small":
            return scores
        full = F.interpolate(scores, x.shape[2:], mode="bilinear", align_corners=False)
        return {"out": full, "aux": self.aux(features)} if self.output == "out" else full


class Linear(nn.Module):
    """s_c = w_c I_0 at every pixel."""

    def __init__(self, *weights):
        super().__init__()
        self.register_buffer("w", torch.tensor(weights, dtype=torch.float64))

    def forward(self, x):
        return x[:, :1] * self.w[:, None, None]


@pytest.fixture(scope="module")
def net():
    return tiny.build(Segments)


def saliency(net, target, image=IMAGE, **more):
    return pellucid.explain(net, image, "saliency", target, **more)["saliency"]


# Closed forms


def box_mask(left, top, right, bottom, size=(16, 24)):
    mask = torch.zeros(size, dtype=torch.bool)
    mask[top:bottom, left:right] = True
    return mask


@pytest.mark.parametrize(
    ("place", "mask"),
    [
        ({"box": BOX}, box_mask(*BOX)),
        ({"box": (3.6, 1.5, 12.49, 9.4)}, box_mask(4, 1, 12, 9)),
        ({"point": (20, 5)}, box_mask(20, 5, 21, 6)),
        ({"point": (20.9, 5.1)}, box_mask(20, 5, 21, 6)),
        ({"mask": box_mask(1, 1, 3, 2)}, box_mask(1, 1, 3, 2)),
        ({"mask": box_mask(1, 1, 3, 2).numpy()}, box_mask(1, 1, 3, 2)),
        ({"box": (5.1, 5.1, 5.3, 5.3)}, box_mask(5, 5, 6, 6)),
    ],
)
def test_the_gradient_of_a_linear_model(place, mask):
    raw = saliency(Linear(2.0, -3.0), Region(1, **place)).raw
    expected = torch.zeros_like(IMAGE)
    expected[:, 0] = -3 * mask.double() / mask.sum()
    torch.testing.assert_close(raw, expected)


def test_one_part_and_one_class_for_each_picture():
    masks = torch.stack([box_mask(k, 0, k + 2, 3) for k in range(3)])
    found = saliency(Linear(2.0, -3.0), Region([1, 0, 1], mask=masks))
    weights = torch.tensor([-3.0, 2.0, -3.0], dtype=torch.float64)[:, None, None]
    torch.testing.assert_close(found.raw[:, 0], weights * masks.double() / 6)
    assert found.target == tuple(f"class {c} in the given mask" for c in (1, 0, 1))
    boxes = saliency(Linear(2.0, -3.0), Region([1, 0, 1], box=[(k, 0, k + 2, 3) for k in range(3)]))
    assert torch.equal(boxes.raw, found.raw)
    assert boxes.target[1] == "class 0 in 1,0,3,3"


def test_where_the_model_sees_it():
    image = IMAGE.clone()
    positive = image[:, 0] > 0  # class 0 wins there, class 1 elsewhere
    for target in (1, "1", Logit(1), Region(1)):
        raw = saliency(Linear(2.0, -3.0), target, image).raw[:, 0]
        seen = (~positive).double()
        torch.testing.assert_close(raw, -3 * seen / seen.sum((1, 2), keepdim=True))


def test_the_top_class_fills_most_of_the_picture():
    image = IMAGE.clone()
    image[0, 0], image[1, 0], image[2, 0] = 1.0, -1.0, -1.0
    image[1, 0, :2], image[2, 0, 0, :5] = 1.0, 1.0
    result = pellucid.explain(Linear(2.0, -3.0), image, "saliency")
    assert result["saliency"].target == tuple(f"class {c} where the model sees it" for c in (0, 1, 1))
    assert result.choices["class"] == "the class that fills most of each picture"
    first, second = result.predictions[1]
    assert (first.index, second.index) == (1, 0)
    assert (first.share, second.share) == (14 / 16, 2 / 16)
    assert (first.score, second.score) == (3, 2)
    assert first.probability == pytest.approx(1 / (1 + np.exp(-5)))
    with pytest.raises(BadOption, match="no rank 2: Linear sees 1 class in picture 0"):
        pellucid.explain(Linear(2.0, -3.0), image, "saliency", "top2")


def test_a_single_class_is_seen_where_its_score_is_positive():
    image = IMAGE.clone()
    image[:, 0] = -1.0
    image[:, 0, 2:5, 3:7] = 2.0
    image[2, 0] = -1.0
    result = pellucid.explain(Linear(3.0), image[:2], "saliency")
    expected = torch.zeros_like(image[:2])
    expected[:, 0, 2:5, 3:7] = 3 / 12
    torch.testing.assert_close(result["saliency"].raw, expected)
    (only,) = result.predictions[0]
    assert (only.share, only.score) == (12 / 384, 6)
    assert only.probability == pytest.approx(1 / (1 + np.exp(-6)))
    with pytest.raises(BadOption, match="There is no rank 1: Linear sees nothing in picture 2"):
        pellucid.explain(Linear(3.0), image, "saliency")
    with pytest.raises(BadOption, match="sees 'class 0' nowhere in picture 2"):
        pellucid.explain(Linear(3.0), image, "saliency", 0)
    assert pellucid.explain(Linear(3.0), image, "saliency", Region(0, box=BOX))["saliency"].raw[2, 0, 4, 5] == 3 / 56
    assert (
        pellucid.explain(Linear(3.0), image, "saliency", Region(box=BOX))["saliency"].target[0] == "class 0 in 4,2,12,9"
    )


def test_background_comes_last():
    model = pellucid.wrap(Linear(2.0, -3.0), classes=["__background__", "cat"])
    image = IMAGE.abs()
    image[:, 0, 0, 0] = -0.1
    assert pellucid.explain(model, image, "saliency")["saliency"].target[0] == "cat where the model sees it"
    tops = pellucid.explain(model, image, "saliency", "top2")
    assert [a.target[0].split()[0] for a in tops] == ["cat", "__background__"]


def test_the_class_of_a_part():
    image = IMAGE.clone()
    image[:, 0] = -1.0
    image[0, 0, 2:9, 4:12] = 1.0
    found = saliency(Linear(2.0, -3.0), Region(box=BOX), image)
    assert found.target == ("class 0 in 4,2,12,9", "class 1 in 4,2,12,9", "class 1 in 4,2,12,9")


def test_a_score_map_of_another_size():
    """The mask's share of every cell counts."""
    net, mask = tiny.build(Segments, "small"), box_mask(3, 2, 12, 9)
    weights = F.avg_pool2d(mask.double()[None], 2)[0]
    leaf = IMAGE.clone().requires_grad_()
    score = (net(leaf)[:, 2] * weights).sum((1, 2)) / weights.sum()
    (expected,) = torch.autograd.grad(score.sum(), leaf)
    torch.testing.assert_close(saliency(net, Region(2, mask=mask)).raw, expected)


def test_why_this_and_not_that(net):
    pair = [saliency(net, Region(c, box=BOX)).raw for c in (1, 3)]
    raw = saliency(net, Margin(Region(1, box=BOX), Region(3, box=BOX))).raw
    torch.testing.assert_close(raw, pair[0] - pair[1])


# However it is packed, and whatever the method

METHODS = {
    "grad-cam": {}, "cam": {}, "saliency": {}, "guided-backprop": {}, "occlusion": {"window": 8, "stride": 8},
    "integrated-gradients": {"steps": 3}, "smoothgrad": {"samples": 2}, "score-cam": {}, "ablation-cam": {}, "lrp": {},
    "deep-lift": {}, "full-grad": {}, "excitation-backprop": {}, "layer-cam": {}, "finer-cam": {}, "shapley-cam": {},
}  # fmt: skip
NOT_HERE = {"cam": "CAM needs", "finer-cam": "its target must be a class"}
RUN = [name for name in METHODS if name not in NOT_HERE]
OPTIONS = {name: given for name, given in METHODS.items() if given}


@pytest.mark.parametrize("target", [None, Region([1, 0, 3], box=BOX)], ids=["top", "box"])
def test_pictures_and_chunks_do_not_mix(net, target):
    def explain(image, target, **more):
        return pellucid.explain(net, image, RUN, target, options=OPTIONS, **more)

    together = explain(IMAGE, target)
    for more in ({"chunk": 1}, {"chunk": 2}):
        for a, b in zip(together, explain(IMAGE, target, **more), strict=True):
            torch.testing.assert_close(a.values, b.values, rtol=1e-9, atol=1e-12, msg=a.method.id)
    for k in range(3):
        one = target and Region(target.classes[k], box=BOX)
        for a, b in zip(together, explain(IMAGE[k : k + 1], one), strict=True):
            torch.testing.assert_close(a.values[k], b.values[0], rtol=1e-9, atol=1e-12, msg=a.method.id)
            assert a.target[k] == b.target[0]


@pytest.mark.parametrize("method", NOT_HERE)
def test_what_needs_a_class_of_the_whole_picture_is_refused(net, method):
    with pytest.raises(pellucid.PellucidError, match=NOT_HERE[method]):
        pellucid.explain(net, IMAGE, method)


def test_the_part_stays_where_it_was(net):
    """When the picture is changed, the score is still read where the model saw the class in the picture as it is."""
    winners = net(IMAGE)["out"].argmax(1)
    label = int(winners[0].flatten().mode().values)
    answers = pellucid.explain(net, IMAGE[:1], "occlusion", label, options={"occlusion": {"window": 16, "stride": 16}})
    part = winners[:1] == label
    gone = IMAGE[:1].clone()
    gone[..., :16] = 0

    def score(x):
        return (net(x)["out"][:, label] * part).sum() / part.sum()

    assert answers["occlusion"].raw[0, 0, 0].item() == pytest.approx((score(IMAGE[:1]) - score(gone)).item())


def test_the_recommended_layer_is_not_the_scores_themselves(net):
    with guarded(net):
        found = {str(c.site): c for c in survey(pellucid.wrap(net), IMAGE[:1]).candidates}
    assert [path for path, c in found.items() if c.final] == ["classes"]
    assert [path for path, c in found.items() if c.recommended] == ["act"]


# Pictures


def test_parts_are_given_in_pixels_of_the_picture():
    """A picture of 40 x 60, of which the model sees the middle at half the size."""
    frame = Frame((40, 60), (10.0, 0.0, 50.0, 40.0), (20, 20))
    model = pellucid.wrap(Linear(2.0, -3.0), size=20, resize=20)
    picture = np.zeros((40, 60, 3), np.uint8)
    scene = TargetContext(model, (frame,))
    assert pellucid.explain(model, picture, []).pictures[0].frame == frame
    inside = Region(1, box=(20, 10, 30, 16)).fit(scene).mask[0]
    assert torch.equal(inside, box_mask(5, 5, 10, 8, (20, 20)))
    inside = Region(1, point=(49, 39)).fit(scene).mask[0]
    assert inside.nonzero().tolist() == [[19, 19]]
    mask = np.zeros((40, 60), bool)
    mask[10:16, 20:30] = True
    assert torch.equal(Region(1, mask=mask).fit(scene).mask[0], box_mask(5, 5, 10, 8, (20, 20)))
    for outside in ({"box": (0, 0, 9, 9)}, {"point": (5, 5)}, {"mask": np.zeros((40, 60), bool)}):
        with pytest.raises(BadOption, match="part of picture 0 that was named lies outside of what the model sees"):
            Region(1, **outside).fit(scene)
    found = pellucid.explain(model, picture, "saliency", Region(1, box=(20, 10, 30, 16)))
    assert found["saliency"].target == ("class 1 in 20,10,30,16",)


def test_whole_pictures_of_any_shape():
    model = pellucid.wrap(
        Linear(2.0, -3.0), preprocess=pellucid.Preprocess(size=None, resize=20, interpolation="bilinear")
    )
    wide, tall = (Image.new("RGB", size, "white") for size in ((60, 40), (40, 60)))
    for picture, size in ((wide, (20, 30)), (tall, (30, 20))):
        assert pellucid.explain(model, picture, "saliency")["saliency"].values.shape == (1, *size)
    with pytest.raises(BadOption, match=r"must share one; got 20 x 30 and 30 x 20. Explain them one by one"):
        pellucid.explain(model, [wide, tall], "saliency")


# What is refused


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"box": BOX, "point": (1, 2)}, "a mask, a box or a point as part of the picture, got box and point"),
        (
            {"box": (1, 2, 3)},
            r"a box \(left, top, right, bottom\) in pixels of the picture, or one for each, got \[?\(?1",
        ),
        ({"box": "1,2,3,4"}, r"a box \(left, top, right, bottom\) in pixels"),
        ({"box": (9, 2, 9, 4)}, "left < right and top < bottom, in pixels, got 9,2,9,4"),
        ({"box": [BOX, BOX]}, "a box .*, or one for each of 3 pictures, got 2"),
        ({"point": (1, float("nan"))}, r"a point \(x, y\) in pixels"),
        ({"mask": torch.ones(4, 4, dtype=torch.bool)}, r"the picture's 16 rows and 24 columns, got \[4, 4\]"),
        ({"mask": torch.ones(16, 24)}, r"got \[16, 24\] of torch.float32"),
        ({"mask": torch.ones(2, 16, 24, dtype=torch.bool)}, "one mask or 3"),
        ({"classes": [1, 2]}, "one class or 3"),
        ({"classes": 9, "box": BOX}, None),
    ],
)
def test_parts_that_cannot_be(net, given, message):
    message = f"Expected .*{message}" if message else "Class 9 is out of range: Segments has 5 classes"
    with pytest.raises(BadOption, match=message):
        saliency(net, Region(**{"classes": 1, **given}))


def test_a_class_that_is_seen_nowhere():
    model = pellucid.wrap(Linear(2.0, -3.0, 0.0), classes=["cat", "dog", "cow"])
    with pytest.raises(BadOption, match=r"Linear sees 'cow' nowhere in picture 0\. Say where to look for it: a Region"):
        saliency(model, "cow")


def test_targets_that_mean_nothing_here(net):
    with pytest.raises(
        BadOutput, match="scores every pixel; its target is a class or a Region of one, not Probability"
    ):
        saliency(net, Probability(1))
    with pytest.raises(
        BadOutput, match=r"Expected scores of every pixel \[batch, class, row, column\] from Plain, got"
    ):
        saliency(tiny.build(tiny.Plain), Region(1, box=BOX))
    with pytest.raises(BadOutput, match="does not score every pixel, so a part of the picture has no class"):
        saliency(tiny.build(tiny.Plain), Region(box=BOX))


def test_scores_that_are_not_finite_are_refused(net):
    with pytest.raises(pellucid.errors.Refused, match="not finite"):
        saliency(pellucid.wrap(net, output=lambda out: out["out"] * torch.nan), 0)


# torchvision's networks


@pytest.mark.long
@pytest.mark.parametrize("name", ["deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large"])
def test_torchvision(name):
    segmentation = pytest.importorskip("torchvision.models.segmentation")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = getattr(segmentation, name)(weights=None, weights_backbone=None, num_classes=4).double().eval()
    image = tiny.images(2, size=(48, 64))
    leaf = image.clone().requires_grad_()
    out = net(leaf)["out"]
    mask = box_mask(10, 5, 40, 30, (48, 64))
    scores = out[torch.arange(2), torch.tensor([1, 3])][:, mask].mean(1)
    (expected,) = torch.autograd.grad(scores.sum(), leaf)
    result = pellucid.explain(net, image, ["saliency", "grad-cam"], Region([1, 3], mask=mask))
    torch.testing.assert_close(result["saliency"].raw, expected)
    assert str(result["grad-cam"].site).startswith("classifier")
    winners = out.argmax(1)
    for row, win in zip(result.predictions, winners, strict=True):
        shares = torch.bincount(win.flatten(), minlength=4) / win.numel()
        assert [p.share for p in row] == pytest.approx(shares[shares > 0].sort(descending=True).values.tolist())


def test_a_reading_of_some_pictures_of_many():
    reading = PixelClasses.of_scores(torch.randn(2, 3, 4, 4), pellucid.wrap(nn.Identity())).placed(torch.tensor([3, 1]))
    target = Top().resolve(reading, pellucid.wrap(nn.Identity()))
    assert [target.classes[k] for k in (3, 1)] == [int(reading.shares[k].argmax()) for k in (3, 1)]
