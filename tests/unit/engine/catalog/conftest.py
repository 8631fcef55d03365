# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of any bytes with honest sidecars, and the rights of an ordinary user."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from datetime import datetime, timezone

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.names import archive_name, parse_name
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.sidecar import (
    DatabaseSummary,
    Sidecar,
    write_sidecar,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.owners import acting_as

NOBODY = 65534


@pytest.fixture(scope="session")
def instant():
    """An aware instant in UTC from year, month, day ..."""
    return lambda *parts: datetime(*parts, tzinfo=timezone.utc)


@pytest.fixture(scope="session")
def describe():
    """The sidecar that fits an archive of these bytes."""

    def make(name: str, data: bytes, **fields) -> Sidecar:
        parsed = parse_name(name)
        values = {
            "name": name,
            "application": parsed.application,
            "kind": parsed.kind,
            "sequence": 1,
            "created_at": parsed.stamp,
            "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "content_id": hashlib.sha256(data).hexdigest(),
            "encrypted": parsed.encrypted,
            "key_id": "0123abcd" if parsed.encrypted else None,
            "databases": (DatabaseSummary("feedforward.db", 8192, 2, "ab" * 32, 12),),
            "parts": ("databases",),
        }
        values.update(fields)
        return Sidecar(**values)

    return make


@pytest.fixture
def put(describe):
    """Lays an archive, with a sidecar unless ``sequence`` is None, into a directory; returns its path."""

    def make(directory, moment, *, application="feedforward", kind="database", sequence=1, verification="passed",
             encrypted=True, data=None) -> str:
        name = archive_name(application, kind, moment, encrypted)
        data = f"archive {name} {sequence}".encode() if data is None else data
        path = os.path.join(str(directory), name)
        with open(path, "wb") as stream:
            stream.write(data)
        if sequence is not None:
            judged = {"verification": verification, "verified_at": moment, "verified_level": "integrity"}
            write_sidecar(path, describe(name, data, sequence=sequence, **(judged if verification else {})))
        return path

    return make


@pytest.fixture
def tree():
    """Everything below a directory: relative path -> bytes, the target of a link, or None (directory, pipe)."""

    def read(directory) -> dict:
        found = {}
        for top, directories, files in os.walk(directory):
            for base in directories + files:
                path = os.path.join(top, base)
                key = os.path.relpath(path, directory)
                if os.path.islink(path):
                    found[key] = os.readlink(path)
                elif not os.path.isfile(path):
                    found[key] = None
                else:
                    with open(path, "rb") as stream:
                        found[key] = stream.read()
        return found

    return read


@pytest.fixture
def public_directory():
    """A directory that every user can reach: pytest's own are closed to all but their owner."""
    path = tempfile.mkdtemp(prefix="catalog-")
    os.chmod(path, 0o755)
    yield path
    os.chmod(path, 0o755)
    shutil.rmtree(path)


@pytest.fixture
def ordinary_user():
    """Root acts as nobody meanwhile (root may write everywhere); everybody else stays what they are."""
    return lambda: acting_as(NOBODY, NOBODY)
