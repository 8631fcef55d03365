# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Boots Debian hosts for tests: systemd as PID 1, cron, sshd, a sandbox that is real. Also their Ansible inventory.

    bed up HOST...        boot what is not running        bed renew HOST...   boot anew, bare
    bed down [HOST...]    remove (default: all)           bed exec HOST COMMAND...
    bed status            what runs                       bed missing         what this machine lacks
    bed --list            the inventory

A host's name is its suite and its use, and both are groups: ``trixie-shared`` is in ``trixie`` and in ``shared``.
A checkout's hosts are its own; TESTBED=name in the environment gives a second set of them beside the first.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import images
from machine import BedError, Podman, missing, raise_inotify_limit

ROOT = Path(__file__).resolve().parent.parent
NAME = re.compile(rf"^({'|'.join(images.SUITES)})-[a-z][a-z0-9_]*$")
CAPABILITIES = "SYS_ADMIN,NET_ADMIN,SYS_PTRACE"
LABEL = "feedforward.testbed"
BOOT_SECONDS = 90.0


class Bed:
    """The hosts of one checkout (and one TESTBED name)."""

    def __init__(self, bed_name: str) -> None:
        self.state = ROOT / ".build" / "testbed" / bed_name
        self.state.mkdir(parents=True, exist_ok=True)
        self.prefix = "ffm-" + hashlib.sha256(str(self.state).encode()).hexdigest()[:8]
        self.podman = Podman(self.state)
        self.key = self.state / "id_ed25519"
        self.known_hosts = self.state / "known_hosts"

    def container(self, host: str) -> str:
        """The container's name of a host."""
        return f"{self.prefix}-{host}"

    def running(self) -> dict[str, dict[str, str]]:
        """Hosts that run, each with ``id``, ``address`` and ``image``."""
        names = self.podman.output(
            "ps", "--filter", f"label={LABEL}={self.state}", "--format", "{{.Names}}"
        ).splitlines()
        hosts = {}
        for name in sorted(names):
            described = json.loads(self.podman.output("inspect", name))[0]
            network = described["NetworkSettings"]
            addresses = [network["IPAddress"], *(n["IPAddress"] for n in (network["Networks"] or {}).values())]
            hosts[name.removeprefix(f"{self.prefix}-")] = {
                "id": described["Id"][:12],
                "address": next(address for address in addresses if address),
                "image": described["ImageName"],
            }
        return hosts

    def up(self, hosts: Sequence[str], *, anew: bool = False) -> list[str]:
        """Boot the hosts that do not run (all of them when ``anew``); returns those that were booted."""
        for host in hosts:
            if not NAME.match(host):
                raise BedError(f"{host}: a host's name is a suite ({', '.join(images.SUITES)}), a dash, and its use")
        lacks = missing()
        if lacks:
            raise BedError("; ".join(lacks))
        with (self.state / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._sweep()
            raise_inotify_limit()
            self._make_key()
            present = self.running()
            wanted = [host for host in dict.fromkeys(hosts) if anew or host not in present]
            built = {suite: images.ensure(self.podman, suite) for suite in sorted({_suite(host) for host in wanted})}
            for host in wanted:
                self._start(host, built[_suite(host)])
            deadline = time.monotonic() + BOOT_SECONDS
            for host in wanted:
                self._await(host, deadline)
            self._write_known_hosts()
        return wanted

    def down(self, hosts: Sequence[str] = ()) -> None:
        """Remove hosts and all that is on them: those named, or all of this bed."""
        names = [self.container(host) for host in hosts] or self.podman.output(
            "ps", "--all", "--filter", f"label={LABEL}={self.state}", "--format", "{{.Names}}"
        ).splitlines()
        if names:
            self.podman.run(["rm", "--force", "--ignore", "--time", "0", "--volumes", *names])

    def inventory(self) -> dict[str, object]:
        """The inventory in the form that Ansible's script plugin reads."""
        variables = {}
        groups: dict[str, dict[str, list[str]]] = {suite: {"hosts": []} for suite in images.SUITES}
        for host, facts in self.running().items():
            suite, use = host.split("-", 1)
            groups[suite]["hosts"].append(host)
            groups.setdefault(use, {"hosts": []})["hosts"].append(host)
            variables[host] = {
                "ansible_host": facts["address"],
                "ansible_user": images.ACCOUNT,
                "ansible_ssh_private_key_file": str(self.key),
                "ansible_ssh_common_args": f"-o UserKnownHostsFile={self.known_hosts} -o StrictHostKeyChecking=yes",
                # Addresses are used again: a control socket must not outlive its container.
                "ansible_control_path": f"%(directory)s/{facts['id']}-%%r",
                "ansible_python_interpreter": "/usr/bin/python3",
                "testbed_container": self.container(host),
                "testbed_suite": suite,
            }
        return {"_meta": {"hostvars": variables}, "testbed": {"children": list(groups)}, **groups}

    def _start(self, host: str, image: str) -> None:
        self.down([host])
        self.podman.run(
            [
                "run",
                "--detach",
                f"--name={self.container(host)}",
                f"--hostname={host}",
                f"--label={LABEL}={self.state}",
                "--systemd=always",
                f"--cap-add={CAPABILITIES}",
                "--stop-signal=RTMIN+3",
                image,
                "/sbin/init",
            ]
        )

    def _await(self, host: str, deadline: float) -> None:
        """Wait until a host runs, prove its sandbox, and let the key in; BedError with the reason otherwise."""
        name = self.container(host)
        state = "starting"
        while state not in ("running", "degraded"):
            if time.monotonic() > deadline:
                raise BedError(f"{host} did not boot in {BOOT_SECONDS:.0f} s (systemd says {state}): {self._log(name)}")
            state = self.podman.inside(name, "systemctl", "is-system-running", "--wait", check=False).stdout.strip()
        if state != "running":
            failed = self.podman.inside(name, "systemctl", "--failed", "--no-legend", "--plain", check=False).stdout
            raise BedError(f"{host} is {state}, and a degraded host proves nothing. Failed: {failed.strip()}")
        self._prove_sandbox(host, name)
        key = self.key.with_suffix(".pub").read_text(encoding="ascii")
        home = f"/home/{images.ACCOUNT}/.ssh"
        script = f'printf %s "$1" >{home}/authorized_keys && chown {images.ACCOUNT}: {home}/authorized_keys'
        self.podman.inside(name, "sh", "-c", script, "sh", key)
        self._await_ssh(host, deadline)

    def _prove_sandbox(self, host: str, name: str) -> None:
        """Without SYS_ADMIN systemd leaves a unit's sandbox out silently, and tests of it would prove nothing."""
        probe = "/etc/testbed-sandbox-probe"
        strict = ["systemd-run", "--quiet", "--wait", "--collect", "-p", "ProtectSystem=strict", "touch", probe]
        refused = self.podman.inside(name, *strict, check=False).returncode != 0
        written = self.podman.inside(name, "test", "-e", probe, check=False).returncode == 0
        if written or not refused:
            raise BedError(f"{host}: a unit with ProtectSystem=strict could write {probe}: sandboxes are not real here")

    def _await_ssh(self, host: str, deadline: float) -> None:
        address = self.running()[host]["address"]
        while True:
            try:
                with socket.create_connection((address, 22), timeout=2.0) as connection:
                    if connection.recv(4) == b"SSH-":
                        return
            except OSError as error:
                reason = str(error)
            else:
                reason = "no SSH greeting"
            if time.monotonic() > deadline:
                raise BedError(f"{host} ({address}) does not answer on port 22: {reason}")
            time.sleep(0.1)

    def _log(self, name: str) -> str:
        done = self.podman.inside(name, "journalctl", "--boot", "--lines=20", "--no-pager", check=False)
        return done.stdout.strip() or done.stderr.strip()

    def _make_key(self) -> None:
        if not self.key.exists():
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "testbed", "-f", str(self.key)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)

    def _write_known_hosts(self) -> None:
        lines = []
        for host, facts in self.running().items():
            public = self.podman.inside(self.container(host), "sh", "-c", "cat /etc/ssh/ssh_host_*_key.pub").stdout
            lines += [f"{facts['address']} {' '.join(key.split()[:2])}\n" for key in public.splitlines()]
        self.known_hosts.write_text("".join(lines), encoding="ascii")

    def _sweep(self) -> None:
        """Remove hosts whose checkout is gone, as a killed run in a throwaway clone leaves them."""
        template = f'{{{{.Names}}}} {{{{index .Labels "{LABEL}"}}}}'
        listing = self.podman.output("ps", "--all", "--filter", f"label={LABEL}", "--format", template)
        for line in listing.splitlines():
            name, state = line.split(" ", 1)
            if state and not Path(state).is_dir():
                self.podman.run(["rm", "--force", "--ignore", "--time", "0", "--volumes", name])


def _suite(host: str) -> str:
    return host.split("-", 1)[0]


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit status."""
    command, *rest = arguments or ["--help"]
    if command in ("--help", "-h", "help"):
        print(__doc__)
        return 0
    if command == "missing":
        lacks = missing()
        print("\n".join(lacks))
        return 1 if lacks else 0
    bed = Bed(os.environ.get("TESTBED", "main"))
    if command in ("up", "renew") and rest:
        print("\n".join(f"booted {host}" for host in bed.up(rest, anew=command == "renew")))
    elif command == "down":
        bed.down(rest)
    elif command == "exec" and len(rest) > 1:
        call = ["podman", "exec", bed.container(rest[0]), *rest[1:]]
        return subprocess.run(call, check=False, env=bed.podman.environment).returncode
    elif command == "status":
        for host, facts in bed.running().items():
            print(f"{host:24} {facts['address']:16} {facts['image']}")
    elif command == "--list":
        print(json.dumps(bed.inventory(), indent=2))
    else:
        raise BedError(f"unknown command {' '.join(arguments)}: see bed --help")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BedError as error:
        sys.exit(f"testbed/bed: {error}")
