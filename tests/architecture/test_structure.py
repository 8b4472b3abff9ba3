"""The shape of the source: one door to the network, imports that go one way, and what every file owes its reader."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import pellucid
from pellucid.cli.options import described_arguments
from pellucid.contracts import Method, Metric

ROOT = Path(pellucid.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
NAMES = [str(path.relative_to(ROOT)) for path in FILES]

# What only capture/ may do: run, hook, switch or differentiate a network.
FORBIDDEN_CALLS = {
    "register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook", "register_hook",
    "register_full_backward_pre_hook", "register_module_forward_hook", "register_backward_hook",
    "eval", "train", "requires_grad_", "zero_grad", "backward", "functional_call", "set_grad_enabled",
    "enable_grad", "get_gradient_edge", "autograd.grad", "module", "named_modules",
}  # fmt: skip
BUILT = "it switches a module that it has just built"
DRAWN = "the numbers of an image that is to be drawn"
TAUGHT = "it trains a network that it has built"
OWN = "the self-test examines networks of its own"
ALLOWED = {  # (file, call): why
    ("cli/selftest.py", "module"): OWN,
    ("cli/selftest.py", "named_modules"): OWN,
    ("cli/selftest.py", "train"): OWN,
    ("models/efficientnet_lite.py", "eval"): BUILT,
    ("models/embedded.py", "eval"): BUILT,
    ("models/factory.py", "eval"): BUILT,
    ("models/libraries.py", "eval"): BUILT,
    ("feature_visualisation/images.py", "requires_grad_"): DRAWN,
    ("models/trained.py", "eval"): BUILT,
    ("training/loop.py", "backward"): TAUGHT,
    ("training/loop.py", "eval"): TAUGHT,
    ("training/loop.py", "train"): TAUGHT,
    ("training/loop.py", "zero_grad"): TAUGHT,
    ("training/study.py", "eval"): TAUGHT,
    ("training/camify.py", "eval"): BUILT,
    ("models/camified.py", "register_forward_hook"): "it leaves the forward pass of its own trunk at a layer",
}

LAYERS = (  # each may import from its own row and those above it
    {"_version", "digests", "errors", "extras", "memory", "moved", "results", "seeds", "wording"},
    {"arithmetic", "held", "paths", "zoo"},
    {"contracts"},
    {"arguments", "choices", "numerics", "plugins", "registry", "storage"},
    {"masking", "targets"},
    {"capture", "methods", "metrics", "modalities", "models", "pictures"},
    {"explanation", "jobs"},
    {"engine"},
    {"evaluation", "figures", "report"},
    {"inspection"},
    {"default_fills", "given", "named_inputs"},
    {"call", "named_options"},
    {"api"},
    {"adversarial", "comparison", "feature_visualisation", "localisation", "training"},
    {"data"},
    {"__main__", "cli", "compat", "reading", "writing"},
)
RANK = {part: k for k, row in enumerate(LAYERS) for part in row}
UPWARDS = {("results.py", "writing"): "the base of all results asks who saves, draws and judges them"}


@cache
def tree(name):
    """A file's syntax tree, parsed once for all tests; they read it and leave it as it is."""
    return ast.parse((ROOT / name).read_text())


@pytest.fixture(scope="module", autouse=True)
def _trees_are_let_go():
    yield
    tree.cache_clear()


def part_of(name):
    return Path(name).parts[0].removesuffix(".py")


def calls(source):
    """Dotted tails of everything that is called: `a.b.c()` gives `c` and `b.c`."""
    for node in ast.walk(source):
        if isinstance(node, ast.Call):
            text = ast.unparse(node.func)
            yield from {text.rpartition(".")[2], ".".join(text.split(".")[-2:])} if "." in text else {f"{text}()"}


def outside_the_door(source):
    return {call for call in calls(source) if call in FORBIDDEN_CALLS}


def test_only_capture_touches_the_network():
    used = {(name, call) for name in NAMES if part_of(name) != "capture" for call in outside_the_door(tree(name))}
    assert used - set(ALLOWED) == set(), "this belongs into capture/"
    assert set(ALLOWED) - used == set(), "no longer needed in ALLOWED"


