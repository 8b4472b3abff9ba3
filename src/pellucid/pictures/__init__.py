"""Pictures: decoding files, the way to the model's input and back, colour and overlays."""

from pellucid.pictures.colour import ColourScale, colour_table, scale
from pellucid.pictures.decode import MAX_PIXELS, Source, decode
from pellucid.pictures.labels import read_labels
from pellucid.pictures.named import NamedPictures
from pellucid.pictures.overlay import heat, overlay
from pellucid.pictures.prepare import prepare
from pellucid.pictures.samples import SAMPLES, SUFFIXES, PictureRef, expanded, find_pictures, names_apart, sample_path
from pellucid.pictures.sheet import sheet

__all__ = [
    "MAX_PIXELS",
    "SAMPLES",
    "SUFFIXES",
    "ColourScale",
    "NamedPictures",
    "PictureRef",
    "Source",
    "colour_table",
    "decode",
    "expanded",
    "find_pictures",
    "heat",
    "names_apart",
    "overlay",
    "prepare",
    "read_labels",
    "sample_path",
    "scale",
    "sheet",
]
