"""The spectrum of one's own pictures: measured right, kept with its card, used by MACO."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from dreaming_nets import small
from PIL import Image
from torch import nn

import pellucid
from pellucid.cli import main
from pellucid.errors import BadOption
from pellucid.feature_visualisation import spectrum
from pellucid.feature_visualisation.images import Maco, frequencies
from pellucid.feature_visualisation.spectrum import build_spectrum, read_spectrum, resized_spectrum, save_spectrum


def coloured_noise(power, seed, channels=1, side=64):
    """Noise whose magnitude falls with 1 / frequency^power."""
    generator = torch.Generator().manual_seed(seed)
    flat = torch.fft.rfft2(torch.randn(channels, side, side, generator=generator))
    shaped = torch.fft.irfft2(flat * frequencies(side, side).clamp(min=1 / side) ** -power, s=(side, side))
    return shaped / shaped.std()


@pytest.fixture
def folder(tmp_path):
    for k in range(6):
        pixels = (128 + 20 * coloured_noise(1.5, k)[0]).clamp(0, 255).byte().numpy()
        Image.fromarray(pixels).save(tmp_path / f"{k}.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    return tmp_path


def test_the_slope_of_made_up_pictures_is_found(folder):
    magnitude, card = build_spectrum([str(folder)], side=64, grey=True)
    assert magnitude.shape == (1, 64, 33)
    assert card.slope == pytest.approx(-3.0, abs=0.3)
    assert card.pictures == 6
    assert list(card.failed) == [str(folder / "broken.png")]
    assert float(magnitude.max()) == 1
    colour, _ = build_spectrum([str(folder)], side=64)
    assert colour.shape == (3, 64, 33)
    assert colour[0].sum() > 5 * colour[1:].sum(), "grey pictures have little spectrum in the colours"


def test_arrays_of_many_channels(tmp_path):
    for k in range(2):
        np.save(tmp_path / f"{k}.npy", torch.cat([coloured_noise(p, k) for p in (0.0, 1.0, 2.0, 1.0, 0.5)]).numpy())
    magnitude, card = build_spectrum([str(tmp_path)], side=32)
    assert (magnitude.shape, card.channels) == ((5, 32, 17), 5)
    steep = magnitude[:, 0, 1] / magnitude[:, 0, 8]
    assert steep[2] > steep[1] > steep[0]
    np.save(tmp_path / "odd.npy", np.zeros((2, 40, 40), np.float32))
    with pytest.raises(BadOption, match="has 2 channels, those before it have 5"):
        build_spectrum([str(tmp_path)], side=32)


def test_whatever_one_picture_raises_stops_no_other(folder, monkeypatch):
    read, told = spectrum._read, []

    def fails(name, *options, **named):
        if name.endswith("3.png"):
            raise ZeroDivisionError("by nothing")
        if name.endswith("5.png") and told[0] == "stop":
            raise KeyboardInterrupt
        return read(name, *options, **named)

    monkeypatch.setattr(spectrum, "_read", fails)
    told.append("go")
    magnitude, card = build_spectrum([str(folder)], side=16, progress=lambda *done: told.append(done))
    assert {Path(name).name for name in card.failed} == {"broken.png", "3.png"}
    assert "ZeroDivisionError" in card.failed[str(folder / "3.png")]
    assert told[1:] == [("pictures", k, 7) for k in range(1, 8)]
    (folder / "3.png").unlink()
    (folder / "broken.png").unlink()
    assert torch.equal(magnitude, build_spectrum([str(folder)], side=16)[0])
    told[0] = "stop"
    with pytest.raises(KeyboardInterrupt):
        build_spectrum([str(folder)], side=16)


def test_sizes_keep_cycles_per_pixel():
    whole = frequencies(64, 64)[None].clamp(min=1 / 64)
    for size in ((32, 32), (48, 80), (64, 64)):
        wanted = frequencies(*size)[None].clamp(min=1 / 64)
        found = resized_spectrum(whole, size)
        inner = (wanted > 2 / 64) & (wanted < 0.45)  # not smooth at zero, where bilinear steps cut a corner
        torch.testing.assert_close(found[inner], wanted[inner], atol=2e-3, rtol=0)


def test_maco_takes_the_magnitude(folder, tmp_path):
    magnitude, card = build_spectrum([str(folder)], side=64, grey=True)
    path = save_spectrum(magnitude, card, tmp_path / "x.safetensors")
    again, about = read_spectrum(path)
    assert torch.equal(again, magnitude)
    assert about["pictures"] == 6
    image = Maco((64, 64), 1, magnitude=again)
    drawn = torch.fft.rfft2(image.colours())[0].abs().detach()
    inner = (slice(None), slice(1, 30), slice(1, 30))
    ratio = drawn[inner] / magnitude[inner]
    assert ratio.std() < 1e-3 * ratio.mean(), "phases alone are free"
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    grey = pellucid.wrap(net, size=32, mean=(0.5,), std=(0.5,))
    made = pellucid.dream(grey, "logit(1)", "maco", spectrum=str(path), steps=2)
    plain = pellucid.dream(grey, "logit(1)", "maco", steps=2)
    assert made.slope[0] < plain.slope[0] - 0.5, "as smooth as the pictures that were measured"
    with pytest.raises(BadOption, match="1 channels, the pictures have 3"):
        pellucid.dream(small(), "logit(1)", "maco", spectrum=str(path), steps=1)
    with pytest.raises(BadOption, match="belongs to the image maco"):
        pellucid.dream(small(), "logit(1)", spectrum=str(path))
    with pytest.raises(BadOption, match="no spectrum from"):
        pellucid.dream(small(), "logit(1)", "maco", spectrum=str(tmp_path / "0.png"))


def test_from_the_command_line(folder, capsys, tmp_path):
    out = tmp_path / "s.safetensors"
    assert main(["spectrum", "build", str(folder), "--grey", "--side", "32", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pictures"] == 6
    assert main(["spectrum", "build", str(tmp_path / "nothing"), "--out", str(out)]) == 2
    assert "No picture with any contrast" in capsys.readouterr().err
    assert main(["spectrum", "build", str(folder), "--out", "s.npz"]) == 2
