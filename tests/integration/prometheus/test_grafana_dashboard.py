# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboard for Grafana: it asks for metrics that exist, by labels that they have, in PromQL."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from itertools import combinations

import pytest
from prometheus_support import DASHBOARD, everything, promtool

from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor.metrics import METRICS

BOARD = json.loads(DASHBOARD.read_text(encoding="utf-8"))
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]
ROOMS = ["Overview", "Backups", "Database", "Host", "Pages", "AI"]


def labels_of_all():
    """The labels of each metric, as ``render`` writes them, and those that Prometheus adds."""
    text = everything(datetime.now(timezone.utc))
    found = {name: set(re.findall(r'(\w+)="', labels)) for name, labels in re.findall(r"(?m)^(\w+)\{(.*)\}", text)}
    return {name: labels | {"instance", "job"} for name, labels in found.items()}


LABELS = labels_of_all()


def test_it_asks_for_metrics_that_exist():
    assert set(LABELS) == set(METRICS)
    used = {name for expression in EXPRESSIONS for name in re.findall(r"\bmaintenance_\w+", expression)}
    assert used <= set(METRICS)
    # What the monitor tells is on the dashboard, too.
    assert set(METRICS) - used == set()


@pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
def test_a_panel_shows_labels_that_its_metrics_have(panel):
    for target in panel["targets"]:
        (first, *_others) = re.findall(r"\bmaintenance_\w+", target["expr"])
        shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        for transformation in panel.get("transformations", []):
            shown |= set(transformation["options"]["renameByName"]) - {"Value"}
        assert shown <= LABELS[first]
        matched = set(re.findall(r"[{,](\w+)=", target["expr"]))
        assert {"application", "instance"} <= matched <= LABELS[first]


def test_its_variables_choose_application_and_host():
    by_name = {variable["name"]: variable for variable in BOARD["templating"]["list"]}
    assert list(by_name) == ["datasource", "application", "instance"]
    assert (by_name["datasource"]["type"], by_name["datasource"]["query"]) == ("datasource", "prometheus")
    assert all(panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"} for panel in PANELS)
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(BOARD["panels"]))) == set(by_name)


def test_its_rows_and_panels_have_their_places():
    assert BOARD["schemaVersion"] >= 37 and BOARD["id"] is None
    assert [panel["title"] for panel in BOARD["panels"] if panel["type"] == "row"] == ROOMS
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
    assert all(panel["title"] and panel["description"] for panel in PANELS)

    def apart(one, other):
        return (one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
                or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"])

    places = [panel["gridPos"] for panel in BOARD["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    assert all(apart(one, other) for one, other in combinations(places, 2))


@pytest.mark.needs("promtool")
def test_promtool_reads_its_expressions(tmp_path):
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": [
        {"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(EXPRESSIONS)]}]}),
        encoding="utf-8")
    assert f"{len(EXPRESSIONS)} rules found" in promtool("check", "rules", str(file))
