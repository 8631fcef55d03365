# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each thing that goes wrong is told once, and once that it is over; what is well is not told."""

from __future__ import annotations

import pytest
from monitored import CONFIRM_RUNS, DEMO, MAIL, mail, run_monitor, settled, subjects, summary, text, told_once
from support import start_unit, until, writes_again

DATABASE = "/opt/feedforward/data/feedforward.db"
STATUS = "/backups/feedforward/feedforward-database.status.json"
# The last success of the database's backup, 26 hours ago.
AGED = f"""python3 - <<'END'
import datetime, json
path = "{STATUS}"
record = json.load(open(path))
for field in ("current_as_of", "last_success_at", "last_attempt_at"):
    then = datetime.datetime.strptime(record[field], "%Y-%m-%dT%H:%M:%SZ") - datetime.timedelta(hours=26)
    record[field] = then.strftime("%Y-%m-%dT%H:%M:%SZ")
json.dump(record, open(path, "w"))
END"""


@pytest.fixture(scope="module", autouse=True)
def _backed_up(host):
    """Before the first alert there is a backup of each kind, and it was verified."""
    for job in ("backup-database", "backup-config", "backup-logs", "backup-full"):
        start_unit(host, f"feedforward-{job}.service")
    writes_again(host)


def test_nothing_is_told_of_a_host_that_is_well(host):
    settled(host)
    run_monitor(host, 2)
    bad = {check: found["text"] for check, found in summary(host)["checks"].items() if found["state"] != "OK"}
    assert not bad, bad
    assert subjects(host) == []


def mode(word):
    """The commands that make the page misbehave, and behave."""
    return f"echo {word} >{DEMO}/mode", f"echo well >{DEMO}/mode"


@pytest.mark.parametrize(
    ("broken", "mended", "words", "over"),
    [
        pytest.param("systemctl stop feedforward.service", "systemctl start feedforward.service && sleep 2",
                     "it is inactive", "RECOVERED", id="the service is stopped"),
        pytest.param(*mode("error"), "it answers 500", "RECOVERED", id="a page answers 500"),
        pytest.param(*mode("redirect"), "it answers 303", "RECOVERED", id="a page redirects to one that answers 200"),
        pytest.param(*mode("hang"), "no answer within", "RECOVERED", id="a page hangs"),
        pytest.param(*mode("slow"), "more than 500 ms", "RECOVERED", id="a page is slow"),
        pytest.param(*mode("other"), "without the text", "RECOVERED", id="a page shows something else"),
        pytest.param(f"mv {DATABASE} {DATABASE}.away", f"mv {DATABASE}.away {DATABASE}", f"{DATABASE}",
                     "RECOVERED", id="the database is moved away while pages answer"),
        pytest.param(f"cp {STATUS} /run/status && {AGED}", f"cp /run/status {STATUS}", "more than 25 hours",
                     "RECOVERED", id="a backup is missing"),
        pytest.param(f"cp {DEMO}/short.pem {DEMO}/current.pem && cp {DEMO}/short.key {DEMO}/current.key && "
                     "systemctl restart test-pages",
                     f"cp {DEMO}/long.pem {DEMO}/current.pem && cp {DEMO}/long.key {DEMO}/current.key && "
                     "systemctl restart test-pages", "Certificate", "RECOVERED", id="a certificate ends soon"),
        pytest.param("mkdir -p /run/systemd/system/feedforward-verify.service.d && printf '[Service]\\nExecStart=\\n"
                     "ExecStart=/bin/false\\n' >/run/systemd/system/feedforward-verify.service.d/fail.conf && "
                     "systemctl daemon-reload && ! systemctl start feedforward-verify.service",
                     "rm -r /run/systemd/system/feedforward-verify.service.d && systemctl daemon-reload && "
                     "systemctl start feedforward-verify.service", "feedforward-verify",
                     "RECOVERED", id="a job of ours fails"),
        pytest.param("systemctl stop feedforward-backup-database.timer",
                     "systemctl start feedforward-backup-database.timer", "feedforward-backup-database.timer",
                     "RECOVERED", id="a timer is stopped"),
        pytest.param("cp -a /backups/feedforward /run/kept && mount -t tmpfs -o size=40m tmpfs /backups/feedforward && "
                     "chmod 700 /backups/feedforward && cp -a /run/kept/. /backups/feedforward/ && "
                     "{ head -c 60m /dev/zero >/backups/feedforward/filler || :; }",
                     "umount /backups/feedforward && rm -rf /run/kept", "Storage of /backups/feedforward", "GONE",
                     id="a disk is full"),
    ],
)  # fmt: skip
def test_one_alert_and_one_recovery(host, broken, mended, words, over):
    alert = told_once(host, broken, mended, words, over)
    assert alert["To"] == "admin@example.org, night@example.org"
    assert alert["From"] == "feedforward@example.org"
    assert alert.get_content_type() == "multipart/alternative"


