# "make" alone lists the targets.

.POSIX:
.PHONY: help demo airflow bench lint test test-distributed test-2.11 test-3.0 test-3.1 test-3.2 test-3.4 test-lowest \
    test-browser-3.1 test-browser-3.2 test-browser-3.4 test-matrix dist release-check release-files docs \
    soak venv venv-2.11 venv-3.0 venv-3.1 venv-3.2 venv-3.4 venv-lowest venv-bench lock clean distclean

PYTHON_3_3 = .venv/bin/python
PYTHON_2_11 = .venv-2.11/bin/python

# Additional arguments for pytest, for example: make test PYTEST_ARGS="-k report -x"
PYTEST_ARGS =

# The Airflow home of the tests, below .airflow. Two simultaneous test runs need different homes.
TEST_HOME = test-3.3

# Additional arguments for the benchmark: make bench BENCH_ARGS=--quick runs a small version.
BENCH_ARGS =

# Additional arguments for the soak test: make soak SOAK_ARGS="--nights 5 --connections 100" runs a small version.
SOAK_ARGS =

# Random seed for the processes that the distributed tests kill: make test-distributed SEED=7.
SEED = 1

# The short set of tests for Airflow versions between the oldest and the newest. "make test-3.1 SHORT=tests" runs all tests.
SHORT = tests/airflow/test_provider_metadata.py tests/airflow/hooks/test_settings.py tests/airflow/hooks/test_itwin_hook.py \
    tests/airflow/operators \
    tests/airflow/sensors tests/airflow/triggers/test_run_trigger.py tests/airflow/test_import_weight.py \
    tests/airflow/test_runs_in_dags.py tests/airflow/test_jobs_in_dags.py tests/airflow/hooks/test_connection_form.py \
    --ignore=tests/airflow/operators/test_upload_crashes.py --ignore=tests/airflow/operators/test_upload_names.py \
    --ignore=tests/airflow/operators/test_upload_together.py

# What Airflow 3.4 changes: asset events, one task instance for each attempt, and the tables of XComs and rendered fields.
SINCE_3_4 = tests/airflow/test_version_compat.py tests/airflow/test_assets.py tests/airflow/triggers tests/airflow/plugin

# On Airflow 3.1 and 3.2, pytest's own tracebacks can crash Python 3.11 ("AST constructor recursion depth mismatch").
PLAIN = --tb=native

# In the browser, what each Airflow draws and answers differently: connection form, tab, links, page iTwin.
BROWSER = -m every_airflow tests/browser

# Without tests that need real Airflow processes or the tools that build the package and the pages.
ELSEWHERE = -m "not system and not publishing"

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9.-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

demo: venv ## run two whole nights in a private Airflow with the emulator, from files to delivered exports
	@$(PYTHON_3_3) -m scripts.demo

airflow: venv ## Airflow in the browser, with the example DAGs and the emulator; stop with Ctrl-C
	@$(PYTHON_3_3) -m scripts.standalone

venv: .venv/.installed ## create the environment with Airflow 3.3 (.venv)

venv-2.11: .venv-2.11/.installed ## create the environment with Airflow 2.11 (.venv-2.11)

venv-3.0: .venv-3.0/.installed ## the same with Airflow 3.0; also venv-3.1, venv-3.2 and venv-3.4

venv-3.1: .venv-3.1/.installed

venv-3.2: .venv-3.2/.installed

venv-3.4: .venv-3.4/.installed

venv-lowest: .venv-lowest/.installed ## create the environment with the oldest supported dependencies

.venv/.installed: requirements/airflow-3.3.txt pyproject.toml emulator/pyproject.toml scripts/venv.sh
	sh scripts/venv.sh .venv requirements/airflow-3.3.txt 14
	touch $@

# Airflow 2.11 and 3.0 support Python up to 3.12, Airflow 3.1 up to 3.13.
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

.venv-3.4/.installed: requirements/airflow-3.4.txt pyproject.toml emulator/pyproject.toml scripts/venv.sh
	sh scripts/venv.sh .venv-3.4 requirements/airflow-3.4.txt 14
	touch $@

.venv-lowest/.installed: requirements/lowest.txt pyproject.toml emulator/pyproject.toml scripts/venv.sh
	sh scripts/venv.sh .venv-lowest requirements/lowest.txt 12
	touch $@

lint: venv ## check style, formatting, types, import rules and .github
	$(PYTHON_3_3) -m ruff check
	$(PYTHON_3_3) -m ruff format --check
	$(PYTHON_3_3) -m mypy
	.venv/bin/lint-imports
	PATH="$$PWD/.venv/bin:$$PATH" sh scripts/lint_github.sh

test: venv ## run all tests on Airflow 3.3
	AIRFLOW_HOME="$$PWD/.airflow/$(TEST_HOME)" $(PYTHON_3_3) -m pytest $(PYTEST_ARGS)

test-distributed: venv ## 200 connections at once on a distributed Airflow whose processes are killed (slow; SEED=1)
	AIRFLOW_HOME="$$PWD/.airflow/test-3.3" TEST_SEED=$(SEED) TEST_NIGHT=full $(PYTHON_3_3) -m pytest tests/distributed $(PYTEST_ARGS)

