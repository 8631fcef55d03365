# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of what is found: once, not too soon, not for ever, and never nothing of what stays bad."""

from __future__ import annotations

import datetime as dt
import json
import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.module_utils.alerting import Alerting
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import DestinationError
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.health import Finding
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.report import (
    CRITICAL,
    OK,
    UNKNOWN,
    WARNING,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor.alerts import (
    EVENT_KINDS,
    MEMORY_CHECK,
    MOST_CONDITIONS,
    AlertState,
    Event,
    decide,
    load_state,
    save_state,
)

START = dt.datetime(2026, 11, 24, 5, 0, tzinfo=dt.timezone.utc)
RUN = dt.timedelta(minutes=5)
CALM = Alerting(flap_changes=1000, unknown_silent=("errors",))
W, C, U = WARNING, CRITICAL, UNKNOWN


class Monitor:
    """Runs every five minutes; it forgets nothing but what a file would not hold."""

    def __init__(self, policy: Alerting = CALM) -> None:
        self.policy, self.state, self.now = policy, AlertState(), START
        self.quiet: tuple[str, ...] = ()

    def run(self, **levels: int) -> list[Event]:
        """What one run tells of the checks that are found at these levels."""
        return self.found(*(Finding(level, name, name.capitalize(), f"text {level}") for name, level in levels.items()))

    def found(self, *findings: Finding) -> list[Event]:
        self.state, events = decide(self.state, findings, self.now, self.policy,
                                    lambda check: bool(self.quiet) and check.startswith(self.quiet))
        self.now += RUN
        return list(events)

    def runs(self, *levels: int) -> list[tuple[int, str, int]]:
        """Number of the run, kind and level of each event of one check."""
        return [(number, event.kind, event.level) for number, level in enumerate(levels)
                for event in self.run(disk=level)]


@pytest.mark.parametrize("levels, told", [
    ([OK, OK, OK], []),
    ([C, C, C, C], [(1, "problem", C)]),
    ([OK, C, OK, C, OK], []),
    ([OK, C, C, C, OK, OK, OK], [(2, "problem", C), (5, "recovery", OK)]),
    ([W, W, C, C, W, W, OK, OK], [(1, "problem", W), (3, "worse", C), (5, "better", W), (7, "recovery", OK)]),
    ([W, W, C, W, OK, W], [(1, "problem", W)]),
    ([U, U, OK, OK], [(1, "problem", U), (3, "recovery", OK)]),
    ([W, W, U, U, W, W], [(1, "problem", W), (3, "worse", U), (5, "better", W)]),
    # Not to know is no progress.
    ([C, C, U, U, C, C], [(1, "problem", C), (3, "worse", U), (5, "worse", C)]),
    # Bad in another way each time is bad.
    ([OK, W, C, W, C, W], [(2, "problem", C)]),
])
def test_one_check(levels, told):
    assert Monitor().runs(*levels) == told


def test_once_is_enough_where_it_is_wanted():
    assert Monitor(replace(CALM, confirm_runs=1)).runs(OK, C, OK, OK) == [(1, "problem", C), (2, "recovery", OK)]
    assert Monitor(replace(CALM, confirm_runs=3)).runs(C, C, C, OK, OK, OK) == [(2, "problem", C), (5, "recovery", OK)]


def test_what_an_event_says():
    monitor = Monitor()
    monitor.run(disk=OK)
    began = monitor.now
    monitor.found(Finding(W, "disk", "Disk", "80 %"))
    (problem,) = monitor.found(Finding(W, "disk", "Disk", "81 %"))
    assert problem == Event("problem", "disk", "Disk", W, OK, "81 %", began)
    monitor.run(disk=C)
    (worse,) = monitor.run(disk=C)
    assert worse == Event("worse", "disk", "Disk", C, W, "text 2", began)
    monitor.run(disk=OK)
    (recovery,) = monitor.found(Finding(OK, "disk", "Disk", "all\nis\x1b well"))
    assert recovery == Event("recovery", "disk", "Disk", OK, C, "all is\\x1b well", began)
    assert monitor.state.conditions["disk"].since == monitor.now - 2 * RUN


def test_a_burst_is_one_tuple():
    monitor = Monitor()
    monitor.run(a=C, b=W, c=OK)
    assert [(event.check, event.kind) for event in monitor.run(a=C, b=W, c=OK)] == [("a", "problem"), ("b", "problem")]


def test_of_two_findings_of_one_check_the_worst_counts():
    monitor = Monitor(replace(CALM, confirm_runs=1))
    found = [Finding(level, "backup full", "Backup", f"text {level}") for level in (W, C, U, OK)]
    assert [(event.level, event.text) for event in monitor.found(*found)] == [(C, "text 2")]


def test_what_stays_bad_is_told_again():
    monitor = Monitor(replace(CALM, reminder_hours=1.0))
    assert monitor.runs(*[C] * 30) == [(1, "problem", C), (13, "reminder", C), (25, "reminder", C)]
    assert monitor.runs(OK, OK, *[OK] * 30) == [(1, "recovery", OK)]


def test_a_reminder_waits_for_what_may_be_over():
    monitor = Monitor(replace(CALM, reminder_hours=1.0))
    assert monitor.runs(*[C] * 13, OK, C) == [(1, "problem", C), (14, "reminder", C)]


def test_a_clock_that_is_put_back_keeps_nothing_quiet():
    monitor = Monitor(replace(CALM, reminder_hours=1.0))
    assert monitor.runs(C, C) == [(1, "problem", C)]
    monitor.now -= dt.timedelta(days=3650)
    assert monitor.runs(*[C] * 14) == [(12, "reminder", C)]
    assert monitor.runs(OK, OK) == [(1, "recovery", OK)]
    assert all(condition.since < START for condition in monitor.state.conditions.values())


def test_unknown_that_is_nothing_to_tell():
    monitor = Monitor()
    policy = monitor.policy
    assert policy.unknown_silent == ("errors",)
    for _run in range(3):
        assert monitor.run(errors=U) == []
    assert "errors" not in monitor.state.conditions
    assert [event.kind for level in (W, U, W, U, U, U) for event in monitor.run(errors=level)] == ["problem"]
    assert monitor.state.conditions["errors"].level == W
    assert [event.kind for level in (OK, U, OK) for event in monitor.run(errors=level)] == ["recovery"]


def test_what_became_bad_in_a_silence_and_is_unknown_after_it():
    monitor = Monitor()
    monitor.quiet = ("errors",)
    assert [monitor.run(errors=W) for _run in range(3)] == [[], [], []]
    monitor.quiet = ()
    assert monitor.run(errors=U) == []
    assert [(event.kind, event.text) for event in monitor.run(errors=W)] == [("problem", "text 1")]


def test_what_was_unknown_before_that_was_nothing_to_tell():
    monitor = Monitor()
    monitor.run(errors=OK)
    monitor.policy, monitor.quiet = replace(CALM, unknown_silent=()), ("errors",)
    assert [monitor.run(errors=U) for _run in range(3)] == [[], [], []]
    monitor.policy, monitor.quiet = CALM, ()
    assert [monitor.run(errors=U) for _run in range(3)] == [[], [], []]
    monitor.policy = replace(CALM, unknown_silent=())
    assert [event.kind for level in (U, U) for event in monitor.run(errors=level)] == ["problem"]
    monitor.policy = CALM
    assert monitor.run(errors=U) == []
    assert "errors" not in monitor.state.conditions


def test_what_changes_all_the_time_is_told_once():
    monitor = Monitor(Alerting())
    told = monitor.runs(*[OK, C] * 30)
    assert told == [(5, "unsteady", C)]
    # It keeps still, but not yet for two hours.
    assert monitor.runs(*[C] * 23) == []
    assert monitor.runs(C, C) == [(0, "steady", C)]
    assert monitor.runs(*[C] * 20, OK, OK) == [(21, "recovery", OK)]


def test_what_keeps_still_and_is_well_has_recovered():
    monitor = Monitor(Alerting())
    assert monitor.runs(OK, OK, C, C, OK, OK, C, C, OK, OK, C, C) == [
        (3, "problem", C), (5, "recovery", OK), (7, "problem", C), (9, "recovery", OK), (10, "unsteady", C)]
    assert monitor.runs(OK, *[OK] * 40) == [(24, "steady", OK)]
    assert monitor.state.conditions["disk"].unsteady is False
    assert monitor.runs(C, C) == [(1, "problem", C)]


def test_what_never_keeps_still_is_not_forgotten():
    monitor = Monitor(Alerting(reminder_hours=3.0))
    told = monitor.runs(*[OK, C] * 60)
    assert [(number, kind) for number, kind, _level in told] == [(5, "unsteady"), (41, "unsteady"), (77, "unsteady"),
                                                                 (113, "unsteady")]


def hovering() -> Monitor:
    """A check that was told as unsteady while it changed between OK and WARNING."""
    monitor = Monitor(Alerting())
    assert monitor.runs(*[OK, W] * 3) == [(5, "unsteady", W)]
    return monitor


def test_a_failure_that_begins_while_it_is_unsteady_is_told_at_once_and_once():
    monitor = hovering()
    assert monitor.runs(OK, W, C, C) == [(3, "worse", C)]
    condition = monitor.state.conditions["disk"]
    assert condition.unsteady and condition.since == START + RUN
    assert monitor.runs(*[OK, OK, C, C] * 20, *[OK, C] * 20, *[W, W, C, C] * 5) == []
    assert monitor.runs(*[C] * 23) == [(22, "steady", C)]
    assert monitor.state.conditions["disk"].worst_told is None


def test_what_is_told_once_more_while_it_is_unsteady_forgets_nothing():
    monitor = hovering()
    monitor.policy = Alerting(reminder_hours=1.0)
    assert monitor.runs(C, C) == [(1, "worse", C)]
    told = monitor.runs(*[OK, OK, C, C] * 12)
    assert [kind for _number, kind, _level in told] == ["unsteady"] * 4


def test_what_was_told_as_unsteady_while_it_was_well_can_become_a_problem_once():
    monitor = Monitor(Alerting())
    assert monitor.runs(W, W, OK, W, OK, W, OK) == [(1, "problem", W), (6, "unsteady", OK)]
    assert monitor.runs(W, W, OK, OK, W, W) == [(1, "problem", W)]
    assert monitor.runs(U, U, U, C, C) == [(1, "worse", U), (4, "worse", C)]


def test_a_memory_without_the_worst_that_was_told_is_read(tmp_path):
    path = tmp_path / "alerts.json"
    monitor = hovering()
    save_state(str(path), monitor.state)
    record = json.loads(path.read_text())
    for condition in record["conditions"]:
        condition.pop("worst_told", None)
    path.write_text(json.dumps(record))
    monitor.state = load_state(str(path))
    assert not monitor.state.damaged
    assert monitor.runs(OK, OK, W, W, C, C) == [(5, "worse", C)]
    save_state(str(path), monitor.state)
    assert load_state(str(path)) == monitor.state


@given(st.lists(st.sampled_from([OK, W, C, U]), min_size=1, max_size=60))
@settings(deadline=None)
def test_while_it_is_unsteady_each_level_is_told_once_at_most(found):
    told = hovering().runs(*found[:23])
    assert len([kind for _number, kind, _level in told if kind in ("problem", "worse")]) <= 2


def test_a_check_that_is_gone_is_told():
    monitor = Monitor()
    monitor.run(disk=C, memory=OK)
    monitor.run(disk=C, memory=OK)
    assert monitor.run() == []
    assert [(event.kind, event.check, event.level, event.text) for event in monitor.run()] == [
        ("gone", "disk", C, "text 2")]
    for _run in range(3):
        assert monitor.run() == []
    # What it changed is remembered for a while, for it may come back.
    monitor.now += dt.timedelta(hours=3)
    monitor.run()
    assert set(monitor.state.conditions) == {MEMORY_CHECK}


def test_a_check_that_comes_and_goes_is_unsteady():
    monitor = Monitor(Alerting())
    told = [event.kind for _time in range(8) for present in (1, 1, 0, 0)
            for event in (monitor.run(unit=C) if present else monitor.run())]
    assert told == ["problem", "gone", "problem", "gone", "problem", "unsteady"]
    told = [event.kind for _time in range(40) for event in monitor.run()]
    assert told == ["gone"]


def test_a_check_that_is_missed_once_goes_on():
    monitor = Monitor()
    monitor.run(disk=C)
    monitor.run()
    assert [event.kind for event in monitor.run(disk=C)] == ["problem"]
    monitor.run()
    assert monitor.run(disk=C) == []
    assert monitor.state.conditions["disk"].missing_runs == 0


def test_a_look_that_failed_as_a_whole_hides_nothing():
    monitor = Monitor(replace(CALM, reminder_hours=1.0))
    page = Finding(C, "page http://a/", "Page", "it answers 500")
    well = Finding(OK, "page http://b/", "Page", "200")
    monitor.found(page, well)
    assert [event.kind for event in monitor.found(page, well)] == ["problem"]
    told = [(number, event.kind, event.check) for number in range(14)
            for event in monitor.found(Finding(U, "pages", "Pages", "it had not ended after 90 s"))]
    assert told == [(1, "problem", "pages"), (11, "reminder", "page http://a/"), (13, "reminder", "pages")]
    assert monitor.found(page, well) == []
    assert [(event.kind, event.check) for event in monitor.found(page, well)] == [("gone", "pages")]
    assert monitor.state.conditions["page http://a/"].level == C


def test_a_look_that_fails_now_and_then_changes_nothing():
    monitor = Monitor(Alerting())
    page, failed = Finding(C, "page http://a/", "Page", "it answers 500"), Finding(U, "pages", "Pages", "no answer")
    monitor.found(page)
    monitor.found(page)
    for _time in range(6):
        monitor.found(failed)
        monitor.found(page)
    monitor.found(failed)
    told = [event for _run in range(20) for event in monitor.found(failed)]
    assert [event for event in told if event.check.startswith("page ")] == []
    assert monitor.state.conditions[page.check].level == C and not monitor.state.conditions[page.check].unsteady
    assert len(monitor.state.conditions[page.check].changes) == 0


def test_one_subject_that_is_unknown_hides_no_other():
    monitor = Monitor()
    page, unknown = Finding(C, "page http://a/", "Page", "500"), Finding(U, "provider x", "Provider", "?")
    told = [(event.kind, event.check) for found in (page, page, unknown, unknown) for event in monitor.found(found)]
    assert sorted(told) == [("gone", "page http://a/"), ("problem", "page http://a/"), ("problem", "provider x")]


def test_what_is_unsteady_is_told_again_as_it_is_found():
    monitor = Monitor(Alerting(reminder_hours=0.5))
    monitor.runs(*[OK, C] * 3)
    assert monitor.runs(W, W, W, W, W)[-1:] == []
    (again,) = monitor.run(disk=W)
    assert (again.kind, again.level, again.text) == ("unsteady", W, "text 1")


def test_what_comes_and_goes_in_a_silence_is_not_unsteady():
    monitor = Monitor(Alerting())
    monitor.quiet = ("unit",)
    for _time in range(6):
        monitor.run(unit=C)
        monitor.run()
    monitor.quiet = ()
    assert [event.kind for _run in range(3) for event in monitor.run(unit=C)] == ["problem"]


def test_nothing_is_told_in_a_silence_and_then_what_is_still_bad():
    monitor = Monitor()
    monitor.quiet = ("disk",)
    for _run in range(5):
        assert monitor.run(disk=C, cpu=OK) == []
    monitor.quiet = ()
    assert [(event.kind, event.check, event.since) for event in monitor.run(disk=C, cpu=OK)] == [
        ("problem", "disk", START)]
    assert monitor.run(disk=C, cpu=OK) == []


def test_a_silence_over_a_whole_episode_and_over_its_end():
    monitor = Monitor()
    monitor.quiet = ("d",)
    assert monitor.runs(C, C, C, OK) == []
    monitor.quiet = ()
    assert monitor.runs(OK, OK, C, C) == [(3, "problem", C)]
    monitor.quiet = ("d",)
    assert monitor.runs(C, OK, OK, OK) == []
    monitor.quiet = ()
    assert monitor.runs(OK, OK) == [(0, "recovery", OK)]


def test_changes_in_a_silence_make_nothing_unsteady():
    monitor = Monitor(Alerting())
    monitor.quiet = ("d",)
    assert monitor.runs(*[OK, C] * 20) == []
    monitor.quiet = ()
    assert monitor.runs(OK, OK, OK, OK) == []


def test_what_went_away_in_a_silence_is_told_after_it():
    monitor = Monitor()
    monitor.run(disk=C)
    monitor.run(disk=C)
    monitor.quiet = ("disk",)
    assert [monitor.run() for _run in range(4)] == [[], [], [], []]
    monitor.quiet = ()
    assert [event.kind for event in monitor.run()] == ["gone"]


def test_the_memory_makes_the_round_trip(tmp_path):
    path = str(tmp_path / "alerts.json")
    assert load_state(path) == AlertState()
    monitor, other = Monitor(Alerting(reminder_hours=0.5)), Monitor(Alerting(reminder_hours=0.5))
    rows = [{"a": C, "b": OK, "ü \U0001f600": W}, {"a": C, "b": C, "ü \U0001f600": W}, {"a": OK}, {"a": C, "b": U}] * 6
    for row in rows:
        events = monitor.run(**row)
        save_state(path, monitor.state)
        monitor.state = load_state(path)
        assert events == other.run(**row)
        assert monitor.state == other.state
    assert os.stat(path).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", [
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(path.read_bytes()[:-30]),
    lambda path: path.write_text(path.read_text().replace('"level": 2', '"level": 7')),
    lambda path: path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 2')),
    lambda path: path.write_text(path.read_text().replace('"unsteady": false', '"unsteady": false, "new": 1')),
    lambda path: path.write_text(json.dumps({**json.loads(path.read_text()), "conditions": json.loads(
        path.read_text())["conditions"] * 2})),
    lambda path: path.write_text(path.read_text().replace('"changes": []', '"changes": [' + ", ".join(
        ['"2026-11-24T05:00:00Z"'] * 200) + "]", 1)),
    lambda path: (path.unlink(), path.symlink_to(path.parent / "elsewhere")),
    lambda path: (path.unlink(), path.mkdir()),
])
def test_a_damaged_memory_is_told_and_so_is_all_that_is_bad(tmp_path, damage):
    path = tmp_path / "alerts.json"
    monitor = Monitor()
    monitor.runs(C, C)
    save_state(str(path), monitor.state)
    damage(path)
    monitor.state = load_state(str(path))
    assert monitor.state == AlertState(damaged=True)
    told = monitor.run(disk=C, memory=OK)
    assert [(event.kind, event.check, event.level) for event in told] == [
        ("problem", "disk", C), ("problem", MEMORY_CHECK, W)]
    assert monitor.state.damaged is False
    assert [event.kind for level in (C, C, C) for event in monitor.run(disk=level)] == ["recovery"]


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_content_of_the_file_is_an_error(tmp_path, content):
    path = tmp_path / "alerts.json"
    path.write_bytes(content)
    assert load_state(str(path)) == AlertState(damaged=True)


