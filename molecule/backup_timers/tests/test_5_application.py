# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup by the sandboxed unit leaves the application as it was: running, writing, and able to open its database."""

from __future__ import annotations

from support import HOME, application, archives, ask, properties, start_unit, writes_again

SERVICE = "feedforward-backup-database.service"


def sidecar_owners(host):
    listing = host.check_output(f"find {HOME}/data -name 'feedforward.db*' -printf '%f %u:%g %m\\n'").splitlines()
    return {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in listing}


def test_a_backup_of_a_writing_application_refuses_it_nothing(host):
    writes_again(host)
    before = archives(host, "database")
    start_unit(host, SERVICE)
    assert len(archives(host, "database")) == len(before) + 1
    state = host.check_output(f"cat {HOME}/data/writer.json")
    assert '"failed": 0' in state, state
    assert set(sidecar_owners(host).values()) == {"feedforward:feedforward 600"}


def test_an_idle_database_stays_openable(host):
    pid = properties(host, "feedforward", "MainPID")
    host.check_output("systemctl stop feedforward")
    assert set(sidecar_owners(host)) == {"feedforward.db"}, "an application that ended well leaves no -wal"
    start_unit(host, SERVICE)
    newest = archives(host, "database")[-1]
    # Where the backup leaves sidecars, they are the application's.
    assert set(sidecar_owners(host).values()) == {"feedforward:feedforward 600"}
    content = application(host, "check")
    host.check_output("systemctl start feedforward")
    writes_again(host)
    assert properties(host, "feedforward", "MainPID") != pid
    assert application(host, "check")["problems"] == []
    (verdict,) = ask(host, f"verify {newest} --level restore")["archives"]
    assert verdict["verdict"] == "passed"
    (database,) = verdict["databases"]
    assert sum(database["rows"].values()) == content["rows_total"]


def test_nothing_new_is_no_new_archive(host):
    host.check_output("systemctl stop feedforward")
    start_unit(host, SERVICE)
    before = archives(host, "database")
    start_unit(host, SERVICE)
    assert archives(host, "database") == before
    host.check_output("systemctl start feedforward")
    writes_again(host)
