# Every target makes what it needs from nothing but Python >= 3.11 and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUN    := $(BIN)/python
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install lock demo sandbox reset test lint format contracts costs bench bench-size calibrate chaos dev up down logs build clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(STAMP) ## Make .venv with the pinned, hash-checked packages (about half a minute, once)

$(STAMP): requirements.txt requirements-dev.txt
	@echo "Installing the pinned packages into $(VENV) (once; about half a minute) ..."
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12) and "wearon-worker needs Python 3.11 or 3.12 (mediapipe has no wheel for newer ones); this is " + sys.version.split()[0] + ". Set PYTHON=/path/to/python3.12")'
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.txt
	@touch $(STAMP)

lock: $(STAMP) ## Recompile the lock files after a change in pyproject.toml
	@$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command 'make lock' --quiet -o requirements.txt
	@$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command 'make lock' --quiet -c requirements.txt -o requirements-dev.txt

demo: $(STAMP) ## Watch real tasks go through the real worker on embedded parts (under two minutes)
	@$(RUN) -m sandbox demo

sandbox: $(STAMP) ## Start the whole world on loopback and keep it running (Ctrl-C stops it; data survives)
	@$(RUN) -m sandbox start

reset: $(STAMP) ## Wipe the sandbox's data
	@$(RUN) -m sandbox reset

test: $(STAMP) ## Run every test on real embedded parts (a few minutes)
	@$(RUN) -m pytest

lint: $(STAMP) ## ruff, mypy --strict, import rules, shellcheck
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/shellcheck .ci/run

format: $(STAMP) ## Format the code
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

contracts: $(STAMP) ## Regenerate contracts/ (JSON Schema and TypeScript) from the model
	@$(RUN) -m scripts.generate_contracts

costs: $(STAMP) ## Work out what a picture costs, into docs/costs.md
	@$(RUN) -m scripts.costs

bench: $(STAMP) ## Measure; every figure beside its reference from the same run (about ten minutes)
	@$(RUN) -m scripts.bench

bench-size: $(STAMP) ## Measure size recommendation: errors, refusals, speed (a minute)
	@$(RUN) -m scripts.bench_size

calibrate: $(STAMP) ## Refit size recommendation: make calibrate ANSUR=folder with the two ANSUR II tables
	@test -n "$(ANSUR)" || { echo "Say where the ANSUR II tables are: make calibrate ANSUR=/path/to/folder"; exit 2; }
	@$(RUN) -m size_rec.calibration "$(ANSUR)" tests/data/bodies

chaos: $(STAMP) ## Kill everything at random, then audit the ledger (a few minutes)
	@$(RUN) -m scripts.chaos

dev: $(STAMP) ## Run the worker against the services named in .env
	@$(RUN) main.py

up: ## Start Redis and the worker in containers (needs Docker)
	docker compose up -d --build

down: ## Stop the containers
	docker compose down

logs: ## Follow the worker's log
	docker compose logs -f worker

build: ## Build the production image
	docker build -t wearon-worker .

clean: ## Remove .venv, the sandbox's data and build leftovers
	@test ! -d .sandbox || $(RUN) -m sandbox reset
	rm -rf $(VENV) .sandbox demo-results .mypy_cache .ruff_cache .hypothesis sandbox/node/node_modules
