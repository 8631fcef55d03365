# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a ``site.yml`` that finds nothing to do costs on 1, 4 and 16 booted hosts: ``make bench-fleet``, as root.

It is timed beside two playbooks that are generated: as many bare ``ping`` as it sends modules, and, on one host, the
very modules that it sends, with the same arguments in the same order. All are run in turn, so that what else the
machine does weighs on each alike. A figure is the median of the rounds; the last line of the output is all as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .targets import Verdict

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "testbed"))

from bed import Bed
from machine import INOTIFY, BedError

BED = "bench"
WORK = ROOT / ".build" / "bench" / "fleet"
VERDICTS = WORK.with_name("fleet.json")
PLAYBOOK = "feedforward.maintenance.site"
# Each systemd takes a handful; with the kernel's default of 128 some of 16 hosts come up degraded.
INOTIFY_INSTANCES_A_HOST = 32
MOST_EXECUTIONS = 40
MOST_OVER_BARE = 1.3
MOST_GROWTH_OVER_PING = 1.2


@dataclass(frozen=True)
class Run:
    """One playbook run on some hosts: its seconds, and the recap's counts by host."""

    seconds: float
    recap: dict[str, dict[str, int]]


class Fleet:
    """The booted hosts, and Ansible with the shipped settings."""

    def __init__(self, hosts: Sequence[str], forks: int) -> None:
        self.hosts = list(hosts)
        self.forks = forks
        self.bed = Bed(BED)

    def boot(self) -> None:
        """Boot what does not run, and demand that every host is well: a degraded one is not measured."""
        self.bed.up(self.hosts)
        instances = int(INOTIFY.read_text(encoding="ascii"))
        wanted = INOTIFY_INSTANCES_A_HOST * len(self.hosts)
        if instances < wanted:
            sysctl = "fs.inotify.max_user_instances"
            raise BedError(f"{sysctl} is {instances}, too few for {len(self.hosts)} hosts: sysctl {sysctl}={wanted}")
        self.demand_health()

    def demand_health(self) -> None:
        """Raise BedError for a host that is not ``running``, which also means: not degraded."""
        for host in self.hosts:
            done = self.bed.podman.inside(self.bed.container(host), "systemctl", "is-system-running", check=False)
            if done.stdout.strip() != "running":
                raise BedError(f"{host} is {done.stdout.strip() or 'not there'}: a figure of it would mean nothing")

    def stop_application(self) -> None:
        """It would write on the few cores that are measured."""
        for host in self.hosts:
            self.bed.podman.inside(self.bed.container(host), "systemctl", "disable", "--now", "feedforward.service")

    def play(self, playbook: str, hosts: Sequence[str], *, noted: Path | None = None) -> Run:
        """Run a playbook on some of the hosts; SystemExit with its output when it fails."""
        command = [str(Path(sys.executable).with_name("ansible-playbook")), f"--inventory={ROOT / 'testbed' / 'bed'}",
                   f"--limit={','.join(hosts)}", f"--forks={self.forks}", playbook, "-e",
                   json.dumps({"maintenance_hosts": "testbed", "application_hosts": "testbed",
                               "backup_escrow_directory": str(WORK / "escrow")})]  # fmt: skip
        environment = {
            **os.environ,
            "TESTBED": BED,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build" / "collections"),
            "ANSIBLE_HOME": str(ROOT / ".build" / "ansible"),
            "ANSIBLE_VAULT_PASSWORD_FILE": str(ROOT / "molecule" / "resources" / "vault_password"),
            "ANSIBLE_NOCOLOR": "1",
        }
        if noted:
            environment |= {
                "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "molecule" / "resources" / "callbacks"),
                "ANSIBLE_CALLBACKS_ENABLED": "module_executions",
                "MODULE_EXECUTIONS": str(noted),
            }
        began = time.monotonic()
        done = subprocess.run(command, cwd=WORK, env=environment, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - began
        if done.returncode:
            raise SystemExit(f"{playbook} failed:\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}")
        return Run(seconds, recap(done.stdout))

    def executions(self, host: str) -> list[dict[str, Any]]:
        """What a run of site.yml sends to a host; SystemExit when it changes something."""
        noted = WORK / "executions"
        noted.unlink(missing_ok=True)
        run = self.play(PLAYBOOK, [host], noted=noted)
        if run.recap[host]["changed"]:
            raise SystemExit(f"{PLAYBOOK} changes {host} again and again: that is not what is measured here")
        return [json.loads(line) for line in noted.read_text(encoding="utf-8").splitlines()]


def recap(output: str) -> dict[str, dict[str, int]]:
    """The counts at the end of a run: host -> ok, changed and so on."""
    lines = output.partition("PLAY RECAP")[2].splitlines()[1:]
    return {line.split()[0]: {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", line)}
            for line in lines if "=" in line}  # fmt: skip


def write_playbook(name: str, tasks: Iterable[dict[str, Any]]) -> str:
    """A playbook with these tasks in WORK; JSON is YAML. Returns its path."""
    play = {"name": name, "hosts": "testbed", "become": True, "gather_facts": False, "tasks": list(tasks)}
    path = WORK / f"{name}.yml"
    path.write_text(json.dumps([play], indent=1), encoding="utf-8")
    return str(path)


def bare_task(sent: dict[str, Any]) -> dict[str, Any]:
    """A task that is nothing but one module that was sent. SystemExit where it cannot be one."""
    arguments = sent["arguments"]
    if arguments is None or "{{" in json.dumps(arguments) or "{%" in json.dumps(arguments):
        raise SystemExit(f"{sent['task']}: its arguments are hidden or hold Jinja, and cannot be sent bare")
    given = {name: value for name, value in arguments.items() if not name.startswith("_") and value is not None}
    return {"name": sent["task"], sent["module"]: given}


def measure(fleet: Fleet, sizes: Sequence[int], rounds: int) -> dict[str, Any]:
    """The medians and what follows from them, as it is printed."""
    sent = fleet.executions(fleet.hosts[0])
    playbooks = {
        "site": PLAYBOOK,
        "ping": write_playbook("ping", [{"name": f"Ping {n}", "ansible.builtin.ping": {}} for n in range(len(sent))]),
        "bare": write_playbook("bare", [bare_task(module) for module in sent]),
    }
    seconds: dict[int, dict[str, list[float]]] = {size: {} for size in sizes}
    fleet.play(playbooks["ping"], fleet.hosts)
    for _round in range(rounds):
        for size in sizes:
            hosts = fleet.hosts[:size]
            for name, playbook in playbooks.items():
                if name != "bare" or size == 1:
                    run = fleet.play(playbook, hosts)
                    if name == "site" and any(run.recap[host]["changed"] for host in hosts):
                        raise SystemExit("A run of site.yml changed something: that is not what is measured here")
                    seconds[size].setdefault(name, []).append(run.seconds)
    fleet.demand_health()
    medians = {size: {name: statistics.median(times) for name, times in runs.items()} for size, runs in seconds.items()}
    return {"forks": fleet.forks, "cores": os.cpu_count(), "rounds": rounds, "executions": len(sent),
            "not_stock": sorted({module["module"] for module in sent if module["module"].count(".") > 1
                                 and not module["module"].startswith("ansible.")}),
            "seconds": {size: {name: [round(time_, 2) for time_ in times] for name, times in runs.items()}
                        for size, runs in seconds.items()},
            "medians": medians, **ratios(medians)}  # fmt: skip


def ratios(medians: dict[int, dict[str, float]]) -> dict[str, float]:
    """Over the bare modules on one host, and the growth to the largest number of hosts over that of ping."""
    first, last = min(medians), max(medians)
    site = medians[last]["site"] / medians[first]["site"]
    ping = medians[last]["ping"] / medians[first]["ping"]
    return {"over_bare": medians[first]["site"] / medians[first]["bare"], "growth_site": site, "growth_ping": ping,
            "growth_over_ping": site / ping}  # fmt: skip


def verdicts(result: dict[str, Any]) -> list[Verdict]:
    """What ``make bench`` puts on its page."""
    last = max(result["medians"])
    judged = [Verdict("a no-change site.yml: modules sent to a host", MOST_EXECUTIONS, result["executions"], "modules"),
              Verdict("a no-change site.yml on one host: time against the same modules bare", MOST_OVER_BARE,
                      result["over_bare"])]  # fmt: skip
    if last > 1:
        judged.append(Verdict(f"a no-change site.yml from one host to {last}: growth of its time against that of as "
                              "many pings", MOST_GROWTH_OVER_PING, result["growth_over_ping"]))  # fmt: skip
    return judged


def table(result: dict[str, Any]) -> str:
    """The result for people."""
    lines = [f"{result['executions']} modules a host; {result['forks']} forks on {result['cores']} cores; "
             f"medians of {result['rounds']} rounds, in seconds", "",
             "hosts   site.yml   as many pings   the same modules bare"]  # fmt: skip
    for size, runs in result["medians"].items():
        bare = f"{runs['bare']:24.1f}" if "bare" in runs else ""
        lines.append(f"{size:5}{runs['site']:11.1f}{runs['ping']:16.1f}{bare}".rstrip())
    lines += ["", *(one.line() for one in verdicts(result))]
    lines.append(f"growth: site.yml {result['growth_site']:.1f} x, ping {result['growth_ping']:.1f} x")
    if result["not_stock"]:
        lines.append(f"bare as well, though not of ansible-core: {', '.join(result['not_stock'])}")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Boot, prepare, measure, print, remove."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="1,4,16", help="numbers of hosts, the first of them 1")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--forks", type=int, default=16)
    parser.add_argument("--suite", default="trixie")
    parser.add_argument("--keep", action="store_true", help="leave the hosts for the next time")
    options = parser.parse_args(arguments)
    if os.geteuid():
        parser.error("the hosts of the test bed need root")
    sizes = sorted({int(size) for size in options.sizes.split(",")})
    if sizes[0] != 1:
        parser.error("the growth is counted from one host: --sizes begins with 1")
    WORK.mkdir(parents=True, exist_ok=True)
    fleet = Fleet([f"{options.suite}-fleet{number:02}" for number in range(1, sizes[-1] + 1)], options.forks)
    try:
        fleet.boot()
        fleet.play(str(ROOT / "molecule" / "resources" / "application.yml"), fleet.hosts)
        fleet.stop_application()
        fleet.play(PLAYBOOK, fleet.hosts)
        fleet.demand_health()
        result = measure(fleet, sizes, options.rounds)
    finally:
        if not options.keep:
            fleet.bed.down()
    print(table(result))
    document = {**result, "verdicts": [asdict(one) for one in verdicts(result)]}
    VERDICTS.write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(json.dumps(document))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BedError as error:
        sys.exit(f"benchmarks/fleet.py: {error}")
