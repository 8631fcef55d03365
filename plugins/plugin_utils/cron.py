# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A time in cron's syntax, said once more as systemd's calendar event.

Sources: crontab(5) of Debian's cron for the syntax that is read; systemd.time(7), "Calendar Events", for the
syntax that is written. What cron would silently misread (``5/15``, a range that runs backwards) is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class CronError(ValueError):
    """An expression that has no calendar event, or that cron itself would not take. One line, with the next step."""


@dataclass(frozen=True)
class _Field:
    title: str
    lowest: int
    highest: int
    names: dict[str, int]


_FIELDS = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of the month", 1, 31, {}),
    _Field("month", 1, 12, {name: number for number, name in enumerate(MONTHS, 1)}),
    _Field("day of the week", 0, 7, {name: number for number, name in enumerate(WEEKDAYS)}),
)


@dataclass(frozen=True)
class CronTime:
    """The values of each field; weekdays from 0 (Sunday) to 6. ``either_day``: cron runs when the day of the month
    *or* the day of the week matches, which it does when neither field begins with ``*``."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool


def parse_cron(expression: str) -> CronTime:
    """Reads five fields (minute, hour, day of the month, month, day of the week) or a nickname such as ``@daily``.

    Raises CronError.
    """
    text = " ".join(expression.split())
    if text.lower() == "@reboot":
        raise CronError("cron expression '@reboot': a boot is no calendar time. "
                        "Give a time, for instance '0 2 * * *' or '@daily'.")
    if text.startswith("@") and text.lower() not in NICKNAMES:
        raise CronError(f"cron expression '{text}': there is no such nickname. "
                        f"Use one of {', '.join(sorted(NICKNAMES))}, or five fields.")
    parts = NICKNAMES.get(text.lower(), text).split()
    if len(parts) != 5:
        raise CronError(f"cron expression '{text}': it has {len(parts)} fields instead of five. "
                        "Give minute, hour, day of the month, month and day of the week, for instance '0 2 * * *'.")
    minutes, hours, days, months, weekdays = (_values(text, part, field) for part, field in zip(parts, _FIELDS))
    return CronTime(minutes, hours, days, months, frozenset(day % 7 for day in weekdays),
                    either_day=not parts[2].startswith("*") and not parts[4].startswith("*"))


def to_oncalendar(expression: str) -> tuple[str, ...]:
    """The values for ``OnCalendar=`` that elapse exactly when cron would run. Raises CronError."""
    when = parse_cron(expression)
    text = " ".join(expression.split())
    if when.either_day:
        raise CronError(f"cron expression '{text}': cron runs it when the day of the month or the day of the week "
                        "matches, and OnCalendar only knows both. Restrict one of the two, or make two schedules.")
    if not any(day <= LONGEST_MONTHS[month - 1] for month in when.months for day in when.days):
        raise CronError(f"cron expression '{text}': no calendar has such a day, it would never run. "
                        "Correct the day of the month or the month.")
    date = f"*-{_render(when.months, 1, 12)}-{_render(when.days, 1, 31)}"
    time = f"{_render(when.hours, 0, 23)}:{_render(when.minutes, 0, 59)}:00"
    if len(when.weekdays) == 7:
        return (f"{date} {time}",)
    return (f"{_render_weekdays(when.weekdays)} {date} {time}",)


def _values(expression: str, text: str, field: _Field) -> frozenset[int]:
    values = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        step = 1
        if slash:
            if not _is_number(step_text) or int(step_text) < 1:
                raise _bad(expression, field, part, "the step after '/' is not a whole number from 1 up")
            step = int(step_text)
        if span == "*":
            first, last = field.lowest, field.highest
        else:
            start, dash, end = span.partition("-")
            first = _value(expression, start, field, part)
            last = _value(expression, end, field, part) if dash else first
            if slash and not dash:
                raise _bad(expression, field, part, "a step needs a range or '*' before it")
            if last < first:
                raise _bad(expression, field, part, "the range runs backwards")
        values.update(range(first, last + 1, step))
    return frozenset(values)


def _value(expression: str, text: str, field: _Field, part: str) -> int:
    if text.lower() in field.names:
        return field.names[text.lower()]
    if not _is_number(text):
        raise _bad(expression, field, part, "it is neither a number nor a name that cron knows")
    if not field.lowest <= int(text) <= field.highest:
        raise _bad(expression, field, part, f"numbers go from {field.lowest} to {field.highest}")
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _bad(expression: str, field: _Field, part: str, cause: str) -> CronError:
    return CronError(f"cron expression '{expression}', {field.title} '{part}': {cause}. Correct this field.")


def _render(values: frozenset[int], lowest: int, highest: int) -> str:
    ordered = sorted(values)
    if len(ordered) == highest - lowest + 1:
        return "*"
    steps = {later - earlier for earlier, later in zip(ordered, ordered[1:])}
    if len(ordered) > 2 and steps == {1}:
        return f"{ordered[0]:02}..{ordered[-1]:02}"
    if len(ordered) > 2 and len(steps) == 1 and ordered[-1] + min(steps) > highest:
        return f"{ordered[0]:02}/{min(steps)}"
    return ",".join(f"{value:02}" for value in ordered)


def _render_weekdays(weekdays: frozenset[int]) -> str:
    # systemd's week begins with Monday, so that a range may end with Sunday.
    ordered = sorted(day or 7 for day in weekdays)
    names = [WEEKDAYS[day % 7].capitalize() for day in ordered]
    if len(ordered) > 2 and ordered[-1] - ordered[0] == len(ordered) - 1:
        return f"{names[0]}..{names[-1]}"
    return ",".join(names)
