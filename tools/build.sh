#!/usr/bin/env bash
# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Builds the collection's tarball into .build/dist and installs it into an empty .build/collections.
# Does nothing when that is what is installed there already. Needs .venv (tools/venv.sh runtime).
set -euo pipefail
cd "$(dirname "$0")/.."

bin=$PWD/${VENV:-.venv}/bin
mkdir -p .build
exec 9>.build/build.lock
flock 9
work=$(mktemp -d .build/build-XXXXXX)
trap 'rm -rf "$work"' EXIT

"$bin/ansible-galaxy" collection build --force --output-path "$work" . >"$work/log" ||
    { cat "$work/log" >&2; exit 1; }
tarball=$(ls "$work"/*.tar.gz)
# MANIFEST.json holds the digest of FILES.json, which holds the digest of every file.
tar -xzOf "$tarball" MANIFEST.json >"$work/MANIFEST.json"
installed=.build/collections/ansible_collections/feedforward/maintenance/MANIFEST.json
if cmp -s "$work/MANIFEST.json" "$installed" && ls .build/dist/*.tar.gz >/dev/null 2>&1; then
    exit 0
fi
"$bin/ansible-galaxy" collection install --offline --force --collections-path "$work/collections" "$tarball" >"$work/log" 2>&1 ||
    { cat "$work/log" >&2; exit 1; }
rm -rf .build/dist && mkdir .build/dist && mv "$tarball" .build/dist/
rm -rf .build/collections.old
[ ! -e .build/collections ] || mv .build/collections .build/collections.old
mv "$work/collections" .build/collections
rm -rf .build/collections.old
echo "Installed $(basename "$(ls .build/dist/*.tar.gz)") into .build/collections"
