# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of databases to which another process commits as fast as it can."""

from __future__ import annotations

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.snapshot import take

SIZE = 30_000_000


def test_pitfall_01_wal_finishes_at_any_write_rate_without_a_restart(tmp_path, scratch, databases, ledger):
    path = databases.make_ledger(tmp_path / "a.db", filler_bytes=SIZE)
    writer = ledger(path)
    commits_at_steps = []

    def let_it_commit(phase, _done, _total):
        if phase == "snapshot":
            assert writer.await_commits(writer.commits + 3)
            commits_at_steps.append(writer.commits)

    before = writer.commits
    taken = take(str(path), str(scratch), "a.db", progress=let_it_commit, deadline_seconds=60)
    after = writer.commits
    figures = writer.end()
    assert len(commits_at_steps) >= 5
    assert commits_at_steps == sorted(set(commits_at_steps))
    assert (taken.restarts, taken.stall_seconds, taken.problems, taken.journal_mode) == (0, 0.0, (), "wal")
    assert before <= databases.consistent_commits(taken.path) <= commits_at_steps[0] < after
    assert figures["busy"] == 0
    assert taken.wal_bytes_peak >= taken.wal_bytes_before


@pytest.mark.parametrize("number", range(3))
def test_pitfall_01_no_writer_with_100_ms_of_patience_meets_a_lock(tmp_path, scratch, databases, ledger, number):
    path = databases.make_ledger(tmp_path / "a.db", filler_bytes=SIZE)
    writer = ledger(path, timeout=0.1)
    before = writer.commits
    taken = take(str(path), str(scratch), f"{number}.db", deadline_seconds=60)
    after = writer.commits
    assert writer.await_commits(after + 1)
    assert writer.end()["busy"] == 0
    assert (taken.restarts, taken.problems) == (0, ())
    assert before <= databases.consistent_commits(taken.path) <= after


def test_pitfall_02_rollback_mode_finishes_and_says_for_how_long_writers_waited(tmp_path, scratch, databases, ledger):
    path = databases.make_ledger(tmp_path / "a.db", journal="delete", filler_bytes=SIZE)
    writer = ledger(path, timeout=30.0)
    patient = [True]

    def let_it_commit(phase, _done, _total):
        if phase == "snapshot" and patient[0]:
            patient[0] = writer.await_commits(writer.commits + 1, seconds=0.3)

    before = writer.commits
    taken = take(str(path), str(scratch), "a.db", progress=let_it_commit, deadline_seconds=60)
    after = writer.commits
    assert writer.await_commits(after + 1)
    figures = writer.end()
    assert (taken.restarts, taken.problems, taken.journal_mode) == (4, (), "delete")
    assert not patient[0]
    assert before <= databases.consistent_commits(taken.path) <= after
    assert taken.stall_seconds >= 0.3
    assert figures["busy"] == 0
    assert figures["longest_seconds"] <= taken.stall_seconds + 1.0
    assert any("4 times" in warning for warning in taken.warnings)


def test_pitfall_02_rollback_mode_finishes_beside_an_unslowed_writer(tmp_path, scratch, databases, ledger):
    path = databases.make_ledger(tmp_path / "a.db", journal="delete", filler_bytes=SIZE)
    writer = ledger(path, timeout=30.0)
    before = writer.commits
    taken = take(str(path), str(scratch), "a.db", deadline_seconds=60)
    after = writer.commits
    assert taken.problems == ()
    assert taken.restarts <= 4
    assert before <= databases.consistent_commits(taken.path) <= after
    writer.end()


def test_the_instant_that_is_stated_is_not_later_than_the_content(tmp_path, scratch, databases, ledger):
    """Every commit that was done before take() began is in the copy, and taken_at lies after it."""
    path = databases.make_ledger(tmp_path / "a.db", filler_bytes=1_000_000)
    writer = ledger(path)
    for number in range(10):
        before = writer.commits
        taken = take(str(path), str(scratch), f"{number}.db")
        assert databases.consistent_commits(taken.path) >= before
    writer.end()
