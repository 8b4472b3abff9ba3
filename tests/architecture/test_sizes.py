"""Files are short enough to be read in one go; what is longer says in its first lines why it is one file."""

from pathlib import Path

import pellucid

ROOT = Path(pellucid.__file__).parent
LINES = 300


def test_long_files_say_why():
    sources = {str(path.relative_to(ROOT)): path.read_text().splitlines() for path in sorted(ROOT.rglob("*.py"))}
    lengthy = {name for name, lines in sources.items() if len(lines) > LINES}
    assert len(sources) > 200, "nothing is looked at"
    assert {name for name in lengthy if "In one file" not in "\n".join(sources[name][:6])} == set()
