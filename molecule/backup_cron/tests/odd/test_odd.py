# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Odd paths mean themselves to cron, systemd, shells, JSON and Jinja; and no key and no row is told on the way.

The application of vars/odd.yml is installed by cron, with a key that the role makes and escrows, and then by systemd,
with a key that a vaulted variable brings.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shlex
from pathlib import Path, PurePosixPath

import pytest
import yaml
from support import PROGRAM, ROOT, ansible, properties, start_unit, until

VARIABLES = ROOT / "molecule" / "backup_cron" / "vars" / "odd.yml"
COMMAND = "odd-maintenance"
HOOK = "/etc/odd-maintenance/on-failure.d/50-note"
NOTE = "/var/lib/odd-maintenance/noted"
TEXTS, SECRETS, PROCESSES, BEFORE = "/run/odd-texts", "/run/odd-secrets", "/run/odd-processes", "/run/odd-before"
LISTING = "find / /tmp -xdev | LC_ALL=C sort"
SECOND_KEY = base64.b64encode(secrets.token_bytes(32)).decode()
# Where the roles put what they install, and what a host's own services make at any time.
INSTALLED = re.compile(
    r"/(etc/(cron\.d|systemd/system(/timers\.target\.wants|/multi-user\.target\.wants)?)"
    r"|usr/local/(bin|libexec)|var/lib(/systemd/timers)?)/(stamp-)?odd[-.]|/etc/odd-(maintenance|monitor)(/|$)"
    r"|/etc/systemd/system/(timers|multi-user)\.target\.wants$|/usr/local/libexec$"
)
VOLATILE = re.compile(r"/var/(log|cache|lib/(apt|dpkg|systemd|private))/|/(root|home/admin)/\.ansible(/|$)"
                      r"|(/var)?/tmp/systemd-private-|/proc/|/sys/|/dev/|.*/__pycache__(/|$)")  # fmt: skip


class _Loader(yaml.SafeLoader):
    """Of Ansible's tags, the one that the variables have."""


_Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))
ODD = yaml.load(VARIABLES.read_text(encoding="utf-8"), _Loader)
HOME, (DATABASE,), ARCHIVES = ODD["application_home"], ODD["application_databases"], ODD["backup_directory"]
(ENVIRONMENT,), (CONFIG,) = ODD["application_config_paths"], ODD["application_optional_config_paths"]
(UPLOADS,), KEY_FILE = ODD["application_uploads_paths"], ODD["backup_key_file"]


def sh(command, *paths):
    """A command with quoted paths in the place of each ``{}``."""
    return command.format(*map(shlex.quote, paths))


def install(host, scratch, *arguments, pipelining="true"):
    """One run of site.yml as verbose as anybody would have it; returns all its output."""
    inventories = [f"--inventory={os.environ['MOLECULE_INVENTORY_FILE']}", f"--inventory={ROOT}/testbed/bed"]
    extra = [f"--extra-vars={argument}" for argument in (
        f"@{VARIABLES}", f"maintenance_hosts={host.backend.hostname}", *arguments)]  # fmt: skip
    limit = f"--limit={host.backend.hostname}"
    return ansible("ansible-playbook", *inventories, limit, *extra, "-vvv", "--diff", "feedforward.maintenance.site",
                   ANSIBLE_LOCAL_TEMP=str(scratch), ANSIBLE_PIPELINING=pipelining)  # fmt: skip


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """Ansible's temporary files on the controller."""
    return tmp_path_factory.mktemp("local")


@pytest.fixture(scope="module")
def before(host):
    """What lies on the host is noted, and from now on the arguments and environments of its processes are."""
    host.check_output(f"{LISTING} >{BEFORE}")
    noting = (r"umask 077; while sleep 0.05; do cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ; done 2>/dev/null"
              rf" | tr '\0' '\n' | awk '!seen[$0]++ {{ print; fflush() }}' >{PROCESSES}")  # fmt: skip
    host.check_output(f"systemd-run --quiet --unit=odd-processes sh -c {shlex.quote(noting.replace('$', '$$'))}")


@pytest.fixture(scope="module")
def by_cron(host, before, scratch):
    """The first installation, without pipelining, which is Ansible's default: modules go through temporary files."""
    return install(host, scratch, "backup_scheduler=cron", pipelining="false")


@pytest.fixture(scope="module")
def by_systemd(host, by_cron, scratch, tmp_path_factory):
    """The second one: another scheduler, and another key, which the inventory brings."""
    variable = tmp_path_factory.mktemp("variables") / "key.yml"
    variable.write_text(ansible("ansible-vault", "encrypt_string", "--name=backup_key", SECOND_KEY), encoding="utf-8")
    older = ask(host, "key show")["key_id"]
    host.check_output(sh("mv {} {}", KEY_FILE, f"{KEY_FILE}.{older}"))
    return install(host, scratch, "backup_scheduler=systemd", f"@{variable}")


