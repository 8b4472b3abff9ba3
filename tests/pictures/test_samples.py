import subprocess
import sys

import pytest

from pellucid.errors import BadPicture, UnknownName
from pellucid.pictures import SAMPLES, PictureRef, decode, find_pictures


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_is_a_photograph(name):
    image, notes = decode(f"sample:{name}")
    assert min(image.size) >= 300 and notes == ()


def test_a_folder_gives_its_pictures_in_natural_order(tmp_path):
    for name in ("b10.png", "b2.PNG", "a.jpeg", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "deep.png").mkdir()
    found = find_pictures(["sample:cat", str(tmp_path), "x.bin"])
    assert [f.name for f in found] == ["cat", "a.jpeg", "b2.PNG", "b10.png", "x.bin"]
    assert found[0] == PictureRef("cat", "sample:cat") and found[1].source == str(tmp_path / "a.jpeg")


def test_what_cannot_be_used_fails_later_and_alone(tmp_path):
    empty, missing, unknown, good = find_pictures([str(tmp_path), "gone.png", "sample:dgo", "sample:cat"])
    with pytest.raises(BadPicture, match="folder without pictures"):
        decode(empty.source)
    with pytest.raises(BadPicture, match=r"'gone\.png' does not exist"):
        decode(missing.source)
    with pytest.raises(UnknownName, match="no sample 'dgo'"):
        decode(unknown.source)
    assert decode(good.source)


def test_imports_stay_light():
    code = (
        "import sys, pellucid.pictures as p; p.decode('sample:cat');"
        "print([m for m in ('skimage', 'cmap', 'torchvision', 'timm', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
