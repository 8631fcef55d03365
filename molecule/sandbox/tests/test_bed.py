# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bed is real: without these facts, tests of timers, sandboxes and holders would pass and prove nothing."""

from __future__ import annotations

import pytest

UNIT = "systemd-run --quiet --wait --collect --pipe"


def test_the_host_is_a_booted_systemd(host):
    assert host.check_output("cat /proc/1/comm") == "systemd"
    assert host.check_output("systemctl is-system-running") == "running"


@pytest.mark.parametrize("service", ["cron", "ssh", "dbus", "systemd-journald"])
def test_services_of_an_ordinary_server_run(host, service):
    assert host.service(service).is_running


def test_the_connection_is_of_an_ordinary_user_with_sudo(host):
    assert host.check_output("printenv SUDO_USER") == "admin"


def test_a_strict_unit_writes_neither_etc_nor_usr(host):
    for directory in ("/etc", "/usr/local/bin", "/var/lib"):
        probe = f"{directory}/sandbox-probe"
        refused = host.run(f"{UNIT} -p ProtectSystem=strict touch {probe}")
        assert refused.rc != 0
        assert "Read-only file system" in refused.stderr
        assert not host.file(probe).exists


def test_a_strict_unit_writes_where_it_may(host):
    host.check_output("mkdir /var/lib/sandbox-allowed")
    allowed = "-p ProtectSystem=strict -p ReadWritePaths=/var/lib/sandbox-allowed"
    host.check_output(f"{UNIT} {allowed} touch /var/lib/sandbox-allowed/probe")
    assert host.file("/var/lib/sandbox-allowed/probe").exists
    host.check_output("rm -r /var/lib/sandbox-allowed")


def test_a_unit_without_network_has_only_the_loopback(host):
    links = host.check_output(f"{UNIT} -p PrivateNetwork=true ip -brief link")
    assert [line.split()[0] for line in links.splitlines()] == ["lo"]
    assert len(host.check_output("ip -brief link").splitlines()) > 1


def test_root_sees_the_open_files_of_another_users_process(host):
    pid = host.check_output("systemctl show --property=MainPID --value sandbox-holder.service")
    assert host.check_output(f"ps -o user= -p {pid}") == "sandbox"
    assert host.check_output(f"readlink /proc/{pid}/fd/9") == "/var/lib/sandbox-holder/held"


def test_a_package_came_from_the_hosts_own_sources(host):
    assert host.package("python3-cryptography").is_installed
    host.check_output("/usr/bin/python3 -c 'import cryptography'")
