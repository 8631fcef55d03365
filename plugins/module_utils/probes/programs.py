# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Short programs of the host that tell something, such as systemctl."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

TIMEOUT_SECONDS = 20


def ended(command: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """The program's output and how it ended, with ``environment`` on top of this process's. Raises OSError where it
    cannot be run, TimeoutError where it does not end in time."""
    variables: Mapping[str, str] = {**os.environ, **environment}
    try:
        # The engine also runs without Ansible, so there is no module whose run_command could be called.
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,  # pylint: disable=ansible-bad-function
                              env=variables, text=True, errors="replace", check=False, timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"{command[0]} did not answer within {TIMEOUT_SECONDS} s") from error


def answer(command: Sequence[str], **environment: str) -> str:
    """What the program prints. Raises as ``ended``, and OSError with its own words where it fails."""
    done = ended(command, **environment)
    if done.returncode != 0:
        raise OSError(done.stderr.strip() or f"{command[0]} ended with {done.returncode}")
    return done.stdout
