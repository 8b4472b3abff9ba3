"""`pellucid dream` and `pellucid sheet`: pictures of what a network looks for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pellucid.cli import console
from pellucid.cli.flags import Invocation, json_flag, load_model, model_flags, png_file, together
from pellucid.cli.options import CommandWithMethods, given_options, normalise
from pellucid.cli.progress import Bar
from pellucid.errors import BadOption, Cancelled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pellucid.contracts import Model
    from pellucid.feature_visualisation.checkpoint import CheckpointFolder
    from pellucid.feature_visualisation.visualisation import Visualisation
    from pellucid.registry import HasOptions

_choices = together(
    click.option(
        "--recipe", default="fourier", show_default=True, metavar="NAME", help="fourier, maco, simonyan, or below."
    ),
    click.option("--image", metavar="NAME", help="fourier, laplacian, maco, pattern, pixels or plain."),
    click.option("--spectrum", metavar="FILE", help="For maco: of your own pictures, from `pellucid spectrum build`."),
    click.option("--transform", metavar="NAME", help="lucid, lucid-atlas, captum, horama, maco or none."),
    click.option("--optimiser", metavar="NAME", help="adam, nadam or sgd."),
    click.option("--steps", type=click.IntRange(min=0), help="How many. [default: the recipe's]"),
    click.option("--rate", type=float, help="Of the optimiser. [default: the recipe's]"),
    click.option("--side", type=click.IntRange(min=8), help="Of the picture, in pixels. [default: the model's]"),
    click.option("--shared", is_flag=True, default=None, help="What pictures have in common at the same place in all."),
    click.option(
        "--alpha", is_flag=True, default=None, help="With an opacity: what the objective can do without fades."
    ),
    click.option("--chunk", type=click.IntRange(min=1), help="Pictures at once. [default: what memory allows]"),
    click.option("--trust", multiple=True, metavar="DIR", help="Photographs to compare with; see the page it writes."),
    click.option("--seed", type=int, default=0, show_default=True, help="Of first pictures and transforms."),
)
_FIELDS = ("image", "spectrum", "transform", "optimiser", "steps", "rate", "shared", "alpha")
"""Flags that are fields of the recipe."""


class _Dream(CommandWithMethods):
    """Takes the options of composed recipes; its help ends with what these draw."""

    def records(self) -> Mapping[str, HasOptions]:
        """The composed recipes."""
        from pellucid.feature_visualisation.recipes import recipes

        return recipes()

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List them, with what each needs."""
        from pellucid.feature_visualisation.recipes import recipes

        flags = {"layer": "--layer", "layers": "--layer", "units": "--units", "picture": "--start"}
        with formatter.section("Composed recipes"):
            formatter.write_dl(
                [
                    (r.id, f"{r.summary} Needs {', '.join(flags[n] for n in r.needs if n not in r.optional)}.")
                    for r in recipes().values()
                ]
            )


