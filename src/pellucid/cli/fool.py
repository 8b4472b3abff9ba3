"""`pellucid fool`: how little it takes to change the answer, and what the heat map then says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pellucid.cli import console
from pellucid.cli.flags import json_flag, load_model, model_flags, png_file, spec_flag
from pellucid.errors import NOTHING_FOUND, BadOption
from pellucid.wording import chance


@click.command(short_help="Change a picture a little so that the answer changes; or make one of noise.")
@click.argument("picture", metavar="[PICTURE]", required=False)
@spec_flag
@click.option("--attack", metavar="NAME", help="fgsm, iterated or pgd. [default: fgsm; iterated with --smallest]")
@click.option("--norm", metavar="NAME", help="linf or l2. [default: linf]")
@click.option("--eps", metavar="NUMBER", help="Distance, values from 0 to 1; 8/255 is fine too. [default: 2/255]")
@click.option("--target", "--class", metavar="CLASS", help="The answer wanted. [default: any other]")
@click.option("--smallest", is_flag=True, help="Find the smallest distance at which the answer changes.")
@click.option("--from-noise", is_flag=True, help="No PICTURE: make noise that is taken for --class.")
@click.option("--sure", type=click.FloatRange(0, 1, min_open=True), help="Probability wanted of noise. [default: 0.99]")
@click.option("--steps", type=click.IntRange(min=1), help="Of iterated attacks. [default: 10; 255 with --from-noise]")
@click.option("--method", default="grad-cam", show_default=True, metavar="ID", help="Of the heat maps beside it.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the random start of pgd, and of noise.")
@click.option("--out", default="fooled.png", show_default=True, metavar="FILE.png", help="Where the sheet goes.")
@click.option("--save", metavar="FILE.png", help="The changed picture alone, as a picture to be read again.")
@model_flags
@json_flag
def fool(picture: str | None, spec: str | None, as_json: bool, **given: Any) -> int:
    """Change a picture a little so that the answer changes, and show the heat maps before and after.

    pellucid fool sample:cat --smallest

    pellucid fool --from-noise --class zebra

    With --save, the exit status is 4 where no picture that fools was found.
    """
    from pellucid.adversarial.saving import save
    from pellucid.storage.atomic import complete
    from pellucid.targets.answers import probabilities
    from pellucid.targets.class_names import class_index

    out = png_file(given["out"])
    alone = None if given["save"] is None else png_file(given["save"], "--save")
    _check(picture, given)
    model = load_model(spec, given)
    target = None if given["target"] is None else class_index(given["target"], model)
    made, name = _made(model, picture, target, given)
    answers = [_answer(made.model, scores[0]) for scores in (made.scores_before, made.scores_after)]
    page = _sheet(model, made, [text for text, _ in answers], given["method"])
    with complete(out.parent) as staging:
        page.save(staging / out.name)
    reached = bool(made.flipped[0]) if target is None else answers[1][1]["class"] == target
    if given["from_noise"]:
        reached = float(probabilities(made.scores_after, made.model)[0, target or 0]) >= (given["sure"] or _SURE)
    saved = None if alone is None else save(made, model, alone, picture, target)
    notes = _notes(made, saved, given, reached=reached)
    failed = saved is not None and not (saved.fools and (reached or not given["from_noise"]))
    code = NOTHING_FOUND if failed else 0
    if as_json:
        from pellucid.storage.provenance import named_inputs

        console.document({
            "file": str(out), "changed": reached, "distance": float(made.distance[0]), "eps": float(made.eps[0]),
            "norm": made.norm, "attack": name, "before": answers[0][1], "after": answers[1][1],
            "saved": saved and {
                "file": str(saved.path), "fools": saved.fools, "answer": _answer(made.model, saved.scores)[1]
            },
            "notes": notes,
            "exit_code": code,
        }, model=model, inputs=named_inputs([picture] if picture else []),
        )  # fmt: skip
        return _ended(alone, code)
    console.table(
        ("", "answer", ("probability", "right")),
        [
            (when, console.plain(found["name"]), chance(found["probability"]))
            for when, (_, found) in zip(("before", "after"), answers, strict=True)
        ],
        title=f"{name}, {made.norm} distance {float(made.distance[0]):.4g} "
        f"({_OUTCOMES[given['from_noise'], reached]})",
    )  # fmt: skip
    for note in notes:
        console.line(console.plain(f"Note: {note}"))
    console.line(str(out))
    return _ended(alone, code)


def _ended(alone: Path | None, code: int) -> int:
    """The exit status; where no picture of the kind that was to be saved is found, said on standard error too."""
    if code:
        console.error(
            console.plain(f"No picture that fools as asked was found: {alone} holds the last one that was tried.")
        )
    return code


_SURE = 0.99
_OUTCOMES = {
    (False, True): "the answer changed",
    (False, False): "not enough",
    (True, True): "sure of nothing",
    (True, False): "not as sure as wanted",
}


def _notes(made: Any, saved: Any, given: dict[str, Any], *, reached: bool) -> list[str]:
    """What the numbers alone do not say."""
    found = []
    if not reached and bool(made.vanished[0]):
        found.append(
            "The gradient vanished, so nothing was searched: that the answer stays says nothing about the network. "
            "--attack pgd starts elsewhere."
        )
    elif not reached and not given["from_noise"]:
        found.append("A search that failed is no proof: another --attack, more --steps or a larger --eps may succeed.")
    if saved is not None:
        answer, _ = _answer(made.model, saved.scores)
        found.append(
            f"{saved.path} is taken for {answer} when it is read back with the same flags."
            if saved.fools or not reached
            else f"{saved.path} no longer fools when it is read back, but is taken for {answer}: the change is smaller "
            "than the 256 levels of a file. A larger --eps survives."
        )
    return found


def _check(picture: str | None, given: dict[str, Any]) -> None:
    """What does not go together.

    Raises:
        BadOption: of noise and of pictures other things can be said.
    """
    if given["from_noise"]:
        idle = [name for name in ("attack", "norm", "eps", "smallest") if given[name]]
        if picture is not None or given["target"] is None or idle:
            raise BadOption(
                "--from-noise starts from nothing, for a class: leave "
                f"{f'--{idle[0]}' if idle else 'PICTURE'} out and say --class NAME."
            )
        return
    if picture is None:
        raise BadOption("Expected a PICTURE, or --from-noise --class NAME.")
    if given["sure"] is not None:
        raise BadOption("--sure is of --from-noise; of a picture say --eps or --smallest.")
    if given["eps"] is not None and given["smallest"]:
        raise BadOption("--smallest finds the distance itself; leave --eps out.")


def _made(model: Any, picture: str | None, target: int | None, given: dict[str, Any]) -> tuple[Any, str]:
    """The pictures before and after, and what was done, in words."""
    from pellucid.adversarial import fool as attack
    from pellucid.adversarial import from_noise, smallest
    from pellucid.feature_visualisation.photograph import photograph
    from pellucid.models.preprocessing import preprocessing_of

    if picture is None:
        numbers = {name: given[name] for name in ("sure", "steps") if given[name] is not None}
        return from_noise(model, target or 0, seed=given["seed"], **numbers), "from noise"
    name = given["attack"] or ("iterated" if given["smallest"] else "fgsm")
    options: dict[str, Any] = {
        "attack": name, "norm": given["norm"] or "linf", "steps": given["steps"] or 10, "seed": given["seed"],
        "target": target,
    }  # fmt: skip
    pictures = photograph(picture, preprocessing_of(model))
    if given["smallest"]:
        return smallest(model, pictures, **options), name
    return attack(model, pictures, eps=_number(given["eps"] or "2/255"), **options), name


def _number(text: str) -> float:
    above, slash, below = text.partition("/")
    try:
        return float(above) / float(below) if slash else float(above)
    except (ValueError, ZeroDivisionError) as error:
        raise BadOption(f"Expected a number such as 0.03 or 8/255 for --eps, got {text!r}.") from error


def _answer(model: Any, scores: Any) -> tuple[str, dict[str, Any]]:
    from pellucid.targets.answers import probabilities

    sure, number = probabilities(scores[None], model)[0].max(0)
    name = model.class_name(int(number))
    return f"{name} {chance(float(sure), 0)}", {"class": int(number), "name": name, "probability": float(sure)}


def _sheet(model: Any, made: Any, texts: list[str], method: str) -> Any:
    """Before and after, what was added, and the heat maps."""
    from pellucid.api import explain
    from pellucid.contracts import Picture
    from pellucid.feature_visualisation.drawing import as_image
    from pellucid.models.preprocessing import preprocessing_of
    from pellucid.pictures import overlay, sheet

    away = made.after[0] - made.before[0]
    strongest = float(away.abs().max()) or 1.0
    added = as_image(0.5 + 0.5 * away / strongest)
    images = [as_image(made.before[0]), as_image(made.after[0])]
    # The numbers themselves are explained: as 8-bit pictures the smallest changes would be rounded away.
    preprocess = preprocessing_of(model)
    given = [preprocess.normalise(pictures) for pictures in (made.before, made.after)]
    found = [explain(model, tensor, method) for tensor in given]
    box = (0.0, 0.0, float(images[0].width), float(images[0].height))
    maps = [
        overlay(Picture("", image, tensor[0], box), each[method].values[0])
        for image, tensor, each in zip(images, given, found, strict=True)
    ]
    titled = [
        (images[0], f"before: {texts[0]}"),
        (added, f"added, {0.5 / strongest:.0f} times" if strongest < 0.25 else "added"),
        (images[1], f"after: {texts[1]}"),
        (maps[0], f"{method}: {found[0].predictions[0][0].name}"),
        (maps[1], f"{method}: {found[1].predictions[0][0].name}"),
    ]
    return sheet(titled, columns=3, cell=320)
