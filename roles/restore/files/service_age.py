# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints the state of a systemd unit and for how many seconds it has been active without a restart.

Arguments: the unit. A unit that starts and dies again and again is active at most moments, so that its state alone
proves nothing.
"""

from __future__ import annotations

import subprocess
import sys
import time


def main() -> None:
    shown = subprocess.run(
        ["systemctl", "show", "--property=ActiveState,ActiveEnterTimestampMonotonic", "--", sys.argv[1]],
        check=True, stdout=subprocess.PIPE, text=True).stdout
    values = dict(line.split("=", 1) for line in shown.splitlines())
    since = int(values.get("ActiveEnterTimestampMonotonic") or 0) / 1e6
    age = time.clock_gettime(time.CLOCK_MONOTONIC) - since if values["ActiveState"] == "active" else 0.0
    print(values["ActiveState"], round(age, 1))


main()