def test_a_memory_that_cannot_be_written(tmp_path):
    with pytest.raises(DestinationError):
        save_state(str(tmp_path / "nowhere" / "alerts.json"), AlertState())


def test_the_memory_is_bounded_and_keeps_what_is_bad(tmp_path):
    path = tmp_path / "alerts.json"
    monitor = Monitor(replace(CALM, confirm_runs=1))
    names = [f"unit {number:04}" for number in range(2 * MOST_CONDITIONS)]
    monitor.found(*(Finding(C if name.endswith("7") else OK, name, "\U0001f600" * 500, "\U0001f600" * 9000)
                    for name in names))
    save_state(str(path), monitor.state)
    assert path.stat().st_size <= 1 << 20
    kept = load_state(str(path)).conditions
    assert kept and not load_state(str(path)).damaged
    assert all(condition.level == C for condition in kept.values())
    monitor = Monitor(replace(CALM, confirm_runs=1))
    monitor.found(*(Finding(C if name.endswith("7") else OK, name, "Unit", "text") for name in names))
    save_state(str(path), monitor.state)
    kept = load_state(str(path)).conditions
    assert sum(condition.level == C for condition in kept.values()) >= 200 and len(kept) <= MOST_CONDITIONS


untimed = settings(deadline=None)
levels = st.sampled_from([OK, OK, W, C, U])
histories = st.lists(st.tuples(levels, st.integers(1, 5)), min_size=1, max_size=12).map(
    lambda pieces: [level for level, runs in pieces for _run in range(runs)])


