"""What every registered metric promises, whatever it measures. A new metric is covered without a change here."""

import random
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from test_contract import differences, habits, trace

import pellucid
import tiny
from pellucid.errors import BadOption, Cancelled, UnknownName
from pellucid.evaluation import CONTROLS

METRICS = tuple(pellucid.metrics())
QUICK = {  # defaults made for pictures of 224 pixels, cut down to 16
    "deletion": {"steps": 4, "baseline": "noise"},  # so that the seed matters
    "insertion": {"steps": 4},
    "average-drop": {"baseline": "noise"},
    "pixel-flipping": {"steps": 4},
    "monotonicity": {"steps": 4},
    "monotonicity-correlation": {"cells": 4, "draws": 2},
    "effective-complexity": {"steps": 4},
    "faithfulness-correlation": {"subsets": 6},
    "sensitivity-n": {"sizes": 2, "subsets": 4},
    "mu-fidelity": {"subsets": 6, "cells": 4},
    "infidelity": {"squares": 5},
    "irof": {"regions": "4x4", "steps": 4},
    "road": {"steps": 2},
    "randomisation": {"stages": 2},
    "efficient-randomisation": {"bins": 10},
    "max-sensitivity": {"samples": 2},
    "average-sensitivity": {"samples": 2},
    "local-lipschitz": {"samples": 2},
    "relative-input-stability": {"samples": 2},
    "top-k-intersection": {"k": 20},
}
OTHERS = {}
METHODS = ["saliency", "grad-cam", "smoothgrad"]
OPTIONS = {"smoothgrad": {"samples": 2}}
CLASSES = [4, 0, 2]

every_metric = pytest.mark.parametrize("metric", METRICS)


def explained(net=None, image=None, methods=METHODS, classes=CLASSES, **more):
    net = tiny.build(tiny.Pooled) if net is None else net
    image = tiny.images(3) if image is None else image
    options = {k: v for k, v in OPTIONS.items() if k in methods}
    return pellucid.explain(net, image, methods, target=classes[: len(image)], options=options, **more)


def truth(metric, count=3):
    """Where the thing is said to be, for metrics that want to know."""
    if not pellucid.metrics()[metric].needs_truth:
        return {}
    masks = torch.zeros(count, 16, 16, dtype=torch.bool)
    masks[:, 4:10, 3:12] = metric != "focus"
    masks[:, :8, 8:] |= metric == "focus"  # which is of mosaics
    return {"masks": masks, "boxes": [torch.tensor([[3.0, 4.0, 12.0, 10.0]])] * count}


def judge(attributions, metric, **more):
    options = {metric: QUICK[metric]} if metric in QUICK else {}
    if metric == "data-randomisation":
        first = attributions if isinstance(attributions, pellucid.Attribution) else next(iter(attributions))
        options = {metric: OTHERS[first.model.name]}
    return pellucid.evaluate(attributions, metric, options, **{**truth(metric), **more})


@pytest.fixture(scope="module", autouse=True)
def other_weights(tmp_path_factory):
    """Weights from elsewhere, for the metric that compares with them; by the network's name."""
    folder = tmp_path_factory.mktemp("weights")
    for kind in (tiny.Pooled, tiny.Habits):
        weights = {name: tensor + 0.3 for name, tensor in tiny.build(kind).state_dict().items()}
        torch.save(weights, folder / f"{kind.__name__}.pth")
        OTHERS[kind.__name__] = {"weights": str(folder / f"{kind.__name__}.pth")}
    QUICK["data-randomisation"] = OTHERS["Pooled"]


@pytest.fixture(scope="module")
def whole():
    return explained()


@pytest.fixture(scope="module")
def judged(whole):
    return {metric: judge(whole, metric) for metric in METRICS}


def assert_same(score, expected, rtol=1e-9):
    torch.testing.assert_close(score.values, expected.values, rtol=rtol, atol=1e-12, equal_nan=True)
    assert score.extras.keys() == expected.extras.keys()
    for name, value in score.extras.items():
        torch.testing.assert_close(value, expected.extras[name], rtol=rtol, atol=1e-12, equal_nan=True)
    assert score.axis == expected.axis


