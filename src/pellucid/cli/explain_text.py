"""What `explain` prints for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pellucid.cli import console
from pellucid.cli.console import plain
from pellucid.cli.request import Work
from pellucid.cli.results import CommandResult, Done, Earlier, Failed
from pellucid.contracts import Picture, Sample
from pellucid.evaluation import Column, Evaluation, Metric, Score, Trust, column_of, joined, trust_of
from pellucid.explanation import Explanation
from pellucid.modalities import find_modality
from pellucid.wording import chance


class Presenter:
    """Prints as the work goes on.

    Args:
        work: what is done.
        quiet: standard output is not ours; errors are still said on standard error.
    """

    def __init__(self, work: Work, *, quiet: bool) -> None:
        self.work, self.quiet = work, quiet

    def start(self) -> None:
        """Say what is about to be looked at."""
        if not self.quiet:
            model = self.work.model
            source = f" ({model.source})" if model.source not in ("", model.name) else ""
            console.line(plain(f"Model {model.name}{source} on {self.work.device}, seed {self.work.seed}"))

    def picture(self, outcome: Done | Earlier | Failed) -> None:
        """Say what came of one picture; failures wait for the end, where they are not overlooked."""
        if self.quiet or isinstance(outcome, Failed):
            return
        if isinstance(outcome, Earlier):
            console.line()
            console.line(
                plain(f"{outcome.found.name}: finished before the work was stopped, see {outcome.folder}"), "bold"
            )
            return
        explanation = outcome.explanation
        console.line()
        console.line(plain(f"{outcome.found.name}, {_extent(outcome.picture)}"), style="bold")
        _predictions(explanation)
        _choices(explanation)
        for text in (*outcome.picture.notes, *explanation.notes):
            console.line(plain(f"Note: {text}"))
        _costs(explanation)
        _shares(explanation)
        if explanation.evaluation is not None:
            _trust(explanation, explanation.evaluation)
        for method, reason in explanation.refused.items():
            console.line(plain(f"Left out: {method}. {reason}"))
        _files(outcome)

    def end(self, result: CommandResult) -> None:
        """Say which pictures failed, and whether all were reached."""
        for failed in result.failed:
            console.error(str(failed.error))
        if not self.quiet:
            _trust_in_all([done.explanation for done in result.done if isinstance(done, Done)])
        if result.failed and result.pictures > 1:
            console.note(f"{len(result.failed)} of {result.pictures} pictures could not be explained.")
        if result.interrupted:
            console.note(f"{result.interrupted} {_kept(result)}")


def _extent(picture: Picture | Sample) -> str:
    """How large it is."""
    if isinstance(picture, Sample):
        channels = len(picture.tensor)
        among = f"{channels} channels, " if channels > 1 else ""
        return f"{find_modality(picture.kind).title}: {among}{', '.join(map(str, picture.axes))}"
    return f"{picture.image.width} x {picture.image.height} pixels"


def _kept(result: CommandResult) -> str:
    if not result.done:
        return "Nothing was finished, so nothing was written."
    return f"What was finished is saved: {', '.join(str(done.folder) for done in result.done)}."


def _predictions(explanation: Explanation) -> None:
    if not explanation.predictions or not explanation.predictions[0]:
        return
    found = explanation.predictions[0]
    known = any(p.probability is not None for p in found)
    rows = [
        (
            str(p.index),
            plain(p.name),
            *((f"{p.share:.1%}",) if p.share is not None else ()),
            *((", ".join(f"{edge:.0f}" for edge in p.box),) if p.box is not None else ()),
            f"{p.score:.3f} {p.unit}" if p.unit else f"{p.score:.3f}",
            *((chance(p.probability), console.bar(p.probability)) if p.probability is not None else ()),
        )
        for p in found
    ]
    where = ("of the picture",) if found[0].share is not None else ("box",) if found[0].box is not None else ()
    places = tuple((name, "right") for name in where)
    chances = (("probability", "right"), "") if known else ()
    quantity = explanation.model.answers == "regression"
    number, score = ("number", "value") if quantity else ("class", "score")
    console.table(((number, "right"), "name", *places, (score, "right"), *chances), rows)


def _choices(explanation: Explanation) -> None:
    """What is explained, where, how, and who chose it."""
    picked = {
        "class": [attribution.target[0] for attribution in explanation],
        "layer": [str(attribution.site) for attribution in explanation if attribution.site is not None],
        "methods": [attribution.method.id for attribution in explanation],
    }
    for name, reason in explanation.choices.items():
        what = "; ".join(dict.fromkeys(picked.get(name, ())))
        console.line(plain(f"{name.capitalize()}: {what} ({reason})" if what else f"{name.capitalize()}: {reason}"))


def _costs(explanation: Explanation) -> None:
    several = len({attribution.target for attribution in explanation}) > 1
    rows = [
        (
            a.method.id,
            *((plain(a.target[0]),) if several else ()),
            plain(a.site) if a.site is not None else ("attention" if a.method.at_attention else "input"),
            f"{a.cost.seconds:.3f}",
            str(a.cost.forward),
            str(a.cost.backward),
            plain(" ".join(a.notes)),
        )
        for a in explanation
    ]
    target = ("class",) if several else ()
    numbers = (("seconds", "right"), ("forward", "right"), ("backward", "right"))
    console.table(("method", *target, "looked at", *numbers, "notes" if any(row[-1] for row in rows) else ""), rows)


def _shares(explanation: Explanation) -> None:
    """What part of all evidence each of several inputs has, of its sum and of its size."""
    found = [a for a in explanation if len(a.inputs) > 1]
    rows = [
        (a.method.id, plain(name), f"{float(m.share.signed[0]):.1%}", f"{absolute:.1%}", console.bar(absolute))
        for a in found
        for name, m in a.inputs.items()
        if m.share is not None and (absolute := float(m.share.absolute[0])) == absolute
    ]
    if rows:
        console.table(("method", "input", ("share of the sum", "right"), ("of the size", "right"), ""), rows)


def _trust(explanation: Explanation, evaluation: Evaluation) -> None:
    """The scores of each map, those of the controls under them, and what to make of it."""
    for target in dict.fromkeys(attribution.target for attribution in explanation):
        judged = [(a, trust_of(a, evaluation)) for a in explanation if a.target == target]
        metrics = list(
            {score.metric.id: score.metric for _, trust in judged for score in trust.scores.values()}.values()
        )
        if not metrics:
            continue
        columns = _columns([trust.scores for _, trust in judged], metrics)
        rows = [(a.method.id, *_cells(trust.scores, columns), trust.level) for a, trust in judged]
        console.table(
            ("method", *map(console.metric_heading, metrics), "evidence"),
            [*rows, *_of_controls(judged[0][1].scores, columns)],
        )
        for attribution, trust in judged:
            console.line(plain(f"{attribution.method.title}: {trust.sentence}"))
            if trust.comparison:
                console.line(plain(trust.comparison), "dim")


def _trust_in_all(explanations: Sequence[Explanation]) -> None:
    """Where several pictures were judged: means over all of them, with their intervals."""
    parts = [explanation.evaluation for explanation in explanations if explanation.evaluation is not None]
    if len(parts) < 2 or any(len({a.target for a in explanation}) > 1 for explanation in explanations):
        return
    scores: dict[str, dict[str, Score]] = {}
    for score in joined(parts):
        scores.setdefault(score.subject, {})[score.metric.id] = score
    metrics = list({score.metric.id: score.metric for each in scores.values() for score in each.values()}.values())
    columns = _columns(list(scores.values()), metrics)
    trusts = {name: Trust(each, {}) for name, each in scores.items()}
    rows = [(name, *_cells(each, columns), trusts[name].level) for name, each in scores.items()]
    rows += _of_controls(next(iter(scores.values()), {}), columns)
    console.line()
    console.table(
        ("method", *map(console.metric_heading, metrics), "evidence"), rows,
        title=f"Over {len(parts)} pictures: mean (95 % bootstrap interval)",
    )  # fmt: skip
    for name, trust in trusts.items():
        if trust.comparison:
            console.line(plain(f"{name}: {trust.comparison}"), "dim")


def _columns(found: Sequence[Mapping[str, Score]], metrics: Sequence[Metric]) -> dict[str, Column]:
    """By metric, how its scores are written."""
    return {metric.id: column_of(each[metric.id] for each in found if metric.id in each) for metric in metrics}


def _of_controls(scores: Mapping[str, Score], columns: Mapping[str, Column]) -> list[tuple[str, ...]]:
    """A row for each map that knows nothing of the network."""
    names = dict.fromkeys(name for score in scores.values() for name in score.controls)
    found = {
        control: {name: score.controls[control] for name, score in scores.items() if control in score.controls}
        for control in names
    }
    return [(f"({control})", *_cells(each, columns), "") for control, each in found.items()]


def _cells(scores: Mapping[str, Score], columns: Mapping[str, Column]) -> list[str]:
    return [column.text(scores[name]) if name in scores else "" for name, column in columns.items()]


def _files(done: Done) -> None:
    pictures = [path.name for path in done.files if path.suffix == ".png"]
    others = [path.name for path in done.files if path.suffix != ".png"]
    console.line(plain(f"Wrote {', '.join([*pictures, *others])} to {done.folder}"))
    report = done.folder / "report.html"
    if report in done.files:
        console.line(plain(f"Open {report}"), style="bold")
