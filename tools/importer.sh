#!/usr/bin/env bash
# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs galaxy-importer, the gate of Ansible Galaxy, on the built tarball. A warning fails, too.
set -euo pipefail
cd "$(dirname "$0")/.."

tools/build.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/importer.cfg" <<'END'
[galaxy-importer]
check_changelog = True
check_required_tags = True
offline_ansible_lint = True
run_ansible_doc = True
run_ansible_lint = True
run_ansible_test = False
run_flake8 = False
END
export PATH=$PWD/.venv/bin:$PATH
tarball=$(ls "$PWD"/.build/dist/*.tar.gz)
# It writes importer_result.json into the current directory.
cd "$work"
GALAXY_IMPORTER_CONFIG=$work/importer.cfg python -m galaxy_importer.main "$tarball" 2>&1 | tee "$work/log"
if grep -E '^(WARNING|ERROR|CRITICAL)' "$work/log" >/dev/null; then
    echo "galaxy-importer has complaints, see above" >&2
    exit 1
fi
