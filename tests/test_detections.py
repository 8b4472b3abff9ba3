"""Detectors: the score of a class for a box, before suppression."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pellucid
import tiny
from pellucid.capture.running import manner_of
from pellucid.contracts import Canvas
from pellucid.errors import BadOption, BadOutput, BadSite, Refused, UnknownName
from pellucid.inspection import layers
from pellucid.numerics import onto_picture
from pellucid.targets import Candidates, Detection, Logit, Margin, Probability, Region
from pellucid.targets.detections import overlaps

detection = pytest.importorskip("torchvision.models.detection")
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator  # noqa: E402
from torchvision.models.detection.transform import GeneralizedRCNNTransform  # noqa: E402

IMAGE = torch.rand(3, 3, 40, 57, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
CLASSES = 4
FAMILIES = ("FasterRCNN", "MaskRCNN", "RetinaNet", "SSD", "FCOS")


class Levels(nn.Module):
    """Two levels of features, of strides 8 and 16; the second is made of the first."""

    out_channels = 8

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.ReLU(), nn.Conv2d(8, 8, 2, 2), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU())

    def forward(self, x):
        first = self.first(x)
        return OrderedDict([("0", first), ("1", self.second(first))])


def make(family):
    """A small detector with lively scores; pictures are resized and, except by SSD, padded."""
    anchors = AnchorGenerator(((8, 16), (24, 32)), ((0.5, 1.0),) * 2)
    size = {"min_size": 50, "max_size": 90}
    many = {"box_score_thresh": 0.1, "box_detections_per_img": 8, "rpn_post_nms_top_n_test": 30}
    pooling = {
        f"{name}_roi_pool": detection.faster_rcnn.MultiScaleRoIAlign(["0", "1"], 3, 2) for name in ("box", "mask")
    }
    kinds = {
        "FasterRCNN": lambda: detection.FasterRCNN(
            Levels(), CLASSES, rpn_anchor_generator=anchors, box_roi_pool=pooling["box_roi_pool"], **many, **size
        ),
        "MaskRCNN": lambda: detection.MaskRCNN(
            Levels(), CLASSES, rpn_anchor_generator=anchors, **pooling, **many, **size
        ),
        "RetinaNet": lambda: detection.RetinaNet(
            Levels(), CLASSES, anchor_generator=anchors, score_thresh=0.2, detections_per_img=8, **size
        ),
        "SSD": lambda: detection.ssd.SSD(
            Levels(), DefaultBoxGenerator([[2], [2]], steps=[8, 16]), (60, 70), CLASSES, score_thresh=0.2,
            head=detection.ssd.SSDHead([8, 8], [4, 4], CLASSES),
        ),
        "FCOS": lambda: detection.FCOS(
            Levels(), CLASSES, anchor_generator=AnchorGenerator(((8,), (16,)), ((1.0,),) * 2), score_thresh=0.2,
            head=detection.fcos.FCOSHead(8, 1, CLASSES, num_convs=0), **size,
        ),
    }  # fmt: skip
    net = tiny.build(kinds[family])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        for name, weight in net.named_parameters():
            weight.data.normal_(0, 0.6 / max(1, weight[0].numel()) ** 0.5 if weight.ndim > 1 else 0.1)
            if any(part in name for part in ("cls_logits", "cls_score", "classification_head", "box_head")):
                weight.data *= 4
    return net


@pytest.fixture(scope="module", params=FAMILIES)
def net(request):
    return make(request.param)


@pytest.fixture(scope="module")
def retina():
    return make("RetinaNet")


def whole_pass(net, image):
    """The library's own forward, and what its heads said on the way: scores `[row][candidate, class]`."""
    said, counts = [], [len(image)]
    part = net.roi_heads.box_predictor if hasattr(net, "roi_heads") else net.head
    handles = [part.register_forward_hook(lambda _, __, out: said.append(out))]
    if hasattr(net, "rpn"):
        handles.append(net.rpn.register_forward_hook(lambda _, __, out: counts.append([len(b) for b in out[0]])))
    found = net(list(image))
    for handle in handles:
        handle.remove()
    scores = said[0][0].split(counts[-1]) if hasattr(net, "rpn") else list(said[0]["cls_logits"])
    return found, scores, said[0]


