# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/performance.md, made from the results."""

from __future__ import annotations

from collections.abc import Sequence

from .data import CLASS_ROWS
from .figures import Summary
from .results import Results
from .subjects import FIRST, RESTORE
from .tables import (
    HEADER,
    MONTH_HEADER,
    WRITER_HEADER,
    as_markdown,
    as_text,
    month_rows,
    size_rows,
    writer_rows,
)
from .targets import Verdict, number, over_baseline, verdicts
from .writers import ALONE, BESIDE

TEMPLATE = """\
# Performance

Made by `make bench`, not by hand. Every figure is the median of {rounds} runs. The subjects of one size took turns in
one run on the same data, so that ratios hold where seconds do not.

## Targets

Judged at {reference}.

{targets}

### Where a target is not met

{limits}

## Measured on

{machine}

## How it was measured

- Databases of {sizes}, seeded: users, drafts, model runs and feedback items in the row shapes of FeedForward, with
  text of which gzip 6 makes about 2.6:1. Most bytes are in essays of some kilobytes, most rows are remarks of some
  hundred bytes. WAL mode, pages of 4096 bytes.
- A change is 1 % of the rows of each table with new text. *Scattered* takes rows at random; *clustered* takes runs of
  {class_rows} neighbours, as a class that hands in together, at random places.
- `administrator`: `sqlite3 .backup`, `gzip -6`, `openssl enc -aes-256-cbc -pbkdf2`, `sha256sum`, one after the other on
  files. `pigz`: the same with `pigz -6 -p 2`, streamed. `zstd`: the same with `zstd -3 -T2`, streamed. Their restores
  are `openssl enc -d` and the unpacking, streamed, and check nothing.
- `restic` and `borg` (zstd 3, repokey-blake2) read the database file itself, which is only safe while nobody writes.
  Their repositories are local and made beforehand. Each measured change starts from a copy of the repository after
  the first backup.
- `ours` is the command as it is installed on a host, at its default levels: gzip 6 and zstd 2. `ours gzip by isal` is
  the same where Python has the package `isal`, which a host's distribution may not have. A backup includes the
  snapshot, its full integrity check (the column "check", which runs beside the page digests), encryption, and reading
  the archive back. A restore includes the verification of the archive and the check of the restored database. Restored
  databases are compared with their source.
- The page cache is warm for all: caches cannot be dropped everywhere. `sync` runs before every measurement, so that
  none pays for the pages that another one left dirty.
- "MB written" is what the repository or directory grew by. "Peak MiB" is the greatest resident size of one process.

{size_tables}

![Time of the first backup against size](performance/time.svg)

![Time after a change against size](performance/time-after-change.svg)

![Bytes added after a change against size](performance/bytes.svg)

## Check

{check}

## Memory

{memory}

![Peak memory against size](performance/memory.svg)

## Writers

One writer commits 50 small rows a second in WAL mode with a busy timeout of 100 ms and `synchronous=FULL`, alone and
beside backups (gzip 6) at `nice -n 10`, `ionice -c 2 -n 7`, as the role installs them. A checkpoint delays the commit
that makes it: the longest stands apart.

{writers}

## Thirty days

Every day 1 % of the rows change, scattered, and everyone backs up. Nothing is removed. Archives of ours are gzip 6.

{month}

![Bytes kept over thirty days](performance/month.svg)

## To repeat it

    make bench-fleet        # the hosts, about a quarter of an hour, as root; its figures go on this page
    make bench              # every size, about an hour; writes this page
    make bench SIZE=10      # a quick look at one size; this page stays
    make bench RUNS=9       # more rounds

As root on Debian it installs the peers; one that is missing is said to be missing. `BENCH_DIR` names the scratch
directory (default `.build/bench/work`), `BENCH_PYTHON` the Python that runs our command. The figures are in
`.build/bench/results.json`.
"""


def page(results: Results) -> str:
    """The whole page."""
    reference = results.reference()
    return TEMPLATE.format(
        rounds=results.rounds, reference=f"{reference:g} MB" if reference else "no size", class_rows=CLASS_ROWS,
        targets=target_table(verdicts(results)), limits=_limits(results), machine=_machine(results),
        sizes=", ".join(f"{size:g} MB" for size in results.sizes()),
        size_tables="\n\n".join(f"## {size:g} MB\n\n{as_markdown(HEADER, size_rows(results, size))}"
                                for size in results.sizes()),
        check=_check(results), memory=_memory(results),
        writers=_part(results, "writers", WRITER_HEADER, writer_rows(results)),
        month=_part(results, "month", MONTH_HEADER, month_rows(results)))


