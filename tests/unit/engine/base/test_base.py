# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ground floor: errors, units, files, configuration."""

from __future__ import annotations

import errno
import json
import os
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.module_utils import (
    config,
    errors,
    files,
    owners,
    units,
    version,
)


def test_an_error_is_one_printable_line() -> None:
    error = errors.SourceError("/a\nb\x1b[31m\udce9", "cause", "Do this!")
    assert str(error).startswith("/a\\nb\\x1b[31m") and str(error).endswith("cause. Do this!")
    assert "\n" not in str(error)
    assert error.as_dict()["exit_code"] == 3 and error.as_dict()["message"] == str(error)
    json.dumps(error.as_dict()).encode("utf-8")


@pytest.mark.parametrize("number, word", [
    (errno.ENOSPC, "no space"), (errno.EDQUOT, "no space"), (errno.EROFS, "read-only"), (errno.EACCES, "permission"),
    (errno.ENOENT, "not exist"), (errno.EIO, "Input")])
def test_every_oserror_becomes_a_sentence(number, word) -> None:
    error = errors.from_oserror(OSError(number, os.strerror(number)), "/a/b", "writing")
    assert word in str(error) and str(error).startswith("/a/b: ")


def test_exit_codes_are_distinct() -> None:
    codes = [cls.exit_code for cls in errors.MaintenanceError.__subclasses__() if cls.__module__ == errors.__name__]
    assert sorted(codes) == [2, 3, 4, 5, 6, 7, 8, 70]


@pytest.mark.parametrize("count, text", [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (15_200_000, "15.2 MB"),
                                         (999_960, "1.0 MB"), (45_600_000_000, "45.6 GB"), (10 ** 18, "1000.0 PB")])
def test_sizes(count, text) -> None:
    assert units.format_bytes(count) == text


@pytest.mark.parametrize("seconds, text", [(0.42, "0.42 s"), (3.4, "3.4 s"), (125, "2 min 5 s"), (12000, "3 h 20 min"),
                                           (187200, "2 d 4 h"), (-3.4, "-3.4 s"), (59.96, "1 min 0 s")])
def test_durations(seconds, text) -> None:
    assert units.format_seconds(seconds) == text


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(9000, 1, 1)))
def test_stamps_and_iso_come_back(moment) -> None:
    aware = moment.replace(microsecond=0, tzinfo=timezone.utc)
    assert units.parse_stamp(units.stamp(aware)) == units.parse_time(units.iso(aware)) == aware


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "20261124", "2026-11-24T99:00", "٢٠٢٦1124T000000Z"])
def test_what_is_no_time_is_refused(text) -> None:
    with pytest.raises(errors.UsageError):
        units.parse_time(text)


def test_times_as_people_write_them() -> None:
    local = datetime(2026, 11, 24, 5, 47).astimezone()
    assert units.parse_time("2026-11-24 05:47") == local
    assert units.parse_time("2026-11-24T05:47:00+02:00") == datetime(2026, 11, 24, 3, 47, tzinfo=timezone.utc)
    assert units.parse_time("2026-11-24") == datetime(2026, 11, 25).astimezone()
    with pytest.raises(ValueError):
        units.parse_stamp("2026")


def test_a_signal_right_after_the_file_was_made_leaves_nothing(tmp_path, monkeypatch) -> None:
    """As the handler of SIGTERM raises it, in the middle of anything."""

    def arrives(*_arguments, **_more):
        raise KeyboardInterrupt

    (tmp_path / "file").write_bytes(b"before")
    for name in ("fdopen", "fsync", "rename"):
        with monkeypatch.context() as patched:
            patched.setattr(files.os, name, arrives)
            with pytest.raises(KeyboardInterrupt):
                files.atomic_write(str(tmp_path / "file"), b"after")
        assert [path.name for path in tmp_path.iterdir()] == ["file"]
        assert (tmp_path / "file").read_bytes() == b"before"


def test_atomic_write_replaces_and_leaves_nothing(tmp_path) -> None:
    path = str(tmp_path / "file")
    files.atomic_write(path, b"one", mode=0o640)
    files.atomic_write(path, b"two", mode=0o600, uid=os.getuid(), gid=os.getgid())
    with open(path, "rb") as stream:
        assert stream.read() == b"two"
    assert os.stat(path).st_mode & 0o777 == 0o600 and os.listdir(tmp_path) == ["file"]
    with pytest.raises(errors.DestinationError):
        files.atomic_write(str(tmp_path / "no" / "file"), b"")
    os.mkdir(tmp_path / "directory")
    with pytest.raises(errors.DestinationError):
        files.atomic_write(str(tmp_path / "directory"), b"")
    assert sorted(os.listdir(tmp_path)) == ["directory", "file"]


