"""Regions of pictures: superpixels, grids and label maps."""

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.measure import label

import pellucid
from pellucid.capture.budget import Budget
from pellucid.capture.probe import Probe
from pellucid.errors import BadOption, BadPicture
from pellucid.pictures import prepare, read_labels
from pellucid.regions import Regions, regions_of, superpixels
from pellucid.targets import Top
from pellucid.types import Frame, Preprocess

PREPROCESS = Preprocess(size=(56, 56), resize=64)


def probe(image, preprocess=PREPROCESS, **more):
    model = pellucid.wrap(torch.nn.Identity(), preprocess=preprocess)
    return Probe(model, image, Top(), None, Budget(image.device), **more)


@pytest.fixture(scope="module")
def photographs():
    return torch.stack([prepare(f"sample:{name}", PREPROCESS).tensor for name in ("cat", "rocket")])


def smooth(seed, size):
    picture = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.avg_pool2d(picture, 5, 1, 2)[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("count", [2, 7, 50, 120])
def test_exactly_so_many_superpixels(photographs, count):
    found = regions_of("m", count, photographs, probe(photographs))
    assert found.count == count
    for labels in found.labels.numpy():
        assert np.unique(labels).tolist() == list(range(count))
        assert all(label(labels == k, connectivity=1).max() == 1 for k in range(count)), "a region in pieces"


@pytest.mark.parametrize(("size", "count"), [((16, 16), 50), ((8, 12), 9), ((30, 40), 300)])
def test_small_pictures(size, count):
    labels = superpixels(smooth(0, size), count)
    assert labels.shape == size
    assert np.unique(labels).tolist() == list(range(count))


def test_superpixels_follow_the_colours():
    picture = np.full((40, 40, 3), 0.2)
    picture[10:30, 14:34] = 0.9, 0.3, 0.1
    inside = picture[:, :, 0] > 0.5

    def mixed(labels):
        return sum(min((labels[inside] == k).sum(), (labels[~inside] == k).sum()) for k in range(12))

    image = torch.zeros(1, 3, 40, 40)
    assert mixed(superpixels(picture, 12)) < mixed(regions_of("m", "3x4", image, probe(image)).labels[0].numpy()) / 4


def test_superpixels_do_not_hang_on_the_last_digits(photographs):
    found = regions_of("m", 50, photographs, probe(photographs))
    other = photographs.double() + 1e-6
    assert torch.equal(regions_of("m", 50, other, probe(other)).labels, found.labels)


def test_superpixels_of_a_picture_are_its_own(photographs):
    both = regions_of("m", 30, photographs, probe(photographs)).labels
    for k in range(2):
        assert torch.equal(
            regions_of("m", 30, photographs[k : k + 1], probe(photographs[k : k + 1])).labels[0], both[k]
        )


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_inputs_that_are_no_colours(channels):
    image = torch.randn(1, channels, 24, 20, generator=torch.Generator().manual_seed(0))
    found = regions_of("m", 6, image, probe(image, None))
    assert found.labels.unique().tolist() == list(range(6))


def test_constant_pictures():
    image = torch.zeros(1, 3, 32, 32)
    assert regions_of("m", 10, image, probe(image, None)).labels.unique().tolist() == list(range(10))


def test_grid():
    image = torch.zeros(2, 3, 7, 10)
    found = regions_of("m", "3x4", image, probe(image))
    assert found.count == 12
    assert found.labels.shape == (2, 7, 10)
    row, column = found.labels[0] // 4, found.labels[0] % 4
    assert row[:, 0].bincount().tolist() == [3, 2, 2]
    assert column[0].bincount().tolist() == [3, 2, 3, 2]
    assert bool((row == row[:, :1]).all() and (column == column[:1]).all())


def test_hidden_and_painted():
    regions = Regions(torch.tensor([[[0, 1], [2, 1]], [[2, 2], [0, 1]]]), 3)
    shown = torch.tensor([[True, False, True], [False, False, True], [True, True, True]])
    hidden = regions.hidden(shown, torch.tensor([0, 1, 1]))
    assert hidden.int().tolist() == [[[[0, 1], [0, 1]]], [[[0, 0], [1, 1]]], [[[0, 0], [0, 0]]]]
    values = torch.tensor([[1.0, 2, 3], [4, 5, 6]])
    assert regions.paint(values).tolist() == [[[1, 2], [3, 2]], [[6, 6], [4, 5]]]


# Label maps


def coloured(path, numbers):
    palette = np.random.default_rng(0).permutation(256)
    Image.fromarray(palette[numbers].astype(np.uint8)).convert("RGB").save(path)
    return str(path)


def quarters(rows, columns):
    row, column = np.indices((rows, columns))
    return 2 * (row >= rows // 2) + (column >= columns // 2)


def same_partition(a, b):
    pairs = {(x, y) for x, y in zip(a.ravel().tolist(), b.ravel().tolist(), strict=True)}
    return len(pairs) == len(np.unique(a)) == len(np.unique(b))


@pytest.mark.parametrize("kind", ["png", "npy"])
def test_label_map_of_the_models_input(tmp_path, kind):
    numbers = quarters(20, 30)
    path = tmp_path / f"labels.{kind}"
    np.save(path, numbers * 7 - 3) if kind == "npy" else coloured(path, numbers)
    found = read_labels(str(path), [Frame.whole((20, 30))])
    assert found.dtype == np.int64
    assert np.unique(found).tolist() == [0, 1, 2, 3]
    assert same_partition(found, numbers)


@pytest.mark.parametrize("kind", ["png", "npy"])
def test_label_map_of_the_photograph_is_cut_out_as_it_is(tmp_path, kind):
    # one region holds what is bright: it must lie where the model's input is bright
    pixels = np.zeros((90, 150, 3), np.uint8)
    pixels[20:70, 60:100] = 255
    picture = prepare(Image.fromarray(pixels), PREPROCESS)
    path = tmp_path / f"labels.{kind}"
    np.save(path, pixels[:, :, 0]) if kind == "npy" else coloured(path, pixels[:, :, 0])
    found = read_labels(str(path), [picture.frame])
    bright = picture.tensor[0].numpy() > 0
    assert (found == found[28, 28]).sum() > 100
    assert np.mean((found == found[28, 28]) != bright) < 0.01


def test_a_label_map_from_the_command_line_to_the_map(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 255, (40, 60, 3), np.uint8)
    path = coloured(tmp_path / "labels.png", quarters(40, 60))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 5), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    model = pellucid.wrap(net, preprocess=Preprocess(size=(32, 32), resize=36))
    picture = Image.fromarray(pixels)
    found = pellucid.explain(model, picture, "feature-ablation", options={"feature-ablation": {"regions": path}})
    assert found["feature-ablation"].extras["values of regions"].shape == (1, 4)
    assert same_partition(found["feature-ablation"].extras["regions"][0].numpy(), quarters(32, 32))
    with pytest.raises(BadOption, match=r"40 x 60 pixels, which is not .*: 30 x 20 \(a picture\), 40 x 60 \(a picture"):
        two = [picture, Image.fromarray(pixels[:30, :20])]
        pellucid.explain(model, two, "feature-ablation", options={"feature-ablation": {"regions": path}})


def test_label_maps_that_cannot_be(tmp_path):
    np.save(tmp_path / "float.npy", np.zeros((4, 4)))
    np.save(tmp_path / "deep.npy", np.zeros((4, 4, 1), int))
    (tmp_path / "text.npy").write_text("no array")
    np.save(tmp_path / "many.npy", np.arange(2500).reshape(50, 50))
    Image.fromarray(np.full((4, 4), 300, np.uint16)).save(tmp_path / "sixteen.png")
    for name, message in {
        "float.npy": "whole numbers",
        "deep.npy": "whole numbers",
        "text.npy": "cannot be read",
        "none.npy": "cannot be read",
        "none.png": "does not exist",
        "many.npy": "2,500 regions, the limit is 1,000",
        "sixteen.png": "more than 8 bits",
    }.items():
        with pytest.raises(BadPicture, match=message):
            read_labels(str(tmp_path / name), [Frame.whole((50, 50) if name == "many.npy" else (4, 4))])