def logit_of(net, said, scores, row, label, chance):
    """By hand: the score behind a reported probability of a class."""
    if isinstance(net, detection.RetinaNet):
        chances = scores[row].sigmoid()
    elif isinstance(net, detection.FCOS):
        chances = (scores[row].sigmoid() * said["bbox_ctrness"][row].sigmoid()).sqrt()
    else:
        chances = scores[row].softmax(1)
    k = (chances[:, label] - chance).abs().argmin()
    assert abs(float((chances[k, label] - chance).detach())) < 1e-9
    return scores[row][k, label]


# torchvision's families against their own forward


def test_what_is_detected_is_what_the_library_detects(net):
    result = pellucid.explain(net, IMAGE, [])
    with torch.no_grad():
        expected = net(list(IMAGE))
    for row, own in zip(result.predictions, expected, strict=True):
        assert len(own["boxes"]) > 1
        shown = min(5, len(own["boxes"]))
        assert [p.index for p in row] == own["labels"][:shown].tolist()
        np.testing.assert_allclose([p.box for p in row], own["boxes"][:shown], atol=1e-4)
        np.testing.assert_allclose([p.probability for p in row], own["scores"][:shown], rtol=1e-9)


def test_score_and_gradient_by_hand(net):
    leaf = IMAGE.clone().requires_grad_()
    found, scores, said = whole_pass(net, leaf)
    tops = [logit_of(net, said, scores, k, int(own["labels"][0]), own["scores"][0]) for k, own in enumerate(found)]
    (expected,) = torch.autograd.grad(sum(tops), leaf)
    result = pellucid.explain(net, IMAGE, "saliency")
    torch.testing.assert_close(result["saliency"].raw, expected, rtol=1e-6, atol=1e-9)
    assert [row[0].score for row in result.predictions] == pytest.approx([float(t.detach()) for t in tops])


def test_the_second_detection_and_a_named_one(net):
    result = pellucid.explain(net, IMAGE[:1], "saliency", "top2")
    second = result.predictions[0][1]
    named = pellucid.explain(net, IMAGE[:1], "saliency", Detection(second.index, second.box))["saliency"]
    torch.testing.assert_close(result.attributions[1].raw, named.raw)
    assert named.target == result.attributions[1].target
    assert named.target[0].startswith(f"class {second.index} in ")


def test_the_class_of_a_box_and_the_box_of_a_class(net):
    first = pellucid.explain(net, IMAGE[:1], "saliency")
    assert first.choices["class"] == "the most probable object in each picture"
    found = first.predictions[0][0]
    by_box = pellucid.explain(net, IMAGE[:1], "saliency", Detection(box=found.box))["saliency"]
    by_class = pellucid.explain(net, IMAGE[:1], "saliency", found.index)["saliency"]
    for other in (by_box, by_class):
        assert other.target == first["saliency"].target
        torch.testing.assert_close(other.raw, first["saliency"].raw)


def test_hidden_places_by_hand(net):
    """The score is read anew from the candidates of every changed picture; the box and the class stay."""
    options = {"occlusion": {"window": 20, "stride": 20}}
    result = pellucid.explain(net, IMAGE[:1], "occlusion", options=options)
    top = result.predictions[0][0]
    for row, column in ((0, 0), (1, 1)):
        hidden = IMAGE[:1].clone()
        hidden[:, :, 20 * row : 20 * row + 20, 20 * column : 20 * column + 20] = 0
        model = pellucid.wrap(net)
        with torch.no_grad():
            made = model.call(net, hidden)
        best = made.best(0, top.index, torch.tensor(top.box))
        drop = top.score - float(made.scores[0][best, top.index])
        assert float(result["occlusion"].raw[0, row, column]) == pytest.approx(drop, abs=1e-6)


METHODS = {
    "grad-cam": {}, "saliency": {}, "occlusion": {"window": 20, "stride": 20}, "score-cam": {}, "ablation-cam": {},
    "integrated-gradients": {"steps": 2}, "smoothgrad": {"samples": 2}, "layer-cam": {},
}  # fmt: skip


