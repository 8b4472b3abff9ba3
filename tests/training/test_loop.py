"""The training loop: same seed, same weights; interrupted and resumed is the same as not; the best pass is kept."""

import pytest
import torch
from torch import nn

from pellucid.errors import BadModel, BadOption
from pellucid.jobs.tensors import packed, unpacked
from pellucid.training.loop import Settings, _shifted, evaluate, train

SETTINGS = Settings(passes=6, batch=8, rate=0.02, patience=6, shift=0)


def make():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 3))


def draws(count=48, seed=0):
    x = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
    return x, x[:, :3].argmax(1)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_same_seed_same_weights_and_torch_keeps_its_random_state():
    first, second, other = make(), make(), make()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(first, draws(), draws(seed=1), SETTINGS)
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(7)
    train(second, draws(), draws(seed=1), SETTINGS)
    assert same(first, second)
    train(other, draws(), draws(seed=1), Settings(**{**SETTINGS.__dict__, "seed": 1}))
    assert not same(first, other)


def test_interrupted_and_resumed_equals_uninterrupted(tmp_path):
    whole, parts, state = make(), make(), tmp_path / "state"
    expected = train(whole, draws(), draws(seed=1), SETTINGS)

    def stop(_label, done, _total):
        if done == 15:
            raise KeyboardInterrupt

    halted = train(parts, draws(), draws(seed=1), SETTINGS, progress=stop, state=state)
    assert halted.ended == "interrupted"
    assert len(halted.history) == 2
    content = unpacked(halted.kept.read("state"))
    halted.kept.write("state", packed({**content, "seconds": content["seconds"] + 100}))
    resumed = make()
    found = train(resumed, draws(), draws(seed=1), SETTINGS, state=state)
    assert found.history == expected.history
    assert found.seconds > 100, "the time before the interrupt counts"
    assert same(whole, resumed)
    with pytest.raises(BadModel, match="other settings"):
        train(make(), draws(), draws(seed=1), Settings(passes=3), state=state, resume=True)
    (kept,) = state.iterdir()
    kept.write_bytes(b"broken")
    with pytest.raises(BadModel, match="is damaged"):
        train(make(), draws(), draws(seed=1), SETTINGS, state=state, resume=True)
    assert train(make(), draws(), draws(seed=1), SETTINGS, state=state).history == expected.history


def test_weights_of_the_best_pass_are_kept_and_patience_ends_it():
    module = make()
    inputs, labels = draws(24)
    misleading = (inputs, (labels + 1) % 3)  # what is learned makes validation worse
    trained = train(module, (inputs, labels), misleading, Settings(passes=40, batch=8, rate=0.05, patience=3, shift=0))
    assert trained.ended == "no better for 3 passes"
    best = min(range(len(trained.history)), key=lambda k: trained.history[k].validation_loss)
    assert trained.best == best
    loss, share = evaluate(module, *misleading)
    assert loss == pytest.approx(trained.history[best].validation_loss)
    assert share == pytest.approx(trained.history[best].validation_accuracy)
    assert not module.training


def test_curves_have_no_accuracy():
    x = torch.linspace(-1, 1, 32)[:, None]
    module = nn.Linear(1, 1)
    trained = train(module, (x, 2 * x + 1), (x, 2 * x + 1), Settings(passes=150, batch=8, rate=0.1, shift=0))
    assert trained.history[-1].accuracy is None
    assert float(module.weight.detach()) == pytest.approx(2, abs=0.05)


def test_bad_settings_and_a_loss_that_runs_away():
    with pytest.raises(BadOption, match="rate above 0"):
        train(make(), draws(), draws(), Settings(rate=0))
    with pytest.raises(BadOption, match="shift from 0"):
        train(make(), draws(), draws(), Settings(shift=1))
    x, y = draws()
    with pytest.raises(BadModel, match="training has run away"):
        train(make(), (x * float("nan"), y), (x, y), SETTINGS)


def test_shift_moves_whole_pictures_and_repeats_the_edge():
    torch.manual_seed(0)
    pictures = torch.arange(64.0).view(1, 1, 8, 8).expand(30, 2, 8, 8)
    moved = _shifted(pictures, 1 / 8)
    assert moved.shape == pictures.shape
    rows = (moved[:, 0, 4, 4] - pictures[:, 0, 4, 4]).tolist()
    assert set(rows) <= {a * 8 + b for a in (-1, 0, 1) for b in (-1, 0, 1)}
    assert len(set(rows)) > 5
    assert set(moved.unique().tolist()) <= set(range(64))
    torch.testing.assert_close(moved[:, 0], moved[:, 1])
    assert _shifted(pictures, 0) is pictures


def test_a_state_is_not_taken_up_with_other_examples(tmp_path):
    def stop(_label, done, _total):
        if done == 15:
            raise KeyboardInterrupt

    state, fresh = tmp_path / "state", train(make(), draws(seed=2), draws(seed=1), SETTINGS)
    train(make(), draws(), draws(seed=1), SETTINGS, progress=stop, state=state)
    with pytest.raises(BadModel, match="pictures"):
        train(make(), draws(seed=2), draws(seed=1), SETTINGS, state=state, resume=True)
    found = train(make(), draws(seed=2), draws(seed=1), SETTINGS, state=state)
    assert found.history == fresh.history
    assert len(list(state.iterdir())) == 2, "the other training's state stays"
