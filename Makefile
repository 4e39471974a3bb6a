# Everything that a person or a CI job does with this repo. `make` lists it.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON := .venv/bin/python
STAMP := .venv/.installed
PYTEST := $(PYTHON) -m pytest
# Quick tests wait a good part of their time. Those with real parts compute: an Airflow a worker.
QUICK_WORKERS ?= 3
WORKERS ?= 2

.PHONY: help
help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "make %-14s %s\n", $$1, $$2}'

.PHONY: env
env: $(STAMP) ## make the environment .venv from the lock file

$(STAMP): pyproject.toml requirements.lock tools/make_venv.sh
	@tools/make_venv.sh

.PHONY: demo
demo: $(STAMP) ## run a real plan in a real Airflow and follow it; Ctrl-C ends everything
	@DIE_WITH_PARENT=1 exec $(PYTHON) -m planner_provider.localstack.demo

.PHONY: check
check: $(STAMP) frontend-check ## lint, format, types, layers, the example specs, and the Plans page
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	.venv/bin/lint-imports --no-cache
	.venv/bin/planner lint plan_specs

.PHONY: test
test: $(STAMP) system-packages ## the whole test suite: the quick tests, then those with real parts
	@status=0; \
	$(PYTEST) -n $(QUICK_WORKERS) -m 'not e2e and not soak' || status=$$?; \
	$(PYTEST) -n $(WORKERS) --dist loadfile -m 'e2e and not soak' || status=$$?; \
	exit $$status

.PHONY: test-fast
test-fast: $(STAMP) ## only the quick tests
	$(PYTEST) -n $(QUICK_WORKERS) -m 'not e2e and not soak'

.PHONY: soak
soak: $(STAMP) system-packages ## long fault and load runs, which `make test` leaves out
	$(PYTEST) -m soak

.PHONY: bench
bench: $(STAMP) ## measure compiling against hand-written DAGs and other tools
	$(PYTHON) -m bench compile

.PHONY: frontend
frontend: ## build the Plans page from frontend/ (Node.js 20.19 or newer)
	@tools/frontend.sh build

.PHONY: frontend-check
frontend-check: ## check the Plans page: types, unit tests, and that what is committed is its build
	@tools/frontend.sh check

.PHONY: system-packages
system-packages:
	@tools/system_packages.sh

.PHONY: lock
lock: ## resolve the dependencies again; UPGRADE=1 takes newer versions
	@tools/make_lock.sh

.PHONY: compose-env
compose-env: ## write .env with random secrets for docker compose
	@tools/make_env.sh

.PHONY: clean
clean: ## delete what these targets made, apart from .venv and .env
	rm -rf .demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	find . -name .venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## clean, and delete .venv and what npm installed
	rm -rf .venv frontend/node_modules
