"""What the interface can say: other forms of metrics, rules by layer, windows per channel, every output at once."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import nn

import pellucid
from pellucid.cli import main
from pellucid.comparison.curve_frames import curve_frames
from pellucid.contracts import Frame
from pellucid.errors import BadOption, Refused, UnknownName
from pellucid.metrics.energy_pointing import energy_pointing
from pellucid.metrics.focus import focus
from pellucid.metrics.mass_accuracy import mass_accuracy
from pellucid.metrics.pointing_game import pointing_game
from pellucid.metrics.roc_auc import roc_auc
from pellucid.metrics.top_k_intersection import top_k_intersection
from pellucid.registry import find_method, parse_option


class Net(nn.Module):
    """Two convolutions, smooth, in float64; scores three classes."""

    def __init__(self, channels=2):
        super().__init__()
        torch.manual_seed(2)
        self.first, self.second, self.head = nn.Conv2d(channels, 4, 3, padding=1), nn.Conv2d(4, 4, 3), nn.Linear(4, 3)
        self.double().eval()

    def forward(self, x):
        return self.head(self.second(self.first(x).tanh()).tanh().mean((2, 3)))


def pictures(count=2, side=8):
    return torch.randn(count, 2, side, side, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


# Metrics in other forms

MAP = torch.tensor([[[4.0, 2.0, -1.0, 0.0], [3.0, 1.0, 0.0, 0.0]]], dtype=torch.float64)
MASK = torch.tensor([[[True, False, True, False], [False, False, False, False]]])
"""The thing is 2 of 8 pixels: it holds 4 of the 10 that are positive, and of the two largest values the first."""


def test_weighted_forms_by_hand():
    box = [torch.tensor([[0.0, 0.0, 1.0, 1.0]])]  # one of 8 pixels, the one with 4
    assert mass_accuracy(MAP, MASK, weighted=True).tolist() == pytest.approx([0.4 * 8 / 2])
    assert energy_pointing(MAP, box, weighted=True).tolist() == pytest.approx([0.4 * 8])
    assert top_k_intersection(MAP, MASK, k=2, concept_influence=True).tolist() == pytest.approx([0.5 * 8 / 2])
    assert pointing_game(MAP, MASK, [Frame.whole((2, 4))], tolerance=0.5, weighted=True).tolist() == [1 - 2 / 8]
    assert pointing_game(-MAP, ~MASK, [Frame.whole((2, 4))], tolerance=0.5, weighted=True).tolist() == [0]


@pytest.mark.parametrize(
    ("metric", "options"),
    [(mass_accuracy, {"weighted": True}), (top_k_intersection, {"k": 3, "concept_influence": True})],
)
def test_weighted_forms_are_1_by_chance_and_nan_without_a_thing(metric, options):
    assert metric(torch.ones(1, 2, 4), MASK, **options).tolist() == pytest.approx([1.0])
    assert metric(MAP, torch.zeros_like(MASK), **options).isnan().all()


def test_roc_auc_by_hand_and_by_another_program():
    """Of the 2 x 6 pairs of a pixel of the thing (4 and -1) with another, the 4 wins 6 and the -1 none."""
    assert roc_auc(MAP, MASK).tolist() == pytest.approx([6 / 12])
    assert roc_auc(torch.ones(1, 2, 4), MASK).tolist() == [0.5]
    assert roc_auc(MASK.double(), MASK).tolist() == [1.0]
    draw = torch.Generator().manual_seed(1)
    values, mask = torch.randint(-2, 5, (4, 5, 6), generator=draw), torch.rand(4, 5, 6, generator=draw) < 0.3
    mask[2], mask[3] = False, True
    found = roc_auc(values.double(), mask)
    right = [roc_auc_score(mask[k].flatten(), values[k].flatten()) for k in range(2)]
    assert found[:2].tolist() == pytest.approx(right, rel=1e-12)
    assert found[2:].isnan().all()


def test_focus_on_mosaics():
    """Each mosaic shows its own picture, a second of its class and two others, where `parts` and `masks` say."""
    given, labels = pictures(6, side=3), [5, 5, 7, 7, 9, 9]
    made = pellucid.mosaics(given, labels, seed=3)
    assert made.targets == tuple(labels)
    for k in range(6):
        classes = [labels[p] for p in made.parts[k]]
        assert k in made.parts[k].tolist()
        assert len(set(made.parts[k].tolist())) == 4
        assert classes.count(labels[k]) == 2
        for place, part in enumerate(made.parts[k].tolist()):
            down, across = slice(place // 2 * 3, place // 2 * 3 + 3), slice(place % 2 * 3, place % 2 * 3 + 3)
            assert torch.equal(made.pictures[k, :, down, across], given[part])
            assert bool((made.masks[k, down, across] == (labels[part] == labels[k])).all())
    assert torch.equal(made.pictures, pellucid.mosaics(given, torch.tensor(labels), seed=3).pictures)
    assert not torch.equal(made.parts, pellucid.mosaics(given, labels, seed=4).parts)
    values = torch.zeros(6, 6, 6)
    values[:, 0, 0], values[:, 5, 5] = 3, 1  # upper left and lower right
    right = (3 * made.masks[:, 0, 0].double() + made.masks[:, 5, 5]) / 4
    assert torch.allclose(focus(values, made.masks), right)


def test_focus_is_judged_as_any_metric():
    made = pellucid.mosaics(pictures(4), [0, 0, 2, 2])
    result = pellucid.explain(Net(), made.pictures, "saliency", target=list(made.targets))
    score = pellucid.evaluate(result, "focus", masks=made.masks)["saliency", "focus"]
    values = result["saliency"].values.clamp(min=0)
    assert torch.allclose(score.values, (values * made.masks).sum((1, 2)) / values.sum((1, 2)))


@pytest.mark.parametrize(
    ("labels", "match"),
    [([0, 0, 0, 1], "others 1"), ([0, 1, 1, 1], "of class 0 there are 1"), ([0, 0, 1], "labels of mosaics")],
)
def test_mosaics_that_cannot_be_made(labels, match):
    with pytest.raises(BadOption, match=match):
        pellucid.mosaics(pictures(4), labels)
    with pytest.raises(BadOption, match=r"pellucid\.mosaics makes"):
        focus(MAP, MASK)


@pytest.mark.parametrize("metric", ["deletion", "pixel-flipping", "road"])
def test_the_area_under_each_curve(metric):
    """Trapezoids, point by point."""
    score = pellucid.explain(Net(), pictures(), "saliency", target=0)["saliency"].score(metric, steps=4)
    assert set(score.areas) == ({"curve", "most", "least"} if metric == "road" else {"curve"})
    for name, areas in score.areas.items():
        rows, axis = score.extras[name].tolist(), score.axis
        for row, area in zip(rows, areas.tolist(), strict=True):
            right = sum((axis[k + 1] - axis[k]) * (row[k] + row[k + 1]) / 2 for k in range(len(axis) - 1))
            assert area == pytest.approx(right, rel=1e-9)
    assert score.known["areas"]["curve"] == score.areas["curve"].tolist()
    if metric == "deletion":
        assert torch.allclose(score.areas["curve"], score.values)


# Tensors as what hides in metrics, absolute noise

HIDDEN = {
    "deletion": {"steps": 4},
    "insertion": {"steps": 4},
    "pixel-flipping": {"steps": 4, "share": 0.5},
    "irof": {"regions": "2x2"},
    "average-drop": {},
    "infidelity": {"squares": 8},
    "faithfulness-correlation": {"subsets": 8, "share": 0.3},
}


def test_tensors_hide_in_metrics_as_numbers_do():
    explained = pellucid.explain(Net(), pictures(), ["saliency", "occlusion"], target=[0, 2])

    def judged(fill):
        options = {name: {**each, "baseline": fill} for name, each in HIDDEN.items()}
        return [score.values for score in pellucid.evaluate(explained, list(HIDDEN), options, controls=False)]

    right = judged(0.5)
    for shape in ((2,), (2, 8, 8), (2, 2, 8, 8)):
        found = judged(torch.full(shape, 0.5, dtype=torch.float64))
        assert all(torch.equal(a, b) for a, b in zip(found, right, strict=True))


def test_a_picture_and_a_label_map_for_each_in_metrics():
    """The end of a deletion is the picture of the same number; each picture alone says the same."""
    image, other = pictures(), pictures().flip(0) * 0.5
    labels = torch.arange(64).reshape(1, 8, 8).repeat(2, 1, 1) // 32
    labels[1] = labels[0].T
    options = {
        "deletion": {"steps": 2, "baseline": other},
        "irof": {"regions": labels, "baseline": other},
    }
    maps = {"mine": torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(1)).double()}
    explained = pellucid.explain(Net(), image, "saliency", target=1)
    found = pellucid.evaluate(explained, list(options), options, maps=maps)
    with torch.no_grad():
        ends = Net()(other).softmax(1)[:, 1]
    assert torch.allclose(found["mine", "deletion"].extras["curve"][:, -1], ends)
    for k in range(2):
        one = pellucid.explain(Net(), image[k : k + 1], "saliency", target=1)
        own = {name: {key: v[k : k + 1] if torch.is_tensor(v) else v for key, v in each.items()}
               for name, each in options.items()}  # fmt: skip
        alone = pellucid.evaluate(one, list(own), own, maps={"mine": maps["mine"][k : k + 1]})
        for metric in own:
            for name in ("mine", "saliency"):
                assert torch.allclose(alone[name, metric].values, found[name, metric].values[k : k + 1])
    assert "<tensor [2, 2, 8, 8]" in repr(found["mine", "deletion"].options["baseline"])


def test_a_tensor_in_a_metric_that_does_not_fit():
    explained = pellucid.explain(Net(), pictures(), "saliency", target=1)
    with pytest.raises(BadOption, match=r"of deletion that fits pictures of shape \[\d+, 2, 8, 8\]"):
        pellucid.evaluate(explained, "deletion", {"deletion": {"baseline": torch.zeros(3)}})


def test_compared_with_a_tensor_that_hides(tmp_path):
    """The film of scores that were kept shows the colour that was given, on as many pixels as were hidden."""
    model = pellucid.wrap(Net(3), size=8, mean=[0.0] * 3, std=[1.0] * 3)
    fill = torch.tensor([1.0, 0.0, 1.0])
    options = {"deletion": {"steps": 4, "baseline": fill}}
    photograph = Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8))
    for _ in range(2):  # the second time from what was kept
        compared = pellucid.compare(
            model, [photograph], ["saliency"], ["deletion"], options=options, target=1, folder=tmp_path, sanity=False
        )
    compared.save(tmp_path)
    (picture,), (_, filled) = compared.pictures, compared.metrics[0]
    score = picture.evaluation["saliency", "deletion"]
    assert "<tensor [3] of float32" in score.options["baseline"]
    frame = curve_frames(model, picture.picture.tensor, picture.maps["saliency"], score, filled)[-1]
    assert (np.asarray(frame.image) == [255, 0, 255]).all(2).sum() == round(frame.share * 64)


def test_the_noise_of_gradient_shap_as_an_absolute_value():
    """The same as the fraction of the picture's own range that it is."""
    image = pictures(1)
    width = float(image.max() - image.min())
    options = [{"noise": 0.1}, {"noise": 5.0, "sigma": 0.1 * width}]
    found = [
        pellucid.explain(Net(), image, "gradient-shap", target=0, options={"gradient-shap": {"samples": 3, **each}})
        for each in options
    ]
    assert torch.allclose(found[0]["gradient-shap"].raw, found[1]["gradient-shap"].raw, rtol=1e-9)
    assert found[1]["gradient-shap"].options["sigma"] == 0.1 * width
    with pytest.raises(BadOption, match="Expected sigma >= 0 for gradient-shap"):
        pellucid.explain(Net(), image, "gradient-shap", options={"gradient-shap": {"sigma": -1.0}})


