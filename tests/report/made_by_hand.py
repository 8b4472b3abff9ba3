"""Explanations made by hand, so that these tests need no method and know every number."""

import numpy as np
import torch
from PIL import Image
from torch import nn

import pellucid
from pellucid.contracts import Attribution, Choice, Cost, Method, Model, Prediction, Preprocess, Reference, Site
from pellucid.explanation import Explanation
from pellucid.pictures import prepare

SIZE = 24
HOSTILE = "</script><img src=x onerror=\"document.title='owned'\">\u2028&amp;<!--"


def function(image, *, window: int = 8):
    """What this method shows."""


GRAD = Method(function, "grad-cam", "Grad-CAM", Reference("arXiv:1610.02391", "eq. 1"), caveat="Averages.")
OCCLUSION = Method(function, "occlusion", "Occlusion", Reference("Somewhere 2014"), caveat="Depends on the square.")


def photo(width=90, height=60):
    rows, columns = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([rows * 2, columns * 2, 255 - rows], 2).astype(np.uint8))


def smooth(count=1, sign=1.0):
    axis = torch.linspace(-2, 2, SIZE)
    hill = torch.exp(-(axis[:, None] ** 2) - (axis[None] - 0.7) ** 2)
    return sign * hill.repeat(count, 1, 1)


def signed(count=1):
    return (
        (torch.randn(count, 3, 3, generator=torch.Generator().manual_seed(1)) * 1e-7)
        .repeat_interleave(8, 1)
        .repeat_interleave(8, 2)
    )


def attribution(model, method, values, *, target=None, site=None, extras=None, notes=()):
    count = len(values)
    return Attribution(
        method, values, values[:, None].expand(-1, 3, -1, -1), site, target or ("tabby",) * count, {"window": 4},
        0, Cost(0.25, 1, 1), model, extras or {}, notes,
    )  # fmt: skip


def grids(count=1):
    classes = torch.tensor([[0, 0, 1], [2, 0, 0], [0, 0, 0]]).repeat(count, 1, 1)
    return {"scores": torch.arange(9.0).reshape(1, 3, 3).repeat(count, 1, 1), "classes": classes}


def explanation(names=("cat.png",), classes=("tabby", "tiger", "lynx"), *, tensors=0, attributions=None, **changes):
    module = nn.Linear(2, 3)
    with torch.no_grad():
        module.weight.fill_(0.5)
        module.bias.zero_()
    preprocess = Preprocess((SIZE, SIZE), 32)
    model = pellucid.wrap(Model(module, "tiny", "", preprocess), classes=list(classes))
    pictures = tuple(prepare(photo(), preprocess, name) for name in names) if not tensors else ()
    count = tensors or len(names)
    found = attributions(model) if attributions else (
        attribution(model, GRAD, smooth(count), target=(classes[0],) * count, site=Site("layer4")),
        attribution(model, OCCLUSION, signed(count), target=(classes[0],) * count, extras=grids(count)),
    )  # fmt: skip
    chances = (0.6, 0.3, 0.1)
    predictions = tuple(Prediction(k, name, 1.0 - k, chances[k]) for k, name in enumerate(classes))
    why = {"class": "the top class of each picture", "layer": "the last one", "methods": "default"}
    fields = {"chosen": {name: Choice(None, "default", reason) for name, reason in why.items()}}
    fields |= {"refused": {"cam": "This head is not linear."}, "notes": ("The output is a probability.",), **changes}
    return Explanation(model, pictures, (predictions,) * count, tuple(found), **fields)
