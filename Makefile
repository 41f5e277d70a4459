# Verbs of the project; each one makes what it needs. VENV=path and PYTHON=python3.x choose another environment.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
# Tests of the default suite that run at a time; 0: one after another, in one process.
TESTS ?= 2
SOURCES := phase_diagrams workers service saephase handbook tests examples benchmarks docs

.DEFAULT_GOAL := help
.PHONY: help demo test test-long soak check lint docs figures bench clean

help:  ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

$(BIN)/saephase: pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else f"saephase needs Python 3.11 or newer; $(PYTHON) is {v[0]}.{v[1]}. Try: make PYTHON=python3.12 demo")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: $(BIN)/saephase
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(VENV)/.docs: $(BIN)/saephase
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

demo: $(BIN)/saephase  ## install, run examples/quickstart.yaml on Ray, say where the picture is
	$(BIN)/saephase run examples/quickstart.yaml --out runs/quickstart

test: $(VENV)/.dev  ## install and run the default test suite (minutes)
	$(BIN)/python -m pytest -n $(TESTS) --dist worksteal

test-long: $(VENV)/.dev  ## the tests that take longer
	$(BIN)/python -m pytest -m long

soak: $(VENV)/.dev  ## the service under load, fuzzing and kills
	$(BIN)/python -m pytest -m soak

lint: $(VENV)/.dev  ## ruff, mypy --strict and import-linter
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test  ## everything that must be green before a commit

docs: $(VENV)/.docs  ## build the documentation site into site/; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "open site/index.html (its search needs a server: $(BIN)/python -m http.server --directory site)"

figures: $(BIN)/saephase  ## make the README's diagram again (about 5 minutes on 2 cores)
	$(BIN)/python docs/images/make.py

bench: $(VENV)/.dev  ## measure trainer and jobs against SAELens, PyTorch and Ray Tune, as ratios in one run
	$(BIN)/python benchmarks/trainer.py
	$(BIN)/python benchmarks/evaluation.py
	$(BIN)/python benchmarks/start.py
	$(BIN)/python benchmarks/jobs.py

clean:  ## remove what the verbs made, except results under runs/
	rm -rf $(VENV) build site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
