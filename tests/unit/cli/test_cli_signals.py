# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals become exceptions, once."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import ExitStack

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.cli.signals import Stopped, StopSignals


@pytest.mark.parametrize("number, code, name", [
    (signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "SIGINT"), (signal.SIGHUP, 129, "SIGHUP"),
])
def test_the_first_signal_raises_and_cleaning_up_is_not_cut_short(number: int, code: int, name: str) -> None:
    before = signal.getsignal(number)
    signals = StopSignals()
    cleaned = []
    with ExitStack() as stack:
        caught = stack.enter_context(pytest.raises(Stopped))
        stack.enter_context(signals)
        try:
            os.kill(os.getpid(), number)
        finally:
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned.append(True)
    assert cleaned and (caught.value.exit_code, caught.value.name, signals.received) == (code, name, number)
    assert signal.getsignal(number) is before
    with pytest.raises(Stopped, match=f"stopped by {name}"):
        signals.check()


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
        assert signals.received is None and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


class Rude:
    """Gets the signal in its destructor, where Python drops every exception."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_dropped_exception_is_raised_once_more() -> None:
    ended = time.monotonic() + 60
    hook = sys.unraisablehook
    with pytest.raises(Stopped), StopSignals() as signals:
        rude = Rude()
        del rude
        while time.monotonic() < ended:
            pass
    assert signals.received == signal.SIGTERM and time.monotonic() < ended and sys.unraisablehook is hook


def test_what_else_is_dropped_goes_where_it_went() -> None:
    class Broken:
        def __del__(self) -> None:
            raise ValueError("in a destructor")

    seen = []
    hook = sys.unraisablehook
    sys.unraisablehook = lambda dropped: seen.append(dropped.exc_type)
    try:
        with StopSignals():
            broken = Broken()
            del broken
    finally:
        sys.unraisablehook = hook
    assert seen == [ValueError]


def test_a_second_signal_counts_when_the_first_led_nowhere() -> None:
    now = [0.0]
    with StopSignals(lambda: now[0]) as signals:
        for seconds, raised in ((0.0, True), (4.9, False), (5.0, True), (9.0, False)):
            now[0] = seconds
            stopped = False
            try:
                os.kill(os.getpid(), signal.SIGHUP)
            except Stopped:
                stopped = True
            assert stopped is raised
    assert signals.received == signal.SIGHUP