# LRP's rules by layer


class Dense(nn.Module):
    """Two dense layers in containers; three inputs, all numbers chosen so that hidden values are positive."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(3, 2, bias=False), nn.ReLU()))
        self.head = nn.Linear(2, 1, bias=False)
        self.double().eval()
        self.body[1][0].weight.data = torch.tensor([[1.0, -2.0, 1.0], [2.0, 1.0, -0.5]]).double()
        self.head.weight.data = torch.tensor([[3.0, -1.0]]).double()

    def forward(self, x):
        return self.head(self.body(x))


ROW = torch.tensor([1.0, 2.0, 4.0]).double()


def by_rule(rule, x, w, relevance):
    """R_j = sum_k share_jk R_k by the formulas of Montavon et al. 2019, table 10.1, and Bach et al. 2015, eq. 60."""
    if rule == "gamma":  # gamma = 0.25, for x >= 0; outputs below zero favour what made them so
        towards = np.where((w @ x)[:, None] < 0, np.minimum(w, 0), np.maximum(w, 0))
        parts = x * (w + 0.25 * towards)
    elif rule == "alpha-beta":  # alpha = 2, beta = 1
        up, down = np.maximum(x * w, 0), np.minimum(x * w, 0)
        shares = 2 * up / up.sum(1, keepdims=True) - down / down.sum(1, keepdims=True)
        return shares.T @ relevance
    elif rule == "z-box":  # between -3 and 5
        parts = x * w + 3 * np.maximum(w, 0) - 5 * np.minimum(w, 0)
    else:
        parts = {"epsilon": x * w, "z-plus": np.maximum(x * w, 0), "flat": np.ones_like(w), "w-square": w**2}[rule]
    return (parts / parts.sum(1, keepdims=True)).T @ relevance


def relevance_of(net, image, **options):
    return pellucid.explain(net, image, "lrp", target=0, options={"lrp": options})["lrp"]


@pytest.mark.parametrize("below", ["epsilon", "z-plus", "gamma", "alpha-beta", "flat", "w-square", "z-box"])
def test_rules_of_lrp_by_layer_are_their_formulas(below):
    net, above = Dense(), "gamma" if below != "gamma" else "alpha-beta"
    first, second = net.body[1][0].weight.detach().numpy(), net.head.weight.detach().numpy()
    hidden = first @ ROW.numpy()
    score = second @ hidden
    right = by_rule(below, ROW.numpy(), first, by_rule(above, hidden, second, score))
    numbers = {"composite": "epsilon", "epsilon": 0.0, "low": -3.0, "high": 5.0}
    found = relevance_of(net, ROW.reshape(1, 1, 1, 3), rules={"body": below, "head": above}, **numbers)
    assert found.raw.flatten().tolist() == pytest.approx(right.tolist(), rel=1e-5)
    assert found.options["rules"] == f"body={below},head={above}"
    same = relevance_of(net, ROW.reshape(1, 1, 1, 3), rules=f"body = flat, head={above},body.1.0={below}", **numbers)
    assert torch.equal(same.raw, found.raw), "the innermost layer counts"


def test_a_rule_of_a_convolution_goes_along_with_the_batch_norm_above_it():
    """Written as one convolution whose weights are scaled and whose bias is shifted, it is the same network."""
    torch.manual_seed(3)
    conv, norm = nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2)
    norm.running_var.uniform_(0.5, 2)
    norm.running_mean.uniform_(-1, 1)
    head = nn.Sequential(nn.Flatten(), nn.Linear(8, 1))
    apart = nn.Sequential(conv, norm, nn.ReLU(), head).double().eval()
    one = nn.Conv2d(1, 2, 2).double()
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    one.weight.data = conv.weight.data * scale[:, None, None, None]
    one.bias.data = (conv.bias - norm.running_mean) * scale + norm.bias
    image = torch.randn(2, 1, 3, 3).double()
    for rule in ("gamma", "alpha-beta", "z-box"):
        found = relevance_of(apart, image, rules={"0": rule, "3": "epsilon"}).raw
        right = relevance_of(nn.Sequential(one, nn.ReLU(), head).eval(), image, rules={"0": rule, "2": "epsilon"}).raw
        assert torch.allclose(found, right, rtol=1e-9)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in apart.modules())


@pytest.mark.parametrize(
    ("rules", "error", "match"),
    [
        ({"boddy": "gamma"}, UnknownName, "Did you mean 'body'"),
        ({"body": "gama"}, BadOption, "no rule 'gama' for the layer 'body'. It has: epsilon"),
        ({"body.0": "gamma"}, BadOption, "no dense layer and no convolution"),
        ("body", BadOption, "features.0=z-box"),
        ("body=flat,body=gamma", BadOption, "one rule for the layer 'body'"),
        ({"head": "z-box"}, Refused, "z-box rule needs the range"),
        ({"body": 3}, BadOption, "got 3"),
    ],
)
def test_rules_of_lrp_that_cannot_be(rules, error, match):
    with pytest.raises(error, match=match):
        relevance_of(Dense(), ROW.reshape(1, 1, 1, 3), rules=rules)


def test_rules_of_lrp_on_the_command_line():
    assert parse_option(find_method("lrp"), "rules", "body=flat,head=gamma") == "body=flat,head=gamma"


# Windows and regions that hide one channel at a time


def covered(length, window, stride):
    """Where windows begin: at multiples of the stride until the last reaches the end."""
    starts = [0]
    while starts[-1] + window < length:
        starts.append(starts[-1] + stride)
    return starts


@pytest.mark.parametrize("shape", ["square", "disc"])
def test_windows_of_one_channel_by_brute_force(shape):
    """Every window of every channel is hidden in copies of the pictures; each pixel has the mean over its windows."""
    net, image, window, stride = Net(), pictures(), 3, 2
    starts = covered(8, window, stride)
    total, count = torch.zeros_like(image), torch.zeros(8, 8)
    with torch.no_grad():
        whole = net(image)[:, 1]
        for top in starts:
            for left in starts:
                box = torch.zeros(8, 8, dtype=torch.bool)
                box[top : top + window, left : left + window] = True
                count += box
                seen = box.clone()
                if shape == "disc":  # of diameter 3: the corners are farther than 1.5 pixels from the middle
                    rows, columns = torch.meshgrid(torch.arange(8) - top - 1, torch.arange(8) - left - 1, indexing="ij")
                    seen &= rows**2 + columns**2 <= 1.5**2
                for channel in range(2):
                    hidden = image.clone()
                    hidden[:, channel, seen] = 0.3
                    total[:, channel, box] += (whole - net(hidden)[:, 1])[:, None]
    options = {"window": window, "stride": stride, "fill": 0.3, "shape": shape, "by_channel": True}
    found = pellucid.explain(net, image, "occlusion", target=1, options={"occlusion": options})["occlusion"]
    assert torch.allclose(found.raw, total / count, rtol=1e-9, atol=1e-12)
    assert torch.equal(found.values, found.raw.sum(1))
    assert found.extras["drops"].shape == (2, 2, len(starts), len(starts)) == found.extras["classes"].shape
    assert any("one at a time" in note for note in found.notes)


def test_a_hole_in_one_channel_is_painted_by_its_own_neighbours():
    """A hidden pixel becomes the mean of the four around it in the same channel."""
    net, image = Net(), pictures(1, 5)
    options = {"window": 1, "stride": 1, "fill": "inpaint", "by_channel": True}
    found = pellucid.explain(net, image, "occlusion", target=0, options={"occlusion": options})["occlusion"]
    for channel in range(2):
        filled, plane = image.clone(), image[0, channel]
        filled[0, channel, 2, 2] = (plane[1, 2] + plane[3, 2] + plane[2, 1] + plane[2, 3]) / 4
        with torch.no_grad():
            lost = float((net(image) - net(filled))[0, 0])
        assert float(found.raw[0, channel, 2, 2]) == pytest.approx(lost, rel=1e-5)


def test_regions_of_one_channel_by_brute_force():
    net, image = Net(), pictures()
    options = {"regions": "1x2", "by_channel": True, "fill": "mean"}
    found = pellucid.explain(net, image, "feature-ablation", target=2, options={"feature-ablation": options})
    found = found["feature-ablation"]
    with torch.no_grad():
        for channel in range(2):
            for half in (slice(0, 4), slice(4, 8)):
                hidden = image.clone()
                hidden[:, channel, :, half] = image[:, channel].mean((1, 2))[:, None, None]
                lost = (net(image) - net(hidden))[:, 2]
                assert torch.allclose(found.raw[:, channel, :, half], lost[:, None, None].expand(-1, 8, 4), rtol=1e-9)
    assert torch.equal(found.values, found.raw.sum(1))
    assert found.extras["values of regions"].shape == (2, 2, 2)


def test_noise_around_windows_of_one_channel():
    image = pictures(1)
    options = {"window": 4, "stride": 4, "by_channel": True}
    plain = pellucid.explain(Net(), image, "occlusion", target=1, options={"occlusion": options})["occlusion"]
    still = {"smoothgrad": {"of": "occlusion", "samples": 2, "sigma": 0.0}, "occlusion": options}
    found = pellucid.explain(Net(), image, "smoothgrad", target=1, options=still)["smoothgrad"]
    assert torch.allclose(found.raw, plain.raw, rtol=1e-9)
    assert torch.allclose(found.values, plain.values, rtol=1e-9)


# Every output at once


class Counting(Net):
    """Counts the rows that it was given."""

    rows = 0

    def forward(self, x):
        self.rows += len(x)
        return super().forward(x)


ASKED = {
    "occlusion": {"window": 3, "stride": 2},
    "feature-ablation": {"regions": "2x2"},
    "rise": {"masks": 12},
    "kernel-shap": {"regions": "2x2"},
    "occlusion-coarse-to-fine": {},
    "saliency": {},
    "grad-cam": {},
}


@pytest.mark.parametrize("method", ASKED)
def test_every_output_at_once_is_each_output_alone(method):
    """Also for the method whose questions depend on the scores (coarse to fine), which must not be confused."""
    options = {method: ASKED[method]}
    together = pellucid.explain(Net(), pictures(), method, target="all", layer="second", options=options)
    assert [each.target for each in together] == [(f"class {k}",) * 2 for k in range(3)]
    for k, found in enumerate(together):
        alone = pellucid.explain(Net(), pictures(), method, target=k, layer="second", options=options)[method]
        assert torch.allclose(found.raw, alone.raw, rtol=1e-9, atol=1e-12)
        assert torch.allclose(found.values, alone.values, rtol=1e-9, atol=1e-12)
        assert found.cost.forward == alone.cost.forward
        for name, extra in alone.extras.items():
            assert torch.allclose(found.extras[name].double(), extra.double(), rtol=1e-9, atol=1e-12)


def test_passes_over_changed_pictures_are_read_for_all_outputs_at_once():
    counts = []
    for target in (0, "all"):
        net = Counting()
        pellucid.explain(net, pictures(), "rise", target=0, options={"rise": {"masks": 30}})  # measures the network
        net.rows = 0
        pellucid.explain(net, pictures(), "rise", target=target, options={"rise": {"masks": 30}})
        counts.append(net.rows)
    assert counts[1] - counts[0] <= 4, "a look at what the outputs are"


def test_all_as_the_name_of_a_class_and_where_it_cannot_be():
    model = pellucid.wrap(Net(), classes=["none", "all", "some"])
    assert pellucid.explain(model, pictures(1), "saliency", target="all")["saliency"].target == ("all",)
    with pytest.raises(BadOption, match="which only explain gives"):
        pellucid.compare(Net(), pictures(1), ["saliency"], ["deletion"], target="all")
    with pytest.raises(BadOption, match="which only explain gives"):
        pellucid.locate(Net(), pictures(1), "saliency", target="all")
    many = nn.Sequential(nn.Flatten(), nn.Linear(128, 101)).double()
    with pytest.raises(BadOption, match="101 outputs of Sequential; 100 are the most"):
        pellucid.explain(many, pictures(1), "saliency", target="all")


def test_the_same_words_on_the_command_line(tmp_path, monkeypatch, capsys):
    """Three maps of each method, a rule and channels as they were asked for."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))\n"
    )
    asked = "--model net.py:make --size 8 --target all --method occlusion,lrp --lrp.rules 0=z-box,3=gamma"
    said = main(["explain", "sample:coffee", *asked.split(), "--occlusion.by-channel", "yes", "--json", "--out", "out"])
    assert said == json.loads(capsys.readouterr().out)["exit_code"] == 0
    manifest = json.loads((tmp_path / "out" / "coffee" / "manifest.json").read_text())
    options = [each["options"] for each in manifest["methods"]]
    assert [each["rules"] for each in options if "rules" in each] == ["0=z-box,3=gamma"] * 3
    assert [each["by_channel"] for each in options if "window" in each] == [True] * 3