@pytest.mark.parametrize(
    "line",
    ["part.register_forward_hook(f)", "net.eval()", "torch.autograd.grad(a, b)", "s.backward()", "model.module(x)"],
)
def test_the_rule_sees_what_it_should(line):
    assert outside_the_door(ast.parse(line))


def imported_parts(source):
    """First name below `pellucid` of every import, wherever it stands and also where it is for types alone."""
    for node in ast.walk(source):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [
                f"{node.module}.{alias.name}" if node.module == "pellucid" else node.module for alias in node.names
            ]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for text in names:
            head, _, rest = str(text).partition(".")
            if head == "pellucid":
                yield rest.partition(".")[0]


def test_imports_go_one_way():
    parts = {(name, wanted) for name in NAMES for wanted in imported_parts(tree(name)) if name != "__init__.py"}
    assert {part_of(name) for name, _ in parts} <= set(RANK), "a new part needs its place in LAYERS"
    upwards = {(name, wanted) for name, wanted in parts if RANK.get(wanted, 0) > RANK[part_of(name)]}
    assert upwards == set(UPWARDS)


def test_nothing_imports_the_faces_of_other_libraries():
    assert not [name for name in NAMES if part_of(name) != "compat" and "compat" in set(imported_parts(tree(name)))]


def test_methods_know_nothing_of_networks():
    files = [name for name in NAMES if part_of(name) == "methods" and name != "methods/__init__.py"]
    parts = {wanted for name in files for wanted in imported_parts(tree(name))}
    assert parts <= {"methods", "contracts", "errors", "numerics", "masking", "held"}
    assert not [name for name in files if "torch.nn" in (ROOT / name).read_text()]


def test_metrics_know_nothing_of_networks():
    files = [name for name in NAMES if part_of(name) == "metrics" and name != "metrics/__init__.py"]
    parts = {wanted for name in files for wanted in imported_parts(tree(name))}
    assert parts <= {"metrics", "contracts", "errors", "numerics", "masking"}
    assert not [name for name in files if "torch.nn" in (ROOT / name).read_text()]


def test_capture_knows_nothing_of_methods():
    parts = {wanted for name in NAMES if part_of(name) == "capture" for wanted in imported_parts(tree(name))}
    known = {"capture", "contracts", "digests", "errors", "held", "memory", "numerics", "targets", "wording"}
    assert parts <= known


def nodes_of(kind):
    return [(name, node) for name in NAMES for node in ast.walk(tree(name)) if isinstance(node, kind)]


def test_no_print():
    assert not [name for name, node in nodes_of(ast.Call) if ast.unparse(node.func) == "print"]


def test_no_assert():
    assert not [f"{name}:{node.lineno}" for name, node in nodes_of(ast.Assert)]


def undescribed(name):
    """Public functions, classes and their public members without a docstring."""
    source, kinds = tree(name), (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    if source.body and not ast.get_docstring(source):
        yield name
    for node in source.body:
        if isinstance(node, kinds) and not node.name.startswith("_"):
            members = node.body if isinstance(node, ast.ClassDef) else []
            inner = [m for m in members if isinstance(m, kinds) and not m.name.startswith("_")]
            silent = [each for each in [node, *inner] if not ast.get_docstring(each)]
            yield from (
                f"{name}: {each.name}"
                for each in silent
                if each is node or not inherits(node, each.name, source, protocols_beside(name))
            )


def test_everything_public_is_described():
    assert [each for name in NAMES for each in undescribed(name)] == []


def protocols_beside(name):
    """Protocols declared in a file of the same folder below the package's root."""
    return protocols_in((ROOT / name).parent)


@cache
def protocols_in(folder):
    files = [] if folder == ROOT else sorted(folder.glob("*.py"))
    classes = [n for path in files for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ClassDef)]
    return [n for n in classes if any("Protocol" in ast.unparse(base) for base in n.bases)]


