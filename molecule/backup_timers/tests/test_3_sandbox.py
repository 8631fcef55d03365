# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs give way to the application and are shut in: asked of systemd, and tried from within."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest
from support import properties

DATABASE_JOBS = ("backup-database", "backup-full")
JOBS = (*DATABASE_JOBS, "backup-config", "backup-logs", "verify")
PROBE = Path(__file__).resolve().parent.parent / "probe.py"


@pytest.mark.parametrize("job", JOBS)
def test_exposure_is_below_three(host, job):
    judged = host.check_output(f"systemd-analyze security --no-pager feedforward-{job}.service")
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", judged)
    assert exposure is not None
    assert float(exposure[1]) < 3.0


@pytest.mark.parametrize("job", JOBS)
def test_it_gives_way(host, job):
    names = ("Nice", "CPUSchedulingPolicy", "CPUWeight", "IOSchedulingClass", "IOSchedulingPriority", "IOWeight")
    shown = properties(host, f"feedforward-{job}.service", *names)
    assert {name: shown[name] for name in ("Nice", "CPUWeight", "IOWeight", "IOSchedulingPriority")} == {
        "Nice": "10", "CPUWeight": "20", "IOWeight": "20", "IOSchedulingPriority": "7",
    }  # fmt: skip
    assert shown["CPUSchedulingPolicy"] in ("3", "batch")
    assert shown["IOSchedulingClass"] in ("2", "best-effort")


@pytest.mark.parametrize("job", JOBS)
def test_it_writes_nowhere_else_and_reaches_no_network(host, job):
    unit, drop_in = f"feedforward-{job}.service", f"/run/systemd/system/feedforward-{job}.service.d"
    address = host.check_output("hostname --all-ip-addresses").split()[0]
    assert host.socket("tcp://0.0.0.0:22").is_listening
    program = base64.b64encode(PROBE.read_bytes()).decode()
    # The program itself is handed over as a credential would be: below /run, which the unit may read.
    host.check_output(f"mkdir -p {drop_in} && echo {program} | base64 --decode >/run/sandbox-probe.py")
    lines = f"[Service]\\nExecStart=\\nExecStart=/usr/bin/python3 /run/sandbox-probe.py {address}\\n"
    host.check_output(f"printf '{lines}' >{drop_in}/probe.conf && systemctl daemon-reload")
    try:
        before = host.check_output("date +%s")
        host.check_output(f"systemctl start {unit}")
        # By the name that the stream itself has: of a process that is gone at once the journal cannot tell the unit.
        log = host.check_output(
            f"journalctl --sync && journalctl --output=cat --since=@{before} --identifier=feedforward-{job}")
    finally:
        host.check_output(f"rm -r {drop_in} /run/sandbox-probe.py && systemctl daemon-reload")
    outcome = json.loads(next(line for line in log.splitlines() if line.startswith("{")))

    writable = [path for path, result in outcome.items() if path.startswith("/") and result == "done"]
    data = ["/opt/feedforward/data"] if job in DATABASE_JOBS else []
    assert sorted(writable) == sorted([*data, "/backups/feedforward", "/tmp/sandbox-probe"])
    assert not host.file("/tmp/sandbox-probe").exists, "its /tmp is its own"
    assert outcome["seen of /root"] == []
    for path in ("/etc", "/usr/local/bin", "/var/lib", "/opt/feedforward", "/opt/feedforward/.env", "/secure"):
        # The job without CAP_DAC_OVERRIDE is refused by the owner's mode already.
        assert outcome[path] in (("EROFS", "EACCES") if job == "verify" else ("EROFS",)), path
    assert outcome["/dev/shm"] == outcome["/dev/mqueue"] == "EROFS"
    assert outcome["address"] == outcome["loopback"] == "EAFNOSUPPORT"
    assert outcome["chroot"] == "EPERM"
    assert outcome["setuid"] == ("done" if job in DATABASE_JOBS else "EPERM")
