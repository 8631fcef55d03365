# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog of a directory: what it sees, how it orders, and that it never touches what is not its own."""

from __future__ import annotations

import os
import re
from datetime import timedelta

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys import KeyRing, create_key
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.manifest import FileEntry, Manifest
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.writer import ArchiveWriter
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog import catalog as catalog_module
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.catalog import Catalog
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.names import archive_name, parse_name
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.retention import plan_retention
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.sidecar import (
    Sidecar,
    read_sidecar,
    sidecar_path,
    write_sidecar,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import (
    ArchiveError,
    DestinationError,
    UsageError,
)

DAY = timedelta(days=1)


@pytest.fixture
def directory(tmp_path):
    path = tmp_path / "archives"
    path.mkdir()
    return path


@pytest.fixture
def catalog(directory):
    return Catalog(str(directory), "feedforward")


@pytest.fixture
def day(instant):
    """Midnight of a day in November 2026."""
    return lambda number: instant(2026, 11, number)


@pytest.fixture(autouse=True)
def now(monkeypatch, day):
    """Sets the clock of this host; it is the end of November 2026 unless a test says otherwise."""

    def set_to(moment):
        monkeypatch.setattr(catalog_module, "utc_now", lambda: moment)

    set_to(day(30))
    return set_to


@pytest.fixture
def key(tmp_path):
    return create_key(str(tmp_path / "keys" / "backup.key"))


@pytest.fixture
def write_archive(tmp_path):
    """A real archive with one configuration file; returns its manifest and what was written."""

    def write(directory, moment, sequence, key=None):
        name = archive_name("feedforward", "config", moment, key is not None)
        source = tmp_path / "settings"
        source.write_bytes(b"")
        owner = {"uid": 0, "gid": 0, "mode": 0o600, "user": "root", "group": "root"}
        empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        manifest = Manifest(
            name=name, application="feedforward", kind="config", sequence=sequence, host="host1",
            created_at=moment.strftime("%Y-%m-%dT%H:%M:%SZ"), previous=None, content_id="cd" * 32,
            encrypted=key is not None, key_id=None if key is None else key.id,
            compression={"method": "gzip", "level": 1, "library": "zlib"},
            software={"collection": "1.0.0", "python": "3", "sqlite": "3"},
            files=(FileEntry("files/etc/settings", "/etc/settings", "config", "file", 0, empty, **owner),))
        with ArchiveWriter(os.path.join(str(directory), name), key=key, level=1, workers=1) as writer:
            writer.add_manifest(manifest)
            writer.add_file("files/etc/settings", str(source), mtime=0.0, **owner)
            written = writer.finish()
        return manifest, written

    return write


def names(entries):
    return [entry.name for entry in entries]


def sequences(entries):
    return [entry.sequence for entry in entries]


def test_an_entry_tells_what_the_directory_shows(catalog, put, day):
    path = put(catalog.directory, day(3), sequence=4)
    entry, = catalog.entries()
    assert (entry.path, entry.name, entry.application, entry.kind, entry.stamp, entry.sequence, entry.encrypted) == (
        path, os.path.basename(path), "feedforward", "database", day(3), 4, True)
    assert entry.size == os.path.getsize(path)
    assert entry.sidecar == read_sidecar(path)
    assert entry.verified
    assert not entry.damaged
    facts = entry.as_dict()
    assert (facts["stamp"], facts["size_bytes"], facts["verified"]) == ("2026-11-03T00:00:00Z", entry.size, True)
    assert facts["sidecar"]["sequence"] == 4


def test_an_entry_without_a_sidecar_or_with_a_failed_verification_is_not_verified(catalog, put, day):
    put(catalog.directory, day(1), sequence=None)
    put(catalog.directory, day(2), sequence=2, verification="failed")
    put(catalog.directory, day(3), sequence=3, verification=None)
    lost, failed, unjudged = catalog.entries()
    assert [entry.verified for entry in (lost, failed, unjudged)] == [False, False, False]
    assert [entry.damaged for entry in (lost, failed, unjudged)] == [False, True, False]
    assert lost.as_dict()["sidecar"] is None
    assert lost.sequence is None


def test_the_directory_is_made_absolute(directory, put, day, monkeypatch):
    put(directory, day(1))
    monkeypatch.chdir(directory.parent)
    entry, = Catalog("archives", "feedforward").entries()
    assert entry.path.startswith(str(directory))


def test_foreign_things_are_not_seen_and_never_pruned(catalog, directory, put, day, tree, tmp_path):
    for number in (1, 2, 3):
        put(directory, day(number), sequence=number)
    name = archive_name("feedforward", "database", day(4), True)
    outside = put(tmp_path, day(5))
    os.symlink(outside, directory / os.path.basename(outside))
    os.symlink("nowhere", directory / archive_name("feedforward", "database", day(6), True))
    os.mkdir(directory / archive_name("feedforward", "database", day(7), True))
    os.mkfifo(directory / archive_name("feedforward", "database", day(8), False))
    put(directory, day(9), application="feedforward-staging")
    put(directory, day(10), application="other")
    for foreign in ("notes.txt", "users.db", name + ".part", "copy-of-" + name[:-4] + ".zip", name.upper(),
                    f".{name}.1.maintenance-tmp", "feedforward-database.status.json",
                    os.fsdecode(b"\xff\xfe.tar.gz")):
        (directory / foreign).write_bytes(b"precious")
    old = directory / "20250101T000000Z"
    old.mkdir()
    put(old, day(1))
    (old / "users.db").write_bytes(b"the operator's copy")
    before = tree(tmp_path)

    entries = catalog.entries()
    assert sequences(entries) == [1, 2, 3]
    plan = plan_retention(entries, now=day(30) + 300 * DAY, retention_days=1, keep_last=1)
    for entry in plan.remove:
        catalog.remove(entry)

    gone = {f"archives/{entry.name}{suffix}" for entry in entries[:2] for suffix in ("", ".json")}
    after = tree(tmp_path)
    assert before.keys() - after.keys() == gone
    assert after == {key: value for key, value in before.items() if key not in gone}


def test_the_order_is_that_of_the_sequence_even_when_the_clock_went_back(catalog, put, day):
    for number, sequence in ((10, 1), (11, 2), (3, 3), (4, 4)):
        put(catalog.directory, day(number), sequence=sequence)
    assert sequences(catalog.entries()) == [1, 2, 3, 4]
    assert catalog.latest().sequence == 4
    assert catalog.find("oldest").sequence == 1
    assert catalog.next_sequence("database") == 5


def test_archives_of_unknown_sequence_are_placed_by_stamp(catalog, put, day):
    for number, sequence in ((2, 1), (4, 2), (10, 3), (6, 4)):
        put(catalog.directory, day(number), sequence=sequence)
    for number in (1, 3, 5, 7, 11):
        put(catalog.directory, day(number), sequence=None)
    assert [entry.stamp.day for entry in catalog.entries()] == [1, 2, 3, 4, 5, 10, 6, 7, 11]


def test_of_one_second_the_archive_of_known_sequence_comes_first(catalog, put, day):
    put(catalog.directory, day(2), sequence=None, encrypted=False)
    put(catalog.directory, day(2), sequence=1)
    put(catalog.directory, day(3), sequence=2)
    assert sequences(catalog.entries()) == [1, None, 2]


def test_without_any_sidecar_the_order_is_that_of_the_stamps(catalog, put, day):
    for number in (3, 1, 2):
        put(catalog.directory, day(number), sequence=None)
    assert [entry.stamp.day for entry in catalog.entries()] == [1, 2, 3]


def test_the_next_sequence_is_above_that_of_each_kind(catalog, put, day):
    assert (catalog.next_sequence("full"), catalog.next_sequence("logs")) == (1, 1)
    put(catalog.directory, day(1), kind="full", sequence=40)
    put(catalog.directory, day(2), kind="database", sequence=41)
    put(catalog.directory, day(2), kind="database", sequence=90, application="other")
    assert (catalog.next_sequence("full"), catalog.next_sequence("logs")) == (42, 42)
    put(catalog.directory, day(3), kind="config", sequence=None)
    assert catalog.next_sequence("full") == 43
    with pytest.raises(UsageError, match="weekly"):
        catalog.next_sequence("weekly")


def test_kinds_are_listed_by_stamp_and_chosen_from(catalog, put, day):
    put(catalog.directory, day(1), kind="full", sequence=1)
    put(catalog.directory, day(2), kind="database", sequence=2)
    put(catalog.directory, day(3), kind="full", sequence=3)
    put(catalog.directory, day(4), kind="database", sequence=4)
    assert sequences(catalog.entries()) == [1, 2, 3, 4]
    assert sequences(catalog.entries("full")) == [1, 3]
    assert catalog.latest(("full", "config")).sequence == 3
    assert catalog.latest(("full", "database")).sequence == 4
    assert catalog.latest(("logs",)) is None
    with pytest.raises(UsageError, match="weekly"):
        catalog.entries("weekly")


def test_the_manifest_tells_the_sequence_when_the_sidecar_is_lost(catalog, write_archive, day, key):
    for number, sequence in ((10, 1), (3, 2)):
        write_archive(catalog.directory, day(number), sequence, key)
    write_archive(catalog.directory, day(5), 3)
    assert sequences(catalog.entries()) == [None, 3, None]
    assert sequences(catalog.entries(ring=KeyRing.of(key))) == [1, 2, 3]
    assert catalog.next_sequence("config", KeyRing.of(key)) == 4
    assert catalog.next_sequence("config") == 6


def test_another_key_damage_or_a_renamed_archive_leave_the_sequence_unknown(catalog, write_archive, day, key, tmp_path):
    other = create_key(str(tmp_path / "keys" / "other.key"))
    write_archive(catalog.directory, day(1), 1, other)
    for number in (2, 4):
        write_archive(catalog.directory, day(number), number)
    first, second = (os.path.join(catalog.directory, archive_name("feedforward", "config", day(number), False))
                     for number in (2, 4))
    os.rename(first, os.path.join(catalog.directory, archive_name("feedforward", "config", day(3), False)))
    with open(second, "r+b") as stream:
        stream.truncate(30)
    (tmp_path / "archives" / archive_name("feedforward", "config", day(5), False)).write_bytes(b"")
    entries = catalog.entries(ring=KeyRing.of(key))
    assert [entry.stamp.day for entry in entries] == [1, 3, 4, 5]
    assert sequences(entries) == [None] * 4


def test_a_sidecar_is_rebuilt_from_its_archive(catalog, write_archive, day, key):
    manifest, written = write_archive(catalog.directory, day(1), 5, key)
    sidecar = Sidecar.from_manifest(manifest, size=written.size, sha256=written.sha256)
    write_sidecar(os.path.join(catalog.directory, manifest.name), sidecar)
    entry, = catalog.entries()
    assert entry.sidecar == sidecar
    assert (sidecar.sequence, sidecar.created_at, sidecar.parts, sidecar.databases, sidecar.verification) == (
        5, day(1), ("config",), (), None)
    assert (sidecar.key_id, sidecar.content_id, sidecar.size) == (key.id, "cd" * 32, entry.size)


def test_the_next_sequence_stays_above_archives_that_cannot_be_read(catalog, put, day):
    put(catalog.directory, day(1), sequence=7)
    put(catalog.directory, day(2), sequence=None)
    put(catalog.directory, day(3), sequence=None)
    assert catalog.next_sequence("database") == 10


def test_a_sidecar_of_an_archive_that_was_cut_is_as_good_as_none(catalog, put, day):
    path = put(catalog.directory, day(1), sequence=3)
    with open(path, "r+b") as stream:
        stream.truncate(5)
    entry, = catalog.entries()
    assert (entry.sidecar, entry.sequence, entry.verified, entry.size) == (None, None, False, 5)


@pytest.mark.parametrize("call", [
    lambda catalog: catalog.entries(), lambda catalog: catalog.latest(), lambda catalog: catalog.find("latest"),
    lambda catalog: catalog.find("x"), lambda catalog: catalog.next_sequence("full"),
])
def test_a_directory_that_is_missing_or_a_file(call, directory, instant):
    (directory / "file").write_bytes(b"precious")
    with pytest.raises(DestinationError, match=re.escape(str(directory / "gone")) + ": .* does not exist"):
        call(Catalog(str(directory / "gone"), "feedforward"))
    with pytest.raises(DestinationError, match="file: this is not a directory"):
        call(Catalog(str(directory / "file"), "feedforward"))
    assert sorted(os.listdir(directory)) == ["file"]


def test_a_directory_that_cannot_be_listed(public_directory, ordinary_user):
    os.chmod(public_directory, 0o311)
    with pytest.raises(DestinationError, match="permission denied while listing"), ordinary_user():
        Catalog(public_directory, "feedforward").entries()


def test_a_hostile_application_is_refused(directory):
    with pytest.raises(UsageError):
        Catalog(str(directory), "../other")


class TestFind:
    @pytest.fixture(autouse=True)
    def archives(self, catalog, put, day):
        for number in range(1, 9):
            put(catalog.directory, day(number), sequence=number)
        put(catalog.directory, day(9), kind="config", sequence=9)

    def test_by_word(self, catalog):
        assert catalog.find("latest").kind == "config"
        assert catalog.find("latest", ("database", "full")).sequence == 8
        assert catalog.find("oldest", ("database",)).sequence == 1

    def test_before_a_time(self, catalog, day):
        second = timedelta(seconds=1)
        assert catalog.find("latest", before=day(5)).sequence == 5
        assert catalog.find("latest", before=day(5) - second).sequence == 4
        assert catalog.find("oldest", before=day(5)).sequence == 1
        with pytest.raises(ArchiveError, match="no archive from 2026-10-31T23:59:59Z or before.*one of the 9"):
            catalog.find("latest", before=day(1) - second)

    def test_by_name_and_by_path(self, catalog, day, put, tmp_path, monkeypatch):
        name = archive_name("feedforward", "database", day(2), True)
        assert catalog.find(name).sequence == 2
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        path = put(elsewhere, day(20), sequence=77)
        assert catalog.find(path, ("database",)).sequence == 77
        assert catalog.find(path).path == path
        os.symlink(path, tmp_path / "link")
        assert catalog.find(str(tmp_path / "link")).path == path
        monkeypatch.chdir(elsewhere)
        assert catalog.find("./" + os.path.basename(path)).path == path

    def test_a_path_needs_no_directory_of_archives(self, put, day, tmp_path):
        path = put(tmp_path, day(20), sequence=77)
        assert Catalog(str(tmp_path / "gone"), "feedforward").find(path).sequence == 77

    @pytest.mark.parametrize("name", ["yesterday", "", "feedforward-database-20261120T000000Z.tar.gz.enc",
                                      "other-database-20261102T000000Z.tar.gz.enc", "..", "a\x1b[2J"])
    def test_what_there_is_not_is_answered_by_what_there_is(self, catalog, name, day):
        with pytest.raises(ArchiveError) as caught:
            catalog.find(name, ("database",))
        text = str(caught.value)
        assert "there is no such archive of kind database" in text
        assert "Choose one of the 8 that there are, newest first: " + archive_name(
            "feedforward", "database", day(8), True) in text
        assert text.endswith(", ...")
        assert text.isprintable()

    def test_where_there_is_nothing_the_next_step_is_a_backup(self, catalog):
        with pytest.raises(ArchiveError, match="of kind logs; the directory holds archives of kind config, database"):
            catalog.find("latest", ("logs",))
        with pytest.raises(ArchiveError, match="of kind logs; the directory holds none of other.*Make"):
            Catalog(catalog.directory, "other").find("latest", ("logs",))

    def test_a_few_are_listed_wholly(self, catalog):
        with pytest.raises(ArchiveError, match=r"one of the 1 that there are, newest first: \S+\.tar\.gz\.enc\.$"):
            catalog.find("x", ("config",))

    def test_another_kind_is_refused(self, catalog, day):
        with pytest.raises(ArchiveError, match="of kind config, and database or full is wanted"):
            catalog.find(archive_name("feedforward", "config", day(9), True), ("database", "full"))

    def test_a_time_limit_with_a_name_is_refused(self, catalog, day):
        with pytest.raises(UsageError, match="time limit"):
            catalog.find(archive_name("feedforward", "config", day(9), True), before=day(9))

    def test_paths_that_are_no_archive(self, catalog, put, day, tmp_path):
        with pytest.raises(ArchiveError, match="not the name of an archive"):
            catalog.find(str(tmp_path / "renamed.bin"))
        with pytest.raises(ArchiveError, match="of the application other, not feedforward"):
            catalog.find(put(tmp_path, day(1), application="other"))
        name = archive_name("feedforward", "database", day(20), True)
        with pytest.raises(ArchiveError, match="there is no such archive"):
            catalog.find(str(tmp_path / name))
        os.mkdir(tmp_path / name)
        with pytest.raises(ArchiveError, match="not a regular file"):
            catalog.find(str(tmp_path / name))
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(ArchiveError, match="cannot be looked at: Not a directory"):
            catalog.find(str(tmp_path / "file" / name))

    def test_a_link_in_the_directory_is_no_archive_of_it(self, catalog, put, day, tmp_path):
        path = put(tmp_path, day(20))
        os.symlink(path, os.path.join(catalog.directory, os.path.basename(path)))
        with pytest.raises(ArchiveError, match="there is no such archive"):
            catalog.find(os.path.basename(path))


class TestTheNewestOfSeveralKinds:
    """Rows are letters of kinds with the day of the stamp, in the order in which the archives were made."""

    @pytest.fixture
    def fill(self, catalog, put, day):
        def fill(row, first=1):
            for sequence, word in enumerate(row.split(), first):
                put(catalog.directory, day(int(word[1:])), kind={"d": "database", "f": "full"}[word[0]],
                    sequence=sequence)

        return fill

    @pytest.fixture
    def newest(self, catalog):
        """The newest in the words of a row, or what is said instead."""

        def newest(before=None, kinds=("database", "full")):
            try:
                found = catalog.find("latest", kinds, before)
            except ArchiveError as error:
                return str(error)
            return f"{found.kind[0]}{found.stamp.day}"

        return newest

    @pytest.mark.parametrize(("row", "limit", "wanted"), [
        ("f1 d2 d3", None, "d3"), ("d1 f2", None, "f2"), ("d1 f1", None, "f1"), ("f1 d1", None, "d1"),
        ("f1 d2 f3 d4 f5", 4, "d4"), ("f1 d2 f3 d4 f5", 3, "f3"), ("f1 d2 f3", 1, "f1"), ("f1", None, "f1"),
        # The clock was wrong once, and backups were made since.
        ("f9 d2 f3 d4", None, "d4"), ("d9 f2 d3", None, "d3"), ("f20 d2 d21", None, "d21"), ("f5 d2 f1 d6", None, "d6"),
        ("f9 d2 d3 f4", 10, "f4"),
    ])
    def test_what_clock_and_sequence_agree_on(self, fill, newest, day, row, limit, wanted):
        fill(row)
        assert newest(None if limit is None else day(limit)) == wanted

    @pytest.mark.parametrize(("row", "limit", "later", "earlier"), [
        ("f9 d2 d3 d4", None, "database-20261104", "full-20261109"),  # ahead at f9
        ("d9 f2", None, "full-20261102", "database-20261109"),
        ("f5 d4", None, "database-20261104", "full-20261105"),  # back at d4
        ("d1 f5 d4 d6 d7", 4, "database-20261104", "full-20261105"),  # was d4 made before or after day 4?
        ("f9 d2 d3 d4 d10", 4, "database-20261104", "full-20261109"),
        ("f9 d2 d3 d4 f10", 9, "database-20261104", "full-20261109"),
    ])
    def test_what_they_disagree_on_is_refused_with_the_candidates(self, fill, newest, day, row, limit, later, earlier):
        fill(row)
        said = newest(None if limit is None else day(limit))
        assert f"by its number feedforward-{later}T000000Z.tar.gz.enc was made after feedforward-{earlier}T0" in said
        assert "by its time before it" in said and "--kind" in said and said.isprintable()
        candidates = said.partition("--kind")[2]
        assert "feedforward-database-2026" in candidates

    @pytest.mark.parametrize("limit", [None, 5])
    def test_an_archive_from_the_future_is_refused_as_well(self, fill, newest, day, now, limit):
        fill("d1 d2 f9")
        limit = limit and day(limit)
        now(day(9) - timedelta(minutes=5))
        assert newest(limit) == ("d2" if limit else "f9")
        now(day(9) - timedelta(minutes=6))
        said = newest(limit)
        assert "feedforward-full-20261109T000000Z.tar.gz.enc" in said and "2026-11-08T23:54:00Z" in said
        assert "--kind" in said and "feedforward-database-20261102T000000Z.tar.gz.enc" in said.partition("--kind")[2]
        assert newest(limit, ("database",)) == "d2"

    def test_an_old_one_from_the_future_that_its_kind_has_left_behind_says_nothing(self, fill, newest, day, now):
        fill("f29 d2 f3 d4")
        now(day(5))
        assert newest() == "d4"

    def test_of_one_kind_the_sequence_decides_alone(self, fill, newest, catalog, day, now):
        fill("d9 d2 d3 f1")
        now(day(1))
        assert newest(kinds=("database",)) == "d3"
        assert newest(day(2), kinds=("database",)) == "d2"
        with pytest.raises(ArchiveError, match="--kind"):
            catalog.latest()
        assert catalog.latest(("database",)).stamp == day(3)

    def test_archives_made_when_each_kind_counted_for_itself(self, fill, newest):
        """The numbers agree with the clock from the next backup on."""
        fill("d1 d2 d3 d4")
        fill("f2", first=2)
        assert newest() == "d4"
        fill("f5", first=3)
        assert "by its number" in newest()
        fill("d6", first=5)
        assert newest() == "d6"

    def test_an_archive_of_unknown_sequence_is_placed_by_its_stamp(self, fill, newest, put, catalog, day):
        fill("f1 d2 d3")
        put(catalog.directory, day(2), kind="full", sequence=None)
        assert newest() == "d3"
        put(catalog.directory, day(4), kind="full", sequence=None)
        assert newest() == "f4"

    def test_nothing_up_to_the_time(self, fill, newest, day):
        fill("d3 f4")
        assert "no archive from 2026-11-02" in newest(day(2))

    def test_the_oldest_is_not_refused(self, fill, catalog):
        fill("f9 d2 d3")
        assert catalog.find("oldest", ("database", "full")).sequence == 2


class TestFreeName:
    def test_the_instant_itself(self, catalog, day):
        assert catalog.free_name("database", day(1), True) == archive_name("feedforward", "database", day(1), True)

    def test_the_next_free_second(self, catalog, put, day, directory):
        second = timedelta(seconds=1)
        put(catalog.directory, day(1))
        put(catalog.directory, day(1) + second, encrypted=False)
        (directory / (archive_name("feedforward", "database", day(1) + 2 * second, True) + ".json")).write_bytes(b"")
        os.symlink("nowhere", directory / archive_name("feedforward", "database", day(1) + 3 * second, True))
        os.mkdir(directory / archive_name("feedforward", "database", day(1) + 4 * second, False))
        put(catalog.directory, day(1) + 5 * second, kind="full")
        name = catalog.free_name("database", day(1), True)
        assert parse_name(name).stamp == day(1) + 5 * second

    def test_an_hour_that_is_taken_is_an_error(self, catalog, day, directory):
        for number in range(3600):
            os.symlink("x", directory / archive_name("feedforward", "logs", day(1) + timedelta(seconds=number), False))
        with pytest.raises(DestinationError, match="the names of the 3600 seconds from 2026-11-01T00:00:00Z are taken"):
            catalog.free_name("logs", day(1), True)

    def test_it_needs_a_directory_and_a_kind(self, catalog, day, tmp_path):
        with pytest.raises(DestinationError):
            Catalog(str(tmp_path / "gone"), "feedforward").free_name("full", day(1), True)
        with pytest.raises(UsageError):
            catalog.free_name("weekly", day(1), True)


class TestRemove:
    def test_archive_and_sidecar_go_and_nothing_else(self, catalog, put, day, tree):
        put(catalog.directory, day(1), sequence=1)
        put(catalog.directory, day(2), sequence=2)
        first, second = catalog.entries()
        catalog.remove(first)
        assert sorted(tree(catalog.directory)) == [second.name, second.name + ".json"]
        catalog.remove(first)
        assert catalog.entries() == (second,)

    def test_a_removal_that_was_killed_in_between_is_completed(self, catalog, put, day, tree):
        path = put(catalog.directory, day(1))
        entry, = catalog.entries()
        os.unlink(path)
        catalog.remove(entry)
        assert tree(catalog.directory) == {}

    @pytest.mark.parametrize("change", ["grow", "link", "directory"])
    def test_what_was_changed_since_is_left(self, catalog, put, day, tree, tmp_path, change):
        path = put(catalog.directory, day(1))
        entry, = catalog.entries()
        os.rename(path, tmp_path / "moved")
        if change == "grow":
            with open(path, "wb") as stream:
                stream.write(b"something else" * 99)
        elif change == "link":
            os.symlink(tmp_path / "moved", path)
        else:
            os.mkdir(path)
        before = tree(tmp_path)
        with pytest.raises(ArchiveError, match="changed since it was listed"):
            catalog.remove(entry)
        assert tree(tmp_path) == before

    def test_only_archives_of_this_catalog(self, catalog, put, day, tree, tmp_path):
        put(tmp_path, day(1))
        put(catalog.directory, day(1))
        put(catalog.directory, day(1), application="other")
        foreign, = Catalog(str(tmp_path), "feedforward").entries()
        other, = Catalog(catalog.directory, "other").entries()
        before = tree(tmp_path)
        for entry in (foreign, other):
            with pytest.raises(UsageError):
                catalog.remove(entry)
        assert tree(tmp_path) == before

    def test_a_foreign_thing_in_the_sidecars_place_is_left(self, catalog, put, day, tree, tmp_path):
        path = put(catalog.directory, day(1))
        entry, = catalog.entries()
        os.rename(sidecar_path(path), tmp_path / "precious")
        os.symlink(tmp_path / "precious", sidecar_path(path))
        catalog.remove(entry)
        assert tree(catalog.directory) == {entry.name + ".json": str(tmp_path / "precious")}
        assert (tmp_path / "precious").exists()

    def test_a_directory_that_cannot_be_written(self, public_directory, put, day, ordinary_user, tree):
        put(public_directory, day(1))
        catalog = Catalog(public_directory, "feedforward")
        entry, = catalog.entries()
        os.chmod(public_directory, 0o555)
        before = tree(public_directory)
        with pytest.raises(DestinationError, match="permission denied while removing the archive"), ordinary_user():
            catalog.remove(entry)
        assert tree(public_directory) == before
