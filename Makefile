# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

SHELL := /bin/bash
PYTHON ?= python3
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help venv venv-dev

help: ## this list
	@echo "Prerequisites: git make python3-venv"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: ## .venv with what a controller needs (ansible-core)
	@tools/venv.sh runtime

venv-dev: ## .venv with the test tools as well
	@tools/venv.sh dev
