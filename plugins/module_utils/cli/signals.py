# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals as exceptions, so that every context manager on the way out cleans up."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any, Optional

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
    """Context manager: the first SIGINT, SIGTERM or SIGHUP raises Stopped in the main thread, later ones are
    ignored, because they would cut the cleaning up short. A signal that the parent set to be ignored (nohup) stays so.

    ``received`` is the number of the first signal, else None.
    """

    def __init__(self) -> None:
        self.received: Optional[int] = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        for number in _HANDLED:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, frame: Optional[FrameType]) -> None:
        if self.received is None:
            self.received = number
            raise Stopped(number)
