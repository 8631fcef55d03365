# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest: what it says survives, and nothing but ArchiveError comes out of bad bytes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.module_utils.archive import fields
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.digests import from_lines, to_lines
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.fields import Invalid
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.manifest import Base, Manifest
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import ArchiveError
from ansible_collections.feedforward.maintenance.tests.unit.engine.archive import samples
from ansible_collections.feedforward.maintenance.tests.unit.engine.archive.samples import KEY

GOOD = samples.manifest_of({"app.db": bytes(1024)}, {"/opt/app": None, "/opt/app/.env": b"x"}, KEY)
REMOVED = object()


def changed(*path, value) -> bytes:
    """The good manifest's JSON with one field replaced or removed."""
    content = json.loads(GOOD.to_bytes())
    place = content
    for step in path[:-1]:
        place = place[step]
    if value is REMOVED:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(content).encode()


def refuse(data: bytes, cause: str) -> None:
    with pytest.raises(ArchiveError, match=cause) as caught:
        Manifest.from_bytes(data, "/backups/a.tar.gz")
    assert str(caught.value).startswith("/backups/a.tar.gz: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_it_comes_back():
    assert Manifest.from_bytes(GOOD.to_bytes()) == GOOD
    plain = samples.manifest_of({}, {}, previous=None, absent=(), skipped=(), warnings=())
    assert Manifest.from_bytes(plain.to_bytes()) == plain


def test_it_reads_well():
    text = GOOD.to_bytes().decode("ascii")
    assert text.startswith(
        '{\n "format": "feedforward-maintenance archive",\n "schema_version": 1,\n "name": "app-full-'
    )
    assert text.endswith("}\n")
    assert max(len(line) for line in text.splitlines()) < 120


names = st.text(
    st.characters(blacklist_characters="\0/", blacklist_categories=("Cs",)), min_size=1, max_size=40
).filter(lambda name: name not in (".", ".."))
texts = st.text(st.characters(blacklist_characters="\0"), max_size=80)
counts = st.integers(0, 2**63 - 1)
owners = st.fixed_dictionaries(
    {
        "uid": st.integers(0, 2**32 - 1),
        "gid": st.integers(0, 2**32 - 1),
        "mode": st.integers(0, 0o7777),
        "user": texts,
        "group": texts,
    }
)


@st.composite
def manifests(draw):
    databases = {name: bytes(512 * draw(st.integers(1, 3))) for name in draw(st.lists(names, unique=True, max_size=3))}
    files = {
        "/" + "/".join(draw(st.lists(names, min_size=1, max_size=3))) + f"/{index}": draw(
            st.one_of(st.none(), st.binary(max_size=9))
        )
        for index in range(draw(st.integers(0, 4)))
    }
    key = draw(st.sampled_from([None, KEY]))
    manifest = samples.manifest_of(databases, files, key, draw(st.integers(0, 9)))
    return replace(
        manifest,
        sequence=draw(counts),
        host=draw(texts),
        warnings=tuple(draw(st.lists(texts, max_size=3))),
        databases=tuple(
            replace(
                database,
                rows=draw(st.dictionaries(texts, counts, max_size=4)),
                journal_mode=draw(texts),
                user_version=draw(st.integers(-(2**31), 2**31 - 1)),
                integrity=draw(texts),
                **draw(owners),
            )
            for database in manifest.databases
        ),
        files=tuple(
            replace(file, part=draw(st.sampled_from(["config", "uploads", "logs"])), **draw(owners))
            for file in manifest.files
        ),
    )


@settings(max_examples=150, deadline=None)
@given(manifest=manifests())
def test_any_manifest_comes_back(manifest):
    try:
        assert Manifest.from_bytes(manifest.to_bytes()) == manifest
    except ArchiveError as error:
        # Two of the drawn paths may lie inside each other.
        assert "inside another" in error.cause


def test_bytes_that_are_not_utf8_in_paths_come_back():
    manifest = samples.manifest_of({}, {"/srv/\udcff\udc80": b"x"})
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest


json_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.just("/x/y"), st.just("a" * 64)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=10), inner, max_size=4)),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(
    data=st.one_of(
        st.binary(max_size=300),
        json_values.map(lambda value: json.dumps(value).encode()),
        st.dictionaries(st.sampled_from(list(vars(GOOD))), json_values).map(
            lambda value: json.dumps({**value, "format": GOOD.format}).encode()
        ),
    )
)
def test_no_other_exception_than_archive_error(data):
    try:
        Manifest.from_bytes(data)
    except ArchiveError:
        return
    pytest.fail("accepted")


