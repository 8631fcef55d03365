# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The threats of docs/security.md, each by its number. Where another file has the test, the page names it."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from fault_trace import traced
from fault_world import ROOT, TEMPORARY, commit, integrity, rows_digest, sha256, sql

MARK = "a sentence that nobody else has written"
PAGE = ROOT / "docs" / "security.md"
# Names that a shell, a terminal, a log or a tar reader could misread.
ODD_NAMES = ("new\nline", "\x1b[31mred", "-rf", "$(touch pwned)", "a b\t'\"", "\u202etxt.exe", "%n", "x" * 255,
             "back\\slash", "*", ".hidden ", "manifest.json")  # fmt: skip
STATE_CALLS = "trace=write,pwrite64,writev,execve,sendto,sendmsg,rename,renameat,openat"


def test_threat_01_who_may_write_to_the_archives_could_exchange_them(world):
    before = world.keep()
    world.archives.chmod(0o777)
    for words in (("backup", "--force"), ("prune",)):
        ended = world.command(*words)
        assert ended.code == 4 and "every user of this host" in ended.errors and "chmod go-w" in ended.errors, ended
    assert {path.name: sha256(path) for path in world.final_archives()} == before.archives
    # What only reads must work at three in the morning.
    assert world.command("verify", "latest").code == 0
    assert world.command("restore", "latest", "--yes", "--accept-unknown-holders").code == 0


@pytest.mark.parametrize("make", ["symlink_to", "hardlink_to"])
@pytest.mark.parametrize("names", [(".maintenance.lock", ".maintenance-status.lock"), ("app-database.status.json",),
                                   ("*.enc.json",)])  # fmt: skip
def test_threat_02_links_under_the_names_of_ours_lead_nowhere(world, names, make):
    """In a directory like /tmp another user may put links under names that he foresees."""
    world.archives.chmod(0o1777)
    precious = world.root / "precious"
    precious.write_text("precious", encoding="ascii")
    precious.chmod(0o640)
    links = [path for name in names for path in world.archives.glob(name)]
    assert len(links) == len(names) or "*" in names[0]
    for path in links:
        path.unlink()
        getattr(path, make)(precious)
    for words in (("backup", "--force"), ("verify", "latest"), ("prune",), ("status",)):
        ended = world.command(*words)
        assert not ended.traceback and ended.code <= 7, (words, ended)
        assert precious.read_text(encoding="ascii") == "precious", words
        assert stat.S_IMODE(precious.stat().st_mode) == 0o640, words


def test_threat_05_a_hostile_database_runs_nothing(world):
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
    sql(world.database, f"CREATE VIEW bomb AS {endless}",
        "CREATE TRIGGER trap AFTER INSERT ON essays BEGIN SELECT count(*) FROM bomb; END",
        "CREATE TABLE \"\x1b[31mred\nline\" (a, b GENERATED ALWAYS AS (upper(a)) VIRTUAL)",
        "CREATE INDEX odd ON essays (hex(content)) WHERE author > 5",
        "CREATE VIRTUAL TABLE words USING fts5(content)",
        "INSERT INTO words VALUES ('some words')")  # fmt: skip
    for words in (("backup",), ("info",), ("verify", "latest", "--level", "restore"), ("list",)):
        ended = world.command(*words)
        assert ended.code == 0, (words, ended)
        assert "\x1b" not in ended.output + ended.errors
    # A schema that poses as another: a view in the place of a table, and a module that nobody has.
    database = sqlite3.connect(world.database, isolation_level=None)
    database.execute("PRAGMA writable_schema = ON")
    database.execute("INSERT INTO sqlite_master VALUES ('table', 'evil', 'evil', 0, 'CREATE VIRTUAL TABLE evil USING "
                     "evil(''x'')')")  # fmt: skip
    database.execute("UPDATE sqlite_master SET type = 'view', rootpage = 0, sql = ? WHERE name = 'ledger'",
                     (f"CREATE VIEW ledger AS {endless}",))  # fmt: skip
    database.close()
    ended = world.command("backup", "--force")
    assert not ended.traceback and ended.code in (0, 3), ended


