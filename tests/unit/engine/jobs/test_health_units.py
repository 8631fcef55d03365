# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health of our own jobs: timers, failures, and when a failure is over. systemd itself is asked on booted hosts; here
its words are."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path
from typing import Optional

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.alerting import Alerting
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.status import update_status
from ansible_collections.feedforward.maintenance.plugins.module_utils.config import Settings
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import health_units
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.health_checks import CHECKS
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.report import (
    CRITICAL,
    OK,
    UNKNOWN,
    WARNING,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.probes import units
from ansible_collections.feedforward.maintenance.plugins.module_utils.probes.units import State
from ansible_collections.feedforward.maintenance.plugins.module_utils.units import iso
from ansible_collections.feedforward.maintenance.plugins.module_utils.watch import Watch

NOW = dt.datetime(2026, 11, 27, 12, tzinfo=dt.timezone.utc)
GRACE = dt.timedelta(minutes=10)
MARK = "# Role: feedforward.maintenance._schedule\n"


def ago(**parts: float) -> dt.datetime:
    return NOW - dt.timedelta(**parts)


def timer(active: str = "active", sub: str = "waiting", enabled: str = "enabled", load: str = "loaded",
          result: str = "success", next_at: Optional[dt.datetime] = None) -> State:
    return State("t.timer", load, active, sub, result, enabled, next_at)


@pytest.mark.parametrize("state, level, told, late", [
    (timer(next_at=ago(hours=-1)), OK, "waiting, next 2026-11-27T13:00:00Z", 0),
    (timer(next_at=ago(minutes=9)), OK, "waiting", 540),
    (timer(next_at=ago(minutes=11)), CRITICAL, "should have fired 11 min 0 s ago", 660),
    (timer(sub="running", next_at=ago(hours=5)), OK, "running", 0),
    (timer(sub="elapsed"), CRITICAL, "no next time", 0),
    (timer(active="inactive", sub="dead"), CRITICAL, "nothing starts its job: type: systemctl enable --now t.timer", 0),
    (timer(active="inactive", sub="dead", enabled="disabled"), CRITICAL, "nothing starts its job", 0),
    (timer(active="failed", sub="failed", result="resources"), CRITICAL, "it is failed, resources", 0),
    (timer(enabled="disabled", next_at=ago(hours=-1)), WARNING, "it is disabled, and will not come back", 0),
    (timer(load="masked", active="inactive"), CRITICAL, "does not load it (masked)", 0),
    (timer(load="", active=""), CRITICAL, "does not load it (unknown)", 0),
])
def test_a_timer(state, level, told, late):
    found = health_units.judged_timer(state, "t.timer", NOW, GRACE)
    assert (found.level, found.check, found.figures["late_seconds"]) == (level, "timer t.timer", late)
    assert told in found.text


class Host:
    """Units, records and a systemctl that says what it is told."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.monkeypatch = root, monkeypatch
        self.units, self.records = root / "units", root / "lib" / "app-maintenance" / "failures"
        self.archives, self.monitor = root / "archives", root / "monitor"
        for directory in (self.units, self.records, self.archives, self.monitor):
            directory.mkdir(parents=True)
        monkeypatch.setattr(units.own_units, "__defaults__", (str(self.units),))
        monkeypatch.setattr(health_units, "_STATE_DIRECTORY", str(root / "lib"))
        self.settings = Settings(application="app", directory=str(self.archives), health=Watch(),
                                 alerts=Alerting(directory=str(self.monitor)))

    def job(self, name: str, timed: bool = True) -> None:
        (self.units / f"app-{name}.service").write_text(f"{MARK}ExecStart=/usr/local/bin/app-maintenance x\n")
        if timed:
            (self.units / f"app-{name}.timer").write_text(f"{MARK}OnCalendar=daily\n")

    def systemd(self, *blocks: str) -> None:
        """systemd runs, and shows these blocks."""
        (self.root / "shown").write_text("\n\n".join(blocks) + "\n")
        program = self.root / "systemctl"
        program.write_text(f"#!/bin/sh\nexec cat {self.root}/shown\n")
        program.chmod(0o755)
        self.monkeypatch.setenv("PATH", f"{self.root}:{os.environ['PATH']}")
        real = os.path.isdir
        self.monkeypatch.setattr(os.path, "isdir", lambda path: path == "/run/systemd/system" or real(path))

    def failed(self, name: str, moment: dt.datetime) -> None:
        record = {"unit": f"app-{name}.service", "failed_at": iso(moment), "result": "exit-code", "exit_status": 4}
        (self.records / f"{name}.json").write_text(json.dumps(record))

    def look(self, name: str) -> dict[str, tuple[int, str]]:
        return {finding.check: (finding.level, finding.text) for finding in CHECKS[name](self.settings, NOW)}


@pytest.fixture()
def host(tmp_path, monkeypatch):
    return Host(tmp_path, monkeypatch)


def service(name: str, active: str = "inactive", result: str = "success", ended: str = "", status: str = "0") -> str:
    return (f"Id=app-{name}.service\nLoadState=loaded\nActiveState={active}\nSubState=dead\nResult={result}\n"
            f"ExecMainExitTimestamp={ended}\nExecMainStatus={status}")


def test_timers_of_ours_only(host):
    host.job("verify")
    host.job("backup-full")
    for name in ("backup-config", "backup-logs"):
        host.job(name, timed=False)
        (host.units / f"app-{name}.path").write_text(f"{MARK}PathChanged=/etc/app\n")
    host.systemd("Id=app-verify.timer\nLoadState=loaded\nActiveState=active\nSubState=waiting\nUnitFileState=enabled\n"
                 "NextElapseUSecRealtime=Sat 2026-11-28 02:00:11 UTC",
                 "Id=app-backup-config.path\nLoadState=loaded\nActiveState=active\nSubState=running\n"
                 "UnitFileState=enabled",
                 "Id=app-backup-logs.path\nLoadState=loaded\nActiveState=failed\nSubState=failed\n"
                 "Result=unit-start-limit-hit\nUnitFileState=enabled")
    assert host.look("timers") == {
        "timer app-verify.timer": (OK, "waiting, next 2026-11-28T02:00:11Z"),
        "timer app-backup-config.path": (OK, "running"),
        "timer app-backup-logs.path": (CRITICAL, "it is failed, unit-start-limit-hit, and nothing starts its job: "
                                       "type: systemctl enable --now app-backup-logs.path"),
        "timer app-backup-full.timer": (CRITICAL, "systemd does not load it (not-found)")}


def test_timers_where_no_systemd_is(host, monkeypatch):
    assert host.look("timers") == {}, "cron runs the jobs"
    host.job("verify")
    real = os.path.isdir
    monkeypatch.setattr(os.path, "isdir", lambda path: path != "/run/systemd/system" and real(path))
    assert host.look("timers") == {"timers": (UNKNOWN, "this host does not run systemd")}


def test_jobs_as_systemd_sees_them(host):
    for name in ("a", "b", "c", "d"):
        host.job(name)
    host.job("monitor-look", timed=False)
    host.systemd(service("a", ended="Fri 2026-11-27 02:00:14 UTC"), service("b"),
                 service("c", active="failed", result="exit-code", status="7"), service("d", active="activating"),
                 service("monitor-look", active="failed", result="timeout", status="15"))
    found = host.look("units")
    assert found["unit app-a.service"] == (OK, "ended well at 2026-11-27T02:00:14Z")
    assert found["unit app-b.service"] == (OK, "has not run since the host started")
    assert found["unit app-c.service"] == (
        CRITICAL, "it failed (exit-code, exit status 7): look at 'journalctl -t app-c -n 50'")
    assert found["unit app-d.service"] == (OK, "it runs") and found["unit app-monitor-look.service"][0] == CRITICAL


@pytest.mark.parametrize("ended, active, level", [
    ("Fri 2026-11-27 11:30:00 UTC", "inactive", OK), ("Fri 2026-11-27 10:30:00 UTC", "inactive", CRITICAL),
    ("", "inactive", CRITICAL), ("Fri 2026-11-27 10:30:00 UTC", "activating", CRITICAL)])
def test_a_failure_that_systemd_forgot_is_remembered(host, ended, active, level):
    """After the host has started anew, or after reset-failed."""
    host.job("tidy")
    host.failed("tidy", ago(hours=1))
    host.systemd(service("tidy", active=active, ended=ended))
    found, told = host.look("units")["unit app-tidy.service"]
    assert found == level and ("has not succeeded since" in told) == (level == CRITICAL)


@pytest.mark.parametrize("name, word", [("backup-database", "backup"), ("monitor-look", "file")])
def test_a_failure_under_cron_is_over_when_the_job_says_so(host, name, word):
    host.failed(name, ago(hours=2))
    check = f"unit app-{name}.service"
    assert host.look("units")[check] == (
        CRITICAL, "it failed at 2026-11-27T10:00:00Z (exit-code, exit status 4), and has not succeeded since: "
        f"look at 'journalctl -t app-{name} -n 50'")

    def succeed(moment: dt.datetime) -> None:
        if word == "file":
            path = host.monitor / health_units._WRITTEN[name]
            path.parent.mkdir(exist_ok=True)
            path.write_text("")
            os.utime(path, (moment.timestamp(), moment.timestamp()))
        else:
            update_status(str(host.archives), "app", "database", last_success_at=moment)

    succeed(ago(hours=3))
    assert host.look("units")[check][0] == CRITICAL
    succeed(ago(hours=2, seconds=-0.9))
    assert host.look("units")[check][0] == CRITICAL, "the record has no fractions: it may be the later one"
    succeed(ago(hours=1))
    assert host.look("units")[check] == (OK, "ended well at 2026-11-27T11:00:00Z")


@pytest.mark.parametrize("name", ["verify", "monitor"])
def test_what_others_write_ends_no_failure(host, name):
    """Each backup is verified, and a monitor that failed writes its metrics, too."""
    host.failed(name, ago(hours=2))
    update_status(str(host.archives), "app", "database", last_success_at=ago(hours=1), last_verified_at=ago(hours=1))
    (host.monitor / "public").mkdir()
    (host.monitor / "public" / "metrics.prom").write_text("")
    os.utime(host.monitor / "public" / "metrics.prom", (ago(hours=1).timestamp(),) * 2)
    check = f"unit app-{name}.service"
    assert host.look("units")[check][0] == CRITICAL
    host.job(name)
    host.systemd(service(name, ended="Fri 2026-11-27 10:00:00 UTC"))
    assert host.look("units")[check][0] == CRITICAL
    host.systemd(service(name, ended="Fri 2026-11-27 10:00:01 UTC"))
    assert host.look("units")[check] == (OK, "ended well at 2026-11-27T10:00:01Z")
    host.systemd(service(name))
    assert host.look("units")[check][0] == CRITICAL
    (host.records / f"{name}.json").unlink()
    assert host.look("units")[check][0] == OK


def test_a_failure_of_which_nobody_hears_any_more(host):
    host.failed("tidy", ago(days=6))
    assert host.look("units")["unit app-tidy.service"][0] == CRITICAL
    host.failed("tidy", ago(days=8))
    assert host.look("units")["unit app-tidy.service"] == (
        OK, "failed at 2026-11-19T12:00:00Z, and not in the last 7 days")


def test_a_record_that_cannot_be_understood_is_told(host):
    host.failed("verify", NOW)
    (host.records / "odd.json").write_text('{"unit": ')
    found = host.look("units")
    assert found["failures"][0] == WARNING and str(host.records / "odd.json") in found["failures"][1]
    assert found["unit app-verify.service"][0] == CRITICAL


def test_nothing_is_scheduled_nothing_is_told(host):
    assert host.look("units") == {}


@pytest.mark.parametrize("escrowed, expected", [(None, []), (True, [OK]), (False, [WARNING])])
def test_escrow(escrowed, expected):
    settings = Settings(key_file="/secure/backup.key", health=Watch(key_escrowed=escrowed))
    found = list(CHECKS["escrow"](settings, NOW))
    assert [(finding.check, finding.level) for finding in found] == [("escrow", level) for level in expected]
    assert list(CHECKS["escrow"](Settings(health=Watch(key_escrowed=escrowed)), NOW)) == []