PLACES = [
    *((name,) for name in json.loads(GOOD.to_bytes())),
    *(("databases", 0, name) for name in json.loads(GOOD.to_bytes())["databases"][0]),
    *(("files", 1, name) for name in json.loads(GOOD.to_bytes())["files"][1]),
    *(("compression", name) for name in ("method", "level", "library")),
    *(("software", name) for name in ("collection", "python", "sqlite")),
    *(("skipped", 0, name) for name in ("path", "reason")),
]
NULLABLE = {("previous",), ("base",), ("full_because",), ("databases", 0, "page_numbers")}


@settings(max_examples=400, deadline=None)
@given(place=st.sampled_from(PLACES), value=json_values)
@example(place=("software",), value={})
@example(place=("schema_version",), value=True)
@example(place=("schema_version",), value=1.0)
@example(place=("databases", 0, "rows"), value={"x": True})
def test_any_field_of_another_value_is_refused_or_right(place, value):
    data = changed(*place, value=value)
    try:
        manifest = Manifest.from_bytes(data)
    except ArchiveError:
        return
    assert json.loads(manifest.to_bytes()) == json.loads(data)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_every_field_must_be_there(place):
    refuse(changed(*place, value=REMOVED), "is missing" if place != ("format",) else "not that of an archive")


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
@pytest.mark.parametrize("value", [None, [1], {"a": 1}, -1, "", "x\0y", 1.5], ids=repr)
def test_every_field_has_its_type(place, value):
    data = changed(*place, value=value)
    texts_that_may_be_empty = {
        "host",
        "integrity",
        "journal_mode",
        "user",
        "group",
        "collection",
        "python",
        "sqlite",
        "library",
        "reason",
        "full_because",
    }
    allowed = (
        (value is None and place in NULLABLE)
        or (value == "" and place[-1] in texts_that_may_be_empty)
        or (value == -1 and place[-1] in ("user_version", "application_id"))
        or (value == {"a": 1} and place[-1] == "rows")
    )
    if allowed:
        Manifest.from_bytes(data)
    else:
        refuse(data, place[-1] if place != ("format",) else "not that of an archive")


@pytest.mark.parametrize(
    "place",
    [
        ("new",),
        ("databases", 0, "new"),
        ("files", 0, "new"),
        ("compression", "new"),
        ("software", "new"),
        ("skipped", 0, "new"),
    ],
    ids=str,
)
def test_unknown_fields_are_refused(place):
    refuse(changed(*place, value=1), r"new is not a field of this version")


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        (b"[" * 1000, "it is not JSON"),
        (b"[" * 200_000, "than its size explains"),
        (b"{}", "not that of an archive"),
        (b"[]", "not that of an archive"),
        (b"null", "not that of an archive"),
        (b'{"format": 3}', "not that of an archive"),
        (b'{"a": 1, "a": 1}', "occurs twice"),
        (b'{"a": 1.5}', "not that of an archive"),
        (b'{"a": NaN}', "NaN is not a number"),
        (b'{"a": 1e999}', "not that of an archive"),
        (b'{"a": ' + b"9" * 100_000 + b"}", "too large"),
        (GOOD.to_bytes() + b"x", "it is not JSON"),
        (GOOD.to_bytes()[:-10], "it is not JSON"),
        (b'"' + b"a" * 100_000, "it is not JSON"),
    ],
)
def test_bytes_that_are_no_manifest(data, cause):
    refuse(data, cause)


def test_a_newer_version_says_so_and_its_fields_do_not_matter():
    newer = json.dumps(
        {"format": GOOD.format, "schema_version": 2, "software": {"collection": "9.1.0"}, "x": [1]}
    ).encode()
    refuse(
        newer,
        "it has format version 2, made by version 9.1.0 of the collection; this one reads up to version 1. Upgrade",
    )
    refuse(json.dumps({"format": GOOD.format, "schema_version": 3}).encode(), "made by version unknown")
    refuse(
        json.dumps({"format": GOOD.format, "schema_version": 3, "software": {"collection": ["\n" * 500]}}).encode(),
        "version 3",
    )
    refuse(json.dumps({"format": GOOD.format, "schema_version": 0}).encode(), "schema_version must be")


