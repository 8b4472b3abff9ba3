"""Volumes: numbers along depth, rows and columns, such as scans."""

from pellucid.modalities.modality import Modality, ReadOption
from pellucid.modalities.volumes.dicom import is_dicom
from pellucid.modalities.volumes.draw import draw
from pellucid.modalities.volumes.read import SUFFIXES, parts, read
from pellucid.modalities.volumes.space import NAMES
from pellucid.modalities.volumes.view import view
from pellucid.modalities.volumes.writing import written

MODALITY = Modality(
    id="volume",
    title="a volume",
    axes=NAMES,
    suffixes=SUFFIXES,
    read=read,
    draw=draw,
    view=view,
    write=written,
    first=frozenset({"convolution 3", "linear 2", "linear 3", ""}),
    options=(
        ReadOption("timepoint", int, "N", "Volume of a file with several, counted from 0. [default: all, as channels]"),
        ReadOption(
            "orientation", str, "RAS", "Turn a volume so that its axes run to these sides. [default: as stored]"
        ),
    ),
    parts=parts,
    recognise=is_dicom,
)
"""The record of volumes."""
