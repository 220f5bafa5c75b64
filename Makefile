# Every command of the README. `make demo` and `make test` need nothing but Python 3.11+ and make.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.14 python3.11; do \
	$$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
MINUTES ?= 30
ROUNDS ?= 200
SEED ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo lab test lint bench soak lock docs notebooks solutions gallery clean

help:  ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found. Install one, or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version): once, about a minute"
	@$(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) cannot make a virtual environment. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar on --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -m lab_utils.kernel  # a cell run too early says what to run first
	@$(BIN)/python -m compileall -q lab_utils worker  # compiling under a pod's CPU limit takes seconds
	@touch $@

setup: $(READY)  ## Make .venv with everything in the lock file

demo: $(READY)  ## The lab in about a minute: build, load, apply, fire, fail over; writes report/
	$(BIN)/lab demo

lab: $(READY)  ## Open JupyterLab on the notebooks
	$(BIN)/jupyter lab notebooks

test: $(READY) lint  ## Every test, notebooks included
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(READY)  ## Style, types and the direction of the arrows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)  ## The benchmarks, side by side; writes build/bench.json
	$(BIN)/python -m tests.bench

soak: $(READY)  ## Kill at random, operate at random, check what must hold; ROUNDS=200 MINUTES=30 SEED=1
	$(BIN)/python -m tests.sweep --rounds $(ROUNDS) --seed $(SEED)
	$(BIN)/python -m tests.soak --minutes $(MINUTES) --seed $(SEED)

docs: $(READY)  ## Build the site into build/site; a warning is an error
	$(BIN)/python -m sphinx -q -W --keep-going docs build/site

notebooks: $(READY)  ## Run the notebooks and save them with their outputs
	$(BIN)/lab run --save

solutions: $(READY)  ## Run the solutions of the exercises
	$(BIN)/python -m pytest notebooks/solutions

gallery: $(READY)  ## Draw every chart into docs/gallery
	$(BIN)/python -m tests.tools.make_gallery

lock: $(READY)  ## Resolve pyproject.toml anew into requirements.lock
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --no-config pyproject.toml --extra test --extra docs --universal --generate-hashes \
		--python-version 3.11 --no-header --output-file requirements.lock

clean:  ## End the cluster and remove what make made
	-test ! -x $(BIN)/lab || $(BIN)/lab down
	rm -rf $(VENV) build report
