# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts, tables and the page, from invented results."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.feedforward.maintenance.benchmarks.figures import Measurement
from ansible_collections.feedforward.maintenance.benchmarks.page import page, text_report
from ansible_collections.feedforward.maintenance.benchmarks.results import Results, load_results
from ansible_collections.feedforward.maintenance.benchmarks.tables import HEADER, as_markdown, as_text, size_rows
from ansible_collections.feedforward.maintenance.benchmarks.targets import MIB, Verdict, verdicts

REASON = "the command does not know --strategy"


@pytest.fixture
def results() -> Results:
    """gzip of ours takes half of the administrator's time and twice that of pigz; nothing of ours knows increments."""
    made = Results(rounds=1, baseline_rss_bytes=30 * MIB)
    for megabytes in (10.0, 540.0):
        for subject, seconds, rss in (("administrator", 20.0, 9 * MIB), ("pigz", 5.0, 9 * MIB),
                                      ("restic", 4.0, 99 * MIB), ("ours gzip", 10.0, 40 * MIB)):
            made.measurements.append(Measurement(megabytes, subject, "first backup", 0, seconds, seconds, rss, 1000,
                                                 2.5 if subject == "ours gzip" else None))
        made.measurements.append(Measurement(megabytes, "restic", "after 1 % scattered", 0, 3.0, 3.0, 1, 800))
        made.skipped[megabytes, "ours gzip", "after 1 % scattered"] = REASON
    made.writers = {"megabytes": 540.0, "cases": {
        "alone": {"commits": 9, "failed": 0, "p50_ms": 1.0, "p99_ms": 2.0, "max_ms": 3.0, "checkpoint_max_ms": None},
        "beside a backup": {"commits": 9, "failed": 1, "p50_ms": 1.0, "p99_ms": 3.0, "max_ms": 9.0,
                            "checkpoint_max_ms": 8.0}}}
    made.month = {"megabytes": 50.0, "days": 30, "skipped": {"ours, monthly full": REASON, "borg": "borg not found"},
                  "cumulative_bytes": {"ours, weekly full": [100, 390], "restic": [100, 1000]}}
    return made


def judged(results: Results, target: str) -> Verdict:
    (found,) = [one for one in verdicts(results) if one.target == target]
    return found


@pytest.mark.parametrize(("target", "value", "result"), [
    ("full, gzip 6: time against administrator, first backup", 0.5, "met"),
    ("full, gzip 6: time against pigz, first backup", 2.0, "NOT met"),
    ("30 days of 1 %, ours, weekly full: bytes against restic", 0.39, "met"),
    ("peak memory at 540 MB over Python's own", 10.0, "met"),
    ("writers' p99 beside a backup against alone", 1.5, "met"),
    ("writes that failed beside a backup", 1, "NOT met"),
])
def test_what_was_measured_is_judged(results: Results, target: str, value: float, result: str) -> None:
    verdict = judged(results, target)
    assert verdict.value == pytest.approx(value)
    assert verdict.result == result
    assert verdict.line().startswith(f"{result}: {target}: ")


@pytest.mark.parametrize(("target", "reason"), [
    ("increment, scattered, gzip: bytes against restic's", f"ours gzip: {REASON}"),
    ("30 days of 1 %, ours, weekly full: bytes against borg", "borg: borg not found"),
    ("30 days of 1 %, ours, monthly full: bytes against restic", f"ours, monthly full: {REASON}"),
])
def test_what_was_not_measured_is_never_met(results: Results, target: str, reason: str) -> None:
    verdict = judged(results, target)
    assert verdict.result == "not measured"
    assert verdict.line() == f"not measured: {target}: {reason}"


def test_a_limit_is_met_when_it_is_reached() -> None:
    assert Verdict("a", 1.2, 1.2).result == "met"
    assert Verdict("a", 1.2, 1.2001).result == "NOT met"


def test_nothing_measured_meets_nothing() -> None:
    assert {one.result for one in verdicts(Results())} == {"not measured"}


@pytest.mark.parametrize(("sizes", "reference"), [((10.0, 540.0, 2000.0), 540.0), ((10.0,), 10.0), ((2000.0,), 2000.0),
                                                  ((10.0, 50.0, 2000.0), 50.0)])
def test_the_size_that_is_judged(sizes: tuple[float, ...], reference: float) -> None:
    measurements = [Measurement(size, "restic", "restore", 0, 1.0, 1.0, 1) for size in sizes]
    assert Results(measurements=measurements).reference() == reference


def test_rows_hold_ratios_and_reasons(results: Results) -> None:
    rows = {(row[0], row[1]): row for row in size_rows(results, 540.0)}
    ours = dict(zip(HEADER, rows["first backup", "ours gzip"]))
    assert (ours["seconds"], ours["check"], ours["time : administrator"], ours["time : restic"]) == (
        "10.00", "2.50", "0.50", "2.50")
    assert rows["after 1 % scattered", "ours gzip"][2] == f"not measured: {REASON}"


def test_tables_line_up() -> None:
    rows = [("a long one", "1"), ("b", "22")]
    assert as_text(("name", "n"), rows).splitlines() == ["name        n", "a long one  1", "b           22"]
    assert as_markdown(("name", "n"), [("b",)]).splitlines() == ["| name | n |", "| --- | --- |", "| b |  |"]


def test_results_survive_the_file(results: Results, tmp_path: Path) -> None:
    results.save(tmp_path / "results.json")
    assert load_results(tmp_path / "results.json") == results


def test_page_and_report_say_every_verdict(results: Results) -> None:
    whole, text = page(results), text_report(results)
    for verdict in verdicts(results):
        assert verdict.target in whole
        assert verdict.line() in text
    assert "{" not in whole
