# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is printed for findings that are rare: real results, with one fact of them changed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.cli.commands import info, restore_text, verify
from ansible_collections.feedforward.maintenance.plugins.module_utils.cli.output import Line, Mark
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.restore import apply_restore
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.restore_plan import (
    RestorePlan,
    RestoreRequest,
    plan_restore,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.verify import VerifyRequest, run_verify
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.holders import Holders
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.inspect import inspect
from ansible_collections.feedforward.maintenance.plugins.module_utils.units import utc_now

if TYPE_CHECKING:
    from conftest import Host


@pytest.fixture()
def plan(host: Host) -> RestorePlan:
    host.backup()
    host.add_users(1)
    host.stop()
    return plan_restore(RestoreRequest("feedforward", str(host.backups), key_file=str(host.key),
                                       accept_unknown_holders=True))


def test_holders_that_are_only_known_by_a_lock_or_not_at_all(host: Host, plan: RestorePlan) -> None:
    path = str(host.database)
    locked = replace(plan, holders=((path, Holders((), ("a lock on byte 3",), 0)),))
    assert Line(f"{path} is held open by a lock on byte 3", Mark.BAD) in restore_text.plan_lines(locked, utc_now())
    unknown = replace(plan, holders=((path, Holders((), (), 2)),))
    assert Line(f"{path} may be held open: 2 processes could not be looked into",
                Mark.UNKNOWN) in restore_text.plan_lines(unknown, utc_now())
    free = replace(plan, holders=((path, Holders((), (), 0)),))
    assert Line(f"{path} is held open by nobody", Mark.GOOD) in restore_text.plan_lines(free, utc_now())


def test_an_interrupted_restore_and_a_lack_of_room_stand_in_the_plan(host: Host, plan: RestorePlan) -> None:
    changed = replace(plan, pending=(str(host.database),), needs=(("/data", 2_000_000, 1_000_000),))
    lines = list(restore_text.plan_lines(changed, utc_now()))
    assert Line(f"{host.database}: an interrupted restore is ended first", Mark.WARNING) in lines
    assert Line("Space: 2.0 MB needed, 1.0 MB free in /data", Mark.BAD) in lines


def test_how_an_interrupted_restore_ended_and_warnings_stand_in_the_report(host: Host, plan: RestorePlan) -> None:
    result = replace(apply_restore(plan), resolved=((str(host.database), "completed"),), warnings=("look here",))
    lines = list(restore_text.result_lines(result, None, 7))
    assert lines[0] == Line(f"{host.database}: the interrupted restore was completed", Mark.GOOD)
    assert lines[-1] == Line("look here", Mark.WARNING) and not any("To undo" in line.text for line in lines)


def test_warnings_of_a_verification_and_of_a_database(host: Host) -> None:
    host.backup()
    result = run_verify(VerifyRequest("feedforward", str(host.backups), key_file=str(host.key)))
    [verdict] = result.archives
    warned = replace(result, archives=(replace(verdict, warnings=("look here",), created_at=None),))
    lines = list(verify.lines(warned, utc_now()))
    assert Line("look here", Mark.WARNING, indent=1) in lines and ", made " not in lines[0].text
    facts = replace(inspect(str(host.database)), warnings=("on a network",), wal_reset_bug=False, page_count=0)
    shown = [line.text for line in info.lines([facts])]
    assert "on a network" in shown and f"SQLite: {facts.sqlite_version}" in shown
    assert "Pages: 0 of 4096 bytes, 0 free (0 %)" in shown


def test_a_database_without_a_wal_has_no_wal_figures(host: Host) -> None:
    host.write("PRAGMA journal_mode=DELETE")
    done = host.run("backup", "--verbose")
    assert done.code == 0 and "journal mode delete" in done.out and "WAL" not in done.out
