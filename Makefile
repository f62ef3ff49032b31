# The workshop. "make" alone lists what can be made.

.POSIX:
.PHONY: help demo airflow bench venv venv-2.11 venv-bench lint test test-2.11 clean distclean

PYTHON_3_3 = .venv/bin/python
PYTHON_2_11 = .venv-2.11/bin/python

# What pytest is told besides, for instance: make test PYTEST_ARGS="-k report -x"
PYTEST_ARGS =

# What the bench is told besides: make bench BENCH_ARGS=--quick for a small version.
BENCH_ARGS =

help: ## list what can be made (this)
	@awk -F ':.*## ' '/^[a-z0-9.-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

demo: venv ## a night's synchronization through a real Airflow and the emulator, with its report
	@$(PYTHON_3_3) -m scripts.demo

airflow: venv ## Airflow in the browser, with the example DAGs and the emulator; Ctrl-C stops it
	@$(PYTHON_3_3) -m scripts.standalone

venv: .venv/.installed ## the environment with Airflow 3.3, .venv

venv-2.11: .venv-2.11/.installed ## the environment with Airflow 2.11, .venv-2.11

.venv/.installed: requirements/airflow-3.3.txt pyproject.toml setup.cfg scripts/venv.sh
	sh scripts/venv.sh .venv requirements/airflow-3.3.txt 14
	touch $@

# Airflow 2.11 knows no Python newer than 3.12.
.venv-2.11/.installed: requirements/airflow-2.11.txt pyproject.toml setup.cfg scripts/venv.sh
	sh scripts/venv.sh .venv-2.11 requirements/airflow-2.11.txt 12
	touch $@

lint: venv ## style, formatting, types, and who may import whom
	$(PYTHON_3_3) -m ruff check
	$(PYTHON_3_3) -m ruff format --check
	$(PYTHON_3_3) -m mypy
	.venv/bin/lint-imports

test: venv ## all tests, on Airflow 3.3
	AIRFLOW_HOME="$$PWD/.airflow/test-3.3" $(PYTHON_3_3) -m pytest $(PYTEST_ARGS)

test-2.11: venv-2.11 ## the tests on Airflow 2.11, without those that need processes of Airflow 3
	AIRFLOW_HOME="$$PWD/.airflow/test-2.11" $(PYTHON_2_11) -m pytest -m "not system" $(PYTEST_ARGS)

venv-bench: .venv-bench/.installed ## the environment of the bench, .venv-bench

.venv-bench/.installed: requirements/bench.txt pyproject.toml setup.cfg scripts/venv.sh
	sh scripts/venv.sh .venv-bench requirements/bench.txt 14
	touch $@

bench: venv-bench ## what waiting costs, measured beside the floor and other providers
	AIRFLOW_HOME="$$PWD/.airflow/bench" .venv-bench/bin/python -m benchmarks $(BENCH_ARGS)

clean: ## remove what was made, except for the environments
	rm -rf .airflow build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find airflow_provider_itwin benchmarks example_dags scripts tests -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## remove the environments too
	rm -rf .venv .venv-2.11 .venv-bench airflow_provider_itwin.egg-info
