# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hostile archives: whole and well compressed, encrypted with the right key, and made to do harm."""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys import KeyRing
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.reader import open_archive
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.staging import GROWTH_LIMIT_BYTES
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.tarstream import TarReader
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import ArchiveError, KeyFileError
from ansible_collections.feedforward.maintenance.tests.unit.engine.archive import samples
from ansible_collections.feedforward.maintenance.tests.unit.engine.archive.samples import KEY, digest_line, tar_member

PAGES = samples.page_digests(bytes(512))
MANIFEST = samples.manifest_of({"app.db": bytes(512)}, {"/d": None, "/d/f": b"content"})
GOOD = [
    ("databases/app.db", bytes(512)),
    ("page-digests/app.db", PAGES),
    ("files/d", None),
    ("files/d/f", b"content"),
]


def members_of(pairs) -> bytes:
    return b"".join(
        tar_member(name, data or b"", tarfile.DIRTYPE if data is None else tarfile.REGTYPE) for name, data in pairs
    )


def lines_of(pairs) -> list:
    return [digest_line(name, data) for name, data in pairs]


def check(directory, pairs=None, *, middle=None, lines=None, manifest=MANIFEST, key=None, **more):
    """Reads an archive of the given parts, good where nothing else is said."""
    pairs = GOOD if pairs is None else pairs
    path = samples.forge_archive(
        directory,
        manifest,
        members_of(pairs) if middle is None else middle,
        lines_of(pairs) if lines is None else lines,
        key=key,
        **more,
    )
    return samples.read_all(path, KeyRing.of(key) if key else None)


def refused(directory, cause, pairs=None, **parts):
    with pytest.raises(ArchiveError, match=cause) as caught:
        check(directory, pairs, **parts)
    assert str(caught.value).startswith(str(directory))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("key", [None, KEY])
def test_the_forger_can_make_a_good_one(tmp_path, key):
    manifest = samples.manifest_of({"app.db": bytes(512)}, {"/d": None, "/d/f": b"content"}, key)
    assert check(tmp_path, manifest=manifest, key=key) == dict(GOOD)


@pytest.mark.parametrize(
    "name",
    [
        "../etc/cron.d/x",
        "files/../../etc/passwd",
        "/etc/passwd",
        "files//d/f",
        "./files/d/f",
        "files/./d",
        "..",
        ".",
        "",
        "files/d/f/",
        "files/d\0/f",
        "files/" + "a" * 5000,
    ],
)
def test_names_that_lead_elsewhere(tmp_path, name):
    middle = members_of(GOOD) + tar_member(name, b"x", pax={"path": name} if "\0" in name or not name else None)
    refused(tmp_path, "leads elsewhere or has no proper name|twice", middle=middle)


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.CONTTYPE,
        tarfile.GNUTYPE_SPARSE,
        tarfile.AREGTYPE,
        b"Z",
        b"g",
        b"V",
    ],
)
def test_members_that_are_neither_file_nor_directory(tmp_path, kind):
    link = {"linkname": "/etc/passwd"} if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else {}
    for name in ("files/d/f", "files/x"):
        refused(tmp_path, "it contains a", middle=members_of(GOOD[:3]) + tar_member(name, b"", kind, **link))
    if link:
        refused(tmp_path, "link$|link\\.", middle=tar_member("files/d", b"", kind, **link))


def test_a_link_in_the_place_of_a_directory(tmp_path):
    middle = members_of(GOOD[:2]) + tar_member("files/d", b"", tarfile.SYMTYPE, linkname="/etc") + members_of(GOOD[3:])
    refused(tmp_path, "it contains a symbolic link", middle=middle)


def test_a_regular_file_with_a_link_name(tmp_path):
    refused(tmp_path, "a member with a link name", middle=tar_member("files/d/f", b"content", linkname="x"))


def test_gnu_long_names_are_not_ours(tmp_path):
    middle = tar_member("files/" + "x" * 200, b"", form=tarfile.GNU_FORMAT)
    refused(tmp_path, "something that is not a tar header", middle=middle)


def test_members_twice(tmp_path):
    for index in range(4):
        refused(tmp_path, "a member twice: " + GOOD[index][0], [*GOOD, GOOD[index]])
    refused(
        tmp_path,
        "a member that its manifest does not list: manifest.json",
        [("manifest.json", MANIFEST.to_bytes()), *GOOD],
    )


def test_members_that_the_manifest_does_not_list(tmp_path):
    for name in ("files/etc/passwd", "databases/other.db", "x", "files/d/f2", "files"):
        refused(tmp_path, f"a member that its manifest does not list: {name}", [*GOOD, (name, b"x")])


