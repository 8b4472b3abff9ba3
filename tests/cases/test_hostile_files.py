"""No text of a file chooses code, sizes memory or is a formula; what is given on the command line has bounds."""

import contextlib
import csv
import io
import json
import os
import re
import resource
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from safetensors.torch import save_file
from torch import nn

import pellucid
from pellucid import choices
from pellucid.cli import main
from pellucid.contracts import Preprocess
from pellucid.errors import BadModel, BadOption, BadPicture, PellucidError
from pellucid.models.camified import Camified
from pellucid.models.card import ModelCard, read_card
from pellucid.models.trained import save_trained
from pellucid.pictures import decode, find_pictures, overlay, prepare
from pellucid.report.tables import comma_separated
from pellucid.zoo.architectures import build

MLP = {"sizes": [4, 3, 2], "transfer": "tan-sigmoid"}
NET = """
import torch, pellucid
from torch import nn
def trunk():
    torch.manual_seed(0)
    return pellucid.wrap(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2)), size=8)
"""


def card(path, content, tensors=None):
    save_file(tensors or {"x": torch.zeros(2, 3)}, path, metadata={"pellucid": json.dumps(content)})
    return path


def content(**more):
    return {
        "architecture": "multilayer-perceptron",
        "options": MLP,
        "classes": [],
        "preprocess": None,
        "facts": {},
    } | more


def head(base, **more):
    return content(architecture="camified", options={"base": base, "path": "1", "maps": 4, "classes": 2}, **more)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "source",
    ["evil.py:model", "{here}/evil.py:model", "evil.py", "python:evil:model", "python:os:abort", "evil.safetensors"],
)
def test_x1_a_card_never_runs_what_it_names(here, source, capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(here))
    Path("evil.py").write_text("open('ran', 'w').close()\ndef model(): pass")
    base = {"source": source.format(here=here)}
    for depth in range(2):
        inner = {"architecture": "camified", "options": head(base)["options"]} if depth else base
        tensors = {"linear.weight": torch.zeros(2, 4), "trunk.linear.weight": torch.zeros(2, 4)}
        file = card("a.safetensors", head(inner), tensors)
        with pytest.raises(BadModel, match="does not choose what is run"):
            pellucid.load(file)
    assert main(["inspect", "a.safetensors"]) == 3
    assert "--model FILE.py:FACTORY --weights FILE" in " ".join(capsys.readouterr().err.split())
    assert not Path("ran").exists()


def test_x1_a_card_downloads_and_reads_nothing(here, monkeypatch):
    """`:DEFAULT` and a file's path are left away: the file itself holds the weights."""
    asked = []

    def get_model(_, *, weights):
        asked.append(weights)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())

    library = SimpleNamespace(list_models=lambda: ["net"], get_model=get_model, get_model_builder=lambda _: get_model)
    monkeypatch.setattr("pellucid.models.libraries._library", lambda _: library)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    for source in ("torchvision:net:DEFAULT", "torchvision:net:/nowhere.pth", "torchvision:net"):
        card = ModelCard("camified", head({"source": source})["options"])
        save_trained(Camified(net, "1", 4, 2), Path("a.safetensors"), card)
        assert torch.equal(pellucid.load("a.safetensors").module.trunk[0].weight, net[0].weight)
    assert asked == [None] * 3


def test_x1_whoever_names_the_factory_gets_the_head(here):
    Path("own.py").write_text(NET)
    trunk = pellucid.load("own.py:trunk").module
    made = Camified(trunk, "1", 4, 2)
    save_trained(
        made, Path("head.safetensors"), ModelCard("camified", head({"source": "own.py:trunk"})["options"], ("a", "b"))
    )
    model = pellucid.load("own.py:trunk", weights="head.safetensors")
    x = torch.rand(2, 3, 8, 8)
    assert model.classes.names == ("a", "b") and torch.equal(model.module(x), made.eval()(x))
    save_file(trunk.state_dict(), "plain.safetensors")
    assert torch.equal(pellucid.load("own.py:trunk", weights="plain.safetensors").module(x), trunk(x))
    with pytest.raises(BadModel, match="another size"):
        card("wrong.safetensors", head({"source": "own.py:trunk"}), {"linear.weight": torch.zeros(3, 4)})
        pellucid.load("own.py:trunk", weights="wrong.safetensors")


