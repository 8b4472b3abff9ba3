"""LeGrad against loops written from the paper, and one layer by hand."""

import numpy as np
import pytest
import torch
from nets import close, numbers
from test_attention_gradient import OneLayer

import pellucid
from attention_nets import WRITINGS, Twin, ViT, build, images
from pellucid.errors import BadOption, Refused


def explain(net, image, target, **options):
    return pellucid.explain(net, image, "le-grad", target, options={"le-grad": options})["le-grad"]


def by_hand(net, picture, target, given):
    """The map of every layer, `[layer, row, column]`."""
    twin, maps = Twin(net, picture), []
    for layer, tokens in enumerate(twin.behind):
        seen = tokens.mean(0).expand_as(tokens) if given == "mean" else tokens
        slopes = twin.gradients(net.answer(seen[None])[0, target])[layer]
        total = np.zeros(len(tokens))
        for slope in slopes:
            for query in numbers(slope):
                total += np.maximum(query, 0)
        maps.append(total[net.prefix : net.prefix + 12].reshape(3, 4) / len(slopes) / len(tokens))
    return np.stack(maps)


@pytest.mark.parametrize("how", WRITINGS)
def test_against_loops(how):
    net, image, targets = build(how), images(), [3, 1]
    maps = np.stack([by_hand(net, p, t, "mean") for p, t in zip(image, targets, strict=True)])
    got = explain(net, image, targets)
    close(got.extras["layers"], maps)
    close(got.raw, maps.mean(1))
    assert all(layer.max() > 0 for layer in maps[0])


@pytest.mark.parametrize("seen", ["mean", "own"])
@pytest.mark.parametrize(
    "tokens",
    [{"prefix": 2, "reads": (0, 1)}, {"prefix": 3, "reads": "patches"}, {"prefix": 0, "behind": 1, "reads": (12,)}],
)
def test_scores_and_tokens(seen, tokens):
    net, image = build(**tokens), images()
    got = explain(net, image, 2, tokens=seen)
    close(got.extras["layers"], np.stack([by_hand(net, p, 2, seen) for p in image]))


def test_the_last_layers_only():
    net, image = build(), images()
    everything = explain(net, image, 2).extras["layers"]
    close(explain(net, image, 2, layers=2).raw, numbers(everything[:, 1:].mean(1)))
    with pytest.raises(BadOption, match="Expected 0 to 3 layers for le-grad on this network, got 4"):
        explain(net, image, 2, layers=4)


class Blocked(OneLayer):
    """`OneLayer` as modules: LeGrad needs the layer's output."""

    def __init__(self):
        super().__init__()
        self.block = _Block()

    def forward(self, x):
        tokens = torch.cat([self.first.expand(len(x), -1, -1), self.cut(x).flatten(2).transpose(1, 2)], 1)
        return self.head(self.block(tokens)[:, 0])


class _Block(torch.nn.Module):
    def forward(self, tokens):
        heads = tokens.transpose(1, 2)[..., None]
        mixed = torch.nn.functional.scaled_dot_product_attention(heads, heads, heads)
        return tokens + mixed[..., 0].transpose(1, 2)


def test_one_layer_by_hand():
    net, image = Blocked().double(), torch.tensor([[[[1.0, -1.0], [0.5, 2.0]]]], dtype=torch.float64)
    pixels = np.array([1.0, -1.0, 0.5, 2.0])
    mean, own = np.zeros(4), np.zeros(4)
    for scale, w in ((1.0, 0.5), (2.0, 2.0)):
        slope = np.maximum(w * scale * pixels, 0)
        mean += slope / 5 / 2  # the score sees the mean of 5 tokens, so each of 5 rows has a fifth of it
        own += slope / 5 / 2  # one row of 5 has it all
    close(explain(net, image, 1).raw, mean.reshape(1, 2, 2), rtol=1e-6)
    close(explain(net, image, 1, tokens="own").raw, own.reshape(1, 2, 2), rtol=1e-6)


def test_the_classes_are_those_of_the_pictures_not_of_their_tokens_midway():
    net, image = build(), images(4)
    close(explain(net, image, None).raw, numbers(explain(net, image, net(image).argmax(1).tolist()).raw))


def test_blocks_that_write_into_what_they_are_given():
    class InPlace(ViT):
        def forward(self, x):
            x = self.tokens(x)
            for block in self.blocks:
                x = block(x)
                x += 0.5
            return self.answer(x - 0.5)

    class Added(ViT):
        def forward(self, x):
            x = self.tokens(x)
            for block in self.blocks:
                x = block(x) + 0.5
            return self.answer(x - 0.5)

    one, other = (explain(build(make=make), images(), 1, tokens="own") for make in (InPlace, Added))
    close(one.extras["layers"], numbers(other.extras["layers"]))


def test_layers_that_are_no_modules_are_refused():
    class Inline(ViT):
        def forward(self, x):
            x = self.tokens(x)
            for block in self.blocks:
                x = x + block.attn(block.norm1(x))
                x = x + block.down(torch.nn.functional.gelu(block.up(block.norm2(x))))
            return self.answer(x)

    net, image = build(make=Inline), images()
    with pytest.raises(Refused, match="le-grad cannot read this network: its layers are no modules of their own"):
        explain(net, image, 0)
    rolled = pellucid.explain(net, image, "attention-rollout", 0)["attention-rollout"]
    close(rolled.raw, numbers(pellucid.explain(build(), image, "attention-rollout", 0)["attention-rollout"].raw))


def test_a_head_that_mixes_the_batch_is_refused():
    class Mixes(ViT):
        def answer(self, x):
            return super().answer(x) + x.mean()

    class KeepsBatch(ViT):
        def forward(self, x):
            n = len(x)
            return self.answer(self.blocks(self.tokens(x)).reshape(n, -1, 8))

    for make in (Mixes, KeepsBatch):
        with pytest.raises(Refused, match="what follows its last layer depends on the rest of the batch"):
            explain(build(make=make), images(), 0)


def test_unknown_choice_of_tokens():
    with pytest.raises(BadOption, match="le-grad: expected 'mean' or 'own' as tokens, got 'class'"):
        explain(build(), images(), 0, tokens="class")
