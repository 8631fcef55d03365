# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Handles of directories: links of root's and one's own are followed, those of others lead nowhere."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils import directories
from ansible_collections.feedforward.maintenance.plugins.module_utils.directories import ForeignLinkError

STRANGER = 65534
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="links of another user: root")


@pytest.fixture
def place(tmp_path):
    """A directory ``real`` with a file, an empty ``victim``, and the links ``own`` and ``foreign`` to ``victim``."""
    for name in ("real", "victim"):
        (tmp_path / name).mkdir()
    (tmp_path / "real" / "file").write_bytes(b"content")
    (tmp_path / "own").symlink_to("victim")
    (tmp_path / "foreign").symlink_to(tmp_path / "victim")
    if os.geteuid() == 0:
        os.lchown(tmp_path / "foreign", STRANGER, STRANGER)
    return tmp_path


CHANGES = {
    "create": lambda base, way: directories.create_file(f"{base}/{way}/new").close(),
    "make": lambda base, way: directories.make_directory(f"{base}/{way}/new", 0o750),
    "rename": lambda base, way: directories.rename(f"{base}/real/file", f"{base}/{way}/new"),
    "unlink": lambda base, way: directories.unlink(f"{base}/{way}/there"),
    "read": lambda base, way: directories.open_file(f"{base}/{way}/there").close(),
    "list": lambda base, way: directories.list_directory(f"{base}/{way}"),
    "rights": lambda base, way: directories.change_rights(f"{base}/{way}/there", (os.geteuid(), os.getegid()), 0o604),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("way", ["victim", "own"])
def test_a_plain_way_and_an_own_link_are_followed(place, change, way):
    (place / "victim" / "there").write_bytes(b"")
    CHANGES[change](place, way)
    found = {path.name for path in (place / "victim").iterdir()}
    assert found == {"unlink": set(), "create": {"there", "new"}, "make": {"there", "new"},
                     "rename": {"there", "new"}}.get(change, {"there"})


@ROOT
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("way", ["foreign", "foreign/../victim", "own/../foreign"])
def test_a_link_of_another_user_leads_nowhere(place, change, way):
    (place / "victim" / "there").write_bytes(b"precious")
    with pytest.raises(ForeignLinkError, match="foreign, which belongs to another user") as caught:
        CHANGES[change](place, way)
    assert caught.value.errno == errno.ELOOP
    (left,) = (place / "victim").iterdir()
    assert left.read_bytes() == b"precious" and stat.S_IMODE(left.stat().st_mode) == 0o644
    assert (place / "real" / "file").read_bytes() == b"content"


@ROOT
def test_a_link_that_an_own_link_leads_to_is_judged_as_well(place):
    (place / "second").symlink_to("foreign")
    with pytest.raises(ForeignLinkError):
        directories.open_directory(str(place / "second"))


def test_links_in_a_circle_end(place):
    (place / "a").symlink_to("b")
    (place / "b").symlink_to("a")
    with pytest.raises(OSError, match="[Ss]ymbolic") as caught:
        directories.open_directory(str(place / "a"))
    assert caught.value.errno == errno.ELOOP


@pytest.mark.parametrize("change", ["create", "make"])
def test_nothing_that_is_there_is_taken_over(place, change):
    for there in (place / "victim" / "new", place / "real" / "new"):
        there.symlink_to(place / "real" / "file")
    with pytest.raises(FileExistsError):
        CHANGES[change](place, "victim")
    assert (place / "real" / "file").read_bytes() == b"content"


def test_an_error_names_the_whole_path(place):
    with pytest.raises(FileNotFoundError) as caught:
        directories.open_file(str(place / "real" / "nothing"))
    assert caught.value.filename == str(place / "real" / "nothing")


def test_a_link_in_the_last_place_is_not_read(place):
    (place / "real" / "link").symlink_to("file")
    with pytest.raises(OSError) as caught:
        directories.open_file(str(place / "real" / "link"))
    assert caught.value.errno == errno.ELOOP


def test_a_pipe_and_a_directory_are_not_read(place):
    os.mkfifo(place / "real" / "pipe")
    for path in (place / "real" / "pipe", place / "victim"):
        with pytest.raises(OSError, match="it is not a regular file"):
            directories.open_file(str(path))


def test_rights_of_a_file_with_a_second_name_stay(place):
    os.link(place / "real" / "file", place / "victim" / "file")
    with pytest.raises(OSError, match="a second name"):
        directories.change_rights(str(place / "victim" / "file"), (os.geteuid(), os.getegid()), 0o666)
    assert stat.S_IMODE((place / "real" / "file").stat().st_mode) == 0o644


def test_a_new_directory_has_the_mode_that_was_asked_for_whatever_the_umask(place):
    old = os.umask(0o077)
    try:
        directories.make_directory(str(place / "real" / "shared"), 0o2775)
    finally:
        os.umask(old)
    assert stat.S_IMODE((place / "real" / "shared").stat().st_mode) == 0o2775


def test_a_list_tells_where_links_lead(place):
    (place / "real" / "link").symlink_to("file")
    found = {name: (status.st_size if status and not link else None, link)
             for name, status, link in directories.list_directory(str(place / "real"))}
    assert found == {"file": (7, ""), "link": (None, "file")}


@ROOT
def test_a_link_of_another_user_to_what_is_his_is_followed(place):
    os.chown(place / "victim", STRANGER, STRANGER)
    directories.create_file(f"{place}/foreign/new").close()
    assert (place / "victim" / "new").exists()
    assert directories.resolve(f"{place}/foreign/new") == f"{place}/victim/new"
