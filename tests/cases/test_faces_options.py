"""What options take: noise around any method, absolute noise."""

import pytest
import torch
from torch import nn

import pellucid
from pellucid.capture.randomness import Draws
from pellucid.errors import BadOption


class Net(nn.Module):
    """Two convolutions, smooth, in float64; scores three classes."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.first, self.second, self.head = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3), nn.Linear(4, 3)
        self.double().eval()

    def forward(self, x):
        return self.head(self.second(self.first(x).relu()).tanh().mean((2, 3)))


def pictures(count=2, side=8):
    return torch.randn(count, 2, side, side, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def run(method, image=None, net=None, target=None, **options):
    image = pictures() if image is None else image
    base = {name.replace("__", "-"): options.pop(name) for name in list(options) if isinstance(options[name], dict)}
    own = {method: options, **base}
    target = [0, 2][: len(image)] if target is None else target
    return pellucid.explain(net or Net(), image, method, target=target, layer=layer_of(own), options=own)[method]


def layer_of(options):
    return "second" if any("cam" in str(value) for values in options.values() for value in values.values()) else None


SAMPLES = 3
BASES = {
    "integrated-gradients": {"steps": 4},
    "deep-lift": {},
    "ablation-cam": {},
    "occlusion": {"window": 3, "stride": 2},
    "lime": {"regions": "2x2", "samples": 20},
    "rise": {"masks": 12},
    "gradient-shap": {"samples": 3},
}


@pytest.mark.parametrize("of", BASES)
def test_noise_around_any_method_is_the_mean_of_its_maps_of_noisy_pictures(of):
    """The mean by its definition: noisy pictures are drawn here, and each is explained alone by the method itself."""
    image, sigma = pictures(), 0.3
    found = run("smoothgrad", image, of=of, samples=SAMPLES, sigma=sigma, **{of.replace("-", "__"): BASES[of]})
    total = torch.zeros(2, 8, 8, dtype=torch.float64)
    for number in range(SAMPLES):
        noise = Draws(0).normal(torch.tensor([number, number]), image)
        for k in range(2):
            alone = (image + sigma * noise)[k : k + 1]
            total[k] += run(of, alone, target=[[0, 2][k]], **BASES[of]).values[0] / SAMPLES
    assert torch.allclose(found.values, total, rtol=1e-9, atol=1e-12 * float(total.abs().max()))
    assert found.options["of"] == of


def test_the_variance_of_integrated_gradients():
    image = pictures(1)
    maps = []
    for number in range(4):
        noise = Draws(0).normal(torch.tensor([number]), image)
        maps.append(run("integrated-gradients", image + 0.2 * noise, target=[0], steps=4).raw)
    right = torch.stack(maps).var(0, unbiased=False)
    found = run("vargrad", image, target=[0], of="integrated-gradients", samples=4, sigma=0.2,
                integrated__gradients={"steps": 4})  # fmt: skip
    assert torch.allclose(found.raw, right, rtol=1e-9)


def test_other_inputs_go_along_with_noisy_pictures():
    class Two(Net):
        def forward(self, x, scale):
            return super().forward(x) * scale

    image, scale = pictures(), torch.tensor([[1.0], [3.0]], dtype=torch.float64)
    options = {"smoothgrad": {"of": "integrated-gradients", "samples": 2}, "integrated-gradients": {"steps": 3}}
    both = pellucid.explain(Two(), image, "smoothgrad", target=1, options=options, inputs=scale)["smoothgrad"]
    plain = pellucid.explain(Net(), image, "smoothgrad", target=1, options=options)["smoothgrad"]
    assert torch.allclose(both.raw, plain.raw * scale[:, :, None, None], rtol=1e-9)


def test_what_the_method_within_says_is_not_lost():
    class Hidden(Net):
        def forward(self, x):
            return super().forward(x) + super().forward(x.detach() ** 2)

    found = run("smoothgrad", net=Hidden(), of="integrated-gradients", samples=2)
    assert any("integrated-gradients, of a changed picture: The parts sum to" in note for note in found.notes)


@pytest.mark.parametrize("method", ["smoothgrad", "vargrad", "squared-gradient", "smooth-grad-cam++"])
def test_noise_as_an_absolute_value(method):
    """The same as the fraction of each picture's own range that it is."""
    image = pictures(1)
    width = float(image.max() - image.min())
    found = [
        pellucid.explain(Net(), image, method, target=0, layer="second", options={method: {"samples": 3, **noise}})
        for noise in ({"noise": 0.1}, {"noise": 5.0, "sigma": 0.1 * width})
    ]
    assert torch.allclose(found[0][method].raw, found[1][method].raw, rtol=1e-9)
    assert found[1][method].options["sigma"] == 0.1 * width
    with pytest.raises(BadOption, match="Expected sigma >= 0"):
        pellucid.explain(Net(), image, method, target=0, layer="second", options={method: {"sigma": -1.0}})


def test_methods_that_are_built_on_each_other():
    with pytest.raises(BadOption, match="cannot be built on"):
        run("smoothgrad", of="vargrad", vargrad={"of": "smoothgrad"})
