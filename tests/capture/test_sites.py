"""Which layer is recommended and how its grid is read, on real architectures built small with random weights."""

import pytest
import torch
from torch import nn
from torchvision import models as tv

import pellucid
import tiny
from pellucid.capture.layers import recommended, sites, survey
from pellucid.capture.running import guarded
from pellucid.contracts import Grid
from pellucid.errors import BadSite

SMALL = {
    "resnet18": lambda: tv.resnet18(num_classes=7),
    "vgg": lambda: nn.Sequential(
        tv.vgg.make_layers([8, "M", 16, "M", 16, "M"]), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 7)
    ),
    "mobilenet_v2": lambda: tv.mobilenet_v2(num_classes=7, width_mult=0.25),
    "mobilenet_v3": lambda: tv.mobilenet_v3_small(num_classes=7, width_mult=0.5),
    "densenet": lambda: tv.DenseNet(4, (2, 2, 2), 8, num_classes=7),
    "squeezenet": lambda: tv.squeezenet1_1(num_classes=7),
    "shufflenet": lambda: tv.shufflenet_v2_x0_5(num_classes=7),
    "convnext": lambda: tv.ConvNeXt(
        [tv.convnext.CNBlockConfig(8, 16, 1), tv.convnext.CNBlockConfig(16, None, 1)], num_classes=7
    ),
    "vit": lambda: tv.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=7),
    "swin": lambda: tv.SwinTransformer([4, 4], 8, [1, 1], [2, 2], [4, 4], num_classes=7),
}
EXPECTED = {  # site, grid; inputs of 64 pixels, 32 for the transformers
    "resnet18": ("layer4", Grid("channels-first", (2, 2))),
    "vgg": ("0.7", Grid("channels-first", (16, 16))),
    "mobilenet_v2": ("features", Grid("channels-first", (2, 2))),
    "mobilenet_v3": ("features", Grid("channels-first", (2, 2))),
    "densenet": ("features", Grid("channels-first", (4, 4))),
    "squeezenet": ("classifier.2", Grid("channels-first", (3, 3))),
    "shufflenet": ("conv5", Grid("channels-first", (2, 2))),
    "convnext": ("features", Grid("channels-first", (8, 8))),
    "vit": ("encoder.layers.encoder_layer_1.ln_1", Grid("tokens", (4, 4), prefix=1)),
    "swin": ("norm", Grid("channels-last", (4, 4))),
}


def look(net, image):
    model = pellucid.wrap(net)
    with guarded(model.module):
        return survey(model, image), recommended(model, image)


def real(name):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = SMALL[name]()
        if name == "vit":  # torchvision starts it at zero, which no score depends on
            nn.init.normal_(net.heads.head.weight)
    size = 32 if name in ("vit", "swin") else 64
    return net, tiny.images(1, torch.float32, (size, size))


@pytest.mark.parametrize("name", SMALL)
def test_recommended_layer(name):
    net, image = real(name)
    _, best = look(net, image)
    assert (str(best.site), best.grid) == EXPECTED[name]
    assert best.influences
    assert best.recommended