@click.command(
    cls=_Dream,
    short_help="Draw what a class, a unit or any objective asks for.",
    context_settings={"token_normalize_func": normalise},
)
@click.argument("spec", metavar="MODEL")
@click.option("--class", "names", multiple=True, metavar="NAME", help="A class, by number or name; several: a gallery.")
@click.option(
    "--layer", "layers", multiple=True, metavar="PATH", help="Of --units, or of a composed recipe; may be given again."
)
@click.option("--units", metavar="N|A..B|A,B", help="Channels of the layer, one picture each.")
@click.option("--objective", metavar="EXPR", help="""As in 'channel("head", 12) - 0.001 * tv()'.""")
@click.option("--count", type=click.IntRange(min=1), default=1, help="Pictures of one --objective.")
@click.option("--start", metavar="PICTURE", help="A photograph to start from.")
@click.option("--snapshot", type=click.IntRange(min=1), help="Keep every so many steps, for an animation.")
@click.option(
    "--animation",
    type=click.Choice(["gif", "apng"]),
    help="Of the snapshots; apng keeps all colours and alpha. [default: gif]",
)
@click.option("--out", default="dream.png", show_default=True, metavar="FILE.png", help="Where the picture goes.")
@_choices
@model_flags
@json_flag
@click.pass_context
def dream(ctx: click.Context, /, spec: str, as_json: bool, **given: Any) -> int:
    """Draw what a class, a unit or any objective asks for.

    pellucid dream efficientnet-lite0 --class goose --recipe maco --out goose.png

    pellucid dream efficientnet-lite0 --recipe deep-dream --layer blocks.4 --start sample:cat
    """
    from pellucid.feature_visualisation.recipe import RECIPES
    from pellucid.feature_visualisation.recipes import find_composite

    options = given_options(ctx)
    if given["animation"] and not given["snapshot"]:
        raise BadOption("An animation is made of snapshots: add --snapshot 8 to keep the pictures every eight steps.")
    stray = [name for name in options if name != given["recipe"]]
    if stray:
        raise BadOption(
            f"Options of {stray[0]} were given, but the recipe is {given['recipe']}. Add --recipe {stray[0]}."
        )
    if given["recipe"] not in RECIPES:
        find_composite(given["recipe"])
        if given["names"] or given["objective"] or given["count"] > 1:
            raise BadOption(
                f"The recipe {given['recipe']} makes its objective itself: no --class, --objective, --count."
            )
        model = load_model(spec, given)
        changes = {"layer": given["layers"] or None, "units": given["units"] and units(given["units"])}
        return _run(ctx, model, None, [], given, as_json=as_json, **changes, **options.get(given["recipe"], {}))
    chosen = [name for name in ("names", "units", "objective") if given[name]]
    if len(chosen) != 1 or len(given["layers"]) != (given["units"] is not None):
        raise BadOption("Expected one of --class NAME, --layer PATH with --units, and --objective EXPR.")
    model = load_model(spec, given)
    wanted, titles = _wanted(model, {**given, "layer": "".join(given["layers"])})
    return _run(ctx, model, wanted, titles, given, as_json=as_json)


@click.command(short_help="Draw every unit of a layer on one sheet.")
@click.argument("spec", metavar="MODEL")
@click.option("--layer", required=True, metavar="PATH", help="The layer.")
@click.option("--units", default="0..15", show_default=True, metavar="all|N|A..B|A,B", help="Its channels.")
@click.option("--out", default="sheet.png", show_default=True, metavar="FILE.png", help="Where the sheet goes.")
@_choices
@model_flags
@json_flag
@click.pass_context
def sheet(ctx: click.Context, /, spec: str, as_json: bool, **given: Any) -> int:
    """Draw every unit of a layer on one sheet.

    pellucid sheet efficientnet-lite0 --layer blocks.5 --units 0..15 --side 128
    """
    model = load_model(spec, given)
    if given["units"].strip() == "all":
        from pellucid.feature_visualisation.renderer import Renderer
        from pellucid.feature_visualisation.settings import RunSettings

        shape = Renderer(model, RunSettings(size=given["side"])).shape(given["layer"])
        given["units"] = f"0..{shape[1] - 1}"
    wanted, titles = _wanted(model, given)
    given |= {"start": None, "snapshot": None, "animation": None, "count": 1}
    return _run(ctx, model, wanted, titles, given, as_json=as_json)


def units(text: str) -> list[int]:
    """Numbers from `12`, `0..63` (both ends belong) or `1,5,9`.

    Raises:
        BadOption: it is written otherwise.
    """
    found: list[int] = []
    for part in text.split(","):
        first, dots, last = part.strip().partition("..")
        if not first.isdecimal() or (dots and not last.isdecimal()) or (dots and int(last) < int(first)):
            raise BadOption(f"Expected units such as 12, 0..63 or 1,5,9; got {text!r}.")
        found += range(int(first), int(last or first) + 1)
    return found


