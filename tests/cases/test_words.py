"""One word for one thing: what messages, helps and pages call a number, the network that comes along, a setting."""

import ast
import re
from pathlib import Path

import pytest

import pellucid
from pellucid import registry
from pellucid.cli import main
from pellucid.cli.app import program
from pellucid.cli.options import default_text, value_kind
from pellucid.errors import BadOption
from pellucid.feature_visualisation.recipes import recipes

RECORDS = [*registry.methods().values(), *registry.metrics().values(), *recipes().values()]
OPTIONS = [(record, name) for record in RECORDS for name in record.options]
PYTHONS = re.compile(r"\b(int|float|bool|str|tuple|NoneType|Callable|Tensor)\b|\|")
"""Names of types as Python writes them; none is a word of plain English that a message would need."""
ROOT = Path(pellucid.__file__).parent


class Nothing:
    """A value that no option takes."""

    def __repr__(self):
        return "nothing"


def test_newcomer_15_no_message_about_an_option_names_a_type_of_python():
    for record, name in OPTIONS:
        with pytest.raises(BadOption) as caught:
            registry.fill_options(record, {name: Nothing()})
        assert not PYTHONS.search(str(caught.value).replace(repr(name), "")), caught.value
        if "str" in registry._kinds(record, name):
            continue  # any text is one
        with pytest.raises(BadOption) as caught:
            registry.parse_option(record, name, "wide")
        assert not PYTHONS.search(str(caught.value)), caught.value
        assert "None" not in str(caught.value)


def test_newcomer_15_help_and_message_use_the_same_words():
    kinds = {value_kind(record, name) for record, name in OPTIONS}
    words = {part for kind in kinds for part in kind.split("|")}
    assert words == {"whole number", "number", "text", "yes", "no", "RxC", "none"}
    assert not {default_text(record, name) for record, name in OPTIONS} & {"None", "True", "False"}


def test_newcomer_15_the_network_that_comes_along_has_one_name(tmp_path, capsys):
    """Its name is what `--model` takes, what results record, and what helps, errors and pages say."""
    model = pellucid.load()
    assert model.source == model.name == "efficientnet-lite0"
    helps = [
        flag.help or "" for command in program.commands.values() for flag in command.params if hasattr(flag, "help")
    ]
    assert sum("[default: efficientnet-lite0]" in text for text in helps) > 5
    pages = [path.read_text() for path in (*(ROOT.parents[1] / "docs").glob("*.md"), ROOT.parents[1] / "README.md")]
    assert not [text for text in (*helps, *pages) if "embedded" in text]
    assert main(["layers", "embedded:resnet"]) == 2
    assert "embedded" not in capsys.readouterr().err
    weights = tmp_path / "w.pth"
    weights.write_bytes(b"")
    with pytest.raises(pellucid.PellucidError, match=r"w\.pth is damaged"):  # a file of one's own, as for all others
        pellucid.load(f"efficientnet-lite0:{weights}")


FLAGS = {"answers": "--answers", "output": "--part", "size": "--size", "mean": "--mean", "std": "--std"}
NAMED = "|".join(FLAGS)
SETTING = re.compile(rf"wrap\([^)]*?\b({NAMED})=|(?<![-\w])({NAMED})=\"")


def sentences():
    """The texts of the source that are no docstrings, those in several pieces as one, where a setting may be named."""
    for path in sorted(ROOT.rglob("*.py")):
        source = path.read_text()
        if "compat" in path.parts or not SETTING.search(source):
            continue
        tree = ast.parse(source)
        described = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in described | inner:
                parts = node.values if isinstance(node, ast.JoinedStr) else [node]
                texts = [str(part.value) for part in parts if isinstance(part, ast.Constant)]
                yield str(path.relative_to(ROOT)), "".join(texts)


def test_a_setting_that_python_names_is_named_as_a_flag_too():
    """What is said in Python and on the command line alike: `answers="multi-label"` is `--answers multi-label`."""
    seen, lacking = 0, []
    for file, text in sentences():
        named = {one or other for one, other in SETTING.findall(text)}
        if "\n" in text or not named:  # a program to be copied is Python and nothing else
            continue
        seen += 1
        lacking += [(file, name) for name in named if FLAGS[name] not in text]
    assert seen > 5
    assert lacking == []


def test_look_without_a_place_says_what_to_type(capsys):
    where = ["look", "sample:cat", "--model", "zoo:lenet5", "--layer", "c1", "--unit", "0"]
    assert main(where) == 2
    said = capsys.readouterr().err
    assert "28 x 28; no position was named. Name one from 0,0 to 27,27: --at 0,0" in said
    assert main([*where, "--at", "28,0"]) == 2
    assert "28 x 28; got the position 28,0" in capsys.readouterr().err


def layout(folder):
    """Files below a folder, but for what `pellucid.read` reads: it lies where the result does, and a call of Python is
    one result of all pictures, a command one of each.
    """
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != "result.npz"}


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("command", ["explain", "locate"])
def test_newcomer_12_python_lays_files_out_as_the_command_line_does(command, count, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["cat", "rocket"][:count]
    given = [f"sample:{name}" for name in names]
    with pytest.warns(UserWarning, match="random weights"):
        model = pellucid.load("zoo:lenet5", size=32)
    assert main([command, *given, "--model", "zoo:lenet5", "--method", "saliency", "--out", "typed"]) == 0
    found = getattr(pellucid, command)(model, given if count > 1 else given[0], "saliency")
    assert found.save("called") == Path("called")
    kept = {path for path in layout(Path("typed")) if path.startswith(".")}  # what an interrupted command goes on with
    assert layout(Path("called")) == layout(Path("typed")) - kept
    assert {f"{name}/manifest.json" for name in names} <= layout(Path("called"))
