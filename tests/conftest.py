"""What every test shares."""

import os
import shutil
import signal

import pytest
import torch

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the commands that tests start, as below for the tests themselves

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def pytest_addoption(parser):
    parser.addoption("--complete", action="store_true", help="what takes long too: CI runs it, `make test` does not")


def pytest_collection_modifyitems(config, items):
    """Long tests are for `--complete`, unless they are asked for by name or by their mark."""
    named = any("::" in argument for argument in config.args) or "long" in config.option.markexpr
    if not (named or config.getoption("--complete")):
        items[:] = [item for item in items if item.get_closest_marker("long") is None]


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Tests run in several processes already; more threads only get into each other's way."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_is_heard():
    """A shell that runs the tests in the background lets its children ignore Ctrl-C, which some tests press."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium."""
    if os.environ.get("PELLUCID_NO_BROWSER") == "1":
        pytest.skip("PELLUCID_NO_BROWSER=1")
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.fail(
            f"No browser found ({', '.join(BROWSERS)}). Install one (Debian: apt-get install chromium), or set "
            "PELLUCID_NO_BROWSER=1 to leave these tests out."
        )
    from playwright.sync_api import sync_playwright

    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=[*quiet, "--disable-sync"])
        yield launched
        launched.close()
