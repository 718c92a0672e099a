# Few verbs. Each does its own set-up, so that a bare clone is enough.
SHELL := /bin/bash
PY := .venv/bin/python
export HANDRAIL_AGENTS_DIR ?= $(CURDIR)/.cache/agents

.PHONY: help demo test test-agents test-fanout check bench setup clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/' | expand -t 16

demo: setup  ## the main job: a real project with a planted bug is fixed, handed off, inside the walls
	@$(PY) -m demo

test: check agents-ci browser  ## everything that CI runs: checks, tests, the four agents of CI
	$(PY) -m pytest -n 3 --dist worksteal --reruns 1 -r R

test-agents: setup  ## the whole job by each of the seven real agents (fetches about 2.5 GB once)
	$(PY) -m tests.real_agents.fetch all
	$(PY) -m pytest tests/real_agents --all-agents

test-fanout: setup  ## a migration of forty repositories, ten kills on the way (several minutes; not in CI)
	$(PY) -m tests.whole.fanout 40 10

check: setup  ## formatting, lint, types, floors, sizes
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

bench: setup  ## speed beside a bare loop in the same run; writes benchmarks/latest.json
	$(PY) -m benchmarks

setup:  ## virtual environment and what the system must bring
	@scripts/setup

.PHONY: agents-ci browser
browser:
	@scripts/setup --tests

agents-ci: setup
	@$(PY) -m tests.real_agents.fetch claude codex gemini goose

clean:  ## remove what set-up and tests made
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache
