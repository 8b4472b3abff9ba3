"""`pellucid camify`: a head for which CAM is defined."""

from __future__ import annotations

from typing import Any

import click

from pellucid.cli import console
from pellucid.cli.flags import json_flag, load_model, model_flags
from pellucid.cli.progress import Bar
from pellucid.errors import BadOption
from pellucid.paths import usable_path


@click.command(short_help="Give a network a head for which CAM is defined.")
@click.argument("spec", metavar="MODEL")
@click.option("--data", required=True, metavar="NAME|PATH", help="Labelled pictures, as for `pellucid train`.")
@click.option("--layer", metavar="PATH", help="Layer behind which the new head begins. [default: recommended]")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the split.")
@click.option("--out", metavar="FILE", help="Where the weights go. [default: pellucid-out/camified.safetensors]")
@model_flags
@json_flag
def camify(spec: str, as_json: bool, **given: Any) -> int:
    """Put global average pooling and one linear layer behind a layer of MODEL, and train that linear layer.

    The result is a file for --model, on which --method cam works.
    """
    from pellucid.models.factory import FILE_SPEC
    from pellucid.models.trained import TRAINED, save_trained
    from pellucid.storage.atomic import writing
    from pellucid.storage.provenance import named_inputs
    from pellucid.training import read_examples
    from pellucid.training.camify import camify as give_head

    out = usable_path(given["out"] or f"pellucid-out/camified{TRAINED}", "--out")
    if out.suffix != TRAINED:
        raise BadOption(f"Expected a file that ends in {TRAINED} for --out, got {str(out)!r}.")
    examples = read_examples(given["data"])
    model = load_model(spec, given)
    with writing(out):  # before the work, which would be lost
        out.parent.mkdir(parents=True, exist_ok=True)
    with Bar(1) as bar:
        made = give_head(model, examples, site=given["layer"], seed=given["seed"], progress=bar.tick)
    with writing(out):
        save_trained(made.module, out, made.card)
    if as_json:
        console.document(
            {
                "weights": str(out),
                "layer": made.site,
                "before": made.before,
                "after": made.after,
                "right": made.right.known,
                "pictures": {"learned": made.counts[0], "held_out": made.counts[1]},
                "classes": list(made.card.classes),
                "seconds": made.seconds,
                "notes": list(made.notes),
            },
            model=model,
            inputs=named_inputs([given["data"]]),
        )
        return 0
    for note in made.notes:
        console.note(note)
    before = "does not know these classes" if made.before is None else f"{made.before:.1%}"
    console.table(
        ("head", (f"right of {made.counts[1]} held out", "right")),
        [
            (f"of {console.plain(model.name)} itself", before),
            (f"mean and linear behind {made.site}", f"{made.after:.1%}"),
            (f"always {console.plain(made.right.guess)}", f"{made.right.guessing:.1%}"),
        ],
        title=f"Learned from {made.counts[0]} pictures in {made.seconds:.0f} s",
    )
    base = str(made.card.options["base"].get("source", ""))
    own = base.startswith("python:") or FILE_SPEC.fullmatch(base)  # a file never chooses which code is run
    which = f"--model {base} --weights {out}" if own else f"--model {out}"
    console.line(
        console.plain(f"Look into it: pellucid explain PICTURE {which} --method cam --layer trunk.{made.site}")
    )
    return 0
