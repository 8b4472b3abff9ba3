"""What options take: noise around any method, absolute noise."""

import pytest
import torch
from torch import nn

import pellucid
from pellucid.capture.running import Draws
from pellucid.errors import BadOption


class Net(nn.Module):
    """Two convolutions, smooth, in float64; scores three classes."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.first, self.second, self.head = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3), nn.Linear(4, 3)
        self.double().eval()

    def forward(self, x):
        return self.head(self.second(self.first(x).tanh()).tanh().mean((2, 3)))


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


# Tensors and functions as options


def explain(method, image, options, target=0):
    return pellucid.explain(Net(), image, method, target=target, layer="second", options={method: options})[method]


FILLED = {
    "occlusion": {"window": 3, "stride": 3},
    "feature-ablation": {"regions": "2x2"},
    "lime": {"regions": "2x2", "samples": 30},
    "kernel-shap": {"regions": "2x2"},
    "shapley-sampling": {"regions": "2x2"},
    "partition-shap": {"regions": "2x2"},
    "rise": {"masks": 10},
    "sobol": {"cells": 2, "designs": 4},
    "hsic": {"cells": 2, "masks": 20},
    "occlusion-coarse-to-fine": {},
    "meaningful-perturbation": {"steps": 3},
}


@pytest.mark.parametrize("method", FILLED)
def test_fills_as_tensors_are_what_numbers_are(method):
    """A tensor of one number everywhere is that number, in each of the shapes that are allowed."""
    image = pictures()
    right = explain(method, image, {**FILLED[method], "fill": 0.5}, target=[0, 2]).values
    for shape in [(2,), (2, 8, 8), (2, 2, 8, 8)]:
        found = explain(method, image, {**FILLED[method], "fill": torch.full(shape, 0.5)}, target=[0, 2])
        assert torch.equal(found.values, right)


def test_a_picture_for_each_fills_it():
    image, other = pictures(), pictures().flip(0) * 0.5
    found = explain("feature-ablation", image, {"regions": "1x2", "fill": other})
    with torch.no_grad():
        whole, left = Net()(image)[:, 0], image.clone()
        left[..., :4] = other[..., :4]
        lost = whole - Net()(left)[:, 0]
    assert torch.allclose(found.raw[:, 0, 0], lost, rtol=1e-9)


@pytest.mark.parametrize("method", ["integrated-gradients", "gradient-shap", "deep-lift"])
def test_baselines_as_tensors_are_what_numbers_are(method):
    image = pictures()
    right = explain(method, image, {"baseline": 0.5}).values
    for shape in [(2,), (2, 8, 8)]:
        found = explain(method, image, {"baseline": torch.full(shape, 0.5, dtype=torch.float64)})
        assert torch.allclose(found.values, right, rtol=1e-9, atol=1e-12)


def test_a_baseline_for_each_picture_by_completeness():
    """Integrated gradients from another picture sum to the difference of the two scores."""
    image, other = pictures(), pictures().flip(0).roll(3, 2)
    found = explain("integrated-gradients", image, {"baseline": other, "steps": 30})
    with torch.no_grad():
        right = (Net()(image) - Net()(other))[:, 0]
    assert torch.allclose(found.raw.sum((1, 2, 3)), right, rtol=1e-6)


def test_rows_of_a_tensor_go_along_with_their_pictures_under_noise_and_in_metrics():
    image, other = pictures(), pictures().flip(0)
    base = {"integrated-gradients": {"baseline": other, "steps": 5}}
    options = {"smoothgrad": {"of": "integrated-gradients", "samples": 2, "sigma": 0.0}, **base}
    noisy = pellucid.explain(Net(), image, "smoothgrad", target=0, options=options, chunk=1)["smoothgrad"]
    plain = explain("integrated-gradients", image, base["integrated-gradients"])
    assert torch.allclose(noisy.raw, plain.raw, rtol=1e-9)
    stable = plain.score("max-sensitivity", samples=2, radius=1e-9)
    assert float(stable.values.max()) < 1e-3  # with another picture's baseline the map would change altogether


def test_region_maps_as_tensors_one_for_each_picture():
    image, maps = pictures(), torch.zeros(2, 8, 8, dtype=torch.int64)
    maps[0, :, 4:], maps[1, 4:] = 7, 3  # left and right in the first, top and bottom in the second
    found = explain("feature-ablation", image, {"regions": maps})
    with torch.no_grad():
        whole, changed = Net()(image)[:, 0], image.clone()
        changed[0, :, :, 4:], changed[1, :, 4:] = 0, 0
        lost = whole - Net()(changed)[:, 0]
    assert torch.allclose(found.raw[:, -1, -1], lost, rtol=1e-9)
    assert found.raw[0, 7, 0] == found.raw[0, 0, 0]
    assert found.raw[1, 0, 7] == found.raw[1, 0, 0]


def test_results_name_tensors_by_shape_and_digest(tmp_path):
    fill = torch.randn(2, 8, 8, dtype=torch.float64)
    found = pellucid.explain(Net(), pictures(1), "feature-ablation", options={"feature-ablation": {"fill": fill}})
    kept = found["feature-ablation"].options["fill"]
    assert repr(kept).startswith("<tensor [2, 8, 8] of float64, digest ")
    found.save(tmp_path)
    (manifest,) = tmp_path.rglob("manifest.json")
    assert kept.digest in manifest.read_text()
    page = found.report(tmp_path / "report.html").read_text()
    assert "are tensors or functions of your own" in page
    fill.zero_()
    assert float(kept.value.abs().max()) > 0
    again = explain("feature-ablation", pictures(1), {"fill": kept.value}).options["fill"]
    assert again == kept


@pytest.mark.parametrize(
    ("method", "options", "match"),
    [
        ("occlusion", {"fill": torch.zeros(3)}, r"as fill of occlusion that fits pictures of shape \[1, 2, 8, 8\]"),
        ("occlusion", {"fill": torch.full((2,), torch.nan)}, "finite numbers"),
        ("occlusion", {"window": torch.ones(2)}, "Expected a whole number"),
        ("rise", {"fill": torch.zeros(4, 2, 8, 8)}, r"got \[4, 2, 8, 8\]"),
        ("integrated-gradients", {"baseline": torch.zeros(5, 5)}, r"as baseline of integrated-gradients"),
        ("deep-lift", {"baseline": torch.zeros(2, 2, 8, 8)}, "the same for all pictures"),
        ("lime", {"regions": torch.zeros(8, 8)}, "whole numbers"),
        ("lime", {"regions": torch.zeros(8, 8, dtype=torch.int64)}, "at least two"),
        ("lime", {"regions": torch.zeros(4, 4, dtype=torch.int64)}, r"whole numbers \[8, 8\], .* got \[4, 4\]"),
    ],
)
def test_tensors_that_do_not_fit(method, options, match):
    with pytest.raises(BadOption, match=match):
        explain(method, pictures(1), options)


# LIME


def lime_by_hand(weigh, fit):
    """The regression of LIME from its definition: the sets are those that the seed draws."""
    sets = Draws(0).uniform(torch.arange(40), torch.empty(1, 4, dtype=torch.float64)) < 0.5
    sets[0] = True
    cells = torch.arange(8) // 4
    labels = cells[:, None] * 2 + cells
    image = pictures(1)
    hidden = ~sets[:, labels][:, None]
    with torch.no_grad():
        scores = Net()(torch.where(hidden, torch.zeros(()).double(), image))[:, 0]
    weights = weigh(sets)
    slopes = fit(sets.double(), scores, weights)
    return slopes, sets


def weighted_least_squares(sets, scores, weights, penalty=0.0):
    """Normal equations with a column of ones."""
    design = torch.cat([sets, torch.ones(len(sets), 1, dtype=torch.float64)], 1)
    left = design.T @ (weights[:, None] * design)
    left[:4, :4] += penalty * torch.eye(4, dtype=torch.float64)
    return torch.linalg.solve(left, design.T @ (weights * scores))[:4]


LIME = {"regions": "2x2", "samples": 40}


def test_lime_with_a_similarity_of_ones_own():
    def near(sets):
        return 1 / (1 + (~sets).sum(1).double())

    right, _ = lime_by_hand(near, lambda *given: weighted_least_squares(*given, penalty=1.0))
    found = explain("lime", pictures(1), {**LIME, "similarity": near})
    assert torch.allclose(found.extras["values of regions"][0], right, rtol=1e-6)
    assert "near" in repr(found.options["similarity"])


def test_lime_with_a_linear_model_of_ones_own():
    def model(sets, scores, weights):
        return weighted_least_squares(*(torch.from_numpy(each) for each in (sets, scores, weights)))

    def kernel(sets):
        return torch.exp(-(((1 - sets.double().mean(1).sqrt()) / 0.25) ** 2))

    right, _ = lime_by_hand(kernel, weighted_least_squares)
    found = explain("lime", pictures(1), {**LIME, "regression": model})
    assert torch.allclose(found.extras["values of regions"][0], right, rtol=1e-6)


def test_lime_with_an_absolute_alpha_by_its_optimality():
    """Where sum w (y - b - Xv)^2 / (2 sum w) + alpha |v| is least, the slope of the first part is alpha or less."""
    alpha = 2e-5
    found = explain("lime", pictures(1), {**LIME, "regression": "lasso", "alpha": alpha})
    values = found.extras["values of regions"][0].double()

    def slope(sets, scores, weights):
        share = weights / weights.sum()
        sets, scores = sets - share @ sets, scores - share @ scores
        return (share * (scores - sets @ values)) @ sets

    found_slope, _ = lime_by_hand(lambda sets: torch.exp(-(((1 - sets.double().mean(1).sqrt()) / 0.25) ** 2)), slope)
    active = values != 0
    assert bool(active.any())
    assert torch.allclose(found_slope[active], alpha * values[active].sign(), rtol=1e-3)
    assert bool((found_slope[~active].abs() <= alpha * 1.001).all())


@pytest.mark.parametrize(
    "options",
    [
        {"similarity": lambda sets: sets.double()},
        {"similarity": lambda sets: -sets.double().mean(1)},
        {"similarity": lambda sets: torch.zeros(len(sets))},
        {"regression": lambda sets, scores, weights: scores},
        {"regression": lambda sets, scores, weights: sets[0] * float("nan")},
        {"alpha": 0.1},
        {"alpha": 0.1, "regression": "lasso", "penalty": 0.1},
        {"similarity": "cosine"},
    ],
)
def test_what_functions_of_lime_may_not_return(options):
    with pytest.raises(BadOption):
        explain("lime", pictures(1), {**LIME, **options})