@every_metric
def test_every_metric_answers(judged, metric):
    evaluation = judged[metric]
    assert [s.subject for s in evaluation] == METHODS
    for score in evaluation:
        assert score.values.shape == (3,)
        assert score.judged > 0
        assert score.mean == pytest.approx(float(score.values[score.values.isfinite()].mean()))
        assert score.interval is None or score.interval[0] <= score.mean <= score.interval[1]
        assert list(score.controls) == list(CONTROLS)
        assert all(c.metric is score.metric and c.values.shape == (3,) for c in score.controls.values())
        assert score.target == ("class 4", "class 0", "class 2")
        assert score.options.keys() == score.metric.options.keys()
        assert all(len(value) == 3 and not value.is_inference() for value in score.extras.values())
        assert "curve" not in score.extras or score.extras["curve"].shape[-1] == len(score.axis)
        assert score.known["metric"] == metric


@every_metric
def test_alone_is_together(whole, judged, metric):
    for each in whole:
        alone = judge(each, metric, controls=False)[each.method.id, metric]
        assert_same(alone, judged[metric][each.method.id, metric])
        assert not alone.controls


@every_metric
def test_from_the_attribution_itself(whole, judged, metric):
    if pellucid.metrics()[metric].needs_truth:
        with pytest.raises(BadOption, match=f"{metric} compares with where the thing is"):
            whole["grad-cam"].score(metric)
        return
    score = whole["grad-cam"].score(metric, **QUICK.get(metric, {}))
    assert_same(score, judged[metric]["grad-cam", metric])
    for name, control in score.controls.items():
        assert_same(control, judged[metric]["grad-cam", metric].controls[name])


@every_metric
@pytest.mark.parametrize("chunk", [1, 4])
def test_in_chunks(whole, judged, metric, chunk):
    for score in judge(whole, metric, chunk=chunk):
        assert_same(score, judged[metric][score.subject, metric])


@every_metric
def test_in_blocks_of_pictures(whole, judged, metric, monkeypatch):
    monkeypatch.setattr("pellucid.evaluation.judge._BLOCK_BYTES", 2 * 6 * whole["saliency"].question.image[0].nbytes)
    for score in judge(whole, metric):
        assert_same(score, judged[metric][score.subject, metric])


@every_metric
def test_in_batches(judged, metric):
    for k in range(3):
        one = explained(image=tiny.images(3)[k : k + 1], classes=CLASSES[k : k + 1], methods=["grad-cam"])
        score = judge(one, metric, **truth(metric, 1))["grad-cam", metric]
        whole = judged[metric]["grad-cam", metric]
        torch.testing.assert_close(score.values, whole.values[k : k + 1], rtol=1e-9, atol=1e-12, equal_nan=True)
        assert score.interval is None


@every_metric
def test_deterministic_whatever_surrounds_it(whole, judged, metric):
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    before = (random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist())
    with torch.inference_mode():
        again = judge(whole, metric)
    assert before == (random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist())
    for score in again:
        assert_same(score, judged[metric][score.subject, metric], rtol=0)
        assert not score.values.is_inference()


@every_metric
def test_maps_and_pictures_are_left_alone(metric):
    image = tiny.images(3)
    result = explained(image=image, methods=["grad-cam"])
    kept = [t.clone() for t in (image, result["grad-cam"].values, result["grad-cam"].question.image)]
    score = judge(result, metric)["grad-cam", metric]
    now = (image, result["grad-cam"].values, result["grad-cam"].question.image)
    assert all(torch.equal(a, b) for a, b in zip(now, kept, strict=True))
    image.fill_(99)  # the caller goes on writing to what was explained
    assert_same(judge(result, metric)["grad-cam", metric], score, rtol=0)


@every_metric
def test_float32_is_float64(judged, metric):
    single = explained(tiny.build(tiny.Pooled, dtype=torch.float32), tiny.images(3, torch.float32))
    for score in judge(single, metric):
        expected = judged[metric][score.subject, metric]
        torch.testing.assert_close(score.values, expected.values, rtol=1e-2, atol=1e-3, equal_nan=True)


@every_metric
def test_bfloat16_answers(metric):
    half = explained(tiny.build(tiny.Pooled, dtype=torch.bfloat16), tiny.images(3, torch.bfloat16))
    for score in judge(half, metric):
        assert score.values.dtype == torch.float64
        assert score.judged > 0


@every_metric
def test_progress_counts_to_the_end(whole, metric):
    seen = []
    judge(whole, metric, progress=lambda *told: seen.append(told))
    assert bool(seen) == bool({"probe", "explain"} & pellucid.metrics()[metric].needs)
    assert {name for name, _, _ in seen} <= {metric}
    assert all(0 < done <= total for _, done, total in seen)
    assert not seen or seen[-1][1] == seen[-1][2]


