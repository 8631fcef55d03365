# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests with Prometheus share: the rules as Ansible renders them, reports of health, promtool."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.health import Finding, HealthReport
from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor.metrics import JobRun, render

ROLE = Path(__file__).resolve().parents[3] / "roles" / "monitoring"
RULES = ROLE / "templates" / "prometheus-rules.yml.j2"
DASHBOARD = ROLE / "files" / "grafana-dashboard.json"


def defaults(role: str) -> dict[str, Any]:
    """The role's own."""
    return yaml.safe_load((ROLE.parent / role / "defaults" / "main.yml").read_text(encoding="utf-8"))


VARIABLES: dict[str, Any] = {**defaults("backup"), **defaults("monitoring"), "application_name": "feedforward",
                             "ansible_managed": "Ansible managed"}

# What the looks of health find: figures by check.
FIGURES = {
    "page https://ff.example/": ("response_ms",), "certificate https://ff.example/": ("certificate_days",),
    "database /data/users.db": ("size_bytes", "wal_bytes", "query_ms", "free_pages", "page_bytes"),
    "locks /data/users.db": ("busy_percent",), "service": ("restarts",),
    "storage /": ("size_bytes", "free_bytes", "used_percent", "used_files_percent"),
    "memory": ("used_bytes", "total_bytes", "used_percent"), "cpu": ("busy_percent", "load", "processors"),
    "backup database": ("age_seconds", "verified_age_seconds", "size_bytes", "failed", "verification_failed"),
    "mail": ("connect_ms",), "provider OpenAI": ("response_ms",),
    "ai": ("calls_today", "errors_today", "error_percent", "tokens_today", "cost_today"),
    "work": ("stuck", "oldest_seconds"), "timer ff-backup.timer": ("late_seconds",),
    "errors": ("requests", "errors", "error_percent"), "journal": ("errors_day",),
    "outbox": ("waiting",),
}


def everything(now: datetime) -> str:
    """What the monitor writes when it finds whatever it can find."""
    findings = tuple(Finding(0, check, "A look", "", dict.fromkeys(figures, 1.0), {"a name": 1.0})
                     for check, figures in FIGURES.items())
    return render(HealthReport(0, "feedforward", findings, 1.5), now, jobs=[JobRun("backup", now, 1.0, True)])


def rules(variables: Mapping[str, Any] = VARIABLES, *, at_once: bool = False) -> str:
    """The template with these variables; ``at_once``: what is found is told without waiting for it to last."""
    loader = DataLoader()
    loader.set_basedir(str(RULES.parent))
    source = RULES.read_text(encoding="utf-8")
    try:
        from ansible.template import trust_as_template

        source = trust_as_template(source)
    except ImportError:
        pass
    rendered = str(Templar(loader=loader, variables=dict(variables)).template(source))
    return re.sub(r"(?m)^( +for:) \S+$", r"\1 0s", rendered) if at_once else rendered


def prom(now: datetime, *findings: Finding, application: str = "feedforward") -> str:
    """What the monitor writes after a run at ``now`` that found this."""
    level = max((finding.level for finding in findings), default=0)
    return render(HealthReport(level, application, findings, 1.5), now)


def promtool(*arguments: str, stdin: str = "") -> str:
    """What promtool says. Fails when it is not content."""
    done = subprocess.run(["promtool", *arguments], input=stdin, capture_output=True, text=True, check=False,
                          timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
