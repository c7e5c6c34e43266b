# Parley, one command each; `make` alone lists them. Settings are variables: make run GATEWAY_PORT=9090
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
export PYTHON
VENV := .venv
PY := $(VENV)/bin/python
RUN_DIR ?= .run
UV_VERSION := 0.13.9

.PHONY: help run demo token test test-containers prove-cluster lint docs chaos ctl bench-lists bench-pages lock venv ready browser clean

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

run: ready ## Everything for real on this machine, until Ctrl-C (RUN_DIR, GATEWAY_PORT, MAIL_DELAY, …)
	@exec $(PY) -m deploy.local

demo: venv ## A shop, a customer and a seller use the running stack, or the compose one (ORDERS=file.jsonl)
	@if [ -z "$${GATEWAY_URL:-}" ] && [ ! -e $(RUN_DIR)/state.json ] && docker compose ps -q gateway 2>/dev/null | grep -q .; \
	then exec $(PY) -m deploy.containers.demo; else exec $(PY) -m deploy.local.demo; fi

token: venv ## A bearer token: ROLE=customer|seller|admin|service ID=…, or ROLE=guest ORDER=…
	@$(PY) -m deploy.local.tokens

test: ready browser lint ## Everything that a change must pass (ARGS= for pytest)
	$(PY) -m pytest $(ARGS)

lint: venv ## Style, types, and which part may import which
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports

docs: venv ## The generated documents anew, from the code: contracts, settings, dashboard
	@$(PY) -m deploy.asyncapi >docs/.new && mv docs/.new docs/asyncapi.yaml
	@$(PY) -m services.gateway.openapi >docs/.new && mv docs/.new docs/openapi.yaml
	@$(PY) -m deploy.settings_table
	@$(PY) -m deploy.dashboard >docs/.new && mv docs/.new deploy/grafana/dashboards/parley.json

test-containers: venv ## The same suites against containers: RABBITMQ_IMAGE, MONGO_IMAGE, PYTHON_IMAGE; needs Docker
	TEST_CONTAINERS=1 $(PY) -m pytest tests/containers
	TEST_SERVERS=containers TESTCONTAINERS_RYUK_DISABLED=true $(PY) -m pytest tests/integration tests/e2e tests/contracts tests/operations

prove-cluster: venv ## Every node and replica of the cluster killed once under load; needs Docker
	TEST_CONTAINERS=1 TEST_CLUSTER=1 $(PY) -m pytest tests/containers/test_cluster.py -s

bench-pages: ready browser ## Bytes, requests and the time to the first conversation, in Chromium
	@$(PY) -m bench.pages

chaos: ready ## Load and faults, then an audit of every promise (DURATION_S=120 SEED= FAULTS= RATE=)
	@$(PY) -m tests.chaos

ctl: venv ## The operator's tool on the running stack: make ctl DO="dead list" (trace ID, audit, rebuild, mails list, …)
	@$(PY) -m deploy.ctl $(DO)

bench-lists: ready ## First pages and badges at 10^3 and at 10^6 threads
	@$(PY) -m bench.lists

lock: ## The pinned requirements anew, from requirements/*.in
	@test -x .run/tools/uv/bin/uv || $(PYTHON) -m venv .run/tools/uv
	@.run/tools/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	for name in runtime dev; do \
	  .run/tools/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --output-file requirements/$$name.txt requirements/$$name.in; \
	done

venv: ## The Python packages, in .venv
	@deploy/local/bootstrap.sh python

ready:
	@deploy/local/bootstrap.sh python servers

browser:
	@deploy/local/bootstrap.sh browser

clean: ## Deletes the local stack's data (not what was fetched)
	@mkdir -p $(RUN_DIR)
	@flock --nonblock $(RUN_DIR)/lock true || { echo "make clean: the stack runs; stop it first" >&2; exit 1; }
	@rm -rf $(addprefix $(RUN_DIR)/,rabbitmq mongo mail log processes secrets state.json lock)
