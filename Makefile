# Every habit of the house in one line each: `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TUNE_STAMP := $(VENV)/.installed-tune

.DEFAULT_GOAL := help
.PHONY: help tune test test-all test-statistics lint types floors format system browser bench bench-all record bench-agent vendor clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(TUNE_STAMP): $(BIN)/python setup.cfg
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[server,cache-policy,matmul]'
	@touch $@

$(STAMP): $(BIN)/python setup.cfg
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[server,postgresql,cache-policy,matmul,dev]'
	@touch $@ $(TUNE_STAMP)

tune: $(TUNE_STAMP) ## set everything up and tune the embedded SQLite target; writes report.json
	$(BIN)/lontra tune sqlite --json report.json $(ARGS)

system: ## install what tests need beyond Python (PostgreSQL, Chromium), where that is possible
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh tests/system-packages.sh

# Two processes, with one thread of BLAS each, suit two cores; ARGS='-n 8' has more.
test: $(STAMP) system ## set everything up and run the suite, linters included (under 15 minutes)
	$(MAKE) --no-print-directory lint types floors
	LONTRA_TEST_POSTGRESQL=$$(sh tests/system-packages.sh has-postgresql) \
		OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
		$(BIN)/python -m pytest -m 'not slow' -n 2 --dist worksteal $(ARGS)

test-all: $(STAMP) system ## the whole suite, slow and privileged checks and the survival campaign too
	$(MAKE) --no-print-directory lint types floors
	LONTRA_TEST_POSTGRESQL=$$(sh tests/system-packages.sh has-postgresql) \
		$(BIN)/python -m pytest -s --timeout 5400 $(ARGS)

test-statistics: $(STAMP) ## are the verdicts true: some 1,300 sessions round the ring (about an hour)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -W ignore tests/statistics/campaign.py $(ARGS)

lint: $(STAMP) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## mypy, strict, on the floors and the front door
	$(BIN)/mypy

floors: $(STAMP) ## import-linter: imports go down only
	$(BIN)/lint-imports

format: $(STAMP) ## rewrite the code in the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Each peer by itself: one that cannot be installed is left out, and the page says so.
$(VENV)/.installed-bench: $(STAMP)
	$(BIN)/python benchmarks/compare.py --install
	@touch $@

# HEBO wants older libraries than Lontra, on Python 3.11: HEBO_PYTHON makes its environment.
HEBO := .venv-hebo
HEBO_PYTHON ?= $(PYTHON)
$(HEBO)/.installed:
	$(HEBO_PYTHON) -m venv $(HEBO) && $(HEBO)/bin/pip install --quiet --disable-pip-version-check \
		-r benchmarks/hebo-requirements.txt && touch $@ || rm -rf $(HEBO)

COMPARE := $(BIN)/python benchmarks/compare.py --hebo-python $(HEBO)/bin/python \
	$(if $(REPLAY_DATA),--data $(REPLAY_DATA)) \
	$(if $(RECOMMENDERS),--recommenders $(RECOMMENDERS)) $(if $(PAGE),--page $(PAGE))
BENCH_NEEDS := $(VENV)/.installed-bench $(HEBO)/.installed

bench: $(BENCH_NEEDS) ## beside other optimizers: REPLAY_DATA=DIR writes docs/benchmarks.md, none: our own tables
	$(COMPARE) $(PARTS) $(ARGS)

bench-all: $(BENCH_NEEDS) ## the same with noise, history, ablations, costs: hours (some: make bench PARTS="noise-05 cost")
	$(COMPARE) all $(ARGS)

record: $(STAMP) ## record the benchmark's own tables again, from the product's own targets
	$(BIN)/python benchmarks/record.py $(ARGS)

bench-agent: $(STAMP) ## the agent's and watchdog's memory and CPU share at rest
	$(BIN)/python benchmarks/agent_footprint.py

vendor: $(STAMP) ## fetch the vendored browser assets again and check their hashes
	$(BIN)/python -m web.vendor

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) $(HEBO) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