@given(histories, st.integers(1, 4))
@untimed
def test_nothing_that_lasts_is_lost(history, confirm_runs):
    monitor = Monitor(replace(CALM, confirm_runs=confirm_runs))
    for number, level in enumerate(history, 1):
        before = monitor.state.conditions.get("disk")
        events = monitor.run(disk=level)
        condition = monitor.state.conditions["disk"]
        told = [event for event in events if event.kind != "reminder"]
        # The told level is that of what was told.
        assert len(events) <= 1 and condition.level == (told[0].level if told else before.level if before else OK)
        if number >= confirm_runs and len(set(history[number - confirm_runs:number])) == 1:
            assert condition.level == level
        if OK not in history[max(0, number - confirm_runs):number] and number >= confirm_runs:
            assert condition.level != OK
    monitor_before = monitor.state.conditions["disk"].level
    for _run in range(confirm_runs):
        monitor.run(disk=OK)
    assert monitor.state.conditions["disk"].level == OK or monitor_before == OK


@given(st.lists(st.tuples(st.integers(2, 6), st.sampled_from([W, C, U]), st.integers(2, 6)), max_size=8))
@untimed
def test_one_problem_and_one_recovery_an_episode(episodes):
    monitor = Monitor()
    told = monitor.runs(*(level for well, bad, ill in episodes for level in [OK] * well + [bad] * ill), OK, OK)
    assert [(kind, level) for _number, kind, level in told] == [
        pair for _well, bad, _ill in episodes for pair in (("problem", bad), ("recovery", OK))]