def inherits(owner, member, source, protocols):
    """A member may be described where it is first declared: on a protocol of the same folder, or by a framework."""
    bases = [ast.unparse(base) for base in owner.bases]
    classes = [n for n in ast.walk(source) if isinstance(n, ast.ClassDef) and n is not owner]
    declared = [n for n in classes if n.name in bases or any("Protocol" in ast.unparse(b) for b in n.bases)]
    declared += [n for n in protocols if n.name != owner.name]
    here = any(getattr(m, "name", "") == member and ast.get_docstring(m) for n in declared for m in n.body)
    return here or any("." in base or base not in {n.name for n in classes} for base in bases)


def test_all_is_sorted_and_importable():
    for info in [*pkgutil.walk_packages(pellucid.__path__, "pellucid."), pkgutil.ModuleInfo(None, "pellucid", True)]:
        if not info.name.endswith("__main__"):
            module = importlib.import_module(info.name)
            exported = list(getattr(module, "__all__", ()))
            constants_first = sorted(exported, key=lambda n: (not n.isupper(), not n[0].isupper(), n))
            assert exported in (sorted(exported), constants_first), info.name
            assert all(getattr(module, name) is not None for name in exported)


def test_every_public_name_is_described():
    for name in pellucid.__all__:
        assert inspect.getdoc(getattr(pellucid, name)), name


def test_every_file_in_methods_is_a_method_or_private():
    for path in sorted((ROOT / "methods").glob("[!_]*.py")):
        method = importlib.import_module(f"pellucid.methods.{path.stem}").METHOD
        assert isinstance(method, Method)
        assert pellucid.methods()[method.id] is method
        assert path.stem == method.function.__name__


def test_every_file_in_metrics_is_a_metric_or_private():
    for path in sorted((ROOT / "metrics").glob("[!_]*.py")):
        metric = importlib.import_module(f"pellucid.metrics.{path.stem}").METRIC
        assert isinstance(metric, Metric)
        assert pellucid.metrics()[metric.id] is metric
        assert path.stem == metric.function.__name__ == metric.id.replace("-", "_")


ENTRIES = [*pellucid.methods().values(), *pellucid.metrics().values()]
every_entry = pytest.mark.parametrize("method", ENTRIES, ids=lambda entry: entry.id)


@every_entry
def test_records_are_complete(method):
    assert method.title
    assert method.caveat
    assert method.summary
    assert method.reference.where
    kinds = inspect.signature(method.function).parameters
    keyword_only = [p for p in kinds.values() if p.kind is p.KEYWORD_ONLY]
    assert {p.name for p in keyword_only} == set(method.options)
    assert all(p.default is not p.empty and p.annotation is not p.empty for p in keyword_only)


@every_entry
def test_what_is_described_under_args_are_the_parameters(method):
    parameters = inspect.signature(method.function).parameters
    assert list(described_arguments(method)) == list(parameters)
    assert all(described_arguments(method).values())


def test_import_is_cheap_and_optional_libraries_are_not_needed():
    code = """
import sys, pellucid
print(sorted({"torch", "numpy", "PIL", "rich", "jinja2"} & set(sys.modules)))
pellucid.explain
print(sorted({"timm", "torchvision"} & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.split() == ["[]", "[]"]


def test_no_two_test_files_share_a_name():
    """Tests are collected by their bare file names, so that the second of a name would not be found."""
    names = [path.name for path in Path(__file__).parents[1].rglob("*.py") if path.name != "conftest.py"]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_the_stub_is_the_one_list_of_public_names():
    """Read as types are read, it says the same as the table that is read off it, and all of it is true."""
    stub = ast.parse((ROOT / "__init__.pyi").read_text())
    listed = [(node.module, alias.name, alias.asname) for node in stub.body[1:] for alias in node.names]
    assert all(name == known for _, name, known in listed), "`import X as X` says that a name is public"
    assert {name for _, name, _ in listed} == {*pellucid.__all__, "__version__"} == {*dir(pellucid), "__version__"}
    for module, name, _ in listed:
        there = getattr(importlib.import_module(module), name)
        assert getattr(pellucid, name) in (there, sys.modules.get(f"pellucid.{name}")), name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        pellucid.nothing  # noqa: B018