def test_mail_waits_until_the_server_is_there_again(host):
    settled(host)
    host.check_output("systemctl stop test-smtp.service")
    host.check_output(mode("error")[0])
    run_monitor(host, 6)
    assert host.check_output(f"ls {MAIL}") == ""
    host.check_output(mode("error")[1])
    run_monitor(host, CONFIRM_RUNS)
    host.check_output("systemctl start test-smtp.service")
    until(lambda: host.socket("tcp://127.0.0.1:5587").is_listening, 30, "the mail server")
    run_monitor(host)
    arrived = mail(host)
    assert sum("it answers 500" in text(message) for message in arrived) >= 1, [text(message) for message in arrived]
    run_monitor(host, CONFIRM_RUNS)
    mail(host)
    run_monitor(host)
    assert subjects(host) == []


def test_a_burst_is_one_message(host):
    settled(host)
    host.check_output(f"systemctl stop feedforward.service; {mode('error')[0]}")
    try:
        run_monitor(host, CONFIRM_RUNS)
        arrived = mail(host)
    finally:
        host.check_output(f"systemctl start feedforward.service; {mode('error')[1]}; sleep 2")
    assert len(arrived) == 1, [str(message["Subject"]) for message in arrived]
    assert "Service feedforward.service" in text(arrived[0]) and "it answers 500" in text(arrived[0])
    settled(host)


def test_a_silence_keeps_still_and_is_told_when_it_is_forgotten(host):
    settled(host)
    host.check_output("feedforward-maintenance alert silence --for 1h --reason 'an upgrade'")
    host.check_output(mode("error")[0])
    try:
        run_monitor(host, CONFIRM_RUNS + 1)
        assert subjects(host) == []
        host.check_output("feedforward-maintenance alert end \"$(feedforward-maintenance alert list --json "
                          "| python3 -c 'import json, sys; print(json.load(sys.stdin)[\"silences\"][0][\"id\"])')\"")
        run_monitor(host)
        arrived = subjects(host)
        assert len(arrived) == 1 and "it answers 500" in arrived[0], arrived
    finally:
        host.check_output(mode("error")[1])
    settled(host)


def test_each_way_is_proven_by_a_test_message(host):
    mail(host)
    done = host.run("feedforward-maintenance alert test")
    assert done.rc == 0 and "mail: sent" in done.stdout, done.stdout + done.stderr
    assert len(mail(host)) == 1


def test_what_root_sees_is_unknown_when_nobody_looked(host):
    settled(host)
    drop_in = "/run/systemd/system/feedforward-monitor-look.service.d"
    host.check_output(f"mkdir -p {drop_in} && printf '[Unit]\\nConditionPathExists=/nowhere\\n' >{drop_in}/off.conf "
                      "&& systemctl daemon-reload && rm /var/lib/feedforward-monitor/look/look.json")
    try:
        run_monitor(host, CONFIRM_RUNS)
        arrived = subjects(host)
    finally:
        host.check_output(f"rm -r {drop_in} && systemctl daemon-reload")
    assert len(arrived) == 1 and "What root sees" in arrived[0], arrived
    settled(host)
