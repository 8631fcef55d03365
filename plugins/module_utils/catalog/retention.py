# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which archives may go: a pure decision, made so that a wrong clock or a run of failures costs no good archive.

Age alone never empties a directory. Of each kind these stay whatever the clock says: the newest ``keep_last``
verified archives (where there are fewer, the newest that were never judged make up the number), the newest of all,
and, as long as none is verified, the damaged ones too. An increment counts as verified only with everything that it
needs, and what a kept archive needs is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Optional

from ..errors import UsageError
from ..units import format_seconds, iso
from .entries import Entry, by_sequence, by_stamp, order_entries

_DAY_SECONDS = 86400
_FUTURE_TOLERANCE = timedelta(days=1)
_LEAST_GAP_DAYS = 62
"""A kind that is made once a month is pruned as well."""


@dataclass(frozen=True)
class RetentionPlan:
    """``remove`` and ``keep`` (with the reason) hold every entry once, oldest first.

    ``refused`` is None, or why nothing is removed although nothing forbids it but the clock.
    """

    remove: tuple[Entry, ...]
    keep: tuple[tuple[Entry, str], ...]
    refused: Optional[str]


def plan_retention(entries: Iterable[Entry], *, now: datetime, retention_days: int, keep_last: int,
                   last_run_at: Optional[datetime] = None, protected: Collection[str] = ()) -> RetentionPlan:
    """Decides for archives of one directory.

    ``retention_days``: an archive up to this age stays; 0 keeps all for ever. ``last_run_at``: the run before
    this one, for noticing that the clock jumped. ``protected``: names that stay. Instants are aware. Raises
    UsageError.
    """
    if retention_days < 0:
        raise UsageError("retention_days", f"{retention_days} is less than 0", "Use a number of days, 0 to keep all")
    if keep_last < 1:
        raise UsageError("keep_last", f"{keep_last} is less than 1", "Use 1 or more, since one archive always stays")
    ordered = order_entries(entries)
    if retention_days == 0:
        return RetentionPlan((), tuple((entry, "kept for ever (retention_days is 0)") for entry in ordered), None)
    refused = _clock_problem(ordered, now, retention_days, last_run_at)
    if refused is not None:
        return RetentionPlan((), tuple((entry, "the clock is not trusted") for entry in ordered), refused)
    reasons: dict[str, str] = {}
    for kind in sorted({(entry.application, entry.kind) for entry in ordered}):
        members = [entry for entry in ordered if (entry.application, entry.kind) == kind]
        reasons.update(_reasons(members, now, retention_days, keep_last, protected))
    return RetentionPlan(
        remove=tuple(entry for entry in ordered if entry.path not in reasons),
        keep=tuple((entry, reasons[entry.path]) for entry in ordered if entry.path in reasons),
        refused=None,
    )


def _clock_problem(entries: Sequence[Entry], now: datetime, retention_days: int,
                   last_run_at: Optional[datetime]) -> Optional[str]:
    newest = max(entries, key=lambda entry: entry.stamp, default=None)
    if newest is not None and newest.stamp - now > _FUTURE_TOLERANCE:
        return (f"the archive {newest.path} is from {iso(newest.stamp)}, and the clock says {iso(now)}: nothing is "
                "removed until the clock is set right, or that archive is moved away if its time is wrong")
    if last_run_at is None:
        return None
    if last_run_at - now > _FUTURE_TOLERANCE:
        return (f"the last run was at {iso(last_run_at)}, and the clock says {iso(now)}: "
                "nothing is removed until the clock is set right")
    gap_seconds = (now - last_run_at).total_seconds()
    if gap_seconds > max(retention_days, _LEAST_GAP_DAYS) * _DAY_SECONDS:
        return (f"{format_seconds(gap_seconds)} have passed by the clock since the last run at {iso(last_run_at)}: "
                "nothing is removed in this run; check the clock")
    return None


def _reasons(members: Sequence[Entry], now: datetime, retention_days: int, keep_last: int,
             protected: Collection[str]) -> dict[str, str]:
    """For the archives of one kind: why those that stay do, by path.

    The two groups (sequence known or not) are judged apart: what is removed then never changes the order of what
    is left, so that a second run removes nothing more.
    """
    groups = [by_sequence(members), by_stamp(members)]
    good = _restorable(members)
    verified = len(good)
    missing = max(0, keep_last - verified)
    reasons: dict[str, str] = {}

    def keep(kept: Iterable[Entry], reason: str) -> None:
        for entry in kept:
            reasons.setdefault(entry.path, reason)

    for group in groups:
        keep(group[-1:], "the newest")
        keep([e for e in group if e.path in good][-keep_last:], f"one of the newest {keep_last} that are verified")
        keep([e for e in group if e.name in protected], "protected")
        keep(_young(group, now, retention_days), f"not older than {retention_days} days")
        if missing:
            unjudged = [e for e in group if e.path not in good and not e.damaged]
            keep(unjudged[-missing:], f"not verified, kept because fewer than {keep_last} are verified")
        if not verified:
            keep([e for e in group if e.damaged], "damaged, kept because none is verified")
    _keep_what_is_needed(members, reasons)
    return reasons


def _restorable(members: Sequence[Entry]) -> set[str]:
    """Paths of the archives that are verified with every archive that they need."""
    by_name = {entry.name: entry for entry in members}
    good: set[str] = set()
    # A base has a lower sequence than what is made on it.
    for entry in by_sequence(members):
        base = by_name.get(entry.base) if entry.base is not None else None
        if entry.verified and (entry.base is None or (base is not None and base.path in good)):
            good.add(entry.path)
    return good


def _keep_what_is_needed(members: Sequence[Entry], reasons: dict[str, str]) -> None:
    by_name = {entry.name: entry for entry in members}
    for entry in by_sequence(members)[::-1]:
        base = by_name.get(entry.base) if entry.base is not None else None
        if entry.path in reasons and base is not None:
            reasons.setdefault(base.path, f"needed by {entry.name}")
    # The last that nothing is known of, not even whether it is an increment: it was made on something older.
    for unknown in by_stamp(members)[-1:]:
        for entry in members:
            if entry.kind == "database" and entry.stamp < unknown.stamp and unknown.path in reasons:
                reasons.setdefault(entry.path, f"perhaps needed by {unknown.name}, of which nothing is known")


def _young(group: Sequence[Entry], now: datetime, retention_days: int) -> list[Entry]:
    """Those up to the age: one that follows a younger stamp by sequence was made later than its own clock said."""
    young: list[Entry] = []
    reached = now
    for place, entry in enumerate(group):
        follows = place > 0 and entry.sequence is not None
        reached = max(entry.stamp, reached) if follows else entry.stamp
        if (now - reached).total_seconds() <= retention_days * _DAY_SECONDS:
            young.append(entry)
    return young
