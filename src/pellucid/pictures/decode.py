"""Files, bytes, arrays and PIL images become upright 8-bit RGB, or an error that says what is wrong with them."""

from __future__ import annotations

import importlib
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from io import BytesIO
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from PIL import Image

from pellucid.errors import BadPicture
from pellucid.pictures.frames import MOST, frames
from pellucid.pictures.modes import to_rgb
from pellucid.pictures.samples import pictures_in, sample_path

Source: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | np.ndarray[Any, Any]
"""A path or `sample:NAME`, the bytes of a file, a PIL image, or a uint8 array `[row, column, 3]`."""

MAX_PIXELS = 100_000_000
"""Pictures with more pixels are refused before they are decoded, unless the caller says otherwise."""

_PLUGINS = {"PNG": "Png", "JPEG": "Jpeg", "WEBP": "WebP", "GIF": "Gif", "BMP": "Bmp", "TIFF": "Tiff", "PPM": "Ppm"}
_OTHERS = {b"%PDF": "PDF", b"ftyphei": "HEIC", b"ftypmif": "HEIF", b"ftypavif": "AVIF", b"<svg": "SVG", b"<?xml": "XML"}
_DAMAGE = (
    OSError,
    SyntaxError,  # Pillow's own habit for headers that make no sense
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


_allowed: ContextVar[int] = ContextVar("allowed_pixels", default=MAX_PIXELS)


def allow_pixels(most: int | None) -> None:
    """From here on, where nothing else is said, pictures may have so many pixels; None: `MAX_PIXELS`."""
    _allowed.set(most or MAX_PIXELS)


def allowed_pixels() -> int:
    """How many pixels a picture may have where nothing else is said."""
    return _allowed.get()


def decode(
    source: Source,
    *,
    max_pixels: int | None = None,
    name: str | None = None,
    check: Callable[[tuple[int, int]], object] | None = None,
) -> tuple[Image.Image, tuple[str, ...]]:
    """Decode a picture.

    Reads PNG, JPEG, WebP, GIF, BMP, TIFF and PPM, told apart by content, not by the file's ending. The first frame is
    taken, EXIF rotation applied, transparency shown on white and 16 bits per channel reduced to 8. Colour profiles
    are ignored, as the models' own preprocessing does.

    Args:
        source: see `Source`. An array may also be `[row, column]` (grey) or `[row, column, 4]` (with alpha).
        max_pixels: larger pictures are refused before decoding; rows times columns. None: `allowed_pixels`.
        name: how messages call a picture that has no file name.
        check: function that is called with columns and rows, upright, before anything is decoded; may refuse the
            picture.

    Returns:
        An upright RGB image of the source's own size, never the caller's own object, and notes on what a user may not
        expect ("first of 12 frames").

    Raises:
        BadPicture: the source is missing, damaged, too large, or not a picture; the message names it.
        UnknownName: there is no such sample.
    """
    if isinstance(source, Image.Image):
        return _finish(source, name or "The picture", max_pixels, check)
    if isinstance(source, np.ndarray):
        return _finish(_from_array(source, name or "The array"), name or "The array", max_pixels, check)
    if isinstance(source, bytes):
        label = name or "The picture"
        if not source:
            raise BadPicture(f"{label} is empty (0 bytes). Read the file again.")
        return _finish(_open(BytesIO(source), label), label, max_pixels, check)
    if isinstance(source, str | os.PathLike):
        with _opened(source) as (image, label):
            return _finish(image, label, max_pixels, check)
    raise BadPicture(
        f"Expected a path, bytes, a PIL image or a uint8 array, got {type(source).__name__}. "
        "A float tensor [batch, channel, row, column] is model input: pass it to explain() in place of pictures."
    )


def load(source: str | os.PathLike[str], *, max_pixels: int | None = None) -> Image.Image:
    """The pixels of a file in the mode that they have there, as stored: for masks, whose values mean something.

    Raises:
        BadPicture: as `decode`.
    """
    with _opened(source) as (image, label):
        _check_size(image, label, max_pixels)
        try:
            image.load()
        except _DAMAGE as error:
            raise _damaged(image.format or image.mode, label, error) from error
        return image


@contextmanager
def _opened(source: str | os.PathLike[str]) -> Iterator[tuple[Image.Image, str]]:
    """A file's picture, not decoded yet, and how messages call it."""
    text = os.fspath(source)
    label = repr(text)
    if not text:
        raise BadPicture("The path of a picture is empty. Name a file, a folder or sample:cat.")
    try:
        path = sample_path(text) if text.startswith("sample:") else Path(text)
        _check_file(path, label)
        with path.open("rb") as file:
            yield _open(file, label), label
    except (OSError, RuntimeError) as error:  # RuntimeError: links that lead in a circle
        raise BadPicture(f"{label} cannot be read: {error}. Check the path and its permissions.") from error


def _check_file(path: Path, label: str) -> None:
    if path.is_dir():
        count = len(pictures_in(path))
        raise BadPicture(
            f"{label} is a folder with {count} pictures; expected one picture. Name a file in it."
            if count
            else f"{label} is a folder without pictures. Name a folder or a file with PNG, JPEG or similar pictures."
        )
    if not path.exists():
        where = "" if path.parent.is_dir() else " (nor its folder)"
        raise BadPicture(f"{label} does not exist{where}. Check the path, or try sample:cat.")
    if not path.is_file():
        raise BadPicture(f"{label} is a pipe or a device, no file: reading it might never end. Save the picture first.")
    if path.stat().st_size == 0:
        raise BadPicture(f"{label} is empty (0 bytes). Copy or download it again.")


def _open(file: IO[bytes], label: str) -> Image.Image:
    # Not Image.open: its limit on pixels is global to the process and only warns up to twice that limit.
    head = file.read(16)
    for format_, plugin in _PLUGINS.items():
        importlib.import_module(f"PIL.{plugin}ImagePlugin")
        factory, accepts = Image.OPEN[format_]
        try:
            if accepts is not None and accepts(head) is True:
                file.seek(0)
                return factory(file, "")
        except _DAMAGE as error:
            raise _damaged(format_, label, error) from error
    seen = next((kind for start, kind in _OTHERS.items() if start in head), f"a file that starts with {head[:8]!r}")
    raise BadPicture(
        f"{label} is not a picture that Pellucid reads: expected PNG, JPEG, WebP, GIF, BMP, TIFF or PPM, got {seen}. "
        "Convert it first."
    )


def _damaged(format_: str, label: str, error: BaseException) -> BadPicture:
    return BadPicture(f"{label} is a damaged or cut short {format_} picture ({error}). Copy or download it again.")


def _check_size(image: Image.Image, label: str, max_pixels: int | None) -> None:
    width, height = image.size
    max_pixels = max_pixels or allowed_pixels()
    if not width or not height:
        raise BadPicture(f"{label} has no pixels: {width} x {height}. Pass a picture with at least one.")
    if width * height > max_pixels:
        raise BadPicture(
            f"{label} is too large: {width:,} x {height:,} are {width * height / 1e6:,.0f} megapixels, the limit is "
            f"{max_pixels / 1e6:,.0f}. Shrink it first, or raise the limit (max_pixels) with --max-pixels."
        )


def _finish(
    image: Image.Image, label: str, max_pixels: int | None, check: Callable[[tuple[int, int]], object] | None
) -> tuple[Image.Image, tuple[str, ...]]:
    _check_size(image, label, max_pixels)
    try:
        notes = [*_frames(image), *_deep(image)]
        late = image.format == "PNG" and "exif" not in image.info  # it may come behind the pixels, so asking decodes
        orientation = 1 if late else _orientation(image)
    except _DAMAGE as error:
        raise _damaged(image.format or image.mode, label, error) from error
    if check is not None:
        check((image.size[1], image.size[0]) if orientation >= 5 else image.size)
    try:
        image.load()
        turn = _UPRIGHT.get(_orientation(image) if late else orientation)
    except _DAMAGE as error:
        raise _damaged(image.format or image.mode, label, error) from error
    if turn is not None:
        image = image if image.format == "TIFF" else image.transpose(turn)  # Pillow turns TIFF itself
        notes.append("turned upright as its EXIF data says")
    rgb, more = to_rgb(image, label, own=type(image) is Image.Image and turn is not None)
    return rgb, (*notes, *more)


def _frames(image: Image.Image) -> list[str]:
    if image.format == "MPO":  # a camera's JPEG with a preview or depth picture behind it
        return []
    count = frames(image)
    if count == 1:
        return []
    now, many = image.tell(), f"more than {MOST:,}" if count > MOST else str(count)
    return [f"first of {many} frames" if now == 0 else f"frame {now + 1} of {many}"]


def _deep(image: Image.Image) -> list[str]:
    modes = [str(tile[3]) for tile in getattr(image, "tile", [])]
    deep = image.mode in ("RGB", "RGBA", "LA") and any(";16" in mode for mode in modes)
    return ["16 bits per channel reduced to 8"] if deep else []


def orientation_of(source: Any) -> int:
    """How a picture is stored: its EXIF orientation, 1 to 8; 1 where nothing says so. `decode` turns it upright."""
    if isinstance(source, Image.Image):
        return _orientation(source)
    if not isinstance(source, str | os.PathLike | bytes):
        return 1
    try:
        if isinstance(source, bytes):
            return _orientation(_open(BytesIO(source), "The picture"))
        with _opened(source) as (image, _):
            return _orientation(image)
    except BadPicture:
        return 1


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(0x0112, 1)
    except (*_DAMAGE, UserWarning):  # damaged EXIF data does not spoil the picture, nor under -W error
        return 1
    return value if isinstance(value, int) and value in _UPRIGHT else 1


def _from_array(array: np.ndarray[Any, Any], label: str) -> Image.Image:
    shape = " x ".join(str(n) for n in array.shape)
    if array.dtype != np.uint8:
        hint = (
            "Floats between 0 and 1: pass (array * 255).round().astype('uint8'). Model input: pass a float tensor."
            if array.dtype.kind == "f"
            else "Bring the values to 0..255 and pass array.astype('uint8')."
        )
        raise BadPicture(f"{label} has the type {array.dtype}; expected uint8. {hint}")
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))):
        first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        hint = "Put the channels last: array.transpose(1, 2, 0)." if first else "Pass a list for several pictures."
        raise BadPicture(f"{label} has the shape {shape}; expected [row, column, 3]. {hint}")
    if not array.size:
        raise BadPicture(f"{label} has no pixels: {shape}. Pass a picture with at least one.")
    return Image.fromarray(array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array)
