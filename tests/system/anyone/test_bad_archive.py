# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input of a verification and of a restore: archives that are not what they seem, and their keys.

=============================================  ======================================================
the issue's clause                             rows
=============================================  ======================================================
wrong key                                      key_of_another_host
missing key                                    key_missing, no_key_configured
key readable by others                         key_readable_by_others
truncated archive                              last_byte_missing, half_of_it, head_only
bit-flipped archive                            bit_in_the_salt, bit_in_the_middle, bit_at_the_end
renamed archive                                name_of_another_day, name_of_nothing
foreign archive                                random_bytes, tar_of_somebody, other_application,
                                               other_program
empty archive                                  no_bytes, no_members
archive from a newer format version            newer_format
tar members with ``..``                        parent_directory, parent_directory_listed
absolute paths                                 absolute_path, absolute_path_listed
links or devices                               symbolic_link, hard_link, character_device,
                                               block_device, fifo
(missing archive)                              no_such_name, no_such_path, none_at_all
=============================================  ======================================================

Each row runs as ``verify --level restore`` and as ``restore --everything``, by the command, by the command with
``--json``, and by the module.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile

import pytest
from forgery import change_manifest, listed, member, rewrite
from system_rows import Table, judge
from system_site import make_key

TABLE = Table()
HOSTILE = "escaped.txt"


def archive(clause, cause, verify, restore="Restore another archive", **more):
    """A row about the newest archive, for both jobs; ``verify`` and ``restore`` are words of the next steps."""

    def add(arrange):
        for job, next_step in (("verify", verify), ("restore", restore)):
            TABLE.row(clause, job, **{"error": "ArchiveError", "subject": "newest", "cause": cause,
                                      "next_step": next_step, "recorded": job == "verify", **more})(arrange)
        return arrange

    return add


def newest(site):
    """The archive of the row, known to the row by this name."""
    site.newest = site.archive()
    return site.newest


def key(clause, cause, next_step, **more):
    """A row about the key, for both jobs; it is no verdict, so nothing is recorded."""
    return TABLE.row(clause, "verify", "restore",
                     **{"error": "KeyFileError", "subject": "key_file", "cause": cause, "next_step": next_step,
                        "recorded": False, **more})


@key("wrong key", "it was encrypted with another key", "Name the key file", subject="newest")
def key_of_another_host(site):
    newest(site)
    site.key_file.unlink()
    make_key(site.key_file, seed=2)


@key("missing key", "does not exist", "Put the key back from its escrow")
def key_missing(site):
    site.key_file.unlink()


@key("missing key", "the archive is encrypted, and no key was given", "Name the key file", subject="newest")
def no_key_configured(site):
    newest(site)
    site.configure(key_file=None)


@key("key readable by others", "its mode 0444 lets others than its owner use the key", "rotate the key")
def key_readable_by_others(site):
    site.key_file.chmod(0o444)


@archive("truncated archive", "truncated: it had", "make a new backup")
def last_byte_missing(site):
    os.truncate(newest(site), site.newest.stat().st_size - 1)


@archive("truncated archive", "truncated: it had", "make a new backup")
def half_of_it(site):
    os.truncate(newest(site), site.newest.stat().st_size // 2)


@archive("truncated archive", "truncated: it ends within its first bytes", "take another archive")
def head_only(site):
    os.truncate(newest(site), 40)


def flip(path, offset):
    """One bit."""
    with path.open("r+b") as stream:
        stream.seek(offset, os.SEEK_SET if offset >= 0 else os.SEEK_END)
        byte = stream.read(1)[0]
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes([byte ^ 1]))


@archive("bit-flipped archive", "does not open it any more", "make a new backup")
def bit_in_the_salt(site):
    flip(newest(site), 5)


@archive("bit-flipped archive", "does not open it any more", "make a new backup")
def bit_in_the_middle(site):
    flip(newest(site), site.newest.stat().st_size // 2)


@archive("bit-flipped archive", "does not open it any more", "make a new backup")
def bit_at_the_end(site):
    flip(newest(site), -1)


@archive("renamed archive", "it was renamed: its manifest says that it is", "Give it its name back")
def name_of_another_day(site):
    site.newest = site.archives / "app-full-20991231T000000Z.tar.gz.enc"
    site.archive().rename(site.newest)
    return {"archive": site.newest.name}


@archive("renamed archive", "its name is not the name of an archive", "Give it back the name it was made with",
         restore="Give it back the name it was made with", recorded=False)
def name_of_nothing(site):
    site.newest = site.archives / "backup-of-monday.enc"
    site.archive().rename(site.newest)
    return {"archive": site.newest}


@archive("foreign archive", "this is not an archive of this collection", "Correct the name of the archive")
def random_bytes(site):
    newest(site).write_bytes(b"\0" + os.urandom(5000))


@archive("foreign archive", "this is not an archive of this collection", "take another one")
def tar_of_somebody(site):
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("etc/hostname"), io.BytesIO())
    site.archive().unlink()
    site.newest = site.archives / "app-full-20261124T054710Z.tar.gz"
    site.newest.write_bytes(memory.getvalue())


@archive("foreign archive", "this archive is of the application other, not app", "name the other application",
         restore="name the other application", recorded=False)
def other_application(site):
    site.newest = site.archives / "other-full-20261124T054710Z.tar.gz.enc"
    shutil.copy(site.archive(), site.newest)
    return {"archive": site.newest}


@archive("foreign archive", "not that of an archive of this collection", "Correct the name")
def other_program(site):
    rewrite(site, newest(site), lambda members: change_manifest(members, format="somebody's archive"))


