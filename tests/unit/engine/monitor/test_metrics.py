# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics: a report as the text that Prometheus reads, and what must never be in it."""

from __future__ import annotations

import re
import subprocess
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.health import Finding, HealthReport
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.report import CRITICAL, OK, UNKNOWN, WARNING
from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor.metrics import (
    METRICS,
    MOST_COUNTS,
    JobRun,
    render,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.version import VERSION

NOW = datetime(2026, 11, 24, 5, 47, 10, 250000, timezone.utc)
SECOND = 1795499230
ESSAY = "the essay of a student"

# The grammar of the format, strictly: what node_exporter refuses costs the whole file.
ONE_LABEL = r'([a-z_]+)="((?:[^"\\\n]|\\[\\"n])*)"'
LABEL = re.compile(ONE_LABEL)
SAMPLE = re.compile(rf"(?P<name>[a-z_]+)\{{(?P<labels>{ONE_LABEL}(?:,{ONE_LABEL})*)\}} "
                    r"(?P<value>-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)")

# The contract: what the looks find, and the sample that it becomes.
SAMPLES = [
    ("page https://x.org/landing", "response_ms", 123.4,
     'page_response_seconds{application="ff",url="https://x.org/landing"} 0.1234'),
    ("certificate https://x.org/", "certificate_days", 10.5,
     f'certificate_expiry_timestamp_seconds{{application="ff",url="https://x.org/"}} {SECOND + 907200}'),
    ("database /d/u.db", "size_bytes", 2e10, 'database_size_bytes{application="ff",database="/d/u.db"} 20000000000'),
    ("database /d/u.db", "wal_bytes", 0, 'database_wal_size_bytes{application="ff",database="/d/u.db"} 0'),
    ("database /d/u.db", "query_ms", 0.5, 'database_query_seconds{application="ff",database="/d/u.db"} 0.0005'),
    ("database /d/u.db", "free_pages", 7, 'database_free_pages{application="ff",database="/d/u.db"} 7'),
    ("database /d/u.db", "page_bytes", 4096, 'database_page_size_bytes{application="ff",database="/d/u.db"} 4096'),
    ("locks /d/u.db", "busy_percent", 5, 'database_write_locked_ratio{application="ff",database="/d/u.db"} 0.05'),
    ("service", "restarts", 3, 'service_restarts_total{application="ff"} 3'),
    ("storage /", "size_bytes", 100, 'storage_size_bytes{application="ff",path="/"} 100'),
    ("storage /", "free_bytes", 40, 'storage_free_bytes{application="ff",path="/"} 40'),
    ("storage /", "used_percent", 60, 'storage_used_ratio{application="ff",path="/"} 0.6'),
    ("storage /", "used_files_percent", 1, 'storage_files_used_ratio{application="ff",path="/"} 0.01'),
    ("memory", "used_bytes", 10, 'memory_used_bytes{application="ff"} 10'),
    ("memory", "total_bytes", 40, 'memory_size_bytes{application="ff"} 40'),
    ("memory", "used_percent", 25, 'memory_used_ratio{application="ff"} 0.25'),
    ("cpu", "busy_percent", 12.5, 'cpu_busy_ratio{application="ff"} 0.125'),
    ("cpu", "load", 0.42, 'cpu_load_average{application="ff"} 0.42'),
    ("cpu", "processors", 2, 'cpu_processors{application="ff"} 2'),
    ("backup logs", "age_seconds", 60.2,
     f'backup_current_as_of_timestamp_seconds{{application="ff",kind="logs"}} {SECOND - 60}'),
    ("backup logs", "verified_age_seconds", 3600,
     f'backup_verified_timestamp_seconds{{application="ff",kind="logs"}} {SECOND - 3600}'),
    ("backup logs", "size_bytes", 9, 'backup_size_bytes{application="ff",kind="logs"} 9'),
    ("backup logs", "failed", 1, 'backup_failed{application="ff",kind="logs"} 1'),
    ("backup logs", "verification_failed", 0, 'backup_verification_failed{application="ff",kind="logs"} 0'),
    ("mail", "connect_ms", 80, 'mail_connect_seconds{application="ff"} 0.08'),
    ("provider OpenAI", "response_ms", 300, 'provider_response_seconds{application="ff",provider="OpenAI"} 0.3'),
    ("ai", "calls_today", 1234, 'ai_calls_today{application="ff"} 1234'),
    ("ai", "errors_today", 12, 'ai_errors_today{application="ff"} 12'),
    ("ai", "error_percent", 0.97, 'ai_error_ratio{application="ff"} 0.0097'),
    ("ai", "tokens_today", 1e6, 'ai_tokens_today{application="ff"} 1000000'),
    ("ai", "cost_today", 3.25, 'ai_cost_today{application="ff"} 3.25'),
    ("work", "stuck", 2, 'work_stuck{application="ff"} 2'),
    ("work", "oldest_seconds", 7200, 'work_oldest_seconds{application="ff"} 7200'),
    ("timer ff-backup.timer", "late_seconds", 900, 'timer_late_seconds{application="ff",unit="ff-backup.timer"} 900'),
    ("outbox", "waiting", 2, 'alerts_waiting{application="ff"} 2'),
    ("errors", "requests", 1000, 'proxy_requests{application="ff"} 1000'),
    ("errors", "errors", 2, 'proxy_errors{application="ff"} 2'),
    ("errors", "error_percent", 0.2, 'proxy_error_ratio{application="ff"} 0.002'),
    ("journal", "errors_day", 5, 'journal_errors_day{application="ff"} 5'),
]


def report(*findings, level=OK, application="ff"):
    return HealthReport(level, application, findings, 1.25)


def look(check, level=OK, title="A look", figures=None, counts=None):
    return Finding(level, check, title, ESSAY, figures or {}, counts or {})


def samples(text):
    """Value by name and labels, of a text that keeps the format."""
    found = {}
    assert text.endswith("\n") and not text.endswith("\n\n")
    for line in text.removesuffix("\n").split("\n"):
        if not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            assert match is not None, line
            labels = tuple((name, re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), value))
                           for name, value in LABEL.findall(match["labels"]))
            assert (match["name"], labels) not in found
            found[match["name"], labels] = float(match["value"])
    return found


