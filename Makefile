# Two commands for a fresh machine with Python 3.11 and make:
#   make demo    sets up, then ships the example from data to an answering endpoint
#   make test    sets up, then runs linters and every test

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
EXAMPLE := examples/categorize_transactions

.PHONY: help setup setup-dev wheel demo lint docs reference engine actionlint debian test fuzz format bench bench-automl \
	bench-infra bench-memory \
	bench-scoring bench-serving bench-studio soak clean
help:
	@grep -E '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /\t/' | expand -t 14

# The locks carry hashes: what is installed is what was tested.
$(VENV)/.core: requirements.lock requirements-build.lock pyproject.toml
	@echo "== setting up: core"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements-build.lock
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes --compile-bytecode -r requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.core
	@echo "== setting up: extras and tests"
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes --compile-bytecode -r requirements-dev.lock
	@touch $@

# Azurite, which the tests of Azure's stand-in start; without npm they are skipped and say so.
node_modules/.made: package.json package-lock.json
	@if command -v npm >/dev/null; then \
		echo "== setting up: Azurite" && npm ci --ignore-scripts --no-audit --no-fund --silent && touch $@; \
	else echo "== no npm here: the tests against a stand-in for Azure are skipped"; fi

setup: $(VENV)/.core ## make .venv, where forestay lies
setup-dev: $(VENV)/.dev node_modules/.made ## the same with every extra and the test tools

wheel: setup ## build a wheel, and the source distribution that it is made from, into dist/
	$(BIN)/uv build --no-build-isolation --python $(BIN)/python --out-dir dist

demo: setup ## ship the example: data -> trials -> model -> proof -> endpoint -> prediction
	$(BIN)/forestay ship $(EXAMPLE)/job.yml --model CategorizeTransactions --endpoint categorize-transactions

lint: setup-dev ## ruff and mypy
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup-dev ## let ruff write
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: setup-dev ## build the documentation into build/site; a warning is an error
	$(BIN)/zensical build --strict --clean

reference: setup-dev ## write the reference pages anew from the commands, the settings and the job models
	$(BIN)/python -m tools.reference

# What some tests need besides Python: where it can't be had they are skipped, and the closing summary says so.
DEBIAN := buildah chromium debootstrap docker-registry fish groff jq podman runc shellcheck zsh

engine: ## build Pulumi's command line from Go modules into .tools (once, ten minutes), for tests marked engine
	tools/pulumi/build.sh

actionlint: ## build the linter of GitHub's workflows from Go modules into .tools (once, a minute)
	tools/actionlint/build.sh

debian: ## install the Debian packages that tests use, where that may be done
	@missing=""; for tool in $(DEBIAN); do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "== setting up:$$missing"; apt-get update -qq >/dev/null 2>&1; \
		for tool in $$missing; do \
			apt-get install -qq --yes --no-install-recommends $$tool >/dev/null 2>&1 \
				|| echo "$$tool can't be installed: tests that need it are skipped"; \
		done; \
	fi

# Tests run side by side in WORKERS processes, those of a file in one of them, so that what a file sets up is set up once.
# Folders come in alphabetical order: the long tests first, the thousands of short ones at the end fill what is free.
# A process that dies is made anew once: the one after it would begin with the same test.
WORKERS ?= 2

# A picture of each of the studio's pages stays in build/screenshots, for CI to keep as artifacts.
test: lint docs engine actionlint debian ## every test
	FORESTAY_SCREENSHOTS="$${FORESTAY_SCREENSHOTS-$(CURDIR)/build/screenshots}" $(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder \
		--max-worker-restart 1

# A part that passed is not run again until what it tests has changed; `make -j2 fuzz` runs two at a time.
FUZZ := $(foreach kind,bank regression forecasting multilabel,in-process-$(kind)) \
	$(foreach kind,bank forecasting,bodies-$(kind) openapi-$(kind))
FUZZED := $(wildcard templates/scoring/* scoring/*.py tests/scoring_*.py forestay_*.py)

fuzz: $(FUZZ:%=build/fuzz/%.passed) ## 5,000 requests made from the OpenAPI and thousands of mutated ones (twenty minutes)
	@cat $^

build/fuzz/in-process-%.passed: tests/unit/test_scoring_fuzz.py $(FUZZED) | $(VENV)/.dev
	FORESTAY_FUZZ_EXAMPLES=3000 tests/passed.sh $@ $(BIN)/pytest --timeout 0 -o faulthandler_timeout=0 -s -q $< -k $*

build/fuzz/bodies-%.passed: tests/e2e/test_scoring_fuzz_http.py $(FUZZED) | $(VENV)/.dev
	FORESTAY_FUZZ_EXAMPLES=3000 tests/passed.sh $@ $(BIN)/pytest --timeout 0 -o faulthandler_timeout=0 -s -q $< -k "any_body and $*"

build/fuzz/openapi-%.passed: tests/e2e/test_scoring_fuzz_http.py $(FUZZED) | $(VENV)/.dev
	FORESTAY_FUZZ_REQUESTS=2500 tests/passed.sh $@ $(BIN)/pytest --timeout 0 -o faulthandler_timeout=0 -s -q $< -k "schemathesis and $*"

bench: setup-dev ## measure against peers; writes benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks

bench-automl: setup-dev ## train against FLAML, AutoGluon and others (hours; goes on where it was stopped)
	$(BIN)/python -m benchmarks.automl

bench-infra: setup-dev ## a plan over 10 to 200 served models; writes benchmarks/INFRA.md
	$(BIN)/python -m benchmarks.infra_growth

bench-memory: setup-dev ## memory and time of jobs on up to a million rows; writes benchmarks/MEMORY.md
	$(BIN)/python -m benchmarks.memory

bench-scoring: setup-dev ## one model behind several servers; writes benchmarks/scoring/RESULTS.md
	$(BIN)/python -m benchmarks.scoring

bench-serving: setup-dev ## deploys, images and a large file; writes benchmarks/SERVING.md
	$(BIN)/python -m benchmarks.serving

bench-studio: setup-dev ## start-up and pages of the studio over 1,000 jobs; writes benchmarks/STUDIO.md
	$(BIN)/python -m benchmarks.studio

soak: setup-dev ## our server under load; writes benchmarks/scoring/SOAK.md (MINUTES=2 for less than 10)
	$(BIN)/python -m benchmarks.scoring.soak --minutes $(or $(MINUTES),10)

clean: ## remove what set-up and tests made
	rm -rf $(VENV) .tools node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis .cache
