# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The alert rules: promtool plays hours of the monitor's own metrics to them, and tells which alerts fire."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone

import pytest
import yaml
from prometheus_support import VARIABLES, prom, promtool, rules

from ansible_collections.feedforward.maintenance.plugins.module_utils.config import DEFAULT_MAX_AGE_HOURS
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.health import Finding
from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor.metrics import METRICS
from ansible_collections.feedforward.maintenance.plugins.module_utils.watch import Watch

pytestmark = pytest.mark.needs("promtool")

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
GIGABYTE = 10 ** 9
PAGE, DATABASE = "https://ff.example/landing", "/opt/feedforward/data/users.db"
SAMPLE = re.compile(r"(\w+)\{(.*)\} (\S+)")


def look(check, level=0, counts=None, **figures):
    return Finding(level, check, check.split(" ")[0].capitalize(), "", figures, counts or {})


def backup(kind, level=0, *, age=3600.0, verified=7200.0, failed=0, damaged=0):
    """``age`` and ``verified`` in seconds; None: not known."""
    figures = {"age_seconds": age, "verified_age_seconds": verified, "failed": failed, "verification_failed": damaged}
    return look(f"backup {kind}", level, **{name: value for name, value in figures.items() if value is not None})


WELL = (
    look(f"page {PAGE}", response_ms=90), look(f"certificate {PAGE}", certificate_days=60),
    look(f"database {DATABASE}", size_bytes=2e7, wal_bytes=1e6, query_ms=2, free_pages=3, page_bytes=4096),
    look(f"size {DATABASE}"), look(f"query {DATABASE}"), look(f"log {DATABASE}"),
    look(f"locks {DATABASE}", busy_percent=2), look("service", restarts=0),
    look("storage /", size_bytes=100 * GIGABYTE, free_bytes=60 * GIGABYTE, used_percent=40, used_files_percent=5),
    look("memory", used_bytes=1e9, total_bytes=4e9, used_percent=25), look("cpu", busy_percent=12, load=0.3),
    backup("database"), backup("config"), backup("logs"), backup("full"), look("mail", connect_ms=40),
    look("errors", requests=1000, errors=0, error_percent=0), look("work", stuck=0),
)


def with_(*changed):
    """All is well but for these looks, which take the place of those of the same name or come at the end."""
    names = [finding.check for finding in changed]
    return [finding for finding in WELL if finding.check not in names] + list(changed)


def without(check):
    return [finding for finding in WELL if finding.check != check]


def series(minutes, findings, instance="host:9100"):
    """What Prometheus scrapes each minute from a host whose monitor finds ``findings(minute)``: None where it is
    silent and its last file stays, and "gone" where the host is."""
    text, values = "", {}
    for minute in range(minutes + 1):
        found = findings(minute)
        if found == "gone":
            text = ""
        elif found is not None:
            text = prom(EPOCH + timedelta(minutes=minute), *found)
        for line in text.splitlines():
            if not line.startswith("#"):
                name, labels, value = SAMPLE.fullmatch(line).groups()
                key = f'{name}{{{labels},instance="{instance}",job="node"}}'
                values.setdefault(key, ["_"] * (minutes + 1))[minute] = value
    return [{"series": key, "values": " ".join(each)} for key, each in values.items()]


def expect(directory, input_series, fires, changes=None, **more):
    """The alerts that fire at each minute of ``fires``: these, and no others. ``changes``: other variables."""
    (directory / "rules.yml").write_text(rules({**VARIABLES, **(changes or {})}), encoding="utf-8")
    expression = 'count by (alertname, severity, kind) (ALERTS{alertstate="firing"})'
    tests = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [{
        "interval": "1m", "input_series": input_series, **more,
        "promql_expr_test": [{
            "expr": expression, "eval_time": f"{minute}m",
            "exp_samples": [{"labels": "{" + labels(*alert) + "}", "value": 1} for alert in alerts],
        } for minute, alerts in fires.items()]}]}
    file = directory / "tests.json"
    file.write_text(json.dumps(tests), encoding="utf-8")
    promtool("test", "rules", str(file))


def labels(name, severity, kind=""):
    return f'alertname="{name}",severity="{severity}"' + (f',kind="{kind}"' if kind else "")


def test_the_rules_are_rules(tmp_path):
    file = tmp_path / "rules.yml"
    file.write_text(rules(), encoding="utf-8")
    promtool("check", "rules", str(file))
    groups = yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    found = [rule for group in groups for rule in group["rules"]]
    assert all(rule["labels"]["application"] == "feedforward" for rule in found)
    assert all(rule["annotations"].keys() == {"summary", "description"} for rule in found)
    assert {name for rule in found for name in re.findall(r"maintenance_\w+", rule["expr"])} <= set(METRICS)


