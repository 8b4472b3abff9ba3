"""`pellucid explain`: pictures in, explanations and reports out."""

from __future__ import annotations

from typing import Any

import click

from pellucid.cli import console
from pellucid.cli.figures import asked_figure, draw_figure, figure_flags, figure_of_result
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
from pellucid.cli.options import given_options, normalise
from pellucid.cli.reading import CommandWithKinds, kind_flag, said_of_files
from pellucid.errors import BadOption


class _Explain(CommandWithKinds):
    """Its help ends with the forms of a target; `--trust` may stand alone."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line, with the value of `--trust` filled in where a picture or nothing follows it."""
        words = ["--trust=brief" if word == "--trust" and args[k + 1 : k + 2] != ["full"] else word
                 for k, word in enumerate(args)]  # fmt: skip
        return super().parse_args(ctx, words)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List them, by example."""
        from pellucid.targets import FORMS

        super().format_epilog(ctx, formatter)
        with formatter.section("Targets"):
            formatter.write_dl(list(FORMS.items()))


@click.command(
    cls=_Explain,
    short_help="Explain what a model sees in pictures.",
    context_settings={"token_normalize_func": normalise},
)
@click.argument("pictures", metavar="PICTURE...", nargs=-1, required=True)
@spec_flag
@kind_flag
@click.option(
    "--method", "-m", "methods", metavar="ID[,ID]|auto", multiple=True, help="Methods; auto: see compare --best."
)
@click.option("--target", metavar="WHAT", help="A class, or any other form listed below. [default: the top class]")
@click.option("--layer", "layers", metavar="SITE|auto", multiple=True, help="Where layer methods look; several may be.")
@click.option(
    "--input",
    "inputs",
    metavar="NAME=FILE|VALUE",
    multiple=True,
    help="What goes along with the picture: a number, several (1,2,3) or a .npy file.",
)
@click.option(
    "--explain",
    "explained",
    metavar="NAME",
    multiple=True,
    help="Inputs that are explained. [default: all of real numbers]",
)
@click.option("--fuse", type=click.Choice(["max", "mean", "product"]), help="Join the maps of several layers into one.")
@click.option(
    "--trust",
    type=click.Choice(["brief", "full"]),
    metavar="[full]",
    help="Judge each map: hide and show what it names, beside maps that know nothing. It takes about as long as the "
    "maps do, a minute for each picture at most, and says what was left out; full leaves nothing out.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, where and why, and what it costs; do nothing.")
@figure_flags
@run_flags
@model_flags
@unit_flag
@json_flag
@click.pass_context
def explain(ctx: click.Context, /, pictures: tuple[str, ...], as_json: bool, **given: Any) -> int:
    """Explain what a model sees in pictures, or in signals, tables and other files.

    PICTURE is a file, a folder (or a folder of class folders), or one of sample:cat, sample:astronaut, sample:coffee
    and sample:rocket; or a file of another kind, see below. Writes one folder per picture with a PNG per method, all
    maps, a manifest and report.html. Of several pictures, those that are finished when the work is stopped are not
    explained again by the same command.
    """
    from pellucid.cli.dry_run import dry_run
    from pellucid.cli.explain_job import explain_all
    from pellucid.cli.explain_text import Presenter
    from pellucid.cli.kinds import refs
    from pellucid.cli.named_values import named_values
    from pellucid.cli.outcome import as_document
    from pellucid.cli.request import Work, chosen_methods

    call: Invocation = ctx.obj
    options = given_options(ctx)
    names = split_ids(given["methods"]) or None
    chosen_methods(names, options)  # misuse is said before the model is loaded
    out, figure = results_folder(given["out"]), asked_figure(given)
    model = load_model(given["spec"], given, sized=False)
    work = Work(
        model=model,
        methods=names,
        target=given["target"],
        layers=given["layers"],
        options=options,
        seed=given["seed"],
        chunk=given["chunk"],
        fuse=given["fuse"],
        trust=given["trust"],
        out=out,
        command=call.command,
        inputs=named_values(given["inputs"]),
        explained=given["explained"],
    )
    work.check()
    asked = refs(model, pictures, given["kind"], said_of_files(ctx))
    if given["dry_run"] and work.inputs:
        raise BadOption("--dry-run plans for one input: leave --input out, or ask pellucid.plan in Python.")
    if given["dry_run"]:
        dry_run(work, asked, as_json=as_json)
        return 0
    presenter = Presenter(work, quiet=as_json)
    presenter.start()
    result = explain_all(work, asked, presenter.picture)
    if as_json:
        console.document(as_document(work, result))
    presenter.end(result)
    drawn = 0 if figure is None else draw_figure(figure, lambda: figure_of_result(figure, result), quiet=as_json)
    return max(result.exit_code, drawn)