def _limits(results: Results) -> str:
    """What bounds a figure, with the measurement that shows it."""
    size, summaries = results.reference(), results.summaries()

    def seconds(subject: str, operation: str) -> str:
        found = summaries.get((size, subject, operation)) if size is not None else None
        return f"{found.seconds:.2f} s" if found else "not measured"

    cases = (results.writers or {}).get("cases", {})
    alone, beside = (cases.get(case, {}).get("p99_ms") for case in (ALONE, BESIDE))
    lines = [
        f"A restore of gzip is bound by zlib: `gzip -dc` behind `openssl enc -d` alone, which checks nothing, takes "
        f"{seconds('administrator', RESTORE)} and `pigz -dc` {seconds('pigz', RESTORE)}, where ours takes "
        f"{seconds('ours gzip', RESTORE)} with the verification and the check of the database; with isal "
        f"{seconds('ours gzip by isal', RESTORE)}, with zstd {seconds('ours zstd', RESTORE)}. restic, whose content "
        f"is zstd, takes {seconds('restic', RESTORE)}.",
    ]
    if alone and beside:
        lines.append(f"A writer's 99th percentile is {alone:.1f} ms alone and {beside:.1f} ms beside a backup. The "
                     "longest waits are commits whose fsync meets that of the finished archive, on the same disk. "
                     "`backup_workers: 1` leaves a core to the application.")
    for one in results.fleet:
        if "bare" in one["target"] and one["value"] is not None and one["value"] > one["limit"]:
            lines.append(f"A no-change run on one host takes {one['value']:.2f} x the time of its modules alone: the "
                         "rest is Ansible's own work on the controller for a play, its roles, templates and skipped "
                         "tasks, which further hosts share.")
    return "\n".join(f"- {line}" for line in lines)


def target_table(judged: Sequence[Verdict]) -> str:
    """The verdicts as a table of Markdown."""
    rows = [(one.target, f"{number(one.limit)} {one.unit}",
             one.reason or "-" if one.value is None else f"{number(one.value)} {one.unit}", one.result)
            for one in judged]
    return as_markdown(("target", "at most", "measured", ""), rows)


def text_report(results: Results) -> str:
    """What `make bench` prints at its end."""
    parts = [f"{size:g} MB\n{as_text(HEADER, size_rows(results, size))}" for size in results.sizes()]
    if results.writers:
        parts.append(as_text(WRITER_HEADER, writer_rows(results)))
    if results.month:
        parts.append(as_text(MONTH_HEADER, month_rows(results)))
    parts.append(_check(results))
    parts.append(_memory(results))
    parts.append("\n".join(one.line() for one in verdicts(results)))
    return "\n\n".join(parts)


def _machine(results: Results) -> str:
    facts = results.machine
    peers = ", ".join(f"{name} {version}" for name, version in facts.get("peers", {}).items())
    lines = [f"{facts.get('cores')} cores, {facts.get('processor')}, {facts.get('memory_gib')} GiB of memory",
             f"{facts.get('system')}, Linux {facts.get('kernel')}",
             "our command on " + ", ".join(f"{name} {version}" for name, version in facts.get("ours", {}).items()),
             f"peers: {peers}"]
    return "\n".join(f"- {line}" for line in lines)


def _check(results: Results) -> str:
    lines = [_check_line(size, subject, summary) for (size, subject, operation), summary in results.summaries().items()
             if operation == FIRST and summary.check_seconds is not None]
    return "\n".join(lines) or "Not measured."


def _check_line(size: float, subject: str, summary: Summary) -> str:
    seconds = summary.check_seconds or 0.0
    return (f"- {subject}, {size:g} MB: the check and the digests take {seconds:.2f} s of {summary.seconds:.2f} s, "
            f"{100 * seconds / summary.seconds:.0f} %")


def _memory(results: Results) -> str:
    if results.baseline_rss_bytes is None:
        return "Not measured."
    lines = [f"- Python with the libraries that the command needs, doing nothing: "
             f"{results.baseline_rss_bytes / (1 << 20):.1f} MiB"]
    for size in results.sizes():
        over = over_baseline(results, size)
        if over is not None:
            lines.append(f"- our jobs at {size:g} MB: {over / (1 << 20):.1f} MiB more")
    return "\n".join(lines)


def _part(results: Results, name: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return as_markdown(header, rows) if rows else f"Not measured: {results.not_measured.get(name, 'left out')}."
