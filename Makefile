# The front door. Everything lives in .venv; nothing else on the machine changes, but for Debian packages that
# `make test` misses and may install as root.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install demo test conformance test-system test-hotspot test-faults check bench lock

# Debian keeps mosquitto in sbin, which is not on the PATH of an ordinary account.
export PATH := $(PATH):/usr/sbin
bin := .venv/bin
ARGS ?=
FULL ?=

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## make .venv with what the agent and the demo need
	@scripts/setup.sh demo

demo: install ## show the whole of Gardu at work, e.g. make demo ARGS="--for 60s --json"
	@$(bin)/gardu demo $(ARGS)

test: ## format, lint, types, import contracts and the tests
	@scripts/setup.sh test
	$(bin)/ruff format --check .
	$(bin)/ruff check .
	$(bin)/mypy
	$(bin)/lint-imports --no-logo
	$(bin)/pytest -m "not campaign and not faults and not hotspot" $(ARGS)

conformance: ## each driver by K1 to K19, why a check does not apply, and what a megabyte of noise does to it
	@scripts/setup.sh test
	@$(bin)/python -m tests.drivers.conformance.report

test-system: ## campaigns: 60 kills under load, noise, forgeries, cuts; GARDU_KILLS, GARDU_SEED choose
	@scripts/setup.sh test
	GARDU_KILLS=$${GARDU_KILLS:-60} $(bin)/pytest -m campaign -rP $(ARGS)

test-hotspot: ## hostapd, dnsmasq, openNDS, FreeRADIUS in network namespaces: each fault its alarm; as root, 5 min
	@scripts/setup.sh hotspot
	PATH=$$PATH:/sbin $(bin)/pytest -m hotspot -rP $(ARGS)

test-faults: ## power cuts and fault campaigns, a tenth; FULL=1 runs all, writes tests/faults/RESULTS.md; GARDU_SEED repeats
	@scripts/setup.sh faults
	FULL=$(FULL) $(bin)/pytest -m faults -rP $(ARGS)

check: ## what must hold before a commit, without the tests
	@scripts/setup.sh test
	@$(bin)/pre-commit run --all-files

bench: ## measure against the budgets, 12 min, write benchmarks/RESULTS.md; ARGS="--frozen 900 --peers" for all
	@scripts/setup.sh test
	@$(bin)/python -m benchmarks $(ARGS)

lock: ## write requirements/*.lock anew; ARGS=--upgrade takes the newest versions
	@scripts/setup.sh test
	@scripts/lock.sh $(ARGS)
