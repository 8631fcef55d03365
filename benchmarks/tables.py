# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables as text and as Markdown, from one list of rows."""

from __future__ import annotations

from collections.abc import Sequence

from .figures import Summary, ratio
from .results import Results
from .subjects import FIRST, RESTORE, RESTORE_CHAIN, VERIFY, after
from .writers import ALONE, BESIDE

Row = Sequence[str]
OPERATIONS = (FIRST, after("scattered"), after("clustered"), RESTORE, RESTORE_CHAIN, VERIFY)
REFERENCES = ("administrator", "restic")
HEADER = ("operation", "subject", "seconds", "from", "to", "check", "MB written", "peak MiB",
          *(f"time : {name}" for name in REFERENCES), "bytes : restic")
NONE = "-"


def size_rows(results: Results, megabytes: float) -> list[Row]:
    """One row for each operation of each subject at this size, in the order in which they were measured."""
    summaries = results.summaries()
    subjects = list(dict.fromkeys(subject for size, subject, _operation in [*summaries, *results.skipped]
                                  if size == megabytes))
    rows: list[Row] = []
    for operation in OPERATIONS:
        for subject in sorted(subjects, key=lambda name: (name.startswith("ours"), name)):
            key = (megabytes, subject, operation)
            if key in summaries:
                references = [summaries.get((megabytes, name, operation)) for name in REFERENCES]
                rows.append(_row(operation, subject, summaries[key], references))
            elif key in results.skipped:
                rows.append((operation, subject, f"not measured: {results.skipped[key]}"))
    return rows


def _row(operation: str, subject: str, found: Summary, references: Sequence[Summary | None]) -> Row:
    restic = references[REFERENCES.index("restic")]
    return (operation, subject, f"{found.seconds:.2f}", f"{found.least_seconds:.2f}", f"{found.most_seconds:.2f}",
            _text(found.check_seconds), _text(None if found.bytes is None else found.bytes / 1e6, 1),
            f"{found.max_rss_bytes / (1 << 20):.0f}",
            *(_text(ratio(found.seconds, reference.seconds if reference else None)) for reference in references),
            _text(ratio(found.bytes, restic.bytes if restic else None)))


def _text(value: float | None, digits: int = 2) -> str:
    return NONE if value is None else f"{value:.{digits}f}"


WRITER_HEADER = ("writer", "commits", "failed", "p50 ms", "p99 ms", "max ms", "longest checkpoint ms")


def writer_rows(results: Results) -> list[Row]:
    """One row for each case."""
    cases = (results.writers or {}).get("cases", {})
    return [(case, str(cases[case]["commits"]), str(cases[case]["failed"]), _text(cases[case]["p50_ms"]),
             _text(cases[case]["p99_ms"]), _text(cases[case]["max_ms"]), _text(cases[case]["checkpoint_max_ms"]))
            for case in (ALONE, BESIDE) if case in cases]


MONTH_HEADER = ("kept", "MB on day 1", "MB at the end", "at the end : restic")


def month_rows(results: Results) -> list[Row]:
    """One row for each way to back up daily."""
    by_arm = (results.month or {}).get("cumulative_bytes", {})
    restic = by_arm.get("restic", [None])[-1]
    rows: list[Row] = [(arm, _text(by_day[0] / 1e6, 1), _text(by_day[-1] / 1e6, 1), _text(ratio(by_day[-1], restic)))
                       for arm, by_day in by_arm.items()]
    return rows + [(arm, f"not measured: {reason}") for arm, reason in (results.month or {}).get("skipped", {}).items()]


def as_text(header: Row, rows: Sequence[Row]) -> str:
    """Columns of equal width; a row that is short ends in a remark."""
    full = [row for row in [header, *rows] if len(row) == len(header)]
    widths = [max(len(row[column]) for row in full) for column in range(len(header))]
    for row in rows:
        widths[0] = max(widths[0], len(row[0]))
    return "\n".join("  ".join(cell.ljust(widths[column]) if column < len(row) - 1 else cell
                               for column, cell in enumerate(row)).rstrip() for row in [header, *rows])


def as_markdown(header: Row, rows: Sequence[Row]) -> str:
    """The same as a table of Markdown."""
    lines = [header, ["---"] * len(header), *([*row, *[""] * (len(header) - len(row))] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
