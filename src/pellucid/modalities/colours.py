"""Colours of evidence on paper: told apart by everyone, on light paper and on dark."""

FOR = (213, 94, 0)
"""Evidence in favour: vermilion."""
AGAINST = (0, 114, 178)
"""Evidence against: blue. Both are of Okabe and Ito, Color Universal Design, 2008."""
STRONGEST = 0.72
"""Opacity of the strongest evidence on a ground."""
INK = (26, 27, 30)
SOFT = (110, 114, 120)
LINE = (226, 224, 218)
"""Lines and texts of pictures, which are on white paper."""