test-2.11: venv-2.11 ## run the tests on Airflow 2.11, except those with processes of Airflow 3
	AIRFLOW_HOME="$$PWD/.airflow/test-2.11" $(PYTHON_2_11) -m pytest $(ELSEWHERE) $(PYTEST_ARGS)

test-3.0: venv-3.0 ## run a short set of tests on Airflow 3.0; also test-3.1, test-3.2 and test-3.4
	AIRFLOW_HOME="$$PWD/.airflow/test-3.0" .venv-3.0/bin/python -m pytest $(ELSEWHERE) $(SHORT) $(PYTEST_ARGS)

test-3.1: venv-3.1
	AIRFLOW_HOME="$$PWD/.airflow/test-3.1" .venv-3.1/bin/python -m pytest $(PLAIN) $(ELSEWHERE) $(SHORT) $(PYTEST_ARGS)

test-3.2: venv-3.2
	AIRFLOW_HOME="$$PWD/.airflow/test-3.2" .venv-3.2/bin/python -m pytest $(PLAIN) $(ELSEWHERE) $(SHORT) $(PYTEST_ARGS)

test-3.4: venv-3.4
	AIRFLOW_HOME="$$PWD/.airflow/test-3.4" .venv-3.4/bin/python -m pytest $(ELSEWHERE) $(SHORT) $(SINCE_3_4) $(PYTEST_ARGS)

test-browser-3.1: venv-3.1 ## run a short set of browser tests on Airflow 3.1; also test-browser-3.2 and test-browser-3.4
	AIRFLOW_HOME="$$PWD/.airflow/test-3.1" .venv-3.1/bin/python -m pytest $(PLAIN) $(BROWSER) $(PYTEST_ARGS)

test-browser-3.2: venv-3.2
	AIRFLOW_HOME="$$PWD/.airflow/test-3.2" .venv-3.2/bin/python -m pytest $(PLAIN) $(BROWSER) $(PYTEST_ARGS)

test-browser-3.4: venv-3.4
	AIRFLOW_HOME="$$PWD/.airflow/test-3.4" .venv-3.4/bin/python -m pytest $(BROWSER) $(PYTEST_ARGS)

test-lowest: venv-lowest ## run the short set with the oldest supported dependencies
	AIRFLOW_HOME="$$PWD/.airflow/test-lowest" .venv-lowest/bin/python -m pytest $(ELSEWHERE) $(SHORT) tests/api emulator/tests $(PYTEST_ARGS)

test-matrix: ## run all tests on every supported Airflow, and with the oldest dependencies (slow)
	$(MAKE) test-lowest SHORT="tests/airflow"
	$(MAKE) test-2.11
	$(MAKE) test-3.0 SHORT=tests
	$(MAKE) test-3.1 SHORT=tests
	$(MAKE) test-3.2 SHORT=tests
	$(MAKE) test-3.4 SHORT=tests SINCE_3_4=
	$(MAKE) test-browser-3.1 test-browser-3.2 test-browser-3.4
	$(MAKE) test

dist: venv ## build the package in dist/ (reproducible for each commit)
	rm -rf dist
	SOURCE_DATE_EPOCH="$$(git log -1 --pretty=%ct)" .venv/bin/uv build --quiet --out-dir dist
	SOURCE_DATE_EPOCH="$$(git log -1 --pretty=%ct)" .venv/bin/uv build --quiet --out-dir dist emulator
	$(PYTHON_3_3) -m twine check --strict dist/*
	.venv/bin/check-wheel-contents dist
	ls -l dist

release-check: venv ## check that tag, version and changelog of this commit agree
	@$(PYTHON_3_3) -m scripts.release

release-files: dist ## build the package, and write bills of materials, checksums and notes to release/
	$(PYTHON_3_3) -m scripts.release_files

docs: venv ## build the documentation site in site/
	AIRFLOW_HOME="$$PWD/.airflow/docs" NO_MKDOCS_2_WARNING=1 $(PYTHON_3_3) -m mkdocs build --strict --quiet
	@echo "Open site/index.html in a browser."

venv-bench: .venv-bench/.installed ## create the environment of the benchmark (.venv-bench)

.venv-bench/.installed: requirements/bench.txt pyproject.toml emulator/pyproject.toml scripts/venv.sh
	sh scripts/venv.sh .venv-bench requirements/bench.txt 14
	touch $@

bench: venv-bench ## measure the cost of waiting, compared with a minimal loop and other providers
	AIRFLOW_HOME="$$PWD/.airflow/bench" .venv-bench/bin/python -m benchmarks $(BENCH_ARGS)

soak: venv ## simulate a month of nights with 500 connections: no run twice, no run lost, no leak
	$(PYTHON_3_3) -m tests.soak $(SOAK_ARGS)

lock: venv ## update the pinned dependencies in requirements/*.txt
	PATH="$$PWD/.venv/bin:$$PATH" sh requirements/lock.sh

clean: ## remove all generated files except the environments
	rm -rf .airflow build dist release site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find airflow_provider_itwin benchmarks emulator example_dags scripts tests -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## also remove the environments
	rm -rf .venv .venv-2.11 .venv-3.0 .venv-3.1 .venv-3.2 .venv-3.4 .venv-lowest .venv-bench airflow_provider_itwin.egg-info
