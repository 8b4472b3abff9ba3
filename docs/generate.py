"""`make docs`: writes what the program itself knows into the pages: tables of methods and metrics, the picture."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pellucid
from pellucid.plugins import origin_of

if TYPE_CHECKING:
    from pellucid.capture.operators import Operator

ROOT = Path(__file__).parent.parent
START, END = "<!-- methods: written by make docs -->", "<!-- end of methods -->"
OPERATORS, END_OPERATORS = "<!-- operators: written by make docs -->", "<!-- end of operators -->"
WORDS = ("rule", "as it is", "in steps", "gradient")
"""What a transformation may do with an operator, in the table of operators."""
METRICS_END = "<!-- end of metrics -->"
ASKS = {"probe": "the network", "explain": "the method again", "mask": "masks", "boxes": "boxes"}
RECIPES, END_RECIPES = "<!-- recipes: written by make docs -->", "<!-- end of recipes -->"
SHOWN = ("grad-cam", "guided-backprop", "occlusion", "smoothgrad")


def own(records: Mapping[str, Any]) -> list[Any]:
    """Those of a registry that no other package has added here."""
    return [record for record in records.values() if origin_of(record) is None]


def methods_table() -> str:
    """One row per registered method."""
    rows = ["| id | what it shows | looks at | source |", "|---|---|---|---|"]
    for method in own(pellucid.methods()):
        place = "layer" if method.at_site else "attention" if method.at_attention else "input"
        rows.append(f"| `{method.id}` | {method.summary} | {place} | {method.reference} |")
    return "\n".join(rows)


def metrics_table() -> str:
    """One row per registered metric."""
    rows = ["| id | what it measures | better | asks | source |", "|---|---|---|---|---|"]
    for metric in own(pellucid.metrics()):
        asks = [words for name, words in ASKS.items() if name in metric.needs]
        rows.append(
            f"| `{metric.id}` | {metric.summary} | {metric.better} | {', '.join(asks) or 'the map alone'} | "
            f"{metric.reference} |"
        )
    return "\n".join(rows)


def readme() -> str:
    """The README with the table as it should be."""
    return _with_table("README.md", START, methods_table(), END)


def metrics_page() -> str:
    """The page of metrics with the table as it should be."""
    return _with_table("docs/metrics.md", "<!-- metrics: written by make docs -->", metrics_table(), METRICS_END)


def _with_table(path: str, start: str, table: str, end: str) -> str:
    before, _, rest = (ROOT / path).read_text().partition(start)
    return f"{before}{start}\n{table}\n{end}{rest.partition(end)[2]}"


def recipes_table() -> str:
    """One row per composed recipe."""
    from pellucid.feature_visualisation.recipes import recipes

    needs = {"layer": "a layer", "layers": "layers", "units": "units", "picture": "`--start PICTURE`"}
    rows = ["| `--recipe` | what it draws | needs | misleads |", "|---|---|---|---|"]
    for recipe in recipes().values():
        wanted = ", ".join(needs[name] for name in recipe.needs if name not in recipe.optional)
        rows.append(f"| `{recipe.id}` | {recipe.summary} | {wanted} | {recipe.caveat} |")
    return "\n".join(rows)


def visualisation() -> str:
    """The page on feature visualisation with the table as it should be."""
    text = (ROOT / "docs" / "feature-visualisation.md").read_text()
    before, _, rest = text.partition(RECIPES)
    return f"{before}{RECIPES}\n{recipes_table()}\n{END_RECIPES}{rest.partition(END_RECIPES)[2]}"


def transformations() -> dict[str, Callable[[Operator], str | None]]:
    """What each transformation does with an operator, in a word, or why it does nothing; None if it does not say."""
    from pellucid.capture import incremental
    from pellucid.capture.backward_rules import biases, deep_lift, lrp, relu
    from pellucid.capture.operators import costs
    from pellucid.capture.operators.graph import routes
    from pellucid.capture.receptive import rules as receptive
    from pellucid.capture.tracing import decompose

    straight = {"linear", "summing", "moving", "joining", "random"}

    def by_parts(operator: Operator) -> str:
        return "in steps" if not operator.aten or "composite" in operator.traits else ""

    def in_the_graph(*traits: str) -> Callable[[Operator], str]:
        return lambda operator: "as it is" if operator.traits & {*straight, *traits} or _moved(operator) else ""

    def stepwise(operator: Operator) -> str:
        return "in steps" if operator in biases.IN_PARTS else ""

    def moved_only(operator: Operator) -> str:
        absent = "random" in operator.traits
        return "as it is" if absent or _moved(operator) or any(map(routes, operator.node)) else ""

    def shared(operator: Operator) -> str:
        return "as it is" if operator in receptive.SHARED else by_parts(operator)

    def not_concerned(operator: Operator) -> str:
        return "" if "activation" in operator.traits else "gradient"

    deep_lift_rules = {**deep_lift.IN_STEPS, **deep_lift.RULES}
    tables: dict[str, tuple[Mapping[Operator, Any], Mapping[Operator, str], Callable[[Operator], str]]] = {
        "costs": (costs.RULES, costs.DECLINED, by_parts),
        "receptive field": (receptive.RULES, receptive.DECLINED, shared),
        "one value": (decompose.RULES, decompose.DECLINED, by_parts),
        "incremental": (incremental.RULES, incremental.DECLINED, lambda _: ""),
        "rectifiers": (relu.RULES, relu.DECLINED, not_concerned),
        "DeepLIFT": (deep_lift_rules, deep_lift.DECLINED, in_the_graph()),
        "LRP": (lrp.RULES, lrp.DECLINED, moved_only),
        "biases": (biases.RULES, biases.DECLINED, lambda each: stepwise(each) or in_the_graph("choosing")(each)),
    }
    return {name: partial(_standing, *table) for name, table in tables.items()}


def _moved(operator: Operator) -> bool:
    """Whether it leaves nodes of operators that move values, and none of its own."""
    return operator.kind == "moving" and not operator.node


def _standing(
    rules: Mapping[Operator, Any],
    declined: Mapping[Operator, str],
    otherwise: Callable[[Operator], str],
    operator: Operator,
) -> str | None:
    return "rule" if operator in rules and operator not in declined else (
        otherwise(operator) or declined.get(operator) or None
    )  # fmt: skip


def operators_table() -> str:
    """One row per operator, one column per transformation; below, why some have no rule."""
    from pellucid.capture.operators import every_operator

    columns, reasons = transformations(), list[str]()
    rows = [f"| operator | family | {' | '.join(columns)} |", "|---|---|" + "---|" * len(columns)]
    for operator in every_operator():
        cells = []
        for column in columns.values():
            word = column(operator) or "?"
            if word not in WORDS:
                reasons += [word] * (word not in reasons)
                word = f"no ({reasons.index(word) + 1})"
            cells.append(word)
        rows.append(f"| `{operator}` | {operator.kind} | {' | '.join(cells)} |")
    notes = [f"{number}. {reason[0].upper()}{reason[1:]}." for number, reason in enumerate(reasons, 1)]
    return "\n".join([*rows, "", "Why there is no rule:", "", *notes])


def operators_page() -> str:
    """The page of operators with the table as it should be."""
    return _with_table("docs/operators.md", OPERATORS, operators_table(), END_OPERATORS)


def dreams() -> None:
    """The contact sheet of the page on feature visualisation: seconds to a minute each."""
    from pellucid.feature_visualisation.drawing import as_image
    from pellucid.pictures import sheet

    model, cells = pellucid.load(), []
    for recipe, steps in (("simonyan", 200), ("fourier", 150), ("maco", 200)):
        made = pellucid.dream(model, 'logit("goose")', recipe, steps=steps)
        cells.append((as_image(made.pictures[0]), f"goose, {recipe}"))
    made = pellucid.dream(model, recipe="deep-dream", layer="blocks.10", start="sample:cat")
    whole = as_image(made.pictures[0])
    left = (whole.width - whole.height) // 2
    cells.append((whole.crop((left, 0, left + whole.height, whole.height)), "deep dream, blocks.10"))
    for name in ("inversion", "caricature"):
        made = pellucid.dream(model, recipe=name, layer="blocks.7", start="sample:cat", steps=150)
        cells.append((as_image(made.pictures[0]), f"{name}, blocks.7"))
    made = pellucid.dream(model, recipe="interpolation", layer="blocks.4", units=(3, 9), frames=3, steps=100)
    cells += [(as_image(p), f"blocks.4: {title}") for p, title in zip(made.pictures, made.titles, strict=True)]
    made = pellucid.dream(model, recipe="neuron-groups", layer="blocks.10", start="sample:cat", groups=2, steps=100)
    cells += [(made.beside[1][0], "groups of blocks.10")]
    cells += [(as_image(p), f"group {title}") for p, title in zip(made.pictures, made.titles, strict=True)]
    page = sheet(cells, columns=4, cell=176, gap=10).quantize(192, dither=0)  # a small file
    page.save(ROOT / "docs" / "pictures" / "dreams.png", optimize=True)


def picture() -> None:
    """A sheet of maps of a photograph, as in the README."""
    from pellucid.pictures import sheet

    result = pellucid.explain(pellucid.load(), "sample:cat", list(SHOWN))
    best = result.predictions[0][0]
    cells = [(result.pictures[0].image, f"{best.name}, {best.probability:.0%}")]
    cells += [(result.picture(name), result[name].method.title) for name in SHOWN]
    sheet(cells).save(ROOT / "docs" / "pictures" / "cat.png", optimize=True)


def located() -> None:
    """Boxes and masks of photographs, as on the page of localisation."""
    from pellucid.pictures import sheet

    whole, usual = pellucid.load(resize=None), pellucid.load()
    found = [
        ("CAM", pellucid.locate(whole, "sample:cat", "cam")),
        ("Grad-CAM", pellucid.locate(usual, "sample:rocket", "grad-cam")),
        ("saliency and graph cut", pellucid.locate(usual, "sample:coffee", "saliency", by="graph-cut")),
        ("saliency and graph cut", pellucid.locate(usual, "sample:rocket", "saliency", by="graph-cut")),
    ]
    page = sheet([(each[0].draw(), name) for name, each in found])
    page.save(ROOT / "docs" / "pictures" / "located.png", optimize=True)


if __name__ == "__main__":
    (ROOT / "README.md").write_text(readme())
    (ROOT / "docs" / "metrics.md").write_text(metrics_page())
    (ROOT / "docs" / "operators.md").write_text(operators_page())
    (ROOT / "docs" / "feature-visualisation.md").write_text(visualisation())
    if "--table" not in sys.argv:
        picture()
        located()
        dreams()
