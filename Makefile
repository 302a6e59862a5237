# Every task of this repository. `make help` lists the targets.

VENV := .venv
BIN  := $(VENV)/bin
PYTHON ?= python3
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help

.PHONY: all
all: $(VENV)/.ready lab  ## set everything up and run the main job: twelve platforms, one index
	$(BIN)/multibuild all -f examples/hello/multibuild.yaml

.PHONY: test
test: $(VENV)/.ready lint unit contract e2e  ## set everything up, lint, and run every test

.PHONY: unit
unit: $(VENV)/.ready  ## tests without docker
	$(BIN)/python -m pytest -q -n auto tests/unit

.PHONY: contract
contract: $(VENV)/.ready  ## tests of the exact docker argv, with a fake docker
	$(BIN)/python -m pytest -q -n auto tests/contract

.PHONY: e2e
e2e: $(VENV)/.ready lab  ## tests on the real engine, registry and QEMU
	$(BIN)/python -m pytest -q -n 3 --dist loadscope --durations 15 -m "not alone" tests/e2e
	$(BIN)/python -m pytest -q -m alone tests/e2e

.PHONY: lint
lint: $(VENV)/.ready  ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: format
format: $(VENV)/.ready  ## format the code with ruff
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: bench
bench: $(VENV)/.ready lab  ## measure against buildx, side by side
	$(BIN)/python -m bench

.PHONY: lab
lab: $(VENV)/.ready  ## a real engine, registry, QEMU and base images (root, on a bare machine)
	$(BIN)/python -m builders.lab up

.PHONY: lab-down
lab-down:  ## stop what the lab started
	$(PYTHON) -m builders.lab down

.PHONY: docs
docs: $(VENV)/.ready  ## write the reference pages from the code
	$(BIN)/python -m docs.generate

.PHONY: lock
lock:  ## rewrite constraints.txt from what pyproject.toml allows
	rm -rf $(VENV).lock
	$(PYTHON) -m venv $(VENV).lock
	$(VENV).lock/bin/pip install -q '.[dev]'
	$(VENV).lock/bin/pip freeze --exclude multibuild > constraints.txt
	rm -rf $(VENV).lock

.PHONY: dist
dist: $(VENV)/.ready  ## build wheel and sdist
	rm -rf dist
	$(BIN)/python -m build --no-isolation

.PHONY: clean
clean:  ## remove everything generated here (the lab keeps running: see lab-down)
	rm -rf $(VENV) $(VENV).lock dist .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help:  ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# An incomplete environment has no .ready and is made again. A machine without the venv module gets it
# from its distribution.
$(VENV)/.ready: pyproject.toml constraints.txt
	rm -rf $(VENV)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 …" >&2; exit 3; }
	$(PYTHON) -m venv $(VENV) || \
	  { [ "$$(id -u)" = 0 ] && apt-get install -qy python3-venv && $(PYTHON) -m venv $(VENV); }
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	$(BIN)/python -m compileall -q multibuild  # pip leaves an editable package out: each start would compile it anew where no cache is written
	touch $@
