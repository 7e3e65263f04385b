# `make demo` and `make test` are all a newcomer needs. Each target installs what it needs.

PYTHON ?= python3
VENV := .venv
RUN := PYTHONPATH='$(CURDIR)/tests/support' $(VENV)/bin/python

.PHONY: demo generate test test-oldest acceptance fuzz mutants lint bench peers scaling measured man completion dist ready-for-dist release clean

demo: $(VENV)/demo.installed
	@$(RUN) tools/demo.py

test: $(VENV)/test.installed
	$(RUN) -m pytest --cov --cov-report=term-missing

# A thousand checks leave no processor to other tests.
CROWD := tests/acceptance/test_parallel.py

# Kerberos comes from Debian, as it does for a user of Debian: hence a venv of its own.
acceptance: .venv-acceptance/installed .venv-windows/installed
	CQD_NOTHING_SKIPPED=1 .venv-acceptance/bin/python -m pytest -rs -n 2 --dist loadfile \
	  --ignore $(CROWD) tests/acceptance
	.venv-acceptance/bin/python -m pytest $(CROWD)

# The oldest libraries that are supported: those of Debian 12, and nagiosplugin 1.3.2.
OLDEST := nagiosplugin==1.3.2 requests==2.28.1 urllib3==1.26.12 tzlocal==4.2

test-oldest:
	$(MAKE) VENV=.venv-oldest .venv-oldest/test.installed
	.venv-oldest/bin/python -m pip install --quiet $(OLDEST)
	.venv-oldest/bin/python -m pytest -W ignore

# Of each target. What the fuzzer found worth another look is kept in .fuzz for the next time.
FUZZ_SECONDS ?= 300

fuzz:
	PIP_ONLY_BINARY=atheris $(MAKE) $(VENV)/fuzz.installed || { \
	  echo 'fuzz needs a Python that atheris has a wheel for, such as 3.11:' >&2; \
	  echo 'make clean; make fuzz PYTHON=python3.11' >&2; \
	  exit 1; }
	for target in body http ntlm refused options; do \
	  $(RUN) tools/fuzz.py $$target $(FUZZ_SECONDS) || exit 1; done

lint: $(VENV)/lint.installed
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(VENV)/bin/vermin --quiet --no-tips --violations --target=3.9- check_cqd_integration packages tests tools
	$(RUN) -m mypy
	$(RUN) -m mypy --platform win32 --cache-dir .mypy_cache/win32 check_cqd_integration

# As a user installs it: an editable one would slow down every start of Python. Root can measure
# logins as well, with the laboratory of `make acceptance`, and Debian's Python for its Kerberos.
ROOT := $(filter 0,$(shell id -u))

bench: $(VENV)/test.installed dist $(if $(ROOT),.venv-acceptance/installed) measured
	$(RUN) tools/bench.py .venv-bench $(BENCH)

# Others are asked as well, where they are: CHECK_HTTP_JSON=FILE, and Debian's check_http.
peers: $(VENV)/test.installed measured
	$(RUN) tools/peers.py .venv-bench $(PEERS)

# As root: Icinga comes from Debian.
scaling: $(VENV)/test.installed .venv-acceptance/installed measured
	$(RUN) tools/scaling.py .venv-bench $(SCALING)

measured:
	test -x .venv-bench/bin/pip || $(if $(ROOT),/usr/bin/python3,$(PYTHON)) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet . check-json
	.venv-bench/bin/python -m pip install --quiet --force-reinstall --no-deps .

# Of all modules, or of some: `make mutants MODULES="cli portal/saved" JOBS=1`.
mutants: $(VENV)/mutants.installed
	$(RUN) tools/mutants.py $(if $(JOBS),--jobs $(JOBS)) $(MODULES)

# What is committed and made of something else; `make test` tells if any of it is old.
generate: $(VENV)/test.installed man completion
	$(RUN) tools/generate.py

MAN := build/man/check_cqd_integration.1

man: $(VENV)/demo.installed
	$(RUN) tools/man.py $(MAN)

completion: $(VENV)/completion.installed
	$(RUN) tools/completion.py build/completion

DIST ?= dist

# The manual page, which goes into packages, is as old as the commit.
dist: export SOURCE_DATE_EPOCH = $(shell git log -1 --format=%ct 2>/dev/null)
dist: ready-for-dist $(VENV)/dist.installed man completion
	$(RUN) packages/dist.py $(DIST)
	$(RUN) -m twine check --strict $(DIST)/*.whl $(DIST)/*.tar.gz

# Before anything else, so that one line brings all. SKIP=1 builds what is possible without.
ready-for-dist:
	@missing="$$(PYTHON='$(PYTHON)' packages/missing python $(if $(SKIP),,deb rpm) | xargs)"; \
	if [ "$$missing" ]; then \
	  echo "make dist needs, as root: apt install --no-install-recommends $$missing" >&2; \
	  $(if $(SKIP),,echo 'or, without packages for Debian and Red Hat: make dist SKIP=1' >&2;) \
	  exit 1; \
	fi

# It measures the single file alone.
bench: SKIP := 1

# Says what does not agree yet, or what to do next.
release: man
	@$(RUN) tools/release.py $(MAN)

clean:
	rm -rf $(VENV) .venv-* build dist *.egg-info .coverage .fuzz .hypothesis .mypy_cache .pytest_cache .ruff_cache

DEBIAN := apache2 curl faketime gss-ntlmssp krb5-admin-server krb5-kdc krb5-user \
  libapache2-mod-auth-gssapi openssl python3-cryptography python3-gssapi python3-venv \
  icinga2-bin mariadb-server icingacli icingaweb2 icingaweb2-module-director php-mysql \
  icingadb icingadb-web redis-server chromium \
  influxdb graphite-carbon graphite-web icingaweb2-module-graphite \
  nagios4-core monitoring-plugins-basic nagios-nrpe-server nagios-nrpe-plugin \
  libmonitoring-plugin-perl iproute2 procps \
  ldb-tools samba samba-ad-dc samba-ad-provision winbind \
  fish man-db mandoc zsh \
  debhelper dh-python dpkg-dev git lintian mmdebstrap pipx \
  gcc libkrb5-dev rpm rpmlint

.venv-acceptance/installed: setup.cfg Makefile
	tests/acceptance/install $(DEBIAN)
	/usr/bin/python3 -m venv --system-site-packages .venv-acceptance
	.venv-acceptance/bin/python -m pip install --quiet --editable '.[completion]' pytest pytest-xdist trustme
	touch $@

# A Windows to run the plugin in, by Wine: 200 MB to fetch, 2 GB on the disk.
.venv-windows/installed: setup.cfg tests/acceptance/install_windows | .venv-acceptance/installed
	tests/acceptance/install_windows .venv-windows .venv-acceptance/bin/python
	touch $@

# The pip of Debian 11 (20.3) is too old for --editable without a setup.py.
$(VENV)/demo.installed: setup.cfg | $(VENV)/bin/pip
	$(RUN) -m pip install --quiet 'pip >= 21.3'
	$(RUN) -m pip install --quiet --editable .
	touch $@

$(VENV)/%.installed: setup.cfg | $(VENV)/bin/pip
	$(RUN) -m pip install --quiet 'pip >= 21.3'
	$(RUN) -m pip install --quiet --editable '.[$*]'
	touch $@

# Debian keeps venv in a package of its own, which only root can install.
$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); \
	  echo 'installing python3-venv'; \
	  apt-get update -q && apt-get install -qy --no-install-recommends python3-venv && \
	  $(PYTHON) -m venv $(VENV); }
