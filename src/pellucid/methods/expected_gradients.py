"""Expected gradients: integrated gradients averaged over many reference pictures."""

import torch

from pellucid.contracts import Evidence, Maps, Method, Noise, Passes, ProbeLike, Reference
from pellucid.errors import BadOption
from pellucid.methods._noise import colours
from pellucid.methods._paths import along_random_lines, colour_range, unknown_colours


def expected_gradients(
    image: Maps, probe: ProbeLike, rng: Noise, *, samples: int = 100, references: str = "colours"
) -> Evidence:
    """How much each pixel adds to the score on the way from no picture in particular.

    raw = mean_n (I - B_n) dS/dI (B_n + t_n (I - B_n)) with reference B_n and t_n in [0, 1) drawn at random. The paper
    draws references from the training data, which a call does not have, and other pictures of the call would make a map
    depend on its neighbours. So they are drawn between black and white instead.

    Args:
        image: I, `[batch, channel, row, column]`.
        probe: access to the network, asked for the gradient on the ways.
        rng: random draws by sample number; the same for all pictures.
        samples: number n of references; the error falls with its square root.
        references: `colours`, each of one random colour, or `noise`, each pixel of its own random colour.

    Returns:
        raw shaped as the input, signed; summed over channels for the map.

    Raises:
        BadOption: no samples, or other references.
    """
    if references not in ("colours", "noise"):
        raise BadOption(f"Expected 'colours' or 'noise' as references of expected-gradients, got {references!r}.")
    black, white = (end.expand(len(image), *end.shape[1:]) for end in colour_range(image, probe))
    notes = () if probe.grey(0) is not None else unknown_colours()

    def draw(rows: Maps, pictures: torch.Tensor, numbers: torch.Tensor) -> tuple[Maps, Maps, torch.Tensor]:
        alone = (slice(1),) * (rows.ndim - 2)  # one place
        drawn = rng.uniform(2 * numbers, rows) if references == "noise" else colours(rng, 2 * numbers, rows, probe)
        start = black[pictures] + (white - black)[pictures] * drawn
        return start.expand_as(rows), rows, rng.uniform(2 * numbers + 1, rows[:, :1, *alone])

    return Evidence(along_random_lines(METHOD.id, image, probe, samples, draw), notes=notes)


METHOD = Method(
    expected_gradients,
    id="expected-gradients",
    title="Expected gradients",
    reference=Reference("arXiv:1906.10670", "definition of expected gradients"),
    caveat="A random estimate, relative to references that are no real pictures; few samples leave it grainy.",
    reduce="sum",
    passes=Passes("samples", 1, 1, shared=False),
    joint=True,
)
