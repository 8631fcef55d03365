#!/usr/bin/env bash
# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes or refreshes a virtual environment from a pinned requirements file; does nothing when it is up to date.
# Usage: tools/venv.sh runtime|dev|newest|bench [DIRECTORY] [PYTHON]
#   runtime  what a playbook needs      dev  runtime and all test tools      newest  the newest ansible-core with molecule
#   bench    plots for `make bench`
set -euo pipefail
cd "$(dirname "$0")/.."

set_name=${1:?runtime, dev, newest or bench}
directory=${2:-.venv}
python=${3:-${PYTHON:-python3}}
requirements=requirements/$set_name.txt

fail() { printf '%s\n' "$*" >&2; exit 1; }

as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo "
command -v "$python" >/dev/null ||
    fail "$python was not found. Type:  ${as_root}apt-get install -y git make python3-venv"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" -V) is too old: ansible-core 2.19 needs Python 3.11 or newer on the controller. Type:  make PYTHON=python3.11 (or newer)"
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python cannot make a virtual environment. Type:  ${as_root}apt-get install -y git make python3-venv"

fingerprint() {
    "$directory/bin/python" -V
    readlink -f "$directory"
    cat requirements/*.txt
}

exec 9>"$directory.lock"
flock 9
stamp=$directory/$set_name.stamp
if ! "$directory/bin/python" -c 'import pip' 2>/dev/null; then
    rm -rf "$directory"
    "$python" -m venv "$directory"
elif [ -f "$stamp" ] && [ "$(fingerprint)" = "$(cat "$stamp")" ]; then
    exit 0
fi
echo "Installing $requirements into $directory"
"$directory/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements" ||
    fail "pip could not install $requirements: see its message above. Next: check the network, then run the same command again."
fingerprint >"$stamp"
