# `make demo` and `make test` are all a newcomer needs. Each target installs what it needs.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: demo test lint bench dist clean

demo: $(VENV)/demo.installed
	@$(RUN) tests/demo.py

test: $(VENV)/test.installed
	$(RUN) -m pytest --cov --cov-report=term-missing

lint: $(VENV)/lint.installed
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy

bench: $(VENV)/demo.installed
	$(RUN) tests/bench.py

dist: $(VENV)/dist.installed
	$(RUN) -m build

clean:
	rm -rf $(VENV) build dist *.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(VENV)/demo.installed: setup.cfg | $(VENV)/bin/pip
	$(RUN) -m pip install --quiet --editable .
	touch $@

$(VENV)/%.installed: setup.cfg | $(VENV)/bin/pip
	$(RUN) -m pip install --quiet --editable '.[$*]'
	touch $@

# Debian keeps venv in a package of its own, which only root can install.
$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); \
	  echo 'installing python3-venv'; \
	  apt-get update -q && apt-get install -qy --no-install-recommends python3-venv && \
	  $(PYTHON) -m venv $(VENV); }
