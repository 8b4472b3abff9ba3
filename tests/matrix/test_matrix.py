"""Every method on every kind of network: right, or refused with a sentence. See `docs/support.md`.

A run of all cells takes minutes: `pytest tests/matrix --complete`, as CI does, or `make matrix`, which also writes the
page. Without it each method is tried on one network and each network with at least one method.
"""

import pytest
import support_page
from architectures import NETWORKS
from cells import Column

import pellucid

METHODS = tuple(pellucid.methods())


def sample(network):
    """The diagonal of the matrix."""
    return METHODS[list(NETWORKS).index(network) :: len(NETWORKS)]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_method_keeps_the_contract_or_says_why_not(name, request):
    option = request.config.getoption
    methods = METHODS if option("--complete", False) else sample(name)
    if option("--methods", ""):
        methods = option("--methods").split(",")
    column = Column(name, methods)
    assert column.faults == []
    known = support_page.read().get(name, {"outcomes": {}})["outcomes"]
    if option("--write", False):
        kept = {method: known[method] for method in METHODS if method in known}
        support_page.write(name, support_page.facts(NETWORKS[name]), kept | column.outcomes)
    else:
        assert column.outcomes == {m: known.get(m) for m in methods}, "run `make matrix`"


def test_the_sample_leaves_no_method_and_no_network_out():
    tried = [sample(name) for name in NETWORKS]
    assert all(tried)
    assert sorted(method for methods in tried for method in methods) == list(METHODS)


def test_the_page_is_current():
    columns = support_page.read()
    assert set(columns) == set(NETWORKS)
    for name, column in columns.items():
        assert {fact: column[fact] for fact in support_page.FACTS} == support_page.facts(NETWORKS[name]), name
    missing = {name: sorted(set(METHODS) ^ set(column["outcomes"])) for name, column in columns.items()}
    assert not any(missing.values()), f"run `make matrix`: {missing}"
    assert support_page.PAGE.read_text() == support_page.page(columns, list(NETWORKS), METHODS), "run `make matrix`"


def test_refusals_are_sentences_that_help():
    for name, column in support_page.read().items():
        for method, outcome in column["outcomes"].items():
            if outcome != support_page.OK:
                assert outcome.endswith("."), (name, method)
                assert outcome.count(". ") <= 2, (name, method)
                assert 40 < len(outcome) < 400, (name, method)
                assert not any(word in outcome for word in ("Backward", "0x", "Traceback")), (name, method)
