# `make help` lists the targets. Everything is installed into .venv, at the versions of constraints.txt.

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt

# Says which Python it needs, before anything is made.
define CHECK
import sys
if sys.version_info < (3, 11):
    sys.exit("Pellucid needs Python 3.11 or newer, and %s is %d.%d. Name another: make demo PYTHON=python3.11"
             % (sys.argv[-1], sys.version_info[0], sys.version_info[1]))
endef
export CHECK

.PHONY: help demo test acceptance matrix check format bench docs clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

demo: .venv/package  ## explain a photograph with a real network; writes pictures and report.html to pellucid-out/
	$(BIN)/pellucid explain sample:cat --out pellucid-out

test: .venv/extras  ## run the tests; of the matrix, every method on one network of a sample
	$(BIN)/python -m pytest -n 2

matrix: .venv/extras  ## try every method (or METHODS=a,b) on every kind of network, writes docs/support.md; and on random ones
	$(BIN)/python -m pytest -n 2 tests/matrix --complete --write --methods "$(METHODS)"
	$(BIN)/python -m pytest -n 2 tests/fuzz --networks 300

acceptance: .venv/extras  ## run every command that the README and docs/ print, as printed; takes an hour
	$(BIN)/python -m pytest tests/acceptance/every_printed_command.py

check: .venv/extras  ## formatter, linter, type checker, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2

format: .venv/extras  ## format and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/extras  ## measure against the peers, side by side; writes benchmarks/results/
	$(BIN)/python -m benchmarks

docs: .venv/package  ## write tables and pictures into the README and docs/; minutes
	$(BIN)/python docs/generate.py

clean:  ## remove the environment and everything that was written
	rm -rf .venv pellucid-out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/package: pyproject.toml constraints.txt
	@$(PYTHON) -c "$$CHECK" $(PYTHON)
	@{ $(BIN)/python -c "$$CHECK" && $(BIN)/python -m pip --version; } > /dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo "Installing Pellucid and its libraries into .venv (torch is large: a minute or two)"
	$(INSTALL) --editable .
	@touch $@

.venv/extras: .venv/package
	$(INSTALL) --editable ".[check]"
	@touch $@
