"""Kept work is found by exactly the same question about exactly the same input, and never by another."""

import copy
import enum
import functools
import hashlib
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import pellucid
import tiny
from pellucid.contracts import Preprocess, Site
from pellucid.digests import digest
from pellucid.jobs import Store, content_of, question
from pellucid.pictures import prepare


def model(**changes):
    """A network with all that is known of one."""
    given = {"size": 16, "mean": (0.5,) * 3, "std": (0.2,) * 3, "classes": ["a", "b", "c", "d", "e"], **changes}
    return pellucid.wrap(given.pop("net", None) or tiny.build(tiny.Plain, dtype=torch.float32), **given)


def changed(net, change):
    change(net)
    return net


class Scaled(tiny.Plain):
    factor = 2

    def forward(self, x):
        return super().forward(x) * self.factor


def same_name(body):
    """A class with a body of its own under a name that others have as well."""
    space = {"tiny": tiny, "torch": torch, "F": F}
    helper = f"def helper(y): return {body}"
    exec(f"{helper}\nclass Net(tiny.Plain):\n  def forward(self, x): return helper(super().forward(x))", space)
    return tiny.build(space["Net"], dtype=torch.float32)


def plain(act=None):
    return tiny.build(tiny.Plain, act, dtype=torch.float32)


def with_factor(factor):
    return changed(tiny.build(Scaled, dtype=torch.float32), lambda net: setattr(net, "factor", factor))


def hooked(net):
    net.fc.register_forward_hook(lambda module, inputs, output: output * 2)


NETS = {  # each is another network than `plain()`
    "weights": lambda: changed(plain(), lambda n: n.fc.bias.data.add_(1e-6)),
    "a buffer": lambda: changed(plain(), lambda n: n.register_buffer("b", torch.ones(1))),
    "the stride": lambda: changed(plain(), lambda n: setattr(n.conv2, "stride", (1, 1))),
    "padding": lambda: changed(plain(), lambda n: setattr(n.conv1, "padding_mode", "reflect")),
    "an activation": lambda: plain(F.relu),
    "another function": lambda: plain(F.silu),
    "a lambda": lambda: plain(lambda x: x.relu()),
    "its constant": lambda: plain(lambda x: x.relu() * 2),
    "the class": lambda: tiny.build(Scaled, dtype=torch.float32),
    "an attribute": lambda: with_factor(3),
    "the code": lambda: same_name("y + 1"),
    "code of its helpers": lambda: same_name("y + 2"),
    "a hook": lambda: changed(plain(), hooked),
    "its own forward": lambda: changed(plain(), lambda n: setattr(n.act1, "forward", F.silu)),
    "the type of numbers": lambda: plain().double(),
}
SETTINGS = {  # each is fed or read in another way
    "the size": {"size": 12},
    "how it is resized": {"resize": None},
    "the interpolation": {"interpolation": "nearest"},
    "the mean": {"mean": (0.5, 0.5, 0.4)},
    "the deviation": {"std": (0.2, 0.2, 0.3)},
    "the classes": {"classes": ["b", "a", "c", "d", "e"]},
    "the part": {"output": "a"},
    "another part": {"output": "b"},
    "the call": {"call": lambda net, x: net(x)},
    "another call": {"call": lambda net, x: net(-x)},
    "the default layer": {"site": "conv1"},
}
FACTS = {  # each is another question about the same network
    "a fact": {"layer": Site("conv1")},
    "another value": {"layer": Site("conv2")},
    "its type": {"layer": "conv2"},
    "its name": {"site": "conv2"},
    "a seed": {"seed": 0},
    "no": {"seed": False},
    "nothing": {"seed": None},
    "an option": {"options": {"occlusion": {"window": 3}}},
    "another option": {"options": {"occlusion": {"window": 3.0}}},
}


def keys():
    found = {name: question("top", model(net=net())) for name, net in NETS.items()}
    found |= {name: question("top", model(**given)) for name, given in SETTINGS.items()}
    found |= {name: question("top", model(), **facts) for name, facts in FACTS.items()}
    found["other inputs"] = question("top", replace(model(), inputs=(torch.ones(1),)))
    return found | {"the kind": question("atlas", model()), "as it is": question("top", model())}


