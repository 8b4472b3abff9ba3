"""How many frames an animated file has, counted without decoding any, and no further than anyone would want to know."""

from __future__ import annotations

from typing import IO, Literal

from PIL import Image

MOST = 1000
"""Frames that are counted; a file of a few megabytes may hold hundreds of thousands."""


def frames(image: Image.Image) -> int:
    """Number of frames of a picture that was opened and not yet decoded; `MOST` + 1 stands for more than `MOST`."""
    file = getattr(image, "fp", None)
    if image.format in ("GIF", "TIFF") and file is not None:
        place = file.tell()
        try:
            return _of_gif(file) if image.format == "GIF" else _of_tiff(file)
        finally:
            file.seek(place)
    return int(getattr(image, "n_frames", 1))


def _of_gif(file: IO[bytes]) -> int:
    """Image descriptors: GIF89a, section 20; of a file that is cut short, those that are there."""
    file.seek(10)
    _skip_table(file, file.read(1))
    file.seek(2, 1)
    count = 0
    while count <= MOST:
        kind = file.read(1)
        if kind == b"\x2c":  # an image: place and size, flags, its own table, the length of codes, data
            count += 1
            file.seek(8, 1)
            _skip_table(file, file.read(1))
            file.seek(1, 1)
        elif kind == b"\x21":  # an extension with its label
            file.seek(1, 1)
        else:
            break
        while length := file.read(1)[:1]:
            if length == b"\0":
                break
            file.seek(length[0], 1)
    return max(count, 1)


def _skip_table(file: IO[bytes], flags: bytes) -> None:
    if flags and flags[0] & 0x80:
        file.seek(3 << ((flags[0] & 7) + 1), 1)


def _of_tiff(file: IO[bytes]) -> int:
    """Directories, each of which says where the next one is: TIFF 6.0, section 2, and BigTIFF."""
    file.seek(0)
    head = file.read(16)
    order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
    big = int.from_bytes(head[2:4], order) == 43
    width, entry, counts = (8, 20, 8) if big else (4, 12, 2)
    where = int.from_bytes(head[8:16] if big else head[4:8], order)
    seen: set[int] = set()
    while where and where not in seen and len(seen) <= MOST:
        seen.add(where)
        file.seek(where)
        file.seek(entry * int.from_bytes(file.read(counts), order), 1)
        where = int.from_bytes(file.read(width), order)
    return max(len(seen), 1)
