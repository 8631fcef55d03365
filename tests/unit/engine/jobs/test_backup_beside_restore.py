# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup that meets a restore in the middle of its renames: old rows, new rows, or a word; never a mixture."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import BusyError
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite import source
from ansible_collections.feedforward.maintenance.tests.unit.engine.jobs.conftest import Site, open_bytes

# Stops itself before its rename number N of a database or a sidecar, and after the last one.
RESTORE = """
import os, signal, sys
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import restore, restore_plan
rename, link, unlink, count, wanted = os.rename, os.link, os.unlink, [0], int(sys.argv[3])
def stop():
    if count[0] == wanted:
        os.kill(os.getpid(), signal.SIGSTOP)
    count[0] += 1
def stopping(old, new, **more):
    if "app.db" in new and "journal" not in new:
        stop()
    rename(old, new, **more)
def linking(old, new, **more):
    stop()
    link(old, new, **more)
def ending(path, **more):
    if "restore-journal" in path:
        stop()
    unlink(path, **more)
os.rename, os.link, os.unlink = stopping, linking, ending
restore.run_restore(restore_plan.RestoreRequest("app", sys.argv[1], key_file=sys.argv[2], accept_unknown_holders=True))
"""


def stopped_restore(site: Site, number: int) -> subprocess.Popen[bytes]:
    """A restore that has stopped before its rename ``number``, or has ended."""
    command = [sys.executable, "-c", RESTORE, site.archives, site.key_file, str(number)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    _pid, status = os.waitpid(process.pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        process.returncode = os.waitstatus_to_exitcode(status)
    return process


def put_back(site: Site, kept: dict[str, bytes]) -> None:
    """The database and its log, by the endings of their names, as they were."""
    for suffix, content in kept.items():
        with open(site.database + suffix, "wb") as stream:
            stream.write(content)


@pytest.mark.parametrize("number", range(5))
def test_the_rows_are_the_old_or_the_new_ones_or_it_is_told(site, monkeypatch, tmp_path, number):
    monkeypatch.setattr(source, "_RESTORE_SECONDS", 0.2)
    restored = site.rows()
    site.backup()
    # Rows that only the log holds: the file without its log is an older database, and a sound one.
    holder = sqlite3.connect(site.database, isolation_level=None)
    holder.execute("DELETE FROM drafts WHERE id < 100")
    kept = {suffix: open_bytes(site.database + suffix) for suffix in ("", "-wal")}
    holder.close()
    put_back(site, kept)
    current = site.rows()
    # Whoever reads the rows brings the log into the file at its end.
    put_back(site, kept)
    process = stopped_restore(site, number)
    assert process.returncode is None, "it was not stopped"
    try:
        made = site.backup(force=True).archive
        told = ""
    except BusyError as error:
        made, told = None, error.cause
    finally:
        os.kill(process.pid, signal.SIGCONT)
        assert process.wait(timeout=60) == 0
    assert made is not None or "a restore exchanges its files" in told
    if made is not None:
        target = str(tmp_path / "elsewhere.db")
        site.restore(archive=made, target=target)
        assert site.rows(target) in (restored, current)
    assert site.rows() == restored


def test_an_interrupted_restore_is_named_and_its_end_is_waited_for(site):
    journal = os.path.join(os.path.dirname(site.database), ".app.db.restore-journal")
    with open(journal, "w", encoding="ascii") as stream:
        stream.write("{}")
    with pytest.raises(BusyError, match="run the same restore again to end it"):
        source.examine(site.database)
    process = subprocess.Popen(["sh", "-c", 'sleep 0.5; rm "$1"', "sh", journal])
    assert source.examine(site.database).size > 0
    assert process.wait() == 0


def test_a_file_that_was_exchanged_is_not_read_by_what_was_known_of_the_old_one(site):
    found = source.examine(site.database)
    content = open_bytes(site.database)
    os.rename(site.database, site.database + ".old")
    with open(site.database, "wb") as stream:
        stream.write(content)
    with pytest.raises(BusyError, match="a restore exchanges its files"), source.open_reader(found):
        pass