LONG_NAMES = [b"a" * 255, "\u8bba".encode() * 85, "\u044f".encode() * 127, "\U0001f600".encode() * 63, b"\xff" * 255,
              b"a" + "\u8bba".encode() * 84, b"\xe8\xae" * 127, b"\xff" + "\u8bba".encode() * 84]


@pytest.mark.parametrize("name", LONG_NAMES)
def test_a_file_of_the_longest_name_can_be_written(tmp_path, name) -> None:
    path = os.path.join(str(tmp_path), os.fsdecode(name))
    files.atomic_write(path, b"one")
    files.atomic_write(path, b"two")
    assert os.listdir(os.fsencode(tmp_path)) == [name]
    with open(path, "rb") as stream:
        assert stream.read() == b"two"
    with open(files.temporary_name(path), "xb"):
        pass
    assert len(files.remove_leftovers(str(tmp_path))) == 1 and os.listdir(os.fsencode(tmp_path)) == [name]


ANY_NAME = st.binary(min_size=1) | st.text(min_size=80).map(lambda text: text.encode("utf-8", "replace"))


@given(ANY_NAME)
def test_temporary_names_are_short_and_hold_whole_characters(name) -> None:
    base = os.fsdecode(name.replace(b"/", b"-"))
    directory, made = os.path.split(files.temporary_name(os.path.join("/a", base)))
    assert directory == "/a" and len(os.fsencode(made)) <= 255 and made.endswith(files.TEMPORARY_SUFFIX)
    kept = made[1:].rpartition(".")[0].rpartition(".")[0]
    assert base.startswith(kept) and (kept == base or len(os.fsencode(kept)) > 140)
    assert os.fsdecode(os.fsencode(kept)) == kept


def test_scratch_is_private_and_goes(tmp_path) -> None:
    with files.scratch_directory(str(tmp_path)) as path:
        assert os.stat(path).st_mode & 0o777 == 0o700
        assert files.remove_leftovers(str(tmp_path)) == () and os.path.isdir(path)
    assert os.listdir(tmp_path) == []
    with pytest.raises(errors.DestinationError), files.scratch_directory(str(tmp_path / "no")):
        raise AssertionError("not reached")
    with pytest.raises(errors.DestinationError):
        files.remove_leftovers(str(tmp_path / "no"))


def test_what_a_killed_run_left_goes_and_what_a_living_one_uses_stays(tmp_path) -> None:
    dead = tmp_path / ".maintenance-scratch-0123456789abcdef"
    (dead / "databases").mkdir(parents=True)
    (dead / "databases" / "app.db").write_bytes(b"plain data")
    (tmp_path / ".file.01234567.maintenance-tmp").write_bytes(b"half")
    with files.scratch_directory(str(tmp_path)) as scratch, files.file_beside(str(tmp_path / "file")) as (name, _file):
        living = {os.path.basename(scratch), os.path.basename(name)}
        assert len(files.remove_leftovers(str(tmp_path))) == 2
        assert {path.name for path in tmp_path.iterdir()} == living
    assert list(tmp_path.iterdir()) == []


def test_a_scratch_directory_that_was_removed_before_it_was_locked_is_made_anew(tmp_path, monkeypatch) -> None:
    real, made = os.mkdir, []

    def removed_at_once(path: str, mode: int = 0o777) -> None:
        real(path, mode)
        made.append(path)
        if len(made) == 1:
            os.rmdir(path)

    monkeypatch.setattr(os, "mkdir", removed_at_once)
    with files.scratch_directory(str(tmp_path)) as path:
        assert len(made) == 2 and path == made[1] and os.path.isdir(path)


def test_owners_by_name_and_number() -> None:
    assert owners.owner_names(0, 0) == ("root", "root")
    assert owners.owner_names(2 ** 31 - 7, 2 ** 31 - 7) == (str(2 ** 31 - 7), str(2 ** 31 - 7))
    assert owners.owner_ids("root", "root", 5, 6) == (0, 0)
    assert owners.owner_ids("no-such-user", "no-such-group", 5, 6) == (5, 6)


