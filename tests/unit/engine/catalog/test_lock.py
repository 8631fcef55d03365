# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of a directory, with real processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog import lock
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.lock import (
    CATALOG_LOCK,
    catalog_lock,
    require_safe,
    status_lock,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import BusyError, DestinationError

HOLDER = """
import sys
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.lock import catalog_lock
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import BusyError
print("waiting", flush=True)
try:
    with catalog_lock(sys.argv[1], timeout_seconds=float(sys.argv[2])):
        print("held", flush=True)
        sys.stdin.readline()
except BusyError as error:
    print(error, flush=True)
"""


@pytest.fixture
def start(tmp_path):
    """Starts a process that takes the lock of a directory and holds it until a line comes in."""
    script = tmp_path / "nightly_backup.py"
    script.write_text(HOLDER, encoding="utf-8")
    processes = []

    def run(directory, timeout_seconds="0") -> subprocess.Popen:
        process = subprocess.Popen([sys.executable, str(script), str(directory), timeout_seconds], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        processes.append(process)
        assert process.stdout.readline() == "waiting\n"
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def directory(tmp_path):
    path = tmp_path / "archives"
    path.mkdir()
    return str(path)


def is_free(directory) -> bool:
    with contextlib.suppress(BusyError), catalog_lock(directory):
        return True
    return False


def test_the_message_names_process_command_and_start(start, directory):
    holder = start(directory)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(BusyError) as caught, catalog_lock(directory):
        pass
    assert re.fullmatch(
        re.escape(os.path.join(directory, CATALOG_LOCK)) + rf": process {holder.pid} "
        rf"\(nightly_backup\.py {re.escape(directory)} 0\), started \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ, "
        r"holds the lock of this directory\. Wait .*\.", str(caught.value))
    assert caught.value.exit_code == 7


def test_the_end_of_a_run_frees_the_lock_and_leaves_the_file_empty(start, directory):
    holder = start(directory)
    assert holder.stdout.readline() == "held\n"
    assert not is_free(directory)
    holder.communicate("\n")
    assert holder.returncode == 0
    assert os.path.getsize(os.path.join(directory, CATALOG_LOCK)) == 0
    assert is_free(directory)


def test_a_killed_holder_frees_the_lock(start, directory):
    holder = start(directory)
    assert holder.stdout.readline() == "held\n"
    holder.send_signal(signal.SIGKILL)
    assert holder.wait(timeout=60) == -signal.SIGKILL
    assert os.path.getsize(os.path.join(directory, CATALOG_LOCK)) > 0
    assert is_free(directory)


def test_who_waits_gets_it_when_it_is_free(start, directory):
    holder = start(directory)
    assert holder.stdout.readline() == "held\n"
    waiter = start(directory, "120")
    holder.communicate("\n")
    assert waiter.stdout.readline() == "held\n"
    assert not is_free(directory)


def test_who_waits_gives_up_in_time(directory):
    with catalog_lock(directory):
        begun = time.monotonic()
        with pytest.raises(BusyError, match=r"waited 0\.30 s"), catalog_lock(directory, timeout_seconds=0.3):
            pass
        assert 0.3 <= time.monotonic() - begun < 30


def test_threads_of_one_process_exclude_each_other(directory):
    seen = []
    with catalog_lock(directory):
        thread = threading.Thread(target=lambda: seen.append(is_free(directory)))
        thread.start()
        thread.join()
    assert seen == [False]
    assert is_free(directory)


def test_an_error_inside_frees_the_lock(directory):
    with pytest.raises(KeyError), catalog_lock(directory):
        raise KeyError
    assert is_free(directory)


def test_the_status_has_a_lock_of_its_own(directory):
    with catalog_lock(directory), status_lock(directory):
        assert not is_free(directory)


@pytest.mark.parametrize("content", [
    b"", b"nonsense", b'{"pid": -1, "command": "x", "started_at": "2026-11-24T05:47:10Z"}',
    b'{"pid": 999999999, "command": "died long ago", "started_at": "2026-11-24T05:47:10Z"}',
    b'{"pid": 99999999999999999, "command": "died long ago", "started_at": "2026-11-24T05:47:10Z"}',
])
def test_a_holder_that_is_not_described_is_another_run(directory, content):
    path = os.path.join(directory, CATALOG_LOCK)
    with open(path, "wb") as stream:
        stream.write(content)
        stream.flush()
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(BusyError, match="lock: another run holds the lock of this directory"), \
                catalog_lock(directory):
            pass


def test_a_holder_of_another_user_is_named(public_directory, ordinary_user):
    path = os.path.join(public_directory, CATALOG_LOCK)
    with open(path, "wb") as stream:
        stream.write(b'{"pid": 1, "command": "the \\u001b[1m first", "started_at": "2026-11-24T05:47:10Z"}')
        stream.flush()
        os.chmod(path, 0o666)
        os.chmod(public_directory, 0o777)
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(BusyError, match=r"process 1 \(the \\x1b\[1m first\), started 2026-11-24T05:47:10Z"), \
                ordinary_user(), catalog_lock(public_directory):
            pass


@pytest.mark.parametrize("replace", [False, True])
def test_a_lock_file_that_is_removed_meanwhile_is_made_anew(directory, replace):
    """Between open and flock somebody removes the file: a lock on it would lock nobody out."""
    path = os.path.join(directory, CATALOG_LOCK)
    removed = []

    def remove_before_flock(frame, event, called):
        if event == "c_call" and called is fcntl.flock and not removed:
            removed.append(os.stat(path).st_ino)
            os.unlink(path)
            if replace:
                with open(path, "wb"):
                    pass

    sys.setprofile(remove_before_flock)
    try:
        with catalog_lock(directory):
            sys.setprofile(None)
            assert removed
            assert not is_free(directory)
    finally:
        sys.setprofile(None)
    assert is_free(directory)


def test_a_full_disk_does_not_stop_a_run_that_may_prune(directory):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with catalog_lock(directory):
            free = is_free(directory)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not free


def test_a_directory_that_is_missing(directory):
    gone = os.path.join(directory, "gone")
    with pytest.raises(DestinationError, match=f"{re.escape(gone)}: the directory of the archives does not exist"), \
            catalog_lock(gone):
        pass
    assert not os.path.exists(gone)


def test_a_directory_that_is_a_file_or_lies_below_one(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"precious")
    for wrong in (path, path / "below"):
        with pytest.raises(DestinationError, match="this is not a directory"), catalog_lock(str(wrong)):
            pass
    assert path.read_bytes() == b"precious"


def test_a_directory_that_cannot_be_looked_at(public_directory, ordinary_user):
    closed = os.path.join(public_directory, "closed")
    os.mkdir(closed)
    os.mkdir(os.path.join(closed, "archives"))
    os.chmod(closed, 0)
    try:
        with pytest.raises(DestinationError, match="permission denied"), ordinary_user(), \
                catalog_lock(os.path.join(closed, "archives")):
            pass
    finally:
        os.chmod(closed, 0o700)


@pytest.mark.parametrize("lock_file", [False, True])
def test_a_directory_that_cannot_be_written(public_directory, ordinary_user, lock_file, tree):
    if lock_file:
        path = os.path.join(public_directory, CATALOG_LOCK)
        with open(path, "wb"):
            os.chmod(path, 0o666)
    os.chmod(public_directory, 0o555)
    before = tree(public_directory)
    with pytest.raises(DestinationError, match=f"{re.escape(public_directory)}: permission denied while taking"), \
            ordinary_user(), catalog_lock(public_directory):
        pass
    assert tree(public_directory) == before


def test_a_lock_file_that_another_user_made(public_directory, ordinary_user):
    path = os.path.join(public_directory, CATALOG_LOCK)
    with open(path, "wb"):
        os.chmod(path, 0)
    os.chmod(public_directory, 0o777)
    with pytest.raises(DestinationError, match="permission denied while taking the lock"), ordinary_user(), \
            catalog_lock(public_directory):
        pass


def test_what_is_not_a_lock_file_is_left_alone(directory, tmp_path, tree):
    path = os.path.join(directory, CATALOG_LOCK)
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    makers = [lambda: os.symlink(precious, path), lambda: os.link(precious, path), lambda: os.mkdir(path),
              lambda: os.mkfifo(path)]
    removers = [os.unlink, os.unlink, os.rmdir, os.unlink]
    for make, remove in zip(makers, removers):
        make()
        before = os.lstat(path)
        with pytest.raises(DestinationError, match="is not a regular file of that name alone"), catalog_lock(directory):
            pass
        assert os.path.samestat(before, os.lstat(path))
        remove(path)
    assert precious.read_bytes() == b"precious"


@pytest.mark.parametrize("mode, told", [(0o700, ""), (0o755, ""), (0o1777, ""), (0o777, "every user of this host"),
                                        (0o702, "every user of this host"), (0o770, "the group nogroup")])
def test_a_directory_that_others_may_write_to_is_refused(directory, mode, told):
    if os.geteuid() == 0:
        os.chown(directory, 0, 65534)
    elif told.startswith("the group"):
        told = ""
    os.chmod(directory, mode)
    if not told:
        require_safe(directory)
        return
    with pytest.raises(DestinationError, match=f"{told} may exchange and remove .* Run 'chmod go-w' on it"):
        require_safe(directory)


def test_the_group_that_debian_makes_for_each_user_is_no_stranger(directory, monkeypatch):
    os.chmod(directory, 0o775)
    for members, refused in (([], False), (["anna"], False), (["anna", "bert"], True)):
        monkeypatch.setattr(lock, "owner_names", lambda uid, gid: ("anna", "anna"))
        monkeypatch.setattr(lock.grp, "getgrgid", lambda gid, members=members: SimpleNamespace(gr_mem=members))
        with pytest.raises(DestinationError, match="the group anna") if refused else contextlib.nullcontext():
            require_safe(directory)


def test_a_link_to_a_directory_is_one(directory, tmp_path):
    link = str(tmp_path / "link")
    os.symlink(directory, link)
    with catalog_lock(link):
        assert not is_free(directory)
