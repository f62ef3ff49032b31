# The workshop. "make" alone lists what can be made.

.POSIX:
.PHONY: help demo airflow bench lint test test-distributed test-2.11 test-3.0 test-3.1 test-3.2 test-lowest test-matrix dist release-check docs \
    soak venv venv-2.11 venv-3.0 venv-3.1 venv-3.2 venv-lowest venv-bench lock clean distclean

PYTHON_3_3 = .venv/bin/python
PYTHON_2_11 = .venv-2.11/bin/python

# What pytest is told besides, for instance: make test PYTEST_ARGS="-k report -x"
PYTEST_ARGS =

# Where they have their Airflow, below .airflow; two runs at once need two such places.
TEST_HOME = test-3.3

# What the bench is told besides: make bench BENCH_ARGS=--quick for a small version.
BENCH_ARGS =

# What the soak is told besides: make soak SOAK_ARGS="--nights 5 --connections 100" for a small version.
SOAK_ARGS =

# What decides which processes are lost when, in the tests that lose some: make test-distributed SEED=7.
SEED = 1

# What is run on the Airflows between the oldest and the newest: where they differ for us. "make test-3.1 SHORT=tests" runs all.
SHORT = tests/airflow/test_provider_metadata.py tests/airflow/test_settings.py tests/airflow/test_itwin_hook.py \
    tests/airflow/run_operator \
    tests/airflow/run_sensor tests/airflow/test_run_trigger.py tests/airflow/test_import_weight.py \
    tests/airflow/test_runs_in_dags.py tests/airflow/test_connection_form.py

# With 3.1 and 3.2, pytest's own tracebacks can break Python 3.11 ("AST constructor recursion depth mismatch").
PLAIN = --tb=native

# Neither real Airflow processes nor the tools that build the package and the pages.
ELSEWHERE = -m "not system and not publishing"

help: ## list what can be made (this)
	@awk -F ':.*## ' '/^[a-z0-9.-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

demo: venv ## a night's synchronization through a real Airflow and the emulator, with its report
	@$(PYTHON_3_3) -m scripts.demo

airflow: venv ## Airflow in the browser, with the example DAGs and the emulator; Ctrl-C stops it
	@$(PYTHON_3_3) -m scripts.standalone

venv: .venv/.installed ## the environment with Airflow 3.3, .venv

venv-2.11: .venv-2.11/.installed ## the environment with Airflow 2.11, .venv-2.11

venv-3.0: .venv-3.0/.installed ## the same with Airflow 3.0, and so for venv-3.1 and venv-3.2

venv-3.1: .venv-3.1/.installed

venv-3.2: .venv-3.2/.installed

venv-lowest: .venv-lowest/.installed ## the oldest version of everything that the package itself needs

.venv/.installed: requirements/airflow-3.3.txt pyproject.toml emulator/pyproject.toml scripts/venv.sh
	sh scripts/venv.sh .venv requirements/airflow-3.3.txt 14
	touch $@

# Airflow 2.11 and 3.0 know no Python newer than 3.12, and 3.1 none newer than 3.13.
.venv-2.11/.installed: requirements/airflow-2.11.txt pyproject.toml emulator/pyproject.toml scripts/venv.sh
	sh scripts/venv.sh .venv-2.11 requirements/airflow-2.11.txt 12
	touch $@

.venv-3.0/.installed: requirements/airflow-3.0.txt pyproject.toml emulator/pyproject.toml scripts/venv.sh
	sh scripts/venv.sh .venv-3.0 requirements/airflow-3.0.txt 12
	touch $@

.venv-3.1/.installed: requirements/airflow-3.1.txt pyproject.toml emulator/pyproject.toml scripts/venv.sh
	sh scripts/venv.sh .venv-3.1 requirements/airflow-3.1.txt 13
	touch $@

.venv-3.2/.installed: requirements/airflow-3.2.txt pyproject.toml emulator/pyproject.toml scripts/venv.sh
	sh scripts/venv.sh .venv-3.2 requirements/airflow-3.2.txt 14
	touch $@

.venv-lowest/.installed: requirements/lowest.txt pyproject.toml emulator/pyproject.toml scripts/venv.sh
	sh scripts/venv.sh .venv-lowest requirements/lowest.txt 12
	touch $@

