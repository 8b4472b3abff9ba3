"""Random networks under every method, against references that were written from the formulas alone.

`pytest tests/fuzz --networks 300` tries more of them; `pytest tests/fuzz --seed 17` one again. The networks come from
`fuzz_networks.build(seed)`, so that a failure can be had anywhere.
"""

import pytest
from fuzz_checks import check
from fuzz_networks import FAMILIES, build


@pytest.mark.filterwarnings("ignore:The .grad attribute")
def test_every_method_on_a_random_network(seed, request):
    case = build(seed)
    outcome = check(case)
    request.node.user_properties.append(
        ("outcomes", {"tried": outcome.tried, "refused": outcome.refused, "lost": outcome.lost})
    )
    assert not outcome.faults, "\n".join([str(case), *outcome.faults])


def test_the_sample_has_every_family():
    assert {build(seed).family for seed in range(len(FAMILIES))} == set(FAMILIES)
    assert str(build(3)) == str(build(3))
