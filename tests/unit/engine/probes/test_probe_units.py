# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which units are ours, what systemctl says of them, and the records of failures."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.probes import programs, units

MARK = "# Ansible managed\n# Role: feedforward.maintenance._schedule\n"


def unit(directory: Path, name: str, text: str) -> None:
    (directory / name).write_text(text)


def test_units_of_the_role_are_ours(tmp_path):
    for job, program in (("app-verify", "/usr/local/bin/app-maintenance verify newest"),
                         ("app-backup-full", '"/usr/local/bin/app-maintenance" backup'),
                         ("app-test-verify", "/usr/local/bin/app-test-maintenance verify newest")):
        unit(tmp_path, f"{job}.service", f"{MARK}[Service]\nExecStartPre=/bin/sleep 5\nExecStart={program}\n")
        unit(tmp_path, f"{job}.timer", f"{MARK}[Timer]\nOnCalendar=daily\n")
    unit(tmp_path, "app-monitor-look.service", f"{MARK}[Service]\nExecStart=/usr/local/bin/app-maintenance look\n")
    unit(tmp_path, "app-lost.timer", f"{MARK}[Timer]\nOnCalendar=daily\n")
    unit(tmp_path, "app-own.timer", "[Timer]\nOnCalendar=daily\n")
    unit(tmp_path, "app-own.service", "[Service]\nExecStart=/usr/local/bin/app-maintenance x\n")
    (tmp_path / "app-verify.timer.d").mkdir()
    assert units.own_units("app", str(tmp_path)) == (
        "app-backup-full.service", "app-backup-full.timer", "app-lost.timer", "app-monitor-look.service",
        "app-verify.service", "app-verify.timer")
    assert units.own_units("app-test", str(tmp_path)) == ("app-test-verify.service", "app-test-verify.timer")
    assert units.own_units("app", str(tmp_path / "not-there")) == ()


SHOWN = """Result=success
NextElapseUSecRealtime=Sat 2026-11-28 02:00:11 UTC
Id=app-backup-database.timer
LoadState=loaded
ActiveState=active
SubState=waiting
UnitFileState=enabled

Result=exit-code
ExecMainExitTimestamp=Fri 2026-11-27 02:00:14.123456 UTC
ExecMainStatus=7
Id=app-verify.service
LoadState=loaded
ActiveState=failed
SubState=failed
UnitFileState=static

Result=success
NextElapseUSecRealtime=n/a
Id=app-gone.timer
LoadState=not-found
ActiveState=inactive
SubState=dead
UnitFileState=
"""


def test_what_systemctl_shows():
    found = units.parse_states(SHOWN)
    assert list(found) == ["app-backup-database.timer", "app-verify.service", "app-gone.timer"]
    assert found["app-backup-database.timer"] == units.State(
        "app-backup-database.timer", "loaded", "active", "waiting", "success", "enabled",
        dt.datetime(2026, 11, 28, 2, 0, 11, tzinfo=dt.timezone.utc))
    assert found["app-verify.service"].ended_at == dt.datetime(2026, 11, 27, 2, 0, 14, tzinfo=dt.timezone.utc)
    assert found["app-verify.service"].exit_status == "7"
    assert found["app-gone.timer"].load == "not-found" and found["app-gone.timer"].next_at is None
    assert units.parse_states("") == {} == units.parse_states("\n\nnonsense\n\n")


@pytest.mark.parametrize("text", [
    "", "n/a", "0", "infinity", "Sat 2026-11-28 02:00:11 CET", "Sat 2026-13-28 02:00:11 UTC", "2026-11-28 02:00:11 UTC",
    "Thu 1970-01-01 00:00:00"])
def test_what_is_no_instant(text):
    shown = f"Id=a.timer\nNextElapseUSecRealtime={text}\n"
    assert units.parse_states(shown)["a.timer"].next_at is None


def systemctl(tmp_path, monkeypatch, script):
    (tmp_path / "systemctl").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def test_systemctl_is_asked_once_and_in_utc(tmp_path, monkeypatch):
    systemctl(tmp_path, monkeypatch, f'echo "$TZ $@" >>{tmp_path}/asked; printf "Id=a.timer\\n\\nId=b.service\\n"')
    assert set(units.states(["a.timer", "b.service"])) == {"a.timer", "b.service"}
    (asked,) = (tmp_path / "asked").read_text().splitlines()
    assert asked.startswith("UTC show ") and asked.endswith("-- a.timer b.service")
    assert units.states([]) == {} and len((tmp_path / "asked").read_text().splitlines()) == 1


def test_a_systemctl_that_fails_or_hangs(tmp_path, monkeypatch):
    systemctl(tmp_path, monkeypatch, "echo Failed to connect to bus >&2; exit 1")
    with pytest.raises(OSError, match="Failed to connect to bus"):
        units.states(["a.timer"])
    systemctl(tmp_path, monkeypatch, "exec sleep 60")
    monkeypatch.setattr(programs, "TIMEOUT_SECONDS", 0.2)
    with pytest.raises(TimeoutError, match="did not answer"):
        units.states(["a.timer"])


def test_records_of_failures(tmp_path):
    good = {"application": "app", "job": "verify", "unit": "app-verify.service", "host": "h", "result": "exit-code",
            "failed_at": "2026-11-27T02:00:14Z", "exit_status": 6}
    for name, record in (("verify", good), ("z", {**good, "unit": "app-z.service", "exit_status": None}),
                         ("bad-time", {**good, "failed_at": "yesterday"}), ("bad-unit", {**good, "unit": "a b\n"}),
                         ("bad-result", {**good, "result": "<b>"}), ("list", [])):
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    (tmp_path / "cut.json").write_text('{"unit": ')
    (tmp_path / "verify.json.new").write_text("{}")
    moment = dt.datetime(2026, 11, 27, 2, 0, 14, tzinfo=dt.timezone.utc)
    assert units.failures(str(tmp_path)) == units.Records(
        (units.Failure("app-verify.service", moment, "unknown", 6),
         units.Failure("app-verify.service", moment, "exit-code", 6),
         units.Failure("app-z.service", moment, "exit-code", None)),
        tuple(str(tmp_path / f"{name}.json") for name in ("bad-time", "bad-unit", "cut", "list")))
    assert units.failures(str(tmp_path / "not-there")) == units.Records()
