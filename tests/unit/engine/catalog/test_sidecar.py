# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sidecars: round trip, and None for whatever is wrong with one."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.sidecar import (
    Sidecar,
    read_sidecar,
    sidecar_path,
    write_sidecar,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import DestinationError, InternalError

NAME = "feedforward-database-20261124T054710Z.tar.gz.enc"
DATA = b"the bytes of an archive"
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8)
# The directory of a function-scoped fixture serves all examples: each writes the same file anew.
same_directory = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / NAME
    path.write_bytes(DATA)
    return str(path)


def lay(archive: str, data: bytes) -> None:
    with open(sidecar_path(archive), "wb") as stream:
        stream.write(data)


def test_what_is_written_is_read_back(archive, describe, instant):
    zone = timezone(timedelta(hours=2))
    made = instant(2026, 11, 24, 5, 47, 10, 123456).astimezone(zone)
    sidecar = describe(NAME, DATA, created_at=made, sequence=7, parts=("databases", "uploads"), databases=())
    write_sidecar(archive, sidecar)
    found = read_sidecar(archive)
    assert found == sidecar
    assert found.created_at == instant(2026, 11, 24, 5, 47, 10)
    assert stat.S_IMODE(os.stat(sidecar_path(archive)).st_mode) == 0o600
    assert b'"created_at": "2026-11-24T05:47:10Z"' in Path(sidecar_path(archive)).read_bytes()


def test_a_verification_is_kept(archive, describe, instant):
    failed = describe(NAME, DATA, verification="failed", verified_level="checksums", verified_at=instant(2026, 12, 1),
                      damage="digest of \0 differs" + "x" * 9000)
    write_sidecar(archive, failed)
    assert read_sidecar(archive) == failed
    assert failed.damage.startswith("digest of \\x00 differs")
    passed = replace(failed, verification="passed", damage=None)
    write_sidecar(archive, passed)
    assert read_sidecar(archive) == passed


def test_a_missing_one_is_none(archive):
    assert read_sidecar(archive) is None


@given(st.binary(max_size=300))
@same_directory
def test_any_bytes_are_none(archive, data):
    lay(archive, data)
    assert read_sidecar(archive) is None


@given(data=st.data())
@same_directory
def test_any_value_in_any_field_is_none_or_a_sidecar_that_fits(archive, describe, data):
    record = describe(NAME, DATA).as_dict()
    record[data.draw(st.sampled_from(sorted(record)))] = data.draw(json_values)
    lay(archive, json.dumps(record).encode())
    found = read_sidecar(archive)
    if found is not None:
        assert isinstance(found, Sidecar)
        assert (found.name, found.size, found.schema_version) == (NAME, len(DATA), 1)
        write_sidecar(archive, found)
        assert read_sidecar(archive) == found


@pytest.mark.parametrize("field", sorted(Sidecar.__dataclass_fields__))
def test_a_field_that_is_not_there_is_none(archive, describe, field):
    record = describe(NAME, DATA).as_dict()
    del record[field]
    lay(archive, json.dumps(record).encode())
    assert read_sidecar(archive) is None


@pytest.mark.parametrize("change", [
    {"schema_version": 2}, {"schema_version": 0}, {"schema_version": True}, {"format": "something else"},
    {"size": len(DATA) + 1}, {"size": -1}, {"size": 23.0}, {"size": True},
    {"name": "feedforward-database-20261124T054711Z.tar.gz.enc"}, {"name": "x"}, {"application": "other"},
    {"kind": "full"}, {"encrypted": False}, {"encrypted": "yes"}, {"key_id": None}, {"key_id": "0123ABCD"},
    {"sha256": "00"}, {"sequence": -1}, {"sequence": 10 ** 19}, {"created_at": "2026-11-24"},
    {"created_at": "2026-13-24T05:47:10Z"}, {"content_id": ""}, {"content_id": "\ud800"}, {"parts": "databases"},
    {"parts": [1]}, {"parts": ["secrets"]}, {"databases": {}}, {"databases": [1]}, {"databases": [{"name": "a"}]},
    {"verification": "passed"}, {"verified_at": "2026-11-24T05:47:10Z"}, {"damage": "unjudged"},
    {"verification": "perhaps", "verified_at": "2026-11-24T05:47:10Z", "verified_level": "restore"},
    {"verification": "passed", "verified_at": "2026-11-24T05:47:10Z", "verified_level": "restore", "damage": "x"},
])
def test_a_wrong_field_is_none(archive, describe, change):
    lay(archive, json.dumps({**describe(NAME, DATA).as_dict(), **change}).encode())
    assert read_sidecar(archive) is None


def test_a_field_of_tomorrow_is_no_harm(archive, describe):
    sidecar = describe(NAME, DATA)
    lay(archive, json.dumps({**sidecar.as_dict(), "colour": "red"}).encode())
    assert read_sidecar(archive) == sidecar


@pytest.mark.parametrize("data", [b"[" * 100_000, b"9" * 500_000, b"NaN", b'{"size": Infinity}', b"\xff\xfe", b"{}",
                                  b"null", b" " * (1 << 20) + b"{}"])
def test_hostile_json_is_none(archive, data):
    lay(archive, data)
    assert read_sidecar(archive) is None


def test_a_sidecar_of_another_archive_is_none(archive, describe, tmp_path):
    write_sidecar(archive, describe(NAME, DATA))
    other = tmp_path / "feedforward-database-20261124T054711Z.tar.gz.enc"
    other.write_bytes(DATA)
    os.rename(sidecar_path(archive), sidecar_path(str(other)))
    assert read_sidecar(str(other)) is None


def test_an_archive_that_grew_shrank_or_went_has_no_sidecar(archive, describe):
    write_sidecar(archive, describe(NAME, DATA))
    for data in (DATA + b"x", DATA[:-1]):
        with open(archive, "wb") as stream:
            stream.write(data)
        assert read_sidecar(archive) is None
    os.unlink(archive)
    assert read_sidecar(archive) is None


def test_links_directories_and_pipes_in_its_place_are_none(archive, describe, tmp_path):
    write_sidecar(archive, describe(NAME, DATA))
    path = sidecar_path(archive)
    os.rename(path, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", path)
    assert read_sidecar(archive) is None
    os.unlink(path)
    os.mkdir(path)
    assert read_sidecar(archive) is None
    os.rmdir(path)
    os.mkfifo(path)
    assert read_sidecar(archive) is None


def test_a_link_in_the_archives_place_has_no_sidecar(archive, describe, tmp_path):
    write_sidecar(archive, describe(NAME, DATA))
    os.rename(archive, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", archive)
    assert read_sidecar(archive) is None


@pytest.mark.parametrize("change", [{"sequence": -1}, {"key_id": None}, {"verification": "passed"},
                                    {"name": "feedforward-database-20261124T054711Z.tar.gz.enc"}])
def test_a_sidecar_that_would_not_be_read_back_is_not_written(archive, describe, change):
    write_sidecar(archive, describe(NAME, DATA))
    with pytest.raises(InternalError, match="contradicts"):
        write_sidecar(archive, replace(describe(NAME, DATA), **change))
    assert read_sidecar(archive) == describe(NAME, DATA)


def test_a_directory_that_went_is_a_destination_error(tmp_path, describe):
    with pytest.raises(DestinationError, match="does not exist"):
        write_sidecar(str(tmp_path / "gone" / NAME), describe(NAME, DATA))
