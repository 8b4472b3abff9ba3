"""`render_vis`, with the parameters of lucent 0.1.8."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pellucid.compat.lucent import param
from pellucid.compat.lucent.objectives import Layers, as_objective, bind
from pellucid.compat.lucent.transform import IMAGENET_MEAN, IMAGENET_STD, Chain, Move, standard_transforms
from pellucid.contracts import Model, Preprocess
from pellucid.errors import BadOption, MissingExtra
from pellucid.feature_visualisation.images import Image
from pellucid.feature_visualisation.objectives import Objective
from pellucid.feature_visualisation.optimise import OptimisationResult, optimise
from pellucid.feature_visualisation.settings import RunSettings
from pellucid.models.wrap import wrap

_LEAST = 224
"""Rows and columns below which pictures are enlarged before the network sees them."""


class Given(Image):
    """Pictures that a function draws from numbers.

    Args:
        parameters: the numbers.
        draw: gives `[batch, channel, row, column]`, 0 to 1.
    """

    def __init__(self, parameters: Sequence[Tensor], draw: Callable[[], Tensor]) -> None:
        self.parameters, self.draw = list(parameters), draw

    def pictures(self) -> Tensor:
        """The pictures."""
        return self.draw()


def render_vis(
    model: Model | nn.Module,
    objective_f: Objective | Callable[[Layers], Tensor] | str,
    param_f: Callable[[], param.Drawn] | None = None,
    optimizer: Callable[[list[Tensor]], torch.optim.Optimizer] | None = None,
    transforms: Sequence[Move] | None = None,
    thresholds: Sequence[int] = (512,),
    verbose: bool = False,
    preprocess: bool = True,
    progress: bool = True,
    show_image: bool = True,
    save_image: bool = False,
    image_name: str | None = None,
    show_inline: bool = False,
    fixed_image_size: int | tuple[int, int] | None = None,
) -> list[np.ndarray[Any, Any]]:
    """Draw what brings an objective about, as `lucent.optvis.render.render_vis` does; the model is left as it was.

    Unlike lucent it never goes on after a layer failed, leads gradients around dead rectifiers in the first steps, and
    runs the model in evaluation mode. `pellucid.dream` tells more of what it made.

    Args:
        model: any network, or a `Model`, whose own normalisation is then used.
        objective_f: "layer:channel", an objective of `pellucid.compat.lucent.objectives` or of Pellucid, or a loss.
        param_f: gives the numbers behind the pictures and a function that draws them; by default 128 x 128 pixels.
        optimizer: of these numbers; by default Adam with a rate of 0.05.
        transforms: see `pellucid.compat.lucent.transform`; None are the standard ones, [] is none.
        thresholds: steps at which the pictures are kept; the last one ends the work.
        verbose: say the loss, which is minus the objective, before the first step and at thresholds.
        preprocess: normalise pictures from 0 to 1 for ImageNet networks, or as the `Model` says.
        progress: show a bar.
        show_image: open the pictures in a viewer.
        save_image: write the pictures, side by side.
        image_name: the file to write; by default image.jpg.
        show_inline: show the pictures in the notebook instead of a viewer.
        fixed_image_size: rows and columns that the network is given; by default those of the pictures, or 224 where
            they are smaller.

    Returns:
        The pictures at each threshold, `[picture, row, column, channel]`, 0 to 1; of what was interrupted, also the
        last ones.

    Raises:
        BadOption: arguments that cannot be.
        UnknownName: a layer that the model does not have.
    """
    wanted = sorted(set(thresholds))
    if not wanted or not all(isinstance(k, int) and k > 0 for k in wanted):
        raise BadOption(f"Expected numbers of steps above 0 as thresholds, got {thresholds!r}.")
    model = wrap(model)
    image = Given(*(param_f or (lambda: param.image(128)))())
    with torch.no_grad():
        first = image.pictures()
    seen = _preprocess(model, first, on=preprocess)
    fed = _fed((first.shape[2], first.shape[3]), fixed_image_size)
    small = torch.nn.functional.interpolate(first, fed) if fed else first
    objective = bind(as_objective(objective_f), model, seen.normalise(small)) / float(len(first))
    kept: list[Tensor] = []
    says = _Says(verbose=verbose, progress=progress, steps=wanted[-1])

    def watch(step: int, value: Tensor, look: Callable[[], Tensor]) -> None:
        says.step(step, value, at_threshold=step + 1 in wanted)
        if step + 1 in wanted:
            kept.append(look())
            if verbose and show_inline:
                _show_inline(kept[-1])

    with says:
        made = optimise(
            model,
            image,
            objective,
            preprocess=seen,
            steps=wanted[-1],
            optimiser=optimizer or (lambda numbers: torch.optim.Adam(numbers, lr=0.05)),
            transform=Chain(standard_transforms if transforms is None else transforms),
            fed=fed,
            numbers=range(len(first)),
            run=RunSettings(seed=torch.initial_seed() % 2**31, watch=watch),
        )
    if made.stopped:
        kept.append(made.pictures)
    _present(made, save_image, image_name, inline=show_inline, view=show_image)
    return [pictures.permute(0, 2, 3, 1).numpy() for pictures in kept]


def _preprocess(model: Model, pictures: Tensor, *, on: bool) -> Preprocess:
    size, channels = (pictures.shape[2], pictures.shape[3]), pictures.shape[1]
    if on and model.preprocess is not None:
        mean, std = model.preprocess.mean, model.preprocess.std
    elif on and type(model.module).__name__ == "InceptionV1":  # lucent's: values from -117 to 138
        mean, std = (117 / 255,) * channels, (1 / 255,) * channels
    elif on:
        mean, std = IMAGENET_MEAN, IMAGENET_STD
    else:
        mean, std = (0.0,) * channels, (1.0,) * channels
    if len(mean) != channels:
        raise BadOption(
            f"Pictures of {channels} channels cannot be normalised by {len(mean)} means. Set preprocess=False."
        )
    return Preprocess(size, None, "bilinear", mean, std)


def _fed(size: tuple[int, int], fixed: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if fixed is not None:
        return (fixed, fixed) if isinstance(fixed, int) else (fixed[0], fixed[1])
    return (_LEAST, _LEAST) if min(size) < _LEAST else None


class _Says:
    """The bar and the losses, on the terminal."""

    def __init__(self, *, verbose: bool, progress: bool, steps: int) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self.verbose = verbose
        self.console = Console()
        self.bar = Progress(console=self.console, disable=not progress, transient=True)
        self.task = self.bar.add_task("dreaming", total=steps)

    def __enter__(self) -> None:
        self.bar.start()

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def step(self, step: int, value: Tensor, *, at_threshold: bool) -> None:
        self.bar.update(self.task, completed=step + 1)
        loss = -float(value.sum())
        if self.verbose and step == 0:
            self.console.print(f"Initial loss: {loss:.3f}", highlight=False)
        if self.verbose and at_threshold:
            self.console.print(f"Loss at step {step + 1}: {loss:.3f}", highlight=False)


def _present(made: OptimisationResult, save: bool, name: str | None, *, inline: bool, view: bool) -> None:
    if save:
        try:
            _side_by_side(made.pictures).save(Path(name or "image.jpg"))
        except (OSError, ValueError) as error:
            warnings.warn(f"The pictures were not saved: {error}.", stacklevel=3)
    if inline:
        _show_inline(made.pictures)
    elif view:
        _side_by_side(made.pictures).show()


def _side_by_side(pictures: Tensor) -> Any:
    from pellucid.feature_visualisation.drawing import as_image

    return as_image(torch.cat(list(pictures), 2))


def _show_inline(pictures: Tensor) -> None:
    try:
        from IPython.display import display  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise MissingExtra("show_inline needs IPython: pip install ipython.") from error
    display(_side_by_side(pictures))
