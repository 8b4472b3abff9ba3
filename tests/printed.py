"""The commands that the README, the pages of docs/ and the help texts print, as a reader would type them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import click

from pellucid.cli.app import program

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))
BROUGHT = ("ILSVRC2012_img_val/", "ILSVRC2012_bbox_val_v3/")
"""What no package carries: the pictures and boxes of the challenge."""


@dataclass(frozen=True)
class Line:
    """A line for the shell and where it stands."""

    page: str
    text: str

    def __str__(self):
        return f"{self.page}: {self.text}"

    @property
    def words(self):
        return shlex.split(self.text, comments=True)


def lines(page):
    """The lines of the code blocks for the shell, which name no language, with variables in their place."""
    given = {}
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE):
        for text in [] if language else block.splitlines():
            for name, value in given.items():
                text = text.replace(f"${name}", value)
            if text.startswith("export "):
                name, _, value = text.removeprefix("export ").partition("=")
                given[name] = shlex.split(value)[0]
            elif text.strip():
                yield Line(page, text)


def commands():
    """Every line of the pages that calls pellucid."""
    return [line for page in PAGES for line in lines(page) if line.text.startswith("pellucid ")]


def examples(command=program, name="pellucid"):
    """The lines in the help texts that call pellucid."""
    for text in re.findall(r"^\s*(pellucid .*)$", command.help or "", re.MULTILINE):
        yield from (Line(f"{name} --help", part.strip()) for part in text.split("&&"))
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            yield from examples(inner, f"{name} {inner.name}")


def files_in(words):
    """What is read and what is written by a command: the words that look like a file or a folder."""
    looks = re.compile(r"[^:=(]+(/|\.(jpg|png|json|txt|py|safetensors))")
    found = [(word, before) for before, word in zip(["", *words], words, strict=False) if looks.fullmatch(word)]
    written = [word for word, before in found if before in ("--out", "--save")]
    return [word for word, _ in found if word not in written], written
