# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The executable file as hosts run it: terminals, pipes, signals."""

from __future__ import annotations

import os
import re
import select
import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Callable

import pytest

if TYPE_CHECKING:
    from conftest import Host

TIMEOUT_SECONDS = 60


class Session:
    """The command at a real terminal of its own, standard output included."""

    def __init__(self, *words: str) -> None:
        self.text = ""
        self.master, slave = os.openpty()
        # setsid makes it the controlling terminal, so that Ctrl-C is a signal.
        self.process = subprocess.Popen(["setsid", "--ctty", *words], stdin=slave, stdout=slave, stderr=slave,
                                        env={**os.environ, "TERM": "xterm", "NO_COLOR": "1"})
        os.close(slave)

    def read_until(self, wanted: str) -> None:
        end = time.monotonic() + TIMEOUT_SECONDS
        while wanted not in self.text:
            assert time.monotonic() < end and self._read(), f"{wanted!r} did not appear in {self.text!r}"

    def _read(self) -> bool:
        ready, _writable, _failed = select.select([self.master], [], [], TIMEOUT_SECONDS)
        try:
            data = os.read(self.master, 65536) if ready else b""
        except OSError:
            data = b""
        self.text += data.decode()
        return bool(data)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def end(self) -> int:
        """Reads the rest; the exit code."""
        while self._read():
            pass
        os.close(self.master)
        return self.process.wait(TIMEOUT_SECONDS)


@pytest.fixture()
def large(host: Host) -> Host:
    """A database that takes a second to back up: 60 MB that do not compress."""
    host.write("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60) "
               "INSERT INTO drafts(content) SELECT randomblob(1000000) FROM n")
    return host


def leftovers(host: Host) -> list[str]:
    return [name for name in os.listdir(host.backups) if name.startswith((".maintenance-scratch-", ".feedforward"))]


def test_the_file_runs_by_itself(command: Path, host: Host) -> None:
    done = subprocess.run([str(command), "backup", "--config", str(host.config), "--json"], capture_output=True,
                          text=True, timeout=TIMEOUT_SECONDS, check=True, cwd="/")
    assert done.stderr == "" and str(host.archives()[0]) in done.stdout


def test_progress_is_one_line_on_a_terminal_that_ends_clean(command: Path, large: Host) -> None:
    session = Session(str(command), "backup", "--config", str(large.config))
    assert session.end() == 0
    redraws = session.text.split("\r\033[K")
    figures = [text for text in redraws if re.search(r"  \d+ %  [\d.]+ .?B of [\d.]+ .?B", text)]
    assert len(figures) > 5 and any(re.search(r"  [\d.]+ MB/s  [\d.]+ s left$", text) for text in figures)
    assert all("\n" not in text for text in redraws[:-1])
    assert redraws[-1].startswith("\u2713 Archive: ") and redraws[-1].count("\r\n") == 2


def test_a_restore_at_the_terminal_asks_and_takes_no_other_word(command: Path, host: Host) -> None:
    host.backup()
    host.add_users(2)
    host.stop()
    words = [str(command), "restore", "--config", str(host.config), "--accept-unknown-holders"]
    for typed, code, users in (("users\n", 2, 5), ("\x04", 2, 5), ("users.db\n", 0, 3)):
        session = Session(*words)
        session.read_until("Type users.db to go on: ")
        session.type(typed)
        assert session.end() == code, session.text
        assert host.users() == users
    assert "To undo: feedforward-maintenance restore --undo " in session.text


@pytest.mark.parametrize(("number", "code", "name"), [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "SIGINT"),
                                                      (signal.SIGHUP, 129, "SIGHUP")])
