# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals become exceptions, once."""

from __future__ import annotations

import os
import signal

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.cli.signals import Stopped, StopSignals


@pytest.mark.parametrize("number, code, name", [
    (signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "SIGINT"), (signal.SIGHUP, 129, "SIGHUP"),
])
def test_the_first_signal_raises_and_cleaning_up_is_not_cut_short(number: int, code: int, name: str) -> None:
    before = signal.getsignal(number)
    signals = StopSignals()
    cleaned = []
    with pytest.raises(Stopped) as caught, signals:
        try:
            os.kill(os.getpid(), number)
        finally:
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned.append(True)
    assert cleaned and (caught.value.exit_code, caught.value.name, signals.received) == (code, name, number)
    assert signal.getsignal(number) is before


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
        assert signals.received is None and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
