# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests of pages, file and content."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import DestinationError, SourceError
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.digest import (
    DatabaseDigester,
    digest_database,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.snapshot import take


def database_bytes(page_size, pages, seed):
    """A well-formed header, then noise: the digester looks at nothing else."""
    noise = b"".join(hashlib.sha256(b"%d %d" % (seed, n)).digest() for n in range(page_size * pages // 32))
    header = bytearray(b"SQLite format 3\0" + noise[16:100])
    header[16:20] = (1 if page_size == 65536 else page_size).to_bytes(2, "big") + b"\1\1"
    return bytes(header) + noise[100:]


def expected(data, page_size):
    """The definition, word for word."""
    pages = [data[at:at + page_size] for at in range(0, len(data), page_size)]
    first = bytearray(pages[0])
    first[24:28], first[40:44], first[92:100] = bytes(4), bytes(4), bytes(8)
    content = hashlib.sha256(b"".join(hashlib.sha256(page).digest()[:16] for page in [bytes(first), *pages[1:]]))
    table = b"".join(hashlib.sha256(page).digest()[:16] for page in pages)
    return hashlib.sha256(data).hexdigest(), content.hexdigest(), table


@given(page_size=st.sampled_from([512, 1024, 4096, 65536]), pages=st.integers(1, 7), seed=st.integers(0, 1000),
       cuts=st.lists(st.integers(0, 7 * 65536), max_size=12), kind=st.sampled_from([bytes, bytearray, memoryview]))
def test_any_pieces_give_the_digests_of_the_definition(page_size, pages, seed, cuts, kind):
    data = database_bytes(page_size, pages, seed)
    table = io.BytesIO()
    digester = DatabaseDigester("piecemeal", table)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for begin, end in zip(edges, edges[1:]):
        digester.update(kind(data[begin:end]))
    found = digester.finish()
    assert (found.content_sha256, table.getvalue()) == expected(data, page_size)[1:]
    assert (found.size, found.page_size, found.page_count) == (len(data), page_size, pages)


@given(seed=st.integers(0, 1000))
def test_single_bytes_give_the_same(seed):
    data = database_bytes(512, 2, seed)
    digester = DatabaseDigester()
    for byte in data:
        digester.update(bytes([byte]))
    assert digester.finish().content_sha256 == expected(data, 512)[1]


@given(position=st.integers(100, 4 * 512 - 1), bit=st.integers(0, 7))
def test_pitfall_08_every_flipped_bit_changes_the_content_digest(position, bit):
    data = bytearray(database_bytes(512, 4, 7))
    before = expected(bytes(data), 512)[1]
    data[position] ^= 1 << bit
    digester = DatabaseDigester()
    digester.update(data)
    assert digester.finish().content_sha256 != before


@pytest.mark.parametrize("data", [b"", b"SQLite for", b"text " * 100, bytes(4096), os.urandom(8192)])
def test_what_is_no_database_is_an_error_at_the_end(data):
    digester = DatabaseDigester("stream of an archive")
    for begin in range(0, len(data), 60):
        digester.update(data[begin:begin + 60])
    with pytest.raises(SourceError, match="stream of an archive"):
        digester.finish()


def test_a_stream_that_ends_within_a_page_is_an_error():
    digester = DatabaseDigester()
    digester.update(database_bytes(4096, 3, 1)[:-1])
    with pytest.raises(SourceError, match="within a page"):
        digester.finish()


def test_file_and_page_table(tmp_path, databases):
    path = databases.make(tmp_path / "a.db", journal="delete", rows=3000)
    calls = []
    found = digest_database(str(path), str(tmp_path / "table"), lambda *call: calls.append(call))
    data = path.read_bytes()
    assert (found.sha256, found.content_sha256, (tmp_path / "table").read_bytes()) == expected(data, 4096)
    assert calls[-1] == ("digest", len(data), len(data))
    assert stat.S_IMODE((tmp_path / "table").stat().st_mode) == 0o600
    assert digest_database(str(path)) == found


def test_an_existing_table_is_not_overwritten(tmp_path, databases):
    path = databases.make(tmp_path / "a.db", journal="delete")
    (tmp_path / "table").write_bytes(b"somebody's")
    with pytest.raises(DestinationError, match="table"):
        digest_database(str(path), str(tmp_path / "table"))
    assert (tmp_path / "table").read_bytes() == b"somebody's"


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(SourceError, match="gone.db"):
        digest_database(str(tmp_path / "gone.db"))
    with pytest.raises(SourceError, match="directory"):
        digest_database(str(tmp_path))


def test_content_digest_follows_the_rows_and_nothing_else(tmp_path, scratch, databases):
    """Equal for snapshots of equal content and after a restore that is opened in WAL mode; other after a change."""
    source = databases.make(tmp_path / "live.db")
    first = take(str(source), str(scratch), "first")
    again = take(str(source), str(scratch), "again")
    assert again.digests == first.digests
    restored = tmp_path / "restored.db"
    shutil.copyfile(first.path, restored)
    databases.run(restored, "INSERT INTO empty VALUES (1)")
    databases.run(restored, "DELETE FROM empty; PRAGMA wal_checkpoint")
    third = take(str(restored), str(scratch), "third")
    assert third.digests.content_sha256 == first.digests.content_sha256
    seen = {first.digests.content_sha256}
    for number, change in enumerate(("UPDATE drafts SET content = 'x' WHERE id = 7", "DELETE FROM courses",
                                     "INSERT INTO empty VALUES (1)", "CREATE TABLE another(a)",
                                     "PRAGMA user_version = 3")):
        databases.run(source, change)
        seen.add(take(str(source), str(scratch), f"changed-{number}").digests.content_sha256)
        assert len(seen) == number + 2, change


def test_a_change_that_is_undone_leaves_the_counters_only(tmp_path, databases):
    """The change counter and the version bytes moved, so the files differ and the content does not."""
    source = databases.make(tmp_path / "live.db", journal="delete")
    before = digest_database(str(source))
    databases.run(source, "PRAGMA user_version = 5; PRAGMA user_version = 0")
    after = digest_database(str(source))
    assert (after.sha256 != before.sha256, after.content_sha256 == before.content_sha256) == (True, True)


def test_a_table_that_cannot_be_written_is_named(tmp_path, databases):
    path = databases.make(tmp_path / "a.db")
    with pytest.raises(DestinationError, match="no/table"):
        digest_database(str(path), str(tmp_path / "no" / "table"))
    assert not (tmp_path / "no").exists()