@pytest.mark.parametrize(
    "wrong",
    [
        content(options={"sizes": [4, 10**9, 2]}), content(options={"sizes": [10**6, 10**6]}),
        content(options={"sizes": [1] * 100_000}), content(architecture="lenet5", options={"classes": 10**9}),
        content(architecture="small-resnet", options={"blocks": 10**9}), content(options={"sizes": [10**400, 2]}),
        content(architecture="lenet5", options={"classes": -1}), content(options={"sizes": "abc"}),
        content(architecture=5),
        content(options=[]), content(classes=-1), content(classes=[1]), content(preprocess="x"),
        content(preprocess=[1]),
        content(preprocess={"size": [10**9, 10**9]}), content(preprocess={"mean": ["a"] * 3}), content(facts=3),
        content(preprocess={"size": None, "resize": 10**12}), content(preprocess={"std": [0.0, 1, 1]}), [1], 7, None,
        content(architecture="self-explaining", options={"main": "lenet5", "options": {"classes": 10**9}}),
        head({"source": 5}), head({"source": None}), head([]), head({}),
        head({"architecture": "camified", "options": {}}),
    ],
)  # fmt: skip
def test_x3_and_c8_cards_of_any_shape_and_size_are_refused(here, wrong):
    with pytest.raises(BadModel):
        pellucid.load(card("a.safetensors", wrong))


def test_a_card_that_lacks_something_is_told_what(here):
    wrong = content(architecture="camified", options={"base": {"architecture": "lenet5", "options": {}}})
    with pytest.raises(BadModel, match="'path' is neither in its card nor among its tensors"):
        pellucid.load(card("a.safetensors", wrong, build("lenet5", {}, seed=0).state_dict(prefix="trunk.")))


@pytest.mark.parametrize("text", ["[" * 5000, '{"a":' * 5000, "{", "", "\x00", "NaN", "1" * 5000])
def test_c8_cards_that_are_no_json(here, text):
    save_file({"x": torch.zeros(1)}, "a.safetensors", metadata={"pellucid": text})
    with pytest.raises(BadModel):
        pellucid.load("a.safetensors")


def test_a_right_card_is_still_right(here):
    module = build("multilayer-perceptron", MLP, seed=3)
    made = ModelCard("multilayer-perceptron", MLP, ("a", "b"), None, {"seed": 3})
    save_trained(module, Path("a.safetensors"), made)
    assert read_card(Path("a.safetensors")) == made
    x = torch.rand(2, 4)
    assert torch.equal(pellucid.load("a.safetensors").module(x), module.eval()(x))


def any_json(rng, depth=0):
    """A random JSON value that likes the words and numbers of cards and choices."""
    words = (
        "architecture",
        "options",
        "sizes",
        "camified",
        "lenet5",
        "base",
        "source",
        "size",
        "mean",
        "grad-cam",
        "²",
    )
    kind = rng.integers(0, 9 if depth < 4 else 6)
    if kind < 6:
        return [None, False, 10**40, float(rng.normal()), words[rng.integers(len(words))], int(rng.integers(-3, 9))][
            kind
        ]
    if kind == 6:
        return [any_json(rng, depth + 1) for _ in range(rng.integers(0, 5))]
    return {words[rng.integers(len(words))]: any_json(rng, depth + 1) for _ in range(rng.integers(0, 5))}


def test_random_json_as_a_card_or_a_choice_is_refused_in_words(here, monkeypatch):
    """Property: whatever stands in a file, it is used or refused, and nothing else is ever raised."""
    monkeypatch.setenv("PELLUCID_DATA", str(here))
    rng = np.random.default_rng(0)
    model = pellucid.wrap(nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(72, 2)), size=8)
    kept = choices.file_of(model)
    kept.parent.mkdir()
    for _ in range(80):
        bases = [content(), head({"architecture": "lenet5", "options": {}}), any_json(rng)]
        whole = bases[rng.integers(3)]
        if isinstance(whole, dict):
            whole = whole | {key: any_json(rng) for key in whole if rng.random() < 0.3}
        with pytest.raises(PellucidError):
            pellucid.load(card("a.safetensors", whole))
        choice = {"method": "saliency", "options": {}, "why": "", "pictures": 1, "created": ""}
        kept.write_text(json.dumps(choice | {key: any_json(rng) for key in choice if rng.random() < 0.3}))
        with contextlib.suppress(PellucidError):
            pellucid.explain(model, torch.rand(1, 3, 8, 8), "auto")


