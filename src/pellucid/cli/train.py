"""`pellucid train`: teach a network of the zoo, and show what it learned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pellucid.cli import console
from pellucid.cli.flags import Invocation, json_flag, results_folder
from pellucid.cli.progress import Bar
from pellucid.errors import BadOption, Cancelled

if TYPE_CHECKING:
    from pellucid.training import Settings
    from pellucid.training.masks import MaskComparison
    from pellucid.training.study import Study
    from pellucid.training.waves import Waves

_FOLDER = "folder"
KEPT = ".training"
"""Folder in the results' one for what is needed to go on after an interrupt."""


@click.command(short_help="Train a small network and show what it learned.")
@click.argument("what", metavar="ARCH|folder")
@click.argument("directory", metavar="[DIR]", required=False)
@click.option("--data", metavar="NAME|PATH", help="digits, fashion-mnist, waves, a folder of class folders, IDX files.")
@click.option("--arch", metavar="ARCH", help="With `folder DIR`: the network. [default: small-resnet]")
@click.option("--head", metavar="gap|linear", help="How the network ends, where it can choose.")
@click.option("--size", type=click.IntRange(min=1), help="Side of the pictures, in pixels.")
@click.option("--passes", type=click.IntRange(min=1), help="At most, of all pictures. [default: 30; more of few]")
@click.option("--batch", type=click.IntRange(min=1), help="Pictures per step. [default: by their number, 8 to 64]")
@click.option("--rate", type=float, help="Learning rate of Adam.")
@click.option(
    "--patience",
    type=click.IntRange(min=1),
    help="Passes without improvement before the end. [default: 6; more of few]",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of weights, order, split and dropout.")
@click.option("--threads", type=click.IntRange(min=1), help="Of the processor; with 1, runs agree bit for bit.")
@click.option("--out", metavar="DIR", help="Folder for weights and report. [default: pellucid-out/ARCH-DATA]")
@click.option("--self-explaining", is_flag=True, help="Together with a network that says what it needs to see.")
@click.option("--random-labels", is_flag=True, help="Learn random labels by heart, for the metric data-randomisation.")
@click.option(
    "--resume",
    is_flag=True,
    help="Go on where this was stopped, or refuse if it was another training.",
)
@json_flag
@click.pass_context
def train(ctx: click.Context, /, what: str, directory: str | None, as_json: bool, **given: Any) -> int:
    """Train a network of the textbooks, and write its weights and a report with its history.

    pellucid train lenet5 --data digits

    pellucid train folder photos/ --arch small-resnet --head gap

    pellucid train multilayer-perceptron --data waves
    """
    import torch

    architecture, data = _subject(what, directory, given["arch"], given["data"])
    out = results_folder(given["out"] or f"pellucid-out/{architecture}-{Path(data).name}")
    if given["threads"]:
        torch.set_num_threads(given["threads"])
    call: Invocation = ctx.obj
    with Bar(1) as bar:
        if data == "waves":
            return _waves(architecture, given, out, call.command, bar, as_json=as_json)
        return _pictures(architecture, data, given, out, call.command, bar, as_json=as_json)


def _subject(what: str, directory: str | None, arch: str | None, data: str | None) -> tuple[str, str]:
    """Architecture and data, from both ways to say them."""
    if what == _FOLDER:
        if directory is None or data is not None:
            raise BadOption("Expected a folder of class folders: pellucid train folder DIR [--arch small-resnet].")
        return arch or "small-resnet", directory
    if directory is not None or arch is not None:
        raise BadOption(f"Expected pellucid train {what} --data PATH, or pellucid train folder DIR --arch {what}.")
    return what, data or ("waves" if what == "multilayer-perceptron" else "digits")


def _settings(given: dict[str, Any], usual: Settings) -> Settings:
    from dataclasses import replace

    changes = {name: given[name] for name in ("passes", "batch", "rate", "patience") if given[name] is not None}
    settings = replace(usual, seed=given["seed"], **changes)
    settings.check()
    return settings


def _pictures(
    architecture: str, data: str, given: dict[str, Any], out: Path, command: str, bar: Bar, *, as_json: bool
) -> int:
    from pellucid.storage.atomic import write_text, writing
    from pellucid.training import Settings, read_examples
    from pellucid.training.report import study_page
    from pellucid.training.study import for_examples, study
    from pellucid.zoo.architectures import find_architecture

    find_architecture(architecture)  # misuse is said before the pictures are read
    _settings(given, Settings())
    examples = read_examples(data)
    settings = _settings(given, for_examples(examples))
    with writing(out):  # before the work, which would be lost
        out.mkdir(parents=True, exist_ok=True)
    made = study(
        architecture,
        examples,
        settings,
        head=given["head"],
        size=given["size"],
        progress=bar.tick,
        state=out / KEPT,
        resume=given["resume"],
        self_explaining=given["self_explaining"],
        random_labels=given["random_labels"],
    )
    bar.finish_picture()
    weights = _save(made, out)
    own = _own_masks(made, weights, settings.seed) if given["self_explaining"] else None
    write_text(out / "report.html", study_page(made, settings, own=own, command=command))
    interrupted = made.trained.ended == "interrupted"
    if not interrupted:
        made.trained.kept.forget()
    _tell(made, own, weights, out, data, as_json=as_json)
    if interrupted:
        console.note(console.plain(_of_interrupted(made, weights)))
        return Cancelled.exit_code
    return 0


def _of_interrupted(made: Study, weights: Path) -> str:
    if not made.trained.history:
        return f"Interrupted before the first pass was complete: the weights in {weights} are random."
    best = f"Interrupted; {weights} has the best weights so far."
    return f"{best} The same command {'begins anew' if made.trained.kept.full else 'goes on from there'}."


def _own_masks(made: Study, weights: Path, seed: int) -> MaskComparison:
    from pellucid.models import load
    from pellucid.training.masks import MOST, compare_masks

    return compare_masks(load(weights), made.inputs[:: -(-len(made.inputs) // MOST)], seed)


def _waves(architecture: str, given: dict[str, Any], out: Path, command: str, bar: Bar, *, as_json: bool) -> int:
    from pellucid.models import wrap
    from pellucid.storage.atomic import write_text, writing
    from pellucid.training.report import waves_page
    from pellucid.training.waves import NETWORK, SETTINGS, learn_waves

    if architecture != NETWORK:
        raise BadOption(f"waves are a curve for {NETWORK}; {architecture} learns from pictures (--data digits).")
    idle = [name for name in ("head", "size", "self_explaining", "random_labels", "resume") if given[name]]
    if idle:
        raise BadOption(f"waves take no --{idle[0].replace('_', '-')}: they are a curve, and learned in seconds.")
    settings = _settings(given, SETTINGS)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    made = learn_waves(settings, progress=bar.tick)
    bar.finish_picture()
    weights = _save(made, out)
    write_text(out / "report.html", waves_page(made, settings, command=command))
    if as_json:
        console.document({"weights": str(weights), "order": made.order, "ended": made.trained.ended,
                       "report": str(out / "report.html")},
                      model=wrap(made.trained.module, name=NETWORK))  # fmt: skip
    else:
        console.line(f"Frequencies were learned in the order {', '.join(map(str, made.order)) or 'none'}.")
        console.line(f"{made.trained.ended}, {made.seconds:.0f} s; {console.plain(out / 'report.html')}")
    return Cancelled.exit_code if made.trained.ended == "interrupted" else 0


def _save(made: Study | Waves, out: Path) -> Path:
    from pellucid.models.trained import save_trained

    path = out / f"{made.card.architecture}.safetensors"
    save_trained(made.trained.module, path, made.card)
    return path


def _known(own: MaskComparison) -> dict[str, Any]:
    return {name: {metric: s.known for metric, s in each.items()} for name, each in own.scores.items()}


def _tell(made: Study, own: MaskComparison | None, weights: Path, out: Path, data: str, *, as_json: bool) -> None:
    from dataclasses import asdict

    from pellucid.models import load
    from pellucid.storage.provenance import named_inputs

    if as_json:
        console.document(
            {
                "weights": str(weights),
                "report": str(out / "report.html"),
                "accuracy": made.accuracy,
                "right": made.right.known,
                "pictures": dict(zip(("learned", "validation", "held_out"), made.counts, strict=True)),
                "classes": list(made.card.classes),
                "confusion": made.confusion.tolist(),
                "history": [asdict(each) for each in made.trained.history],
                "ended": made.trained.ended,
                "seconds": made.seconds,
                "notes": made.notes,
                "masks": _known(own) if own else None,
            },
            model=load(weights),
            inputs=named_inputs([data]),
        )
        return
    for note in made.notes:
        console.note(note)
    last = made.trained.history[made.trained.best] if made.trained.history else None
    low, high = made.right.interval
    console.table(
        ("", ("pictures", "right"), ("accuracy", "right")),
        [
            ("learned from", str(made.counts[0]), f"{last.accuracy:.1%}" if last and last.accuracy is not None else ""),
            ("to stop by", str(made.counts[1]),
             f"{last.validation_accuracy:.1%}" if last and last.validation_accuracy is not None else ""),
            ("held out", str(made.counts[2]), f"{made.accuracy:.1%} (95 %: {low:.1%} to {high:.1%})"),
            (f"always {console.plain(made.right.guess)}", str(made.counts[2]), f"{made.right.guessing:.1%}"),
        ],
        title=f"{made.card.architecture}: {len(made.trained.history)} passes, {made.seconds:.0f} s",
    )  # fmt: skip
    if own:
        console.table(
            ("map", ("deletion, smaller is better", "right"), ("insertion, larger is better", "right")),
            [(name, *own.written(name)) for name in own.scores],
            title=f"Its own mask beside Grad-CAM, {len(own.pictures)} held-out pictures, with 95 % intervals",
        )
    console.line(f"{console.plain(weights)}\n{console.plain(out / 'report.html')}")
    console.line(console.plain(f"Look into it: pellucid explain PICTURE --model {weights}"))