def test_a_report_is_this_text():
    findings = (look("cpu", WARNING, "CPU", {"busy_percent": 90.0}), look("page https://x.org/", OK, "Page"))
    jobs = [JobRun("backup", NOW - timedelta(hours=1), 2.5, True)]
    assert render(report(*findings, level=WARNING), NOW, jobs=jobs) == f"""\
# HELP maintenance_last_run_timestamp_seconds When the health was last looked at.
# TYPE maintenance_last_run_timestamp_seconds gauge
maintenance_last_run_timestamp_seconds{{application="ff"}} {SECOND}
# HELP maintenance_run_duration_seconds How long the last look at the health took.
# TYPE maintenance_run_duration_seconds gauge
maintenance_run_duration_seconds{{application="ff"}} 1.25
# HELP maintenance_health_state The worst of all checks: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
# TYPE maintenance_health_state gauge
maintenance_health_state{{application="ff"}} 1
# HELP maintenance_build_info Always 1; the version of feedforward.maintenance.
# TYPE maintenance_build_info gauge
maintenance_build_info{{application="ff",version="{VERSION}"}} 1
# HELP maintenance_check_state How a check ended: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
# TYPE maintenance_check_state gauge
maintenance_check_state{{application="ff",check="cpu",title="CPU"}} 1
maintenance_check_state{{application="ff",check="page https://x.org/",title="Page"}} 0
# HELP maintenance_cpu_busy_ratio Share of the time that all processors worked.
# TYPE maintenance_cpu_busy_ratio gauge
maintenance_cpu_busy_ratio{{application="ff"}} 0.9
# HELP maintenance_job_last_run_timestamp_seconds When the last run of a maintenance job ended.
# TYPE maintenance_job_last_run_timestamp_seconds gauge
maintenance_job_last_run_timestamp_seconds{{application="ff",name="backup"}} {SECOND - 3600}
# HELP maintenance_job_duration_seconds How long the last run of a maintenance job took.
# TYPE maintenance_job_duration_seconds gauge
maintenance_job_duration_seconds{{application="ff",name="backup"}} 2.5
# HELP maintenance_job_succeeded 1 where the last run of a maintenance job ended well, else 0.
# TYPE maintenance_job_succeeded gauge
maintenance_job_succeeded{{application="ff",name="backup"}} 1
"""


@pytest.mark.parametrize(("check", "figure", "value", "sample"), SAMPLES, ids=[f"{row[0]} {row[1]}" for row in SAMPLES])
def test_a_figure_becomes_a_sample_in_base_units(check, figure, value, sample):
    assert f"\nmaintenance_{sample}\n" in render(report(look(check, figures={figure: value})), NOW)


