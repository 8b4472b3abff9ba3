"""Tables: rows of numbers, each of them a sample, under columns with names."""

from pellucid.contracts import TABLE
from pellucid.modalities.modality import Modality, ReadOption
from pellucid.modalities.tables.draw import draw
from pellucid.modalities.tables.read import SUFFIXES, parts, read
from pellucid.modalities.tables.view import view

MODALITY = Modality(
    id="table",
    title="a row of a table",
    axes=TABLE,
    suffixes=SUFFIXES,
    read=read,
    draw=draw,
    view=view,
    first=frozenset({"linear 2", "linear 3", ""}),
    options=(
        ReadOption("row", int, "N", "Row of a table, counted from 0. [default: all, if they are few]"),
        ReadOption("columns", str, "A,B,...", "Columns of a table that the model takes, in its order. [default: all]"),
    ),
    parts=parts,
    stated_fill=True,
)
"""The record of tables."""
