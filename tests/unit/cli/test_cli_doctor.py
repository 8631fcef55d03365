# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command ``doctor``: marks, the last line, exit codes, JSON."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Host

ALL_IS_WELL = r"the trial backup of [\d.]+ kB was made and verified in [\d.]+ s"


def snapshot(host: Host) -> dict[str, tuple[int, bytes]]:
    """Everything in the directory of the archives."""
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in host.backups.rglob("*")}


def test_nothing_is_wrong_with_a_directory_and_a_key_alone(host: Host) -> None:
    host.backup()
    done = host.bare("doctor", "--directory", str(host.backups), "--key-file", str(host.key))
    assert (done.code, done.err) == (0, ""), done
    lines = done.out.splitlines()
    assert all(line.startswith(("✓ ", "! Trial backup: not tried: no database")) for line in lines[:-2]), done.out
    assert lines[-2] == "" and "no trial backup was made" in lines[-1]


def test_a_backup_is_tried_and_removed(host: Host) -> None:
    host.configure(max_age_hours={"database": 25})
    host.backup()
    before = snapshot(host)
    done = host.run("doctor")
    assert (done.code, done.err) == (0, ""), done
    assert "✓ Trial backup: " in done.out and "! Schedule: no timer and no entry of cron" in done.out
    assert re.fullmatch(f"Run the role backup, which schedules them; otherwise all is well: {ALL_IS_WELL}.",
                        done.out.splitlines()[-1])
    document = host.run("doctor", "--json").json()
    assert document["problems"] == 0 and document["trial"]["encrypted"] is True
    assert {finding["state"] for finding in document["findings"]} == {"OK", "WARNING"}
    done = host.run("doctor", "--no-trial", "--json")
    assert done.code == 0 and done.json()["trial"] is None and "--no-trial" in done.json()["advice"]
    assert snapshot(host) == before


def test_the_exit_code_is_that_of_the_first_problem(host: Host) -> None:
    host.configure(max_age_hours={"database": 25})
    host.backup()
    host.key.chmod(0o644)
    done = host.run("doctor")
    assert done.code == 5 and "✗ Key: " in done.out and done.out.splitlines()[-1].startswith("Set its mode to 0400")
    shutil.rmtree(host.backups)
    done = host.run("doctor", "--json")
    document = done.json()
    assert done.code == 4 and document["trial"] is None and document["problems"] == 2
    assert "the directory of the archives does not exist" in document["advice"]
    host.configure(strategy="odd")
    done = host.run("doctor")
    assert done.code == 2 and "strategy" in done.out.splitlines()[0] and done.err == ""


def test_a_configuration_that_is_absent(host: Host, tmp_path: Path) -> None:
    done = host.bare("doctor", "--config", str(tmp_path / "nowhere"), "--directory", str(host.backups))
    assert done.code == 2 and done.out.startswith("✗ Configuration: ") and "✓ Archive directory: " in done.out
    done = host.bare("doctor", "--config", str(tmp_path / "nowhere"), "--json")
    assert done.code == 2 and "there is no configuration here" in done.json()["findings"][0]["text"]


def test_the_installed_command(host: Host, command: Path) -> None:
    """Whole, out of the zipapp."""
    host.configure(max_age_hours={"database": 25})
    host.backup()
    done = subprocess.run([str(command), "doctor", "--config", str(host.config)], capture_output=True, text=True,
                          check=False, timeout=120)
    assert done.returncode == 0 and re.search(ALL_IS_WELL, done.stdout) and done.stderr == "", done
