"""DeepLIFT is told the arguments of a call by their names in whichever way they are given."""

import pytest
import torch
from torch import nn

import pellucid
from pellucid.errors import Refused

SPELLINGS = {
    "norm": lambda x: torch.norm(x, p=2, dim=(2, 3)),
    "method": lambda x: x.norm("fro", (2, 3)),
    "Frobenius": lambda x: torch.linalg.norm(x, dim=(2, 3)),
    "axis": lambda x: x.flatten(2).amax(axis=2),
    "variance": lambda x: x.var(dim=(2, 3), correction=0),
    "softmax": lambda x: x.flatten(2).logsumexp(axis=2),
}


class Reduced(nn.Module):
    def __init__(self, reduce):
        super().__init__()
        torch.manual_seed(0)
        self.reduce, self.conv = reduce, nn.Conv2d(3, 2, 3)

    def forward(self, x):
        return self.reduce(self.conv(x))


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_contributions_add_up_however_arguments_are_spelled(spelling):
    net, image = Reduced(SPELLINGS[spelling]).double().eval(), torch.randn(1, 3, 5, 4, dtype=torch.float64)
    with torch.no_grad():
        change = float((net(image) - net(0 * image))[0, 1])
    found = pellucid.explain(net, image, "deep-lift", 1)["deep-lift"]
    assert float(found.raw.sum()) == pytest.approx(change, rel=1e-9)


def test_the_spectral_norm_of_a_matrix_is_not_its_length():
    """The largest singular value, which was taken for the root of the sum of squares."""
    net = Reduced(lambda x: torch.linalg.norm(x, 2, dim=(2, 3))).double().eval()
    with pytest.raises(Refused, match="linalgsvd"):
        pellucid.explain(net, torch.randn(1, 3, 5, 4, dtype=torch.float64), "deep-lift", 1)