def test_acting_as_another_user_ends(tmp_path) -> None:
    ids = os.geteuid(), os.getegid(), os.getgroups()
    with owners.acting_as(65534, 65534):
        inside = os.geteuid()
    assert (os.geteuid(), os.getegid(), os.getgroups()) == ids
    assert inside == (65534 if ids[0] == 0 else ids[0])
    with owners.acting_as(0, 0):
        assert os.geteuid() == ids[0]


def test_the_file_system_is_named(tmp_path) -> None:
    assert files.filesystem_type("/proc") == "proc"
    assert files.filesystem_type(str(tmp_path)) != "" and files.filesystem_type("/no/such") == ""
    assert files.free_bytes(str(tmp_path)) > 0


def fragment(tmp_path, name, value):
    with open(tmp_path / name, "w", encoding="utf-8") as stream:
        stream.write(value if isinstance(value, str) else json.dumps(value))


def test_fragments_are_read_together(tmp_path) -> None:
    fragment(tmp_path, "application.json", {
        "application": "app", "databases": ["/a.db"], "service": "",
        "file_references": [{"database": "/a.db", "query": "SELECT 1", "base": "/b"}]})
    fragment(tmp_path, "backup.json", {"directory": "/b", "key_file": None, "max_age_hours": {"database": 25}})
    fragment(tmp_path, ".hidden.json", "not read")
    settings = config.load_settings(str(tmp_path))
    assert (settings.application, settings.databases, settings.directory) == ("app", ("/a.db",), "/b")
    assert settings.file_references == (("/a.db", "SELECT 1", "/b"),)
    assert (settings.key_file, settings.service, settings.retention_days) == (None, None, 30)
    assert settings.max_age_hours == {"database": 25.0} and len(settings.fragments) == 2


@pytest.mark.parametrize("value, word", [
    ("{", "not JSON"), ("[]", "object"), ({"colour": 1}, "colour"), ({"databases": "/a"}, "databases"),
    ({"databases": ["a"]}, "full path"), ({"compression": "zip"}, "gzip"), ({"compression_level": 20}, "0 to 19"),
    ({"compression_level": True}, "0 to 19"), ({"keep_last": 0}, "keep_last"), ({"deadline_seconds": "x"}, "seconds"),
    ({"max_age_hours": {"weekly": 1}}, "max_age_hours"), ({"max_age_hours": {"full": 0}}, "above 0"),
    ({"application": ""}, "application"), ({"directory": "b"}, "full path"), ({"workers": 0}, "workers"),
    ({"file_references": ["x"]}, "file_references"), ({"file_references": [{"database": "/a"}]}, "base")])
def test_bad_configuration_names_the_file_and_the_key(tmp_path, value, word) -> None:
    fragment(tmp_path, "x.json", value)
    with pytest.raises(errors.UsageError, match=word) as raised:
        config.load_settings(str(tmp_path))
    assert str(tmp_path / "x.json") in str(raised.value)


def test_a_key_in_two_fragments_or_no_fragment_is_refused(tmp_path) -> None:
    with pytest.raises(errors.UsageError, match="no configuration"):
        config.load_settings(str(tmp_path))
    with pytest.raises(errors.UsageError, match="no configuration"):
        config.load_settings(str(tmp_path / "no"))
    fragment(tmp_path, "a.json", {"keep_last": 3})
    fragment(tmp_path, "b.json", {"keep_last": 4})
    with pytest.raises(errors.UsageError, match=r"already stands in .*a\.json"):
        config.load_settings(str(tmp_path))
    os.unlink(tmp_path / "b.json")
    os.mkdir(tmp_path / "b.json")
    with pytest.raises(errors.UsageError, match="cannot be read"):
        config.load_settings(str(tmp_path))
    with pytest.raises(errors.UsageError, match="cannot be read"):
        config.load_settings(str(tmp_path / "a.json"))


def test_the_version_is_that_of_the_collection() -> None:
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(config.__file__))))
    with open(os.path.join(top, "galaxy.yml"), encoding="utf-8") as stream:
        assert f"version: {version.VERSION}\n" in stream.read()


def test_aware_arithmetic() -> None:
    assert abs(units.utc_now() - datetime.now(timezone.utc)) < timedelta(minutes=1)
