"""Every command that is printed somewhere can be typed: its options exist, and its files after `pellucid samples`.

`make acceptance` runs them all.
"""

import functools
import re

import click
import pytest

import pellucid
from pellucid.cli import main
from pellucid.cli.app import program
from pellucid.cli.flags import Invocation
from pellucid.cli.options import CommandWithMethods
from printed import BROUGHT, PAGES, ROOT, commands, examples, files_in

EVERY = [*commands(), *dict.fromkeys(examples())]


@pytest.fixture(scope="module")
def playground(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages") / "playground"
    assert main(["samples", str(folder)]) == 0
    return folder


def understood(arguments):
    """Parse a command line as the program does, without running it."""
    context = program.make_context("pellucid", list(arguments), obj=Invocation(list(arguments), False))
    group, rest = program, list(arguments)
    while hasattr(group, "resolve_command"):
        name, group, rest = group.resolve_command(context, rest)
        context = group.make_context(name, rest, parent=context)
        rest = [*context._protected_args, *context.args] if hasattr(group, "resolve_command") else []


def test_newcomer_17_every_printed_command_is_understood(monkeypatch):
    made = CommandWithMethods._flags
    once = functools.cache(lambda command: made(command, click.Context(command)))  # there are hundreds of them
    monkeypatch.setattr(CommandWithMethods, "_flags", lambda command, _: once(command))
    for line in EVERY:
        try:
            understood(line.words[1:])
        except Exception as error:
            raise AssertionError(f"{line}: {error}") from error


def test_newcomer_17_every_file_that_is_named_is_there(playground):
    made = {"playground"}
    missing = []
    for line in EVERY:
        read, written = files_in(line.words)
        there = [(playground / word).exists() or word in made or word in BROUGHT for word in read]
        missing += [f"{line} ({word})" for word, found in zip(read, there, strict=True) if not found]
        made |= set(written)
        if line.words[1:3] == ["train", "lenet5"]:
            made.add("pellucid-out/lenet5-digits/lenet5.safetensors")
    assert missing == []


def test_the_words_that_look_like_files_are_seen():
    read, written = files_in(["pellucid", "explain", "a/b.jpg", "photos/", "--target", "8/255", "--out", "x.png"])
    assert (read, written) == (["a/b.jpg", "photos/"], ["x.png"])


def test_newcomer_17_commands_within_sentences_name_what_exists():
    for page in PAGES:
        for text in re.findall(r"`pellucid ([^`]+)`", (ROOT / page).read_text()):
            name, *rest = text.split()
            assert name in program.commands, (page, text)
            command = program.commands[name]  # with the flags of methods and of kinds of input
            known = {flag for each in command.get_params(click.Context(command)) for flag in each.opts} | {"--help"}
            assert {word for word in rest if word.startswith("--")} <= known, (page, text)


CHEAP = ("spectrum build digits/", "locate val/ --annotations Annotations/", "methods")


@pytest.mark.parametrize("start", CHEAP)
def test_newcomer_17_cheap_ones_run_as_printed(start, playground, monkeypatch):
    monkeypatch.chdir(playground)
    line = next(line for line in EVERY if line.text.startswith(f"pellucid {start}"))
    assert main(line.words[1:]) == 0


def test_samples_leave_alone_what_is_there(playground, tmp_path, capsys):
    before = (playground / "photo.jpg").stat().st_mtime_ns
    assert len(pellucid.samples(playground)) > 40  # the same word in Python; equal files are not written again
    assert (playground / "photo.jpg").stat().st_mtime_ns == before
    (tmp_path / "photo.jpg").write_bytes(b"mine")
    assert main(["samples", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]
    assert (tmp_path / "photo.jpg").read_bytes() == b"mine"


def test_samples_are_what_they_are_called(playground):
    """The boxes lie within the pictures, each mask is as large as its picture and neither empty nor full."""
    from PIL import Image

    from pellucid.localisation.annotations import read_annotations

    coco, voc = (read_annotations(playground / name).pictures for name in ("instances_val.json", "Annotations"))
    assert [truth.things[0].box for truth in coco] == [truth.things[0].box for truth in voc]
    for truth in coco:
        with Image.open(playground / "val" / truth.name) as image:
            left, top, right, bottom = truth.things[0].box
            assert 0 <= left < right <= image.width
            assert 0 <= top < bottom <= image.height
    for mask in (playground / "masks").rglob("*.png"):
        (picture,) = (playground / "photos").rglob(f"{mask.stem}.jpg")
        with Image.open(mask) as shown, Image.open(picture) as whole:
            assert shown.size == whole.size
            assert 0 < sum(shown.histogram()[1:]) < 0.5 * shown.width * shown.height
