"""Work that is stopped midway: a method that samples gives the estimate so far and says on how much it rests."""

import json

import pytest
import torch

import pellucid
import tiny
from pellucid.contracts import Evidence, Method, Reference
from pellucid.errors import Cancelled, Refused

LEAST, STEP, SAMPLES = 5, 2, 20


def sampler(image, probe, rng, *, samples: int = SAMPLES):
    """Mean score under noise.

    Args:
        samples: how many.
    """

    def disturb(rows, _, numbers):
        return rows + rng.normal(numbers, rows)

    score = probe.score(samples, disturb, least=LEAST, step=STEP).score
    map_ = score.mean(1)[:, None, None].expand(-1, 2, 2)
    return Evidence(map_, extras={"scores": score})


def stepper(image, probe, *, steps: int = 6):
    """One question after the other, as an optimisation asks them.

    Args:
        steps: how many.
    """
    total = torch.zeros(len(image))
    with probe.interruptible(steps, 2) as tally:
        for step in range(steps):
            total = total + probe.score(1, lambda rows, samples, numbers: rows).score[:, 0]
            tally.done = step + 1
    return Evidence(total[:, None, None].expand(-1, 2, 2) / tally.done)


def greedy(image, probe):
    """Asks for more after it was told to stop."""
    first = probe.score(20, lambda rows, samples, numbers: rows, least=1).score
    return Evidence((first + probe.score(1, lambda rows, samples, numbers: rows).score)[:, :1, None])


def doubtful(image, probe):
    """Finds out too late that it cannot answer."""
    probe.score(20, lambda rows, samples, numbers: rows, least=1)
    raise Refused("no")


@pytest.fixture(autouse=True)
def known(monkeypatch):
    made = {f.__name__: Method(f, f.__name__, f.__name__.title(), Reference("x"), "x") for f in
            (sampler, stepper, greedy, doubtful)}  # fmt: skip
    found = pellucid.methods()
    monkeypatch.setattr("pellucid.registry.methods", lambda: {**found, **made})


@pytest.fixture(scope="module")
def net():
    return tiny.build(tiny.Pooled)


def explain(net, methods, *, stop_at=None, label="sampler", by="cancel", chunk=4, batch=3, **more):
    """Stopped, by `cancel` or Ctrl-C, when `label` reports `stop_at` samples; returns (explanation, message)."""
    last = ["", 0]

    def progress(name, done, total):
        last[:] = [name, done]
        if by == "ctrl-c" and reached():
            raise KeyboardInterrupt

    def reached():
        return stop_at is not None and last[0] == label and last[1] >= stop_at

    def run():
        cancel = reached if by == "cancel" else None
        return pellucid.explain(net, tiny.images(batch), methods, chunk=chunk, progress=progress, cancel=cancel, **more)

    if stop_at is None:
        return run(), ""
    with pytest.raises(Cancelled) as caught:
        run()
    return caught.value.finished, str(caught.value)


@pytest.mark.parametrize("by", ["cancel", "ctrl-c"])
@pytest.mark.parametrize(("batch", "stop_at", "done"), [(1, 12, 12), (3, 24, 8), (3, 33, 12), (3, 20, 6), (3, 59, 20)])
def test_the_estimate_so_far(net, by, batch, stop_at, done):
    found, message = explain(net, ["sampler"], stop_at=stop_at, by=by, batch=batch)
    whole, _ = explain(net, ["sampler"], batch=batch)
    a = found["sampler"]
    assert whole["sampler"].partial is None
    torch.testing.assert_close(a.extras["scores"], whole["sampler"].extras["scores"][:, :done])
    torch.testing.assert_close(a.raw[:, 0, 0], whole["sampler"].extras["scores"][:, :done].mean(1))
    if done == SAMPLES:
        assert a.partial is None
        assert not any("Stopped early" in note for note in a.notes)
        return
    assert a.partial == (done, SAMPLES)
    assert f"Stopped early: the estimate so far, from {done} of 20 samples." in a.notes
    assert f"Sampler is an estimate from {done} of 20 samples." in message
    assert message.startswith("Interrupted; 0 of 1 " if by == "ctrl-c" else "Stopped at the caller's wish during samp")


def test_ctrl_c_within_a_forward_pass():
    quiet = tiny.Fuse()
    pellucid.explain(tiny.build(tiny.Habits, quiet), tiny.images(2), "sampler", chunk=4)
    for at in range(1, quiet.calls + 1):  # the passes that find out about the network come first
        net = tiny.build(tiny.Habits, tiny.Fuse(at, KeyboardInterrupt()))
        with pytest.raises(Cancelled) as caught:
            pellucid.explain(net, tiny.images(2), "sampler", chunk=4)
        found = caught.value.finished or ()  # nothing before the first pass
        if len(found):
            assert found["sampler"].partial[0] == found["sampler"].extras["scores"].shape[1] >= LEAST
    assert len(found)


@pytest.mark.parametrize("stop_at", [3, 12])
def test_too_few_samples_give_no_map(net, stop_at):
    found, message = explain(net, ["saliency", "sampler"], stop_at=stop_at, by="ctrl-c")
    assert [a.method.id for a in found] == ["saliency"]
    assert message == "Interrupted; 1 of 2 attributions are finished."


def test_what_comes_after_is_not_begun(net):
    found, _ = explain(net, ["sampler", "occlusion", "saliency"], stop_at=24, by="ctrl-c",
                       options={"occlusion": {"window": 8}})  # fmt: skip
    assert [a.method.id for a in found] == ["sampler"]


def test_each_target_has_its_own_estimate(net):
    found, message = explain(net, "sampler", stop_at=24, by="ctrl-c", target="top2")
    assert len(found) == 1
    assert "0 of 2 attributions" in message


def test_a_loop_of_steps(net):
    seen = []

    def progress(name, done, total):
        seen.append((name, done, total))
        if seen[-1] == ("stepper", 3, 6):
            raise KeyboardInterrupt

    with pytest.raises(Cancelled) as caught:
        pellucid.explain(net, tiny.images(2), "stepper", 3, progress=progress)
    a = caught.value.finished["stepper"]
    assert a.partial == (3, 6)
    torch.testing.assert_close(a.raw[:, 0, 0], net(tiny.images(2))[:, 3].detach())
    assert seen[1:] == [("stepper", 1, 6), ("stepper", 2, 6), ("stepper", 3, 6)]
    seen.clear()
    pellucid.explain(net, tiny.images(2), "stepper", 3, progress=lambda *at: seen.append(at))
    assert seen[-1] == ("stepper", 6, 6)


def test_more_questions_after_the_stop_end_the_method(net):
    found, _ = explain(net, ["saliency", "greedy"], stop_at=24, label="greedy", by="ctrl-c")
    assert [a.method.id for a in found] == ["saliency"]


def test_the_wish_to_stop_comes_before_a_refusal(net):
    found, _ = explain(net, ["saliency", "doubtful"], stop_at=24, label="doubtful", by="ctrl-c")
    assert [a.method.id for a in found] == ["saliency"]


def test_the_manifest_says_so(net, tmp_path):
    found, _ = explain(net, ["saliency", "sampler"], stop_at=12, batch=1)
    found.save(tmp_path / "out")
    (manifest,) = (tmp_path / "out").rglob("manifest.json")
    methods = {m["id"]: m for m in json.loads(manifest.read_text())["methods"]}
    assert methods["sampler"]["partial"] == {"samples": 12, "of": 20}
    assert methods["saliency"]["partial"] is None
    assert any("Stopped early" in note for note in methods["sampler"]["notes"])
