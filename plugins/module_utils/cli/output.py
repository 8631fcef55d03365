# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is printed, and how: lines with a mark for people, or exactly one JSON document.

Lines go to standard output, errors and progress to standard error. The marks are the guide's (``✓``); where the
locale or the terminal cannot show them, words in brackets stand instead. Colour touches nothing but the mark, on a
terminal only, and never with NO_COLOR (https://no-color.org).
"""

from __future__ import annotations

import contextlib
import enum
import io
import json
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Optional, TextIO

from ..errors import DestinationError, MaintenanceError, printable


class Mark(enum.Enum):
    """What a line says about its subject: (sign, word where signs cannot be shown, SGR colour number)."""

    GOOD = ("\u2713", "[ok]", 32)
    BAD = ("\u2717", "[failed]", 31)
    WARNING = ("!", "[warning]", 33)
    UNKNOWN = ("?", "[unknown]", 33)


@dataclass(frozen=True)
class Line:
    """One line for a person; ``detail`` lines are printed with ``--verbose`` only."""

    text: str = ""
    mark: Optional[Mark] = None
    indent: int = 0
    detail: bool = False


def can_show_signs(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether ``stream`` shows the marks: a UTF-8 stream, a locale that is not plain C, no bare console.

    Python turns the C locale into UTF-8 (PEP 538, PEP 540), so that the stream's encoding alone proves nothing when
    somebody asked for C by LC_ALL.
    """
    if (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "") != "utf8":
        return False
    if environ.get("LC_ALL") in ("C", "POSIX"):
        return False
    return not (is_terminal(stream) and environ.get("TERM") in ("linux", "dumb"))


def is_terminal(stream: Optional[TextIO]) -> bool:
    """Whether ``stream`` is a terminal; a closed or missing one is not."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


class Output:
    """The two streams of one run of the command."""

    def __init__(self, program: str, *, stdout: Optional[TextIO], stderr: Optional[TextIO],
                 environ: Mapping[str, str]) -> None:
        self.program = program
        self.stdout = stdout
        self.stderr = stderr
        self.json = False
        self.verbose = False
        self.debug = False
        for stream in (stdout, stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        self._environ = environ

    def show(self, document: Mapping[str, Any], lines: Iterable[Line]) -> None:
        """Prints the result: ``document`` with ``--json``, else ``lines``. Raises DestinationError, BrokenPipeError."""
        if self.json:
            self._write_stdout(json.dumps(document, indent=2, sort_keys=True) + "\n")
        else:
            self.lines(lines)

    def lines(self, lines: Iterable[Line]) -> None:
        """Prints lines for a person on standard output; nothing with ``--json``."""
        if not self.json:
            self._write_stdout("".join(self.render(line, self.stdout) + "\n" for line in lines
                                       if self.verbose or not line.detail))

    def render(self, line: Line, stream: Optional[TextIO]) -> str:
        """``line`` as it is printed on ``stream``, control characters made visible, without a newline."""
        sign = "" if line.mark is None else self.sign(line.mark, stream) + " "
        return ("  " * line.indent + sign + printable(line.text)).rstrip()

    def sign(self, mark: Mark, stream: Optional[TextIO]) -> str:
        """The mark as ``stream`` can show it."""
        if stream is None:
            return mark.value[1]
        text = mark.value[0] if can_show_signs(stream, self._environ) else mark.value[1]
        if is_terminal(stream) and not self._environ.get("NO_COLOR") and self._environ.get("TERM") != "dumb":
            return f"\033[{mark.value[2]}m{text}\033[0m"
        return text

    def error(self, error: MaintenanceError, exit_code: int) -> None:
        """One line on standard error; with ``--json`` the document ``{"error": ...}`` on standard output as well;
        with ``--debug`` the traceback before it."""
        if self.debug:
            self._write_stderr("".join(traceback.format_exception(type(error), error, error.__traceback__)))
        if self.json:
            document = {"error": {**error.as_dict(), "exit_code": exit_code}}
            with contextlib.suppress(DestinationError):
                self._write_stdout(json.dumps(document, indent=2, sort_keys=True) + "\n")
        self.tell(error)

    def tell(self, error: MaintenanceError) -> None:
        """The error as one line on standard error, beside a result that was shown."""
        self._write_stderr(f"{self.program}: {error}\n")

    def note(self, line: Line) -> None:
        """A line on standard error, beside the result."""
        self._write_stderr(self.render(line, self.stderr) + "\n")

    def prompt(self, text: str) -> None:
        """Asks on standard error, without a newline."""
        self._write_stderr(printable(text))

    def _write_stdout(self, text: str) -> None:
        if self.stdout is None:
            return
        try:
            self.stdout.write(text)
            self.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise DestinationError("standard output", error.strerror or str(error),
                                   "Send the output elsewhere") from error

    def _write_stderr(self, text: str) -> None:
        if self.stderr is None:
            return
        try:
            self.stderr.write(text)
            self.stderr.flush()
        except OSError:
            # Nothing is left to complain to; the exit code still tells.
            self.stderr = None


def standard_output(program: str, environ: Mapping[str, str]) -> Output:
    """The Output on this process's own streams."""
    return Output(program, stdout=sys.stdout, stderr=sys.stderr, environ=environ)
