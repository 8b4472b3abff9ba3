"""The time-delay neural network: convolution over time, before it was called so."""

import torch
from torch import Tensor, nn


class TimeDelay(nn.Module):
    """Two layers that see a window of time and share their weights over it; the answer is summed over time.

    Waibel et al., "Phoneme recognition using time-delay neural networks", IEEE Transactions on Acoustics, Speech and
    Signal Processing 37 (1989): 16 coefficients in 15 frames, 8 units that see 3 frames, 3 units (b, d, g) that see 5
    of these, log-sigmoids, and the sum of squares over the 9 steps that are left.

    Args:
        coefficients: per frame.
        hidden: units of the first layer.
        classes: units of the second.
    """

    def __init__(self, coefficients: int = 16, hidden: int = 8, classes: int = 3) -> None:
        super().__init__()
        self.first = nn.Conv1d(coefficients, hidden, 3)
        self.second = nn.Conv1d(hidden, classes, 5)

    def forward(self, frames: Tensor) -> Tensor:
        """Scores `[batch, class]`, of frames `[batch, coefficient, time]` with at least 7 frames."""
        answers = torch.sigmoid(self.second(torch.sigmoid(self.first(frames))))
        return answers.square().sum(2)