@pytest.mark.parametrize(
    ("place", "value", "cause"),
    [
        (("name",), "app-full-20261124T054710Z.tar.gz", "name must be app-full-<UTC stamp>.tar.gz.enc"),
        (("name",), "app-logs-20261124T054710Z.tar.gz.enc", "name must be"),
        (("name",), "app-full-20261324T054710Z.tar.gz.enc", "name must be"),
        (("name",), "app-full-.tar.gz.enc", "name must be"),
        (("name",), "app-full-x20261124T054710Z.tar.gz.enc", "name must be"),
        (("name",), "../app-full-20261124T054710Z.tar.gz.enc", "name must be a file name"),
        (("application",), "App", "application must be lower-case"),
        (("application",), "../x", "application must be lower-case"),
        (("kind",), "weekly", "kind must be one of database, config, logs, full"),
        (("encrypted",), False, "name must be app-full-<UTC stamp>.tar.gz"),
        (("key_id",), None, "key_id must be there if, and only if"),
        (("key_id",), "0123456", "8 hexadecimal"),
        (("content_id",), "A" * 64, "64 hexadecimal"),
        (("created_at",), "2026-11-24T05:47:10", "must be a time like"),
        (("created_at",), "2026-02-30T05:47:10Z", "must be a time like"),
        (("base",), "x", "base must be an object"),
        (("absent", 0), "relative", "absolute path"),
        (("absent", 0), "/a/../b", "absolute path"),
        (("databases", 0, "name"), "..", "must be a file name"),
        (("databases", 0, "name"), "n" * 256, "must be a file name"),
        (("databases", 0, "name"), "\ud800", "must be a file name"),
        (("databases", 0, "member"), "databases/../../etc/passwd", "must be one of databases/app.db"),
        (("databases", 0, "page_digests"), "databases/app.db", "must be one of page-digests/app.db"),
        (("databases", 0, "size"), 1025, "must be page_size times page_count"),
        (("databases", 0, "page_count"), 2**32, "page_count must be a whole number"),
        (("databases", 0, "source"), "data/app.db", "absolute path"),
        (("databases", 0, "rows"), {"t": -1}, "rows.t must be"),
        (("files", 1, "path"), "/etc/../shadow", "path must be an absolute path"),
        (("files", 1, "path"), "/", "path must be an absolute path"),
        (("files", 1, "path"), "/a//b", "path must be an absolute path"),
        (("files", 1, "path"), "/a/", "path must be an absolute path"),
        (("files", 1, "path"), "/" + "a" * 5000, "path must be an absolute path"),
        (("files", 1, "path"), "/\udcc3\udca9", "path must be an absolute path"),
        (("files", 1, "member"), "/etc/shadow", "member must be one of"),
        (("files", 1, "part"), "database", "part must be one of"),
        (("files", 1, "type"), "link", "type must be one of"),
        (("files", 0, "size"), 5, "size must be a whole number from 0 to 0"),
        (("files", 0, "sha256"), "a" * 64, "sha256 must be null"),
        (("files", 1, "sha256"), None, "sha256 must be 64"),
        (("files", 1, "mode"), 0o10000, "mode must be"),
        (("compression", "method"), "xz", "method must be one of gzip, zstd"),
        (("host",), "h" * 70_000, "host must be text"),
    ],
    ids=str,
)
def test_values_that_are_refused(place, value, cause):
    refuse(changed(*place, value=value), cause)


def test_members_twice_or_inside_a_file():
    file = samples.file_entry("/a/b", b"x")
    for files in ((file, file), (file, samples.file_entry("/a/b", None))):
        refuse(replace(GOOD, files=files).to_bytes(), "listed twice")
    refuse(replace(GOOD, databases=GOOD.databases * 2).to_bytes(), "listed twice")
    for inner in ("/a/b/c", "/a/b/c/d/e"):
        for order in (1, -1):
            files = (file, samples.file_entry("/a/b-c", b""), samples.file_entry(inner, b""))[::order]
            refuse(replace(GOOD, files=files).to_bytes(), "inside another one that is a file")
    nested = (samples.file_entry("/a", None), samples.file_entry("/a/b", b"x"), samples.file_entry("/a/b.c", b"x"))
    assert Manifest.from_bytes(replace(GOOD, files=nested).to_bytes()).files == nested


INCREMENT = replace(
    GOOD,
    name="app-database-20261124T054710Z.tar.gz.enc",
    kind="database",
    files=(),
    base=Base("app-database-20261123T054710Z.tar.gz", 6, "ab" * 32, 1),
    databases=(replace(GOOD.databases[0], member="pages/app.db", page_numbers="page-numbers/app.db", pages=1),),
)