def test_a_signal_leaves_nothing_behind(command: Path, large: Host, waited: Callable[..., None], number: int, code: int,
                                        name: str) -> None:
    process = subprocess.Popen([str(command), "backup", "--config", str(large.config)], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    waited(process, lambda: leftovers(large), "scratch directory")
    process.send_signal(number)
    out, err = process.communicate(timeout=TIMEOUT_SECONDS)
    assert (process.returncode, out) == (code, "")
    assert err.startswith(f"feedforward-maintenance: backup: stopped by {name}; ") and err.count("\n") == 1
    assert leftovers(large) == [] and large.archives() == []
    assert f"stopped by {name}" in large.run("status").out
    assert large.run("backup").code == 0


def test_ctrl_c_at_the_terminal_clears_the_line(command: Path, large: Host) -> None:
    session = Session(str(command), "backup", "--config", str(large.config))
    session.read_until(" %  ")
    session.type("\x03")
    assert session.end() == 130
    assert session.text.endswith("\r\n") and "stopped by SIGINT" in session.text.split("\r\033[K")[-1]
    assert "Traceback" not in session.text and leftovers(large) == []


def test_ctrl_c_while_the_program_still_loads_is_no_traceback(command: Path, host: Host,
                                                              waited: Callable[..., None]) -> None:
    process = subprocess.Popen([str(command), "backup", "--config", str(host.config)], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    caught = 1 << signal.SIGTERM - 1
    status = Path(f"/proc/{process.pid}/status")
    waited(process, lambda: int(re.findall(r"SigCgt:\s*(\w+)", status.read_text())[0], 16) & caught, "its first step")
    process.send_signal(signal.SIGINT)
    _out, err = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 130 and "stopped by SIGINT" in err and err.count("\n") == 1


def test_nobody_reads_the_output_any_more(command: Path, host: Host) -> None:
    host.backup()
    for words in (["list"], ["list", "--json"], ["bogus", "--json"]):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run([str(command), *words, "--config", str(host.config)], stdout=writing,
                              stderr=subprocess.PIPE, text=True, timeout=TIMEOUT_SECONDS, check=False)
        os.close(writing)
        assert done.returncode == 141 and "Traceback" not in done.stderr and "Exception" not in done.stderr


def test_a_full_standard_output_is_an_error(command: Path, host: Host) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([str(command), "list", "--config", str(host.config)], stdout=full, text=True,
                              stderr=subprocess.PIPE, timeout=TIMEOUT_SECONDS, check=False)
    assert done.returncode == 4
    assert done.stderr.startswith("feedforward-maintenance: standard output: No space left on device. ")
    assert done.stderr.count("\n") == 1


def test_closed_standard_streams_are_no_error(command: Path, host: Host) -> None:
    done = subprocess.run(["sh", "-c", '"$0" backup --config "$1" >&- 2>&- <&-', str(command), str(host.config)],
                          timeout=TIMEOUT_SECONDS, check=False)
    assert done.returncode == 0 and len(host.archives()) == 1


@pytest.mark.parametrize(("locale", "sign"), [("C", "[ok]"), ("C.UTF-8", "\u2713")])
def test_the_locale_decides_about_signs(command: Path, host: Host, locale: str, sign: str) -> None:
    done = subprocess.run([str(command), "info", "--config", str(host.config)], capture_output=True, check=True,
                          timeout=TIMEOUT_SECONDS, env={"PATH": os.environ["PATH"], "LC_ALL": locale})
    assert done.stdout.decode().startswith(f"{sign} Database: {host.database} (")
    assert locale != "C" or done.stdout.isascii()


def test_a_stop_in_the_middle_of_a_restore_leaves_the_old_or_the_new(command: Path, large: Host,
                                                                     waited: Callable[..., None]) -> None:
    large.backup()
    large.add_users(2)
    large.stop()
    process = subprocess.Popen([str(command), "restore", "--yes", "--accept-unknown-holders", "--config",
                                str(large.config)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    waited(process, lambda: any(name.startswith(".") for name in os.listdir(large.database.parent)),
           "staging beside the target")
    process.terminate()
    process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode in (143, 0)
    assert large.users() == (5 if process.returncode else 3)
    assert [name for name in os.listdir(large.database.parent) if name.startswith(".")] == []
    with sqlite3.connect(large.database) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
