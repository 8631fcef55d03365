# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The grammar, the exit codes, and defects of ours."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Callable

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils import errors
from ansible_collections.feedforward.maintenance.plugins.module_utils.cli import context, dispatch, parser
from ansible_collections.feedforward.maintenance.plugins.module_utils.cli import main as face
from ansible_collections.feedforward.maintenance.plugins.module_utils.cli.signals import Stopped
from ansible_collections.feedforward.maintenance.plugins.module_utils.version import VERSION

if TYPE_CHECKING:
    from conftest import Host

COMMANDS = ("backup", "verify", "restore", "list", "info", "prune", "key", "status", "health", "doctor")


@pytest.fixture()
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Adds a command ``broken`` that raises the given error: a defect of ours, as none is known to exist."""
    def add(error: BaseException) -> None:
        def run(_context: context.Context) -> int:
            raise error

        module = ModuleType("broken")
        vars(module).update(SUMMARY="x", DESCRIPTION="x", configure=lambda parser: None, run=run)
        monkeypatch.setitem(dispatch.COMMANDS, "broken", "broken")
        monkeypatch.setitem(sys.modules, f"{dispatch.__package__}.commands.broken", module)
    return add


@pytest.mark.parametrize(("words", "told"), [
    ([], "command line: a command is missing. The commands are backup, verify,"),
    (["bakup"], "bakup: there is no such command; did you mean 'backup'? The commands are "),
    (["--json", "frobnicate"], "frobnicate: there is no such command. The commands are "),
    (["backup", "--frce"], "backup: unknown option '--frce'; did you mean '--force'? See 'feedforward-maintenance "),
    (["backup", "--for"], "backup: unknown option '--for'; did you mean '--force'? "),
    (["list", "--kinds=logs"], "list: unknown option '--kinds=logs'; did you mean '--kind'? "),
    (["list", "more"], "list: unexpected argument 'more'. See 'feedforward-maintenance list --help'."),
    (["backup", "--kind", "databse"], "backup: argument --kind: 'databse' is none of database, config, logs, full; did "
                                      "you mean 'database'? See 'feedforward-maintenance backup --help'."),
    (["prune", "--keep-last", "0"], "prune: argument --keep-last: '0' is not a whole number of at least 1. "),
    (["prune", "--retention-days", "1_0"], "prune: argument --retention-days: '1_0' is not a whole number "),
    (["key"], "key: the following arguments are required: {create,rotate,show}. "),
    (["--config"], "command line: argument --config: expected one argument. See 'feedforward-maintenance --help'."),
    (["restore", "--mode", "rw"], "restore: argument --mode: 'rw' is not an octal mode like 0600. "),
])
def test_a_mistake_names_the_nearest_right_word(host: Host, words: list[str], told: str) -> None:
    done = host.bare(*words)
    assert done.code == 2 and done.err.startswith(f"feedforward-maintenance: {told}") and done.err.count("\n") == 1
    if "--json" not in words:
        assert done.out == ""
    assert host.bare(*words, "--json").out.startswith('{\n  "error": {')


@pytest.mark.parametrize("words", [["--help"], *([name, "-h"] for name in COMMANDS)])
def test_help_documents_the_exit_codes_within_a_terminal(host: Host, words: list[str],
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = host.bare(*words)
    codes = parser.STATUS_EXIT_CODES if words[0] in ("status", "health") else parser.EXIT_CODES
    assert done.code == 0 and done.err == "" and done.out.endswith(parser.exit_code_table(codes) + "\n") != (
        words == ["--help"])
    assert "exit codes:" in done.out and max(len(line) for line in done.out.splitlines()) <= 86


@pytest.mark.parametrize("name", COMMANDS)
def test_a_run_imports_no_other_command(name: str, tmp_path: Path) -> None:
    """Each module costs the compilation of its source, for a zipapp keeps nothing that was compiled."""
    package = dispatch.__package__
    script = (f"import sys\nfrom {package}.main import main\nmain([{name!r}, '--config', {str(tmp_path)!r}])\n"
              f"print(*(name for name in sys.modules if name.startswith('{package}.commands.')), file=sys.stderr)\n")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    helpers = {"restore": {"restore_text"}}.get(name, set())
    imported = {word.rpartition(".")[2] for word in done.stderr.splitlines()[-1].split()}
    assert imported == {dispatch.COMMANDS[name]} | helpers, done.stderr


def test_every_error_has_its_exit_code_in_the_help() -> None:
    documented = dict(parser.EXIT_CODES)
    classes = [errors.MaintenanceError, *errors.MaintenanceError.__subclasses__()]
    assert {cls.exit_code for cls in classes} <= set(documented)
    assert face.__doc__ is not None and all(
        re.search(rf"\b{code}\b", face.__doc__) for code in documented)


def test_version(host: Host) -> None:
    assert host.bare("--version") == (0, f"feedforward-maintenance {VERSION}\n", "")


def test_common_options_stand_on_either_side_of_the_command(host: Host) -> None:
    host.backup()
    before = host.bare("--config", str(host.config), "--json", "list")
    behind = host.bare("list", "--json", "--config", str(host.config))
    assert before.json()["count"] == behind.json()["count"] == 1


def test_a_defect_is_one_line_and_the_traceback_wants_debug(host: Host,
                                                            broken: Callable[[BaseException], None]) -> None:
    broken(KeyError("users\nx"))
    done = host.bare("broken")
    assert (done.code, done.out) == (70, "")
    assert done.err.startswith("feedforward-maintenance: broken: unexpected KeyError: 'users\\nx' (test_cli_main.py:")
    assert done.err.count("\n") == 1 and "--debug" in done.err
    assert json.loads(host.bare("broken", "--json").out)["error"]["type"] == "InternalError"
    assert host.bare("broken", "--debug").err.startswith("Traceback (most recent call last):\n")


@pytest.mark.parametrize("error, named", [
    (OSError(errno.EIO, "Input/output error", "/data/app.db"), "/data/app.db: Input/output error"),
    (OSError(errno.EIO, "Input/output error"), "broken: Input/output error"),
    (OSError(errno.ENOSPC, "No space left", "/data/x"), "/data/x: no space is left on the device")])
def test_what_the_system_refuses_is_no_defect(host: Host, broken: Callable[[BaseException], None], error,
                                              named) -> None:
    broken(error)
    done = host.bare("broken")
    assert (done.code, done.out) == (4, "") and f"feedforward-maintenance: {named}" in done.err, done
    assert done.err.count("\n") == 1 and "defect" not in done.err


def test_exhausted_memory_is_named_as_such(host: Host, broken: Callable[[BaseException], None]) -> None:
    broken(MemoryError())
    done = host.bare("broken")
    assert done.code == 70 and "memory of this machine is exhausted" in done.err


def test_a_signal_wins_over_the_error_that_it_led_to(host: Host, broken: Callable[[BaseException], None]) -> None:
    class Rude(errors.SourceError):
        """Raised by a library that swallowed the exception of the signal."""

    broken(Rude("users.db", "interrupted", "Look"))
    module = sys.modules[f"{dispatch.__package__}.commands.broken"]
    run = module.run

    def swallow(given: context.Context) -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except BaseException:
            return int(run(given))
        return 0

    vars(module)["run"] = swallow
    done = host.bare("broken", "--json")
    assert done.code == 143 and done.json()["error"]["exit_code"] == 143


def test_a_stop_is_told_in_json_too(host: Host, broken: Callable[[BaseException], None]) -> None:
    broken(Stopped(signal.SIGINT))
    done = host.bare("broken", "--json")
    assert (done.code, done.json()["error"]["cause"].split(";")[0]) == (130, "stopped by SIGINT")


def test_a_signal_while_the_error_is_told_still_gives_its_code(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(io.StringIO):
        """A stream that takes so long that the signal arrives meanwhile."""

        def write(self, text: str) -> int:
            os.kill(os.getpid(), signal.SIGTERM)
            return len(text)

    monkeypatch.setattr(sys, "stderr", Slow())
    assert host.bare("bogus").code == 143
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "stdout", Slow())
    assert host.bare("bogus", "--json").code == 143


def test_a_reader_that_went_away_is_no_error_of_ours(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert host.run("list") == (141, "", "")
        stream.write("what the interpreter flushes at its end goes nowhere")


@pytest.mark.parametrize(("argv0", "program", "application"), [
    ("/usr/local/bin/feedforward-maintenance", "feedforward-maintenance", "feedforward"),
    ("./wiki-maintenance.pyz", "wiki-maintenance", "wiki"), ("wiki", "wiki", "wiki"),
    ("-c", "feedforward-maintenance", "feedforward"), ("/x/__main__.py", "feedforward-maintenance", "feedforward"),
    ("-maintenance", "-maintenance", "-maintenance"),
])
def test_the_programs_name_names_configuration_and_application(argv0: str, program: str, application: str) -> None:
    assert face.program_name(argv0) == program and context.application_of(program) == application


def test_a_configuration_that_cannot_be_listed_counts_as_there(host: Host) -> None:
    assert not context.holds_configuration(str(host.root / "nowhere"))
    assert context.holds_configuration(str(host.config)) and context.holds_configuration(str(host.env))


def test_another_name_reads_another_directory(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/local/bin/wiki-maintenance"])
    done = host.bare("list")
    assert done.err.startswith("wiki-maintenance: /etc/wiki-maintenance: there is no configuration here.")
    assert f"of wiki, 0 B, in {host.backups}" in host.bare("list", "--directory", str(host.backups)).out
