# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Silences: they hold for their time and no longer, hide nothing about themselves, and two writers lose none."""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import (
    BusyError,
    DestinationError,
    UsageError,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.report import OK, WARNING
from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor import silences
from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor.silences import (
    LONGEST,
    Silence,
    Silences,
    end_silence,
    findings,
    is_silenced,
    open_silence,
    read_silences,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.owners import acting_as

NOW = dt.datetime(2026, 11, 24, 5, 0, tzinfo=dt.timezone.utc)
SECOND, HOUR, DAY = dt.timedelta(seconds=1), dt.timedelta(hours=1), dt.timedelta(days=1)
NOBODY = 65534
WRITER = """
import datetime, sys
from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor.silences import end_silence, open_silence
path, who = sys.argv[1:]
now = datetime.datetime(2026, 11, 24, tzinfo=datetime.timezone.utc)
for number in range(20):
    made = open_silence(path, reason=f"{who} {number}", who=who, now=now, duration=datetime.timedelta(hours=1))
    if number % 2:
        end_silence(path, made.id, now)
"""


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "silences.json")


def opened(path: str, *checks: str, duration: dt.timedelta = HOUR, reason: str = "upgrade") -> Silence:
    return open_silence(path, reason=reason, who="anna", now=NOW, duration=duration, checks=checks)


def test_a_silence_holds_for_its_time(path):
    made = opened(path)
    assert read_silences(path) == Silences((made,))
    assert (made.begins, made.ends, made.ended) == (NOW, NOW + HOUR, None)
    kept = read_silences(path)
    assert [is_silenced(kept, "disk", moment) for moment in (
        NOW - SECOND, NOW, NOW + HOUR - SECOND, NOW + HOUR, NOW + DAY)] == [False, True, True, False, False]


def test_a_silence_that_is_ended_holds_no_longer(path):
    made, other = opened(path), opened(path, "page", reason="network")
    assert end_silence(path, made.id, NOW + SECOND) == (Silence(
        made.id, "upgrade", "anna", NOW, NOW + HOUR, (), NOW + SECOND),)
    kept = read_silences(path)
    assert [is_silenced(kept, check, NOW + SECOND) for check in ("disk", "page http://a/", "pages")] == [
        False, True, True]
    assert [one.id for one in kept if one.ended is None] == [other.id]
    for wanted in (made.id, "upgrade", "", "nothing"):
        with pytest.raises(UsageError, match="no open silence"):
            end_silence(path, wanted, NOW)


def test_all_of_one_reason_are_ended(path):
    first, second = opened(path, reason="restore"), opened(path, "page", reason=" restore ")
    opened(path, reason="other")
    assert [one.id for one in end_silence(path, "restore", NOW)] == [first.id, second.id]


def test_what_tells_of_alerts_is_never_silenced(path):
    kept = Silences((opened(path),))
    checks = ["silence", "silence 1", "outbox", "monitor", "silences of the lambs", "outboxes", "backup full"]
    assert [check for check in checks if is_silenced(kept, check, NOW)] == checks[-3:]
    with pytest.raises(UsageError, match="cannot be silenced"):
        opened(path, "page", "outbox")


@pytest.mark.parametrize("changes, told", [
    ({"reason": " \n"}, "no reason"),
    ({"duration": LONGEST + SECOND}, "from 1 second to 7 days"),
    ({"duration": dt.timedelta(0)}, "from 1 second to 7 days"),
    ({"duration": -HOUR}, "from 1 second to 7 days"),
    ({"checks": ("page", " ")}, "none of them empty"),
    ({"checks": ("page",) * 101}, "at most 100"),
    ({"checks": ("x" * 5000,)}, "at most 100"),
])
def test_what_cannot_be_a_silence(path, changes, told):
    with pytest.raises(UsageError, match=told):
        open_silence(path, **{"reason": "r", "who": "w", "now": NOW, "duration": HOUR, **changes})
    assert not os.path.exists(path)


def test_the_longest_silence(path):
    made = opened(path, duration=LONGEST)
    assert read_silences(path).kept == (made,)


def test_a_forgotten_silence_is_told_until_it_is_ended(path):
    made = opened(path, "page", "unit")
    (holds,) = findings(read_silences(path), NOW)
    assert (holds.level, holds.check) == (OK, f"silence {made.id}")
    assert holds.text == "upgrade (anna): nothing is told of page, unit until 2026-11-24T06:00:00Z"
    for moment in (NOW + HOUR, NOW + 400 * DAY):
        (forgotten,) = findings(read_silences(path), moment)
        assert (forgotten.level, forgotten.check) == (WARNING, f"silence {made.id}")
        assert forgotten.text == ("upgrade (anna): it was over at 2026-11-24T06:00:00Z and nobody ended it. "
                                  "Was the work finished? If so, end the silence")
    end_silence(path, "upgrade", NOW + 3 * HOUR)
    (ended,) = findings(read_silences(path), NOW + 3 * HOUR)
    assert (ended.level, ended.text) == (OK, "upgrade (anna): ended at 2026-11-24T08:00:00Z, 2 h 0 min late")
    assert findings(read_silences(path), NOW + 2 * DAY) == ()