def test_x2_no_cell_is_a_formula():
    names = ["=HYPERLINK(1)", "+1", "-1", "@x", "\t=1", "\n=1", "\uff1d1", "plain", "a=1", "", 'a,"b"']
    rows = list(csv.reader(io.StringIO(comma_separated([[*names, -0.5, 3]])), delimiter=","))
    assert rows == [["'=HYPERLINK(1)", "'+1", "'-1", "'@x", "'\t=1", "'\n=1", "'\uff1d1", *names[7:], "-0.5", "3"]]


def test_x2_every_table_is_written_by_one_function():
    writers = [
        path.name
        for path in Path(pellucid.__file__).parent.rglob("*.py")
        if re.search(r"csv\.(writer|DictWriter)", path.read_text("utf-8"))
    ]
    assert writers == ["tables.py"]


def test_x2_names_of_pictures_in_scores(here):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save("=cmd.png")
    model = pellucid.wrap(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), size=8, classes=["@a", "b"])
    pellucid.compare(model, ["=cmd.png"], methods=["saliency"], metrics=["entropy"]).save("out")
    rows = list(csv.DictReader(io.StringIO(Path("out/scores.csv").read_text())))
    assert {(row["picture"], row["target"][:2]) for row in rows} <= {("'=cmd.png", "'@"), ("'=cmd.png", "b")}
    assert all(float(row["value"]) <= 10 for row in rows if row["value"])


BASE = ["explain", "a.png", "--model", "own.py:trunk"]


@pytest.mark.parametrize(
    "flags",
    [
        ["--target", "²"], ["--target", "0" * 5000], ["--target", "top" + "1" * 5000],
        ["--target", "rank" + "9" * 5000],
        ["--method", "occlusion", "--occlusion.window", "999999999999"], ["--size", "99999999"], ["--size", "9" * 5000],
        ["--resize", "9" * 12], ["--method", "rise", "--rise.cells", "99999"], ["--device", "meta"],
        ["--device", "vulkan"],
        ["--device", "xla"], ["--device", "cuda:99999999999"], ["--out", "a" * 300], ["--out", "a\0b"],
        ["--out", "loop/x"],
        ["--out", ""], ["--method", "integrated-gradients", "--integrated-gradients.steps", "1000000000"],
        ["--method", "integrated-gradients", "--integrated-gradients.steps", "9999999"],
        ["--method", "blur-ig", "--blur-ig.sigma", "1e9"], ["--method", "blur-ig", "--blur-ig.sigma", "9e6"],
        ["--model", "a\0b.py:f"], ["--model", "z" * 5000], ["--model", "python:" + "z" * 5000],
        ["--weights", "a\0.pth"], ["--classes", "a\0b"], ["--mean", "1e999"], ["--weights", "a" * 300 + ".pth"],
    ],
)  # fmt: skip
def test_c10_options_have_bounds(here, flags, capsys):
    Path("own.py").write_text(NET)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save("a.png")
    Path("loop").symlink_to("loop")
    if "target" in flags[0] and not flags[1].isdecimal():
        Path("names").write_text("cat\ndog")
        flags = [*flags, "--classes", "names"]
    assert main([*BASE, *flags]) in (2, 3)
    said = capsys.readouterr().err
    assert "Traceback" not in said and len(said) < 2000


def test_c10_blurs_and_quadratures_keep_their_ordinary_range():
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    for method, options in (("blur-ig", {"sigma": 50.0}), ("integrated-gradients", {"steps": 200})):
        assert pellucid.explain(net, torch.rand(1, 3, 8, 8), method, options={method: options})
    with pytest.raises(BadOption, match="1 to 2,000 steps"):
        pellucid.explain(
            net, torch.rand(1, 3, 8, 8), "integrated-gradients", options={"integrated-gradients": {"steps": 2001}}
        )


