# Everything a person does with this project begins here; `make` alone lists it.

PYTHON ?= python3
DEBIAN_PACKAGES := postgresql chromium dovecot-imapd isync
PYTEST_ARGS ?=

venv := .venv
bin := $(venv)/bin
# Stamps: each appears when its step is through, so a second run starts at once and a broken one is taken up again.
made := $(venv)/.made
installed := $(venv)/.installed
installed_dev := $(venv)/.installed-dev
pip_install := $(bin)/python -m pip install --quiet --quiet --disable-pip-version-check --require-hashes

# One worker per core.
pytest := $(bin)/python -m pytest --numprocesses auto

MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help
.PHONY: help run test unit check bench format requirements clean debian-packages

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "Another interpreter: make PYTHON=python3.12 run"

run: $(installed) ## start everything with demo data; Ctrl-C ends it
	@exec $(bin)/python -m app.starter --end-with-parent

test: $(installed_dev) debian-packages ## run the whole test suite (PYTEST_ARGS="-k words" for a part)
	$(pytest) $(PYTEST_ARGS)

unit: $(installed_dev) ## the part of the suite that needs no other program; under a minute
	$(pytest) -m "not (browser or dovecot or postgres or processes or redis or slow)" $(PYTEST_ARGS)

check: $(installed_dev) ## formatting, lint, types, import rules
	$(bin)/ruff format --check .
	$(bin)/ruff check .
	$(bin)/mypy
	$(bin)/lint-imports

bench: $(installed_dev) ## the benchmarks, each against its yardstick
	$(bin)/python -m benchmarks

format: $(installed_dev) ## rewrite the code in the house's format
	$(bin)/ruff check --fix-only --quiet .
	$(bin)/ruff format .

requirements: $(installed_dev) ## compile requirements*.txt anew (UPGRADE=--upgrade for newer versions)
	$(bin)/uv $(compile) requirements.in --output-file requirements.txt
	$(bin)/uv $(compile) requirements-dev.in --output-file requirements-dev.txt

# --universal: one file for every platform and every Python from 3.11 on, with all their hashes. No index address is written.
compile = pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make requirements" $(UPGRADE)

clean: ## remove the virtual environment and all caches; the data in var/ stays
	rm -rf $(venv) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

debian-packages:
	@.ci/debian-packages $(DEBIAN_PACKAGES)

$(made):
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON) here. Install Python 3.11 or newer." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
		"Python 3.11 or newer is needed, and $(PYTHON) is older. Name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo \
		"Python's venv module is missing: apt install python3-venv" >&2; exit 1; }
	@echo "Making $(venv) ..."
	@$(PYTHON) -m venv $(venv)
	@touch $@

$(installed): requirements.txt requirements-browser.txt $(made)
	@echo "Installing what is pinned in requirements.txt ..."
	@$(pip_install) -r requirements.txt
	@touch $@

$(installed_dev): requirements-dev.txt $(installed)
	@echo "Installing what is pinned in requirements-dev.txt ..."
	@$(pip_install) -r requirements-dev.txt
	@touch $@
