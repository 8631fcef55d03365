# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress of a job: one line that is rewritten while a terminal looks on, else one line a phase with --verbose."""

from __future__ import annotations

import os
import time
from collections import deque
from types import TracebackType
from typing import Callable, Optional, TextIO

from ..errors import printable
from ..units import format_bytes, format_seconds
from .output import Line, Mark, Output, is_terminal

_REDRAW_SECONDS = 0.1
_RATE_WINDOW_SECONDS = 5.0
_CLEAR_LINE = "\r\033[K"


class ProgressLine:
    """Called by a job as ``progress(phase, done_bytes, total_bytes)`` (``units.Progress``); a context manager.

    With a terminal on standard error the running phase is one line with percent, rate and time left, and leaves no
    trace at the end. With ``--verbose`` each phase that ends leaves a line with its size and duration, on a terminal
    or not. Without either, nothing is written. A count that goes back begins the phase anew: the next archive, say.
    A standard error that went away silences it.
    """

    def __init__(self, output: Output, *, live: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._output = output
        self._live = live
        self._clock = clock
        self._phase: Optional[str] = None
        self._done = self._total = 0
        self._began = self._drawn = 0.0
        self._samples: deque[tuple[float, int]] = deque()
        self._dirty = False

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self._end_phase(failed=error is not None)

    def __call__(self, phase: str, done_bytes: int, total_bytes: int) -> None:
        now = self._clock()
        if phase != self._phase or done_bytes < self._done:
            self._end_phase(failed=False)
            self._phase, self._began, self._drawn = phase, now, float("-inf")
            self._samples.clear()
        self._done, self._total = done_bytes, total_bytes
        complete = 0 < total_bytes <= done_bytes
        if not self._live or (now - self._drawn < _REDRAW_SECONDS and not complete):
            return
        self._samples.append((now, done_bytes))
        while len(self._samples) > 2 and now - self._samples[0][0] > _RATE_WINDOW_SECONDS:
            self._samples.popleft()
        self._drawn = now
        self._draw(describe(phase, done_bytes, total_bytes, self._rate()))

    def _rate(self) -> Optional[float]:
        """Bytes per second over the last seconds; None while it cannot be told."""
        (then, before), (now, done) = self._samples[0], self._samples[-1]
        return (done - before) / (now - then) if now - then >= _REDRAW_SECONDS else None

    def _draw(self, text: str) -> None:
        stream = self._output.stderr
        if stream is None:
            return
        self._write(_CLEAR_LINE + printable(text)[:max(1, terminal_columns(stream) - 1)])
        self._dirty = True

    def _end_phase(self, *, failed: bool) -> None:
        if self._dirty:
            self._write(_CLEAR_LINE)
            self._dirty = False
        if self._phase is not None and self._output.verbose:
            took = format_seconds(self._clock() - self._began)
            if failed:
                at = f" at {percent(self._done, self._total)}" if self._total > 0 else ""
                self._output.note(Line(f"{self._phase}: stopped{at} after {took}", Mark.BAD))
            else:
                size = f"{format_bytes(self._done)} in " if self._done > 0 else ""
                self._output.note(Line(f"{self._phase}: {size}{took}", Mark.GOOD))
        self._phase = None

    def _write(self, text: str) -> None:
        stream = self._output.stderr
        if stream is None:
            return
        try:
            stream.write(text)
            stream.flush()
        except OSError:
            self._output.stderr = None


def progress_for(output: Output, term: Optional[str]) -> ProgressLine:
    """The progress that suits ``output``; ``term`` is the environment's TERM."""
    return ProgressLine(output, live=is_terminal(output.stderr) and term != "dumb")


def percent(done: int, total: int) -> str:
    """``42 %``; 100 only when all is done."""
    return f"{min(done, total) * 100 // total} %"


def describe(phase: str, done: int, total: int, rate: Optional[float]) -> str:
    """The line of a running phase; ``rate`` in bytes per second."""
    parts = [phase]
    if total > 0:
        parts += [percent(done, total), f"{format_bytes(done)} of {format_bytes(total)}"]
    elif done > 0:
        parts.append(format_bytes(done))
    if rate:
        parts.append(f"{format_bytes(int(rate))}/s")
        if total > done:
            parts.append(f"{format_seconds((total - done) / rate)} left")
    return "  ".join(parts)


def terminal_columns(stream: TextIO) -> int:
    """Columns of the terminal behind ``stream``; 80 when it does not say."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