@pytest.mark.parametrize("index", range(4))
def test_members_that_are_missing(tmp_path, index):
    rest = GOOD[:index] + GOOD[index + 1 :]
    refused(tmp_path, f"the listed member {GOOD[index][0]} is missing", rest)
    refused(tmp_path, "its digests list other members|is not what its digests say", rest, lines=lines_of(GOOD))


def test_members_may_stand_in_another_order(tmp_path):
    assert check(tmp_path, GOOD[::-1]) == dict(GOOD)


def test_members_of_another_type(tmp_path):
    refused(tmp_path, "another type or size", [*GOOD[:2], ("files/d", b"")])
    refused(tmp_path, "another type or size", [*GOOD[:2], ("files/d/f", None)])
    middle = members_of(GOOD[:2]) + tar_member("files/d", b"", tarfile.DIRTYPE, size=5) + bytes(512)
    refused(tmp_path, "a directory with content", middle=middle)


def test_sizes_that_the_manifest_does_not_allow(tmp_path):
    for name, size in (
        ("databases/app.db", 511),
        ("databases/app.db", 513),
        ("page-digests/app.db", 17),
        ("databases/app.db", 1 << 40),
        ("files/d/f", 8 + GROWTH_LIMIT_BYTES),
    ):
        refused(tmp_path, f"its member {name} has another type or size", middle=tar_member(name, b"", size=size))


def test_a_database_with_other_content(tmp_path):
    pairs = [("databases/app.db", b"\1" * 512), *GOOD[1:]]
    refused(tmp_path, "the content of its member databases/app.db is not what its manifest lists", pairs)


def test_a_file_with_other_content_must_be_marked(tmp_path):
    pairs = [*GOOD[:3], ("files/d/f", b"Content")]
    refused(tmp_path, "its digests and its manifest disagree about files/d/f", pairs)
    lines = [*lines_of(GOOD[:3]), digest_line("files/d/f", b"Content", changed=True)]
    assert check(tmp_path, pairs, lines=lines)["files/d/f"] == b"Content"
    longer = [*GOOD[:3], ("files/d/f", b"longer than before")]
    assert check(
        tmp_path, longer, lines=[*lines_of(GOOD[:3]), digest_line("files/d/f", longer[3][1], changed=True)]
    ) == dict(longer)


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 8},
        {"sha256": "0" * 64},
        {"mode": 0o601},
        {"uid": 0},
        {"gid": 0},
        {"user": "root"},
        {"group": "root"},
        {"name": "files/d/g"},
        {"sha256": None},
    ],
)
def test_digests_that_differ_from_a_member(tmp_path, changes):
    for index in (0, 3):
        lines = lines_of(GOOD)
        lines[index] = replace(lines[index], **changes)
        refused(tmp_path, "digests", lines=lines)
        marked = [replace(line, changed=at == index) for at, line in enumerate(lines)]
        refused(tmp_path, "digests", lines=marked)


def test_only_listed_files_may_be_marked_as_changed(tmp_path):
    for index in range(3):
        lines = lines_of(GOOD)
        lines[index] = replace(lines[index], changed=True)
        refused(tmp_path, f"call {lines[index].name} changed, which cannot change", lines=lines)
    stranger = replace(digest_line("files/x", b""), changed=True, sha256=None)
    refused(tmp_path, "call files/x changed, which cannot change", lines=[*lines_of(GOOD), stranger])


def test_a_vanished_file(tmp_path):
    gone = digest_line("files/d/f", b"", changed=True, sha256=None)
    assert check(tmp_path, GOOD[:3], lines=[*lines_of(GOOD[:3]), gone]) == dict(GOOD[:3])
    refused(tmp_path, "call files/d/f vanished, and it is there", lines=[*lines_of(GOOD), gone])
    refused(tmp_path, "call files/d/f vanished, and it is there", GOOD[:3], lines=[*lines_of(GOOD[:3]), gone, gone])


def test_digests_that_are_too_many_too_few_or_exchanged(tmp_path):
    lines = lines_of(GOOD)
    refused(tmp_path, "its digests list other members", lines=[*lines, lines[3]])
    refused(tmp_path, "its digests list other members", lines=lines[:3])
    refused(tmp_path, "is not what its digests say", lines=[lines[1], lines[0], *lines[2:]])
    refused(
        tmp_path,
        "its digests list other members",
        digests=b"".join(
            json.dumps(vars(line)).encode() + b"\n" for line in [digest_line("manifest.json", MANIFEST.to_bytes())]
        ),
    )


def test_digests_that_cannot_be_read(tmp_path):
    for data in (b"", b"\n", b"{}\n", b"\xff\n", b'{"name": "x"}\n', b"[" * 100_000 + b"\n"):
        refused(tmp_path, "its member digests is not valid", digests=data)


