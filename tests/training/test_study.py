"""From pictures to weights on disk, and back to a model that explains."""

import numpy as np
import pytest
import torch
from PIL import Image

import pellucid
from pellucid.errors import BadModel, BadOption, UnknownName
from pellucid.models.trained import ModelCard, read_card, save_trained
from pellucid.training.data import Examples
from pellucid.training.loop import Settings
from pellucid.training.report import study_page, waves_page
from pellucid.training.study import study
from pellucid.training.waves import learn_waves, order_of
from pellucid.zoo.architectures import build

QUICK = Settings(passes=6, batch=16, rate=5e-3)


def squares(count=60):
    """Bright squares at the left (0) or at the right (1)."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 40, (count, 32, 32)).astype(np.uint8)
    labels = np.arange(count) % 2
    for picture, label in zip(pixels, labels, strict=True):
        top, left = rng.integers(2, 22), rng.integers(1, 5) + 18 * label
        picture[top : top + 8, left : left + 8] = 230
    return Examples("squares", tuple(pixels), torch.from_numpy(labels), ("left", "right"))


@pytest.fixture(scope="module")
def made():
    return study("lenet5", squares(), Settings(passes=12, batch=16, rate=5e-3, shift=0), head="gap")


def test_it_learns_and_accounts_for_every_picture(made):
    assert made.counts == (44, 4, 12)
    assert made.confusion.sum() == 12
    assert made.confusion.sum(1).tolist() == [6, 6]
    assert made.accuracy == made.card.facts["accuracy"] > 0.9
    assert len(made.mistakes) == 12 - int(made.confusion.diagonal().sum())


def test_saved_weights_explain_pictures(made, tmp_path):
    path = tmp_path / "squares.safetensors"
    save_trained(made.trained.module, path, made.card)
    assert read_card(path) == made.card
    model = pellucid.load(path)
    picture = Image.fromarray(made.test.sources[0])
    explanation = pellucid.explain(model, picture, "cam", layer="c5")
    with torch.no_grad():
        sure, answer = made.trained.module(made.inputs[:1]).softmax(1).max(1)
    first = explanation.predictions[0][0]
    assert first.name == made.card.classes[int(answer)]
    assert first.probability == pytest.approx(float(sure), abs=1e-5)
    values = explanation["cam"].values[0]
    assert values.isfinite().all()
    with pytest.raises(BadOption, match="holds weights already"):
        pellucid.load(path, weights=path)


def test_files_that_are_not_ours(tmp_path):
    with pytest.raises(BadModel, match="There is no file"):
        pellucid.load(tmp_path / "none.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no")
    with pytest.raises(BadModel, match="not a readable safetensors file"):
        pellucid.load(broken)
    from safetensors.torch import save_file

    save_file({"w": torch.zeros(1)}, tmp_path / "plain.safetensors")
    with pytest.raises(BadModel, match="does not say of which network"):
        pellucid.load(tmp_path / "plain.safetensors")
    odd = tmp_path / "odd.safetensors"
    save_trained(torch.nn.Linear(1, 1), odd, ModelCard("lenet6", {}))
    with pytest.raises(BadModel, match=r"cannot be made.*lenet6"):
        pellucid.load(odd)


def test_same_seed_same_weights_on_one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        a, b = (study("small-resnet", squares(24), Settings(passes=2, batch=8), size=16) for _ in range(2))
    finally:
        torch.set_num_threads(threads)
    assert a.trained.history == b.trained.history
    for x, y in zip(a.trained.module.parameters(), b.trained.module.parameters(), strict=True):
        assert torch.equal(x, y)
    assert len(a.card.preprocess.mean) == 1, "grey pictures make a grey network"


def test_what_cannot_be_trained():
    with pytest.raises(UnknownName, match="network of the zoo 'lenet'"):
        study("lenet", squares())
    with pytest.raises(UnknownName, match="head of lenet5"):
        study("lenet5", squares(), head="mean")
    with pytest.raises(BadOption, match="cannot take pictures of 20 x 20"):
        study("lenet5", squares(), QUICK, size=20)
    with pytest.raises(BadOption, match="no option depth"):
        build("lenet5", {"depth": 3})


def test_random_networks_by_name():
    with pytest.warns(UserWarning, match="zoo:lenet5 has random weights"):
        model = pellucid.load("zoo:lenet5")
    assert model.preprocess.size == (32, 32)
    with pytest.raises(UnknownName, match="The zoo has"):
        pellucid.load("zoo:resnet9000")


def test_order_of_frequencies():
    errors = {1: [1.0] + [0.05] * 40, 3: [1.0] * 9 + [0.05] * 32, 5: [0.05, 1.0] * 20}
    assert order_of(errors) == [1, 3]


@pytest.mark.long
def test_low_frequencies_are_learned_first_and_the_pages_are_written(made):
    waves = learn_waves()
    assert waves.order == [1, 3, 5]
    html = waves_page(waves, QUICK)
    assert "k = 1, k = 3, k = 5" in html
    assert html.count("<svg") == 4
    page = study_page(made, QUICK, command="pellucid train <x>")
    assert "left" in page
    assert "pellucid train &lt;x&gt;" in page
    assert page.count("<svg") == 2
