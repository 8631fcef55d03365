# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Key files: what is refused, what is never overwritten, what a crash leaves, and where a key never shows."""

from __future__ import annotations

import base64
import copy
import dataclasses
import os
import pickle
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys import (
    Key,
    KeyRing,
    create_key,
    load_ring,
    rotate_key,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import DestinationError, KeyFileError
from ansible_collections.feedforward.maintenance.plugins.module_utils.owners import acting_as
from ansible_collections.feedforward.maintenance.tests.unit.engine.archive.samples import (
    KEY,
    OTHER_KEY,
    private_file,
    sha,
)

TEXT = base64.b64encode(KEY.material) + b"\n"
PACKAGE = "ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys"


def text_of(key: Key) -> bytes:
    return base64.b64encode(key.material) + b"\n"


def test_a_key_is_created_and_loaded(tmp_path):
    path = tmp_path / "secure" / "deep" / "backup.key"
    key = create_key(str(path))
    assert load_ring(str(path)) == KeyRing(key, (key,))
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "secure").stat().st_mode) == 0o700
    assert path.read_bytes() == text_of(key)
    assert len(base64.b64decode(path.read_bytes())) == 32
    assert key.id == sha(key.material)[:8]
    assert os.listdir(path.parent) == ["backup.key"]


def test_two_created_keys_differ(tmp_path):
    assert create_key(str(tmp_path / "a")) != create_key(str(tmp_path / "b"))


@pytest.mark.parametrize(
    "make",
    [
        lambda path: private_file(path, TEXT),
        lambda path: path.write_bytes(b""),
        lambda path: path.mkdir(),
        lambda path: path.symlink_to("nowhere"),
    ],
    ids=["key", "empty file", "directory", "dangling link"],
)
def test_creation_never_overwrites(tmp_path, make):
    path = tmp_path / "backup.key"
    make(path)
    before = path.lstat()
    with pytest.raises(KeyFileError, match="exists already"):
        create_key(str(path))
    assert (path.lstat().st_ino, path.lstat().st_size, path.lstat().st_mode) == (
        before.st_ino,
        before.st_size,
        before.st_mode,
    )
    assert os.listdir(tmp_path) == ["backup.key"]


def test_creation_where_a_directory_is_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(KeyFileError, match="not a directory"):
        create_key(str(tmp_path / "file" / "backup.key"))


def test_creation_where_nothing_can_be_made():
    with pytest.raises(DestinationError, match="/proc/no-such-place"):
        create_key("/proc/no-such-place/backup.key")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"not base64 at all, surely\n",
        base64.b64encode(bytes(31)),
        base64.b64encode(bytes(33)),
        bytes(32),
        TEXT[:-2],
        TEXT + TEXT,
        TEXT[:20] + b"\n" + TEXT[20:],
        TEXT[:-3] + b"9=\n",
        b"=" * 44,
        b"A" * 5000,
        TEXT[:-1] + "é".encode(),
    ],
    ids=range(13),
)
def test_content_that_is_no_key(tmp_path, content):
    path = private_file(tmp_path / "backup.key", content)
    with pytest.raises(KeyFileError, match=r"backup\.key: it does not hold 32 bytes as base64\. .*escrow") as caught:
        load_ring(path)
    assert (
        content.strip().decode("latin-1")[:10] not in str(caught.value).replace("base64", "")
        or len(content.strip()) < 5
    )


@pytest.mark.parametrize("content", [TEXT, TEXT.strip(), TEXT.strip() + b"\r\n", b"\n" + TEXT])
def test_white_space_around_a_key_is_allowed(tmp_path, content):
    assert load_ring(private_file(tmp_path / "backup.key", content)).current == KEY


@pytest.mark.parametrize("mode", [0o404, 0o440, 0o600 | 0o020, 0o644, 0o666, 0o401, 0o410])
def test_a_key_that_others_may_use_is_refused(tmp_path, mode):
    path = private_file(tmp_path / "backup.key", TEXT, mode)
    with pytest.raises(KeyFileError, match=f"its mode {mode:04o} lets others"):
        load_ring(path)


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o700])
def test_modes_that_are_private(tmp_path, mode):
    assert load_ring(private_file(tmp_path / "backup.key", TEXT, mode)).current == KEY


