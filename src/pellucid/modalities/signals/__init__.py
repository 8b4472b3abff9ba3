"""Signals: numbers along time, in one or several channels."""

from pellucid.modalities.modality import Modality, ReadOption
from pellucid.modalities.signals.draw import draw
from pellucid.modalities.signals.read import SUFFIXES, read
from pellucid.modalities.signals.view import view

MODALITY = Modality(
    id="signal",
    title="a signal",
    axes=("time",),
    suffixes=SUFFIXES,
    read=read,
    draw=draw,
    view=view,
    first=frozenset({"convolution 1", "recurrent", "linear 2", "linear 3", ""}),
    options=(ReadOption("rate", float, "HZ", "Samples per second of a signal whose file does not say it."),),
)
"""The record of signals."""
