# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The history: what was recorded comes back, what is old goes, and what is damaged is set aside."""

from __future__ import annotations

import datetime as dt
import os
import sqlite3

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.health import Finding
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.report import CRITICAL, OK, UNKNOWN, WARNING
from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor import history as history_module
from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor import history_rows
from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor.history import (
    DAMAGED_SUFFIX,
    Change,
    History,
    Hour,
    Told,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor.history_rows import HOUR_DAYS, POINT_DAYS
from ansible_collections.feedforward.maintenance.tests.unit.engine.monitor.dashboard_samples import (
    NOW,
    changed,
    report_of,
    well,
)

AGES = dt.timedelta(days=10_000)
EPOCH = int(NOW.timestamp())


def minutes(count: float) -> dt.datetime:
    """So long after NOW."""
    return NOW + dt.timedelta(minutes=count)


def cpu(value: float, level: int = OK, **counts: float) -> Finding:
    """One finding with a figure."""
    return Finding(level, "cpu", "CPU", f"{value}", {"busy_percent": value}, counts)


@pytest.fixture()
def path(tmp_path):
    return str(tmp_path / "history.db")


@pytest.fixture()
def history(path):
    with History(path) as opened:
        yield opened


def test_what_was_told_comes_back_and_is_bounded(history, monkeypatch):
    monkeypatch.setattr(history_rows, "_MOST_TOLD", 3)
    assert history.tell([(2, "CRITICAL", "Disk\n", "x" * 1000), (0, "RECOVERED", "CPU", "12 %")], NOW) == ""
    assert history.told(NOW) == [Told(EPOCH, 2, "CRITICAL", "Disk\\n", "x" * 300),
                                 Told(EPOCH, 0, "RECOVERED", "CPU", "12 %")]
    for number in range(3):
        history.tell([(1, "WARNING", "CPU", str(number))], minutes(number + 1))
    history.record(well(), minutes(9))
    assert [told.text for told in history.told(NOW - AGES)] == ["0", "1", "2"]
    assert history.told(minutes(3)) == [Told(EPOCH + 180, 1, "WARNING", "CPU", "2")]
    history.record(well(), NOW + dt.timedelta(days=HOUR_DAYS + 1))
    assert history.told(NOW - AGES) == []


def test_figures_come_back_in_their_order(history, path):
    for number in range(5):
        assert history.record(report_of([cpu(10.0 * number)]), minutes(5 * number)) == ""
    assert history.series("cpu", "busy_percent", NOW - AGES) == [(EPOCH + 300 * n, 10.0 * n) for n in range(5)]
    assert history.series("cpu", "busy_percent", minutes(12)) == [(EPOCH + 900, 30.0), (EPOCH + 1200, 40.0)]
    assert history.series("cpu", "load", NOW - AGES) == [] == history.series("memory", "busy_percent", NOW - AGES)
    assert history.begins() == EPOCH and history.runs(minutes(11)) == [(EPOCH + 900, OK), (EPOCH + 1200, OK)]
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_hours_and_days_have_means_and_largest_values(history):
    hour = EPOCH // 3600 * 3600
    for number, value in enumerate((2.0, 4.0, 9.0)):
        history.record(report_of([cpu(value)]), minutes(number))
    history.record(report_of([cpu(1.0)]), minutes(60))
    assert history.hourly("cpu", "busy_percent", NOW) == [Hour(hour, 5.0, 9.0), Hour(hour + 3600, 1.0, 1.0)]
    (day,) = history.daily("cpu", "busy_percent", NOW - AGES)
    assert (day.last, day.most, day.day) == (1.0, 9.0, NOW.astimezone().date())


def test_before_the_points_a_series_has_hours(history):
    old = NOW - dt.timedelta(days=POINT_DAYS + 2)
    history.record(report_of([cpu(20.0)]), old)
    history.record(report_of([cpu(40.0)]), old + dt.timedelta(minutes=5))
    history.record(report_of([cpu(7.0)]), NOW)
    hour = int(old.timestamp()) // 3600 * 3600
    assert history.series("cpu", "busy_percent", NOW - AGES) == [(hour, 30.0), (EPOCH, 7.0)]
    assert history.series("cpu", "busy_percent", NOW - dt.timedelta(days=1)) == [(EPOCH, 7.0)]


def test_a_run_twice_at_the_same_time_is_one(history):
    history.record(report_of([cpu(1.0)]), NOW)
    history.record(report_of([cpu(2.0)]), NOW)
    assert history.series("cpu", "busy_percent", NOW) == [(EPOCH, 2.0)] and len(history.runs(NOW)) == 1


def test_counts_are_kept_by_day(history):
    yesterday = NOW - dt.timedelta(days=1)
    history.record(report_of([cpu(1.0, OpenAI=3.0, Anthropic=1.0)]), yesterday)
    history.record(report_of([cpu(1.0, OpenAI=9.0)]), NOW)
    history.record(report_of([cpu(1.0, OpenAI=4.0)]), minutes(5))
    found = history.counts("cpu", NOW - AGES)
    assert [(day.last, day.most) for day in found["OpenAI"]] == [(3.0, 3.0), (4.0, 9.0)]
    assert [day.day for day in found["Anthropic"]] == [yesterday.astimezone().date()]
    assert list(history.counts("cpu", NOW)) == ["OpenAI"] and history.counts("memory", NOW - AGES) == {}


def test_states_are_changes(history):
    for number, level in enumerate((OK, OK, WARNING, WARNING, CRITICAL, OK)):
        history.record(report_of([cpu(float(number), level)]), minutes(5 * number))
    history.record(report_of([]), minutes(30))
    history.record(report_of([cpu(9.0, UNKNOWN)]), minutes(35))
    found = history.states(NOW - AGES)
    assert [(change.level, (change.at - EPOCH) // 300) for change in found] == [
        (OK, 0), (WARNING, 2), (CRITICAL, 4), (OK, 5), (None, 6), (UNKNOWN, 7)]
    assert found[1] == Change(EPOCH + 600, "cpu", WARNING, "CPU", "2.0")


def test_states_tell_what_held_at_their_beginning(history):
    history.record(report_of([cpu(1.0, CRITICAL), Finding(OK, "memory", "Memory", "")]), NOW)
    history.record(report_of([cpu(1.0), Finding(OK, "memory", "Memory", "")]), minutes(10))
    found = [(one.check, one.level) for one in history.states(minutes(5))]
    assert found == [("cpu", CRITICAL), ("memory", OK), ("cpu", OK)]


def test_what_is_no_number_or_no_text_does_no_harm(history):
    odd = Finding(WARNING, "storage /\udcff\n", "x\udcff" * 500, "y\x00" * 500,
                  {"a": float("nan"), "b": float("inf"), "c": 1.0}, {"\ud800": 2.0})
    assert history.record(report_of([odd]), NOW) == ""
    assert history.series("storage /\udcff\n", "c", NOW) == [(EPOCH, 1.0)]
    assert history.series("storage /\udcff\n", "b", NOW) == []
    assert len(history.states(NOW)[0].title) <= 300 and list(history.counts("storage /\udcff\n", NOW)) == ["\\ud800"]


def test_of_too_many_counts_the_largest_are_kept(history):
    many = {f"E{number}": float(number) for number in range(500)}
    history.record(report_of([cpu(1.0, **many)]), NOW)
    found = history.counts("cpu", NOW)
    assert len(found) == 50 and set(found) == {f"E{number}" for number in range(450, 500)}


def test_what_is_old_goes(history, path):
    for days in (HOUR_DAYS + 1, POINT_DAYS + 1, 1):
        history.record(report_of([Finding(OK, f"page {days}", "", "", {"response_ms": 1.0}, {"x": 1.0})]),
                       NOW - dt.timedelta(days=days))
    history.record(report_of([cpu(1.0)]), NOW)
    with sqlite3.connect(path) as connection:
        numbers = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                   for table in ("points", "hours", "days", "runs", "series")}
    connection.close()
    assert numbers == {"points": 2, "hours": 3, "days": 5, "runs": 2, "series": 5}
    assert history.begins() == int((NOW - dt.timedelta(days=POINT_DAYS + 1)).timestamp()) // 3600 * 3600


def test_a_year_of_runs_stays_small(history, path):
    """The rows of a year are made by SQL, in the form in which two runs wrote theirs."""
    start = EPOCH - HOUR_DAYS * 86400
    history.record(well(NOW - dt.timedelta(minutes=5)), NOW - dt.timedelta(minutes=5))
    with sqlite3.connect(path) as connection:
        for table, first, last, step, columns in (
                ("points", EPOCH - POINT_DAYS * 86400 - 3000, EPOCH - 600, 300, "random() / 1e9"),
                ("hours", start // 3600 - 30, EPOCH // 3600 - 1, 1, "random() / 1e9, random() / 1e9, 12"),
                ("days", NOW.toordinal() - HOUR_DAYS - 5, NOW.toordinal() - 1, 1, "random() / 1e9, random() / 1e9")):
            connection.execute(
                f"WITH RECURSIVE t(at) AS (SELECT {first} UNION ALL SELECT at + {step} FROM t WHERE at < {last})"
                f" INSERT INTO {table} SELECT at, id, {columns} FROM t JOIN series")
    connection.close()
    assert history.record(well(), NOW) == ""
    assert os.path.getsize(path) < 40_000_000
    assert len(history.series("cpu", "busy_percent", NOW - AGES)) > 9000 + 2000
    assert history.begins() == start // 3600 * 3600
    assert not os.path.exists(path + "-wal")


def test_its_size_is_bounded_whatever_is_recorded(history, path, monkeypatch):
    monkeypatch.setattr(history_rows, "MOST_BYTES", 200_000)
    figures = {f"f{number}_ms": 0.1 for number in range(20)}
    for number in range(400):
        finding = Finding(OK, f"page {number % 7} {'x' * 100}", "", "", figures)
        history.record(report_of([finding]), minutes(90 * number))
    assert os.path.getsize(path) < 400_000
    assert history.problem == "" and history.series(f"page 0 {'x' * 100}", "f0_ms", NOW)[-1][1] == 0.1


def test_changes_without_end_are_bounded(history, path, monkeypatch):
    monkeypatch.setattr(history_rows, "_MOST_CHANGES", 20)
    for number in range(60):
        history.record(report_of([cpu(1.0, number % 2)]), minutes(number))
    assert [(change.at - EPOCH) // 60 for change in history.states(NOW)] == list(range(40, 60))


def damage_head(path):
    with open(path, "r+b") as stream:
        stream.write(b"this is no database")


def damage_pages(path):
    with open(path, "r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xa5" * (os.path.getsize(path) - 4096))


def damage_form(path):
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 77")
    connection.close()


def damage_tables(path):
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE points")
    connection.close()


def other_database(path):
    os.unlink(path)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE drafts(content)")
    connection.close()


@pytest.mark.parametrize("damage", [damage_head, damage_pages, damage_form, damage_tables, other_database])
def test_a_damaged_history_is_set_aside(path, damage):
    with History(path) as history:
        history.record(well(), NOW)
    damage(path)
    with open(path, "rb") as stream:
        content = stream.read()
    with History(path) as history:
        told = history.record(report_of([cpu(3.0)]), minutes(5))
        assert "was damaged" in told and told.endswith("a new one was begun.") and history.problem == told
        assert history.series("cpu", "busy_percent", NOW - AGES) == [(EPOCH + 300, 3.0)]
    with open(path + DAMAGED_SUFFIX, "rb") as stream:
        assert stream.read() == content
    with History(path) as history:
        assert history.problem == "" and len(history.runs(NOW - AGES)) == 1


def test_damage_that_only_a_reader_meets(path):
    with History(path) as history:
        history.record(well(), NOW)
        history._connection.execute("PRAGMA cache_size = 0")
        damage_pages(path)
        assert history.states(NOW - AGES) == []
        assert "set aside" in history.problem
        assert history.record(report_of([cpu(3.0)]), NOW) == history.problem
    assert os.path.exists(path + DAMAGED_SUFFIX)


def test_the_journal_of_a_damaged_history_is_not_rolled_into_the_new_one(path):
    damage = b"no database" * 500
    for name in (path, path + "-journal"):
        with open(name, "wb") as stream:
            stream.write(damage)
    with History(path) as history:
        assert "set aside" in history.record(report_of([cpu(3.0)]), NOW)
    assert not os.path.exists(path + "-journal")


@pytest.mark.parametrize("place", ["missing/history.db", "", "file/history.db"])
def test_without_a_place_the_run_has_a_history_of_its_own(tmp_path, place):
    (tmp_path / "file").write_text("")
    with History(str(tmp_path / place)) as history:
        assert "cannot be opened" in history.problem
        assert history.record(report_of([cpu(3.0)]), NOW) == history.problem
        assert history.series("cpu", "busy_percent", NOW) == [(EPOCH, 3.0)]


def test_a_history_that_is_locked_is_said_and_kept(path, monkeypatch):
    with History(path) as history:
        history.record(report_of([cpu(3.0)]), NOW)
    monkeypatch.setattr(history_module, "_BUSY_SECONDS", 0.05)
    other = sqlite3.connect(path, isolation_level=None)
    with History(path) as history:
        other.execute("BEGIN EXCLUSIVE")
        assert "locked" in history.record(report_of([cpu(4.0)]), minutes(5))
        assert history.series("cpu", "busy_percent", NOW) == []
        other.execute("ROLLBACK")
        assert history.series("cpu", "busy_percent", NOW) == [(EPOCH, 3.0)]
    other.close()
    assert not os.path.exists(path + DAMAGED_SUFFIX)


def test_a_history_that_was_left_gives_nothing(path):
    history = History(path)
    assert history.record(well(), NOW) == "" and history.series("cpu", "busy_percent", NOW) == []
    assert history.begins() is None


def test_a_changed_sample_is_another(history):
    history.record(changed(well(), cpu={"level": WARNING}), NOW)
    assert {one.check: one.level for one in history.states(NOW)}["cpu"] == WARNING
