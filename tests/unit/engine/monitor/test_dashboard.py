# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboard: what it answers, that unknown is never well, and that nothing it is given becomes HTML."""

from __future__ import annotations

import datetime as dt
import json
import re
from html.parser import HTMLParser

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.health import Finding
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.report import CRITICAL, OK, UNKNOWN, WARNING
from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor import dashboard, dashboard_answers
from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor.dashboard_style import DARK, LIGHT
from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor.history import Change, History
from ansible_collections.feedforward.maintenance.tests.unit.engine.monitor.dashboard_samples import (
    DATABASE,
    NOW,
    PAGE,
    changed,
    fill,
    ill,
    report_of,
    well,
    without,
)

HOUR = dt.timedelta(hours=1)
EPOCH = int(NOW.timestamp())
VOID = {"meta", "link", "br", "wbr", "img", "input", "hr"}


class Page(HTMLParser):
    """The elements and the text of a page; one that is not well formed is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words, self.open = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _value in attrs]
        assert len(names) == len(set(names))
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "title", "desc"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """Eight days of a host that is well but for three things."""
    with History(str(tmp_path_factory.mktemp("history") / "history.db")) as filled:
        fill(filled, 8.0)
        yield filled


@pytest.fixture()
def empty(tmp_path):
    with History(str(tmp_path / "history.db")) as opened:
        yield opened


# The samples have no log of a reverse proxy, and an operator who does not want to hear of it.
SILENT = {"unknown_silent": ("errors",)}


def rendered(report, history, now=NOW, **more):
    """The page and its text."""
    text = dashboard.render(report, history, now, application="FeedForward", host="web1.example", **{**SILENT, **more})
    return Page(text), text


def test_the_page_stands_alone(history):
    page, text = rendered(well(), history)
    assert not {tag for tag, _attributes in page.elements} & {"script", "img", "iframe", "object", "form", "base"}
    assert not re.search(r'\b(?:src|href)=(?!"(?:#|data:))|url\(|@import', text)
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    assert not any(name.startswith("on") for _tag, attributes in page.elements for name in attributes)
    assert len(well().findings) >= 28 and len(text.encode()) < 300_000


def test_the_page_can_be_read_without_seeing(history):
    page, text = rendered(well(), history)
    assert page.all("html") == [{"lang": "en"}] and len(page.all("h1")) == len(page.all("main")) == 1
    levels = [int(tag[1]) for tag, _attributes in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and all(after - before <= 1 for before, after in zip(levels, levels[1:]))
    identities = [attributes["id"] for _tag, attributes in page.elements if "id" in attributes]
    assert len(identities) == len(set(identities))
    for _tag, attributes in page.elements:
        assert set(attributes.get("aria-labelledby", "").split()) <= set(identities)
    assert all(one["role"] == "img" and one["aria-labelledby"] for one in page.all("svg"))
    assert len(page.all("table")) == len(page.all("caption")) >= 8
    assert all("scope" in one for one in page.all("th"))
    assert {link["href"] for link in page.all("a")} <= {f"#{identity}" for identity in identities}


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.1)."""
    parts = [int(colour[place:place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_every_colour_of_text_has_contrast(colours):
    pairs = [(ink, paper) for ink in ("text", "muted", "accent") for paper in ("page", "card")]
    pairs += [(state, paper) for state in ("ok", "warning", "critical", "unknown")
              for paper in (f"{state}-back", "card")]
    assert {pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in pairs
            if contrast(colours[pair[0]], colours[pair[1]]) < 4.5} == {}


def test_what_is_well_is_said_at_a_glance(history):
    page, _text = rendered(well(), history)
    assert "FeedForward on web1.example ✓ OK 27 checks are well" in page.text
    assert "If this is more than 15 minutes ago, monitoring has stopped" in page.text
    assert f"Is it up?✓OK: YesPage {PAGE}: 200 in" in page.text
    assert "Last good backup?✓OK: 3 h 46 min agoDoes it restore? Verified 3 h 43 min ago." in page.text
    assert "What is filling up?!Warning: Full in 27 daysStorage of / is full about" in page.text
    assert "by 1.5 GB a day." in page.text
    assert "What went wrong this week?!Warning: 2 thingsService feedforward.service: over." in page.text
    assert "28 findings: 1 unknown, 27 OK." in page.text


def test_what_went_wrong_is_listed(history):
    page, _text = rendered(well(), history)
    assert re.search(r"Service feedforward.service✕ Criticalit is failed \(failed, exit-code\)Over since "
                     r".*?once, 2 h 4", page.text)
    assert re.search(rf"Page {PAGE}! Warning200 in 812 ms, more than 500 msOver since .*?2 times, ", page.text)
    assert re.search(r"The monitor itself\? UnknownIt did not run, .*?once, 5 h", page.text)
    assert "3 critical, 4 without a run of the monitor" in page.text


def test_what_is_ill(history, tmp_path):
    page, text = rendered(ill(), history)
    assert "✕ Critical" in page.text and "Is it up?✕Critical: No" in page.text
    assert "failed: <no space>" in page.text and "<script>alert(2)</script>" in page.text
    assert page.all("script") == page.all("img") == [] and "<no space>" not in text
    assert "\x1b" not in text and "\u202e" not in text and r"\x1b[31m\u202e" in page.text


def test_no_message_of_a_log_and_no_address_is_shown(history):
    page, text = rendered(ill(), history)
    assert "anna" not in text and "an essay" not in text and "of another form" in page.text
    assert "of another formnot told6" in page.text
    page, _text = rendered(well(), history)
    for told in ("httpx.ReadTimeoutservices/ai_client.py:2124", "OperationalErrorapp/db.py:882", "ValueErrornot told1"):
        assert told in page.text


def test_nothing_known_is_unknown_everywhere(empty):
    page, _text = rendered(report_of([]), empty)
    for question in ("Is it up?", "Last good backup?", "What is filling up?", "What went wrong this week?"):
        assert f"{question}?Unknown: Unknown" in page.text
    assert "OK" not in page.text and "168 without a run of the monitor" in page.text
    assert [word for word in ("Nothing is measured yet", "nothing looks at the use of AI", "nothing could be counted")
            if word not in page.text] == []


def test_a_figure_that_is_missing_is_unknown_and_not_zero(history):
    nothing = {"level": UNKNOWN, "text": "late", "figures": {}}
    report = changed(well(), cpu=nothing, ai=nothing)
    page, _text = rendered(report, history)
    assert "CPU? Unknown now" in page.text and "Calls today? Unknown now" in page.text
    page, _text = rendered(changed(well(), ai={"figures": {"calls_today": 3.0}}), history)
    assert "Calls today3" in page.text and "Cost today? Unknown now" in page.text


def test_a_check_that_may_be_unknown_does_not_make_the_whole_unknown(history):
    page, _text = rendered(well(), history, unknown_silent=())
    assert "web1.example ? Unknown Requests: no log of a reverse proxy" in page.text
    assert dashboard.summary(well(), NOW, host="h", **SILENT)["state"] == "OK"
    assert dashboard.summary(well(), NOW, host="h", unknown_silent=())["state"] == "UNKNOWN"
    broken = changed(well(), errors={"level": CRITICAL})
    assert dashboard.summary(broken, NOW, host="h", **SILENT)["state"] == "CRITICAL"


def test_a_history_that_was_damaged_is_said(tmp_path):
    path = tmp_path / "history.db"
    path.write_text("no database, but a text")
    with History(str(path)) as damaged:
        damaged.record(well(), NOW)
        page, _text = rendered(well(), damaged)
    assert "was damaged" in page.text and "Not known yet" in page.text and "The history has just begun." in page.text


def test_the_alerts_of_this_week(empty):
    assert re.search(r"Alerts of this week *None\.", rendered(well(), empty)[0].text)
    for number in range(31):
        empty.tell([(2, "CRITICAL", "Storage <b>", f"told {number}")], NOW - HOUR * (31 - number))
    empty.tell([(0, "RECOVERED", "Storage <b>", "an eighth day")], NOW - HOUR * 24 * 8)
    page, _text = rendered(well(), empty)
    assert re.search(r"Alerts of this week.*1 older ones are left out.*CRITICAL.*Storage <b>.*told 30\D.*told 1\D",
                     page.text)
    assert not re.search(r"told 0\D", page.text) and "eighth" not in page.text


def test_many_checks_stay_small(history):
    more = [Finding(OK, f"page http://host{number}/", f"Page {number}", "x" * 400, {"response_ms": 5.0})
            for number in range(30)]
    _page, text = rendered(report_of([*well().findings, *more]), history)
    assert len(text.encode()) < 300_000 and "are not drawn" in text


@pytest.mark.parametrize("report, level, verdict", [
    (well(), OK, "Yes"),
    (changed(well(), page={"level": WARNING}), WARNING, "Yes, with a warning"),
    (changed(well(), page={"level": CRITICAL}), CRITICAL, "No"),
    (changed(well(), service={"level": CRITICAL}), CRITICAL, "In part"),
    (changed(well(), database={"level": CRITICAL, "figures": {}}), CRITICAL, "In part"),
    (changed(well(), database={"level": CRITICAL}), CRITICAL, "In part"),
    (changed(well(), service={"level": UNKNOWN}), UNKNOWN, "It answers; the rest is unknown"),
    (changed(well(), page={"level": UNKNOWN}), UNKNOWN, "Unknown"),
    (without(well(), "page", "service", "database", "open"), UNKNOWN, "Unknown"),
])
def test_is_it_up(report, level, verdict):
    found = dashboard_answers.is_it_up(report)
    assert (found.level, found.verdict) == (level, verdict)


def backup(kind, level, **figures):
    return Finding(level, f"backup {kind}", "Backup", f"{kind}: words", figures)


@pytest.mark.parametrize("findings, level, verdict, told", [
    ([], UNKNOWN, "Unknown", "Nothing looks at the backups."),
    ([backup("database", CRITICAL)], CRITICAL, "None is known", "Backup: database: words"),
    ([backup("database", OK, age_seconds=7200.0, verified_age_seconds=60.0)], OK, "2 h 0 min ago",
     "Verified 1 min 0 s ago."),
    ([backup("database", OK, age_seconds=7200.0)], UNKNOWN, "2 h 0 min ago", "Unknown: it was not verified."),
    ([backup("database", CRITICAL, age_seconds=5_400_000.0, verified_age_seconds=5_400_000.0)], CRITICAL,
     "62 d 12 h ago", "Backup: database: words"),
    ([backup("logs", OK, age_seconds=60.0, verified_age_seconds=1.0),
      backup("database", OK, age_seconds=7200.0, verified_age_seconds=60.0)], OK, "2 h 0 min ago",
     "all of logs, database"),
    ([backup("logs", WARNING, age_seconds=60.0, verified_age_seconds=1.0),
      backup("full", OK, age_seconds=7200.0, verified_age_seconds=60.0)], WARNING, "2 h 0 min ago", "logs: words"),
])
def test_the_last_good_backup(findings, level, verdict, told):
    found = dashboard_answers.last_backup(report_of(findings))
    assert (found.level, found.verdict) == (level, verdict) and told in " ".join(found.details)


def growing(empty, free, level=OK, days=6.0, size=0.0):
    """The answer after ``days`` in which ``free(days ago)`` bytes were left."""
    for number in range(int(days * 24), -1, -1):
        figures = {"size_bytes": 4e9 - size * number / 24}
        report = report_of([Finding(level, "storage /", "Storage", "words", {"free_bytes": free(number / 24)}),
                            Finding(OK, f"database {DATABASE}", "Database", "", figures)])
        empty.record(report, NOW - number * HOUR)
    return dashboard_answers.what_fills_up(report, empty, NOW, 10e9)


@pytest.mark.parametrize("free, more, level, verdict, told", [
    (lambda ago: 50e9, {}, OK, "Nothing within a year", "Storage: words"),
    (lambda ago: 50e9 + ago * 1e9, {}, OK, "Nothing soon", "Storage is full about Wed 13 Jan 2027, by 1.0 GB a day."),
    (lambda ago: 10e9 + ago * 1e9, {}, WARNING, "Full in 10 days", "Fri 4 Dec 2026"),
    (lambda ago: 1e9 + ago * 1e9, {}, WARNING, "Full in a day", "Wed 25 Nov 2026"),
    (lambda ago: 9e9, {"level": CRITICAL}, CRITICAL, "Little is left", "Storage: words"),
    (lambda ago: 10e9 + ago * 1e9, {"level": CRITICAL}, CRITICAL, "Full in 10 days", "Storage: words"),
    (lambda ago: 50e9 + ago * 9e9, {"days": 0.5}, UNKNOWN, "Not known yet", "less than 24 hours"),
    (lambda ago: 50e9, {"size": 0.3e9}, WARNING, "Full in 20 days", "Database comes to 10.0 GB about Mon 14 Dec 2026"),
])
def test_what_is_filling_up(empty, free, more, level, verdict, told):
    found = growing(empty, free, **more)
    assert (found.level, found.verdict) == (level, verdict) and told in " ".join(found.details), found


def change(minutes_ago, check, level):
    return Change(EPOCH - 60 * minutes_ago, check, level, check.capitalize(), f"words {level}")


def runs_until(minutes_ago=0):
    return [(EPOCH - 300 * number, OK) for number in range(2016, minutes_ago // 5 - 1, -1)]


def test_episodes_join_what_follows_on():
    changes = [change(500, "cpu", OK), change(400, "cpu", WARNING), change(390, "cpu", CRITICAL),
               change(380, "cpu", WARNING), change(370, "cpu", OK), change(300, "cpu", UNKNOWN),
               change(290, "cpu", None), change(200, "memory", CRITICAL), change(100, "disk", WARNING),
               change(95, "disk", OK)]
    found = dashboard_answers.troubles_since(changes, runs_until(), NOW - 168 * HOUR, NOW)
    assert [(one.title, one.level, one.text, len(one.episodes), one.seconds, one.lasts) for one in found] == [
        ("Memory", CRITICAL, "words 2", 1, 12_000, True), ("Cpu", CRITICAL, "words 2", 2, 2400, False),
        ("Disk", WARNING, "words 1", 1, 300, False)]


def test_what_began_before_and_what_ended_before():
    since = NOW - HOUR
    changes = [change(300, "cpu", CRITICAL), change(300, "disk", CRITICAL), change(200, "disk", OK)]
    (found,) = dashboard_answers.troubles_since(changes, runs_until(), since, NOW)
    assert (found.title, found.seconds, found.lasts) == ("Cpu", 3600, True)


def test_a_monitor_that_did_not_run_is_no_quiet_week():
    (found,) = dashboard_answers.troubles_since([], runs_until(60), NOW - 168 * HOUR, NOW)
    assert found.title == "The monitor itself" and found.level == UNKNOWN and found.seconds == 3600
    answer = dashboard_answers.what_went_wrong([found], EPOCH - 10 ** 6, NOW)
    assert (answer.level, answer.verdict) == (UNKNOWN, "Not all is known")
    assert answer.details == ("The monitor itself: unknown for 1 h 0 min.",)


def test_a_quiet_week():
    answer = dashboard_answers.what_went_wrong([], EPOCH - 10 ** 6, NOW)
    assert (answer.level, answer.verdict, answer.details) == (OK, "Nothing", ())
    young = dashboard_answers.what_went_wrong([], EPOCH - 7200, NOW)
    assert young.details == ("Known for 2 h 0 min only.",)


def test_levels_of_runs():
    changes = [change(20, "cpu", WARNING), change(15, "disk", CRITICAL), change(10, "disk", None), change(5, "cpu", OK)]
    found = dashboard_answers.levels_of(changes, [(EPOCH - 60 * ago, OK) for ago in (25, 20, 15, 10, 5)])
    assert [level for _at, level in found] == [UNKNOWN, WARNING, CRITICAL, WARNING, OK]


def test_a_summary_is_json_and_tells_when():
    found = json.loads(json.dumps(dashboard.summary(well(), NOW, host="web1", **SILENT)))
    assert (found["host"], found["application"], found["state"]) == ("web1", "feedforward", "OK")
    assert found["written_at"] == "2026-11-24T05:47:00Z" and found["last_backup_at"] == "2026-11-24T02:00:04Z"
    assert found["last_verified_at"] == "2026-11-24T02:03:11Z"
    assert found["checks"]["errors"]["state"] == "UNKNOWN" and len(found["checks"]) == len(well().findings)
    assert dashboard.summary(report_of([]), NOW, host="x")["last_backup_at"] is None


def fleet_of(*pages):
    text = dashboard.fleet(pages, NOW)
    return Page(text), text


def test_the_fleet_has_the_worst_first():
    before = NOW - dt.timedelta(minutes=5)
    page, _text = fleet_of(("a", dashboard.summary(well(), NOW, host="a", **SILENT)),
                           ("b.example", dashboard.summary(ill(), before, host="b", **SILENT)), ("c", None))
    assert "3 hosts: 1 well, 1 critical, 1 without a word" in page.text
    assert re.search(r"b\.examplefeedforward✕ Critical.*c\? No wordit wrote nothing.*afeedforward✓ OK", page.text)
    assert [link["href"] for link in page.all("a")] == ["b.example.html", "a.html"]
    assert "CPU: it had not ended" in page.text and "reverse proxy" not in page.text and "just now" in page.text
    assert "5 min 0 s ago" in page.text and "verified 3 h 43 min ago" in page.text


@pytest.mark.parametrize("given, told", [
    (None, "it wrote nothing that could be fetched"), ({}, "cannot be understood"), ([1], "it wrote nothing"),
    ({"state": "OK"}, "cannot be understood"), ({"state": "WELL", "written_at": "2026-11-24T05:47:00Z"}, "understood"),
    ({"state": ["OK"], "written_at": "2026-11-24T05:47:00Z"}, "cannot be understood"),
    ({"state": "OK", "written_at": 5}, "cannot be understood"), ({"state": "OK", "written_at": "9" * 99}, "understood"),
    ({"state": "OK", "written_at": "2026-11-24T05:31:00Z", "summary": "fine"},
     "silent for 16 min 0 s; its last word: fine"),
    ({"state": "OK", "written_at": "2026-11-24T05:55:00Z"}, "its clock is 8 min 0 s ahead"),
])
def test_a_host_without_a_word_is_not_well(given, told):
    page, _text = fleet_of(("web", given))
    assert told in page.text and "? No word" in page.text and "1 hosts: 1 without a word" in page.text
    assert "OK" not in page.text.replace("Findings that are not OK", "")


def test_a_hostile_host_spoils_nothing():
    evil = "<script>alert(1)</script>"
    page, text = fleet_of((f'"><{evil}/../x', {
        "state": "WARNING", "written_at": "2026-11-24T05:47:00Z", "summary": evil * 100, "application": evil,
        "last_backup_at": evil, "last_verified_at": [], "checks": {evil: {"state": evil, "title": 5, "text": evil},
                                                                   "x": None, "y": {"state": "OK"}}}))
    assert page.all("script") == [] and "<script" not in text
    assert [link["href"] for link in page.all("a")] == [
        "%22%3E%3C%3Cscript%3Ealert%281%29%3C%2Fscript%3E%2F..%2Fx.html"]
    assert page.text.count("? Unknown") == 2


def test_an_empty_fleet_is_not_well():
    page, _text = fleet_of()
    assert "? Unknown 0 hosts: none" in page.text and "There is no host." in page.text
