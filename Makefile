# `make demo` and `make test` are all a newcomer needs. Each target installs what it needs.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: demo test acceptance lint bench dist clean

demo: $(VENV)/demo.installed
	@$(RUN) tests/demo.py

test: $(VENV)/test.installed
	$(RUN) -m pytest --cov --cov-report=term-missing

# Kerberos comes from Debian, as it does for a user of Debian: hence a venv of its own.
acceptance: .venv-acceptance/installed
	.venv-acceptance/bin/python -m pytest tests/acceptance

lint: $(VENV)/lint.installed
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy

bench: $(VENV)/demo.installed
	$(RUN) tests/bench.py

dist: $(VENV)/dist.installed
	$(RUN) -m build

clean:
	rm -rf $(VENV) .venv-acceptance build dist *.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache

DEBIAN := apache2 curl faketime gss-ntlmssp icinga2-bin krb5-admin-server krb5-kdc krb5-user \
  libapache2-mod-auth-gssapi openssl python3-cryptography python3-gssapi python3-venv

.venv-acceptance/installed: setup.cfg Makefile
	tests/acceptance/install $(DEBIAN)
	/usr/bin/python3 -m venv --system-site-packages .venv-acceptance
	.venv-acceptance/bin/python -m pip install --quiet --editable '.[ntlm]' pytest
	touch $@

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
