"""Rooms of the house: imports go downwards and never in a circle, and a room is entered by its door."""

import ast
from collections import Counter
from pathlib import Path

import pytest

import pellucid

ROOT = Path(pellucid.__file__).parent
DOORS = ("contracts", "feature_visualisation/objectives", "masking", "numerics", *(f"capture/{room}" for room in (
    "attention", "backward_rules", "incremental", "layers", "operators", "receptive", "running", "tracing",
)))  # fmt: skip
"""Packages of which only what their `__init__` offers is imported from elsewhere."""

CAPTURE = (
    {"operators"}, {"running"}, {"receptive", "tracing"}, {"layers"}, {"attention", "backward_rules"},
    {"differentiable", "incremental", "meter", "together"}, {"own_mask", "part_probe", "passes"}, {"reading"},
    {"behind_layer"}, {"probe"},
)  # fmt: skip
"""Rooms of capture/ from below: each may import from its own row and those before it."""

FEATURES = {
    "adversarial", "comparison", "data", "evaluation", "feature_visualisation", "figures", "inspection", "localisation",
    "methods", "metrics", "modalities", "pictures", "report", "training", "zoo",
}  # fmt: skip
"""What stands on the engine, and kinds of input."""

PATHS = {
    ".".join(("pellucid", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}


def imports(path):
    """(module, name) of every import from Pellucid, those in functions and those for types alone included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


def file_of(module, name):
    """The file that an import reads: a module, or the package that offers a name; None outside of Pellucid."""
    return next((m for m in (f"{module}.{name}", module) if m in PATHS), None)


GRAPH = {module: {file_of(*i) for i in imports(path)} - {None, module} for module, path in PATHS.items()}


def circle_in(graph):
    """A way through the graph that comes back to where it began, or nothing."""
    done, way = set(), []

    def walk(node):
        if node in way:
            return way[way.index(node) :]
        if node in done:
            return []
        way.append(node)
        found = next(filter(None, (walk(below) for below in sorted(graph[node]))), [])
        way.pop()
        done.add(node)
        return found

    return next(filter(None, map(walk, graph)), [])


def test_no_file_imports_itself_by_way_of_others():
    assert circle_in(GRAPH) == []


def test_a_circle_would_be_seen():
    assert sorted(circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}})) == ["b", "c"]


def room_of(module):
    """Folder or file right below capture/."""
    return module.split(".")[2]


def test_rooms_of_capture_look_down_only():
    rank = {room: row for row, rooms in enumerate(CAPTURE) for room in rooms}
    inside = {module for module in GRAPH if module.startswith("pellucid.capture.")}
    assert {room_of(module) for module in inside} == set(rank)
    assert not {
        (module, below)
        for module in inside
        for below in GRAPH[module] & inside
        if rank[room_of(below)] > rank[room_of(module)]
    }


@pytest.mark.parametrize("room", DOORS)
def test_a_room_is_entered_by_its_door(room):
    package = "pellucid." + room.replace("/", ".")
    outside = [module for module in PATHS if not f"{module}.".startswith(f"{package}.")]
    past = {(module, below) for module in outside for below in GRAPH[module] if below.startswith(f"{package}.")}
    assert past == set(), f"import it from {package}, or offer it there"


def test_every_door_says_what_it_offers():
    for room in DOORS:
        door = ast.parse((ROOT / room / "__init__.py").read_text())
        assert len(ast.get_docstring(door) or "") > 40, room


def part_of(module):
    """First name below `pellucid`."""
    return (*module.split("."), "")[1]


def test_the_engine_knows_no_kind_of_input_and_no_feature():
    found = {
        module: {below for below in GRAPH[module] if part_of(below) in FEATURES}
        for module in PATHS
        if part_of(module) in ("capture", "engine")
    }
    assert {module: features for module, features in found.items() if features} == {}


def test_no_two_public_classes_share_a_name():
    names = Counter(
        node.name
        for path in PATHS.values()
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert sorted(name for name, count in names.items() if count > 1) == []