def test_a_missing_key(tmp_path):
    with pytest.raises(
        KeyFileError, match=rf"{tmp_path}/backup\.key: the key file does not exist\. Put the key back"
    ) as caught:
        load_ring(str(tmp_path / "backup.key"))
    assert caught.value.exit_code == 5


def test_a_key_that_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "fifo", 0o600)
    for name in (".", "fifo"):
        with pytest.raises(KeyFileError, match="not a regular file"):
            load_ring(str(tmp_path / name))


def test_a_key_below_a_file(tmp_path):
    private_file(tmp_path / "backup.key", TEXT)
    with pytest.raises(KeyFileError, match="cannot be read"):
        load_ring(str(tmp_path / "backup.key" / "x"))


def test_a_key_that_may_not_be_read_or_listed():
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "k").mkdir(mode=0o755)
        unreadable = private_file(directory / "k" / "backup.key", TEXT, 0o000)
        with acting_as(65534, 65534), pytest.raises(KeyFileError, match="cannot be read: Permission denied"):
            load_ring(unreadable)
        os.chmod(unreadable, 0o400)
        if os.geteuid() == 0:
            os.chown(unreadable, 65534, 65534)
        (directory / "k").chmod(0o311)
        with acting_as(65534, 65534), pytest.raises(KeyFileError, match="cannot be listed for older keys"):
            load_ring(unreadable)
        (directory / "k").chmod(0o700)


def test_a_link_is_followed_and_its_target_counts(tmp_path):
    (tmp_path / "real").mkdir()
    target = private_file(tmp_path / "real" / "k", TEXT)
    link = tmp_path / "backup.key"
    link.symlink_to(target)
    private_file(tmp_path / f"backup.key.{OTHER_KEY.id}", text_of(OTHER_KEY))
    assert load_ring(str(link)).keys == (KEY, OTHER_KEY)
    new, old = rotate_key(str(link))
    assert old == KEY
    assert link.is_symlink()
    assert set(load_ring(str(link)).keys) == {new, KEY, OTHER_KEY}
    assert sorted(os.listdir(tmp_path / "real")) == ["k", f"k.{KEY.id}"]
    os.chmod(target, 0o644)
    with pytest.raises(KeyFileError, match="0644"):
        load_ring(str(link))


def test_rotation_keeps_every_key_newest_first(tmp_path):
    path = str(tmp_path / "backup.key")
    keys = [create_key(path)]
    for age in (3, 2, 1):
        os.utime(path, (1_700_000_000 - age, 1_700_000_000 - age))
        new, old = rotate_key(path)
        assert old == keys[-1]
        keys.append(new)
    ring = load_ring(path)
    assert ring.ordered() == tuple(reversed(keys))
    assert ring.current == keys[-1]
    assert all(ring.find(key.id) == key for key in keys)
    assert ring.find("00000000") is None
    assert sorted(os.listdir(tmp_path)) == sorted(["backup.key", *(f"backup.key.{key.id}" for key in keys[:-1])])
    assert all(stat.S_IMODE(entry.stat().st_mode) == 0o400 for entry in os.scandir(tmp_path))


@pytest.mark.parametrize("name", ["fsync", "replace", "link"])
def test_a_signal_leaves_no_key_in_a_temporary_file(tmp_path, monkeypatch, name):
    path = tmp_path / "backup.key"
    private_file(path, TEXT)

    def arrives(*_arguments, **_more):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, name, arrives)
    with pytest.raises(KeyboardInterrupt):
        rotate_key(str(path))
    monkeypatch.undo()
    assert {entry.name for entry in tmp_path.iterdir()} <= {"backup.key", f"backup.key.{KEY.id}"}
    assert load_ring(str(path)).current == KEY