def test_every_single_change_asks_another_question():
    found = keys()
    assert len(set(found.values())) == len(found)
    assert keys() == found, "the same question has the same digest"


def test_what_does_not_decide_does_not_count():
    before = question("top", model())
    assert question("top", replace(model(), name="other", source="there.py")) == before
    assert question("top", model(net=plain().train())) == before
    assert question("top", model(net=plain().to(memory_format=torch.channels_last))) == before
    assert question("top", model(net=copy.deepcopy(plain()))) == before
    assert question("top", model(), b=1, a=2) == question("top", model(), a=2, b=1)
    asked = model()
    pellucid.explain(asked, torch.rand(1, 3, 16, 16), "saliency")
    assert question("top", asked) == before, "an explanation leaves the network as it was"


def test_files_that_options_name_count_by_their_content(tmp_path):
    file = tmp_path / "fill.png"
    file.write_bytes(b"one")
    for value in (str(file), file, {"occlusion": {"fill": str(file)}}):
        file.write_bytes(b"one")
        before = question("compare", options=value)
        file.write_bytes(b"two")
        assert question("compare", options=value) != before
    (tmp_path / "copy.png").write_bytes(b"two")
    assert question("compare", options="x" * 9000) != question("compare", options="\0")


FACTORY = """
import torch
from torch import nn

SCALE = 1

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.places = nn.Conv2d(3, 2, 3), {"b", "a", "c"}
        nn.init.ones_(self.conv.weight), nn.init.zeros_(self.conv.bias)

    def forward(self, x):
        return self.conv(x).mean((2, 3)) * SCALE

def model():
    return Net()
"""


def test_a_factory_has_one_digest_in_every_process_and_another_with_other_code(tmp_path):
    file = tmp_path / "net.py"

    def asked(source):
        file.write_text(source)
        return question("top", pellucid.load(file, size=16), seed=0)

    first = asked(FACTORY)
    assert asked(f"# a comment\n{FACTORY}") == first
    assert asked(FACTORY.replace("SCALE = 1", "SCALE = 2")) != first, "same weights, same class, other forward"
    file.write_text(FACTORY)
    ask = "import sys; from pellucid import load; from pellucid.jobs import question; "
    ask += "print(question('top', load(sys.argv[1], size=16), seed=0))"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", ask, str(file)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    assert ran.stdout.strip() == first


class Shade(enum.Enum):
    DARK = 1
    LIGHT = 2


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


@dataclass(frozen=True)
class Pair:
    one: object
    two: object


def test_values_of_all_kinds():
    def inner(k):
        return lambda: k

    loop = []
    loop.append(loop)
    values = [
        None, True, 1, 1.0, "1", b"1", 10**6000, 10**6000 + 1, float("nan"), 1j, ..., (), [], {}, set(), (1, 2), [1, 2],
        ((1,), 2), (1, (2,)), {1, 2}, frozenset((1, 2)), {1: 2}, {2: 1}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, range(3),
        Path("x"), "x", Shade.DARK, Shade.LIGHT, Slotted(1), Slotted(2), Pair(1, 2), Pair(2, 1), inner(1), inner(2),
        functools.partial(max, 1), functools.partial(max, 2), functools.partial(min, 1), max, min, [1].append, loop,
        np.float64(1), np.float32(1), np.zeros(3), np.zeros((3, 1)), np.zeros(3, np.float32), np.array([None, 1]),
        torch.zeros(3), torch.zeros(3, 1), torch.zeros(3).half(), torch.zeros(3).bfloat16(), torch.zeros(3) + 1e-7,
        torch.zeros(3).to_sparse(), torch.float32, torch.device("cpu"), nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6(),
        nn.Sequential(nn.ReLU()), nn.LazyLinear(2), nn.Linear(2, 2, device="meta"), nn.Linear(2, 3, device="meta"),
        np.random.default_rng(1), np.random.default_rng(2), torch.Generator().manual_seed(1), threading.Lock(),
        Image.Resampling.BICUBIC, functools.cache(tiny.build), tiny.build, str, int, Shade, "\udcff", "ÿ",
    ]  # fmt: skip
    found = [digest(value) for value in values]
    doubles = [(str(a), str(b)) for k, a in enumerate(values) for n, b in enumerate(values[:k]) if found[k] == found[n]]
    # a dense copy of a sparse tensor is no other tensor; what a cache holds is what the function computes
    assert doubles == [(str(torch.zeros(3).to_sparse()), str(torch.zeros(3)))]
    assert [digest(value) for value in values] == found
    assert digest(torch.arange(4.0).reshape(2, 2).T) == digest(torch.tensor([[0.0, 2.0], [1.0, 3.0]]))


