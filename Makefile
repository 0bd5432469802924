# Every target makes what it needs from nothing but Python 3.11 to 3.14 and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUN    := $(BIN)/python
STAMP  := $(VENV)/.installed
# MediaPipe's own graph, which nothing needs but the comparison with it: Python 3.11 or 3.12 on x86-64.
REFERENCE_PYTHON ?= $(PYTHON)
REFERENCE        := .venv-reference
REFERENCE_STAMP  := $(REFERENCE)/.installed
# Most tests wait for a process, a timer or an answer: six at a time keep two cores busy. Each process has servers of
# its own; a file stays in one process, in its order, and the slow ones come first (ADR 0043).
TEST_PROCESSES   ?= 6
# Every worker, server and script under test is a Python of its own: without compiled modules they need a quarter more.
PYTEST           := env -u PYTHONDONTWRITEBYTECODE $(RUN) -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder --durations=20
# A Redis 7, to run the tests on instead of Valkey: the package redis-server of Debian 12 and Ubuntu 24.04 is one.
REDIS7           ?= /usr/bin/redis-server
REDIS_TESTS      := tests/faults tests/integration/proofs/test_chaos_elements.py tests/integration/proofs/test_chaos_fronts.py tests/integration/operations/test_dead_letters.py \
	tests/integration/worker/test_long_elements.py tests/integration/services/test_lua_programs.py tests/integration/worker/test_missed_copies.py tests/integration/operations/test_operations.py tests/integration/operations/test_operations_worker.py tests/integration/services/test_breaker.py \
	tests/integration/services/test_window.py tests/integration/worker/test_redis_at_start.py tests/integration/services/test_redis_failover.py \
	tests/integration/worker/test_returned_runs.py tests/integration/worker/test_letter_retention.py tests/integration/sandbox/test_parts.py tests/integration/services/test_task_queue.py \
	tests/integration/services/test_tls_redis.py tests/integration/worker/test_recovery.py tests/integration/worker/test_results.py \
	tests/integration/worker/test_startup.py

.DEFAULT_GOAL := help
.PHONY: help install lock wheels demo sandbox reset test test-fast test-redis7 test-infra test-observability lint format contracts costs bench bench-hold bench-size reference \
	reference-landmarks calibrate chaos dev up down logs image-size build clean

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 21

install: $(STAMP) ## Make .venv with the pinned, hash-checked packages (about half a minute, once)

$(STAMP): requirements.txt requirements-dev.txt requirements-networks.txt size_rec/pose/network_files.py
	@echo "Installing the pinned packages into $(VENV) (once; about half a minute) ..."
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14) and "wearon-worker needs Python 3.11 to 3.14; this is " + sys.version.split()[0] + ". Set PYTHON=/path/to/python3.14")'
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.txt
	@$(RUN) -m size_rec.pose.fetch_networks
	@touch $(STAMP)

LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	--custom-compile-command 'make lock' --quiet

lock: $(STAMP) ## Recompile the lock files after a change in pyproject.toml
	@$(LOCK) pyproject.toml -o requirements.txt
	@$(LOCK) pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt
	@$(LOCK) --group pyproject.toml:bridge -c requirements.txt -o requirements-whatsapp-bridge.txt
	@$(LOCK) --group pyproject.toml:reference -o requirements-reference.txt

wheels: $(STAMP) ## Ask the package index for a wheel of every package, for each Python and machine (a minute)
	@$(RUN) -m proofs.check_wheels

demo: $(STAMP) ## Watch real tasks go through the real worker on embedded parts (under two minutes)
	@$(RUN) -m sandbox demo

sandbox: $(STAMP) ## Start the whole world on loopback and keep it running (Ctrl-C stops it; data survives)
	@$(RUN) -m sandbox start

reset: $(STAMP) ## Wipe the sandbox's data
	@$(RUN) -m sandbox reset

test: $(STAMP) ## Run every test on real embedded parts (a few minutes)
	@$(PYTEST)

test-fast: TEST_PROCESSES := 2
test-fast: $(STAMP) ## Run what needs no server and little work: unit, contract and property tests (a minute)
	@$(PYTEST) -m "not services and not heavy" tests/unit tests/contract tests/property

test-redis7: $(STAMP) ## Run what depends on Redis on a Redis 7: make test-redis7 REDIS7=/path/to/redis-server
	@test -x "$(REDIS7)" || { echo "$(REDIS7) is not there. On Debian 12 and Ubuntu 24.04: apt-get install redis-server; or say REDIS7=/path/to/redis-server"; exit 2; }
	@WEARON_REDIS_SERVER="$(REDIS7)" $(PYTEST) $(REDIS_TESTS)

test-infra: $(STAMP) ## Prove the production stack on a real Docker Engine (root, Debian; twelve minutes)
	@$(RUN) -m pytest -m infra tests/infra -s -q -p no:xdist --timeout=600

test-observability: $(STAMP) ## Prove metrics, dashboards, alerts and the bridge on real Prometheus and exporters (Debian)
	@$(RUN) -m pytest -m observability tests/observability -s -q -p no:xdist --timeout=1800