@pytest.mark.parametrize("family", ["FasterRCNN", "SSD", "FCOS"])
def test_pictures_and_chunks_do_not_mix(family):
    net = make(family)
    boxes = [(5, 6, 30, 33), (10.5, 4, 50, 30), (20, 10, 44, 38)]

    def explain(rows, **more):
        target = Detection([2, 1, 3][rows], boxes[rows])
        options = {name: given for name, given in METHODS.items() if given}
        return pellucid.explain(net, IMAGE[rows], list(METHODS), target, "backbone.first", options, **more)

    together = explain(slice(0, 3))
    for more in ({"chunk": 1}, {"chunk": 2}):
        for a, b in zip(together, explain(slice(0, 3), **more), strict=True):
            torch.testing.assert_close(a.values, b.values, rtol=1e-8, atol=1e-10, msg=a.method.id)
    for k in range(3):
        for a, b in zip(together, explain(slice(k, k + 1)), strict=True):
            torch.testing.assert_close(a.values[k], b.values[0], rtol=1e-8, atol=1e-10, msg=a.method.id)
            assert a.target[k] == b.target[0]


def test_relevance_methods_answer_or_name_what_stops_them(retina):
    for method in ("lrp", "deep-lift", "full-grad", "guided-backprop", "excitation-backprop"):
        a = pellucid.explain(retina, IMAGE, method)[method]
        for k in range(3):
            one = pellucid.explain(retina, IMAGE[k : k + 1], method)[method]
            torch.testing.assert_close(a.values[k], one.values[0], rtol=1e-7, atol=1e-10)
    relevance = pellucid.explain(retina, IMAGE, "full-grad")["full-grad"].extras
    assert float(relevance["gap"].abs().max()) < 1e-8
    two_stages = make("FasterRCNN")
    for method in ("lrp", "deep-lift", "full-grad"):
        with pytest.raises(Refused, match="roi_align"):
            pellucid.explain(two_stages, IMAGE, method)
    with pytest.raises(Refused, match="differentiated once only"):
        pellucid.explain(two_stages, IMAGE, "shapley-cam", layer="backbone.first")


def test_guided_backprop_reads_through_boxes_by_hand():
    """Reading features inside boxes only interpolates; every ReLU lets positive signals pass alone."""
    net = make("FasterRCNN")

    class Guided(nn.Module):
        def forward(self, x):
            y = x.relu()
            if y.requires_grad:
                y.register_hook(lambda signal: signal.relu())
            return y

    result = pellucid.explain(net, IMAGE[:1], "guided-backprop")
    top = result.predictions[0][0]
    for part in (net.backbone.first, net.backbone.second):
        for k, inner in enumerate(part):
            if isinstance(inner, nn.ReLU):
                part[k] = Guided()
    leaf, relu = IMAGE[:1].clone().requires_grad_(), F.relu
    F.relu = lambda x, inplace=False: Guided()(x)  # the box head calls the function
    try:
        made = pellucid.wrap(net).call(net, leaf)
    finally:
        F.relu = relu
    score = made.scores[0][made.best(0, top.index, torch.tensor(top.box)), top.index]
    (expected,) = torch.autograd.grad(score, leaf)
    torch.testing.assert_close(result["guided-backprop"].raw, expected)


def test_nothing_is_left_behind(net):
    before = {name: value.clone() for name, value in net.state_dict().items()}
    keys = [set(part.__dict__) for part in net.modules()]
    net.train()
    try:
        pellucid.explain(net, IMAGE, ["saliency", "grad-cam"], layer="backbone.first")
        assert all(part.training for part in net.modules())
    finally:
        net.eval()
    assert keys == [set(part.__dict__) for part in net.modules()]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in net.parameters())


# Where maps lie