@pytest.fixture(scope="module")
def again(host, by_systemd, scratch):
    """A further one, with the key in a variable that is not vaulted."""
    return install(host, scratch, "backup_scheduler=systemd", f"backup_key={SECOND_KEY}")


@pytest.fixture
def failing(host):
    """No key is there, and an operator's hook notes with which arguments it was called."""
    hook = f"#!/bin/sh\nprintf '%s|' \"$@\" >>{NOTE}\n"
    host.check_output(f"printf %s {shlex.quote(hook)} >{HOOK} && chmod 0700 {HOOK} && rm -f {NOTE}")
    host.check_output(sh("mv {} {}", KEY_FILE, f"{KEY_FILE}.away"))
    yield
    host.check_output(sh("mv {} {}", f"{KEY_FILE}.away", KEY_FILE))
    host.check_output(f"rm {HOOK} {NOTE} && systemctl reset-failed")


def ask(host, arguments):
    """The JSON answer of the command."""
    return json.loads(host.check_output(f"{COMMAND} {arguments} --json"))


def archives(host, kind):
    """Names of the archives of a kind, oldest first, in exactly the directory that was configured."""
    listing = host.check_output(sh("find {} -maxdepth 1", ARCHIVES) + f" -name 'odd-{kind}-*.enc' -printf '%f\\n'")
    return sorted(listing.splitlines())


def content(host):
    """A digest of all rows, and one of each file of the application."""
    check = f"runuser --user=feedforward -- python3 {PROGRAM} check {{}} --database={{}} --json"
    rows = json.loads(host.check_output(sh(check, HOME, DATABASE)))
    assert rows["problems"] == []
    files = "cd {} && find . -type f -not -path './data/%i*' -not -path '*.before-restore-*' -exec sha256sum {{}} +"
    return rows["content_sha256"], sorted(host.check_output(sh(files, HOME)).splitlines())


def restores_all(host, before):
    """One archive more than before is there, is sound, and brings back all that was lost."""
    (name,) = set(archives(host, "full")) - set(before)
    (verdict,) = ask(host, f"verify {name} --level restore")["archives"]
    assert verdict["verdict"] == "passed"
    whole = content(host)
    host.check_output(sh("echo lost >{} && rm -r {} {} && echo lost >{}", DATABASE, UPLOADS, CONFIG, ENVIRONMENT))
    ask(host, "restore --kind full --everything --yes")
    assert content(host) == whole


def run_as_cron(host, job):
    """The last line of an entry as cron runs it: its own environment, a shell, and '%' as the end of the command."""
    *settings, line = host.file(f"/etc/cron.d/odd-{job}").content_string.splitlines()
    environment = [setting for setting in settings if re.match(r"[A-Z]+=", setting)]
    user, command = line.split(None, 6)[5:]
    command = re.split(r"(?<!\\)%", command)[0].replace(r"\%", "%")
    assert user == "root"
    return host.run(f"cd /root && env -i HOME=/root LOGNAME=root {' '.join(environment)} sh -c {shlex.quote(command)}")


def test_by_cron_the_archive_lies_where_it_should_and_restores(host, by_cron):
    done = run_as_cron(host, "backup-full")
    assert done.rc == 0, done.stderr
    restores_all(host, [])


def test_by_cron_the_hook_gets_the_name_of_the_unit(host, by_cron, failing):
    assert run_as_cron(host, "backup-full").rc == 5
    assert host.file(NOTE).content_string == "odd-backup-full.service|"


def test_systemd_finds_nothing_to_say_about_the_units(host, by_systemd):
    units = "/etc/systemd/system/odd-*.service /etc/systemd/system/odd-*.timer /etc/systemd/system/odd-*.path"
    found = host.run(f"systemd-analyze verify {units} /etc/systemd/system/odd.service")
    assert "odd" not in found.stderr
    assert found.rc == 0


def test_by_systemd_the_archive_lies_where_it_should_and_restores(host, by_systemd):
    before = archives(host, "full")
    start_unit(host, "odd-backup-full.service")
    restores_all(host, before)


