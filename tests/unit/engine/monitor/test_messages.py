# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How alerts read: the subject is one line, nothing breaks out of the text, and nothing is added to what was found."""

from __future__ import annotations

import datetime as dt
import html
import html.parser
import json
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.module_utils.alerting import Message
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.health import Finding
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.report import (
    CRITICAL,
    OK,
    UNKNOWN,
    WARNING,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor import messages
from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor.alerts import EVENT_KINDS, Event
from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor.messages import compose

NOW = dt.datetime(2026, 11, 24, 5, 47, 10, tzinfo=dt.timezone.utc)
SINCE = NOW - dt.timedelta(minutes=10)
STORAGE = Finding(CRITICAL, "storage /", "Storage", "1.2 GB free (4%), less than 10.0 GB")


@pytest.fixture(autouse=True)
def zurich(monkeypatch):
    """A host whose clock is an hour ahead of UTC."""
    monkeypatch.setenv("TZ", "Europe/Zurich")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class Pieces(html.parser.HTMLParser):
    """The elements of a page, its texts, and the addresses that it names."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[str] = []
        self.addresses: list[str] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.addresses += [str(value) for name, value in attrs if name in ("href", "src", "srcset", "style")
                           or name.startswith("on")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)


def event(kind: str = "problem", level: int = CRITICAL, previous: int = OK, **changes: object) -> Event:
    fields = {"check": STORAGE.check, "title": STORAGE.title, "text": STORAGE.text, "since": SINCE, **changes}
    return Event(kind=kind, level=level, previous=previous, **fields)


def told(*events: Event, findings: tuple[Finding, ...] = (STORAGE,), **changes: str) -> Message:
    return compose("feedforward", "host1", events, findings, NOW, **changes)


@pytest.mark.parametrize("found, subject", [
    (event(), "CRITICAL: Storage: 1.2 GB free (4%), less than 10.0 GB"),
    (event("worse", previous=WARNING), "CRITICAL (was WARNING): Storage: 1.2 GB free (4%), less than 10.0 GB"),
    (event("better", WARNING, CRITICAL, text="12 GB"), "WARNING (was CRITICAL): Storage: 12 GB"),
    (event("recovery", OK, CRITICAL, text="90 GB"), "RECOVERED: Storage: 90 GB"),
    (event("reminder", previous=CRITICAL, text="1 GB"), "REMINDER: CRITICAL: Storage: 1 GB"),
    (event("unsteady", text="1 GB"), "UNSTEADY: Storage: 1 GB"),
    (event("steady", text="1 GB"), "CRITICAL (steady): Storage: 1 GB"),
    (event("steady", OK, CRITICAL, text="90 GB"), "RECOVERED: Storage: 90 GB"),
    (event("gone", previous=CRITICAL, text="1 GB"), "GONE: Storage: 1 GB"),
    (event(level=UNKNOWN, text="?"), "UNKNOWN: Storage: ?"),
])
def test_the_subject(found, subject):
    assert told(found).subject == f"[feedforward@host1] {subject}"
    assert told(found).payload["summary"] == subject


def test_the_subject_begins_with_the_worst():
    found = told(event("recovery", OK, check="a", title="A"), event("reminder", check="b", title="B"),
                 event(level=WARNING, check="c", title="C"), event(check="d", title="D", text="down"))
    assert found.subject == "[feedforward@host1] CRITICAL: D: down (and 3 more)"
    assert [one["check"] for one in found.payload["events"]] == ["d", "c", "b", "a"]


def test_a_long_subject_keeps_the_number_of_the_others():
    found = told(event(text="x" * 500), event(check="b"), event(check="c"))
    assert len(found.subject) == 150 and found.subject.endswith("xxx... (and 2 more)")


def test_the_text():
    found = told(event(), event("recovery", OK, WARNING, check="cpu", title="CPU", text="20% in use"), findings=(
        STORAGE, Finding(OK, "cpu", "CPU", "20% in use"), Finding(UNKNOWN, "errors", "Errors", "no log is configured"),
        Finding(CRITICAL, "backup full", "Backup", "full: no backup has been made yet"), Finding(OK, "a", "A", "fine")),
        dashboard_url="https://host1.example/maintenance/")
    assert found.text == """\
feedforward on host1, 2026-11-24 06:47:10 CET (2026-11-24T05:47:10Z)

CRITICAL: Storage
  1.2 GB free (4%), less than 10.0 GB
  Not well since 2026-11-24 06:37:10 CET (2026-11-24T05:37:10Z) (10 min 0 s).

RECOVERED: CPU
  20% in use
  It was WARNING, not well since 2026-11-24 06:37:10 CET
    (2026-11-24T05:37:10Z) (10 min 0 s).

Also not well now:
  CRITICAL: Backup: full: no backup has been made yet
  UNKNOWN: Errors: no log is configured

To see all of it, run 'feedforward-maintenance health' on host1;
  'feedforward-maintenance doctor' tells why a backup is not made.
Dashboard: https://host1.example/maintenance/
"""


def test_the_text_when_all_is_well_again():
    found = told(event("recovery", OK, CRITICAL, text="90 GB free"),
                 findings=(Finding(OK, "storage /", "Storage", "90 GB free"),))
    assert found.text.splitlines()[-3:] == ["Everything else that was looked at is well.", "",
                                            "Nothing has to be done."]
    assert (found.payload["level"], found.payload["state"], found.payload["problems"]) == (OK, "OK", [])


def test_what_is_found_now_stands_beside_what_is_told():
    found = told(event("reminder", text="1.3 GB free"))
    assert "  1.3 GB free\n" in found.text
    assert "  Now: CRITICAL: 1.2 GB free (4%), less than 10.0 GB\n" in found.text
    assert "Now:" not in told(event(text=STORAGE.text[:20])).text


def test_what_to_do_about_a_silence():
    found = told(event(level=WARNING, check="silence 1", title="Silence 1"), findings=())
    assert "'feedforward-maintenance alert end ID' ends one." in " ".join(found.text.split())


def test_in_utc_an_instant_stands_once(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert told(event()).text.startswith("feedforward on host1, 2026-11-24 05:47:10 UTC\n")


def test_an_instant_that_no_local_clock_has(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    first = dt.datetime(1, 1, 1, tzinfo=dt.timezone.utc)
    assert "Not well since" in told(event(since=first)).text


def test_an_instant_ahead_of_the_clock():
    assert "(0.00 s)" in told(event(since=NOW + dt.timedelta(days=1))).text


def test_the_payload():
    found = told(event("worse", CRITICAL, WARNING), findings=(STORAGE, Finding(WARNING, "cpu", "CPU", "90%")),
                 dashboard_url="https://host1.example/")
    payload = json.loads(json.dumps(found.payload))
    assert payload == {
        "schema": "feedforward-maintenance alert", "schema_version": 1, "id": found.id, "application": "feedforward",
        "host": "host1", "created": "2026-11-24T05:47:10Z", "level": CRITICAL, "state": "CRITICAL",
        "summary": found.subject.partition("] ")[2],
        "events": [{"kind": "worse", "check": "storage /", "title": "Storage", "level": CRITICAL, "state": "CRITICAL",
                    "previous": WARNING, "previous_state": "WARNING", "text": STORAGE.text,
                    "since": "2026-11-24T05:37:10Z"}],
        "problems": [{"check": "storage /", "title": "Storage", "level": CRITICAL, "state": "CRITICAL",
                      "text": STORAGE.text},
                     {"check": "cpu", "title": "CPU", "level": WARNING, "state": "WARNING", "text": "90%"}],
        "left_out": 0, "dashboard_url": "https://host1.example/"}


def test_the_level_is_that_of_the_whole():
    well = Finding(OK, "a", "A", "fine")
    assert told(event("recovery", OK, CRITICAL), findings=(well,)).payload["state"] == "OK"
    assert told(event("gone", CRITICAL, CRITICAL), findings=(well,)).payload["state"] == "OK"
    assert told(event("recovery", OK, CRITICAL, check="b"), findings=(STORAGE,)).payload["state"] == "CRITICAL"
    assert told(event(level=WARNING, check="monitor"), findings=(well,)).payload["state"] == "WARNING"
    assert told(findings=()).payload["state"] == "OK" and told(findings=()).subject.endswith("nothing has changed")


def test_a_password_in_an_address_is_not_told():
    address = "https://anna:hunter2@host1.example/x"
    found = told(event(check=f"page {address}", title=f"Page {address}", text=f"it answers 303, to {address}"),
                 findings=(Finding(WARNING, f"certificate {address}", f"Certificate of {address}", address),),
                 dashboard_url=address)
    everything = found.subject + found.text + found.html + json.dumps(found.payload)
    assert "hunter2" not in everything and "anna" not in everything and "https://host1.example/x" in everything


def test_many_events_are_counted():
    many = [Finding(WARNING, f"unit {number}", f"Unit {number}", "it failed") for number in range(250)]
    found = told(*(event(level=WARNING, check=one.check, title=one.title, text=one.text) for one in many[:120]),
                 findings=tuple(many))
    assert found.text.count("WARNING: Unit") == 200
    assert "And 20 more." in found.text and "  And 30 more." in found.text
    assert (len(found.payload["events"]), len(found.payload["problems"]), found.payload["left_out"]) == (100, 100, 170)


def test_ids_differ_and_fit_a_file_name():
    names = {told(event()).id for _time in range(50)}
    assert len(names) == 50
    assert all(re.fullmatch(r"20261124T054710Z-[0-9a-f]{12}", name) for name in names)
    assert told(event()).created == NOW


def test_the_page_is_whole_and_readable_in_the_dark():
    found = told(event(), event("recovery", OK, check="b"), findings=(STORAGE, Finding(WARNING, "c", "C", "x")),
                 dashboard_url="https://host1.example/?a=1&b=2")
    pieces = Pieces(found.html)
    assert pieces.open == [] and pieces.addresses == ["https://host1.example/?a=1&b=2"]
    assert "prefers-color-scheme:dark" in found.html and 'content="light dark"' in found.html
    assert not {"script", "img", "link", "iframe"} & set(pieces.elements)
    assert "url(" not in found.html and "@import" not in found.html
    said = " ".join("".join(pieces.texts).split())
    for line in (STORAGE.text, "Also not well now:", "WARNING: C: x", "CRITICAL: Storage"):
        assert line in said


def test_the_message_of_a_test():
    found = messages.test_message("feedforward", "host1", "webhook-1", NOW)
    assert found.subject == "[feedforward@host1] TEST: alerts arrive by webhook-1"
    assert "This is a test" in found.text and "This is a test" in found.html
    assert (found.payload["test"], found.payload["level"], found.payload["events"]) == (True, OK, [])
    assert Pieces(found.html).open == []


hostile = st.text(max_size=60) | st.sampled_from([
    "a\r\nBcc: x@example.org", "</p><script>alert(1)</script>", "\u2028\u202e\x00\x1b[2J", "\ud800", "Dashboard: https://x/",
    "x" * 700, "https://u:p@h/", "<img src=https://x/>", '" onload="x'])
events = st.lists(st.builds(
    Event, st.sampled_from(EVENT_KINDS), hostile, hostile, st.integers(0, 3), st.integers(0, 3), hostile,
    st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2100, 1, 1), timezones=st.just(dt.timezone.utc))), max_size=4)
found_ones = st.lists(st.builds(Finding, st.integers(0, 3), hostile, hostile, hostile), max_size=4)


@given(hostile, hostile, events, found_ones)
@settings(deadline=None)
def test_nothing_breaks_out(application, host, told_ones, found):
    message = compose(application, host, told_ones, found, NOW, "https://host1.example/")
    assert len(message.subject) <= 150 and message.subject.isprintable()
    assert all(line.isprintable() for line in message.text.splitlines())
    json.dumps(message.payload, allow_nan=False).encode("ascii")
    pieces = Pieces(message.html)
    assert pieces.open == [] and pieces.addresses == ["https://host1.example/"]
    assert {"script", "img"}.isdisjoint(pieces.elements)
    message.html.encode("utf-8"), message.text.encode("utf-8")


@given(events, found_ones)
@settings(deadline=None)
def test_everything_that_is_not_well_is_in_it(told_ones, found):
    message = compose("feedforward", "host1", told_ones, found, NOW)
    assert len(message.payload["events"]) == len(told_ones)
    assert len(message.payload["problems"]) == sum(one.level != OK for one in found)
    said = " ".join("".join(Pieces(message.html).texts).split())
    for one in message.payload["problems"]:
        assert " ".join(one["text"].split()) in said or one["check"] in {each["check"] for each in
                                                                         message.payload["events"]}
