"""What `explain` prints for people."""

from __future__ import annotations

from pellucid.cli import show
from pellucid.cli.show import plain
from pellucid.cli.work import Done, Failed, Result, Work
from pellucid.explanation import Explanation


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
            show.line(plain(f"Model {model.name}{source} on {self.work.device}, seed {self.work.seed}"))

    def picture(self, outcome: Done | Failed) -> None:
        """Say what came of one picture; failures wait for the end, where they are not overlooked."""
        if self.quiet or isinstance(outcome, Failed):
            return
        explanation = outcome.explanation
        image = outcome.picture.image
        show.line()
        show.line(plain(f"{outcome.found.name}, {image.width} x {image.height} pixels"), style="bold")
        _predictions(explanation)
        _choices(explanation)
        for text in (*outcome.picture.notes, *explanation.notes):
            show.line(plain(f"Note: {text}"))
        _costs(explanation)
        for method, reason in explanation.refused.items():
            show.line(plain(f"Left out: {method}. {reason}"))
        _files(outcome)

    def end(self, result: Result) -> None:
        """Say which pictures failed, and whether all were reached."""
        for failed in result.failed:
            show.error(str(failed.error))
        if result.failed and result.pictures > 1:
            show.note(f"{len(result.failed)} of {result.pictures} pictures could not be explained.")
        if result.interrupted:
            show.note(f"{result.interrupted} {_kept(result)}")


def _kept(result: Result) -> str:
    if not result.done:
        return "Nothing was finished, so nothing was written."
    return f"What was finished is saved: {', '.join(str(done.folder) for done in result.done)}."


def _predictions(explanation: Explanation) -> None:
    if not explanation.predictions or not explanation.predictions[0]:
        return
    found = explanation.predictions[0]
    rows = [
        (
            str(p.index),
            plain(p.name),
            *((f"{p.share:.1%}",) if p.share is not None else ()),
            *((", ".join(f"{edge:.0f}" for edge in p.box),) if p.box is not None else ()),
            f"{p.score:.3f}",
            f"{p.probability:.1%}",
            show.bar(p.probability),
        )
        for p in found
    ]
    where = ("of the picture",) if found[0].share is not None else ("box",) if found[0].box is not None else ()
    places = tuple((name, "right") for name in where)
    show.table((("class", "right"), "name", *places, ("score", "right"), ("probability", "right"), ""), rows)


def _choices(explanation: Explanation) -> None:
    """What is explained, where, how, and who chose it."""
    picked = {
        "class": [attribution.target[0] for attribution in explanation],
        "layer": [str(attribution.site) for attribution in explanation if attribution.site is not None],
        "methods": [attribution.method.id for attribution in explanation],
    }
    for name, reason in explanation.choices.items():
        what = "; ".join(dict.fromkeys(picked.get(name, ())))
        show.line(plain(f"{name.capitalize()}: {what} ({reason})" if what else f"{name.capitalize()}: {reason}"))


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
    show.table(("method", *target, "looked at", *numbers, "notes" if any(row[-1] for row in rows) else ""), rows)


def _files(done: Done) -> None:
    pictures = [path.name for path in done.files if path.suffix == ".png"]
    others = [path.name for path in done.files if path.suffix != ".png"]
    show.line(plain(f"Wrote {', '.join([*pictures, *others])} to {done.folder}"))
    report = done.folder / "report.html"
    if report in done.files:
        show.line(plain(f"Open {report}"), style="bold")
