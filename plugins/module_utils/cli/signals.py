# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals as exceptions, so that every context manager on the way out cleans up."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Optional

CLEANING_SECONDS = 5.0

_AGAIN_SECONDS = 0.01
_HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """The process was asked to stop. A BaseException, so that no handler of ordinary errors keeps it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number

    def __str__(self) -> str:
        return f"stopped by {self.name}"

    @property
    def exit_code(self) -> int:
        """128 and the signal's number, as a shell reports it: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.signal_number

    @property
    def name(self) -> str:
        """``SIGTERM`` and the like."""
        return signal.Signals(self.signal_number).name


class StopSignals:
    """Context manager: SIGINT, SIGTERM and SIGHUP raise Stopped in the main thread.

    Further signals are ignored for some seconds, because they would cut the cleaning up short. A signal that the
    parent set to be ignored (nohup) stays so. Python drops an exception that is raised in a destructor or a callback
    (``sys.unraisablehook``): it is raised once more a moment later. ``received`` is the number of the first signal.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.received: Optional[int] = None
        self._clock = clock
        self._raised_at = float("-inf")
        self._before: dict[int, Any] = {}
        self._hook = sys.unraisablehook

    def __enter__(self) -> StopSignals:
        for number in _HANDLED:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._stop)
        self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._again)
        self._hook, sys.unraisablehook = sys.unraisablehook, self._dropped
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = self._hook
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raises Stopped where a signal came and its exception was lost on the way."""
        if self.received is not None:
            raise Stopped(self.received)

    def _stop(self, number: int, frame: Optional[FrameType]) -> None:
        now = self._clock()
        if now - self._raised_at >= CLEANING_SECONDS:
            self._raised_at = now
            self.received = self.received or number
            raise Stopped(self.received)

    def _again(self, number: int, frame: Optional[FrameType]) -> None:
        self.check()

    def _dropped(self, dropped: sys.UnraisableHookArgs) -> None:
        if isinstance(dropped.exc_value, Stopped):
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
        else:
            self._hook(dropped)