def test_what_is_not_at_the_end(tmp_path):
    refused(tmp_path, "a member follows digests", end=tar_member("files/x", b"y") + bytes(1024))
    refused(tmp_path, "something follows the end of its members", end=bytes(1536))
    refused(tmp_path, "something follows the end of its members", end=bytes(1024) + b"x")
    refused(tmp_path, "something follows the end of its members", end=bytes(512) + tar_member("files/x", b"y"))
    refused(tmp_path, "truncated: it ends without its last members", end=b"")
    refused(tmp_path, "truncated: it ends without its last members", end=bytes(512))
    refused(tmp_path, "truncated: it ends without its last members", end=bytes(100))
    path = samples.forge(
        tmp_path / MANIFEST.name, tar_member("manifest.json", MANIFEST.to_bytes()) + members_of(GOOD) + bytes(1024)
    )
    with pytest.raises(ArchiveError, match="the member digests is missing"):
        samples.read_all(path)


def test_padding_that_is_not_empty(tmp_path):
    member = bytearray(tar_member("files/d/f", b"content"))
    member[-1] = 1
    refused(tmp_path, "the padding after a member is not empty", middle=members_of(GOOD[:3]) + bytes(member))


def test_manifest_and_digests_have_a_limit(tmp_path):
    path = samples.forge(tmp_path / "a.tar.gz", tar_member("manifest.json", b"", size=1 << 40))
    with pytest.raises(ArchiveError, match=r"its member manifest.json is larger than 67\.1 MB"):
        open_archive(str(path), None)
    head = tar_member("manifest.json", MANIFEST.to_bytes()) + members_of(GOOD)
    path = samples.forge(tmp_path / MANIFEST.name, head + tar_member("digests", b"", size=1 << 40))
    with pytest.raises(ArchiveError, match=r"its member digests is larger than 10\.5 MB"):
        samples.read_all(path)


def test_a_member_that_ends_too_early(tmp_path):
    cut = tar_member("manifest.json", MANIFEST.to_bytes()) + members_of(GOOD[:3]) + FILE[:515]
    path = samples.forge(tmp_path / MANIFEST.name, cut)
    with pytest.raises(ArchiveError, match="truncated: it ends within a member"):
        samples.read_all(path)


def extended(records: bytes, size=None) -> bytes:
    header = bytearray(
        tar_member("././@PaxHeader", b"", b"x", form=tarfile.USTAR_FORMAT, size=len(records) if size is None else size)
    )
    return bytes(header) + records + bytes(-len(records) % 512)


def record(key: str, value: str) -> bytes:
    text = f" {key}={value}\n".encode()
    length = len(text) + 1
    while len(str(length)) + len(text) != length:
        length += 1
    return str(length).encode() + text


FILE = tar_member("files/d/f", b"content")


@pytest.mark.parametrize(
    ("records", "cause"),
    [
        (record("path", "../../etc/passwd"), "leads elsewhere"),
        (record("path", "/etc/passwd"), "leads elsewhere"),
        (record("path", ""), "leads elsewhere"),
        (record("size", str(1 << 40)), "another type or size"),
        (record("size", "-1"), "an impossible size"),
        (record("size", "9" * 30), "an impossible size"),
        (record("size", "0x10"), "an impossible size"),
        (record("size", ""), "an impossible size"),
        (record("uid", "-1"), "an impossible uid"),
        (record("gid", "4294967296"), "an impossible mode or owner"),
        (record("mtime", "now"), "an impossible mtime"),
        (record("mtime", "9" * 19), "an impossible mtime"),
        (record("GNU.sparse.major", "1"), "an extended header with GNU.sparse.major"),
        (record("GNU.sparse.realsize", str(1 << 60)), "an extended header with GNU.sparse.realsize"),
        (record("SCHILY.xattr.security.capability", "x"), "SCHILY.xattr.security.capability"),
        (record("linkpath", "/etc"), "an extended header with linkpath"),
        (record("path", "a") + record("path", "files/d/f"), "an extended header with path"),
        (record("charset", "x" * 3000), "an extended header with charset"),
        (record("k" * 3000, "x"), "an extended header with kkk"),
        (b"9999999 path=x\n", "an extended header that cannot be read"),
        (b"99 path=x\n", "an extended header that cannot be read"),
        (b"5 path=x\n", "an extended header that cannot be read"),
        (b"0 path=x\n", "an extended header that cannot be read"),
        (b"3 x", "an extended header that cannot be read"),
        (b"7 path\n", "an extended header that cannot be read"),
        (b"9 path=xy", "an extended header that cannot be read"),
        (b"garbage", "an extended header that cannot be read"),
        (b"\0" * 10, "an extended header that cannot be read"),
    ],
)
def test_hostile_extended_headers(tmp_path, records, cause):
    refused(tmp_path, cause, middle=members_of(GOOD[:3]) + extended(records) + FILE)


