# Every target says what it does: `make help`.
# Needs make and a Debian-like system; everything else is set up by `make setup`.

SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
BIN := .venv/bin
export PYTHONDONTWRITEBYTECODE :=
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

.PHONY: simulate help setup setup-test sim run test check format generate sounds bench fuzz prove install clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: ## system packages and .venv with the commands unitd and hw-sim (quick when all is there)
	@tools/setup.sh sim

setup-test:
	@tools/setup.sh test

sim: setup ## a simulated pole, the real daemon and a stand-in control room, until Ctrl-C
	@exec $(BIN)/hw-sim up

run: setup ## play one scenario: make run SCENARIO=press
	@exec $(BIN)/hw-sim run $(or $(SCENARIO),press)

test: setup-test ## every check and every test (what .ci/run calls)
	@$(BIN)/python3 tools/run_tests.py

check: setup-test ## style, types, import rules, units, generated files (quick)
	@$(BIN)/python3 tools/run_tests.py --only check

format: setup-test ## put the Python files in order
	@$(BIN)/ruff check --fix --quiet . && $(BIN)/ruff format --quiet .

generate: setup ## write the JSON Schemas and the AsyncAPI file in docs/ again from the message structs
	@$(BIN)/unitd schema --write

sounds: setup ## make the prompts and warnings of every language again from unitd/call/words/*.toml (English too)
	@$(BIN)/python3 tools/make_sounds.py --all

bench: setup-test ## one table of figures, also in build/bench.json
	@exec $(BIN)/python3 -m tests.bench

fuzz: setup-test ## changed inputs for every parser of outside bytes: make fuzz INPUTS=1000000 [ONLY=command] [SEED=1]
	@exec $(BIN)/python3 -m tests.fuzz --inputs $(or $(INPUTS),1000000) $(addprefix --target ,$(ONLY)) $(addprefix --seed ,$(SEED))

simulate: setup-test ## random pole-days in virtual time, with faults: make simulate SEEDS=100 SEED_START=1
	@exec $(BIN)/python3 -m tests.simulate --seeds $(or $(SEEDS),100) --start $(or $(SEED_START),1)

prove: setup-test ## the long proofs (more examples, more kill points, every scenario)
	@exec $(BIN)/python3 tools/run_tests.py --long

install: ## as root: this checkout's units, users and rules into the system (DESTDIR= for an image)
	@tools/install.sh

clean: ## remove what was built here (.venv too)
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find unitd hw_sim tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
