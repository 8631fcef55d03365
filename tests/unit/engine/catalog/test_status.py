# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Status records: what is not changed stays, what is damaged is None, and two writers lose nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.names import parse_name
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.status import (
    StatusRecord,
    read_status,
    status_path,
    update_status,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import DestinationError, UsageError

WRITER = """
import sys
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.status import update_status
directory, field = sys.argv[1:]
for number in range(40):
    update_status(directory, "feedforward", "full", **{field: f"{field} {number}"})
"""
same_directory = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture
def directory(tmp_path):
    return str(tmp_path)


def test_fields_that_are_not_named_stay(directory, instant):
    update_status(directory, "feedforward", "database", last_attempt_at=instant(2026, 11, 24, 2, 0, 0, 999999),
                  last_outcome="created", last_success_at=instant(2026, 11, 24, 2), newest_archive="a", content_id="c")
    update_status(directory, "feedforward", "database", last_outcome="failed", last_error="disk full")
    assert read_status(directory, "feedforward", "database") == StatusRecord(
        "feedforward", "database", last_attempt_at=instant(2026, 11, 24, 2), last_outcome="failed",
        last_error="disk full", last_success_at=instant(2026, 11, 24, 2), newest_archive="a", content_id="c")
    update_status(directory, "feedforward", "database", last_error=None)
    assert read_status(directory, "feedforward", "database").last_error is None


def test_each_field_makes_the_round_trip(directory, instant):
    values = {"last_outcome": "unchanged", "last_verification": "failed"}
    for number, field in enumerate(StatusRecord.__dataclass_fields__):
        if field.endswith(("_at", "_as_of")):
            values[field] = instant(2026, 11, 1 + number)
        elif field not in values:
            values[field] = "config" if field == "kind" else f"text-{number}"
    record = StatusRecord(**values)
    del values["application"], values["kind"]
    written = update_status(directory, record.application, "config", **values)
    assert written == record == read_status(directory, record.application, "config")


def test_a_record_never_looks_like_an_archive(directory):
    path = status_path(directory, "x-full-20260101t000000z.tar.gz", "full")
    assert parse_name(os.path.basename(path)) is None
    assert path.endswith("-full.status.json")


def test_kinds_and_applications_are_apart(directory):
    update_status(directory, "feedforward", "full", content_id="x")
    assert read_status(directory, "feedforward", "logs") is None
    assert read_status(directory, "other", "full") is None
    os.rename(status_path(directory, "feedforward", "full"), status_path(directory, "feedforward", "logs"))
    assert read_status(directory, "feedforward", "logs") is None


@given(st.binary(max_size=200) | st.dictionaries(st.text(), st.integers()).map(lambda d: json.dumps(d).encode()))
@same_directory
def test_any_bytes_are_none_and_are_replaced(directory, data):
    with open(status_path(directory, "feedforward", "full"), "wb") as stream:
        stream.write(data)
    assert read_status(directory, "feedforward", "full") is None
    update_status(directory, "feedforward", "full", last_outcome="nothing")
    assert read_status(directory, "feedforward", "full") == StatusRecord("feedforward", "full", last_outcome="nothing")


@pytest.mark.parametrize("change", [
    {"schema_version": 2}, {"format": "x"}, {"last_outcome": "great"}, {"content_id": 5},
    {"last_verification": "perhaps"}, {"current_as_of": "yesterday"},
])
def test_a_wrong_field_is_none(directory, change):
    record = update_status(directory, "feedforward", "full", content_id="x").as_dict()
    with open(status_path(directory, "feedforward", "full"), "w", encoding="utf-8") as stream:
        json.dump({**record, **change}, stream)
    assert read_status(directory, "feedforward", "full") is None


def test_an_error_of_any_text_is_kept_readable(directory):
    update_status(directory, "feedforward", "full", last_error="a\udcffb\nc" + "x" * 5000)
    error = read_status(directory, "feedforward", "full").last_error
    assert error.startswith("a\\udcffb\\nc")
    assert len(error) == 2000


def test_what_does_not_exist_is_refused(directory):
    with pytest.raises(TypeError):
        update_status(directory, "feedforward", "full", colour="red")
    with pytest.raises(ValueError, match="great"):
        update_status(directory, "feedforward", "full", last_outcome="great")
    with pytest.raises(UsageError):
        update_status(directory, "../feedforward", "full", content_id="x")
    with pytest.raises(UsageError):
        read_status(directory, "feedforward", "weekly")
    assert read_status(directory, "feedforward", "full") is None


def test_a_missing_directory_is_none_to_read_and_an_error_to_write(directory):
    gone = os.path.join(directory, "gone")
    assert read_status(gone, "feedforward", "full") is None
    with pytest.raises(DestinationError, match="does not exist"):
        update_status(gone, "feedforward", "full", content_id="x")


def test_two_writers_at_once_lose_nothing(directory):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, directory, field])
               for field in ("content_id", "last_error", "newest_archive")]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0]
    record = read_status(directory, "feedforward", "full")
    assert (record.content_id, record.last_error, record.newest_archive) == (
        "content_id 39", "last_error 39", "newest_archive 39")
    assert not [name for name in os.listdir(directory) if name.endswith(".maintenance-tmp")]
