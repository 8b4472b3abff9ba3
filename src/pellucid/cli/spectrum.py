"""`pellucid spectrum build`: the magnitude spectrum of one's own pictures."""

from __future__ import annotations

import click

from pellucid.cli import console
from pellucid.cli.flags import json_flag
from pellucid.cli.progress import Bar
from pellucid.paths import usable_path


@click.group(short_help="Measure the spectrum of your own kind of picture, for dreams.")
def spectrum() -> None:
    """Measure the spectrum of your own kind of picture, for dreams by MACO.

    MACO draws pictures whose magnitude spectrum is fixed. That of photographs is about 1 / frequency; x-rays, satellite
    or microscope pictures have another.
    """


@spectrum.command(short_help="Measure a folder.")
@click.argument("sources", metavar="DIR|PICTURE...", nargs=-1, required=True)
@click.option("--side", type=click.IntRange(min=16), default=256, show_default=True, help="Of the squares measured.")
@click.option("--grey", is_flag=True, help="Make colour pictures grey, for networks with one channel.")
@click.option("--out", default="spectrum.safetensors", show_default=True, metavar="FILE", help="Where it goes.")
@json_flag
def build(sources: tuple[str, ...], side: int, grey: bool, out: str, as_json: bool) -> int:
    """Measure pictures, or arrays .npy [channel, row, column] of any number of channels.

    pellucid spectrum build digits/ --grey --side 32 --out digits.safetensors

    pellucid dream zoo:lenet5 --class 1 --recipe maco --spectrum digits.safetensors
    """
    from dataclasses import asdict

    from pellucid.feature_visualisation.spectrum import build_spectrum, save_spectrum
    from pellucid.storage.provenance import named_inputs

    with Bar(1) as bar:
        magnitude, card = build_spectrum(sources, side=side, grey=grey, progress=bar.tick)
    path = save_spectrum(magnitude, card, usable_path(out, "--out"))
    if as_json:
        console.document({"file": str(path), **asdict(card)}, inputs=named_inputs(card.source))
        return 0
    for source, reason in card.failed.items():
        console.warning(f"{source}: {reason}")
    console.line(
        f"{card.pictures} pictures at {side} x {side}, {card.channels} channels; slope of log power {card.slope:.2f} "
        "(photographs: about -2)"
    )
    console.line(console.plain(str(path)))
    return 0
