"""torchvision's and timm's transformers, taken apart by hand, and torchcam's LeGrad, where it is defined."""

import pytest
import timm
import torch
from networks import agree
from timm.models.swin_transformer import SwinTransformer as TimmSwin
from torch import nn
from torch.nn import functional as F
from torchcam.methods import LeGrad
from torchvision.models import SwinTransformer, VisionTransformer, resnet18, vit_b_16

import pellucid
from pellucid.errors import Refused

METHODS = ["attention-rollout", "attention-gradient", "le-grad"]
TARGETS = [3, 7]


def image(size, channels=3, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, channels, size, size, generator=generator, dtype=torch.float64).to(dtype)


class Apart:
    """A transformer by its parts; keeps every attention matrix `[batch, head, query, key]` in the graph.

    Attributes:
        behind: the tokens behind each layer.
    """

    def __init__(self, net, picture, layers):
        self.net, self.matrices, self.behind = net, [], []
        x = self.tokens(picture)
        for layer in layers:
            x = self.layer(layer, x)
            self.behind.append(x)
        self.scores = self.answer(x)

    def attend(self, qkv, heads):
        q, k, v = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        self.matrices.append((q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1))
        return (self.matrices[-1] @ v).transpose(1, 2).flatten(2)


class Torchvision(Apart):
    def __init__(self, net, picture):
        super().__init__(net, picture, net.encoder.layers)

    def tokens(self, picture):
        x = self.net.conv_proj(picture).flatten(2).transpose(1, 2)
        return torch.cat([self.net.class_token.expand(len(x), -1, -1), x], 1) + self.net.encoder.pos_embedding

    def layer(self, layer, x):
        attn = layer.self_attention
        y = self.attend(F.linear(layer.ln_1(x), attn.in_proj_weight, attn.in_proj_bias), attn.num_heads)
        x = x + attn.out_proj(y)
        return x + layer.mlp(layer.ln_2(x))

    def answer(self, x):
        return self.net.heads(self.net.encoder.ln(x)[:, 0])


class Timm(Apart):
    def __init__(self, net, picture):
        super().__init__(net, picture, net.blocks)

    def tokens(self, picture):
        return self.net.norm_pre(self.net._pos_embed(self.net.patch_embed(picture)))

    def layer(self, layer, x):
        y = layer.attn.proj(self.attend(layer.attn.qkv(layer.norm1(x)), layer.attn.num_heads))
        x = x + layer.ls1(y)
        return x + layer.ls2(layer.mlp(layer.norm2(x)))

    def answer(self, x):
        return self.net.forward_head(self.net.norm(x))


def rollout(apart, read):
    total = torch.eye(apart.matrices[0].shape[-1]).to(apart.matrices[0])
    for matrix in apart.matrices:
        total = (matrix.mean(1) + torch.eye(len(total[-1])).to(matrix)) / 2 @ total
    return total[:, read].mean(1)


def weighted(apart, read):
    score = apart.scores[range(2), TARGETS].sum()
    slopes = torch.autograd.grad(score, apart.matrices, retain_graph=True)
    eye = torch.eye(apart.matrices[0].shape[-1]).to(score)
    total = eye
    for matrix, slope in zip(apart.matrices, slopes, strict=True):
        total = total + (matrix * slope).relu().mean(1) @ total
    return (total - eye)[:, read].mean(1)


def sensitivity(apart, read):
    maps = []
    for matrix, tokens in zip(apart.matrices, apart.behind, strict=True):
        score = apart.answer(tokens.mean(1, keepdim=True).expand_as(tokens))[range(2), TARGETS].sum()
        maps.append(torch.autograd.grad(score, matrix, retain_graph=True)[0].relu().mean((1, 2)))
    return torch.stack(maps).mean(0)


def check(net, apart, size, *, read=(0,), prefix=1, tolerance=1e-8):
    picture = image(size, dtype=next(net.parameters()).dtype)
    apart = apart(net, picture)
    agree(apart.scores, net(picture), tolerance)
    found = pellucid.explain(net, picture, METHODS, TARGETS)
    for name, reference in zip(METHODS, (rollout, weighted, sensitivity), strict=True):
        expected = reference(apart, list(read))[:, prefix:].detach()
        agree(found[name].raw.flatten(1), expected, tolerance)
        assert expected.max() > 0
    return found