def bytes_held(action):
    """The most memory of this process during an action beyond that before, in bytes, by sampling."""

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    before, peak, done = resident(), 0, threading.Event()

    def watch():
        nonlocal peak
        while not done.wait(0.001):
            peak = max(peak, resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        action()
    finally:
        done.set()
        watcher.join()
    return peak - before


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks Linux")
@pytest.mark.parametrize("kind", ["palette", "sixteen bits", "alpha", "turned"])
def test_memory_of_a_picture_is_below_four_times_its_own(here, kind):
    """At most 4 x 3 bytes a pixel, whatever the file holds (48 million pixels would be 0.6 GB)."""
    side, more = 2000, {}
    made = {
        "palette": lambda: Image.new("P", (side, side)), "alpha": lambda: Image.new("RGBA", (side, side), (1, 2, 3, 4)),
        "sixteen bits": lambda: Image.fromarray(np.zeros((side, side), np.uint16)),
        "turned": lambda: Image.new("RGB", (side, side)),
    }[kind]()  # fmt: skip
    if kind == "palette":
        more["transparency"] = 0
    if kind == "turned":
        more["exif"] = Image.Exif()
        more["exif"][0x0112] = 6
    made.save("a.png", compress_level=1, **more)
    made.close()
    prepare("a.png", Preprocess())  # what is loaded once is no part of it
    assert bytes_held(lambda: prepare("a.png", Preprocess())) <= 12.5 * side * side


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks Linux")
def test_memory_of_a_heat_map_over_a_large_picture():
    """What is drawn takes 4 bytes a pixel beside the picture's own 4, and strips on the way."""
    side = 3000
    picture = prepare(Image.new("RGB", (side, side)), Preprocess())
    overlay(prepare(Image.new("RGB", (9, 9)), Preprocess()), torch.rand(7, 7))
    assert bytes_held(lambda: overlay(picture, torch.rand(7, 7))) <= 12 * side * side


def test_a_picture_is_measured_before_it_is_decoded(here, monkeypatch):
    Image.new("L", (20_000, 1)).save("thin.png")
    Image.new("L", (200, 100)).save("large.png")
    monkeypatch.setattr(PngImageFile, "load", lambda _: pytest.fail("decoded"))
    with pytest.raises(BadPicture, match="too narrow"):
        prepare("thin.png", Preprocess(), max_pixels=10**6)
    with pytest.raises(BadPicture, match="too large"):
        decode("large.png", max_pixels=10_000)


def test_max_pixels_on_the_command_line(here, capsys):
    Path("own.py").write_text(NET)
    Image.new("RGB", (200, 100)).save("a.png")
    assert main([*BASE, "--max-pixels", "10000", "--method", "saliency"]) == 3
    assert "--max-pixels" in capsys.readouterr().err
    assert main([*BASE, "--method", "saliency"]) == 0  # the next call has its own limit


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without pipes that have names")
def test_pipes_devices_and_the_empty_path_are_named(here, capsys):
    os.mkfifo("pipe.png")
    for name, words in (("pipe.png", "pipe or a device"), ("/dev/zero", "pipe or a device"), ("", "is empty")):
        with pytest.raises(BadPicture, match=words):
            decode(name)
    Image.new("RGB", (8, 8)).save("a.png")
    assert [found.source for found in find_pictures([""])] == [""]
    Path("loop.png").symlink_to("loop.png")
    with pytest.raises(BadPicture):
        decode("loop.png")


def test_frames_are_counted_without_decoding_and_not_for_ever(here):
    """A frame of a GIF is 14 bytes here: descriptor (10), length of codes, one block of one byte, the end."""
    rng = np.random.default_rng(0)
    for count in (1, 2, 30):
        pictures = [Image.fromarray(rng.integers(0, 255, (5, 4, 3), dtype=np.uint8)) for _ in range(count)]
        for name in ("a.gif", "a.tiff"):
            pictures[0].save(name, save_all=True, append_images=pictures[1:])
            wanted = () if count == 1 else (f"first of {count} frames",)
            assert decode(name)[1] == wanted
    pictures[0].convert("P").save("one.gif")
    content = Path("one.gif").read_bytes().rstrip(b";")
    frame = b"\x2c" + bytes(4) + b"\4\0\5\0\0" + b"\2\1\x2c\0"
    Path("many.gif").write_bytes(content + frame * 200_000 + b";")
    assert "first of more than 1,000 frames" in decode("many.gif")[1]
