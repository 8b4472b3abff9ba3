"""The multilayer perceptron, and back-propagation written out."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pellucid.errors import BadOption, unknown

TRANSFER = {"log-sigmoid": torch.sigmoid, "tan-sigmoid": torch.tanh}
SLOPE = {"log-sigmoid": lambda a: a * (1 - a), "tan-sigmoid": lambda a: 1 - a * a}
"""Derivative of each transfer function, from its own value."""


class MultilayerPerceptron(nn.Module):
    """Layers a' = f(W a + b) with a sigmoid f, and a linear last layer.

    Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors", Nature 323 (1986).

    Args:
        sizes: length of the input (pictures are flattened), of each hidden layer, and of the output.
        transfer: `log-sigmoid` (0 to 1) or `tan-sigmoid` (-1 to 1).

    Raises:
        BadOption: fewer than two sizes.
        UnknownName: another transfer function.
    """

    def __init__(self, sizes: Sequence[int] = (784, 64, 10), transfer: str = "tan-sigmoid") -> None:
        super().__init__()
        if len(sizes) < 2:
            raise BadOption(f"Expected at least the lengths of input and output, got {list(sizes)}.")
        if transfer not in TRANSFER:
            raise unknown("transfer function", transfer, TRANSFER)
        self.transfer = transfer
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))

    def forward(self, patterns: Tensor) -> Tensor:
        """`[batch, output]`."""
        return self.answers(patterns)[-1]

    def answers(self, patterns: Tensor) -> list[Tensor]:
        """The input and what each layer makes of it."""
        answers = [patterns.flatten(1)]
        for k, layer in enumerate(self.layers):
            net = layer(answers[-1])
            answers.append(net if k == len(self.layers) - 1 else TRANSFER[self.transfer](net))
        return answers

    def back_propagate(self, patterns: Tensor, targets: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Gradients of the mean over patterns of the summed squared error, by the chain rule, layer by layer.

        s_M = -2 (t - a_M); s_m = f'(n_m) * W_{m+1}^T s_{m+1}; dW_m = s_m a_{m-1}^T, db_m = s_m.

        Args:
            patterns: `[batch, input]`.
            targets: `[batch, output]`.

        Returns:
            of each layer, those of its weight `[output, input]` and of its bias `[output]`.
        """
        answers = self.answers(patterns)
        sensitivity = -2 * (targets - answers[-1]) / len(patterns)
        gradients = []
        for k, layer in reversed(list(enumerate(self.layers))):
            gradients.append((sensitivity.T @ answers[k], sensitivity.sum(0)))
            if k:
                weight: Tensor = layer.get_parameter("weight")
                sensitivity = sensitivity @ weight * SLOPE[self.transfer](answers[k])
        return gradients[::-1]
