# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What passes its limit is told, reminded of, and told to be over: everything at once, in one message each time."""

from __future__ import annotations

from monitored import CONFIRM_RUNS, mail, run_monitor, settled, subjects, text
from support import until

DATABASE = "/opt/feedforward/data/feedforward.db"
LOOK = "/etc/feedforward-maintenance/monitoring.json"
ALERTS = "/var/lib/feedforward-monitor/state/alerts.json"
ACCESS_LOG = "/var/log/test-access.log"
# What a host is like at any time is over these.
LIMITS = {
    "cpu_warning_percent": 0.001, "memory_critical_percent": 0.001, "disk_warning_percent": 0.001,
    "database_critical_bytes": 1, "query_target_ms": 1e-6, "wal_warning_bytes": 1, "key_escrowed": False,
    "access_log": ACCESS_LOG,
}  # fmt: skip
TOLD = ("CPU", "Memory", "Storage", "Database, size", "Database, query", "Database, write-ahead log", "Backup key",
        "Errors of requests", "AI usage", "Work in flight", "Database, write lock")  # fmt: skip
# Five answers of six are errors, a second ago.
REQUESTS = f"""python3 - <<'END'
import datetime
moment = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=1)
with open("{ACCESS_LOG}", "w") as log:
    for status in (200, 500, 502, 503, 504, 500):
        log.write(f'10.0.0.1 - - [{{moment:%d/%b/%Y:%H:%M:%S %z}}] "GET / HTTP/1.1" {{status}} 12 "-" "-"\\n')
END"""
# As the application does it, and with the patience of a person at a shell.
ROWS = f"""runuser --user=feedforward -- python3 - <<'END'
import datetime, sqlite3
now = datetime.datetime.now()
with sqlite3.connect("{DATABASE}", timeout=30) as database:
    for number in range(3000):
        database.execute("INSERT INTO model_runs VALUES (NULL, 1, 1, 777, ?, '', '', 'error', '', 1)",
                         (now.isoformat(sep=" "),))
    database.execute("INSERT INTO drafts VALUES (NULL, 777, '', 1, '', 1, ?, 1, 'processing', NULL, 0)",
                     ((now - datetime.timedelta(hours=3)).isoformat(sep=" "),))
END"""
ROWS_GONE = f"""runuser --user=feedforward -- python3 - <<'END'
import sqlite3
with sqlite3.connect("{DATABASE}", timeout=30) as database:
    database.execute("DELETE FROM model_runs WHERE run_number = 777")
    database.execute("DELETE FROM drafts WHERE assignment_id = 777")
END"""
HOLDER = f"""systemd-run --quiet --unit=test-holder --uid=feedforward python3 -c '
import sqlite3, time
database = sqlite3.connect("{DATABASE}", timeout=30, isolation_level=None)
database.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(600)'"""


def changed(path, statement):
    """A command that changes the JSON in a file, whose content is called ``it``."""
    return (f"python3 -c 'import json, datetime; it = json.load(open(\"{path}\")); {statement}; "
            f"json.dump(it, open(\"{path}\", \"w\"))'")  # fmt: skip


def test_limits_a_reminder_and_the_end_of_it(host):
    settled(host)
    host.check_output(f"cp -a {LOOK} /run/look.json")
    host.check_output(REQUESTS)
    host.check_output(ROWS)
    host.check_output(HOLDER)
    try:
        until(lambda: "held" in host.check_output("journalctl --unit=test-holder --output=cat"), 60, "the lock")
        host.check_output(changed(LOOK, f"it[\"health\"].update({LIMITS!r})".replace("'", '"')))
        run_monitor(host, CONFIRM_RUNS)
        alerts = mail(host)
        run_monitor(host)
        between = subjects(host)
        # Half a day goes by.
        host.check_output(changed(ALERTS, "[one.update(reminded_at=\"2026-01-01T00:00:00Z\") for one in it["
                                          "\"conditions\"] if one[\"reminded_at\"]]"))
        run_monitor(host)
        reminders = mail(host)
        run_monitor(host)
        between += subjects(host)
    finally:
        host.check_output("systemctl stop test-holder")
        host.check_output(ROWS_GONE)
        host.check_output(f"cp -a /run/look.json {LOOK} && rm {ACCESS_LOG}")
    run_monitor(host, CONFIRM_RUNS)
    recoveries = mail(host)
    run_monitor(host)
    assert (len(alerts), len(reminders), len(recoveries)) == (1, 1, 1)
    told = text(alerts[0])
    assert [title for title in TOLD if f": {title}" not in told] == [], told
    for words in ("5 of 6 requests", "more than 1 B", "more than 20 %", "1 wait for too long, the oldest for 3 h"):
        assert words in told, (words, told)
    assert [title for title in TOLD if f"{title}" not in text(reminders[0])] == []
    assert "REMINDER" in text(reminders[0])
    over = text(recoveries[0])
    # The log of the proxy is not configured any more.
    assert over.count("RECOVERED: ") >= len(TOLD) - 1 and "GONE: Errors of requests" in over, over
    assert between == subjects(host) == []