@pytest.mark.parametrize("metric", [m for m in METRICS if "explain" not in pellucid.metrics()[m].needs])
def test_the_unit_of_a_map_does_not_count(whole, metric):
    values = whole["grad-cam"].values + whole["saliency"].values
    found = judge(whole["saliency"], metric, maps={"one": values, "other": 2.0**20 * values}, controls=False)
    assert_same(found["other", metric], found["one", metric])


def calls_of(metric):
    net = habits("grad-cam")
    result = explained(net, tiny.images(), ["grad-cam"])
    before = net.fuse.calls
    judge(result, metric, **truth(metric, 2))
    return before, net.fuse.calls


@every_metric
def test_no_trace(metric):
    net, image = habits("grad-cam"), tiny.images()
    result = explained(net, image, ["grad-cam"])
    before = trace(net, image)
    judge(result, metric, **truth(metric, 2))
    assert differences(before, trace(net, image)) == []


@every_metric
@pytest.mark.parametrize("error", [RuntimeError("midway"), KeyboardInterrupt()], ids=repr)
def test_no_trace_after_a_failure(metric, error):
    explaining, total = calls_of(metric)
    if total == explaining:
        assert not {"probe", "explain"} & pellucid.metrics()[metric].needs
        return
    for at in sorted({explaining + 1, (explaining + total + 1) // 2, total} - set(range(explaining + 1))):
        net, image = habits("grad-cam", tiny.Fuse(at, error)), tiny.images()
        result = explained(net, image, ["grad-cam"])
        before = trace(net, image)
        try:
            with tiny.beside_a_thread() if at % 2 else nullcontext():
                judge(result, metric, **truth(metric, 2))
        except (Cancelled, type(error)) as caught:
            assert isinstance(caught, Cancelled) == isinstance(error, KeyboardInterrupt)
        else:  # with other weights another order of memory is tried anew, and a failing trial or shortcut given up
            assert isinstance(error, RuntimeError)
            needs = pellucid.metrics()[metric].needs
            assert "probe" in needs or ("explain" in needs and at < total)
        assert differences(before, trace(net, image)) == []


@every_metric
def test_cancelled_keeps_what_is_finished(whole, metric):
    asked = []

    def cancel():
        asked.append(1)
        return True

    names = list(dict.fromkeys(["gini-sparseness" if "gini-sparseness" in METRICS else "deletion", metric]))
    try:
        options = {k: v for k, v in QUICK.items() if k in names}
        pellucid.evaluate(whole, names, options, cancel=cancel, **truth(metric))
    except Cancelled as stopped:
        assert all(s.values.shape == (3,) for s in stopped.finished)
        return
    assert not asked, "the wish to stop was ignored"


@every_metric
def test_unknown_option(whole, metric):
    with pytest.raises(BadOption, match=f"The metric '{metric}' has no option 'colour'. Its options: "):
        pellucid.evaluate(whole, metric, {metric: {"colour": 1}}, **truth(metric))


def wrong_values():
    """Every option with values that are none of its own."""
    for name, metric in pellucid.metrics().items():
        for option, default in metric.options.items():
            for value in (object(), [], "no such", 1j, *(() if default is None else (None,))):
                yield pytest.param(name, option, value, id=f"{name}-{option}-{type(value).__name__}")


@pytest.mark.parametrize(("metric", "option", "value"), [*wrong_values()])
def test_option_of_the_wrong_type(whole, metric, option, value):
    with pytest.raises((BadOption, UnknownName)) as caught:
        pellucid.evaluate(whole["grad-cam"], metric, {metric: {option: value}}, controls=False, **truth(metric))
    assert metric in str(caught.value)


def test_numbers_out_of_range(whole):
    for name, metric in pellucid.metrics().items():
        for option, default in metric.options.items():
            if type(default) is int:
                with pytest.raises(BadOption, match=name):
                    pellucid.evaluate(whole["grad-cam"], name, {name: {option: -1}}, **truth(name))


# The arguments of evaluate


def test_unknown_metric(whole):
    with pytest.raises(UnknownName, match=r"no metric 'deletoin'.*'deletion'"):
        pellucid.evaluate(whole, "deletoin")
    with pytest.raises(UnknownName, match="no metric 'x'"):
        pellucid.evaluate(whole, "deletion", {"x": {}})


@pytest.mark.parametrize("metrics", [None, [], 3, [3], {"deletion": 1}])
def test_what_is_no_metric(whole, metrics):
    with pytest.raises(BadOption, match="metric"):
        pellucid.evaluate(whole, metrics)


@pytest.mark.parametrize(("name", "value"), [("seed", 1.5), ("chunk", 0), ("cancel", 1)])
def test_other_arguments(whole, name, value):
    with pytest.raises(BadOption, match=name):
        pellucid.evaluate(whole, "deletion", **{name: value})


def test_nothing_to_judge(whole):
    with pytest.raises(BadOption, match="at least one attribution"):
        pellucid.evaluate([], "deletion")
    with pytest.raises(BadOption, match=r"as pellucid\.explain gives them"):
        pellucid.evaluate([whole["grad-cam"].values], "deletion")


@pytest.mark.parametrize(
    "values", [torch.zeros(3, 8, 8), torch.zeros(3, 16, 16, dtype=torch.long), torch.full((3, 16, 16), torch.nan), [1]]
)
def test_maps_that_cannot_be(whole, values):
    with pytest.raises(BadOption, match="'mine'"):
        pellucid.evaluate(whole, "deletion", maps={"mine": values})


def test_truths_that_cannot_be(whole):
    with pytest.raises(BadOption, match=r"bool tensor \[3, 16, 16\] as masks"):
        pellucid.evaluate(whole, "deletion", masks=torch.ones(3, 16, 16))
    with pytest.raises(BadOption, match=r"\[box, 4\] for each of 3 pictures"):
        pellucid.evaluate(whole, "deletion", boxes=[torch.ones(1, 4)])


def test_several_targets_are_judged_each_for_its_own():
    net, image = tiny.build(tiny.Pooled), tiny.images()
    both = pellucid.explain(net, image, "saliency", target="top2")
    scores = list(judge(both, "deletion"))
    for rank, score in enumerate(scores):
        classes = net(image).sort(dim=1, descending=True).indices[:, rank].tolist()
        assert_same(score, next(iter(judge(explained(net, image, ["saliency"], classes), "deletion"))))
    with pytest.raises(BadOption, match="one target of one call"):
        judge(both, "deletion", maps={"mine": image[:, 0]})


def test_targets_that_are_no_class_are_said_to_be_none():
    net, image = tiny.build(tiny.Pooled), tiny.images()
    result = pellucid.explain(net, image, "saliency", target=lambda output: output[:, 1] - output[:, 2])
    score = judge(result, "deletion")["saliency", "deletion"]
    assert any("no class's score" in note for note in score.notes)
    scores = net(image)
    torch.testing.assert_close(score.extras["curve"][:, 0], (scores[:, 1] - scores[:, 2]).detach())


def test_networks_that_take_more_than_a_picture():
    class Scaled(tiny.Plain):
        def forward(self, x, by):
            return super().forward(x) * by

    net, image, by = tiny.build(Scaled), tiny.images(), torch.tensor([[2.0], [-3.0]], dtype=torch.float64)
    result = pellucid.explain(net, image, "saliency", target=1, inputs=(by,))
    curve = judge(result, "deletion")["saliency", "deletion"].extras["curve"]
    torch.testing.assert_close(curve[:, 0], net(image, by).softmax(1)[:, 1].detach())


def test_the_interval_is_that_of_a_bootstrap():
    from pellucid.evaluation.bootstrap import mean_and_interval

    values = torch.randn(200, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mean, interval = mean_and_interval(torch.cat([values, torch.tensor([torch.nan])]), 0)
    error = float(values.std()) / 200**0.5
    assert mean == pytest.approx(float(values.mean()))
    assert interval == pytest.approx((mean - 1.96 * error, mean + 1.96 * error), abs=0.15 * error)
    assert mean_and_interval(values[:1], 0) == (float(values[0]), None)
    assert np.isnan(mean_and_interval(values[:0], 0)[0])


def test_controls_know_nothing_of_the_network(judged):
    from pellucid.capture.running import Draws

    image, draws = tiny.images(2), Draws(0)
    centre, edges, noise = (CONTROLS[name](image, draws) for name in ("centre", "edges", "random"))
    assert centre[0].argmax() in [16 * r + c for r in (7, 8) for c in (7, 8)]
    assert torch.equal(centre, centre.flip(1)) and torch.equal(centre, centre.flip(2))
    assert torch.equal(noise[0], noise[1]) and noise.min() >= 0 and noise.max() < 1
    step = torch.zeros(1, 3, 6, 6, dtype=torch.float64)
    step[..., 3:] = 1.0
    assert CONTROLS["edges"](step, draws)[0].tolist() == [[0, 0, 4, 4, 0, 0]] * 6  # Sobel's weights add up to 4
    assert edges.shape == (2, 16, 16)