lint: $(STAMP) ## ruff, mypy --strict, import rules, hadolint, shellcheck, zizmor
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/hadolint Dockerfile
	@if test -x $(BIN)/shellcheck; then $(BIN)/shellcheck --external-sources .ci/run bin/wearon findings/*.sh $(wildcard scripts/*.sh scripts/lib/*.sh nginx/*.sh redis/*.sh monitoring/*/*.sh); else echo "shellcheck left out: it has no wheel for this machine"; fi
	@if test -x $(BIN)/zizmor; then $(BIN)/zizmor --offline --quiet .github; else echo "zizmor left out: it has no wheel for this machine"; fi

format: $(STAMP) ## Format the code
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

contracts: $(STAMP) ## Regenerate contracts/ (JSON Schema and TypeScript) from the model
	@$(RUN) -m contracts.generate

costs: $(STAMP) ## Work out what a picture costs, into docs/costs.md
	@$(RUN) -m proofs.costs

bench: $(STAMP) ## Measure (ten minutes); make bench BASE=COMMIT measures that commit, too (half an hour)
	@$(RUN) -m proofs.bench $(if $(BASE),--base "$(BASE)")

bench-hold: $(STAMP) ## Hold the promised 300 a minute for HOLD=20 minutes (then shorter with two workers)
	@$(RUN) -m proofs.bench --hold $(or $(HOLD),20)

bench-size: $(STAMP) ## Measure size recommendation (some minutes), with BASE=COMMIT that commit, too; "make reference" adds MediaPipe's own
	@$(RUN) -m proofs.bench_size $(if $(BASE),--base "$(BASE)")

reference: $(REFERENCE_STAMP) ## Make .venv-reference with MediaPipe's own graph (Python 3.11 or 3.12 on x86-64 only)

$(REFERENCE_STAMP): requirements-reference.txt
	@$(REFERENCE_PYTHON) -c 'import platform, sys; sys.exit(not ((3, 11) <= sys.version_info[:2] <= (3, 12) and platform.machine() in ("x86_64", "AMD64")) and "MediaPipe 0.10.21 has wheels for Python 3.11 and 3.12 on x86-64 only; this is " + sys.version.split()[0] + " on " + platform.machine() + ". Set REFERENCE_PYTHON=/path/to/python3.12")'
	@test -x $(REFERENCE)/bin/python || $(REFERENCE_PYTHON) -m venv $(REFERENCE)
	@$(REFERENCE)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-reference.txt
	@touch $(REFERENCE_STAMP)

reference-landmarks: $(REFERENCE_STAMP) ## Remake the landmarks by MediaPipe's own graph that a test compares with
	@$(REFERENCE)/bin/python -m proofs.bench_size.reference_landmarks

calibrate: $(STAMP) ## Refit size recommendation: make calibrate ANSUR=folder with the two ANSUR II tables
	@test -n "$(ANSUR)" || { echo "Say where the ANSUR II tables are: make calibrate ANSUR=/path/to/folder"; exit 2; }
	@$(RUN) -m size_rec.calibration "$(ANSUR)" tests/data/bodies
	@$(RUN) -m size_rec.calibration.stretch tests/data/bodies

chaos: $(STAMP) ## Kill everything at random, then audit the ledger (a few minutes)
	@$(RUN) -m proofs.chaos

dev: $(STAMP) ## Run the worker against the services named in .env
	@$(RUN) main.py

up: ## Start Redis and the worker in containers (needs Docker)
	docker compose up -d --build

down: ## Stop the containers
	docker compose down

logs: ## Follow the worker's log
	docker compose logs -f worker

image-size: $(STAMP) ## What the image adds to its base, without Docker: make image-size [BASE=commit] [IMAGE_PYTHON=python3.12]
	@$(RUN) -m proofs.image_size $(if $(BASE),--base $(BASE)) $(if $(IMAGE_PYTHON),--python $(IMAGE_PYTHON))

build: ## Build the production images, labelled with the version and the commit
	docker build -t wearon-worker \
		--build-arg VERSION="$$(sed -n 's/^version = "\(.*\)"$$/\1/p' pyproject.toml)" \
		--build-arg REVISION="$$(git describe --always --abbrev=40 --match '' --dirty 2>/dev/null || echo unknown)" .
	docker build -t wearon-worker-whatsapp-bridge --target whatsapp-bridge \
		--build-arg VERSION="$$(sed -n 's/^version = "\(.*\)"$$/\1/p' pyproject.toml)" \
		--build-arg REVISION="$$(git describe --always --abbrev=40 --match '' --dirty 2>/dev/null || echo unknown)" .

clean: ## Remove .venv, the sandbox's data and build leftovers
	@test ! -d .sandbox || $(RUN) -m sandbox reset
	rm -rf $(VENV) $(REFERENCE) .sandbox demo-results .mypy_cache .ruff_cache .hypothesis sandbox/node/node_modules contracts/node/node_modules
