# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd itself is asked when the filter's calendar events elapse; a brute-force cron walks the same minutes."""

from __future__ import annotations

import os
import re
import subprocess
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.plugin_utils.cron import to_oncalendar

BASE = datetime(2027, 12, 28, 21, 47)
DAY_NAMES = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
MONTH_NAMES = ["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]


def elapses(calendar: str, count: int) -> list[datetime]:
    """The next ``count`` instants after BASE at which systemd lets ``calendar`` elapse."""
    done = subprocess.run(
        ["systemd-analyze", "calendar", f"--base-time={BASE:%Y-%m-%d %H:%M:%S} UTC", f"--iterations={count}", calendar],
        check=True, capture_output=True, text=True, env={**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8"})
    return [datetime.strptime(found, "%Y-%m-%d %H:%M:%S")
            for found in re.findall(r"(?:Next elapse|Iteration #\d+|Iter\. #\d+): \w{3} (\S+ \S+) UTC", done.stdout)]


def member(text: str, number: int, lowest: int, highest: int, names: list[str]) -> bool:
    """Whether ``number`` belongs to the cron field ``text``."""
    for part in text.split(","):
        span, _slash, step = part.partition("/")
        ends = [lowest, highest] if span == "*" else [
            names.index(end) if end in names else int(end) for end in span.split("-")]
        if number in range(ends[0], ends[-1] + 1, int(step or 1)):
            return True
    return False


def cron_runs(expression: str, count: int) -> list[datetime]:
    """The next ``count`` minutes after BASE at which cron runs ``expression``, found by trying each minute."""
    minute, hour, day, month, weekday = expression.split()
    found: list[datetime] = []
    when = BASE
    while len(found) < count:
        when += timedelta(minutes=1)
        number = when.isoweekday() % 7
        if not (member(month, when.month, 1, 12, MONTH_NAMES) and member(day, when.day, 1, 31, [])
                and any(member(weekday, n, 0, 7, DAY_NAMES) for n in ({0, 7} if number == 0 else {number}))):
            when += timedelta(days=1) - timedelta(hours=when.hour, minutes=when.minute + 1)
            continue
        if member(hour, when.hour, 0, 23, []) and member(minute, when.minute, 0, 59, []):
            found.append(when)
    return found


@pytest.mark.parametrize("expression", [
    "0 2 * * *", "*/15 * * * *", "5-59/20 8-17 * * mon-fri", "0 3 * * sun", "0 3 * * 0,5-7", "0 3 * * */2",
    "30 4 1,15 * *", "0 0 31 * *", "0 0 1 jan-mar,oct *", "0 0 29 2 *", "0 0 */2 * 1", "59 23 28-31 12 *",
    "1 1-23/7 * */5 *", "0 4 8-14 * *",
])
def test_systemd_elapses_when_cron_runs(expression):
    calendar, = to_oncalendar(expression)
    assert elapses(calendar, 12) == cron_runs(expression, 12)


def field(lowest: int, highest: int) -> st.SearchStrategy[str]:
    """Texts that cron takes for a field of these numbers."""
    number = st.integers(lowest, highest)
    span = st.tuples(number, number).map(lambda ends: f"{min(ends)}-{max(ends)}")
    step = st.integers(1, 12)
    part = st.one_of(number.map(str), span, st.builds("{}/{}".format, span, step), st.builds("*/{}".format, step))
    return st.one_of(st.just("*"), part, st.lists(number.map(str), min_size=1, max_size=5).map(",".join), span)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(minute=field(0, 59), hour=field(0, 23), day=field(1, 28), month=field(1, 12), weekday=field(0, 7),
       by_weekday=st.booleans())
def test_any_expression_elapses_when_cron_runs(minute, hour, day, month, weekday, by_weekday):
    expression = f"{minute} {hour} {'*' if by_weekday else day} {month} {weekday if by_weekday else '*'}"
    calendar, = to_oncalendar(expression)
    assert elapses(calendar, 5) == cron_runs(expression, 5)
