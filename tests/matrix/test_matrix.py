"""Every method on every kind of network: right, or refused with a sentence. See `docs/support.md`.

A run of all cells takes minutes: `pytest tests/matrix --complete`, as CI does, or `make matrix`, which also writes the
page. Without it each method is tried on one network of a sample, in which every kind of network stands.
"""

import support_page
from architectures import NETWORKS, SAMPLE
from cells import Column

import pellucid

METHODS = tuple(pellucid.methods())


def sample(network):
    """Each method on one network of the sample, and each of those with its share of the methods."""
    return METHODS[SAMPLE.index(network) :: len(SAMPLE)]


def test_every_method_keeps_the_contract_or_says_why_not(network, request):
    option = request.config.getoption
    methods = METHODS if option("--complete", False) else sample(network)
    if option("--methods", ""):
        methods = option("--methods").split(",")
    column = Column(network, methods)
    assert column.faults == []
    known = support_page.read().get(network, {"outcomes": {}})["outcomes"]
    if option("--write", False):
        kept = {method: known[method] for method in METHODS if method in known}
        support_page.write(network, support_page.facts(NETWORKS[network]), kept | column.outcomes)
    else:
        assert column.outcomes == {m: known.get(m) for m in methods}, "run `make matrix`"


def test_the_sample_leaves_out_no_method_and_no_kind_of_network():
    tried = [sample(name) for name in SAMPLE]
    assert all(tried)
    assert sorted(method for methods in tried for method in methods) == list(METHODS)
    assert {NETWORKS[name].kind for name in SAMPLE} == {network.kind for network in NETWORKS.values()}


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
