# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The timers are there, one has fired by itself, and what it made restores."""

from __future__ import annotations

import pytest
from support import ARCHIVES, archives, ask, properties, until

JOBS = ("backup-database", "backup-config", "backup-logs", "backup-full", "verify")
EVENTS = {
    "backup-database": "*-*-* 02:00:00",
    "backup-config": "Sun *-*-* 02:15:00",
    "backup-logs": "Sun *-*-* 02:30:00",
    "verify": "*-*-01 05:00:00",
}


@pytest.mark.parametrize("job", JOBS)
def test_a_timer_waits_for_its_next_time(host, job):
    names = ("ActiveState", "UnitFileState", "NextElapseUSecRealtime", "Persistent", "Unit")
    # While its job runs, a timer has no next time.
    (shown,) = until(
        lambda: [
            found
            for found in [properties(host, f"feedforward-{job}.timer", *names)]
            if found["NextElapseUSecRealtime"] not in ("", "0", "infinity")
        ],
        60,
        "the next time of the timer",
    )
    assert (shown["ActiveState"], shown["UnitFileState"], shown["Persistent"]) == ("active", "enabled", "yes")
    assert shown["Unit"] == f"feedforward-{job}.service"


@pytest.mark.parametrize("job", EVENTS)
def test_a_timer_has_the_time_that_cron_would_have(host, job):
    unit = host.file(f"/etc/systemd/system/feedforward-{job}.timer").content_string
    written = next(line for line in unit.splitlines() if line.startswith("OnCalendar=")).removeprefix("OnCalendar=")
    normalized = host.check_output(f"systemd-analyze calendar '{written}'")
    wanted = host.check_output(f"systemd-analyze calendar '{EVENTS[job]}'")
    line = "Normalized form:"
    assert normalized.partition(line)[2].splitlines()[0] == wanted.partition(line)[2].splitlines()[0]


def test_the_delay_of_a_host_is_its_own_and_stays(host):
    timer = "feedforward-backup-database.timer"
    first = properties(host, timer, "NextElapseUSecRealtime", "RandomizedDelayUSec", "FixedRandomDelay")
    assert first["RandomizedDelayUSec"] == "20s"
    assert first["FixedRandomDelay"] == "yes"
    for _again in range(3):
        host.check_output(f"systemctl restart {timer}")
        assert properties(host, timer, "NextElapseUSecRealtime") == {
            "NextElapseUSecRealtime": first["NextElapseUSecRealtime"]
        }


def test_a_timer_fires_and_an_archive_appears_that_restores(host):
    timer, service = "feedforward-backup-full.timer", "feedforward-backup-full.service"
    shown = until(
        lambda: [
            found
            for found in [properties(host, timer, "LastTriggerUSec")["LastTriggerUSec"]]
            if found not in ("", "0", "n/a") and archives(host, "full")
        ],
        150,
        "the timer to fire and an archive to appear",
    )
    assert shown
    # From here on the timer rests: the other tests start what they look at.
    host.check_output(f"systemctl stop {timer}")
    until(lambda: not host.service(service).is_running, 60, "the end of the last run")
    assert properties(host, service, "Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}
    newest = archives(host, "full")[-1]
    (verdict,) = ask(host, f"verify {newest} --level restore")["archives"]
    assert verdict["verdict"] == "passed"
    assert verdict["name"] == newest


def test_what_a_timer_made_is_readable_by_root_only(host):
    listing = host.check_output(f"find {ARCHIVES} -type f -printf '%y %m %u:%g %f\\n'").splitlines()
    modes = {line.rsplit(" ", 1)[1]: line.rsplit(" ", 1)[0] for line in listing}
    assert modes.pop("feedforward-maintenance") == "f 755 root:root"
    assert modes
    assert set(modes.values()) == {"f 600 root:root"}
