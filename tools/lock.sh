#!/usr/bin/env bash
# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Pins requirements/*.in, each with everything below it, in the *.txt beside it. Needs Python 3.11 as python3.
# PYTHON_NEWEST names the interpreter for newest.in (default python3.13).
set -euo pipefail
cd "$(dirname "$0")/../requirements"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

resolve() { # NAME PYTHON
    "$2" -m venv "$work/$1"
    "$work/$1/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$1.in"
    "$work/$1/bin/python" -m pip freeze >"$work/$1.pins"
}

header() { echo "# Made by \`make lock\` from $1.in: edit that file, not this one."; }

resolve runtime "${PYTHON:-python3}"
{ header runtime; cat "$work/runtime.pins"; } >runtime.txt
resolve dev "${PYTHON:-python3}"
{ header dev; echo "-r runtime.txt"; grep -vxFf "$work/runtime.pins" "$work/dev.pins"; } >dev.txt
resolve bench "${PYTHON:-python3}"
{ header bench; cat "$work/bench.pins"; } >bench.txt
resolve newest "${PYTHON_NEWEST:-python3.13}"
{ header newest; cat "$work/newest.pins"; } >newest.txt
git diff --stat -- .
