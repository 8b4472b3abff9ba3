"""The Hopfield network: patterns as the valleys of an energy."""

import torch
from torch import Tensor, nn

from pellucid.errors import BadOption
from pellucid.seeds import seeded


class Hopfield(nn.Module):
    """Units of -1 and 1, each connected with all others, that fall into the nearest stored pattern.

    Hopfield, "Neural networks and physical systems with emergent collective computational abilities", PNAS 79 (1982).
    About 0.14 patterns per unit can be stored before recall breaks down.

    Args:
        units: length of a pattern.
        sweeps: the most times that each unit is updated in a recall.
        seed: of the order of the updates.
    """

    def __init__(self, units: int, sweeps: int = 20, seed: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(units, units), requires_grad=False)
        self.sweeps, self.seed = sweeps, seed

    def store(self, patterns: Tensor) -> None:
        """Learn patterns `[pattern, unit]` of -1 and 1 by Hebb's rule: W = sum p p^T / units, without self-connection.

        Raises:
            BadOption: other values.
        """
        if not bool((patterns.abs() == 1).all()):
            raise BadOption("Expected patterns of -1 and 1 for a Hopfield network.")
        self.weight.copy_((patterns.T @ patterns / patterns.shape[1]).fill_diagonal_(0))

    def energy(self, states: Tensor) -> Tensor:
        """E = -1/2 s^T W s, `[batch]`; no update ever raises it."""
        return -0.5 * ((states @ self.weight) * states).sum(1)

    def forward(self, states: Tensor) -> Tensor:
        """Where the states `[batch, unit]` come to rest: units are updated one at a time, in a drawn order."""
        states = states.clone()
        generator = seeded(self.seed)
        for _ in range(self.sweeps):
            before = states.clone()
            for unit in torch.randperm(states.shape[1], generator=generator).tolist():
                field = states @ self.weight[unit]
                states[:, unit] = torch.where(field == 0, states[:, unit], field.sign())
            if torch.equal(before, states):
                break
        return states
