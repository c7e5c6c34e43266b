# Parley, one command each; `make` alone lists them. Settings are variables: make run GATEWAY_PORT=9090
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
export PYTHON
VENV := .venv
PY := $(VENV)/bin/python
RUN_DIR ?= .run
# How many tests run beside each other in `make test`, each with servers of its own: auto is one more than there are processors.
TEST_WORKERS ?= auto
UV_VERSION := 0.13.9

.PHONY: help run demo token test unit test-containers prove-cluster prove-alerts prove lint docs chaos fuzz audit ctl bench load bench-lists bench-pages lock venv ready browser prometheus node clean grid prove-recovery prove-rolling faults chaos-self-test prove-poison prove-fairness prove-tabs pages

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

run: ready ## Everything for real on this machine, until Ctrl-C (RUN_DIR, GATEWAY_PORT, MAIL_DELAY, …)
	@exec $(PY) -m deploy.local

demo: venv ## Customers, the shop's staff and a seller use the running stack, or the compose one (ORDERS=file.jsonl), or SEED=40: forty conversations to look at
	@if [ -z "$${GATEWAY_URL:-}" ] && [ ! -e $(RUN_DIR)/state.json ] && docker compose ps -q gateway 2>/dev/null | grep -q .; \
	then exec $(PY) -m deploy.containers.demo; else exec $(PY) -m deploy.local.demo; fi

token: venv ## A bearer token: ROLE=customer|seller|admin|service ID=…, or ROLE=guest ORDER=…
	@$(PY) -m deploy.local.tokens

test: ready browser prometheus faults node ## Everything that a change must pass: style, types, every test (ARGS= for pytest: only what it names)
	$(PY) -m pytest $(or $(ARGS),--numprocesses=$(TEST_WORKERS))

unit: venv ## The tests that need no server, in seconds
	$(PY) -m pytest --numprocesses=$(TEST_WORKERS) tests/unit tests/contracts

lint: venv ## Style, types, and which part may import which
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports

pages: node ## The pages' and the widget's scripts and styles anew, from services/gateway/pages into its folder built/
	@node deploy/pages/build.mjs

docs: venv ## The generated documents anew, from the code: contracts, settings, dashboard
	@$(PY) -m deploy.asyncapi >docs/.new && mv docs/.new docs/asyncapi.yaml
	@$(PY) -m deploy.asyncapi shop >docs/.new && mv docs/.new docs/asyncapi-shop.yaml
	@$(PY) -m deploy.openapi >docs/.new && mv docs/.new docs/openapi.yaml
	@$(PY) -m deploy.invisible >docs/.new && mv docs/.new services/gateway/pages/invisible.js
	@$(PY) -m deploy.settings_table
	@$(PY) -m deploy.dashboard >docs/.new && mv docs/.new deploy/grafana/dashboards/parley.json
	@$(PY) -m deploy.sbom >docs/.new && mv docs/.new docs/sbom.json

test-containers: venv ## The same suites against containers: RABBITMQ_IMAGE, MONGO_IMAGE, PYTHON_IMAGE; needs Docker
	TEST_CONTAINERS=1 $(PY) -m pytest tests/containers
	TEST_SERVERS=containers TESTCONTAINERS_RYUK_DISABLED=true $(PY) -m pytest tests/integration tests/e2e tests/contracts tests/operations

prove-cluster: venv ## Every node and replica of the cluster killed once under load; needs Docker
	TEST_CONTAINERS=1 TEST_CLUSTER=1 $(PY) -m pytest tests/containers/test_cluster.py -s

prove-alerts: ready prometheus ## Every alert rule rings once on a made fault, in a Prometheus that watches real services
	PROVE_ALERTS=1 $(PY) -m pytest tests/operations/test_alerts_at_work.py -q -s

prove: ready browser prometheus ## The long proofs in turn, each into docs/proofs/NAME.txt (ONLY="chaos alerts"); hours
	@.ci/prove $(ONLY)

bench-pages: ready browser ## Bytes, requests and the time to the first conversation, in Chromium
	@$(PY) -m bench.pages

chaos: ready faults ## Load and faults, then an audit of every promise (DURATION_S=120 SEED= FAULTS= RATE=)
	@$(PY) -m tests.chaos

fuzz: venv ## A million hostile inputs to every parser of outside bytes (FUZZ_INPUTS= SEED=)
	@$(PY) -m tests.fuzz

audit: venv ## Packages and code: bandit, pinned and hashed, known weaknesses, licences, bill of materials
	@$(PY) -m deploy.audit
	@$(PY) -m pytest -q tests/security/test_packages.py

grid: ready ## Every named point of threads and notifier × kill -9, SIGTERM, SIGSTOP, exception, defect: a table (ONLY="inserted")
	@$(PY) -m tests.grid

prove-recovery: ready faults ## Each fault of the infrastructure once: the longest silence, and how soon all works again (FAULTS="amqp-stall")
	@$(PY) -m tests.chaos.recovery $(FAULTS)

prove-rolling: ready ## Every service restarted 20 times under load, one process at a time: no failed post, no doubled mail (ROUNDS=)
	@$(PY) -m tests.chaos.rolling

chaos-self-test: ready ## The audit is audited: seeded defects, each to be caught (ONLY="fence")
	@$(PY) -m tests.chaos.self_test

prove-poison: ready ## 10,000 commands, of which 3 crash the process; and 1 in 200 that meets a defect
	@$(PY) -m tests.poison

prove-fairness: ready ## One person makes all the noise that they are let: how long others' posts take, what is kept, whose mails wait (DURATION_S=30 INBOX=20000 NOISES="steps")
	@$(PY) -m bench.fairness

prove-tabs: ready browser ## Two and three tabs and the widget send at once, over slow and failing posts, reloads, closings: 1,000 messages, none lost (ONLY="reload" SEED=)
	@$(PY) -m tests.tabs

ctl: venv ## The operator's tool on the running stack: make ctl DO="dead list" (trace ID, audit, rebuild, mails list, …)
	@$(PY) -m deploy.ctl $(DO)

bench: ready ## Every figure beside its baseline, in turns in one run, into docs/benchmarks.md (ONLY="gateway threads")
	@$(PY) -m bench $(ONLY)

load: ready ## Open-loop load on a stack of its own, or on GATEWAY_URL: a table, a plot, the top rate (RATE= DURATION_S= PLOT=)
	@$(PY) -m bench.load

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

prometheus:
	@deploy/local/bootstrap.sh prometheus

faults:
	@deploy/local/bootstrap.sh faults

node:
	@deploy/local/bootstrap.sh node

clean: ## Deletes the local stack's data (not what was fetched)
	@mkdir -p $(RUN_DIR)
	@flock --nonblock $(RUN_DIR)/lock true || { echo "make clean: the stack runs; stop it first" >&2; exit 1; }
	@rm -rf $(addprefix $(RUN_DIR)/,rabbitmq mongo mail log processes secrets state.json lock)
