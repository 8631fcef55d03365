# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command of this collection, as the zipapp that it installs on a host."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .data import PATTERNS
from .processes import NotMeasured, Ran, last_line, run
from .subjects import FIRST, RESTORE, RESTORE_CHAIN, VERIFY, Stored, Subject, after, counted
from .workspace import ROOT

APPLICATION = "bench"
PROGRAM = f"{APPLICATION}-maintenance"
METHODS = ("gzip", "zstd")
DEFAULT_METHOD = "gzip"
FULL, INCREMENTAL = "full", "incremental"
# The unit that the role installs runs the job like this.
POLITE = ("nice", "-n", "10", "ionice", "-c", "2", "-n", "7")
BASELINE = "import cryptography.hazmat.primitives.ciphers.aead, sqlite3, ssl"


def interpreter() -> str:
    """The Python that runs the command: BENCH_PYTHON, else the system's, else our own.

    Raises NotMeasured when none has what the command needs.
    """
    named = os.environ.get("BENCH_PYTHON")
    for python in [named] if named else ["/usr/bin/python3", sys.executable]:
        if not os.access(python, os.X_OK):
            continue
        if subprocess.run([python, "-c", BASELINE], capture_output=True, check=False).returncode == 0:
            return python
    raise NotMeasured("no Python with cryptography: type  apt-get install -y python3-cryptography")


@dataclass(frozen=True)
class Command:
    """The program with its configuration and key; ``options`` are those that its ``backup`` knows."""

    program: Path
    python: str
    configuration: Path
    options: frozenset[str]

    def call(self, *arguments: str | Path, prefix: Sequence[str] = ()) -> tuple[Ran, dict[str, Any]]:
        """Runs a subcommand and returns its document. Raises NotMeasured with what it said."""
        ran = run([*prefix, self.python, self.program, *arguments, "--json", "--config", self.configuration])
        return ran, json.loads(ran.output)

    def choose(self, option: str, value: str, default: str) -> list[str]:
        """``option`` with ``value``; nothing where ``value`` is what a command without it does anyway."""
        if option in self.options:
            return [option, value]
        if value == default:
            return []
        raise NotMeasured(f"the command does not know {option}")

    def backup(self, repository: Path, *, method: str = DEFAULT_METHOD, strategy: str = FULL, force: bool = False,
               more: Sequence[str] = (), prefix: Sequence[str] = ()) -> tuple[Ran, dict[str, Any]]:
        """One backup of the database. Raises NotMeasured where the archive is not what ``strategy`` says."""
        options = [*self.choose("--compression", method, DEFAULT_METHOD), *self.choose("--strategy", strategy, FULL),
                   *(["--force"] if force else []), *more]
        ran, result = self.call("backup", "--kind", "database", "--no-prune", *options, "--directory", repository,
                                prefix=prefix)
        if result["outcome"] == "created" and (result["base"] is None) != (strategy == FULL):
            raise NotMeasured(f"no increment was made: {result['full_because']}")
        return ran, result


def install(directory: Path, source: Path) -> Command:
    """Builds the zipapp from this checkout into ``directory``, with a key and the configuration for ``source``."""
    python = interpreter()
    program = directory / PROGRAM
    program.write_bytes(build_program(python))
    program.chmod(0o755)
    configuration = directory / "etc"
    configuration.mkdir()
    settings = {"application": APPLICATION, "databases": [str(source)], "key_file": str(directory / "backup.key"),
                "directory": str(directory / "archives")}
    (configuration / "application.json").write_text(json.dumps(settings), encoding="utf-8")
    run([python, program, "key", "create", "--config", configuration])
    options = re.findall(r"--[a-z-]+", run([python, program, "backup", "--help"]).output)
    return Command(program, python, configuration, frozenset(options))


def build_program(python: str) -> bytes:
    """The zipapp, by the same code that the action plugin uses."""
    spec = importlib.util.spec_from_file_location("engine_zipapp", ROOT / "plugins" / "plugin_utils" / "zipapp.py")
    assert spec is not None and spec.loader is not None
    packer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(packer)
    members = packer.collect_engine(str(ROOT / "plugins" / "module_utils"))
    program: bytes = packer.build_zipapp(members, interpreter=python, version="0")
    return program


class Ours(Subject):
    """The command with one method of compression; with a ``library`` of this Python, which runs the command then."""

    def __init__(self, command: Command, method: str, library: str = "") -> None:
        self.name = f"ours {method}" + (f" by {library}" if library else "")
        self.operations = ((FIRST, RESTORE) if library else
                           (FIRST, *map(after, PATTERNS), RESTORE, RESTORE_CHAIN, VERIFY))
        self._command = replace(command, python=sys.executable) if library else command
        self._method, self._library = method, library

    def lacking(self) -> str:
        return f"{sys.executable} has no {self._library}" if self._library and not find_spec(self._library) else ""

    def full(self, store: Path, source: Path) -> Stored:
        return self._backup(store, FULL)

    def increment(self, store: Path, source: Path) -> Stored:
        return self._backup(store, INCREMENTAL)

    def _backup(self, store: Path, strategy: str) -> Stored:
        checks: list[float] = []

        def backup() -> Ran:
            ran, result = self._command.backup(store / "repo", method=self._method, strategy=strategy)
            if result["outcome"] != "created":
                raise NotMeasured(f"no archive was made: {result['reason']}")
            checks.extend(snapshot["check_seconds"] for snapshot in result["snapshots"])
            return ran

        return replace(counted(store, backup), check_seconds=sum(checks))

    def restore(self, store: Path, target: Path) -> tuple[Ran, Path]:
        database = target / "app.db"
        ran, _result = self._command.call("restore", "latest", "--to", database, "--yes", "--accept-unknown-holders",
                                          "--directory", store / "repo")
        return ran, database

    def verify(self, store: Path) -> Ran:
        """Judges the newest archive."""
        return self._command.call("verify", "latest", "--no-record", "--directory", store / "repo")[0]


def baseline(command: Command) -> Ran:
    """The interpreter with the libraries that the command needs, doing nothing."""
    return run([command.python, "-c", BASELINE])


def versions(command: Command) -> dict[str, str]:
    """What the command runs on."""
    script = ("import cryptography, json, platform, sqlite3; print(json.dumps({'python': platform.python_version(), "
              "'sqlite': sqlite3.sqlite_version, 'cryptography': cryptography.__version__}))")
    found: dict[str, str] = json.loads(last_line(run([command.python, "-c", script]).output))
    return found
