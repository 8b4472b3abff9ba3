"""Networks of the fuzzer: `pytest tests/fuzz [--networks N]`; seeds 0 to N - 1, or one by `--seed`."""

from collections import Counter

SAMPLE = 8


def pytest_addoption(parser):
    parser.addoption("--networks", type=int, default=SAMPLE, help="how many random networks the fuzzer builds")
    parser.addoption("--seed", type=int, default=None, help="the one random network to build")


def pytest_generate_tests(metafunc):
    """Tests of a `seed` run on a sample of the networks, or on as many as were asked for."""
    if "seed" in metafunc.fixturenames:
        option = metafunc.config.getoption
        one = option("--seed", default=None)
        count = option("--networks", default=SAMPLE)
        metafunc.parametrize("seed", range(count) if one is None else [one])


def pytest_terminal_summary(terminalreporter, config):
    """How many networks each method refused; `fuzz_checks.must_answer` says which it may."""
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, ())]
    outcomes = [dict(r.user_properties)["outcomes"] for r in reports if r.user_properties]
    if not outcomes or config.getoption("--networks", default=SAMPLE) == SAMPLE:
        return
    terminalreporter.section("networks")
    tried, refused, lost = (Counter(m for o in outcomes for m in o[kind]) for kind in ("tried", "refused", "lost"))
    for method in sorted(tried):
        terminalreporter.write_line(
            f"{method:24} {tried[method]:4} tried, {refused[method]:4} refused, {lost[method]:4} whose formula loses "
            "its digits"
        )