@pytest.mark.parametrize("name", SMALL)
def test_every_candidate_can_be_explained_and_read(name):
    net, image = real(name)
    candidates = [c for c in look(net, image)[0].candidates if c.influences]
    sites = [c.site for c in candidates][:: max(1, len(candidates) // 12)]
    found = pellucid.explain(net, image, ["grad-cam", "hires-cam"], layer=sites)
    shapes = {c.site: (c.grid.rows, c.grid.columns) for c in candidates}
    assert len(found) == 2 * len(sites)
    assert all(tuple(a.raw.shape[1:]) == shapes[a.site] for a in found)


def test_same_answer_at_the_recommended_layer_as_with_plain_autograd():
    net, image = real("resnet18")
    found = pellucid.explain(net, image, "grad-cam", 0, options={"grad-cam": {"rectify": False}})["grad-cam"]
    net.eval()
    trunk = nn.Sequential(*list(net.children())[:-2])
    a = trunk(image).detach().requires_grad_()
    (g,) = torch.autograd.grad(net.fc(net.avgpool(a).flatten(1))[0, 0], a)
    torch.testing.assert_close(found.raw, (g.mean((2, 3), keepdim=True) * a).sum(1).detach(), rtol=1e-4, atol=1e-7)


def test_timm_tokens_with_registers():
    timm = pytest.importorskip("timm")
    net = timm.create_model(
        "vit_tiny_patch16_224", img_size=64, num_classes=7, depth=2, embed_dim=24, num_heads=2, reg_tokens=4
    )
    found, best = look(net, tiny.images(1, torch.float32, (64, 64)))
    assert best.grid == Grid("tokens", (4, 4), prefix=5)
    assert str(best.site).startswith("blocks.")
    last = [c for c in found.candidates if str(c.site) == "norm"]
    assert all(not c.influences for c in last), "patch tokens behind the last attention do not reach the class token"


@pytest.mark.parametrize(
    ("make", "site", "grid"),
    [
        (tiny.Pooled, "features", Grid("channels-first", (8, 8))),
        (tiny.Tokens, "blocks.1.norm1", Grid("tokens", (4, 4), prefix=2)),
        (tiny.ChannelsLast, "norm", Grid("channels-last", (4, 4))),
        (tiny.Reused, "act:1", Grid("channels-first", (16, 16))),
        (tiny.Sometimes, "act2", Grid("channels-first", (8, 8))),
    ],
)
def test_recommended_layer_of_tiny_nets(make, site, grid):
    best = look(tiny.build(make), tiny.images())[1]
    assert (str(best.site), best.grid) == (site, grid)


def test_oblong_input():
    best = look(tiny.build(tiny.Pooled), tiny.images(size=(16, 24)))[1]
    assert (best.grid.rows, best.grid.columns) == (8, 12)
    a = pellucid.explain(tiny.build(tiny.Pooled), tiny.images(size=(16, 24)), "grad-cam")["grad-cam"]
    assert (a.raw.shape[1:], a.values.shape[1:]) == ((8, 12), (16, 24))


@pytest.mark.parametrize("kind", ["dict", "object", "softmax"])
def test_outputs_that_are_understood(kind):
    scores = pellucid.explain(tiny.build(tiny.Output, kind), tiny.images(), "grad-cam", 1)["grad-cam"]
    plain = pellucid.explain(tiny.build(tiny.Plain), tiny.images(), "grad-cam", 1)["grad-cam"]
    assert torch.equal(scores.raw, plain.raw) == (kind != "softmax")


def test_tuple_output_must_be_picked():
    net = tiny.build(tiny.Output, "tuple")
    with pytest.raises(pellucid.PellucidError, match="tuple"):
        pellucid.explain(net, tiny.images(), "grad-cam", 1)
    picked = pellucid.explain(pellucid.wrap(net, output=lambda out: out[0]), tiny.images(), "grad-cam", 1)["grad-cam"]
    plain = pellucid.explain(tiny.build(tiny.Plain), tiny.images(), "grad-cam", 1)["grad-cam"]
    torch.testing.assert_close(picked.raw, plain.raw)


def test_no_layer_with_a_grid():
    flat = tiny.build(lambda: nn.Sequential(nn.Flatten(), nn.Linear(768, 5)))
    with pytest.raises(BadSite, match="No layer of Sequential has a spatial grid"):
        pellucid.explain(flat, tiny.images(), "grad-cam")
    assert set(pellucid.explain(flat, tiny.images()).refused) == {"grad-cam"}


def test_two_outputs_of_one_module_have_their_own_layers():
    net, sites = tiny.build(tiny.TwoHeads), []
    for head in "ab":
        model = pellucid.wrap(net, output=lambda out, head=head: out[head])
        sites.append(str(pellucid.explain(model, tiny.images(), "grad-cam")["grad-cam"].site))
    assert sites == ["a", "b"]


class DeadOnBlack(tiny.Skip):
    """`conv2` has no say on a black picture."""

    def forward(self, x):
        z = self.conv1(x)
        return self.fc((z + torch.relu(self.conv2(z) - 0.5)).mean((2, 3)))


def test_recommended_layer_does_not_depend_on_earlier_pictures():
    black, other = torch.zeros(1, 3, 16, 16, dtype=torch.float64), tiny.images(1) * 5
    fresh = look(tiny.build(DeadOnBlack), other)[1]
    net = tiny.build(DeadOnBlack)
    look(net, black)
    assert look(net, other)[1].site == fresh.site


def test_layer_replaced_between_two_calls():
    net = tiny.build(tiny.Plain)
    pellucid.explain(net, tiny.images(), "grad-cam")
    net.conv2, net.act2 = nn.Sequential(net.conv2, nn.ReLU()), nn.Flatten(0, 0)
    del net.act2
    net.act2 = lambda x: x
    assert str(pellucid.explain(net, tiny.images(), "grad-cam")["grad-cam"].site) == "conv2"


def test_one_score_per_picture():
    net = pellucid.wrap(tiny.build(nn.Sequential, tiny.Plain(), nn.Linear(5, 1), nn.Flatten(0)))
    pellucid.explain(net, tiny.images(), "grad-cam", lambda out: out)


class WritesOver(tiny.Plain):
    """Overwrites what the gradient of a sigmoid needs."""

    def forward(self, x):
        y = self.conv1(x).sigmoid()
        y.add_(1)
        return self.fc(self.conv2(y).mean((2, 3)))


def test_no_gradient_exists():
    with pytest.raises(pellucid.errors.Refused, match="overwrites in place"):
        pellucid.explain(tiny.build(WritesOver), tiny.images(), "saliency")


@pytest.mark.parametrize("method", ["occlusion", "ablation-cam", "grad-cam"])
def test_no_gradient_exists_and_the_method_needs_none_in_front_of_the_layer(method):
    found = pellucid.explain(tiny.build(WritesOver), tiny.images(), method, layer=None)[method]
    assert bool(found.values.isfinite().all())


GRIDS = [
    (Grid("channels-first", (2, 3)), (2, 5, 2, 3)),
    (Grid("channels-last", (2, 3)), (2, 2, 3, 5)),
    (Grid("tokens", (2, 3), 2), (2, 9, 5)),
    (Grid("tokens-last", (2, 3), 2), (2, 5, 9)),
    (Grid("tokens", (2, 3), order=(8, 0, 3, 2, 7, 5)), (2, 9, 5)),
    (Grid("channels-first", (3, 2), order=(2, 5, 1, 4, 0, 3)), (2, 5, 2, 3)),
    (Grid("channels-last", (2, 3), order=(5, 4, 3, 2, 1, 0)), (2, 2, 3, 5)),
]


@pytest.mark.parametrize(("grid", "shape"), GRIDS)
def test_grid_there_and_back(grid, shape):
    tensor = torch.randn(shape)
    maps = grid.to_maps(tensor)
    assert maps.shape == (2, 5, grid.rows, grid.columns)
    assert torch.equal(grid.from_maps(maps, tensor), tensor)
    changed = grid.from_maps(maps + 1, tensor)
    assert torch.equal(grid.to_maps(changed), maps + 1)
    assert int((changed != tensor).sum()) == 2 * 5 * 6, "tokens that are no cells stay as they are"


@pytest.mark.parametrize(("grid", "shape"), GRIDS)
def test_a_grid_takes_its_cells_from_the_positions_it_names(grid, shape):
    """The tensor holds the number of each position; the map must show the numbers in the grid's order."""
    channel = {"channels-first": 1, "tokens-last": 1, "channels-last": 3, "tokens": 2}[grid.layout]
    count = torch.empty(shape).numel() // 10
    numbers = torch.arange(count).expand(2, 5, count)
    whole = numbers.reshape(2, 5, *(n for k, n in enumerate(shape) if k not in (0, channel)))
    order = grid.order or tuple(range(grid.prefix, grid.prefix + 6))
    maps = grid.to_maps(whole.movedim(1, channel))
    assert maps[1, 4].flatten().tolist() == list(order)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3", "densenet", "squeezenet", "convnext"])
def test_what_matters_is_seen_on_a_smaller_picture_too(name, monkeypatch):
    """Of large pictures the graph would hold too much."""
    net, _ = real(name)
    image = tiny.images(1, torch.float32, (160, 192))
    monkeypatch.setattr(sites, "_SMALL", 64)
    sizes = []
    handle = net.register_forward_pre_hook(
        lambda _, given: sizes.append((tuple(given[0].shape[2:]), torch.is_grad_enabled()))
    )
    whole, _ = look(net, image)
    assert ((160, 192), True) in sizes
    monkeypatch.setattr(sites, "_PIXELS", 0)
    sites._surveys.clear()
    sizes.clear()
    assert look(net, image)[0] == whole
    handle.remove()
    assert ((64, 64), True) in sizes
    assert ((160, 192), True) not in sizes


def test_a_network_that_takes_one_size_only_is_seen_at_that_size(monkeypatch):
    net, image = real("vit")
    whole, _ = look(net, image)
    monkeypatch.setattr(sites, "_PIXELS", 0)
    monkeypatch.setattr(sites, "_SMALL", 8)
    sites._surveys.clear()
    assert look(net, image)[0] == whole
