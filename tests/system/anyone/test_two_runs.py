# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input: two runs at once, and a run that was killed.

=========================================  ==========================================================
the issue's clause                         tests
=========================================  ==========================================================
two runs at once                           test_the_second_run_is_told_of_the_first,
                                           test_a_killed_run_is_cleaned_up_by_the_next
                                           (two restores: test_bad_place.py, another_restore)
=========================================  ==========================================================
"""

from __future__ import annotations

import os
import signal
import subprocess

import pytest
from system_faces import command_outcome
from system_rows import EXIT_CODES
from system_site import release, wait_for


@pytest.fixture
def waiting(site, faces):
    """A real backup that has begun and waits for the lock of the database; and the process that has it."""
    site.configure(deadline_seconds=120)
    site.sql("PRAGMA journal_mode=DELETE", "UPDATE drafts SET content = 'changed' WHERE id = 1")
    writer = site.holder(site.database, "BEGIN EXCLUSIVE")
    process = subprocess.Popen(faces.line("backup", {"kind": "full"}), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: list(site.archives.glob(".maintenance-scratch-*/databases")), process)
    yield process, writer
    if process.poll() is None:
        process.kill()
    process.communicate()


def test_the_second_run_is_told_of_the_first(site, faces, waiting):
    first, writer = waiting
    before = site.names()
    outcomes = [*faces.all("backup", {"kind": "full"}), faces.command("prune", {})]
    for outcome in outcomes:
        assert outcome.code == EXIT_CODES["BusyError"], outcome
        assert outcome.message.startswith(f"{site.archives}/.maintenance.lock: process {first.pid} ("), outcome
        assert "holds the lock of this directory" in outcome.message
        assert "Wait until it has finished" in outcome.message
    assert site.names() == before
    assert site.status("full")["last_outcome"] == "created", "the second run writes nothing about the first one's"
    release(writer)
    done = subprocess.CompletedProcess([], 0, *first.communicate(timeout=60))
    done.returncode = first.returncode
    assert command_outcome("first", done, False).code == 0
    assert len(site.names()) == len(before) + 1
    assert site.leftovers() == []
    assert faces.command("verify", {"level": "restore", "archive": "all"}).code == 0


def test_a_killed_run_is_cleaned_up_by_the_next(site, faces, waiting):
    first, writer = waiting
    before = site.names()
    os.kill(first.pid, signal.SIGKILL)
    first.wait(timeout=60)
    assert site.leftovers(), "the killed run had no chance to clean up"
    assert site.names() == before
    release(writer)
    assert faces.command("backup", {"kind": "full"}, as_json=True).document["outcome"] == "created"
    assert site.leftovers() == []
    assert len(site.names()) == len(before) + 1