@pytest.mark.parametrize("size", [(40, 57), (57, 40), (480, 640), (333, 97), (64, 64), (1, 3)])
@pytest.mark.parametrize("limits", [(50, 90), (800, 1333), (64, 4000)])
def test_the_canvas_is_what_the_transform_makes(size, limits, retina):
    transform = GeneralizedRCNNTransform(*limits, [0.5] * 3, [0.2] * 3).eval()
    from pellucid.capture.running.detectors import _canvas

    images, _ = transform([torch.rand(3, *size)])
    assert _canvas(transform, size) == Canvas(tuple(images.tensors.shape[2:]), tuple(images.image_sizes[0]))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_detector_sees_the_picture_that_its_own_transform_makes(family):
    net, seen = make(family), []
    handle = net.backbone.first[0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        net(list(IMAGE))
        manner_of(net).call(net, IMAGE)
    handle.remove()
    assert torch.equal(*seen)


def test_a_layers_map_lies_on_the_picture():
    """By hand: each pixel reads the map at its place on the canvas, between the centres of four cells."""
    canvas, size = Canvas((64, 96), (50, 71)), (40, 57)
    maps = torch.randn(2, 8, 12, dtype=torch.float64)
    got = onto_picture(maps, size, canvas)
    for row, column in ((0, 0), (39, 56), (17, 3), (20, 40)):
        y = (row + 0.5) * 50 / 40 / 64 * 8 - 0.5
        x = (column + 0.5) * 71 / 57 / 96 * 12 - 0.5
        y, x = min(max(y, 0), 7), min(max(x, 0), 11)
        top, left = min(int(y), 6), min(int(x), 10)
        v, u = y - top, x - left
        corner = maps[:, top : top + 2, left : left + 2]
        weights = torch.tensor([[(1 - v) * (1 - u), (1 - v) * u], [v * (1 - u), v * u]], dtype=torch.float64)
        torch.testing.assert_close(got[:, row, column], (corner * weights).sum((1, 2)))
    unpadded = Canvas((64, 96), (64, 96))
    torch.testing.assert_close(
        onto_picture(maps, size, unpadded), F.interpolate(maps[:, None], size, mode="bilinear")[:, 0]
    )


def test_one_pass_answers_for_the_default_target(retina):
    """Channels last is not tried: a detector makes a plane of its own out of the pictures."""
    pellucid.explain(retina, IMAGE[:1], "saliency")  # what its output means is found out once
    passes = []
    handle = retina.backbone.register_forward_hook(lambda *_: passes.append(1))
    pellucid.explain(retina, IMAGE[:1], ["grad-cam", "saliency"], layer="backbone.first")
    handle.remove()
    assert len(passes) == 1


def test_a_spot_is_found_where_it_is():
    """The canvas is twice as wide as the picture on it; a map stretched over the picture would be far off."""
    net = make("RetinaNet")
    net.transform.size_divisible = 128
    with torch.no_grad():
        for conv in (net.backbone.first[0], net.backbone.first[2]):
            conv.weight.fill_(1 / conv.weight[0].numel())
            conv.bias.zero_()
    image = torch.zeros(1, 3, 40, 56, dtype=torch.float64) + 0.5
    image[:, :, 28:36, 40:48] = 1.0
    canvas = pellucid.wrap(net).canvas((40, 56))
    assert canvas == Canvas((128, 128), (50, 70))
    activation = net.backbone.first(padded(net, image)).sum(1).detach()  # brightest at the spot
    row, column = divmod(int(onto_picture(activation, (40, 56), canvas)[0].argmax()), 56)
    assert (28 <= row < 36, 40 <= column < 48) == (True, True)
    found = pellucid.explain(net, image, "grad-cam", Detection(1, (30, 20, 55, 39)), "backbone.first")["grad-cam"]
    assert found.raw.shape == (1, 16, 16)
    torch.testing.assert_close(found.values, onto_picture(found.raw, (40, 56), canvas))


def padded(net, image):
    images, _ = net.transform(list(image))
    return images.tensors


def test_a_network_of_ones_own_that_pads():
    """The layer is brightest where the picture is, on a plane of which the picture fills a quarter."""

    class Pads(nn.Module):
        def __init__(self):
            super().__init__()
            self.look, self.head = nn.AvgPool2d(4), nn.Linear(3, 2)

        def forward(self, x):
            return self.head(self.act(F.pad(x, (0, x.shape[3], 0, x.shape[2]))))

        def act(self, x):
            return self.look(x).relu().mean((2, 3))

    net = tiny.build(Pads)
    net.head.weight.data.fill_(1)
    image = torch.zeros(1, 3, 32, 32, dtype=torch.float64)
    image[:, :, 20:24, 8:12] = 1
    model = pellucid.wrap(net, canvas=lambda size: Canvas((2 * size[0], 2 * size[1]), size))
    values = pellucid.explain(model, image, "grad-cam", 0, "look")["grad-cam"].values[0]
    assert divmod(int(values.argmax()), 32) in {(row, column) for row in range(20, 24) for column in range(8, 12)}
    assert float(values[:16].max()) == 0
    with pytest.raises(BadOption, match="Expected a function of a picture's rows and columns as canvas, got 3"):
        pellucid.wrap(net, canvas=3)


def test_every_way_of_laying_a_map_on_the_picture(retina):
    """Score-CAM's masks, guided Grad-CAM's product and fused layers read maps at the same place."""
    names = ["grad-cam", "guided-grad-cam", "guided-backprop", "score-cam"]
    result = pellucid.explain(retina, IMAGE[:1], names, layer="backbone.first")
    expected = result["guided-backprop"].raw * result["grad-cam"].values[:, None]
    torch.testing.assert_close(result["guided-grad-cam"].raw, expected)
    model = pellucid.wrap(retina)
    activation = retina.backbone.first(padded(retina, IMAGE[:1])).detach()
    masks = onto_picture(activation, (40, 57), model.canvas((40, 57)))[0]
    low, high = masks.flatten(1).amin(1), masks.flatten(1).amax(1)
    masks = (masks - low[:, None, None]) / (high - low)[:, None, None]
    top = result.predictions[0][0]
    with torch.no_grad():
        made = model.call(retina, IMAGE[:1] * masks[:, None])
    scores = [made.scores[k][made.best(k, top.index, torch.tensor(top.box)), top.index] for k in range(8)]
    expected = (torch.stack(scores).softmax(0)[:, None, None] * activation[0]).sum(0).relu()
    torch.testing.assert_close(result["score-cam"].raw[0], expected, rtol=1e-6, atol=1e-9)
    both = ["backbone.first.1", "backbone.first"]
    fused = pellucid.explain(retina, IMAGE[:1], "layer-cam", layer=both, fuse="mean")["layer-cam"]
    apart = pellucid.explain(retina, IMAGE[:1], "layer-cam", layer=both)
    canvas = model.canvas((40, 57))
    stretched = [(a.raw - a.raw.amin()) / (a.raw.amax() - a.raw.amin()) for a in apart]
    expected = sum(onto_picture(m, (40, 57), canvas) for m in stretched) / 2
    torch.testing.assert_close(fused.values, expected)


def test_layers_are_tried_on_what_is_detected():
    net = make("RetinaNet")
    advice = pellucid.layers(net, IMAGE[:1])
    assert "backbone.first" in {str(layer.site) for layer in advice if layer.trial}
    assert pellucid.explain(net, IMAGE[:1], "grad-cam", layer="auto")["grad-cam"].site == advice.recommended


def test_layers_whose_rows_are_no_pictures():
    net = make("FasterRCNN")
    assert not [c for c in layers(net, size=(40, 57)) if str(c.site).startswith("roi_heads")]
    with pytest.raises(BadSite, match=r"'roi_heads.box_roi_pool' has \d+ rows for 2 pictures: its rows are parts of"):
        pellucid.explain(net, IMAGE[:2], "grad-cam", layer="roi_heads.box_roi_pool")
    strides = {str(c.site): c.stride for c in layers(net, size=(40, 57))}
    assert strides["backbone.first"] == pytest.approx((8 * 40 / 50, 8 * 57 / 71))


# Detectors of one's own


class Cells(nn.Module):
    """One candidate for each quarter of an 8 x 8 picture: s_c = w_c times the quarter's sum."""

    w = (1.0, -2.0, 3.0)

    def forward(self, x):
        quarters = x.unfold(2, 4, 4).unfold(3, 4, 4).sum((1, 4, 5)).flatten(1)
        scores = quarters[:, :, None] * torch.tensor(self.w, dtype=x.dtype)
        places = [[4.0 * c, 4.0 * r, 4.0 * c + 4, 4.0 * r + 4] for r in range(2) for c in range(2)]
        box = torch.tensor(places, dtype=x.dtype)
        return Candidates(list(scores), list((scores / 20).sigmoid()), [box] * len(x))


SMALL = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def quarter(row, column, value):
    expected = torch.zeros(8, 8, dtype=torch.float64)
    expected[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = value
    return expected


def test_the_gradient_of_a_linear_detector():
    model = pellucid.wrap(Cells(), classes=["a", "b", "c"])
    raw = pellucid.explain(model, SMALL, "saliency", Detection(["b", "c"], [(4, 0, 8, 4), (0, 4, 4, 8)]))[
        "saliency"
    ].raw
    torch.testing.assert_close(raw[:, 0], torch.stack([quarter(0, 1, -2.0), quarter(1, 0, 3.0)]))
    shifted = Detection("c", (1, 5, 5, 9))  # no candidate is this box; the one that overlaps most stands for it
    raw = pellucid.explain(model, SMALL, "saliency", shifted)["saliency"].raw
    torch.testing.assert_close(raw[:, 0], quarter(1, 0, 3.0).expand(2, -1, -1))
    pair = Margin(Detection("c", (0, 0, 4, 4)), Detection("a", (0, 0, 4, 4)))
    raw = pellucid.explain(model, SMALL, "saliency", pair)["saliency"]
    torch.testing.assert_close(raw.raw[:, 0], quarter(0, 0, 2.0).expand(2, -1, -1))
    assert raw.target[0] == "c in 0,0,4,4 rather than a in 0,0,4,4"


def test_what_a_detector_of_ones_own_reports():
    """Class by class the most probable, none that overlaps a more probable one by half."""
    box = torch.tensor([[0.0, 0, 4, 4], [1, 0, 5, 4], [4, 4, 8, 8], [0, 0, 4, 4]])
    chances = torch.tensor([[0.9, 0.01], [0.8, 0.6], [0.7, 0.04], [0.3, 0.9]])
    net = pellucid.wrap(nn.Identity(), call=lambda _, x: Candidates([chances], [chances], [box]))
    row = pellucid.explain(net, SMALL[:1].float(), []).predictions[0]
    assert [(p.index, round(p.probability, 2), p.box) for p in row] == [
        (0, 0.9, (0, 0, 4, 4)), (1, 0.9, (0, 0, 4, 4)), (0, 0.7, (4, 4, 8, 8)),
    ]  # fmt: skip
    with_background = pellucid.wrap(nn.Identity(), call=lambda _, x: Candidates([chances], [chances], [box], 0))
    assert {p.index for p in pellucid.explain(with_background, SMALL[:1].float(), []).predictions[0]} == {1}


def test_which_candidate_stands_for_a_box():
    box = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [0, 0, 10, 4], [50, 50, 60, 60]])
    chances = torch.tensor([[0.1], [0.9], [1.0], [1.0]])
    made = Candidates([chances], [chances], [box])
    assert made.best(0, 0, box[0]) == 1  # overlaps by 0.68 and is far more probable
    assert made.best(0, 0, torch.tensor([0.0, 6, 10, 16])) == 1
    assert made.best(0, 0, torch.tensor([45.0, 45, 52, 52])) == 3  # none by half, this one by most
    with pytest.raises(Refused, match="considers no box that overlaps 20,20,30,30"):
        made.best(0, 0, torch.tensor([20.0, 20, 30, 30]))
    assert overlaps(box, box[0]).tolist() == pytest.approx([1, 81 / 119, 0.4, 0])
    own = Candidates([torch.zeros(2, 2)], [torch.full((2, 2), 0.5)], [torch.stack([box[:2], box[2:]], 1)])
    assert own.best(0, 1, box[3]) == 1  # every class has boxes of its own