def test_threat_06_names_of_files_are_only_names(world, tmp_path):
    uploads = world.live / "uploads"
    uploads.mkdir()
    for number, name in enumerate(ODD_NAMES):
        (uploads / name).write_text(f"content {number}", encoding="ascii")
    configuration = world.etc / "odd.json"
    configuration.write_text(json.dumps({"uploads_paths": [str(uploads)]}), encoding="ascii")
    for words in (("backup", "--kind", "full", "-v"), ("list", "-v"), ("verify", "latest", "--kind", "full", "-v")):
        ended = world.command(*words)
        assert ended.code == 0, (words, ended)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", ended.output + ended.errors), (words, ended)
    for name in ODD_NAMES:
        (uploads / name).write_text("changed", encoding="ascii")
    ended = world.command("restore", "latest", "--everything", "--yes", "--accept-unknown-holders", "-v")
    assert ended.code == 0 and not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", ended.output + ended.errors), ended
    assert {path.name: path.read_text(encoding="ascii") for path in uploads.iterdir() if path.is_file()} == {
        name: f"content {number}" for number, name in enumerate(ODD_NAMES)}
    assert not list(tmp_path.rglob("pwned"))


def told_by(lines: list[str]) -> list[bytes]:
    """What each call of a trace with ``-xx`` was given."""
    return [bytes.fromhex("".join(re.findall(r"\\x([0-9a-f]{2})", line))) for line in lines]


def forms_of(key_file: Path) -> list[bytes]:
    """A key as it stands in its file, as it is used, and in hexadecimal digits."""
    text = key_file.read_text(encoding="ascii").strip().encode()
    return [text, base64.b64decode(text), base64.b64decode(text).hex().encode()]


def test_threat_08_the_key_leaves_its_file_for_nowhere(world):
    """Every byte that a run writes, sends or starts a program with is looked at, and every name of a file."""
    secrets = forms_of(world.key_file)
    runs = [("backup", "--debug", "-v"), ("verify", "latest", "--level", "restore", "--debug"), ("list", "--json"),
            ("info", "--json"), ("key", "show"),
            ("restore", "latest", "--yes", "--accept-unknown-holders", "--debug", "-v")]  # fmt: skip
    for words in runs:
        lines, ended = traced(world, words, "-xx", "-s", "4194304", "-e", STATE_CALLS)
        assert ended.code == 0 and lines, (words, ended)
        assert not any(secret in told for secret in secrets for told in told_by(lines)), words
        assert not any(secret in (ended.output + ended.errors).encode() for secret in secrets), words
    found = [path for path in world.live.rglob("*") if path.is_file() and path != world.key_file
             and any(secret in path.read_bytes() for secret in secrets)]  # fmt: skip
    assert found == []
    # A rotation writes a key, to its file: there it is seen.
    lines, _ended = traced(world, ("key", "rotate"), "-xx", "-s", "4194304", "-e", STATE_CALLS)
    seen = [told for told in told_by(lines) if forms_of(world.key_file)[0] in told]
    assert seen and all(str(world.key_file.parent).encode() in told for told in seen)


def test_threat_09_plaintext_lies_in_private_scratch_only_and_not_for_long(world):
    sql(world.database, f"INSERT INTO essays (author, content) VALUES (1, '{MARK}')", "PRAGMA wal_checkpoint(TRUNCATE)")
    for words in (("backup", "--strategy", "full"), ("verify", "latest", "--level", "restore")):
        lines, ended = traced(world, words, "-xx", "-s", "4194304", "-e", "trace=write,pwrite64,writev")
        assert ended.code == 0, ended
        places = set()
        for line in lines:
            texts = [bytes.fromhex(text.replace("\\x", "")) for text in re.findall(r"(?:\\x[0-9a-f]{2})+", line)]
            if any(MARK.encode() in text for text in texts[1:]):
                places.add(texts[0].decode())
        assert places and all(f"/{TEMPORARY[0]}" in place for place in places), places
        assert world.leftovers() == []
    holders = [path for path in world.live.rglob("*") if path.is_file() and MARK.encode() in path.read_bytes()]
    assert holders == [world.database]


