"""`pellucid compare`: which method is to be trusted for this model and these pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pellucid.cli import console
from pellucid.cli.console import plain
from pellucid.cli.figures import asked_figure, draw_figure, figure_flags
from pellucid.cli.flags import (
    Invocation,
    json_flag,
    load_model,
    model_flags,
    results_folder,
    run_flags,
    spec_flag,
    split_ids,
    unit_flag,
)
from pellucid.cli.options import CommandWithMethods, given_options, normalise
from pellucid.errors import BadOption, Cancelled, PellucidError, Refused, exit_code

if TYPE_CHECKING:
    from pellucid.choices import BestMethod
    from pellucid.comparison import Comparison
    from pellucid.evaluation import Metric
    from pellucid.registry import HasOptions


class _Compare(CommandWithMethods):
    """Takes the options of all methods and of all metrics that pictures alone can answer."""

    def records(self) -> Mapping[str, HasOptions]:
        """Methods and metrics by id."""
        from pellucid.registry import methods, metrics

        return {**methods(), **{name: metric for name, metric in metrics().items() if not metric.needs_truth}}


@click.command(
    cls=_Compare,
    short_help="Judge methods by metrics on your pictures: which one is to be trusted?",
    context_settings={"token_normalize_func": normalise},
)
@click.argument("pictures", metavar="PICTURE...", nargs=-1, required=True)
@spec_flag
@click.option("--method", "-m", "methods", metavar="ID[,ID]", multiple=True, help="Methods; may be given again.")
@click.option("--metric", "metrics", metavar="ID[,ID]", multiple=True, help="Metrics. [default: deletion, insertion]")
@click.option("--target", metavar="WHAT", help="As for explain, one per picture. [default: the top class]")
@click.option("--layer", metavar="SITE|auto", help="Where layer methods look.")
@click.option("--best", is_flag=True, help="Pick the best, and remember it for `explain --method auto`.")
@click.option(
    "--sanity/--no-sanity",
    default=True,
    show_default=True,
    help="Check that maps change when the weights are drawn at random; takes longer.",
)
@figure_flags
@run_flags
@model_flags
@unit_flag
@json_flag
@click.pass_context
def compare(ctx: click.Context, /, pictures: tuple[str, ...], as_json: bool, **given: Any) -> int:
    """Judge several methods by several metrics on the same pictures, beside maps that know nothing of the network.

    PICTURE is a file, a folder or a sample. Writes comparison.html, comparison.json, scores.csv and, in scores/, what
    is known of each picture: after Ctrl-C the same call goes on where it was.

    \b
    pellucid compare photos/ --method grad-cam,layer-cam,occlusion --metric deletion,insertion,road
    pellucid compare sample:cat sample:rocket --metric deletion --deletion.steps 56
    pellucid compare photos/ --method grad-cam,layer-cam --best && pellucid explain photo.jpg --method auto
    """  # noqa: D301 - click's mark for lines that are to stay lines
    from pellucid.choices import as_record
    from pellucid.cli.progress import Bar
    from pellucid.comparison import compare as judge
    from pellucid.comparison.best import best, remember
    from pellucid.comparison.run import DEFAULT_METRICS
    from pellucid.comparison.saving import document
    from pellucid.pictures import find_pictures

    call: Invocation = ctx.obj
    out, figure = results_folder(given["out"]), asked_figure(given)
    model = load_model(given["spec"], given)
    found = find_pictures(pictures)
    stopped: Cancelled | None = None
    try:
        with Bar(len(found)) as bar:
            comparison = judge(
                model,
                [each.source for each in found],
                split_ids(given["methods"]) or None,
                split_ids(given["metrics"]) or DEFAULT_METRICS,
                given["target"],
                given["layer"],
                given_options(ctx),
                given["seed"],
                sanity=given["sanity"],
                folder=out,
                chunk=given["chunk"],
                progress=bar.tick,
                each=lambda _: bar.finish_picture(),
            )
    except Cancelled as stop:
        comparison, stopped = stop.finished, stop
    full = _saved(comparison, out, call.command)
    code = exit_code((failed.error for failed in comparison.failed), interrupted=stopped is not None)
    code = code if full is None else max(code, full.exit_code)
    if not as_json:
        _print(comparison, out if full is None else None)
    if figure is not None and comparison.pictures:
        code = max(code, draw_figure(figure, lambda: comparison.figure(**figure.look), quiet=as_json))
    chosen: BestMethod | None = None
    unkept: PellucidError | None = None
    if given["best"] and comparison.pictures and stopped is None:
        try:
            chosen = best(comparison)
            file = remember(comparison, chosen)
        except (BadOption, Refused) as error:
            unkept, code = error, max(code, error.exit_code)
    if as_json:
        record = document(comparison, command=call.command)
        why = unkept and {"error": type(unkept).__name__, "message": str(unkept)}
        last = {"out": str(out), "interrupted": stopped and str(stopped), "exit_code": code}
        console.document({**record, "best": chosen and as_record(chosen), "not_remembered": why, **last})
    elif chosen is not None:
        console.line(plain(f"Best: {chosen.method}. {chosen.why}"), "bold")
        if unkept is None:
            console.line(plain(f"Remembered in {file}: pellucid explain --method auto uses it for this model."))
    if unkept is not None:
        console.error(str(unkept))
    for failed in comparison.failed:
        console.error(str(failed.error))
    if full is not None:
        console.error(str(full))
    if stopped is not None:
        kept = f"{out} keeps what is done; the same command goes on from there." if comparison.pictures else ""
        console.note(f"{stopped} {kept}")
    return code


def _saved(comparison: Comparison, out: Path, command: str) -> BadOption | None:
    """Write the files; returns why that cannot be done, so that what was found out is said all the same."""
    try:
        if comparison.pictures:
            comparison.save(out, command=command)
    except BadOption as error:
        return error
    return None


def _print(comparison: Comparison, out: Path | None) -> None:
    from pellucid.comparison.page import sanity, sentence, warning

    if not comparison.pictures:
        return
    metrics = [metric for metric, _ in comparison.metrics]
    console.line(plain(f"{comparison.model.name}, {len(comparison.pictures)} of {comparison.planned} pictures"), "bold")
    console.table(
        ("method", ("rank", "right"), *map(console.metric_heading, metrics), ("seconds", "right"), "sanity"),
        _rows(comparison, metrics),
    )
    spread = ", with 95 % bootstrap intervals" if len(comparison.pictures) > 1 else ""
    console.line(
        f"Means{spread}. * better than all maps that know nothing of the network, which stand below the methods."
    )
    _beside_controls(comparison, metrics)
    console.line(sanity(comparison))
    console.line(plain(sentence(comparison)), "bold")
    for method in comparison.methods:
        if said := warning(comparison, method.id):
            console.line(plain(f"Beware: {method.title} {said}."))
    for name, reason in comparison.refused.items():
        console.line(plain(f"Left out: {name}. {reason}"))
    for (subject, metric), reason in comparison.evaluation.refused.items():
        console.line(plain(f"Not judged: {subject} by {metric}. {reason}"))
    if out is not None:
        console.line(plain(f"Wrote comparison.html, comparison.json and scores.csv to {out}"))
        console.line(plain(f"Open {out / 'comparison.html'}"), "bold")


def _rows(comparison: Comparison, metrics: list[Metric]) -> list[tuple[str, ...]]:
    from pellucid.comparison.comparison import controls_of
    from pellucid.report import facts

    rows: list[tuple[str, ...]] = []
    for place in comparison.ranking:
        scores = comparison.scores_of(place.method)
        cells = []
        for metric in metrics:
            score = scores.get(metric.id)
            star = "*" if score is not None and comparison.beats_all(score) else " "
            cells.append("" if score is None else f"{comparison.columns[metric.id].text(score)}{star}")
        unknown = "not known" if comparison.checked else "not checked"
        sanity = {True: "passes", False: "fails", None: unknown}[comparison.is_sane(place.method)]
        seconds = facts.seconds(comparison.seconds_of(place.method))
        rows.append((place.method, f"{place.rank:.3g}", *cells, seconds, sanity))
    first = {metric.id: next(iter(comparison.evaluation.ranked(metric.id)), None) for metric in metrics}
    for name in controls_of([score for score in first.values() if score is not None]):
        controls = {m: None if score is None else score.controls.get(name) for m, score in first.items()}
        cells = ["" if c is None else f"{comparison.columns[m].text(c)} " for m, c in controls.items()]
        rows.append((f"({name})", "", *cells, "", ""))
    return rows


def _beside_controls(comparison: Comparison, metrics: list[Metric]) -> None:
    """What the stars rest on: every method beside the map that knows nothing and is hardest to beat."""
    rows = [
        (place.method, metric.id, ahead.text)
        for place in comparison.ranking
        for metric in metrics
        if (ahead := comparison.ahead.get((place.method, metric.id))) is not None
    ]
    if not rows:
        return
    several = len(comparison.pictures) > 1
    how = (
        "mean difference, positive is better, and its 95 % bootstrap interval"
        if several
        else "of one picture there is no interval"
    )
    console.line()
    console.table(
        ("method", "metric", "beside the closest map that knows nothing, picture by picture"), rows,
        title=f"What the stars rest on; {how}",
    )  # fmt: skip