def test_every_threshold_is_a_variable(tmp_path):
    """Other thresholds give other rules, by the variables and with the defaults that the engine has."""
    numbers = {name: value for name, value in VARIABLES.items() if isinstance(value, (int, float))}
    numbers = {name: value for name, value in numbers.items() if not isinstance(value, bool)}
    ours = rules()
    used = sorted(name for name, value in numbers.items() if rules({**VARIABLES, name: value * 3}) != ours)
    # The monitor itself cannot tell that it is silent: this one is Prometheus's alone.
    used.remove("monitoring_prometheus_silent_minutes")
    for name in used:
        role, _line, field = name.partition("_")
        kind = field.partition("_")[0]
        assert numbers[name] == (DEFAULT_MAX_AGE_HOURS[kind] if role == "backup" else getattr(Watch(), field))
    assert used == [
        "backup_config_max_age_hours", "backup_database_max_age_hours", "backup_full_max_age_hours",
        "backup_logs_max_age_hours", "monitoring_certificate_critical_days", "monitoring_certificate_warning_days",
        "monitoring_cpu_warning_percent", "monitoring_database_critical_bytes", "monitoring_database_notice_bytes",
        "monitoring_database_warning_bytes", "monitoring_disk_free_bytes", "monitoring_disk_warning_percent",
        "monitoring_error_minimum", "monitoring_error_rate_percent", "monitoring_files_warning_percent",
        "monitoring_lock_warning_percent",
        "monitoring_memory_critical_percent", "monitoring_query_target_ms", "monitoring_response_warning_ms",
        "monitoring_wal_warning_bytes"]


def test_the_ages_are_those_of_the_engine_where_the_role_backup_does_not_say():
    alone = {name: value for name, value in VARIABLES.items() if not name.startswith("backup_")}
    assert rules(alone) == rules()


def test_where_all_is_well_nothing_fires(tmp_path):
    expect(tmp_path, series(180, lambda _minute: WELL), {minute: [] for minute in range(0, 181, 5)})


