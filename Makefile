# make run    set up .venv and train recipes/gradnorm_blind.yaml; flags through ARGS="..."
# make test   set up .venv and run every check; pages are tested where Chromium is on PATH
# make docs   set up .venv and build the documentation into site/; broken links are errors
# make bench  set up .venv and measure mtctl against its peers
# Needs python3 >= 3.11, git and make. Another interpreter: make run PYTHON=python3.13
PYTHON ?= python3
RECIPE ?= recipes/gradnorm_blind.yaml
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
RECENT := import sys; sys.exit(sys.version_info < (3, 11))

.PHONY: run test lint docs bench clean

run: $(VENV)/.run
	$(BIN)/mtctl train $(RECIPE) $(ARGS)

test: lint
	$(BIN)/python -m pytest -n 2 $(ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "open site/index.html"

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks.learner $(ARGS)
	$(BIN)/python -m benchmarks.networks
	$(BIN)/python -m benchmarks.peers
	$(BIN)/python -m benchmarks.agreement
	$(BIN)/python -m benchmarks.monitor
	$(BIN)/python -m benchmarks.loop_monitor
	$(BIN)/python -m benchmarks.comparison
	$(BIN)/python -m benchmarks.report
	$(BIN)/python -m benchmarks.hybrid_environments

clean:
	rm -rf $(VENV) site build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The stamps say what is installed, so that a second call does not install again. An install that was cut off leaves
# `.unfinished` behind, and the next one starts from an empty environment: pip does not repair half a package.
define install
@$(PYTHON) -c '$(RECENT)' || { echo "error: mtctl needs Python 3.11 or newer, and \`$(PYTHON)\` is not:" \
	"name another one, for example make $(MAKECMDGOALS) PYTHON=python3.13" >&2; exit 1; }
@if [ -e $(VENV)/.unfinished ] || ! $(BIN)/python -c 'import pip; $(RECENT)' 2>/dev/null; then \
	rm -rf $(VENV) && $(PYTHON) -m venv $(VENV); fi
@echo "installing $(1) into $(VENV) (once; torch is large)"
@touch $(VENV)/.unfinished
@$(PIP) install -c constraints.txt hatchling setuptools
@$(PIP) install -c constraints.txt --no-build-isolation -e '$(1)'
@rm $(VENV)/.unfinished
endef

$(VENV)/.run: pyproject.toml constraints.txt
	$(call install,.)
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt
	$(call install,.[test])
	@touch $(VENV)/.run $@

$(VENV)/.docs: pyproject.toml constraints.txt
	$(call install,.[docs])
	@touch $(VENV)/.run $@
