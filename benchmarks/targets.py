# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmark must show, and whether it did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .data import PATTERNS
from .figures import Summaries, ratio
from .month import MONTHLY, WEEKLY
from .results import Results
from .subjects import FIRST, RESTORE, RESTORE_CHAIN, after
from .writers import ALONE, BESIDE

MIB = 1 << 20
MEMORY_LIMIT_MIB = 64
ADDED_LIMITS = {"scattered": 0.25, "clustered": 0.12}
MET, NOT_MET, UNKNOWN = "met", "NOT met", "not measured"


@dataclass(frozen=True)
class Verdict:
    """``value`` is met when it is at most ``limit``; None with a ``reason`` when it was not measured."""

    target: str
    limit: float
    value: float | None
    unit: str = "x"
    reason: str = ""

    @property
    def result(self) -> str:
        """One of the three words."""
        if self.value is None:
            return UNKNOWN
        return MET if self.value <= self.limit else NOT_MET

    def line(self) -> str:
        """The verdict in one line."""
        if self.value is None:
            return f"{self.result}: {self.target}: {self.reason or 'no figures'}"
        return (f"{self.result}: {self.target}: {number(self.value)} {self.unit} "
                f"(at most {number(self.limit)} {self.unit})")


def number(value: float) -> str:
    """Two digits behind the point; whole numbers without."""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.2f}"


def verdicts(results: Results) -> list[Verdict]:
    """Every target, judged at the reference size where a size matters."""
    size = results.reference()
    judged: list[Verdict] = []
    if size is not None:
        judge = _Judge(results, results.summaries(), size)
        judged += [*judge.fulls(), *judge.increments(), *judge.restores()]
    return [*judged, *_month(results), *_memory(results), *_writers(results), *_fleet(results)]


@dataclass(frozen=True)
class _Judge:
    """Ratios of medians at one size."""

    results: Results
    summaries: Summaries
    size: float

    def fulls(self) -> Iterator[Verdict]:
        yield self._seconds("full, gzip 6", "ours gzip", FIRST, "administrator", FIRST, 0.60)
        yield self._seconds("full, gzip 6", "ours gzip", FIRST, "pigz", FIRST, 1.20)
        yield self._seconds("full, zstd", "ours zstd", FIRST, "restic", FIRST, 1.0)
        yield self._seconds("full, zstd", "ours zstd", FIRST, "borg", FIRST, 1.0)
        yield self._seconds("full, zstd", "ours zstd", FIRST, "administrator", FIRST, 0.20)

    def increments(self) -> Iterator[Verdict]:
        for pattern in PATTERNS:
            for method in ("gzip", "zstd"):
                ours = f"ours {method}"
                yield self._compare(f"increment, {pattern}, {method}: bytes against restic's", "bytes", ours,
                                    after(pattern), "restic", after(pattern), ADDED_LIMITS[pattern])
        for pattern in PATTERNS:
            yield self._seconds(f"increment, {pattern}, zstd", "ours zstd", after(pattern), "restic", after(pattern),
                                1.2)

    def restores(self) -> Iterator[Verdict]:
        for method in ("gzip", "zstd"):
            ours = f"ours {method}"
            yield self._seconds(f"restore of a full, {method}", ours, RESTORE, "restic", RESTORE, 1.0)
            yield self._seconds(f"restore of the longest chain, {method}", ours, RESTORE_CHAIN, "restic", RESTORE, 1.5)

    def _seconds(self, what: str, ours: str, operation: str, other: str, other_operation: str,
                 limit: float) -> Verdict:
        return self._compare(f"{what}: time against {other}, {other_operation}", "seconds", ours, operation, other,
                             other_operation, limit)

    def _compare(self, target: str, field: str, ours: str, operation: str, other: str, other_operation: str,
                 limit: float) -> Verdict:
        keys = [(self.size, ours, operation), (self.size, other, other_operation)]
        values = [getattr(self.summaries[key], field) if key in self.summaries else None for key in keys]
        reasons = [f"{key[1]}: {self.results.skipped[key]}" for key in keys if key in self.results.skipped]
        return Verdict(target, limit, ratio(*values), reason="; ".join(reasons))


def _month(results: Results) -> Iterator[Verdict]:
    month = results.month or {"days": 30, "cumulative_bytes": {}, "skipped": {}}
    totals = {name: by_day[-1] for name, by_day in month["cumulative_bytes"].items()}
    for arm, limit in ((WEEKLY, 0.4), (MONTHLY, 0.3)):
        for peer in ("restic", "borg"):
            reasons = [f"{name}: {month['skipped'][name]}" for name in (arm, peer) if name in month["skipped"]]
            yield Verdict(f"{month['days']} days of 1 %, {arm}: bytes against {peer}", limit,
                          ratio(totals.get(arm), totals.get(peer)),
                          reason="; ".join(reasons) or results.not_measured.get("month", ""))


def over_baseline(results: Results, megabytes: float) -> float | None:
    """The peak memory of our jobs at this size over the bare interpreter's, in bytes: the greatest of the medians."""
    peaks = [summary.max_rss_bytes for (size, subject, _operation), summary in results.summaries().items()
             if size == megabytes and subject.startswith("ours ")]
    return max(peaks) - results.baseline_rss_bytes if peaks and results.baseline_rss_bytes is not None else None


def _memory(results: Results) -> Iterator[Verdict]:
    for size in results.sizes():
        over = over_baseline(results, size)
        yield Verdict(f"peak memory at {size:g} MB over Python's own", MEMORY_LIMIT_MIB,
                      None if over is None else over / MIB, "MiB")


def _writers(results: Results) -> Iterator[Verdict]:
    cases = (results.writers or {}).get("cases", {})
    beside, alone = cases.get(BESIDE, {}), cases.get(ALONE, {})
    reason = results.not_measured.get("writers", "")
    yield Verdict("writers' p99 beside a backup against alone", 2.0, ratio(beside.get("p99_ms"), alone.get("p99_ms")),
                  reason=reason)
    yield Verdict("writes that failed beside a backup", 0, beside.get("failed"), "writes", reason=reason)


def _fleet(results: Results) -> Iterator[Verdict]:
    for one in results.fleet:
        yield Verdict(**one)
    if not results.fleet:
        yield Verdict("a no-change site.yml on 1, 4 and 16 hosts", 0, None,
                      reason=results.not_measured.get("fleet", "no booted hosts were measured"))
