#!/usr/bin/env bash
# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs a linter on those files of the checkout that it is for. Usage: tools/lint_files.sh yamllint|shellcheck
set -euo pipefail
cd "$(dirname "$0")/.."

files() { # those that git knows of or would add, and that exist
    git ls-files -z --cached --others --exclude-standard --deduplicate -- "$@" |
        while IFS= read -r -d '' path; do [ ! -f "$path" ] || printf '%s\0' "$path"; done
}
case ${1:-} in
    yamllint) files '*.yml' '*.yaml' .yamllint .ansible-lint | xargs -0 .venv/bin/yamllint --strict ;;
    shellcheck) files '*.sh' .ci/run testbed/bed | xargs -0 shellcheck ;;
    *) echo "Usage: tools/lint_files.sh yamllint|shellcheck" >&2; exit 2 ;;
esac
