"""Objectives: written and read back alike, and each worth what its formula says."""

import numpy as np
import pytest
import torch
from dreaming_nets import small
from PIL import Image

import pellucid
from pellucid.capture.differentiable import differentiable_forward
from pellucid.errors import BadOption, BadSite, UnknownName
from pellucid.feature_visualisation import described, parse
from pellucid.feature_visualisation.evaluator import ObjectiveEvaluator
from pellucid.feature_visualisation.objectives import L2, Channel, ClassLogit, Facet, Neuron, TotalVariation


def values(text, pictures, model=None):
    """The objective's value of pictures, and what the layers gave."""
    model, wanted = model or small(), parse(text) if isinstance(text, str) else text
    sites = [part.site for part in wanted.walk() if part.site]
    with differentiable_forward(model, sites, scores=any(p.needs_scores for p in wanted.walk())) as eyes:
        return ObjectiveEvaluator(model, eyes, model.preprocess, wanted).judge(pictures)[0]


def layers(pictures, model=None):
    net, given = (model or small()).module, (pictures - 0.5) / 0.25
    with torch.no_grad():
        first = net.conv1(given)
        second = net.conv2(first.relu())
        return given, first, second, net.fc(second.relu().mean((2, 3)))


PICTURES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "text",
    [
        'channel("conv1", 3)',
        'channel("conv1", 3) + 0.5 * logit("cat") - 0.01 * tv()',
        'neuron("conv1", 3, row=2, column=5)',
        '(channel("a", 1) - channel("b", 2)) * 2',
        'channel("a", 1) - (channel("b", 2) - 3)',
        "1 / (2 + l2(level=0.5))",
        "logit((1, 2, 3))",
        'facet("conv1", (1.0, 0.0), channel("conv2", 1))',
        "-logit(2)",
        'channel("a", 1) * -2',
        '(1.0, 0.123456789, 0.0) * channel("a", 1) + (0, 0.5, 1) * channel("a", 2)',
    ],
)
def test_what_is_written_is_read_back(text):
    first = parse(text)
    assert parse(str(first)) == first


def test_python_and_text_agree():
    assert Channel("conv1", 3) + 0.5 * ClassLogit("cat") - 0.01 * TotalVariation() == parse(
        'channel("conv1", 3) + 0.5 * logit("cat") - 0.01 * tv()'
    )
    assert 1 - Neuron("a", 1) / 2 == parse('1 - neuron("a", 1) / 2')


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("channel(", BadOption, "cannot be read"),
        ("__import__('os')", UnknownName, "objective '__import__'"),
        ("chanel('a', 1)", UnknownName, "channel"),
        ("channel('a')", BadOption, "does not fit: channel\\(layer, unit\\)"),
        ("1 + 2", BadOption, "joins no objectives"),
        ("channel.x", BadOption, "not understood"),
        ("3", BadOption, "not an objective"),
        ("logit(1) + 'a'", BadOption, "objective or a number"),
        ("(" * 5000, BadOption, "cannot be read"),
    ],
)
def test_what_cannot_be_read(text, error, words):
    with pytest.raises(error, match=words):
        parse(text)


def test_values_by_hand():
    given, first, second, scores = layers(PICTURES)
    close = torch.testing.assert_close
    close(values('channel("conv1", 3)', PICTURES), first[:, 3].mean((1, 2)))
    close(values('neuron("conv1", 3)', PICTURES), first[:, 3, 8, 8])
    close(values('neuron("conv1", 3, 1, 2)', PICTURES), first[:, 3, 1, 2])
    close(values('channel("conv2", (1, 5))', PICTURES), torch.stack([second[0, 1].mean(), second[1, 5].mean()]))
    close(values('unit("fc", 2)', PICTURES), scores[:, 2])
    close(values('logit("cat")', PICTURES), scores[:, 2])
    close(values("logit((0, 3))", PICTURES), torch.stack([scores[0, 0], scores[1, 3]]))
    close(values("probability(1)", PICTURES), scores.softmax(1)[:, 1])
    close(values('deep_dream("conv2")', PICTURES), second.square().mean((1, 2, 3)))
    close(values("energy()", PICTURES), given.square().sum((1, 2, 3)))
    close(values("l2(0.5)", PICTURES), (PICTURES - 0.5).square().sum((1, 2, 3)))
    close(values("l1()", PICTURES), PICTURES.sum((1, 2, 3)))
    rough = PICTURES.diff(dim=2).abs().sum((1, 2, 3)) + PICTURES.diff(dim=3).abs().sum((1, 2, 3))
    close(values("tv()", PICTURES), rough)
    close(values("logit(1) / 2 - 3 * tv() + 1", PICTURES), scores[:, 1] / 2 - 3 * rough + 1)


