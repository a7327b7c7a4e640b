# One place for every command (README). `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SEED ?= 1
DEPLOYS ?= 40

.DEFAULT_GOAL := help
.PHONY: help sandbox sandbox-reset test quick soak check run bench install format

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# A changed requirements file installs again; the files `installed*` mark the time of the last installation.
$(VENV)/installed: requirements.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/installed-sandbox: requirements.txt requirements-sandbox.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-sandbox.txt
	@touch $@

$(VENV)/installed-dev: requirements.txt requirements-sandbox.txt requirements-dev.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

install: $(VENV)/installed-dev ## everything for working on the portal

sandbox: $(VENV)/installed-sandbox ## the whole portal with everything around it on this machine, until Ctrl-C
	@exec $(BIN)/python -m sandbox

sandbox-reset: $(VENV)/installed-sandbox ## delete all state of the sandbox
	@exec $(BIN)/python -m sandbox --reset

test: $(VENV)/installed-dev ## all tests; a skipped test says why
	$(BIN)/python -m tests.everything

quick: $(VENV)/installed-dev ## the tests that need no cluster, browser, PostgreSQL or sandbox
	$(BIN)/python -m tests.everything --quick

soak: $(VENV)/installed-dev ## many deploys on a real node (SLIPWAY_NODE), each verdict held against the truth; SEED=1 DEPLOYS=40
	$(BIN)/python -m tests.kubelet.soak --seed $(SEED) --deploys $(DEPLOYS)

check: $(VENV)/installed-dev ## lint, format, types, import contracts, migrations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python -m tests.checks

run: $(VENV)/installed ## all processes, against the services that environment variables name
	@exec $(BIN)/python -m ops.run

bench: $(VENV)/installed-dev ## times against peers; prints a table, writes .bench/results.json; PART=apply for one part
	$(BIN)/python -m ops.bench $(PART)

format: $(VENV)/installed-dev ## format the code
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format --quiet .
