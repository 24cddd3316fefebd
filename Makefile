# Every task of the project. `make help` lists them; there is one way to do each.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
RUNTIME_STAMP := $(VENV)/.stamp-runtime
DEV_STAMP := $(VENV)/.stamp-dev
ARGS ?=

.PHONY: help
help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- set-up ------------------------------------------------------------------------------------------------------

.PHONY: setup
setup: $(RUNTIME_STAMP) ## make .venv with twzrd in it (pinned, with hashes); does nothing when up to date

.PHONY: setup-dev
setup-dev: $(DEV_STAMP) ## the same and what tests and benchmarks need

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "twzrd needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 | head -1)." >&2; \
	  echo "Install one and name it: make setup PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "'$(PYTHON) -m venv' failed; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

$(RUNTIME_STAMP): requirements.txt pyproject.toml | $(BIN)/python
	@$(BIN)/python -c 'import pip' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)  # what a killed set-up left
	$(PIP) install --quiet --require-hashes -r requirements.txt
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q schemas streams projections claim_api infra
	@touch $@
	@echo "twzrd is set up; see: $(BIN)/twzrd --help"

$(DEV_STAMP): requirements-dev.txt $(RUNTIME_STAMP)
	$(PIP) install --quiet --require-hashes -r requirements-dev.txt
	@touch $@

.PHONY: lock
lock: setup-dev ## compile requirements*.txt again (UPGRADE=1 takes newer versions)
	$(BIN)/uv pip compile $(LOCK_FLAGS) pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile $(LOCK_FLAGS) --extra dev pyproject.toml -o requirements-dev.txt

LOCK_FLAGS = --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
             --extra fast --extra build $(if $(UPGRADE),--upgrade,)

# ---- running -----------------------------------------------------------------------------------------------------

.PHONY: demo
demo: setup ## simulated chat to sealed, proven epochs in a minute (ARGS=--once ends by itself)
	@$(BIN)/twzrd demo $(ARGS)

.PHONY: bench
bench: setup-dev ## the table of speeds, peers beside
	@$(BIN)/python -m infra.bench $(ARGS)

# ---- checking ----------------------------------------------------------------------------------------------------

.PHONY: test
test: setup-dev ## everything, fast checks first (ARGS go to pytest); Kafka tests need Java 17
	@infra/ci/test.sh $(ARGS)

.PHONY: quick
quick: setup-dev ## checks, unit and property tests only
	@infra/ci/test.sh --stages checks,unit,property $(ARGS)

.PHONY: lint
lint: setup-dev ## style, format, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

.PHONY: types
types: setup-dev ## mypy, strict, on the whole tree
	$(BIN)/mypy

.PHONY: format
format: setup-dev ## put the whole tree in its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: kafka-jars
kafka-jars: setup ## fetch the development broker (44 MB, once)
	$(BIN)/python -m infra.kafka.jars

.PHONY: clean
clean: ## remove what tools made, .venv included
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
