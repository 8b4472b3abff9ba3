"""Integrated gradients: another method's gradient averaged along the way from a baseline to the picture."""

from torch import Tensor

from pellucid.contracts import Evidence, Maps, Method, Passes, ProbeLike, Reference
from pellucid.errors import BadOption
from pellucid.methods._paths import along_lines, completeness_gap, read_baselines, what_is_missing


def integrated_gradients(
    image: Maps,
    probe: ProbeLike,
    *,
    of: str = "saliency",
    steps: int = 50,
    baseline: float | str | Tensor = 0.0,
    multiply_by_inputs: bool = True,
) -> Evidence:
    """How much each pixel adds to the score on the way from a baseline to the picture.

    raw = (I - B) integral_0^1 M(B + t (I - B)) dt, by Gauss-Legendre quadrature, with M the gradient that the method
    `of` computes; the mean of these over several baselines. With the plain gradient raw sums to S(I) - mean S(B)
    (completeness); `extras["gap"]` is what is missing, and a note says so where that is a part worth naming.

    Args:
        image: I, `[batch, channel, row, column]`.
        probe: runs the method `of` along the way and scores both ends.
        of: id of a gradient method: saliency (the plain gradient), guided-backprop or deconvnet. The engine reads it
            and gives the probe that method to run.
        steps: points on the way; error falls fast with it where the score is smooth.
        baseline: B: a value for all pixels in the model's normalised space (0 is the mean colour), `black`, `white`,
            `mean` (the picture's own mean colour), `blur` (the picture blurred by a tenth of its shorter side), or
            several of these, as in `black,white`; in Python also a tensor `[channel]`, `[channel, row, column]`, or
            with a picture for each.
        multiply_by_inputs: without it raw is the integral alone, how the score reacts to each pixel on the way.

    Returns:
        raw shaped as the input, summed over channels for the map; extras `gap` `[batch]`, in units of the score.

    Raises:
        BadOption: no steps, another baseline, or `of` names a method that gives no gradient.
    """
    if probe.base is None or not probe.base.is_gradient:
        kind = "a map at a layer" if probe.base and probe.base.at_site else "something else"
        raise BadOption(f"integrated-gradients needs a gradient at the input, and {of!r} gives {kind}.")
    starts, notes = read_baselines(METHOD.id, baseline, image, probe)
    if not multiply_by_inputs:
        return Evidence(along_lines(METHOD.id, image, probe, starts, steps, None, times_way=False), notes=notes)
    raw = along_lines(METHOD.id, image, probe, starts, steps, None)
    gap = completeness_gap(image, probe, starts, raw)
    complete = probe.base.id == "saliency"
    return Evidence(raw, extras={"gap": gap}, notes=(*notes, *(what_is_missing(raw, gap) if complete else ())))


METHOD = Method(
    integrated_gradients,
    id="integrated-gradients",
    title="Integrated gradients",
    reference=Reference("arXiv:1703.01365", "eq. 1"),
    caveat="Relative to the baseline: whatever looks like the baseline (mid-grey by default) can get nothing.",
    reduce="sum",
    passes=Passes("steps", 1, 1, shared=False),
    joint=True,
)