lint: venv ## style, formatting, types, and who may import whom
	$(PYTHON_3_3) -m ruff check
	$(PYTHON_3_3) -m ruff format --check
	$(PYTHON_3_3) -m mypy
	.venv/bin/lint-imports

test: venv ## all tests, on Airflow 3.3
	AIRFLOW_HOME="$$PWD/.airflow/$(TEST_HOME)" $(PYTHON_3_3) -m pytest $(PYTEST_ARGS)

test-distributed: venv ## 200 connections at once on an Airflow of many processes, of which some are killed (long; SEED=1)
	AIRFLOW_HOME="$$PWD/.airflow/test-3.3" TEST_SEED=$(SEED) TEST_NIGHT=full $(PYTHON_3_3) -m pytest tests/distributed $(PYTEST_ARGS)

test-2.11: venv-2.11 ## the tests on Airflow 2.11, without those that need processes of Airflow 3
	AIRFLOW_HOME="$$PWD/.airflow/test-2.11" $(PYTHON_2_11) -m pytest $(ELSEWHERE) $(PYTEST_ARGS)

test-3.0: venv-3.0 ## a short set of tests on Airflow 3.0, and so for test-3.1 and test-3.2
	AIRFLOW_HOME="$$PWD/.airflow/test-3.0" .venv-3.0/bin/python -m pytest $(ELSEWHERE) $(SHORT) $(PYTEST_ARGS)

test-3.1: venv-3.1
	AIRFLOW_HOME="$$PWD/.airflow/test-3.1" .venv-3.1/bin/python -m pytest $(PLAIN) $(ELSEWHERE) $(SHORT) $(PYTEST_ARGS)

test-3.2: venv-3.2
	AIRFLOW_HOME="$$PWD/.airflow/test-3.2" .venv-3.2/bin/python -m pytest $(PLAIN) $(ELSEWHERE) $(SHORT) $(PYTEST_ARGS)

test-lowest: venv-lowest ## the short set with the oldest version of everything that the package itself needs
	AIRFLOW_HOME="$$PWD/.airflow/test-lowest" .venv-lowest/bin/python -m pytest $(ELSEWHERE) $(SHORT) tests/api $(PYTEST_ARGS)

test-matrix: ## all tests on every Airflow that is supported, and with the oldest of everything (long)
	$(MAKE) test-lowest SHORT="tests/airflow"
	$(MAKE) test-2.11
	$(MAKE) test-3.0 SHORT=tests
	$(MAKE) test-3.1 SHORT=tests
	$(MAKE) test-3.2 SHORT=tests
	$(MAKE) test

dist: venv ## the package, dist/*.whl and dist/*.tar.gz, the same bytes for the same commit
	rm -rf dist
	SOURCE_DATE_EPOCH="$$(git log -1 --pretty=%ct)" .venv/bin/uv build --quiet --out-dir dist
	$(PYTHON_3_3) -m twine check --strict dist/*
	.venv/bin/check-wheel-contents dist
	ls -l dist

release-check: venv ## whether tag, version and changelog of this commit agree
	@$(PYTHON_3_3) -m scripts.release

docs: venv ## the documentation site, in site/
	NO_MKDOCS_2_WARNING=1 $(PYTHON_3_3) -m mkdocs build --strict --quiet
	@echo "Open site/index.html in a browser."

venv-bench: .venv-bench/.installed ## the environment of the bench, .venv-bench

.venv-bench/.installed: requirements/bench.txt pyproject.toml emulator/pyproject.toml scripts/venv.sh
	sh scripts/venv.sh .venv-bench requirements/bench.txt 14
	touch $@

bench: venv-bench ## what waiting costs, measured beside the floor and other providers
	AIRFLOW_HOME="$$PWD/.airflow/bench" .venv-bench/bin/python -m benchmarks $(BENCH_ARGS)

soak: venv ## a month of nights of 500 connections in simulated time: nothing twice, nothing lost, nothing grows
	$(PYTHON_3_3) -m tests.soak $(SOAK_ARGS)

lock: venv ## renew the pinned lists, requirements/*.txt
	PATH="$$PWD/.venv/bin:$$PATH" sh requirements/lock.sh

clean: ## remove what was made, except for the environments
	rm -rf .airflow build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find airflow_provider_itwin benchmarks example_dags scripts tests -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## remove the environments too
	rm -rf .venv .venv-2.11 .venv-3.0 .venv-3.1 .venv-3.2 .venv-lowest .venv-bench airflow_provider_itwin.egg-info
