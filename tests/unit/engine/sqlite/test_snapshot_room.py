# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Room for the copy, and for the log that grows beside the source meanwhile."""

from __future__ import annotations

import os

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import DestinationError, SourceError
from ansible_collections.feedforward.maintenance.plugins.module_utils.files import free_bytes
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.copying import wal_log_endangers
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.snapshot import take


def during_copy(*actions):
    """A progress function that runs one action after each step of the copy."""
    waiting = list(actions)

    def progress(phase, _done, _total):
        if phase == "snapshot" and waiting:
            waiting.pop(0)()

    return progress


def test_the_room_for_the_copy_is_looked_at_first(tmp_path, scratch, databases):
    path = databases.make(tmp_path / "a.db", journal="delete")
    os.truncate(path, max(free_bytes(str(scratch)) * 2, 1 << 20))
    with pytest.raises(DestinationError, match=r"scratch: the snapshot of .*a.db needs"):
        take(str(path), str(scratch), "a.db")
    assert os.listdir(scratch) == []


def test_pitfall_03_little_room_for_the_log_is_warned_about(tmp_path, scratch, databases):
    path = databases.make(tmp_path / "a.db")
    size = int(free_bytes(str(scratch)) / 1.05 * 0.9)
    try:
        os.truncate(path, size)
    except OSError:
        size = 0
    if size and os.stat(scratch).st_dev == os.stat(tmp_path).st_dev:
        with pytest.raises(KeyboardInterrupt):
            take(str(path), str(scratch), "a.db", progress=during_copy(interrupt))
    assert wal_log_endangers(1, 1 << 20)
    assert not wal_log_endangers(0, 1 << 20)
    assert not wal_log_endangers(1 << 30, 1 << 30)


def interrupt():
    raise KeyboardInterrupt


def test_pitfall_03_the_log_is_watched_and_reported(tmp_path, scratch, databases, peer):
    path = databases.make_ledger(tmp_path / "a.db", filler_bytes=20_000_000)
    writer = peer(path)
    writer.sql("INSERT INTO log VALUES (1, 'before')")
    grow = [lambda: writer.sql("INSERT INTO filler VALUES (randomblob(4000000))")] * 3
    taken = take(str(path), str(scratch), "a.db", progress=during_copy(*grow))
    assert taken.wal_bytes_before < 1_000_000
    assert taken.wal_bytes_peak >= 12_000_000
    assert taken.wal_bytes_after == os.path.getsize(f"{path}-wal")
    assert (taken.restarts, taken.contents.rows["filler"]) == (0, 200)


def test_pitfall_03_a_log_that_fills_the_disk_stops_the_copy(small_filesystem, scratch, databases, peer):
    disk = small_filesystem(100 << 20)
    if disk is None:
        assert wal_log_endangers(4_000_000, (32 << 20) - 1)
        return
    path = databases.make_ledger(disk / "a.db", filler_bytes=30_000_000)
    writer = peer(path)
    writer.sql("INSERT INTO log VALUES (1, 'before')")

    def fill():
        writer.sql("INSERT INTO filler VALUES (randomblob(2000000))")
        (disk / "filler").write_bytes(bytes(free_bytes(str(disk)) - (20 << 20)))

    with pytest.raises(SourceError, match="a.db-wal: the write-ahead log grew"):
        take(str(path), str(scratch), "a.db", progress=during_copy(fill))
    writer.sql("INSERT INTO log VALUES (2, 'after')")


def test_pitfall_03_the_warning_names_the_file_system_of_the_source(small_filesystem, scratch, databases):
    disk = small_filesystem(40 << 20)
    if disk is None:
        assert not wal_log_endangers(0, 0)
        return
    path = databases.make_ledger(disk / "a.db", filler_bytes=10_000_000)
    (disk / "filler").write_bytes(bytes(free_bytes(str(disk)) - (2 << 20)))
    taken = take(str(path), str(scratch), "a.db")
    assert any(warning.startswith(f"{disk}: ") and "may grow" in warning for warning in taken.warnings)


def test_a_disk_that_fills_up_meanwhile(small_filesystem, tmp_path, databases):
    path = databases.make_ledger(tmp_path / "a.db", filler_bytes=20_000_000)
    disk = small_filesystem(40 << 20)
    if disk is None:
        assert free_bytes(str(tmp_path)) > 0
        return
    with pytest.raises(DestinationError, match="no space is left"):
        take(str(path), str(disk), "a.db",
             progress=during_copy(lambda: (disk / "filler").write_bytes(bytes(free_bytes(str(disk))))))