@archive("empty archive", "the file is empty", "another archive")
def no_bytes(site):
    newest(site).write_bytes(b"")


@archive("empty archive", "its members", "take another archive")
def no_members(site):
    rewrite(site, newest(site), lambda members: members.clear())


@archive("archive from a newer format version", "it has format version 2, made by version 3.1.0 of the collection",
         "Upgrade the collection on this host", restore="Upgrade the collection on this host", recorded=False)
def newer_format(site):
    rewrite(site, newest(site), lambda members: change_manifest(
        members, schema_version=2, software={"collection": "3.1.0"}, invention={"of": "later"}))


def hostile(clause, cause, name, kind=tarfile.REGTYPE, **fields):
    """A row whose archive holds one more member, right behind the manifest, where it would be unpacked first."""

    def add(arrange):
        def arranged(site):
            root = str(site.root)
            told = {field: value.format(root=root) if isinstance(value, str) else value
                    for field, value in fields.items()}
            rewrite(site, newest(site), lambda members: members.insert(
                1, member(name.format(root=root), kind, b"owned" if kind == tarfile.REGTYPE else b"", **told)))

        arranged.__name__ = arrange.__name__
        return archive(clause, cause, "Do not unpack it")(arranged)

    return add


@hostile("tar members with ..", "a member that leads elsewhere", "../../" + HOSTILE)
def parent_directory(site): ...


@hostile("tar members with ..", "a member that leads elsewhere", "databases/../../" + HOSTILE)
def parent_directory_inside(site): ...


@hostile("absolute paths", "a member that leads elsewhere", "{root}/" + HOSTILE)
def absolute_path(site): ...


@hostile("links or devices", "a symbolic link", "databases/link", tarfile.SYMTYPE, linkname="{root}")
def symbolic_link(site): ...


@hostile("links or devices", "a hard link", "databases/link", tarfile.LNKTYPE, linkname="{root}/app/.env")
def hard_link(site): ...


@hostile("links or devices", "a character device", "databases/null", tarfile.CHRTYPE, devmajor=1, devminor=3)
def character_device(site): ...


@hostile("links or devices", "a block device", "databases/disk", tarfile.BLKTYPE, devmajor=8)
def block_device(site): ...


@hostile("links or devices", "a FIFO", "databases/fifo", tarfile.FIFOTYPE)
def fifo(site): ...


@archive("tar members with ..", "its manifest is not valid", "another archive")
def parent_directory_listed(site):
    rewrite(site, newest(site), lambda members: listed(
        members, "files/opt/../../" + HOSTILE, "/opt/../../" + HOSTILE, b"owned"))


@archive("absolute paths", "its manifest is not valid", "another archive")
def absolute_path_listed(site):
    path = f"{site.root}/{HOSTILE}"
    rewrite(site, newest(site), lambda members: listed(members, path, path, b"owned"))


def absent(clause, cause, next_step, **more):
    """A row about an archive that is not there."""
    return TABLE.row(clause, "verify", "restore",
                     **{"error": "ArchiveError", "subject": "newest", "cause": cause, "next_step": next_step,
                        "recorded": False, **more})


@absent("missing archive", "there is no such archive", "Choose one of the 1 that there are")
def no_such_name(site):
    site.newest = site.archives / "app-full-20200101T000000Z.tar.gz.enc"
    return {"archive": site.newest.name}


@absent("missing archive", "there is no such archive", "Correct the path")
def no_such_path(site):
    site.newest = site.root / "app-full-20200101T000000Z.tar.gz.enc"
    return {"archive": site.newest}


@absent("missing archive", "there is no archive", "Make a backup first", subject="archives")
def none_at_all(site):
    site.archive().rename(site.root / "moved")


@pytest.mark.parametrize(("row", "job"), TABLE.pairs(), ids=TABLE.ids)
def test_bad_archive(row, job, site, faces):
    site.sql("UPDATE drafts SET content = 'newer than the archive' WHERE id = 1")
    judge(row, job, site, faces)
    assert not list(site.root.parent.rglob(HOSTILE)), "a member was unpacked outside"


def test_an_archive_of_a_newer_format_is_not_called_damaged(site, faces):
    """After a downgrade of the collection retention must not count good archives as damaged ones."""
    before = site.sidecar(site.archive())
    newer_format(site)
    verdict = faces.command("verify", {}, as_json=True).document["archives"][0]
    assert (verdict["verdict"], verdict["recorded"], verdict["exit_code"]) == ("unknown", False, 6)
    assert site.sidecar(site.archive()) == before


def test_a_damaged_archive_is_marked_and_the_older_one_still_restores(site, faces):
    good = site.archive()
    site.sql("UPDATE drafts SET content = 'second' WHERE id = 1")
    assert faces.command("backup", {"kind": "full"}, as_json=True).document["outcome"] == "created"
    bad = site.archive()
    assert bad != good
    flip(bad, bad.stat().st_size // 2)
    told = faces.command("verify", {"archive": "all"}, as_json=True)
    assert told.code == 6 and str(bad) in told.message
    assert [a["verdict"] for a in told.document["archives"]] == ["passed", "failed"]
    assert site.sidecar(bad)["verification"] == "failed" and site.sidecar(bad)["damage"]
    assert site.sidecar(good)["verification"] == "passed"
    assert faces.command("restore", {"archive": good.name}).code == 0
    assert site.sql("SELECT content FROM drafts WHERE id = 1") != [("second",)]