def test_what_cannot_be_seen_into_is_never_the_same():
    with Path(__file__).open() as file:
        assert digest(file) != digest(file)
        assert digest(plain(), [file]) != digest(plain(), [file])
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert digest(deep) != digest(deep)


def test_inputs_count_by_content(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    for name in ("a.png", "b.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    a, b = tmp_path / "a.png", str(tmp_path / "b.png")
    assert content_of(a) == content_of(b) == hashlib.sha256(a.read_bytes()).hexdigest()[:32]
    before = content_of(a)
    Image.fromarray(pixels[::-1].copy()).save(a)
    assert content_of(a) != before
    assert content_of(tmp_path / "none.png") != content_of(tmp_path / "none.png")
    assert content_of("sample:nothing") != content_of("sample:nothing")
    assert content_of(pixels) == content_of(pixels.copy()) != content_of(255 - pixels)
    assert content_of(Image.fromarray(pixels)) == content_of(Image.fromarray(pixels))
    assert content_of(Image.fromarray(pixels)) != content_of(Image.fromarray(pixels).convert("L"))
    rows = torch.rand(1, 3, 4, 4)
    assert content_of(rows) == content_of(rows.clone()) != content_of(rows.double())
    preprocess = Preprocess((8, 8), None)
    small, large = (prepare(Image.new("RGB", (side, side)), preprocess) for side in (8, 16))
    assert torch.equal(small.tensor, large.tensor)
    assert content_of(small) != content_of(large), "boxes are in pixels of the original"


def test_entries_come_back_as_they_were_or_not_at_all(tmp_path):
    store, other = Store(tmp_path / "kept", "q"), Store(tmp_path / "kept", "r")
    assert store.read("c") is None
    payload = bytes(range(256)) * 3
    assert store.write("c", payload)
    assert store.write("c", b"", part="maps")
    assert store.read("c") == Store(tmp_path / "kept", "q").read("c") == payload
    assert store.read("c", part="maps") == b""
    assert other.read("c") is store.read("d") is None
    (file,) = (tmp_path / "kept").glob("q-c.kept")
    whole = file.read_bytes()
    for damaged in (
        b"",
        whole[:20],
        whole[:-1],
        whole + b"0",
        b"[" * 100_000,
        b"null",
        b"{}",
        whole[::-1],
        b"\0" * 800,
    ):
        file.write_bytes(damaged)
        assert store.read("c") is None
    for k in range(0, len(whole), 37):
        file.write_bytes(whole[:k] + bytes([whole[k] ^ 1]) + whole[k + 1 :])
        assert store.read("c") is None
    file.unlink()
    file.mkdir()
    assert store.read("c") is None


def test_an_end_of_room_is_said_once_and_loses_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "kept", "q")
    with pytest.warns(UserWarning, match="cannot be kept for a later call: Cannot write to") as said:
        assert not store.write("a", b"1")
        assert not store.write("b", b"2")
    assert len(said) == 1
    assert store.read("a") is None
    nowhere = Store(None, "q")
    assert not nowhere.write("a", b"1")
    assert nowhere.read("a") is None
    nowhere.forget()


def test_what_is_forgotten_is_one_question_s(tmp_path):
    one, two = (Store(tmp_path / "kept", name) for name in ("q", "r"))
    one.write("a", b"1"), two.write("a", b"2")
    one.forget()
    assert one.read("a") is None
    assert two.read("a") == b"2"
    two.forget()
    assert not (tmp_path / "kept").exists()