def _wanted(model: Model, given: dict[str, Any]) -> tuple[Any, list[str]]:
    """The objective, and a title for each picture."""
    from pellucid.feature_visualisation import parse
    from pellucid.feature_visualisation.objectives import Channel, ClassLogit
    from pellucid.targets.class_names import class_index

    if given.get("objective"):
        return parse(given["objective"]), [""] * given["count"]
    if given.get("names"):
        numbers = [class_index(int(name) if name.isdecimal() else name, model) for name in given["names"]]
        return ClassLogit(tuple(numbers)), [model.class_name(k) for k in numbers]
    chosen = units(given["units"])
    return Channel(given["layer"], tuple(chosen)), [f"{given['layer']} {k}" for k in chosen]


def _run(
    ctx: click.Context,
    model: Model,
    wanted: Any,
    titles: list[str],
    given: dict[str, Any],
    *,
    as_json: bool,
    **own: Any,
) -> int:
    from pellucid.feature_visualisation.checkpoint import CheckpointFolder
    from pellucid.feature_visualisation.dream import dream as make
    from pellucid.feature_visualisation.saving import manifest, save_dream
    from pellucid.feature_visualisation.trust import trust as compare
    from pellucid.storage.provenance import named_inputs

    out = png_file(given["out"])
    call: Invocation = ctx.obj
    own |= {k: given[k] for k in _FIELDS if given[k] is not None}
    kept = CheckpointFolder(unfinished(out))
    with Bar(1) as bar:
        made = make(
            model,
            wanted,
            given["recipe"],
            count=len(titles) or 1,
            size=given["side"],
            seed=given["seed"],
            start=given["start"],
            chunk=given["chunk"],
            snapshot=given["snapshot"],
            progress=bar.tick,
            keep=kept,
            **own,
        )
        if given["trust"] and not made.stopped:
            made = replace(made, trust=compare(made, given["trust"], progress=bar.tick))
    made = replace(made, titles=made.titles or tuple(titles[: len(made.pictures)]))
    files = save_dream(made, out, animation=given["animation"] or "gif", command=call.command)
    finish(kept, stopped=made.stopped)
    if as_json:
        inputs = named_inputs([given["start"]] if given["start"] else [])
        console.document({**manifest(made, call.command, inputs), "files": [str(f) for f in files]})
    else:
        _present(made)
        console.line("\n".join(map(console.plain, files)))
    return Cancelled.exit_code if made.stopped else 0


def unfinished(out: Path) -> Path:
    """Where an interrupted dream is kept: beside what it makes."""
    return out.with_name(f"{out.stem}.unfinished")


def finish(kept: CheckpointFolder, *, stopped: bool) -> None:
    """Clear away what was kept of this work when it is done; say where it is when it is not."""
    if not stopped:
        kept.forget()
    elif any(store.full for store in kept.stores):
        console.note("What was done could not be kept: the same command begins anew.")
    else:
        console.note(console.plain(f"{kept.folder} keeps what is done; the same command goes on from there."))


def _present(made: Visualisation) -> None:
    for note in made.notes:
        console.note(note)
    names = list(made.terms)
    slopes = made.slope
    console.table(
        ("picture", ("objective", "right"), *[(name, "right") for name in names], ("spectrum slope", "right")),
        [
            (console.plain((made.titles[k] if made.titles else "") or str(k)), f"{made.final[k]:.4g}",
             *[f"{made.terms[n][k]:.4g}" for n in names], f"{slopes[k]:.2f}")
            for k in range(len(made.pictures))
        ],
        title=f"{made.recipe.steps} steps, {made.seconds:.0f} s; values of the untransformed pictures",
    )  # fmt: skip
    for k, panel in enumerate(made.trust):
        console.line(console.plain(f"{(made.titles[k] if made.titles else '') or k}: {panel.verdict}"))
