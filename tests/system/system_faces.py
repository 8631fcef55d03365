# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two faces of a job: the command as an executable zipapp, and the modules of the collection.

Both run as processes of their own. What a user sees of a failure is taken apart here, once: the exit code, one line on
standard error, one JSON document on standard output with ``--json``, and ``msg`` of a module are the same error.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from system_site import APPLICATION, PROGRAM, Site

ROOT = Path(__file__).resolve().parents[2]
TREE = ROOT / ".build" / "dev"
LIMIT_SECONDS = 120
MODULES = {"backup": "sqlite_backup", "verify": "sqlite_verify", "restore": "sqlite_restore"}


def link_collection() -> None:
    """Make this checkout importable as ``ansible_collections.feedforward.maintenance``."""
    link = TREE / "ansible_collections" / "feedforward" / "maintenance"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(ROOT, target_is_directory=True)
    sys.path.insert(0, str(TREE))


@dataclass(frozen=True)
class Outcome:
    """How one face ended. ``code`` is the exit code of the command (of a module: that of its error, 0 without);
    ``message`` the sentence, "" for success; ``document`` what was returned as data (None: nothing)."""

    face: str
    code: int
    message: str
    document: Mapping[str, Any] | None
    output: str = field(repr=False, default="")

    @property
    def error(self) -> Mapping[str, Any]:
        """The parts of the error; empty for success or where there is no document."""
        return (self.document or {}).get("error") or {}


class Faces:
    """Runs jobs of a site. ``program`` is the zipapp; ``prefix`` words go before every command line."""

    def __init__(self, site: Site, program: Path, prefix: Sequence[str] = ()) -> None:
        self.site = site
        self.program = program
        self.prefix = list(prefix)

    def line(self, job: str, options: Mapping[str, Any], *words: str) -> list[str]:
        """The command line of a job."""
        flags = {"archive": "", "kind": "--kind", "target": "--to", "level": "--level", "scratch": "--scratch",
                 "force": "--force", "everything": "--everything", "databases": "--database"}
        more = ["--yes", "--accept-unknown-holders"] if job == "restore" else []
        for name, value in options.items():
            flag = [flags[name]] if flags.get(name) else []
            if name in flags:
                more += flag if value is True else [*flag, str(value)]
        return [*self.prefix, str(self.program), job, "--config", str(self.site.etc), *more, *words]

    def command(self, job: str, options: Mapping[str, Any], *, as_json: bool = False, **environment: str) -> Outcome:
        """One run of the command, as a timer makes it: nobody at a terminal."""
        done = subprocess.run(
            self.line(job, options, *(["--json"] if as_json else [])), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=LIMIT_SECONDS, check=False, env={**os.environ, "LC_ALL": "C.UTF-8", **environment})
        face = f"{PROGRAM} {job}{' --json' if as_json else ''}"
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return command_outcome(face, done, as_json)

    def module(self, job: str, options: Mapping[str, Any], **environment: str) -> Outcome:
        """One run of the module, as Ansible makes it on the host: its file, its arguments, its JSON."""
        arguments = self.site.root / "arguments.json"
        arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": self.arguments(job, options)}))
        done = subprocess.run(
            [*self.prefix, sys.executable, str(ROOT / "plugins" / "modules" / f"{MODULES[job]}.py"), str(arguments)],
            capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False,
            env={**os.environ, "PYTHONPATH": str(TREE), **environment})
        arguments.unlink()
        assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        document = json.loads(done.stdout)
        failed = document.get("failed", False)
        assert done.returncode == (1 if failed else 0), done.stdout + done.stderr
        message = document["msg"] if failed else ""
        code = document.get("error", {}).get("exit_code", 1) if failed else 0
        return Outcome(MODULES[job], code, message, document, done.stdout)

    def arguments(self, job: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """The module's options that mean the same as the site's configuration and ``options``."""
        application, backup = (self.site.settings[name] for name in ("application.json", "backup.json"))
        given: dict[str, Any] = {"application": APPLICATION, "directory": backup["directory"],
                                 "key_file": backup["key_file"]}
        if job == "backup":
            given.update(databases=application["databases"], files=application["config_paths"],
                         uploads=application["uploads_paths"])
            given.update({name: backup[name] for name in ("deadline_seconds", "retention_days", "keep_last")
                          if name in backup})
        if job == "restore":
            given.update(accept_unknown_holders=True)
        for name, value in options.items():
            if name == "everything":
                given["parts"] = ["databases", "config", "uploads", "logs"]
            else:
                given[f"{name}s" if (job, name) == ("verify", "kind") else name] = str(value) if isinstance(
                    value, Path) else value
        return given

    def all(self, job: str, options: Mapping[str, Any], *, modules: bool = True) -> list[Outcome]:
        """The job through each face, one after the other."""
        told = [self.command(job, options), self.command(job, options, as_json=True)]
        return [*told, self.module(job, options)] if modules else told


def command_outcome(face: str, done: subprocess.CompletedProcess, as_json: bool) -> Outcome:
    """Takes the output of a finished command apart: one line on standard error, or none at all."""
    document = json.loads(done.stdout) if as_json else None
    lines = done.stderr.splitlines()
    if done.returncode == 0:
        assert lines == [], done.stderr
        return Outcome(face, 0, "", document, done.stdout)
    assert len(lines) == 1 and lines[0].startswith(f"{PROGRAM}: "), done.stderr
    return Outcome(face, done.returncode, lines[0][len(PROGRAM) + 2:], document, done.stdout)
