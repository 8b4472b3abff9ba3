"""Tables on terminals of every width: nothing is cut, and names that are copied are whole where there is room."""

from collections import Counter

import pytest

from pellucid.cli import console

NAME = "contrastive-excitation-backprop"
ROWS = [
    (
        NAME,
        "Excitation for a class without what excites the others too",
        "arXiv:1608.00507, equation 14",
        "-0.12345678",
    ),
    ("cam", "Channels by the weights of the classifier", "", "3"),
]


@pytest.mark.parametrize("width", [12, 20, 40, 60, 80, 200])
def test_no_width_cuts_a_table(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    console.table(("id", "what it shows", "reference", ("number", "right")), ROWS, title="All of them")
    said = capsys.readouterr().out
    letters = Counter("".join("".join(row).replace(" ", "") for row in ROWS))
    assert letters - Counter(said) == Counter()
    assert all(len(line) <= width for line in said.splitlines())
    assert (NAME in said) == (width >= len("what it shows ") + len(NAME))
