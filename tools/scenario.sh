#!/usr/bin/env bash
# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs molecule on one scenario with the installed tarball. Usage: tools/scenario.sh NAME [molecule command and options]
# The command is `test` by default. TESTBED=name uses a set of hosts of its own, so that two scenarios can run at once.
set -euo pipefail
cd "$(dirname "$0")/.."

name=${1:?the name of a scenario: one of $(ls molecule)}
shift
[ $# -gt 0 ] || set -- test
[ -f "molecule/$name/molecule.yml" ] || { echo "There is no molecule/$name/molecule.yml" >&2; exit 2; }

export PATH=$PWD/${VENV:-.venv}/bin:$PATH
export TESTBED=${TESTBED:-main}
export MOLECULE_GLOB='molecule/*/molecule.yml'
export MOLECULE_EPHEMERAL_DIRECTORY=$PWD/.build/testbed/$TESTBED/molecule/$name
export MOLECULE_COMMAND_BORDERS=false
# A whole test begins with nothing of the last one: its escrow, its counts, and its belief that the hosts still run.
[ "$1" != test ] || rm -rf "$MOLECULE_EPHEMERAL_DIRECTORY"
mkdir -p "$MOLECULE_EPHEMERAL_DIRECTORY"
tools/build.sh
command=$1
shift
exec molecule "$command" --scenario-name "$name" "$@"
