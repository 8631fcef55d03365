# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program: ``main(argv) -> exit code``.

Exit codes: 0 done; 1 another error; 2 options, configuration, confirmation; 3 source; 4 destination; 5 key;
6 archive or verification; 7 busy; 8 restore; 70 a defect; 129, 130, 143 stopped by SIGHUP, SIGINT, SIGTERM;
141 nobody reads the output any more. ``status``: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (Monitoring Plugins).

An error is one line on standard error, ``<program>: <subject>: <cause>. <next step>.``; a traceback comes with
``--debug`` only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Optional

from .signals import Stopped, StopSignals

DEFAULT_PROGRAM = "feedforward-maintenance"


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Runs the command line ``argv`` (default: this process's) and returns the exit code."""
    program = program_name(sys.argv[0])
    with StopSignals() as signals:
        try:
            # Imported only now: it takes a moment, in which Ctrl-C would print a traceback.
            from .dispatch import run

            signals.check()
            return run(program, list(sys.argv[1:] if argv is None else argv), signals)
        except Stopped as stopped:
            if sys.stderr is not None:
                sys.stderr.write(f"{program}: {stopped}\n")
            return stopped.exit_code


def program_name(argv0: str) -> str:
    """The name under which the program was called: it names the configuration directory as well."""
    name = os.path.basename(argv0)
    for ending in (".pyz", ".py"):
        if name.endswith(ending):
            name = name[:-len(ending)]
    return DEFAULT_PROGRAM if name in ("", "-c", "-m", "__main__") else name