def with_head(net):
    """torchvision begins with a head of zeros."""
    for part in net.modules():
        if isinstance(part, nn.Linear) and part.out_features == 10:
            nn.init.normal_(part.weight)
    return net.double().eval()


def small(**more):
    torch.manual_seed(0)
    return with_head(VisionTransformer(32, 8, 3, 4, 32, 64, num_classes=10, **more))


def test_torchvision():
    found = check(small(), Torchvision, 32)
    assert "fused in 3 of 3 layers" in found["le-grad"].notes[1]


@pytest.mark.long
def test_vit_b_16():
    torch.manual_seed(0)
    net = vit_b_16(image_size=48, num_classes=10).eval()
    nn.init.normal_(net.heads.head.weight)
    check(net, Torchvision, 48, tolerance=1e-4)


def from_timm(name, fused=True, **more):
    torch.manual_seed(0)
    net = with_head(timm.create_model(name, num_classes=10, img_size=64, depth=3, embed_dim=32, num_heads=4, **more))
    for block in net.blocks:
        block.attn.fused_attn = fused
        for name in ("ls1", "ls2"):
            if hasattr(getattr(block, name), "gamma"):
                nn.init.ones_(getattr(block, name).gamma)  # begins so small that layers do next to nothing
    return net


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(
    ("name", "read", "prefix"),
    [
        ("vit_tiny_patch16_224", [0], 1),
        ("deit_tiny_distilled_patch16_224", [0, 1], 2),
        ("vit_little_patch16_reg4_gap_256", range(4, 20), 4),
        ("vit_base_patch16_siglip_gap_224", range(16), 0),
    ],
)
def test_timm(name, read, prefix, fused):
    found = check(from_timm(name, fused), Timm, 64, read=read, prefix=prefix)
    assert ("fused in 3 of 3 layers" in str(found["le-grad"].notes)) == fused
    assert ("without a place" in str(found["le-grad"].notes)) == (prefix > 0)


def test_torchcam_le_grad():
    net = small()
    ours = pellucid.explain(net, image(32), "le-grad", TARGETS, options={"le-grad": {"layers": 2}})["le-grad"]
    for k, target in enumerate(TARGETS):
        with LeGrad(net, list(net.encoder.layers)[-2:]) as peer, torch.enable_grad():
            theirs = peer.compute_cams(target, net(image(32)[k : k + 1]), normalized=False)[0]
        agree(ours.raw[k : k + 1], theirs)


def windows_of(make):
    torch.manual_seed(0)
    return make().double().eval()


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (
            lambda: SwinTransformer([4, 4], 8, [2, 2], [2, 2], [4, 4], num_classes=10),
            "its attention looks within windows, at 16 of 256 places at a time",
        ),
        (
            lambda: TimmSwin(64, window_size=4, embed_dim=8, depths=(2, 2), num_heads=(2, 2), num_classes=10),
            "its attention looks within windows, at 16 of 256 places at a time",
        ),
        (lambda: resnet18(num_classes=10), "it has no attention layer that torch's own operations compute"),
    ],
    ids=["torchvision-swin", "timm-swin", "resnet18"],
)
def test_refused_in_one_sentence(make, why):
    net = windows_of(make)
    for method in METHODS:
        with pytest.raises(Refused) as caught:
            pellucid.explain(net, image(64), method)
        assert str(caught.value) == f"{method} cannot read this network: {why}. Use grad-cam."
    assert pellucid.explain(net, image(64), "grad-cam")["grad-cam"].raw.any()


def test_swin_written_out_is_no_different():
    def written_out():
        net = TimmSwin(64, window_size=4, embed_dim=8, depths=(2, 2), num_heads=(2, 2), num_classes=10)
        for part in net.modules():
            if hasattr(part, "fused_attn"):
                part.fused_attn = False
        return net

    with pytest.raises(Refused, match="within windows, at 16 of 256 places"):
        pellucid.explain(windows_of(written_out), image(64), "attention-rollout")
