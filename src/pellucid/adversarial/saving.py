"""An adversarial picture as a file, and whether it still fools when it is read back."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from pellucid.adversarial.attack import Fooled, class_scores
from pellucid.capture.differentiable import differentiable_forward
from pellucid.contracts import Model, Preprocess
from pellucid.models.preprocessing import preprocessing_of
from pellucid.pictures.prepare import cut, prepare, resized
from pellucid.storage.atomic import write_bytes


@dataclass(frozen=True)
class Saved:
    """What a file is taken for, read back as every picture is.

    Attributes:
        path: of the file.
        scores: `[class]` of the network for it.
        fools: True if its answer is another than before, or the one that was wanted.
    """

    path: Path
    scores: Tensor
    fools: bool


def save(made: Fooled, model: Model, path: Path, source: Any = None, target: int | None = None) -> Saved:
    """Write the first picture as PNG, framed by the rest of the photograph, so that reading it crops it out again.

    PNG keeps 256 levels of brightness, and the smallest changes are smaller than one. Values are rounded to the nearest
    level or, if that no longer fools, to the next one in the direction of the change.

    Args:
        made: what a search found.
        model: the network.
        path: ends in .png.
        source: the photograph; None: there was none, and grey is around it.
        target: the answer that was wanted; None: any other.

    Raises:
        BadOption: the file cannot be written.
    """
    preprocess = preprocessing_of(model)
    frame = _empty(made, preprocess) if source is None else resized(source, preprocess)
    before = int(made.scores_before[0].argmax())
    after, away = made.after[0] * 255, made.after[0] - made.before[0]
    nearest = after.round()
    outwards = torch.where(away > 0, after.ceil(), torch.where(away < 0, after.floor(), nearest))
    tries = []
    for levels in (nearest, outwards):
        content = _as_png(levels, frame)
        scores = _scores(model, content)
        answer = int(scores.argmax())
        tries.append((content, scores, answer != before if target is None else answer == target))
        if tries[-1][2]:
            break
    content, scores, fools = tries[-1] if tries[-1][2] else tries[0]
    return Saved(write_bytes(path, content), scores, fools)


def _as_png(levels: Tensor, frame: Image.Image) -> bytes:
    rows, columns = levels.shape[1:]
    pixels = levels.clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    whole = frame.copy()
    left, top, _, _ = cut(whole.size, rows, columns)
    whole.paste(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels), (left, top))
    file = io.BytesIO()
    whole.save(file, "PNG")
    return file.getvalue()


def _scores(model: Model, content: bytes) -> Tensor:
    """Of a file's content, read as every picture is."""
    given = prepare(content, preprocessing_of(model)).tensor[None]
    with differentiable_forward(model, (), scores=True) as eyes:
        return class_scores(eyes, given)[0]


def _empty(made: Fooled, preprocess: Preprocess) -> Image.Image:
    """Grey, as large as a picture is before it is cropped to the network's input."""
    rows, columns = made.after.shape[-2:]
    short = preprocess.resize or min(rows, columns)
    wide, high = (short * side // min(rows, columns) for side in (columns, rows))
    return Image.new("L" if made.after.shape[1] == 1 else "RGB", (wide, high), "grey")