CASES = {
    "backup failed": (with_(backup("database", 2, failed=1)), [("MaintenanceBackupFailed", "critical", "database")]),
    "backup did not verify": (with_(backup("full", 2, damaged=1)),
                              [("MaintenanceBackupVerificationFailed", "critical", "full")]),
    "backup too old": (with_(backup("logs", 2, age=193 * 3600)), [("MaintenanceBackupTooOld", "critical", "logs")]),
    "no backup yet": (with_(backup("config", 2, age=None, verified=None)),
                      [("MaintenanceBackupBad", "critical", "config")]),
    "backup bad, nobody says why": (with_(look("backup database", 2)),
                                    [("MaintenanceBackupBad", "critical", "database")]),
    "backup never verified": (with_(backup("database", 1, verified=None)),
                              [("MaintenanceBackupNeverVerified", "warning", "database")]),
    "archive is not the record's": (with_(backup("database", 1)),
                                    [("MaintenanceBackupDoubtful", "warning", "database")]),
    "backup unknown": (with_(backup("database", 3, age=None, verified=None)), [("MaintenanceCheckUnknown", "warning")]),
    "backup not told of": (without("backup config"), [("MaintenanceBackupUnwatched", "critical", "config")]),
    "restore interrupted": (with_(look("backup restore", 2)),
                            [("MaintenanceCheckCritical", "critical")]),
    "service down": (with_(look("service", 2, restarts=0)), [("MaintenanceServiceDown", "critical")]),
    "page down": (with_(look(f"page {PAGE}", 2)), [("MaintenancePageDown", "critical")]),
    "page slow": (with_(look(f"page {PAGE}", 1, response_ms=501)), [("MaintenancePageSlow", "warning")]),
    "page fast enough": (with_(look(f"page {PAGE}", 0, response_ms=499)), []),
    "certificate": (with_(look(f"certificate {PAGE}", 1, certificate_days=20)),
                    [("MaintenanceCertificateExpires", "warning")]),
    "certificate, soon": (with_(look(f"certificate {PAGE}", 2, certificate_days=6)),
                          [("MaintenanceCertificateExpires", "critical")]),
    "errors": (with_(look("errors", 1, requests=3000, errors=6, error_percent=0.2)),
               [("MaintenanceErrorRateHigh", "warning")]),
    "few errors": (with_(look("errors", 0, requests=100, errors=1, error_percent=1)), []),
    "errors not known": (with_(look("errors", 3)), [("MaintenanceCheckUnknown", "warning")]),
    "database of 6 GB": (with_(look(f"database {DATABASE}", size_bytes=6 * GIGABYTE), look(f"size {DATABASE}", 1)),
                         [("MaintenanceDatabaseSizeNotice", "warning")]),
    "database of 9 GB": (with_(look(f"database {DATABASE}", size_bytes=9 * GIGABYTE), look(f"size {DATABASE}", 1)),
                         [("MaintenanceDatabaseSizeWarning", "warning")]),
    "database of 10 GB": (with_(look(f"database {DATABASE}", size_bytes=10 * GIGABYTE), look(f"size {DATABASE}", 2)),
                          [("MaintenanceDatabaseSizeCritical", "critical")]),
    "database of 10 GB, damaged": (
        with_(look(f"database {DATABASE}", 2, size_bytes=10 * GIGABYTE), look(f"size {DATABASE}", 2)),
        [("MaintenanceDatabaseSizeCritical", "critical"), ("MaintenanceDatabaseBad", "critical")]),
    "database gone": (with_(look(f"database {DATABASE}", 2)), [("MaintenanceDatabaseBad", "critical")]),
    "database damaged": (with_(look(f"database {DATABASE}", 2, size_bytes=2e7)),
                         [("MaintenanceDatabaseBad", "critical")]),
    "query slow": (with_(look(f"database {DATABASE}", size_bytes=2e7, query_ms=51), look(f"query {DATABASE}", 1)),
                   [("MaintenanceQuerySlow", "warning")]),
    "log large": (with_(look(f"database {DATABASE}", size_bytes=2e7, wal_bytes=2e9), look(f"log {DATABASE}", 1)),
                  [("MaintenanceWalLarge", "warning")]),
    "locks": (with_(look(f"locks {DATABASE}", 1, busy_percent=60)), [("MaintenanceLockContention", "warning")]),
    "disk nearly full": (
        with_(look("storage /", 2, size_bytes=1e11, free_bytes=9e9, used_percent=91, used_files_percent=5)),
        [("MaintenanceDiskSpaceLow", "critical")]),
    "disk of unknown size": (with_(look("storage /", 2, free_bytes=9e9, used_percent=50, used_files_percent=5)),
                             [("MaintenanceDiskSpaceLow", "critical")]),
    "small disk, fuller than it should be": (
        with_(look("storage /", 1, size_bytes=1e10, free_bytes=1e9, used_percent=90, used_files_percent=5)),
        [("MaintenanceDiskUsedHigh", "warning")]),
    "small disk, full": (
        with_(look("storage /", 2, size_bytes=1e10, free_bytes=1.9e8, used_percent=98.1, used_files_percent=5)),
        [("MaintenanceDiskSpaceLow", "critical")]),
    "small disk": (
        with_(look("storage /", 0, size_bytes=1e10, free_bytes=4e9, used_percent=60, used_files_percent=5)), []),
    "inodes": (with_(look("storage /", 1, size_bytes=1e11, free_bytes=6e10, used_percent=40, used_files_percent=91)),
               [("MaintenanceInodesUsedHigh", "warning")]),
    "no inodes": (
        with_(look("storage /", 2, size_bytes=1e11, free_bytes=6e10, used_percent=40, used_files_percent=98.1)),
        [("MaintenanceInodesLow", "critical")]),
    "memory": (with_(look("memory", 2, used_percent=91)), [("MaintenanceMemoryHigh", "critical")]),
    "processors": (with_(look("cpu", 1, busy_percent=81)), [("MaintenanceCpuBusy", "warning")]),
    "processors below the limit": (with_(look("cpu", 0, busy_percent=79)), []),
    "mail not known": (with_(look("mail", 3)), [("MaintenanceCheckUnknown", "warning")]),
    "a unit of ours failed": (with_(look("unit ff-backup.service", 2)), [("MaintenanceCheckCritical", "critical")]),
    "a timer is late": (with_(look("timer ff-backup.timer", 1, late_seconds=900)),
                        [("MaintenanceCheckWarning", "warning")]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_condition_fires_one_alert_and_recovers(case, tmp_path):
    found, alerts = CASES[case]
    expect(tmp_path, series(100, lambda minute: found if 10 <= minute < 80 else WELL),
           {9: [], 79: alerts, 90: [], 100: []})


@pytest.mark.parametrize("check", ["errors", "provider OpenAI"])
def test_what_may_be_unknown_is_the_operators_choice(check, tmp_path):
    unknown = series(100, lambda _minute: with_(look(check, 3), look("mail", 3)))
    expect(tmp_path, unknown, {100: [("MaintenanceCheckUnknown", "warning")]},
           {"monitoring_unknown_silent": ["errors", "provider"]})


def test_a_backup_that_was_not_made_fires_in_its_twenty_sixth_hour(tmp_path):
    def found(minute):
        if minute < 120:
            # Made 24 hours before the beginning, and again after two hours.
            age = 24 * 3600 + minute * 60
            return with_(backup("database", 2 if age > 25 * 3600 else 0, age=age))
        return WELL

    too_old = ("MaintenanceBackupTooOld", "critical", "database")
    expect(tmp_path, series(180, found), {60: [], 70: [too_old], 119: [too_old], 121: []}, alert_rule_test=[{
        "eval_time": "70m", "alertname": "MaintenanceBackupTooOld", "exp_alerts": [{
            "exp_labels": {"severity": "critical", "application": "feedforward", "kind": "database",
                           "instance": "host:9100", "job": "node"},
            "exp_annotations": {
                "summary": "The newest database backup of feedforward is 1d 1h 10m 0s old",
                "description": "Type `feedforward-maintenance status` and `feedforward-maintenance doctor` there."}}]}])


def test_a_backup_ages_although_the_monitor_is_silent(tmp_path):
    old = with_(backup("database", age=24 * 3600))
    expect(tmp_path, series(120, lambda minute: old if minute == 0 else None), {
        10: [], 90: [("MaintenanceMonitorSilent", "critical"), ("MaintenanceBackupTooOld", "critical", "database")]})


def test_a_silent_monitor_fires_and_recovers(tmp_path):
    silent = ("MaintenanceMonitorSilent", "critical")
    expect(tmp_path, series(120, lambda minute: None if 30 <= minute < 90 else WELL),
           {44: [], 50: [silent], 89: [silent], 91: [], 120: []})


def test_a_clock_that_is_ahead_is_no_sign_of_life(tmp_path):
    ahead = [{**one, "values": " ".join(str(60 * minute + 3600) for minute in range(61))}
             if one["series"].startswith("maintenance_last_run_") else one for one in series(60, lambda _minute: WELL)]
    expect(tmp_path, ahead, {30: [("MaintenanceMonitorSilent", "critical")]})


def test_a_monitor_that_never_was_there_fires(tmp_path):
    expect(tmp_path, [], {10: [], 20: [("MaintenanceMonitorAbsent", "critical")]})


@pytest.mark.parametrize("others", [0, 1])
def test_a_host_that_is_gone_fires(others, tmp_path):
    lost = series(120, lambda minute: "gone" if minute >= 30 else WELL)
    rest = series(120, lambda _minute: WELL, "other:9100") if others else []
    expect(tmp_path, lost + rest, {29: [], 60: [("MaintenanceMonitorAbsent", "critical")],
                                   120: [("MaintenanceMonitorAbsent", "critical")]})


def test_what_node_exporter_cannot_read_fires_where_the_monitor_is(tmp_path):
    scrape = [{"series": f'node_textfile_scrape_error{{instance="{name}",job="node"}}', "values": "0x29 1x60 0x30"}
              for name in ("host:9100", "not-ours:9100")]
    expect(tmp_path, series(120, lambda _minute: WELL) + scrape,
           {29: [], 80: [("MaintenanceTextfileUnreadable", "warning")], 110: []})


def test_a_restart_by_systemd_fires_for_an_hour(tmp_path):
    def found(minute):
        restarts = 1 if minute >= 30 else 0
        return with_(look("service", restarts, restarts=restarts))

    restarted = ("MaintenanceServiceRestarts", "warning")
    expect(tmp_path, series(150, found), {29: [], 40: [restarted], 80: [restarted], 120: []})


def test_another_application_is_not_ours(tmp_path):
    other = [{**one, "series": one["series"].replace("feedforward", "other")}
             for one in series(120, lambda _minute: with_(look("memory", 2, used_percent=95)))]
    expect(tmp_path, series(120, lambda _minute: WELL) + other, {120: []})


def test_a_condition_of_each_kind_is_tried():
    """Nobody adds a rule that was never seen to fire."""
    names = {rule["alert"] for group in yaml.safe_load(rules())["groups"] for rule in group["rules"]}
    tried = {alert[0] for _found, alerts in CASES.values() for alert in alerts}
    assert names - tried == {"MaintenanceMonitorSilent", "MaintenanceMonitorAbsent", "MaintenanceTextfileUnreadable",
                             "MaintenanceServiceRestarts"}