@pytest.mark.parametrize("path", [ENVIRONMENT, f"{CONFIG}/new"], ids=["home", "config"])
def test_by_systemd_a_change_in_a_watched_directory_is_backed_up(host, by_systemd, path):
    # A run that goes on, for what an earlier test has changed, would take this change for its own, or miss it.
    until(lambda: properties(host, "odd-backup-config.path", "SubState")["SubState"] == "waiting", 30, "the watcher")
    before = archives(host, "config")
    host.check_output(sh("runuser --user=feedforward -- sh -c {}", sh("echo CHANGED=1 >>{}", path)))
    until(lambda: len(archives(host, "config")) > len(before), 30, "an archive")
    until(lambda: properties(host, "odd-backup-config.service", "ActiveState")["ActiveState"] == "inactive", 15,
          "the end of the run")  # fmt: skip


def test_by_systemd_the_hook_gets_the_name_of_the_unit(host, by_systemd, failing):
    start_unit(host, "odd-backup-config.service", fails=True)
    until(lambda: host.file(NOTE).exists, 15, "the operator's hook")
    assert host.file(NOTE).content_string == "odd-backup-config.service|"


def test_the_application_does_not_start_in_the_middle_of_a_restore(host, by_systemd):
    database = PurePosixPath(DATABASE)
    journal = str(database.with_name(f".{database.name}.restore-journal"))
    host.check_output(sh("systemctl stop odd.service; touch {}; systemctl start odd.service", journal))
    assert not host.service("odd.service").is_running
    host.check_output(sh("rm {} && systemctl start odd.service", journal))
    assert host.service("odd.service").is_running


def test_nothing_was_made_elsewhere(host, by_systemd):
    own = (HOME, ARCHIVES, str(PurePosixPath(KEY_FILE).parent))
    parents = {str(parent) for path in own for parent in (PurePosixPath(path), *PurePosixPath(path).parents)}
    new = set(host.check_output(f"{LISTING} | LC_ALL=C comm -13 {BEFORE} -").splitlines()) - parents
    assert own[1] in {str(PurePosixPath(path).parent) for path in new}
    new = {path for path in new if not path.startswith(tuple(f"{place}/" for place in own))}
    assert sorted(path for path in new if not INSTALLED.match(path) and not VOLATILE.match(path)) == []


def test_a_further_run_changes_nothing(again):
    assert "changed=0" in again


@pytest.fixture(scope="module")
def told(host, by_cron, by_systemd):
    """The secrets in each form that could be printed. The host notes them itself, lest a command line tells them."""
    keys = sh("for key in {}*; do", KEY_FILE)
    forms = "cat \"$key\"; base64 --decode \"$key\" | od -An -v -tx1 | tr -d ' \\n'; echo; done"
    host.check_output(f"umask 077; {{ cat {TEXTS}; {keys} {forms}; }} >{SECRETS}")
    found = host.check_output(f"cat {SECRETS}").splitlines()
    assert len(found) == 3 + 2 * 2
    assert SECOND_KEY in found
    return found


def test_the_output_of_ansible_tells_no_secret(by_cron, by_systemd, again, told):
    raw = [repr(base64.b64decode(secret))[2:-1] for secret in told if len(secret) == 44]
    for output in (by_cron, by_systemd, again):
        assert [form for form in (*told, *raw) if form in output] == []


def test_the_journal_tells_no_secret(host, told):
    # What sudo runs for Ansible stands there with all its arguments.
    journal = "journalctl --boot --no-pager --output=verbose --all"
    assert "COMMAND=" in host.check_output(f"{journal} | grep --max-count=1 COMMAND=")
    assert host.run(f"{journal} | grep --text --fixed-strings --file={SECRETS}").stdout == ""


def test_no_process_has_a_secret_in_its_arguments_or_its_environment(host, told):
    assert host.check_output(f"grep --fixed-strings --line-regexp --count /usr/local/bin/{COMMAND} {PROCESSES}") != "0"
    assert host.run(f"grep --text --fixed-strings --file={SECRETS} {PROCESSES}").stdout == ""


def test_no_file_that_everybody_may_read_tells_a_secret(host, told):
    host.check_output(f"install --mode=0644 {SECRETS} /var/tmp/odd-proof")
    search = (f"find /etc /run /tmp /var/tmp /usr/local /var/log -type f -perm -o=r "
              f"-exec grep --files-with-matches --text --fixed-strings --file={SECRETS} {{}} +")  # fmt: skip
    found = host.run(search).stdout.splitlines()
    host.check_output("rm /var/tmp/odd-proof")
    assert found == ["/var/tmp/odd-proof"]


def test_ansible_leaves_no_temporary_file(host, told, scratch):
    assert [path for path in Path(scratch).rglob("*") if path.is_file()] == []
    assert host.run("find /home/admin/.ansible/tmp /root/.ansible/tmp -type f").stdout == ""
