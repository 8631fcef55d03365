# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One page for many hosts, from what the monitor of each wrote: other machines, so that any of it may be wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Optional
from urllib.parse import quote

from ..errors import UsageError
from ..jobs.report import CRITICAL, LEVEL_NAMES, OK, UNKNOWN, WARNING, worst
from ..units import format_seconds, iso, parse_time
from .dashboard_parts import Row, badge, document, section, table, text, words, written
from .dashboard_style import STALE_SECONDS

_CLOCK_SECONDS = 300
_MOST_PROBLEMS = 100
_STALE = "this is how the hosts were then, and not how they are: fetch it again."
_TEXT_CHARACTERS = 300


@dataclass(frozen=True)
class _Host:
    """``level`` None: it gave no word, and ``words`` say why."""

    name: str
    level: Optional[int]
    application: str
    words: str
    written_at: Optional[datetime]
    backup_at: Optional[datetime]
    verified_at: Optional[datetime]
    problems: tuple[tuple[str, int, str], ...]


def fleet(pages: Sequence[tuple[str, Optional[Mapping[str, Any]]]], now: datetime) -> str:
    """The page for ``pages``: the names of hosts with what ``dashboard.summary`` gave on each, None where there is
    nothing. A host whose word is missing, cannot be understood, or is older than STALE_SECONDS or of the future gave
    no word: it is never shown as well. Each that ever gave one is linked to ``<host>.html``. Times are in UTC."""
    now = now.astimezone(timezone.utc)
    hosts = sorted((_host(name, given, now) for name, given in pages), key=lambda host: (-_weight(host), host.name))
    level = worst(UNKNOWN if host.level is None else host.level for host in hosts)
    tally = _tally(hosts)
    rows = [_row(host, now) for host in hosts]
    heads = ("Host", "State", "What", "Last good backup", "Last word")
    listed = (table("The worst come first. Times are in UTC.", heads, rows, style="stacked five") if rows
              else "<p>There is no host.</p>")
    return document(
        "all hosts", level,
        f'<h1>All hosts</h1>\n<p class="lead">{badge(level)} <span>{text(tally)}</span></p>\n{written(now, _STALE)}',
        section("hosts", "Hosts", f'<div class="card">{listed}</div>')
        + section("findings", "What is not well", _problems(hosts)),
        "A host that gave no word for 15 minutes is never counted as well.")


def _tally(hosts: Sequence[_Host]) -> str:
    names = ((OK, "well"), (WARNING, "with a warning"), (CRITICAL, "critical"), (UNKNOWN, "unknown"),
             (None, "without a word"))
    counts = [(sum(1 for host in hosts if host.level == level), told) for level, told in names]
    return f"{len(hosts)} hosts: " + (", ".join(f"{number} {told}" for number, told in counts if number) or "none")


def _row(host: _Host, now: datetime) -> Row:
    name = words(host.name)
    linked = f'<a href="{quote(host.name, safe="")}.html">{name}</a>' if host.written_at is not None else name
    application = f"<br><span class=muted>{text(host.application)}</span>" if host.application else ""
    shown = badge(host.level) if host.level is not None else badge(None, "No word")
    verified = f"verified {_ago(host.verified_at, now)}" if host.verified_at else "not known to restore"
    backup = (f"{_ago(host.backup_at, now)}<br><span class=muted>{verified}</span>" if host.backup_at
              else '<span class="muted">unknown</span>')
    backup = f'<span class="label">Backup </span>{backup}'
    last = '<span class="label">Last word </span>' + (_ago(host.written_at, now) if host.written_at else "never")
    return Row((linked + application, shown, words(host.words), backup, last))


def _problems(hosts: Sequence[_Host]) -> str:
    rows = [Row((words(host.name), badge(level), f"{words(title)}: {words(told)}"))
            for host in hosts for title, level, told in host.problems if host.level is not None]
    silent = sum(1 for host in hosts if host.level is None)
    more = f" {len(rows) - _MOST_PROBLEMS} more are left out." if len(rows) > _MOST_PROBLEMS else ""
    unknown = f" Of {silent} hosts nothing is known." if silent else ""
    if not rows:
        return f'<p class="card">{"Nothing that is known of." if hosts else "Nothing is known."}{unknown}</p>'
    return '<div class="card">' + table(f"Findings that are not OK.{more}{unknown}", ("Host", "State", "Found"),
                                        rows[:_MOST_PROBLEMS], style="stacked") + "</div>"


def _host(name: str, given: Optional[Mapping[str, Any]], now: datetime) -> _Host:
    nothing = _Host(name, None, "", "it wrote nothing that could be fetched", None, None, None, ())
    if not isinstance(given, Mapping):
        return nothing
    written_at = _time(given.get("written_at"))
    level = _level(given.get("state"))
    if written_at is None or level is None:
        return _Host(name, None, "", "what it wrote cannot be understood", None, None, None, ())
    age = (now - written_at).total_seconds()
    told = _text(given.get("summary"))
    if age > STALE_SECONDS:
        level, told = None, f"its monitor has been silent for {format_seconds(age)}; its last word: {told or 'nothing'}"
    elif age < -_CLOCK_SECONDS:
        level, told = None, f"its clock is {format_seconds(-age)} ahead"
    return _Host(name, level, _text(given.get("application")), told, written_at, _time(given.get("last_backup_at")),
                 _time(given.get("last_verified_at")), _findings(given.get("checks")))


def _findings(given: Any) -> tuple[tuple[str, int, str], ...]:
    found = []
    for name, check in given.items() if isinstance(given, Mapping) else ():
        check = check if isinstance(check, Mapping) else {}
        level = _level(check.get("state"))
        if level != OK and check.get("silent") is not True:
            found.append((_text(check.get("title")) or _text(name), UNKNOWN if level is None else level,
                          _text(check.get("text"))))
    return tuple(found)


def _weight(host: _Host) -> int:
    return (OK, WARNING, UNKNOWN, None, CRITICAL).index(host.level)


def _level(given: Any) -> Optional[int]:
    return LEVEL_NAMES.index(given) if isinstance(given, str) and given in LEVEL_NAMES else None


def _text(given: Any) -> str:
    return given[:_TEXT_CHARACTERS] if isinstance(given, str) else ""


def _time(given: Any) -> Optional[datetime]:
    try:
        return parse_time(given) if isinstance(given, str) else None
    except (UsageError, OverflowError):
        return None


def _ago(when: Optional[datetime], now: datetime) -> str:
    if when is None:
        return "unknown"
    seconds = (now - when).total_seconds()
    told = ("just now" if abs(seconds) < 60 else f"{format_seconds(seconds)} ago" if seconds > 0
            else f"in {format_seconds(-seconds)}")
    return f'<time datetime="{iso(when)}">{told}</time>'