@given(st.lists(st.tuples(levels, st.integers(-600, 600)), min_size=1, max_size=80), st.integers(1, 5))
@untimed
def test_any_history_and_any_clock(runs, reminder_hours):
    """No jump of the clock is an error, and what is told agrees with what is remembered."""
    monitor = Monitor(Alerting(reminder_hours=float(reminder_hours)))
    for level, minutes in runs:
        monitor.now += dt.timedelta(minutes=minutes)
        for event in monitor.run(disk=level, other=OK):
            assert event.kind in EVENT_KINDS and event.check == "disk"
            assert event.since < monitor.now
            assert event.kind != "reminder" or event.level != OK
        condition = monitor.state.conditions["disk"]
        assert max(condition.since, condition.candidate_since, *condition.changes) < monitor.now


@given(st.sampled_from([W, C, U]), st.integers(1, 48), st.integers(1, 400))
@untimed
def test_at_most_one_reminder_in_its_time(level, reminder_hours, runs):
    monitor = Monitor(replace(CALM, reminder_hours=float(reminder_hours)))
    told = monitor.runs(*[level] * runs)
    numbers = [number for number, _kind, _level in told]
    assert [kind for _number, kind, _level in told] == (["problem"] + ["reminder"] * 100)[:len(told)]
    assert all(later - earlier == reminder_hours * 12 for earlier, later in zip(numbers, numbers[1:]))
    assert len(told) == (0 if runs < 2 else 1 + (runs - 2) // (reminder_hours * 12))


@given(histories, st.integers(24, 60))
@untimed
def test_what_keeps_still_is_told_no_more(history, runs):
    """Whatever was before: after two hours of one level nothing is told, and the told level is the found one."""
    monitor = Monitor(Alerting())
    monitor.runs(*history, *[history[-1]] * 26)
    condition = monitor.state.conditions["disk"]
    assert (condition.level, condition.unsteady) == (history[-1], False)
    assert monitor.runs(*[history[-1]] * runs) == []


@given(st.lists(st.tuples(levels, st.booleans(), st.booleans()), max_size=60))
@untimed
def test_silences_lose_nothing(rows):
    """After the silence two runs that agree are told as if there had been none."""
    monitor = Monitor()
    for level, quiet, there in rows:
        monitor.quiet = ("disk",) if quiet else ()
        events = monitor.run(disk=level) if there else monitor.run()
        assert not (quiet and events)
    monitor.quiet = ()
    monitor.runs(C, C)
    assert monitor.state.conditions["disk"].level == C
    monitor.runs(OK, OK)
    assert monitor.state.conditions["disk"].level == OK
