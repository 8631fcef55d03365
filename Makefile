# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

SHELL := /bin/bash
PYTHON ?= python3
export PYTHON

STAGES := .venv/bin/python tools/run_tests.py
COLLECTIONS := $(CURDIR)/.build/collections

.DEFAULT_GOAL := help
.PHONY: help venv venv-dev dist demo test test-list lint unit integration system sanity molecule newest scenario \
	faults faults-long bed-down bench bench-fleet docs changelog lock clean

help: ## this list
	@echo "Prerequisites: git make python3-venv"
	@awk -F ':.*## ' '/^[a-z -]+:.*## / {printf "  make %-46s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: dist ## back up, destroy and restore an application under ./demo (no root needed)
	@ANSIBLE_CONFIG=inventory/demo/ansible.cfg ANSIBLE_COLLECTIONS_PATH=$(COLLECTIONS) \
		.venv/bin/ansible-playbook -i inventory/demo feedforward.maintenance.demo

test: venv-dev ## everything that can be tested on this machine
	@$(STAGES)

test-list: venv-dev ## the names of the groups and stages of the tests
	@$(STAGES) --list

lint unit integration system sanity molecule newest: venv-dev ## one group of the tests
	@$(STAGES) $@

scenario: venv-dev ## one molecule scenario: make scenario NAME=sandbox
	@tools/scenario.sh "$(NAME)"

faults: venv-dev ## attack the command; ONLY="kill power" for some of it
	@.venv/bin/python tests/faults $(ONLY)

faults-long: venv-dev ## the same at every call and moment, for hours
	@.venv/bin/python tests/faults --long $(ONLY)

bench-fleet: venv-dev dist ## what a run on a configured fleet costs, on 1, 4 and 16 booted hosts (root)
	@.venv/bin/python -m benchmarks.fleet

bed-down: ## remove the test hosts of this checkout
	@testbed/bed down

bench: ## measure against other tools; make bench SIZE=10 RUNS=1 is a quick look
	@tools/venv.sh bench .venv-bench
	@.venv-bench/bin/python tools/prerequisites.py requirements/debian-bench.txt
	@.venv-bench/bin/python -m benchmarks $(if $(SIZE),--sizes "$(SIZE)") $(if $(RUNS),--rounds "$(RUNS)")

venv: ## .venv with what a controller needs
	@tools/venv.sh runtime

venv-dev: ## .venv with the test tools as well
	@tools/venv.sh dev

dist: venv ## build the collection's tarball and install it into .build/collections
	@tools/build.sh

docs: venv-dev ## write the README of each role from its argument specs
	@.venv/bin/python tools/role_docs.py

changelog: venv-dev dist ## write CHANGELOG.md from changelogs/fragments and the plugins' documentation
	@PATH=$(CURDIR)/.venv/bin:$$PATH ANSIBLE_COLLECTIONS_PATH=$(COLLECTIONS) antsibull-changelog release \
		--reload-plugins --refresh --update-existing

lock: ## pin requirements/*.in anew
	@tools/lock.sh

clean: ## remove the test hosts and everything that was built, .venv too
	@[ ! -d .build/testbed ] || testbed/bed down
	@rm -rf .build .venv* .ansible .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
