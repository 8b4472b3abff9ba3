"""Likeness to another picture."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import pellucid
import tiny
from pellucid.contracts import Frame
from pellucid.errors import BadOption, BadOutput, BadPicture
from pellucid.targets import Similarity, TargetContext

IMAGE = tiny.images(3)
OTHER = tiny.images(3, seed=9)


class Embeds(tiny.Plain):
    """Gives the pooled features instead of class scores; `maps` without pooling."""

    def __init__(self, maps=False):
        super().__init__()
        self.maps = maps

    def forward(self, x):
        y = self.features(x)
        return {"embedding": y if self.maps else y.mean((2, 3))}


@pytest.fixture(scope="module")
def net():
    return tiny.build(Embeds)


def cosine_and_gradient(net, image, reference):
    """c = v . r / (|v| |r|); dc/dv = r / (|v| |r|) - c v / |v|^2, then back through the network."""
    leaf = image.clone().requires_grad_()
    v = net(leaf)["embedding"].flatten(1)
    with torch.no_grad():
        r = reference.expand(len(v), -1)
        lengths = v.norm(dim=1, keepdim=True), r.norm(dim=1, keepdim=True)
        c = (v * r).sum(1, keepdim=True) / (lengths[0] * lengths[1])
        start = r / (lengths[0] * lengths[1]) - c * v / lengths[0] ** 2
    (gradient,) = torch.autograd.grad(v, leaf, start)
    return c[:, 0], gradient


@pytest.mark.parametrize("maps", [False, True])
@pytest.mark.parametrize("rows", [slice(0, 1), slice(0, 3)], ids=["one for all", "one each"])
def test_score_and_gradient_by_hand(maps, rows):
    net = tiny.build(Embeds, maps)
    with torch.no_grad():
        reference = net(OTHER[rows])["embedding"].flatten(1)
    score, gradient = cosine_and_gradient(net, IMAGE, reference)
    target = Similarity(OTHER[rows])
    torch.testing.assert_close(pellucid.explain(net, IMAGE, "saliency", target)["saliency"].raw, gradient)
    options = {"occlusion": {"window": 16, "stride": 16}}
    drop = pellucid.explain(net, IMAGE, "occlusion", target, options=options)["occlusion"].raw.flatten()
    hidden, _ = cosine_and_gradient(net, torch.zeros_like(IMAGE), reference)
    torch.testing.assert_close(drop, score - hidden)


def test_a_linear_embedding():
    """v = W x, by hand."""
    linear = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False)).double()
    linear[1].weight.data = torch.tensor([[1.0, 0, 0, 0], [0, 2, 0, 0], [0, 0, 1, 1]], dtype=torch.float64)
    x = torch.tensor([[[[3.0, 2.0], [0.0, 0.0]]]], dtype=torch.float64)  # v = (3, 4, 0), of length 5
    r = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)  # c = 0.6
    raw = pellucid.explain(linear, x, "saliency", Similarity(r))["saliency"].raw.flatten()
    # dc/dv = r / 5 - 0.6 v / 25
    torch.testing.assert_close(raw, torch.tensor([0.128, -0.096 * 2, 0.0, 0.0], dtype=torch.float64))


def test_the_same_by_embedding_and_by_picture(net):
    with torch.no_grad():
        reference = net(OTHER)["embedding"]
    by_picture = pellucid.explain(net, IMAGE, ["saliency", "grad-cam"], Similarity(OTHER))
    by_embedding = pellucid.explain(net, IMAGE, ["saliency", "grad-cam"], Similarity(reference))
    for a, b in zip(by_picture, by_embedding, strict=True):
        torch.testing.assert_close(a.values, b.values)
    assert by_picture["saliency"].target == ("similarity to the reference",) * 3


METHODS = {
    "grad-cam": {}, "saliency": {}, "occlusion": {"window": 8, "stride": 8}, "score-cam": {}, "ablation-cam": {},
    "integrated-gradients": {"steps": 2}, "smoothgrad": {"samples": 2},
}  # fmt: skip


@pytest.mark.parametrize("chunk", [None, 1, 2])
def test_pictures_and_chunks_do_not_mix(net, chunk):
    options = {name: given for name, given in METHODS.items() if given}
    together = pellucid.explain(net, IMAGE, list(METHODS), Similarity(OTHER), options=options, chunk=chunk)
    for k in range(3):
        rows = slice(k, k + 1)
        alone = pellucid.explain(net, IMAGE[rows], list(METHODS), Similarity(OTHER[rows]), options=options)
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a.values[k], b.values[0], rtol=1e-9, atol=1e-12, msg=a.method.id)


def test_references_as_pictures(tmp_path):
    model = pellucid.wrap(tiny.build(Embeds, dtype=torch.float32), size=16, resize=None)
    arrays = np.random.default_rng(0).integers(0, 256, (3, 20, 20, 3), dtype=np.uint8)
    path = tmp_path / "other.png"
    Image.fromarray(arrays[1]).save(path)
    forms = [str(path), path, arrays[1], Image.open(path), f"like:{path}"]
    found = [
        pellucid.explain(model, arrays[0], "saliency", form if form is forms[-1] else Similarity(form))["saliency"]
        for form in forms
    ]
    for a in found:
        torch.testing.assert_close(a.raw, found[0].raw)
    names = ["other.png", "other.png", "the reference", "the reference", "other.png"]
    assert [a.target[0] for a in found] == [f"similarity to {name}" for name in names]
    assert pellucid.explain(model, arrays[0], "saliency", "like:sample:cat")["saliency"].target == (
        "similarity to cat",
    )
    pair = pellucid.explain(model, list(arrays[:2]), "saliency", Similarity([arrays[2], arrays[1]], name="those"))
    assert pair["saliency"].target == ("similarity to those",) * 2
    with pytest.raises(BadPicture, match=r"nowhere\.png"):
        pellucid.explain(model, arrays[0], "saliency", "like:nowhere.png")


def test_what_cannot_be_compared(net):
    def explain(target, module=net, **more):
        pellucid.explain(module, IMAGE, "saliency", target, **more)

    with pytest.raises(BadOption, match="Expected one reference or 3"):
        explain(Similarity(OTHER[:2]))
    with pytest.raises(BadOption, match="The reference has 5 numbers, and Embeds gives 8 for a picture"):
        explain(Similarity(torch.ones(5)))
    with pytest.raises(BadOption, match="finite and not zero"):
        explain(Similarity(torch.zeros(8)))
    with pytest.raises(
        BadOutput, match=r"Expected an embedding \[batch, number\] from model, got tuple with 0: \[3, 5\]"
    ):
        explain(Similarity(torch.ones(8)), pellucid.wrap(tiny.build(tiny.Output, "tuple"), name="model"))
    with pytest.raises(BadOption, match="has no preprocessing"):
        explain(Similarity("sample:cat"))
    with pytest.raises(BadOption, match="call fit first"):
        Similarity(torch.ones(8)).score({"embedding": torch.ones(1, 8)}, torch.tensor([0]), pellucid.wrap(net))
    with pytest.raises(BadOption, match="no model at hand"):
        Similarity(OTHER).fit(TargetContext(pellucid.wrap(net), (Frame.whole((16, 16)),)))

    class Two(Embeds):
        def forward(self, x, y):
            return super().forward(x * y)

    with pytest.raises(
        BadOption, match="Two takes more than a picture, and what goes with another picture is not known"
    ):
        explain(Similarity(OTHER), tiny.build(Two), inputs=IMAGE)