def test_a_silence_that_was_ended_in_time_is_nothing_to_tell(path):
    opened(path)
    end_silence(path, "upgrade", NOW + SECOND)
    assert findings(read_silences(path), NOW + DAY) == ()


def test_old_ones_are_forgotten_and_open_ones_are_not(path):
    old, forgotten = opened(path, reason="old"), opened(path, reason="forgotten")
    end_silence(path, "old", NOW)
    open_silence(path, reason="later", who="w", now=NOW + 29 * DAY, duration=HOUR)
    assert [one.reason for one in read_silences(path)] == ["old", "forgotten", "later"]
    open_silence(path, reason="last", who="w", now=NOW + 30 * DAY, duration=HOUR)
    assert [one.reason for one in read_silences(path)] == ["forgotten", "later", "last"]
    assert old.id != forgotten.id


def test_what_is_written_is_printable_and_short(path):
    made = open_silence(path, reason="a\x1b[31m\n b" + "x" * 900, who="\ud800", now=NOW, duration=HOUR)
    assert made.reason.startswith("a\\x1b[31m b") and len(made.reason) == 200 and made.who == "\\ud800"
    assert read_silences(path).kept == (made,)


@pytest.mark.parametrize("damage", [
    lambda path: path.write_bytes(b""),
    lambda path: path.write_text(path.read_text().replace('"ended"', '"over"')),
    lambda path: path.write_text(path.read_text().replace("2026-11-24T06", "2027-11-24T06")),
    lambda path: path.write_text(path.read_text().replace('"page"', '""')),
    lambda path: (path.unlink(), path.symlink_to("elsewhere")),
    lambda path: (path.unlink(), path.mkdir()),
])
def test_a_damaged_file_silences_nothing_and_is_told(tmp_path, path, damage):
    opened(path, "page")
    damage(tmp_path / "silences.json")
    kept = read_silences(path)
    assert kept.kept == () and not is_silenced(kept, "page http://a/", NOW)
    (found,) = findings(kept, NOW)
    assert (found.level, found.check) == (WARNING, "silence")
    assert found.text.startswith("the file of the silences cannot be used: ") and found.text.endswith("; none holds")
    assert "\n" not in found.text
    with pytest.raises(DestinationError, match="cannot be used"):
        end_silence(path, "upgrade", NOW)


def test_a_damaged_file_is_begun_anew(tmp_path, path):
    (tmp_path / "silences.json").write_bytes(b"{")
    assert read_silences(path).problem
    made = opened(path)
    assert read_silences(path) == Silences((made,))


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_content_of_the_file_is_an_error(path, content):
    with open(path, "wb") as stream:
        stream.write(content)
    assert read_silences(path).problem


def test_no_file_is_no_silence(path):
    assert read_silences(path) == Silences()
    assert list(read_silences(path)) == [] and findings(Silences(), NOW) == ()


def test_a_directory_that_is_missing(tmp_path):
    with pytest.raises(DestinationError, match="does not exist"):
        opened(str(tmp_path / "nowhere" / "silences.json"))


def test_a_file_that_would_be_too_large_for_its_reader(path):
    for number in range(2):
        opened(path, *[f"{number}{'x' * 4000}"] * 100)
    with pytest.raises(UsageError, match="too many silences"):
        opened(path, *["y" * 4000] * 100)
    assert len(read_silences(path).kept) == 2


def test_who_cannot_get_the_lock_says_so(tmp_path, path, monkeypatch):
    monkeypatch.setattr(silences, "_LOCK_TIMEOUT_SECONDS", 0.1)
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(BusyError, match="another process changes the silences"):
        opened(path)
    os.close(handle)
    opened(path)


def test_two_writers_lose_nothing(path):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, path, who]) for who in ("anna", "ben")]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    kept = read_silences(path)
    assert sorted(one.reason for one in kept) == sorted(f"{who} {number}" for who in ("anna", "ben")
                                                        for number in range(20))
    assert sum(one.ended is None for one in kept) == 20 and len({one.id for one in kept}) == 40


@pytest.mark.needs("root")
def test_the_monitor_reads_what_root_opened(tmp_path, path):
    os.chown(tmp_path, NOBODY, NOBODY)
    for parent in tmp_path.parents:
        if parent == Path(tempfile.gettempdir()):
            break
        os.chmod(parent, 0o755)
    made = opened(path)
    assert (os.stat(path).st_uid, os.stat(path).st_gid, os.stat(path).st_mode & 0o777) == (NOBODY, NOBODY, 0o640)
    with acting_as(NOBODY, NOBODY):
        assert read_silences(path).kept == (made,)
        end_silence(path, made.id, NOW)
        mine = opened(path)
    assert read_silences(path).kept[-1] == mine
