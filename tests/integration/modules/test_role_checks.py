# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles refuse before they touch a host: each wrong variable by a message of its own."""

from __future__ import annotations

import json

import yaml
from module_support import ROOT

ROLES = ROOT / "roles"
JOB = {"name": "app-job", "description": "A job", "command": ["/bin/true"], "time": "0 2 * * *", "watches": [],
       "reads": [], "writes": ["/srv"], "capabilities": [], "system_calls": [], "user": "root", "after": "",
       "network": False, "sees_host": False, "runtime_directory": ""}  # fmt: skip
# Role -> (variables, words of the message; none where nothing is wrong).
CASES = {
    "application": [
        ({}, None),
        ({"application_service": ""}, None),
        ({"application_databases": "/srv/app.db"}, "texts where a list is needed: application_databases."),
        ({"application_state": "absent", "backup_state": "present"}, "the jobs would have no command to run"),
        ({"application_name": "An App"}, 'application_name="An App"'),
        ({"application_user": "x\ny"}, "cannot be used in the names of files and units"),
        ({"application_service": "app.timer"}, "a service ends with '.service'"),
        ({"application_home": "/srv/../app"}, '"/srv/../app"'),
        ({"application_logs_paths": ["/srv/a\nb"]}, "control characters, a slash at its end"),
        ({"application_uploads_paths": ["/srv/$HOME"]}, '"/srv/$HOME"'),
        ({"application_config_paths": ["/srv/a${B}"]}, "anything like $NAME or ${NAME}, which Ansible's modules"),
        ({"application_home": "/srv/-n; $(id) `id` 5$ %n é'\" \\ "}, None),
        ({"application_file_references": [{"database": "/a", "query": "SELECT 1", "base": "/srv/$X"}]}, '"/srv/$X"'),
        ({"application_python": "/opt/my env/bin/python3"}, "cannot stand in the first line of a script"),
        ({"application_python": "/opt/50%/bin/python3"}, "takes no spaces, quotes, backslashes or '%'"),
        ({"application_databases": []}, "is empty or names a database twice"),
        ({"application_databases": ["/a", "/a"]}, "is empty or names a database twice"),
    ],
    "backup": [
        ({}, None),
        ({"backup_full_schedule": ""}, None),
        ({"backup_directory": "backups"}, 'cannot be used: "backups"'),
        ({"backup_directory": "/srv/$HOME/backups"}, 'cannot be used: "/srv/$HOME/backups"'),
        ({"backup_key_file": "/secure/$1.key"}, "anything like $NAME or ${NAME}"),
        ({"backup_directory": "/srv/-n; $(id) \"%h\" 'é' \\"}, None),
        ({"backup_key_file": "/backups/feedforward/key"}, "would get their key"),
        ({"backup_nice": 20}, "out of its range"),
        ({"backup_deadline_seconds": 10, "backup_timeout_seconds": 9}, "out of its range"),
        ({"backup_full_max_age_hours": 0}, "out of its range"),
        ({"backup_logs_schedule": "61 * * * *"}, "minute '61'"),
        ({"backup_key": "short"}, "backup_key is not 32 random bytes"),
    ],
    "monitoring": [
        ({}, None),
        ({"monitoring_mail_recipients": ["admin@example.org"]}, None),
        ({"monitoring_mail_recipients": "a@example.org"}, "texts where a list is needed: monitoring_mail_recipients"),
        ({"monitoring_mail_recipients": ["The admin <a@b>"]}, "has what is no address: \"The admin <a@b>\""),
        ({"monitoring_mail_recipients": ["a@b\nBcc: c@d"]}, "has what is no address"),
        ({"monitoring_mail_user": "u", "monitoring_mail_security": "none"}, "password would be readable on its way"),
        ({"monitoring_user": "root"}, "is no name of a user of its own"),
        ({"monitoring_directory": "/srv/$HOME"}, 'monitoring_directory="/srv/$HOME" cannot be used'),
        ({"monitoring_preset": "other"}, "use one of feedforward, guide, none"),
        ({"monitoring_confirm_runs": 0}, "A number of the role monitoring is out of its range"),
        ({"monitoring_schedule": "* * *"}, "cron expression '* * *'"),
    ],
    "_schedule": [
        ({}, None),
        ({"schedule_jobs": []}, None),
        ({"schedule_jobs": [{**JOB, "name": "a.b"}]}, 'The job "a.b" cannot be scheduled'),
        ({"schedule_jobs": [JOB, {**JOB, "command": ["true"]}]}, 'The job "app-job" cannot be scheduled'),
        ({"schedule_jobs": [{**JOB, "description": "two\nlines"}]}, "a line break"),
        ({"schedule_jobs": [{**JOB, "writes": ["srv"]}]}, 'begin with \'/\''),
        ({"schedule_jobs": [{**JOB, "user": "a b"}]}, "its user is a name"),
        ({"schedule_jobs": [{**JOB, "after": "app-job"}]}, "what it comes after is another of these jobs"),
        ({"schedule_jobs": [{**JOB, "after": "app-first"}, {**JOB, "name": "app-first", "time": ""}]}, None),
        ({"schedule_jobs": [{**JOB, "time": "* * * *"}]}, "cron expression '* * * *'"),
        ({"ansible_facts": {"service_mgr": "sysvinit"}}, "Choose the scheduler 'cron' for this host"),
        ({"ansible_facts": {"service_mgr": "sysvinit"}, "schedule_scheduler": "cron"}, None),
    ],
}  # fmt: skip
SCHEDULE = {
    "ansible_facts": {"service_mgr": "systemd"}, "schedule_jobs": [JOB], "schedule_state": "present",
    "schedule_scheduler": "systemd", "schedule_documentation": "", "schedule_failure_command": "/bin/true",
    **yaml.safe_load((ROLES / "_schedule" / "tasks" / "main.yml").read_text())[0]["vars"],
}  # fmt: skip


