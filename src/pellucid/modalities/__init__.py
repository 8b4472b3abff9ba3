"""Kinds of input besides pictures: signals, tables, ... Each is one package here, or an entry point of another."""

from pellucid.modalities.choosing import choose_kind
from pellucid.modalities.known import PICTURE, find_modality, modalities
from pellucid.modalities.modality import DrawnMap, Modality, ReadOption, SampleRef, View
from pellucid.modalities.parts import check_values, checked_options, kinds_of, parts_of, read_part

__all__ = [
    "PICTURE",
    "DrawnMap",
    "Modality",
    "ReadOption",
    "SampleRef",
    "View",
    "check_values",
    "checked_options",
    "choose_kind",
    "find_modality",
    "kinds_of",
    "modalities",
    "parts_of",
    "read_part",
]