def test_rotation_of_nothing(tmp_path):
    for path in (tmp_path / "backup.key", tmp_path / "missing" / "backup.key"):
        with pytest.raises(KeyFileError, match="exist|no key"):
            rotate_key(str(path))
    assert os.listdir(tmp_path) == []


def test_rotation_where_nothing_can_be_written():
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        path = private_file(directory / "backup.key", TEXT)
        directory.chmod(0o555)
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)
        with acting_as(65534, 65534), pytest.raises(DestinationError, match="permission denied while rotating the key"):
            rotate_key(path)
        assert os.listdir(directory) == ["backup.key"]
        directory.chmod(0o700)


def test_an_older_key_under_a_wrong_name(tmp_path):
    path = private_file(tmp_path / "backup.key", TEXT)
    private_file(tmp_path / "backup.key.01234567", text_of(OTHER_KEY))
    with pytest.raises(KeyFileError, match=rf"01234567: it holds the key {OTHER_KEY.id}, not the key"):
        load_ring(path)


def test_an_older_key_that_others_may_read(tmp_path):
    path = private_file(tmp_path / "backup.key", TEXT)
    private_file(tmp_path / f"backup.key.{OTHER_KEY.id}", text_of(OTHER_KEY), 0o444)
    with pytest.raises(KeyFileError, match=rf"backup\.key\.{OTHER_KEY.id}: its mode 0444"):
        load_ring(path)


def test_other_names_beside_the_key_are_ignored(tmp_path):
    path = private_file(tmp_path / "backup.key", TEXT)
    for name in (
        "backup.key.old",
        "backup.key.0123456789",
        "xbackup.key.01234567",
        "backup_key.01234567",
        "backup.key.0123456g",
    ):
        (tmp_path / name).write_bytes(b"not a key")
    assert load_ring(path).keys == (KEY,)


CRASHING = f"""
import os, sys
limit, action, path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
import {PACKAGE} as keys
count = 0
def hook(event, arguments):
    global count
    if event in ("open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.listdir", "fcntl.flock"):
        count += 1
        if count > limit:
            os._exit(137)
sys.addaudithook(hook)
getattr(keys, action)(path)
"""


def crash(limit: int, action: str, path: Path) -> bool:
    """Runs ``action`` in a process that dies before its file operation number ``limit`` + 1. True: it finished."""
    done = subprocess.run([sys.executable, "-c", CRASHING, str(limit), action, str(path)], check=False)
    assert done.returncode in (0, 137)
    return done.returncode == 0


def test_rotation_survives_a_crash_at_every_step(tmp_path):
    states = set()
    for limit in range(100):
        directory = tmp_path / str(limit)
        directory.mkdir()
        path = directory / "backup.key"
        private_file(path, TEXT)
        private_file(directory / f"backup.key.{OTHER_KEY.id}", text_of(OTHER_KEY))
        finished = crash(limit, "rotate_key", path)
        ring = load_ring(str(path))
        assert {KEY, OTHER_KEY} <= set(ring.keys)
        states.add((ring.current == KEY, (directory / f"backup.key.{KEY.id}").exists()))
        new, old = rotate_key(str(path))
        after = load_ring(str(path))
        assert after.current == new
        assert set(ring.keys) | {new} == set(after.keys)
        assert sorted(os.listdir(directory)) == sorted(
            ["backup.key", *(f"backup.key.{key.id}" for key in after.keys if key != new)]
        )
        if finished:
            break
    else:
        pytest.fail("rotation never finished")
    assert limit >= 8
    assert states == {(True, False), (True, True), (False, True)}


def test_creation_survives_a_crash_at_every_step(tmp_path):
    made = set()
    for limit in range(100):
        path = tmp_path / str(limit) / "backup.key"
        finished = crash(limit, "create_key", path)
        made.add(path.exists())
        if path.exists():
            key = load_ring(str(path)).current
            with pytest.raises(KeyFileError):
                create_key(str(path))
            assert load_ring(str(path)).current == key
        else:
            create_key(str(path))
        assert os.listdir(path.parent) == ["backup.key"]
        if finished:
            break
    assert finished
    assert limit >= 6
    assert made == {True, False}