# Pictures


def test_boxes_are_given_in_pixels_of_the_picture():
    """The model sees the middle of the picture at half the size."""
    model = pellucid.wrap(Cells(), size=8, resize=8, mean=(0.0,), std=(1.0,))
    picture = np.zeros((16, 32), np.uint8)
    result = pellucid.explain(model, picture, "saliency", Detection(2, (16, 0, 24, 8)))
    torch.testing.assert_close(result["saliency"].raw[0, 0].double(), quarter(0, 1, 3.0))
    assert result["saliency"].target == ("class 2 in 16,0,24,8",)
    assert result.predictions[0][0].box in {
        (8.0 + 8 * c, 8.0 * r, 16.0 + 8 * c, 8.0 + 8 * r) for r in (0, 1) for c in (0, 1)
    }


def test_photographs_reach_a_detector_as_torchvision_feeds_it(retina):
    from torchvision.transforms.functional import to_tensor

    model = pellucid.wrap(retina)
    picture = pellucid.explain(model, "sample:coffee", []).pictures[0]
    assert torch.equal(picture.tensor, to_tensor(picture.image))
    assert picture.box == (0, 0, *picture.image.size)


# What is refused


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        (Detection(9, (0, 0, 4, 4)), BadOption, "Class 9 is out of range: Cells has 3 classes"),
        (9, BadOption, "Class 9 is out of range: Cells has 3 classes"),
        (Detection(1, (20, 20, 30, 30)), Refused, "considers no box that overlaps 20,20,30,30"),
        (Detection(box=(20, 20, 30, 30)), BadOption, "Cells detects nothing in that box of picture 0. Say which class"),
        (Detection(1, (4, 0, 4, 4)), BadOption, "left < right and top < bottom"),
        (Detection(1, (4, 0, 4)), BadOption, "Expected a box"),
        (Detection("cat"), BadOption, "no class names"),
        (Probability(1), BadOutput, "Cells detects objects; its target is a class or a Detection, not Probability"),
        (Region(1, box=(0, 0, 4, 4)), BadOutput, r"Expected scores of every pixel .* from Cells, got Candidates"),
    ],
)
def test_targets_that_cannot_be(target, error, message):
    with pytest.raises(error, match=message):
        pellucid.explain(Cells(), SMALL, "saliency", target)


