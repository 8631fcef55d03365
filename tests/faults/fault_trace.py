# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The system calls of a run that change a file, and runs into one of which a fault is injected: by strace(1)."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fault_world import LIMIT_SECONDS, Ended, World

# Not openat: how many there are depends on the processes of the machine, which a restore looks into.
CHANGING = ("write", "pwrite64", "writev", "ftruncate", "truncate", "fallocate", "rename", "renameat",
            "renameat2", "link", "linkat", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "fsync", "fdatasync",
            "chmod", "fchmod", "fchmodat", "chown", "fchown", "fchownat", "setxattr", "fsetxattr", "utimensat",
            "copy_file_range", "sendfile")  # fmt: skip
DATA = ("write", "pwrite64", "writev", "copy_file_range", "sendfile")
STRACE = ("strace", "-f", "-qq", "-y", "-s", "0")
# Stops the run at traced calls only. Faults are not injected then.
QUICKLY = "--seccomp-bpf"
HELD_SECONDS = 20.0
_LINE = re.compile(r"(?P<thread>\d+) +(?P<name>\w+)\((?P<arguments>.*)")
# A file by its handle, or by a name in the directory whose handle stands before it.
_PATH = re.compile(r'(?:<(?P<place>/[^>]*)>(?:, )?)?(?:"(?P<name>[^"]+)")?')
_RANDOM = re.compile(r"[0-9a-f]{16}|(?<=\.)[0-9a-f]{8}(?=\.)|\d{8}T\d{6}Z(-\d+)?")


@dataclass(frozen=True)
class Call:
    """The ``number``-th call of ``name`` (from 1, of the main thread) in a run; ``site`` says what it does to which
    file, without what differs from run to run; ``place`` is its place among all calls of the run."""

    name: str
    number: int
    site: str
    place: int

    def __str__(self) -> str:
        return f"{self.site} (call {self.number} of {self.name})"


def record(world: World, *words: str) -> tuple[list[Call], Ended]:
    """The calls of a run that change something in ``world``, in order."""
    lines, ended = traced(world, words, QUICKLY, "-e", f"trace={','.join(CHANGING)}")
    counted: dict[str, int] = defaultdict(int)
    calls: list[Call] = []
    main = lines[0].split(" ", 1)[0]
    for line in lines:
        found = _LINE.match(line)
        if found is None or found["thread"] != main:
            continue
        name = found["name"]
        counted[name] += 1
        paths = [path for path in _paths(found["arguments"]) if path.startswith(str(world.live))]
        if paths:
            said = " ".join(_RANDOM.sub("#", path[len(str(world.live)) + 1:]) for path in paths)
            calls.append(Call(name, counted[name], f"{name} {said}", len(calls)))
    return calls, ended


def _paths(arguments: str) -> list[str]:
    """The files that a call is about."""
    return [os.path.join(found["place"] or "", found["name"] or "").rstrip("/") for found in _PATH.finditer(arguments)
            if found["place"] or found["name"]]  # fmt: skip


def injected(world: World, call: Call, fault: str, *words: str) -> tuple[bool, Ended]:
    """A run into whose ``call`` the ``fault`` is injected, as strace writes it: signal=SIGKILL, error=EIO. Tells as
    well whether it was."""
    injection = f"inject={call.name}:{fault}:when={call.number}"
    lines, ended = traced(world, words, "-e", f"trace={call.name}", "-e", injection)
    marks = ("(INJECTED)", "+++ killed by SIGKILL", "--- SIGTERM")
    return ended.code in (-9, 137) or any(mark in line for line in lines for mark in marks), ended


def sampled(calls: Sequence[Call], most: int) -> list[Call]:
    """At most ``most`` calls, in the order of the run, of which every site has its first; then its last, then those in
    between. Of writes of data to one file there are many alike."""
    sites: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        sites[call.site].append(call)
    chosen: list[Call] = []
    for round_ in range(max(map(len, sites.values()), default=0)):
        for group in sites.values():
            order = [group[0], *group[:0:-1]] if group[0].name in DATA else group
            if round_ < len(order):
                chosen.append(order[round_])
    return sorted(chosen[:most], key=lambda call: call.place)


def traced(world: World, words: Sequence[str], *options: str) -> tuple[list[str], Ended]:
    """The lines that strace writes of a run with these ``options`` on top, and how the run ended."""
    with tempfile.NamedTemporaryFile("r", encoding="utf-8", errors="replace") as trace:
        ended = world.command(*words, prefix=(*STRACE, "-o", trace.name, *options))
        return Path(trace.name).read_text(encoding="utf-8", errors="replace").splitlines(), ended


def held(world: World, call: Call, words: Sequence[str], meanwhile: Callable[[], object]) -> tuple[bool, Ended]:
    """Runs the command up to ``call``, holds it there while ``meanwhile`` is called, and lets it go on. Tells as well
    whether it came there."""
    trace = world.root / "trace"
    trace.write_text("", encoding="ascii")
    command = [*STRACE, "-o", str(trace), "-e", f"trace={call.name}", "-e",
               f"inject={call.name}:signal=SIGSTOP:when={call.number}", *world.line(*words)]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as process:  # fmt: skip
        stopped = _stopped_thread(process, trace)
        if stopped:
            try:
                meanwhile()
            finally:
                os.kill(stopped, signal.SIGCONT)
        output, errors = process.communicate(timeout=LIMIT_SECONDS)
    return bool(stopped), Ended(process.returncode, output, errors)


def _stopped_thread(process: subprocess.Popen[str], trace: Path) -> int:
    """The thread that strace says is stopped; 0 when the run ended before."""
    deadline = time.monotonic() + HELD_SECONDS
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        for line in trace.read_text(encoding="utf-8", errors="replace").splitlines():
            if "--- stopped by SIGSTOP ---" in line:
                return int(line.split(" ", 1)[0])
        if ended:
            return 0
        time.sleep(0.01)
    return 0