def test_large_extended_headers_are_not_taken_into_memory(tmp_path):
    for size in ((1 << 16) + 1, 1 << 30):
        refused(tmp_path, f"an extended header of {size} bytes", middle=extended(b"", size))


def test_two_extended_headers_in_a_row(tmp_path):
    refused(tmp_path, "a member of type b'x'", middle=extended(record("path", "files/d/f")) * 2 + FILE)


def test_extended_headers_that_are_right(tmp_path):
    records = (
        record("path", "files/d/f")
        + record("size", "7")
        + record("uid", "1000")
        + record("mtime", "-3")
        + record("uname", "app")
    )
    assert check(tmp_path, middle=members_of(GOOD[:3]) + extended(records) + FILE) == dict(GOOD)
    assert check(tmp_path, middle=members_of(GOOD[:3]) + extended(b"") + FILE) == dict(GOOD)


@pytest.mark.parametrize(
    ("start", "value", "cause"),
    [
        (100, b"0010600\0", "impossible mode or owner"),
        (108, b"-000001\0", "impossible number"),
        (108, b"\x80\0\0\0\0\0\0\1", "impossible number"),
        (124, b"\x80" + bytes(10) + b"\7", "impossible number"),
        (124, b"0000000000x\0", "impossible number"),
        (148, b"zzzzzz\0 ", "impossible number"),
        (257, b"ustar  \0", "not a tar header"),
        (257, bytes(8), "not a tar header"),
    ],
)
def test_hostile_headers(tmp_path, start, value, cause):
    header = bytearray(FILE)
    header[start : start + len(value)] = value
    if start != 148:
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header[:512])
    refused(tmp_path, cause, middle=members_of(GOOD[:3]) + bytes(header))


def test_a_wrong_checksum(tmp_path):
    header = bytearray(FILE)
    header[0:1] = b"F"
    refused(tmp_path, "the checksum of a tar header is wrong", middle=members_of(GOOD[:3]) + bytes(header))


def test_names_with_a_prefix_as_ustar_divides_them(tmp_path):
    long = "/d/" + "x" * 60 + "/" + "y" * 70
    manifest = samples.manifest_of({}, {long: b"content"})
    member = tar_member("files" + long, b"content", form=tarfile.USTAR_FORMAT)
    assert len(member) == 1024
    path = samples.forge_archive(tmp_path, manifest, member, [digest_line("files" + long, b"content")])
    assert samples.read_all(path) == {"files" + long: b"content"}


class Bytes:
    def __init__(self, data: bytes) -> None:
        self.left = data

    def read(self, size: int = -1) -> bytes:
        result, self.left = self.left[:size], self.left[size:]
        return result


@settings(max_examples=300, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 1535), st.binary(min_size=1, max_size=12)), max_size=4), fix=st.booleans()
)
def test_any_header_gives_a_clean_name_or_an_archive_error(changes, fix):
    data = bytearray(extended(record("path", "files/ü")) + tar_member("x", b""))
    for start, value in changes:
        data[start : start + len(value)] = value
    for block in (0, 1024) if fix else ():
        data[block + 148 : block + 156] = b" " * 8
        data[block + 148 : block + 156] = b"%06o\0 " % sum(data[block : block + 512])
    reader = TarReader(Bytes(bytes(data) + bytes(1024)), "/backups/x")
    try:
        header = reader.next()
    except ArchiveError:
        return
    assert header is None or (not header.name.startswith("/") and ".." not in header.name.split("/") and header.name)
    assert header is None or header.type in ("file", "directory")


def test_the_next_header_is_found_behind_what_was_not_read():
    large = samples.noise(2_000_000)
    reader = TarReader(Bytes(tar_member("a", large) + tar_member("b", b"x") + bytes(1024)), "/backups/x")
    assert reader.next().name == "a"
    assert reader.read(10) == large[:10]
    assert reader.next().name == "b"
    assert reader.read(10) == b"x"
    assert reader.read(10) == b""
    assert reader.next() is None


def test_a_hostile_archive_needs_the_key_to_be_encrypted(tmp_path):
    path = samples.forge_archive(tmp_path, replace(MANIFEST, key_id=None), members_of(GOOD), lines_of(GOOD))
    with open_archive(str(path), KeyRing.of(KEY)) as archive:
        assert not archive.encrypted
    with pytest.raises(KeyFileError):
        open_archive(str(samples.forge(tmp_path / "x.enc", b"", KEY)), None)