def test_detections_of_what_is_no_detector():
    net = tiny.build(tiny.Plain)
    with pytest.raises(BadOutput, match="Expected the candidates of a detector from Plain, got shape"):
        pellucid.explain(net, tiny.images(), "saliency", Detection(1, (0, 0, 4, 4)))
    with pytest.raises(BadOutput, match="Plain is no detector that is understood"):
        pellucid.explain(net, tiny.images(), "saliency", Detection(box=(0, 0, 4, 4)))


def test_a_detector_that_finds_nothing():
    net = make("RetinaNet")
    net.score_thresh = 1.1
    with pytest.raises(BadOption, match=r"no detection 1: RetinaNet detects nothing in picture 0\. Name a class"):
        pellucid.explain(net, IMAGE, "saliency")
    assert pellucid.explain(net, IMAGE, "saliency", Logit(2))["saliency"].target[0].startswith("class 2 in ")
    with pytest.raises(UnknownName):
        pellucid.explain(pellucid.wrap(net, classes=["a", "b", "c", "d"]), IMAGE, "saliency", "cat")


def test_a_forward_of_ones_own_is_not_taken_for_the_librarys():
    class Other(detection.RetinaNet):
        def forward(self, images, targets=None):
            return super().forward([image * 2 for image in images], targets)

    net = make("RetinaNet")
    net.__class__ = Other
    assert manner_of(net) is None
    assert manner_of(tiny.build(tiny.Plain)) is None
    assert pellucid.wrap(net).call is None


@pytest.mark.parametrize(
    ("name", "site"),
    [
        ("fasterrcnn_mobilenet_v3_large_320_fpn", "backbone.body.16"),
        ("retinanet_resnet50_fpn", "backbone.body.layer4"),
        ("fcos_resnet50_fpn", "backbone.body.layer4"),
        ("ssd300_vgg16", "backbone.features"),
        ("ssdlite320_mobilenet_v3_large", "backbone.features.0"),
    ],
)
def test_the_layer_of_published_detectors(name, site):
    with torch.device("meta"):
        net = getattr(detection, name)(weights=None, weights_backbone=None)
    assert str(manner_of(net).site) == site
    assert isinstance(net.get_submodule(site), nn.Module)
