# make up: a running city. make test: every check and test. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: up test test-long check clean format help install lock tools

# The first of these that runs and is new enough makes .venv; `make PYTHON=/path/to/python up` names another.
PYTHON ?= python3.13 python3.12 python3.11 python3 python
VENV := .venv
BIN := $(VENV)/bin
DONE := $(VENV)/done
PYTEST_ARGS ?= -n auto

up: $(DONE)-run ## set everything up, then run a city at http://127.0.0.1:8460
	@$(BIN)/metrobloc up

test: $(DONE)-dev tools check ## set everything up for testing, then run every check and test
	@$(BIN)/pytest $(PYTEST_ARGS)

test-long: $(DONE)-dev tools check ## the same tests with the long counts: hours
	@METROBLOC_LONG=1 $(BIN)/pytest --timeout=0 $(PYTEST_ARGS)

check: $(DONE)-dev ## style, types, layers, dead code, spelling
	@$(BIN)/ruff check --output-format concise
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/vulture
	@$(BIN)/codespell

format: $(DONE)-dev ## rewrite the code as `make check` wants it
	@$(BIN)/ruff check --fix --quiet || true
	@$(BIN)/ruff format

install: $(DONE)-dev ## what `make test` needs from Python, and nothing run

lock: $(DONE)-setup ## choose the newest versions again and write requirements*.lock
	@$(UV) compile $(LOCK) --group setup -o requirements-uv.lock
	@$(UV) compile $(LOCK) pyproject.toml -o requirements.lock
	@$(UV) compile $(LOCK) --group dev -c requirements.lock -o requirements-dev.lock

clean: ## remove what make and the tests made, but no city's data
	@rm -rf $(VENV) .venv-tests dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find src tests -name __pycache__ -prune -exec rm -rf {} +

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' Makefile | expand -t 20

# uv asks the registry that pip is set up for, and trusts the certificates that this machine trusts.
INDEX = $(BIN)/python -m pip config list | sed -nE "s/^(:env:|global|install)\\.index-url='(.*)'/\\2/p" | head -n 1
UV = UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$$($(INDEX))}" UV_SYSTEM_CERTS=1 VIRTUAL_ENV=$(VENV) $(BIN)/uv pip
LOCK := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url

$(DONE)-setup: requirements-uv.lock
	@lacking=; for python in $(PYTHON); do \
	  $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  $$python -c 'import ensurepip, venv' 2>/dev/null || { lacking=$$python; continue; }; \
	  $(BIN)/python -m pip --version >/dev/null 2>&1 || $$python -m venv --clear $(VENV); \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<; \
	  touch $@; exit 0; \
	done; \
	if test -n "$$lacking"; then echo "$$lacking has no venv module; install it (on Debian: apt-get install python3-venv), then make again."; \
	else echo "MetroBloc needs Python 3.11 or newer, and none of these is: $(PYTHON). Install one, then make again."; fi >&2; exit 1

$(DONE)-run: $(DONE)-setup requirements.lock pyproject.toml
	@$(UV) install --quiet --require-hashes -r requirements.lock
	@$(UV) install --quiet --no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(DONE)-dev: $(DONE)-run requirements-dev.lock
	@$(UV) install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

# Tools of the fault tests. Without them those tests skip, and say so.
tools:
	@missing=; for tool in strace faketime gcc; do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	test -n "$$missing" || exit 0; \
	if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
	  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
	      $$missing $$(case "$$missing" in *gcc*) echo libc6-dev;; esac) >/dev/null; } || echo "could not install:$$missing" >&2; \
	else echo "some fault tests will skip; to run them install:$$missing" >&2; fi
