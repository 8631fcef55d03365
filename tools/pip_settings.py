# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints as a pip.conf what the user's own pip.conf and PIP_* variables set, for a run that sees neither."""

from __future__ import annotations

import ast
import subprocess
import sys


def main() -> None:
    """Read ``pip config list``, whose lines are like ``user.cert='...'``; a system-wide file needs no copy."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listing = subprocess.run(command, capture_output=True, text=True, check=True)
    settings = {}
    for level in ("user.", ":env:."):
        for line in listing.stdout.splitlines():
            name, value = line.split("=", 1)
            if name.startswith(level):
                settings[name.removeprefix(level)] = ast.literal_eval(value).strip().replace("\n", "\n  ")
    print("[global]")
    for name, value in settings.items():
        print(f"{name} = {value}")


if __name__ == "__main__":
    main()