def test_penalties_by_hand():
    def smooth(x, side):
        kernel = torch.ones(side, side)
        kernel[0] = kernel[-1] = kernel[:, 0] = kernel[:, -1] = 0.5
        kernel = kernel.expand(3, 1, side, side)
        one = torch.ones_like(x)
        total, count = (torch.nn.functional.conv2d(v, kernel, padding=side // 2, groups=3) for v in (x, one))
        return total / count

    away = (PICTURES - smooth(PICTURES, 3)).square().sum((1, 2, 3)) / 2
    torch.testing.assert_close(values("blur()", PICTURES), away)
    rough = (PICTURES - smooth(PICTURES, 5)).square() + 0.8 * (PICTURES - 0.25).square()
    margin = torch.ones(16, 16)
    margin[3:-3, 3:-3] = 0
    expected = (rough * margin).sum((1, 2, 3))
    torch.testing.assert_close(values("boundary(width=3, level=0.25)", PICTURES), expected)


class Tokens(torch.nn.Module):
    """Four tokens of twelve features, mixed and projected."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.mix, self.proj, self.head = torch.nn.Linear(12, 12), torch.nn.Linear(12, 12), torch.nn.Linear(12, 4)

    def forward(self, x):
        tokens = torch.nn.functional.unfold(x, 8, stride=8).transpose(1, 2)[:, :, ::16]
        return self.head(self.proj(self.mix(tokens)).mean(1))


def test_tokens_and_heads_by_hand():
    net = Tokens()
    model = pellucid.wrap(net, size=16, mean=(0.5,) * 3, std=(0.25,) * 3)
    with torch.no_grad():
        given = torch.nn.functional.unfold((PICTURES - 0.5) / 0.25, 8, stride=8).transpose(1, 2)[:, :, ::16]
        mixed = net.mix(given)
    close = torch.testing.assert_close
    close(values('token("mix", 2, 5)', PICTURES, model), mixed[:, 2, 5])
    close(values('token("mix", 2, (5, 6))', PICTURES, model), torch.stack([mixed[0, 2, 5], mixed[1, 2, 6]]))
    close(values('channel("mix", 5)', PICTURES, model), mixed[:, :, 5].mean(1))
    # head 1 of 3 is features 4 to 7 of what goes into the projection
    close(values('head("proj@input", 1, 3)', PICTURES, model), mixed[:, :, 4:8].square().mean((1, 2)))
    for text, words in (('token("mix", 4, 0)', "tokens run from 0 to 3"), ('head("proj", 0, 5)', "do not split")):
        with pytest.raises(BadOption, match=words):
            values(text, PICTURES, model)


def test_directions_by_hand():
    _, first, _, _ = layers(PICTURES)
    vector = torch.arange(6.0)
    dot = torch.einsum("bchw,c->bhw", first, vector)
    cosine = dot / (first.norm(dim=1) * vector.norm())
    text = 'direction("conv1", (0, 1, 2, 3, 4, 5), power=2)'
    torch.testing.assert_close(values(text, PICTURES), (dot * cosine.clamp(min=0.1) ** 2).mean((1, 2)))
    text = 'direction_neuron("conv1", (0, 1, 2, 3, 4, 5), row=0, column=1)'
    torch.testing.assert_close(values(text, PICTURES), dot[:, 0, 1])


def test_batch_objectives_by_hand():
    _, _, second, _ = layers(PICTURES)
    maps = second.flatten(2)
    grams = [torch.nn.functional.normalize((m @ m.T).flatten(), dim=0) for m in maps]
    alike = grams[0] @ grams[1]
    torch.testing.assert_close(values('diversity("conv2")', PICTURES), torch.stack([alike, alike]))
    away = (second[0] - second[1]).square().mean() / 2
    torch.testing.assert_close(values('alignment("conv2")', PICTURES), torch.stack([away, torch.tensor(0.0)]))


def test_objectives_of_photographs(tmp_path):
    path = tmp_path / "p.png"
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    own = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    text = f'inversion("conv2", {str(path)!r})'
    torch.testing.assert_close(values(text, own), torch.zeros(1), atol=1e-6, rtol=0)
    assert values(text, PICTURES).max() < -0.05
    torch.testing.assert_close(
        values(f"difference({str(path)!r})", PICTURES), (PICTURES - own).square().mean((1, 2, 3))
    )
    (_, _, mine, _), (_, _, goal, _) = layers(PICTURES), layers(own)
    dot = (mine * goal).sum((1, 2, 3))
    cosine = dot / (mine.flatten(1).norm(dim=1) * goal.norm())
    expected = dot / mine[0].numel() * cosine.clamp(min=0.1)
    torch.testing.assert_close(values(f'caricature("conv2", {str(path)!r})', PICTURES), expected)


def test_facet_by_autograd():
    model = small()
    net, given = model.module, (PICTURES - 0.5) / 0.25
    first = net.conv1(given)
    main = net.conv2(first.relu())[:, 1].mean((1, 2))
    (slope,) = torch.autograd.grad(main.sum(), first)
    vector = torch.arange(6.0)
    expected = main + torch.einsum("bchw,c->b", first * slope, vector)
    found = values(Facet("conv1", tuple(vector.tolist()), Channel("conv2", 1)), PICTURES)
    torch.testing.assert_close(found, expected.detach())


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ('channel("conv1", 6)', BadOption, "units run from 0 to 5"),
        ('channel("conv1", (1, 2, 3))', BadOption, "names 3 values for 2 pictures"),
        ('channel("fc", 1)', BadSite, "needs a layer with 4 axes"),
        ('channel("conv9", 1)', UnknownName, "conv9"),
        ('neuron("conv1", 1, 20, 0)', BadOption, "outside of 16 rows"),
        ('direction("conv1", (1, 2))', BadOption, "2 numbers for 6 channels"),
        ('logit("zebra")', UnknownName, "zebra"),
    ],
)
def test_what_does_not_fit_the_network(text, error, words):
    with pytest.raises(error, match=words):
        values(text, PICTURES)


def test_every_objective_is_described():
    assert all(described().values())
    assert {"channel", "logit", "tv", "diversity"} <= set(described())
    assert L2().name == "l2"