@pytest.mark.parametrize("action", ["create_key", "rotate_key"])
def test_a_disk_that_takes_no_whole_key(tmp_path, action):
    path = tmp_path / "backup.key"
    if action == "rotate_key":
        private_file(path, TEXT)
    code = (
        "import resource, sys\n"
        f"import {PACKAGE} as keys\n"
        "from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import DestinationError\n"
        "soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))\n"
        "try:\n"
        "    getattr(keys, sys.argv[1])(sys.argv[2])\n"
        "except DestinationError as error:\n"
        "    print(error)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))\n"
    )
    command = [sys.executable, "-B", "-c", code, action, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
    assert done.stdout.startswith(f"{path}: File too large while ")
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]
    if action == "rotate_key":
        assert load_ring(str(path)).current == KEY
    else:
        assert os.listdir(tmp_path) == []


def test_an_unfinished_key_of_another_name_is_left_alone(tmp_path):
    other = tmp_path / ".other.key.0a0b0c0d.maintenance-tmp"
    other.write_bytes(b"")
    create_key(str(tmp_path / "backup.key"))
    assert other.exists()


def forms_of(material: bytes) -> list:
    return [material, material.hex().encode(), base64.b64encode(material), repr(material).encode()]


def test_the_material_shows_nowhere(tmp_path):
    ring = KeyRing(KEY, (KEY, OTHER_KEY))
    shown = [repr(KEY), str(KEY), f"{KEY}", repr(ring), str(ring), repr([KEY]), repr(vars(ring))]
    assert KEY.id in repr(KEY)
    for content in (TEXT[:-3] + b"=\n", TEXT[:30]):
        with pytest.raises(KeyFileError) as caught:
            load_ring(private_file(tmp_path / content.hex()[-9:], content))
        shown += [str(caught.value), repr(caught.value), repr(caught.value.as_dict()), repr(caught.value.__context__)]
    for text in shown:
        for form in [*forms_of(KEY.material), TEXT[:20]]:
            assert form not in text.encode()


@pytest.mark.parametrize("action", [pickle.dumps, copy.copy, copy.deepcopy, lambda key: pickle.dumps(key, 0)])
def test_a_key_is_neither_pickled_nor_copied(action):
    for thing in (KEY, [KEY]):
        if action is copy.copy and thing is not KEY:
            continue
        with pytest.raises(TypeError, match="not to be pickled"):
            action(thing)


def test_a_ring_does_not_spill_its_keys():
    ring = KeyRing.of(KEY)
    for action in (dataclasses.asdict, pickle.dumps):
        with pytest.raises(TypeError):
            action(ring)
    with pytest.raises(TypeError):
        dataclasses.asdict(KEY)
    with pytest.raises(TypeError):
        vars(KEY)


def test_a_key_is_immutable():
    for name in ("id", "material", "_material", "other"):
        with pytest.raises(AttributeError):
            setattr(KEY, name, b"x")
        with pytest.raises(AttributeError):
            delattr(KEY, name)
    assert KEY.material == bytes(range(32))


def test_keys_compare_by_their_material():
    assert Key(bytes(32)) == Key(bytes(32))
    assert len({Key(bytes(32)), Key(bytes(32)), KEY}) == 2
    assert Key(bytes(32)) != KEY
    assert KEY.material != KEY


def test_a_key_has_32_bytes():
    with pytest.raises(ValueError, match="32 bytes"):
        Key(bytes(31))


def test_relative_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    key = create_key("backup.key")
    new, old = rotate_key("backup.key")
    assert old == key
    assert load_ring("backup.key").keys == (new, key)
    shutil.rmtree(tmp_path / "none", ignore_errors=True)
    with pytest.raises(KeyFileError, match=str(tmp_path)):
        load_ring("none/backup.key")
