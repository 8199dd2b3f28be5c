# Every target sets up what it needs; `make` alone lists them.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup demo test test-export lint format bench chaos soak clean

help: ## List the targets
	@grep -hE '^[a-z_-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

setup: $(READY) ## Create the environment in .venv

$(READY): setup.py pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "newsbeam needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools wheel
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: $(READY) ## Watch news being categorized: embedded broker, sample news, real pipeline
	$(BIN)/newsbeam demo

test: lint ## Run linters, type checks and all tests
	$(BIN)/python -m pytest

test-export: $(READY) ## Test `newsbeam model export` with torch and transformers (fetches 2.7 GB)
	$(BIN)/python -m pip install --quiet --editable '.[export]'
	$(BIN)/python -m pytest tests/unit/models/export

lint: $(READY) ## Check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(READY) ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(READY) ## Measure throughput and latency (needs the AG News data beside it)
	$(BIN)/python -m benchmarks.throughput
	$(BIN)/python -m benchmarks.latency

chaos: $(READY) ## Kill, pause and refuse at random on real Kafka, then count (needs Java, Maven, Go)
	$(BIN)/python -m tests.chaos $(ARGS)

soak: $(READY) ## Run 200,000 records and watch rate, memory, open files and threads
	$(BIN)/python -m benchmarks.soak $(ARGS)

clean: ## Remove the environment and caches
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
