# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run: the words become options, the command is called, and whatever happens becomes an exit code."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from types import ModuleType

from ..errors import InternalError, MaintenanceError, from_unforeseen
from .context import Context
from .output import Output, standard_output
from .parser import build_parser, first_word, parse
from .signals import Stopped, StopSignals

# Command -> its module in the package ``commands``. A run imports only the one it needs: Python keeps nothing of what
# it compiles from a zipapp, and compiling is most of what a short command does.
COMMANDS: dict[str, str] = {
    "backup": "backup", "verify": "verify", "restore": "restore", "list": "listing", "info": "info", "prune": "prune",
    "key": "key", "status": "status", "health": "health", "doctor": "doctor",
    "monitor": "monitor", "look": "look", "alert": "alert",
}
EXIT_BROKEN_PIPE = 141


class StoppedError(MaintenanceError):
    """The run was stopped by a signal; ``exit_code`` is 128 and its number."""

    def __init__(self, command: str, stopped: Stopped) -> None:
        super().__init__(command, f"{stopped}; temporary files of this run are removed",
                         "Run it again: what has a final name is whole, and an interrupted restore is settled first")
        self.exit_code = stopped.exit_code


def run(program: str, arguments: Sequence[str], signals: StopSignals) -> int:
    """Runs the command line ``arguments`` and returns the exit code. Raises Stopped where nobody was told of it yet."""
    output = standard_output(program, os.environ)
    # Known before the grammar is: an error in the grammar is to be JSON as well.
    output.json, output.debug = "--json" in arguments, "--debug" in arguments
    try:
        return _run(output, arguments, signals)
    except BrokenPipeError:
        _forget_stdout()
        return EXIT_BROKEN_PIPE


def _run(output: Output, arguments: Sequence[str], signals: StopSignals) -> int:
    command = next((word for word in arguments if word in COMMANDS), "command line")
    try:
        try:
            return _dispatch(output, arguments)
        except SystemExit as leaving:
            return int(leaving.code or 0)
        except Stopped as stopped:
            raise StoppedError(command, stopped) from stopped
        except (MaintenanceError, BrokenPipeError):
            raise
        except MemoryError as error:
            raise InternalError(command, "the memory of this machine is exhausted",
                                "Free memory, or give fewer workers, then run again") from error
        except Exception as error:
            told = from_unforeseen(error, command)
            if told is not None:
                raise told from error
            raise InternalError(command, f"unexpected {type(error).__name__}: {error} ({_place(error)})",
                                "This is a defect: run again with --debug and report what it prints") from error
    except MaintenanceError as error:
        if signals.received is not None and not isinstance(error, StoppedError):
            # The signal came while SQLite had called us: it knows no exceptions and reports an error of its own.
            error = StoppedError(command, Stopped(signals.received))
        return _report(output, command, error, error.exit_code)


def _dispatch(output: Output, arguments: Sequence[str]) -> int:
    word = first_word(output.program, arguments)
    # The help before a command's name lists them all.
    needed = [word] if word in COMMANDS and "-h" not in arguments and "--help" not in arguments else list(COMMANDS)
    commands = {name: _load(name) for name in needed}
    options = parse(build_parser(output.program, commands), tuple(COMMANDS), arguments)
    output.json, output.verbose, output.debug = options.json, options.verbose, options.debug
    context = Context(output.program, options, output, os.environ, sys.stdin)
    code: int = commands[options.command].run(context)
    return code


def _load(name: str) -> ModuleType:
    return importlib.import_module(f".commands.{COMMANDS[name]}", __package__)


def _report(output: Output, command: str, error: MaintenanceError, code: int) -> int:
    failed = getattr(_load(command), "failed", None) if command in COMMANDS else None
    if failed is not None and code < 128:
        # Monitoring knows neither our codes nor standard error.
        code = failed(output, error)
    output.error(error, code)
    return code


def _place(error: BaseException) -> str:
    """File and line where ``error`` was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else "unknown place"


def _forget_stdout() -> None:
    """Points standard output at nothing: the interpreter flushes it once more at its end and would complain."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