def test_every_metric_is_told_of_some_figure():
    findings = [look(check, figures={figure: value}) for check, figure, value, _sample in SAMPLES]
    findings += [look(check, counts={"a name": 1}) for check in ("database /d/u.db", "ai", "journal")]
    text = render(report(*findings), NOW, jobs=[JobRun("backup", NOW, 1.0, False)])
    assert re.findall(r"(?m)^# HELP (\S+)", text) == list(METRICS)


@pytest.mark.parametrize("figures", [{}, {"response_ms": float("nan")}, {"response_ms": float("inf")}, {"other": 5}])
def test_what_is_not_known_is_left_out(figures):
    text = render(report(look("page https://x.org/", UNKNOWN, figures=figures), look("mail", UNKNOWN)), NOW,
                  jobs=[JobRun("backup")])
    assert {name for name, _labels in samples(text)} == {
        "maintenance_last_run_timestamp_seconds", "maintenance_run_duration_seconds", "maintenance_health_state",
        "maintenance_build_info", "maintenance_check_state"}


def test_a_backup_has_a_state_for_its_kind():
    waiting = look("backup restore", CRITICAL)
    found = samples(render(report(look("backup database", CRITICAL), waiting), NOW))
    assert {labels: value for (name, labels), value in found.items() if name == "maintenance_backup_state"} == {
        (("application", "ff"), ("kind", "database")): 2}
    assert found["maintenance_check_state", (("application", "ff"), ("check", waiting.check), ("title", "A look"))] == 2


def test_of_many_counts_the_largest_are_told():
    counts = {f"table_{number:03}": number for number in range(500)}
    found = samples(render(report(look("database /d/u.db", counts=counts)), NOW))
    rows = {dict(labels)["table"]: value for (name, labels), value in found.items() if name.endswith("_rows")}
    assert rows == {f"table_{number:03}": number for number in range(500 - MOST_COUNTS, 500)}


def test_what_is_found_twice_is_told_once_and_as_the_worst():
    found = samples(render(report(look("unit a", OK), look("unit a", CRITICAL), look("unit a", UNKNOWN)), NOW))
    assert found["maintenance_check_state", (("application", "ff"), ("check", "unit a"), ("title", "A look"))] == 2


def test_a_user_in_a_url_is_no_label():
    url = "https://admin:Secret@x.org/landing"
    text = render(report(look(f"page {url}", title=f"Page {url}", figures={"response_ms": 5})), NOW)
    assert "Secret" not in text and "admin" not in text
    assert 'url="https://x.org/landing"' in text and 'title="Page https://x.org/landing"' in text


CHECKS = st.sampled_from(sorted({check.split(" ")[0] for check, _figure, _value, _sample in SAMPLES}))
WORDS = st.text(st.characters(min_codepoint=0, max_codepoint=0x10ffff), max_size=20)
NUMBERS = st.one_of(st.integers(-10 ** 15, 10 ** 15), st.floats(), st.booleans())
FIGURES = sorted({figure for _check, figure, _value, _sample in SAMPLES})
FINDINGS = st.lists(st.builds(
    lambda check, subject, *rest: look(f"{check} {subject}", *rest),
    CHECKS, WORDS, st.integers(0, 3), WORDS, st.dictionaries(st.sampled_from(FIGURES), NUMBERS),
    st.dictionaries(WORDS, NUMBERS)), max_size=8)


@given(FINDINGS, st.randoms())
def test_whatever_names_the_host_holds_the_format_is_kept(findings, random):
    text = render(report(*findings), NOW)
    found = samples(text)
    text.encode()
    assert ESSAY not in text
    assert {name for name, _labels in found} <= set(METRICS)
    assert all(labels[0] == ("application", "ff") for _name, labels in found)
    shuffled = list(findings)
    random.shuffle(shuffled)
    assert render(report(*shuffled), NOW) == text


@pytest.mark.needs("promtool")
def test_promtool_is_content():
    findings = [look(check, figures={figure: value}) for check, figure, value, _sample in SAMPLES]
    odd = {'odd "name"\\\n\x00\udcff é': 1, "b": 2}
    findings += [look(check, counts=odd) for check in ("database /d", "ai", "journal")]
    text = render(report(*findings), NOW, jobs=[JobRun("backup", NOW, 1.0, True)])
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False,
                          timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
