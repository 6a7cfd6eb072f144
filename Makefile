# The words people type. Each does the set-up first; when nothing has changed that takes a moment.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
PROMTOOL ?= promtool
# The use cases of the committed docker-compose.yml.
EXAMPLES := --use-case credit_score --use-case titanic
PYTEST := $(BIN)/python -m pytest
BY_FILE := --dist loadfile --no-loadscope-reorder
# Whole stacks at a time: a file of tests/e2e has a stack of its own, of 2-3 GB and with ports of its own. Two where
# 12 GB are available; where that cannot be read, one.
STACKS ?= $(shell { cat /proc/meminfo; sed 's/^/Limit: /' /sys/fs/cgroup/memory.max; } 2>/dev/null | awk \
	'/^MemAvailable:/ { free = $$2 * 1024 } /^Limit: [0-9]/ { limit = $$2 } \
	END { if (limit && limit < free) free = limit; print (free >= 12 * 2^30) ? 2 : 1 }')

.PHONY: env help setup demo up down status test lint format bench bench-train bench-store bench-serving bench-monitor bench-peers chaos fuzz load measure-house compose kubernetes lock lint-alerts

help: ## What there is
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## System packages, .venv and the locked Python packages
	@PYTHON="$(PYTHON)" scripts/setup.sh

demo: setup ## The whole loop on credit_score: train, serve, drift, retrain (a few minutes)
	@$(BIN)/evergreen demo credit_score

up: setup ## Start the platform in the background
	@$(BIN)/evergreen up

down: setup ## Stop it; data stay in .evergreen/
	@$(BIN)/evergreen down

status: setup ## Every process and every use case
	@$(BIN)/evergreen status

# Two at a time, a file at a time: a file's tests share one MariaDB, or one stack. The order of the files is that
# of tests/conftest.py, which puts the long ones first. The whole-stack tests then have the machine for
# themselves. Tests start hundreds of processes: each would compile the package again if Python might not keep
# what it compiled. pytest exits with 5 when it finds no test, which fails here too.
test: export PYTHONDONTWRITEBYTECODE =
test: setup ## Every test: unit, integration on real servers, the whole stack
	@$(PYTEST) -q -m "not e2e" -n 2 $(BY_FILE) $(ARGS)
	@$(PYTEST) -q -m e2e -n $(STACKS) $(BY_FILE) tests/e2e $(ARGS)

env: ## Write .env with fresh secrets, for docker compose
	@scripts/new-env.sh

lint: setup ## ruff, mypy (strict, also benchmarks and load tests), import-linter, compose and CI files, alert rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/evergreen deploy compose --check $(EXAMPLES) >/dev/null || { echo "make compose writes docker-compose.yml anew"; exit 1; }
	@$(BIN)/evergreen deploy kubernetes --check $(EXAMPLES) >/dev/null || { echo "make kubernetes writes deploy/kubernetes/ anew"; exit 1; }
	@$(BIN)/kubernetes-validate --strict --quiet deploy/kubernetes/platform.yaml deploy/kubernetes/service-*.yaml
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/ci.yml
	@$(MAKE) --no-print-directory lint-alerts

lint-alerts: ## Prometheus' configuration, alert rules and their tests, where promtool is (Debian: the package prometheus)
	@if command -v $(PROMTOOL) >/dev/null; then \
		$(PROMTOOL) check config --syntax-only deploy/prometheus/prometheus.yml && \
		$(PROMTOOL) check rules deploy/prometheus/rules/*.yml && \
		$(PROMTOOL) test rules deploy/prometheus/tests/*.yml; \
	else echo "alert rules are not checked: there is no $(PROMTOOL) here (Debian: the package prometheus)"; fi

format: setup ## Let ruff put the code in order
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup ## The three below with --quick: a look, no judgement (minutes)
	@$(BIN)/python -m benchmarks.training --quick
	@$(BIN)/python -m benchmarks.store --quick
	@$(BIN)/python -m benchmarks.serving --quick

bench-train: setup ## How good models are and how fast they are made (some minutes); ARGS=--quick
	@$(BIN)/python -m benchmarks.training $(ARGS)

bench-store: setup ## How fast the feature store is, on a MariaDB of its own (some minutes); ARGS=--quick
	@$(BIN)/python -m benchmarks.store $(ARGS)

bench-serving: setup ## How fast serving is, beside others' ways (twenty minutes); ARGS=--quick or --soak
	@$(BIN)/python -m benchmarks.serving $(ARGS)

bench-monitor: setup ## How well drift is told from chance and what monitoring costs; ARGS=--quick or "--only STAGE"
	@$(BIN)/python -m benchmarks.monitor $(ARGS)

bench-peers: setup ## The store beside Feast, drift beside Evidently, in environments of their own; ARGS=--quick
	@$(BIN)/python -m benchmarks.peers $(ARGS)

fuzz: setup ## 5,000 generated requests to each endpoint of a service, every answer checked; ARGS=--quick or "--url URL"
	@$(BIN)/python -m benchmarks.fuzz $(ARGS)

chaos: setup ## What the service promises, with processes killed and servers away, and fuzzing (half an hour); ARGS=--quick
	@$(BIN)/python -m benchmarks.chaos $(ARGS)

load: setup ## A minute of every kind of request on the running stack; ARGS="--use-case NAME"
	@$(BIN)/python -m load_tests $(ARGS)

measure-house: setup ## Layout and language of the package, beside their targets
	@$(BIN)/python scripts/measure_house.py $(ARGS)

kubernetes: setup ## Write deploy/kubernetes/ from the same facts
	@$(BIN)/evergreen deploy kubernetes $(EXAMPLES)

compose: setup ## Write docker-compose.yml from the facts that the embedded stack uses
	@$(BIN)/evergreen deploy compose $(EXAMPLES)

lock: ## Resolve the Python packages anew (hashes, no index address); ARGS=--upgrade for newer ones
	@PYTHON="$(PYTHON)" scripts/setup.sh lock $(ARGS)