def steps(work, number, role, variables):
    """Tasks that load the roles' own variables, then those of the case, and check them."""
    case = work / f"{number}.json"
    case.write_text(json.dumps({**SCHEDULE, "backup_state": "present", **variables}))
    files = [ROLES / name / part / "main.yml" for name in ("application", "backup", "monitoring")
             for part in ("defaults", "vars")]  # fmt: skip
    tasks = [{"ansible.builtin.include_vars": {"file": str(path)}} for path in (*files, case)]
    check = {"file": str(ROLES / role / "tasks" / "check.yml"), "apply": {"ignore_errors": True}}
    return [*tasks, {"ansible.builtin.include_tasks": check}]


def test_each_wrong_variable_is_refused_with_its_own_words(ansible, tmp_path):
    cases = [(role, *case) for role, of_role in CASES.items() for case in of_role]
    tasks = [task for number, (role, variables, _words) in enumerate(cases)
             for task in steps(tmp_path, number, role, variables)]  # fmt: skip
    playbook = tmp_path / "playbook.yml"
    playbook.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    run = ansible.run_playbook(playbook, "localhost,", arguments=["--connection=local"])
    results = [result for result in run.results if {"ansible_included_var_files", "include"}.isdisjoint(result)]
    assert len(results) == len(cases)
    for result, (role, variables, words) in zip(results, cases):
        assert bool(result.get("failed")) == (words is not None), (role, variables, result)
        assert words is None or words in result["msg"], (role, variables, result)


def test_a_unit_gets_a_directory_below_run_where_the_job_asks_for_one(ansible, tmp_path):
    (ansible.work / "templates").symlink_to(ROLES / "_schedule" / "templates")
    without = {name: value for name, value in JOB.items() if name != "runtime_directory"}
    jobs = {"asks": {**JOB, "runtime_directory": "app-monitor", "user": "app-monitor"}, "empty": JOB, "none": without}
    variables = {**SCHEDULE, "schedule_timeout_seconds": 60, "schedule_nice": 5, "schedule_weight": 50,
                 "schedule_io_class": "idle", "schedule_failure_unit": "failure@.service"}  # fmt: skip
    tasks = [{"ansible.builtin.template": {"src": "job.service.j2", "dest": str(tmp_path / name), "mode": "0600"},
              "vars": {**variables, "item": job}} for name, job in jobs.items()]  # fmt: skip
    run = ansible.play(tasks)
    assert run.changed == [True] * len(jobs), run.output
    wanted = ["RuntimeDirectory=app-monitor", "RuntimeDirectoryMode=0700", "RuntimeDirectoryPreserve=yes"]
    for name in jobs:
        lines = [line for line in (tmp_path / name).read_text().splitlines() if line.startswith("RuntimeDirectory")]
        assert lines == (wanted if name == "asks" else []), name