def test_an_increment_comes_back():
    assert Manifest.from_bytes(INCREMENT.to_bytes()) == INCREMENT
    listed = INCREMENT.members()
    assert {name: about.size for name, about in listed.items()} == {
        "page-digests/app.db": 32,
        "page-numbers/app.db": 4,
        "pages/app.db": 512,
    }
    assert [about.sha256 for about in listed.values()] == [None] * 3


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"kind": "full", "name": "app-full-20261124T054710Z.tar.gz.enc"}, "base can only be there"),
        ({"files": GOOD.files}, "base can only be there"),
        ({"full_because": "x"}, "base can only be there"),
        ({"sequence": 6}, "base.sequence must be less"),
        ({"base": None}, "member must hold the whole database"),
        ({"databases": GOOD.databases}, "member must hold pages"),
        ({"databases": (replace(INCREMENT.databases[0], pages=3),)}, "member must hold pages"),
        ({"base": replace(INCREMENT.base, position=0)}, "base.position must be a whole number"),
        ({"base": replace(INCREMENT.base, sha256="x")}, "base.sha256 must be"),
        ({"base": replace(INCREMENT.base, name="../x")}, "base.name must be a file name"),
    ],
)
def test_an_increment_that_contradicts_itself(changes, cause):
    refuse(replace(INCREMENT, **changes).to_bytes(), cause)


def test_a_full_archive_holds_whole_databases():
    refuse(replace(GOOD, databases=(replace(GOOD.databases[0], pages=1),)).to_bytes(), "hold the whole database")


def test_members_are_listed_in_order_with_their_sizes():
    listed = GOOD.members()
    assert list(listed) == ["page-digests/app.db", "databases/app.db", "files/opt/app", "files/opt/app/.env"]
    assert [about.size for about in listed.values()] == [32, 1024, 0, 1]
    assert [about.may_change for about in listed.values()] == [False, False, False, True]
    assert GOOD.total_bytes == 1057


LINE = samples.digest_line("files/a", b"x")


def test_digest_lines_come_back():
    lines = (LINE, samples.digest_line("files/d", None), replace(LINE, name="files/é\udcff", changed=True, sha256=None))
    assert from_lines(to_lines(lines), 3) == lines
    assert [line.vanished for line in lines] == [False, False, True]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"{}\n",
        b"[]\n",
        b"\n",
        to_lines([LINE])[:-1],
        to_lines([LINE]) + b"\n",
        to_lines([LINE]).replace(b'"size": 1', b'"size": -1'),
        to_lines([LINE]).replace(b"false", b"0"),
        to_lines([LINE]).replace(b'{"name"', b'{"more": 1, "name"'),
    ],
)
def test_digest_lines_that_are_refused(data):
    with pytest.raises(Invalid):
        from_lines(data, 3)


def test_digest_lines_are_not_more_than_the_members():
    with pytest.raises(Invalid, match="far more lines than there are members"):
        from_lines(to_lines([LINE, LINE, LINE]), 1)


def test_a_digest_line_is_not_longer_than_names_can_be():
    with pytest.raises(Invalid, match="longer than a line may be"):
        from_lines(to_lines([replace(LINE, name="x" * (1 << 20))]), 1)


@given(st.binary(max_size=200))
def test_digest_lines_of_any_bytes(data):
    with pytest.raises(Invalid):
        from_lines(data, 3)


@given(st.text(st.characters(), max_size=12))
def test_paths_are_clean_only_when_they_stay_where_they_are(path):
    if fields.is_clean_relative(path):
        encoded = path.encode("utf-8", "surrogateescape")
        assert encoded.decode("utf-8", "surrogateescape") == path
        assert b"\0" not in encoded
        assert all(part not in (b"", b".", b"..") for part in encoded.split(b"/"))


@pytest.mark.parametrize("piece", [b"[],", b"{},", b'"",', b"1,", b'{"a":1},', b"[", b'["\\"","\\\\"],'])
def test_json_of_almost_nothing_but_brackets_and_commas_is_not_parsed(piece):
    with pytest.raises(Invalid, match="than its size explains"):
        fields.parse_json(b"[" + piece * 50000)


@pytest.mark.parametrize("name", ["{" * 100, "[,]" * 100, '"' * 100, "\\" * 100, '\\"{,' * 100])
def test_brackets_and_commas_in_names_do_not_count(name):
    value = [name] * 5000
    assert fields.parse_json(json.dumps(value).encode("ascii")) == value
