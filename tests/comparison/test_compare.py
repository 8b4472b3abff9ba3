"""Comparing: the same numbers as judging by hand, ranks by hand, resumed runs, honest frames and files."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import pellucid
import tiny
from pellucid.comparison import Comparison, run
from pellucid.comparison.curve_frames import as_image, curve_frames
from pellucid.comparison.page import page, sentence
from pellucid.comparison.run import SHOWN
from pellucid.contracts import Preprocess
from pellucid.errors import BadOption, BadPicture, Cancelled, Refused, UnknownName

METHODS, METRICS = ["saliency", "grad-cam"], ["deletion", "insertion"]
OPTIONS_OF_ONE = {"deletion": {"steps": 6}}
OPTIONS = {"deletion": {"steps": 6}, "insertion": {"steps": 4}}


@pytest.fixture
def model():
    preprocess = Preprocess((16, 16), 16, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))
    names = ["cat", "dog", "fox", "owl", "yak"]
    return replace(pellucid.wrap(tiny.build(tiny.Plain), classes=names), preprocess=preprocess)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for k in range(4):
        pixels = np.random.default_rng(k).integers(0, 256, (20, 24, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{k}.png")
    return folder


def test_as_judged_by_hand(model, photos):
    found = pellucid.compare(model, str(photos), METHODS, METRICS, options=OPTIONS, seed=3)
    explained = pellucid.explain(model, sorted(map(str, photos.iterdir())), METHODS, seed=3)
    by_hand = pellucid.evaluate(explained, METRICS, OPTIONS, seed=3)
    for score in by_hand:
        mine = found[score.subject, score.metric.id]
        torch.testing.assert_close(mine.values, score.values, rtol=1e-5, atol=1e-6)
        assert mine.mean == pytest.approx(score.mean, rel=1e-5)
        assert mine.interval == pytest.approx(score.interval, rel=1e-5)
        assert mine.controls["random"].mean == pytest.approx(score.controls["random"].mean, rel=1e-5)
    assert len(found) == len(by_hand) == 4
    assert [picture.name for picture in found.pictures] == ["0.png", "1.png", "2.png", "3.png"]
    assert [len(picture.maps) for picture in found.pictures] == [2, 2, 2, 0], "only those that are shown are kept"


def with_means(found, means):
    """The comparison with other means, by (method, metric)."""
    new = [means.get((s.subject, s.metric.id), s.mean) for s in found]
    scores = [replace(s, mean=mean, values=torch.full_like(s.values, mean)) for s, mean in zip(found, new, strict=True)]
    made = replace(found)
    made.__dict__["evaluation"] = replace(found.evaluation, scores=tuple(scores))
    return made


def test_ranks_by_hand(model, photos):
    methods = ["saliency", "grad-cam", "layer-cam"]
    found = pellucid.compare(model, photos / "0.png", methods, METRICS, options=OPTIONS)
    means = {
        ("saliency", "deletion"): 0.1, ("grad-cam", "deletion"): 0.2, ("layer-cam", "deletion"): 0.2,
        ("saliency", "insertion"): 0.5, ("grad-cam", "insertion"): 0.9, ("layer-cam", "insertion"): math.nan,
    }  # fmt: skip
    places = with_means(found, means).ranking
    assert [(p.method, p.rank) for p in places] == [("saliency", 1.5), ("grad-cam", 1.75), ("layer-cam", 2.5)]
    assert places[1].ranks == {"deletion": 2.5, "insertion": 1.0}, "a tie shares the mean of its ranks"
    assert "insertion" not in places[2].ranks


def test_goes_on_where_it_was_stopped(model, photos, tmp_path, monkeypatch):
    out, judged = tmp_path / "out", []
    real = run.evaluate
    monkeypatch.setattr(run, "evaluate", lambda *args, **rest: judged.append(1) or real(*args, **rest))

    def stop(outcome):
        if len(judged) == 4:
            raise KeyboardInterrupt

    with pytest.raises(Cancelled, match="2 of 4 pictures are finished") as stopped:
        pellucid.compare(model, str(photos), METHODS, METRICS, options=OPTIONS, folder=out, each=stop)
    assert isinstance(stopped.value.finished, Comparison)
    assert (len(stopped.value.finished.pictures), stopped.value.finished.planned) == (2, 4)
    whole = pellucid.compare(model, str(photos), METHODS, METRICS, options=OPTIONS, folder=out)
    assert len(judged) == 4 + SHOWN, "the first pictures are checked with random weights too"
    again = pellucid.compare(model, str(photos), METHODS, METRICS, options=OPTIONS, folder=out)
    assert len(judged) == 4 + SHOWN, "nothing is judged twice"
    fresh = pellucid.compare(model, str(photos), METHODS, METRICS, options=OPTIONS)
    for one, other, last in zip(whole, fresh, again, strict=True):
        assert (one.mean, *one.interval) == pytest.approx((other.mean, *other.interval))
        assert last.mean == one.mean
        torch.testing.assert_close(one.extras["curve"], other.extras["curve"], check_dtype=False)
    for one, other in zip(again.pictures[0].maps.values(), fresh.pictures[0].maps.values(), strict=True):
        assert torch.equal(one, other)
    pellucid.compare(model, photos / "0.png", METHODS, METRICS, options=OPTIONS, folder=out, seed=1)
    assert len(judged) == 4 + SHOWN + 4 + SHOWN + 2, "another seed is another question"
    for file in (out / "scores").glob("*.kept"):
        file.write_bytes(file.read_bytes()[:40])
    pellucid.compare(model, photos / "0.png", METHODS, METRICS, options=OPTIONS, folder=out)
    assert len(judged) == 4 + SHOWN + 4 + SHOWN + 4, "a broken record is none"


def test_bad_pictures_do_not_stop_the_others(model, photos):
    (photos / "1.png").write_text("no picture")
    found = pellucid.compare(model, str(photos), "saliency", "deletion", options={"deletion": {"steps": 2}})
    assert [picture.name for picture in found.pictures] == ["0.png", "2.png", "3.png"]
    assert [type(failed.error) for failed in found.failed] == [BadPicture]
    with pytest.raises(BadPicture):
        pellucid.compare(model, "nowhere.png", "saliency", "deletion")


def test_default_methods_that_would_be_wrong_are_left_out():
    class Flat(torch.nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, :3]

    found = pellucid.compare(Flat(), torch.rand(1, 3, 8, 8), metrics="deletion", options={"deletion": {"steps": 2}})
    assert "grad-cam" in found.refused
    assert "grad-cam" not in [method.id for method in found.methods]
    assert found.pictures[0].picture is None
    assert "not compared" in page(found, created="2026-01-01T00:00:00+00:00")


@pytest.mark.parametrize(
    ("error", "said", "given"),
    [
        (UnknownName, "no metric 'deletio'", {"metrics": "deletio"}),
        (UnknownName, "no method 'grad'", {"methods": "grad"}),
        (BadOption, "at least one method", {"methods": []}),
        (BadOption, "one target per picture", {"target": "top3"}),
        (UnknownName, "method or metric 'occlusion'", {"options": {"occlusion": {"window": 2}}}),
        (BadOption, "steps from 1", {"options": {"deletion": {"steps": 0}}}),
        (BadOption, "at least one picture", {"pictures": []}),
        (Refused, "attention", {"methods": ["saliency", "attention-rollout"]}),
    ],
)
def test_misuse_is_said_in_one_sentence(model, photos, error, said, given):
    given = {"pictures": str(photos), "methods": METHODS, "metrics": METRICS, **given}
    with pytest.raises(error, match=said):
        pellucid.compare(model, **given)


def test_metrics_that_need_the_truth_are_refused_before_any_picture(model, monkeypatch):
    from pellucid import registry
    from pellucid.contracts import Metric, Reference

    def inside(values, mask):
        """Share inside."""

    metric = Metric(inside, "inside", "Inside", Reference("here"))
    monkeypatch.setattr(run, "find_metric", {**registry.metrics(), "inside": metric}.__getitem__)
    with pytest.raises(BadOption, match="inside compares with where the thing is"):
        pellucid.compare(model, "nowhere.png", METHODS, ["deletion", "inside"])


def test_frames_are_what_the_network_was_shown(model, photos):
    """Feeding the frames to the network again gives the probabilities under them."""
    for baseline in (0.0, "mean", "noise"):
        options = {"deletion": {"steps": 12, "baseline": baseline}}
        found = pellucid.compare(model, photos / "0.png", "saliency", "deletion", options=options)
        (picture,) = found.pictures
        score = picture.evaluation["saliency", "deletion"]
        frames = curve_frames(model, picture.picture.tensor, picture.maps["saliency"], score)
        assert [frame.share for frame in frames] == pytest.approx([2 / 12, 4 / 12, 6 / 12, 8 / 12, 10 / 12], abs=0.01)
        wanted = [model.classes.names.index(picture.target)]
        for frame in frames:
            seen = pellucid.explain(model, frame.image, "saliency", target=wanted)
            chance = next(p.probability for p in seen.predictions[0] if p.name == picture.target)
            assert chance == pytest.approx(frame.probability, abs=0.02), "8 bits per colour"


def test_few_steps_give_few_frames_and_pictures_come_back(model, photos):
    found = pellucid.compare(model, photos / "0.png", "saliency", "deletion", options={"deletion": {"steps": 2}})
    (picture,) = found.pictures
    score = picture.evaluation["saliency", "deletion"]
    (frame,) = curve_frames(model, picture.picture.tensor, picture.maps["saliency"], score)
    assert frame.share == 0.5
    back = np.asarray(as_image(picture.picture.tensor, model.preprocess)).astype(float)
    assert back.shape == (16, 16, 3)
    fed = picture.picture.tensor.double() * torch.tensor([0.2, 0.3, 0.25])[:, None, None]
    fed = (fed + torch.tensor([0.4, 0.5, 0.6])[:, None, None]) * 255
    np.testing.assert_allclose(back, fed.permute(1, 2, 0).numpy().clip(0, 255), atol=0.51)


def test_files(model, photos, tmp_path):
    found = pellucid.compare(model, str(photos), METHODS, [*METRICS, "entropy"], options=OPTIONS)
    folder = found.save(tmp_path / "out", command="pellucid compare photos")
    record = json.loads((folder / "comparison.json").read_text())
    assert [place["method"] for place in record["ranking"]] == [place.method for place in found.ranking]
    first = record["scores"][0]
    assert first["mean"] == found[first["subject"], first["metric"]].mean
    assert record["metrics"][0] | {"better": "lower"} == record["metrics"][0]
    with (folder / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 3 * (2 + 3), "pictures x metrics x (methods + controls)"
    mine = [r for r in rows if (r["picture"], r["map"], r["metric"]) == ("2.png", "saliency", "deletion")]
    assert float(mine[0]["value"]) == float(found["saliency", "deletion"].values[2])
    text = (folder / "comparison.html").read_text()
    assert "pellucid compare photos" in text
    assert sentence(found) in text
    assert text.count('class="chart"') == 2 * 2, "a small chart for each method and metric with curves"
    assert text.count(" hidden <b>") == 3 * 2 * 5, "five steps for each method and shown picture"
    assert "1 more pictures count" in text


def test_sentence_of_one_picture_claims_nothing_about_others(model, photos):
    found = pellucid.compare(model, photos / "0.png", METHODS, METRICS, options=OPTIONS)
    assert "on one picture, which says nothing about others" in sentence(found)
    assert "of one picture there is no interval" in page(found, created="2026-01-01T00:00:00+00:00")


def test_scores_that_are_no_probabilities_are_not_called_so(model, photos):
    found = pellucid.compare(model, photos / "0.png", "saliency", "deletion", "cat vs dog", options=OPTIONS_OF_ONE)
    text = page(found, created="2026-01-01T00:00:00+00:00")
    assert 'aria-label="mean score over share hidden' in text
    assert "under it the share hidden and the score then" in text
    (score,) = found
    shown = [f"<b>{float(x):.3g}</b>" for x in score.extras["curve"][0][1:-1]]
    assert [each in text for each in shown] == [True] * 5
    by_class = pellucid.compare(model, photos / "0.png", "saliency", "deletion", options=OPTIONS_OF_ONE)
    assert "mean probability over share" in page(by_class, created="2026-01-01T00:00:00+00:00")


def test_names_cannot_break_out_of_the_page(model, photos):
    hostile = photos / "<img src=x onerror=alert(1)>.png"
    (photos / "0.png").rename(hostile)
    found = pellucid.compare(model, hostile, METHODS, METRICS, options=OPTIONS)
    assert "<img src=x" not in page(found, created="2026-01-01T00:00:00+00:00")


def test_options_of_methods_and_metrics_never_clash():
    assert not set(pellucid.methods()) & set(pellucid.metrics())


def test_a_method_that_fails_sanity_is_marked(model, photos):
    found = pellucid.compare(model, photos / "0.png", METHODS, METRICS, options=OPTIONS)
    by_hand = pellucid.explain(model, photos / "0.png", METHODS)["saliency"].score("randomisation")
    assert found.likeness("saliency") == pytest.approx(by_hand.mean)
    (picture,) = found.pictures
    marked = replace(found, pictures=(replace(picture, sanity={"saliency": 0.8, "grad-cam": 0.2}),))
    assert [marked.is_sane(name) for name in METHODS] == [False, True]
    text = page(marked, created="2026-01-01T00:00:00+00:00")
    assert text.count("fails sanity</span>") == 1
    assert (
        "Saliency hardly changes when the weights are drawn at random: likeness 0.80, where 1 is the same map" in text
    )
    ahead = replace(found, pictures=(replace(picture, sanity=dict.fromkeys(METHODS, 0.8)),))
    assert "hardly change" in sentence(ahead), "who is ahead and fails is not praised"
    assert "hardly change" not in sentence(replace(found, pictures=(replace(picture, sanity=None),)))
    assert replace(found, pictures=(replace(picture, sanity={}),)).is_sane("saliency") is None


def test_sanity_can_be_left_out_and_made_up_for(model, photos, tmp_path, monkeypatch):
    judged = []
    real = run.evaluate
    monkeypatch.setattr(run, "evaluate", lambda *args, **rest: judged.append(args[1]) or real(*args, **rest))
    given = (model, str(photos), METHODS, METRICS)
    without = pellucid.compare(*given, options=OPTIONS, sanity=False, folder=tmp_path)
    assert judged == [METRICS] * 4
    assert (without.checked, without.is_sane("saliency")) == (0, None)
    text = page(without, created="2026-01-01T00:00:00+00:00")
    assert "Sanity was not checked: whether the maps change" in text
    whole = pellucid.compare(*given, options=OPTIONS, folder=tmp_path)
    assert judged[4:] == ["randomisation"] * SHOWN, "nothing else is asked again"
    fresh = pellucid.compare(*given, options=OPTIONS)
    assert whole.checked == fresh.checked == SHOWN
    assert whole.likeness("saliency") == pytest.approx(fresh.likeness("saliency"))
    assert [s.mean for s in whole] == [s.mean for s in without]
    assert "Sanity was checked on the first 3 pictures: whether" in page(whole, created="2026-01-01T00:00:00+00:00")
    count = len(judged)
    again = pellucid.compare(*given, options=OPTIONS, sanity=False, folder=tmp_path)
    assert (again.checked, len(judged)) == (0, count), "the same call says the same, whatever is kept"
    assert pellucid.compare(*given, options=OPTIONS, folder=tmp_path).checked == SHOWN
    assert len(judged) == count, "what was kept is not lost by a call that does not ask for it"
