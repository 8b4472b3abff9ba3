"""Options of the matrix: `pytest tests/matrix --complete [--write] [--methods a,b]`."""


def pytest_addoption(parser):
    parser.addoption("--write", action="store_true", help="write what was found into tests/matrix/outcomes")
    parser.addoption("--methods", default="", help="these methods only, separated by commas")


def pytest_generate_tests(metafunc):
    """Tests of `network` run on a sample of them, or on all."""
    if "network" in metafunc.fixturenames:
        from architectures import NETWORKS, SAMPLE

        complete = metafunc.config.getoption("--complete", default=False)
        metafunc.parametrize("network", list(NETWORKS) if complete else SAMPLE, scope="module")


def pytest_collection_modifyitems(config, items):
    """What checks the page has no place where the page is about to be written."""
    if config.getoption("--write", default=False):
        items[:] = [item for item in items if "[" in item.name]


def pytest_sessionfinish(session):
    """Once every worker has noted its networks, the page is written from their notes."""
    if session.config.getoption("--write", False) and not hasattr(session.config, "workerinput"):
        from architectures import NETWORKS
        from support_page import PAGE, page, read

        import pellucid

        columns = read()
        PAGE.write_text(page(columns, [name for name in NETWORKS if name in columns], list(pellucid.methods())))
