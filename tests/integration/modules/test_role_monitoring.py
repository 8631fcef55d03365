# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role monitoring writes for the command: whatever the application's .env says, the command can read it."""

from __future__ import annotations

import json
import os
import sys
from base64 import b64encode
from pathlib import Path

import pytest
from module_support import ROOT, link_collection

link_collection()

from ansible_collections.feedforward.maintenance.plugins.module_utils import version
from ansible_collections.feedforward.maintenance.plugins.module_utils.config import load_settings
from ansible_collections.feedforward.maintenance.plugins.plugin_utils import zipapp

ROLES = ROOT / "roles"
SERVER = "SMTP_SERVER=mail.example.org\n"
# Text of the .env -> server, port, security and sender.
LINES = {
    'SMTP_FROM="FeedForward <noreply@x.org>"': ("mail.example.org", 587, "starttls", "noreply@x.org"),
    "SMTP_FROM=FeedForward <noreply@x.org>": ("mail.example.org", 587, "starttls", "noreply@x.org"),
    "SMTP_FROM=FeedForward": ("mail.example.org", 587, "starttls", "feedforward-maintenance@localhost"),
    "SMTP_SERVER=": ("localhost", 25, "none", "feedforward-maintenance@localhost"),
    'SMTP_SERVER=""\nSMTP_USER=somebody': ("localhost", 25, "none", "feedforward-maintenance@localhost"),
    "SMTP_SERVER=host # comment": ("host", 587, "starttls", "feedforward-maintenance@localhost"),
    "SMTP_PORT=587 # x": ("mail.example.org", 587, "starttls", "feedforward-maintenance@localhost"),
    "SMTP_PORT=465 # x": ("mail.example.org", 465, "tls", "feedforward-maintenance@localhost"),
    "SMTP_PORT=smtp": ("mail.example.org", 587, "starttls", "feedforward-maintenance@localhost"),
    "": ("mail.example.org", 587, "starttls", "feedforward-maintenance@localhost"),
}  # fmt: skip


@pytest.fixture
def command(tmp_path):
    """The command as hosts have it, which judges what is written for it."""
    path = tmp_path / "bin" / "feedforward-maintenance"
    path.parent.mkdir()
    engine = zipapp.collect_engine(str(Path(version.__file__).parent))
    path.write_bytes(zipapp.build_zipapp(engine, interpreter=sys.executable, version=version.VERSION))
    path.chmod(0o755)
    return path


def loaded(*parts):
    """Tasks that load the variables of the roles."""
    return [{"ansible.builtin.include_vars": {"file": str(ROLES / role / part / "main.yml")}}
            for role in ("application", "monitoring") for part in parts]  # fmt: skip


def variables(command, **more):
    """What overrides the variables of the roles, as on the command line."""
    return {"application_python": sys.executable, "__application_command": str(command), **more}


def results_of(ansible, tasks, extra):
    """The results of all tasks but those that only load or include something."""
    playbook = ansible.work / "playbook.yml"
    (ansible.work / "templates").symlink_to(ROLES / "monitoring" / "templates")
    playbook.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "connection": "local",
                                     "tasks": tasks}]))  # fmt: skip
    run = ansible.run_playbook(playbook, "localhost,", arguments=["--extra-vars", json.dumps(extra)])
    return run, [result for result in run.results if {"ansible_included_var_files", "include"}.isdisjoint(result)]


def test_whatever_the_application_says_of_its_mail_can_be_read_by_the_command(ansible, command, tmp_path):
    tasks = loaded("defaults", "vars")
    for number, line in enumerate(LINES):
        (tmp_path / str(number)).mkdir()
        tasks.append({
            "ansible.builtin.template": {"src": "monitoring.json.j2", "dest": str(tmp_path / str(number) / "x.json"),
                                         "validate": "{{ __monitoring_judgement }}", "mode": "0600"},
            "vars": {"__monitoring_settings": {"content": b64encode((SERVER + line).encode()).decode()}},
        })
    run, results = results_of(ansible, tasks, variables(command, monitoring_mail_recipients=["admin@example.org"]))
    assert run.returncode == 0 and len(results) == len(LINES), run.output
    for number, expected in enumerate(LINES.values()):
        mail = load_settings(str(tmp_path / str(number))).alerts.mail
        assert (mail.server, mail.port, mail.security, mail.sender) == expected


def test_without_an_env_it_is_the_mail_server_of_the_host(ansible, command, tmp_path):
    task = {"ansible.builtin.template": {"src": "monitoring.json.j2", "dest": str(tmp_path / "x.json"), "mode": "0600",
                                         "validate": "{{ __monitoring_judgement }}"},
            "vars": {"__monitoring_settings": {"failed": True, "msg": "file not found"}}}  # fmt: skip
    extra = variables(command, monitoring_mail_recipients=["admin@example.org"])
    run, _results = results_of(ansible, [*loaded("defaults", "vars"), task], extra)
    assert run.returncode == 0, run.output
    assert load_settings(str(tmp_path)).alerts.mail.server == "localhost"


@pytest.mark.skipif(os.geteuid() != 0, reason="the role writes files of root")
def test_what_the_command_would_refuse_is_told_and_the_old_file_stays(ansible, command, tmp_path):
    etc, monitor = tmp_path / "etc", tmp_path / "etc-monitor"
    etc.mkdir()
    extra = variables(command, __application_config_directory=str(etc), __monitoring_config_directory=str(monitor),
                      monitoring_directory=str(tmp_path / "state"), monitoring_user="root")  # fmt: skip
    include = {"ansible.builtin.include_tasks": str(ROLES / "monitoring" / "tasks" / "files.yml")}
    right = {"monitoring_webhooks": [], "monitoring_endpoints": [], "monitoring_mail_recipients": [],
             "monitoring_mail_sender": "", "monitoring_mail_server": ""}  # fmt: skip
    wrong = [({"monitoring_webhooks": ["example.org/hush"]}, "webhooks is a list of http or https addresses"),
             ({"monitoring_endpoints": [{"url": "example.org"}]}, "endpoints of url (http or https)"),
             ({"monitoring_mail_recipients": ["a@b"], "monitoring_mail_sender": "FeedForward <a@b>"}, "look at sender"),
             ({"monitoring_mail_recipients": ["a@b"], "monitoring_mail_server": "a b"}, "look at server")]  # fmt: skip
    tasks = [*loaded("defaults", "vars"), {"ansible.builtin.set_fact": {"__monitoring_settings": {}}}]
    for case in ({}, *(one for one, _words in wrong)):
        tasks += [{"ansible.builtin.set_fact": {**right, **case}},
                  {"block": [include], "rescue": [{"ansible.builtin.meta": "noop"}]}]  # fmt: skip
    run, results = results_of(ansible, tasks, extra)
    told = [result["msg"] for result in results if str(result.get("msg", "")).startswith(str(etc))]
    assert len(told) == len(wrong), run.output
    for message, (_case, words) in zip(told, wrong):
        assert message.startswith(f"{etc}/monitoring.json: the value of '") and words in message, message
        assert "The file was left as it was. Correct the variable" in message and "hush" not in message
    for directory in (etc, monitor):
        settings = load_settings(str(directory))
        assert settings.alerts.channels == () and settings.health.attempts > 0
