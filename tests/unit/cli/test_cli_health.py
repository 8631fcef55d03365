# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``health`` at the terminal: lines as the guide shows them, and the exit codes of the Monitoring Plugins."""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Host

# Of a busy or small machine, so that what is looked at here is what the test makes.
ANY_MACHINE = {"disk_free_bytes": 1, "disk_warning_percent": 100, "memory_critical_percent": 100, "cpu_seconds": 0.05,
               "cpu_warning_percent": 101, "query_target_ms": 10_000}


def test_a_host_that_is_well(host: Host) -> None:
    host.configure(max_age_hours={"database": 25}, health=ANY_MACHINE)
    host.backup()
    done = host.run("health")
    assert (done.code, done.err) == (0, ""), done
    lines = done.out.splitlines()
    patterns = [r"✓ Database: Connected \([\d.]+ kB\)", r"✓ Database, query: [\d.]+ ms",
                r"✓ Database, write-ahead log: [\d.]+ k?B", r"✓ Storage(.*): [\d.]+ .B free \(\d+%\)",
                r"✓ Memory: [\d.]+ .B used \(\d+%\)", r"✓ CPU: \d+% average load",
                r"✓ Backup: database: current as of .*, verified .*"]
    assert all(any(re.fullmatch(pattern, line) for line in lines) for pattern in patterns), done.out
    assert all(line.startswith("✓ ") for line in lines)
    assert "size_bytes=" in host.run("health", "--verbose").out
    findings = {finding["check"]: finding for finding in host.run("health", "--json").json()["findings"]}
    figures = findings["backup database"]["figures"]
    assert 0 <= figures["age_seconds"] < 600 and 0 <= figures["verified_age_seconds"] < 600
    assert figures["size_bytes"] > 0 and (figures["failed"], figures["verification_failed"]) == (0, 0)
    assert findings[f"database {host.database}"]["counts"] == {"drafts": 0, "users": 3}
    assert findings[f"locks {host.database}"]["figures"] == {"busy_percent": 0}
    assert findings["memory"]["figures"]["total_bytes"] > findings["memory"]["figures"]["used_bytes"] > 0


def test_the_worst_stands_first_and_decides(host: Host) -> None:
    host.configure(max_age_hours={"database": 25}, health=ANY_MACHINE)
    host.backup()
    host.stop()
    host.database.unlink()
    done = host.run("health")
    assert done.code == 2 and done.out.startswith("HEALTH CRITICAL: feedforward: Database: "), done
    assert "✗ Database: " in done.out and "✓ Backup: " in done.out and not host.database.exists()
    document = host.run("health", "--json").json()
    assert (document["level"], document["state"]) == (2, "CRITICAL")
    assert [finding["state"] for finding in document["findings"] if finding["title"] == "Database"] == ["CRITICAL"]


def test_a_configuration_that_cannot_be_read_is_unknown(host: Host) -> None:
    host.configure(health={"attempts": 0})
    done = host.run("health")
    assert done.code == 3 and done.out.startswith("HEALTH UNKNOWN: ") and "attempts" in done.out, done
    assert host.bare("health", "--config", "/nowhere").code == 3


def test_nothing_is_written(host: Host) -> None:
    host.configure(health=ANY_MACHINE)
    with sqlite3.connect(host.database, timeout=0) as writer:
        writer.execute("BEGIN IMMEDIATE")
        before = sorted(path.name for path in host.root.rglob("*"))
        assert "✓ Database: Connected" in host.run("health").out
        assert sorted(path.name for path in host.root.rglob("*")) == before
    writer.close()
