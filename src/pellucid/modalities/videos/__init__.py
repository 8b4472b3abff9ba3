"""Videos: pictures along frames."""

from pellucid.modalities.modality import Modality, ReadOption
from pellucid.modalities.videos.draw import draw
from pellucid.modalities.videos.read import NAMES, SUFFIXES, parts, read
from pellucid.modalities.videos.view import view
from pellucid.modalities.videos.writing import written

MODALITY = Modality(
    id="video",
    title="a video",
    axes=NAMES,
    suffixes=SUFFIXES,
    read=read,
    draw=draw,
    view=view,
    write=written,
    options=(
        ReadOption("frames", int, "N", "So many frames of a video, evenly spaced. [default: all]"),
        ReadOption(
            "frame_size", str, "ROWSxCOLUMNS", "Size that frames of a video are brought to. [default: their own]"
        ),
        ReadOption("normalise", str, "NAME", "What the network's frames are normalised by: kinetics or imagenet."),
        ReadOption("fps", float, "HZ", "Frames per second of a folder of pictures."),
    ),
    parts=parts,
)
"""The record of videos."""
