#!/usr/bin/env bash
# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs `ansible-test sanity` on a copy of what git knows of this checkout, at the path that ansible-test wants.
# Usage: tools/sanity.sh [options and tests of ansible-test sanity]      VENV=directory chooses the virtual environment
set -euo pipefail
cd "$(dirname "$0")/.."

top=$PWD
venv=$top/${VENV:-.venv}
copy=.build/sanity/$(basename "$venv")/ansible_collections/feedforward/maintenance
rm -rf "$copy"
mkdir -p "$copy"
git ls-files -z --cached --others --exclude-standard |
    while IFS= read -r -d '' path; do [ ! -f "$path" ] || printf '%s\0' "$path"; done |
    tar --create --null --files-from=- | tar --extract --directory "$copy"
# ansible-test asks git for the list of files, as it would in a real checkout.
git -C "$copy" init --quiet
git -C "$copy" add --all

# Interpreters for the compile and import tests: the real ones behind pyenv's shims, where there is a pyenv.
mkdir -p .build/sanity/pythons
for python in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.*/bin/python3.[0-9]*; do
    name=$(basename "$python")
    case $name in *-config | *.py) continue ;; esac
    [ ! -x "$python" ] || ln -sfn "$python" ".build/sanity/pythons/$name"
done

# ansible-test's own environments start with a downloaded script that installs pip; Python's ensurepip does the same.
settings=$("$venv/bin/python" tools/pip_settings.py)
# They take minutes to make and serve every checkout, so they are kept between runs, one run at a time.
export HOME=${XDG_CACHE_HOME:-$HOME/.cache}/feedforward-maintenance/ansible-test
cache=$HOME/.ansible/test/cache
mkdir -p "$cache"
exec 9>"$HOME/lock"
flock 9
version=$(sed -n "s/^ *pip='\([0-9.]*\)',.*/\1/p" "$venv"/lib/python3*/site-packages/ansible_test/_internal/python_requirements.py)
[ -n "$version" ] || { echo "tools/sanity.sh cannot tell which pip ansible-test wants: has ansible-core changed?" >&2; exit 1; }
cp tools/get_pip.py "$cache/get_pip_${version//./_}.py"
# It also drops the environment, and with it the user's settings of pip.
mkdir -p "$HOME/.config/pip"
printf '%s' "$settings" >"$HOME/.config/pip/pip.conf"

export PATH=$venv/bin:$top/.build/sanity/pythons:$PATH
cd "$copy"
exec ansible-test sanity --requirements "$@"