@pytest.mark.parametrize("with_key", [True, False])
def test_threat_10_a_process_with_a_key_leaves_no_core_dump(world, with_key):
    """The same process without a key shows that one would be seen here."""
    load = f"load_ring({str(world.key_file)!r})" if with_key else "None"
    script = ("import ctypes, os, resource, signal\n"
              "from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys import load_ring\n"
              f"ring = {load}\n"
              "print(ctypes.CDLL(None).prctl(3), *resource.getrlimit(resource.RLIMIT_CORE), flush=True)\n"
              "os.kill(os.getpid(), signal.SIGSEGV)\n")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", script], cwd=world.root, capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})  # fmt: skip
    assert done.returncode == -signal.SIGSEGV, done
    dumpable, soft, hard = map(int, done.stdout.split())
    assert (dumpable, soft, hard) == (0, 0, 0) if with_key else dumpable == 1, done
    assert not (with_key and list(world.root.glob("core*")))


def test_threat_11_whatever_the_umask_others_read_nothing(world):
    before = set(world.live.rglob("*"))
    old = os.umask(0)
    try:
        for words in (("backup", "--force"), ("verify", "latest", "--level", "restore"), ("key", "rotate"),
                      ("restore", "latest", "--yes", "--accept-unknown-holders")):  # fmt: skip
            ended = world.command(*words)
            assert ended.code == 0, (words, ended)
    finally:
        os.umask(old)
    made = {path for path in world.live.rglob("*") if not path.is_symlink()} - before
    assert len(made) > 4
    open_to_others = {str(path) for path in made if path.stat().st_mode & 0o077
                      and not path.name.startswith("app.db")}  # fmt: skip
    assert open_to_others == set()


def test_threat_12_no_nonce_and_no_key_is_used_twice(world):
    for _number in range(6):
        commit(world.database, 5)
        assert world.command("backup", "--strategy", "full").code == 0
    assert world.command("key", "rotate").code == 0
    assert world.command("backup", "--strategy", "full", "--force").code == 0
    contents = [path.read_bytes() for path in world.final_archives()]
    heads = [content[:40] for content in contents]
    assert len(set(heads)) == len(heads) == 9
    # The salt makes the key of an archive, the rest the nonces: neither comes twice.
    assert len({head[1:33] for head in heads}) == len({head[33:] for head in heads}) == len(heads)
    blocks = [content[place:place + 16] for content in contents for place in range(40, len(content) - 16, 16)]
    assert len(set(blocks)) == len(blocks)
    keys = [path.read_bytes() for path in world.key_file.parent.iterdir() if path.name.startswith("backup.key")]
    assert len(set(keys)) == len(keys) == 2
    assert world.command("verify", "all").code == 0


def test_threat_13_records_that_somebody_wrote_are_only_records(world):
    rows = rows_digest(world.database)
    records = [world.archives / "app-database.status.json",
               *(Path(f"{path}.json") for path in world.final_archives())]  # fmt: skip
    for content in (b"[" * 1_000_000, b'{"a": ' * 100_000, b"9" * 500_000, b"\xff\xfe", b'{"format": null}', b"NaN",
                    b""):  # fmt: skip
        for record in records:
            record.write_bytes(content)
        for words in (("list",), ("status",), ("backup", "--force")):
            ended = world.command(*words)
            assert not ended.traceback and ended.code in (0, 1, 2, 3), (content[:20], words, ended)
    assert world.command("verify", "all").code == 0
    assert integrity(world.database) == [] and rows_digest(world.database) == rows


def test_every_threat_of_the_page_has_its_test():
    page = PAGE.read_text(encoding="utf-8")
    own = set(re.findall(r"def test_threat_(\d+)_[a-z]", Path(__file__).read_text(encoding="utf-8")))
    rows = re.findall(r"^\| (\d+) \|.*\| ([^|]*) \|$", page, re.MULTILINE)
    assert [int(number) for number, _tests in rows] == list(range(1, len(rows) + 1))
    assert {number.zfill(2) for number, tests in rows if "test_threats.py" in tests} == own
    for number, tests in rows:
        named = re.findall(r"`([^`]+)`", tests)
        assert named and all((ROOT / path).exists() for path in named), (number, tests)
