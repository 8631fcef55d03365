# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention: invariants over any history, and the cases that cost others their backups."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.catalog import Entry
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.names import archive_name
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.retention import plan_retention
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import UsageError

DAY = timedelta(days=1)


@pytest.fixture(scope="session")
def now(instant):
    return instant(2026, 11, 24, 2, 0, 0)


@pytest.fixture(scope="session")
def make(now, describe):
    """An entry that is so many days old. ``state``: passed, failed, unjudged, or lost (no sidecar)."""

    def entry(days, sequence=None, state="passed", kind="database", application="feedforward") -> Entry:
        moment = now - timedelta(days=days)
        name = archive_name(application, kind, moment, True)
        sidecar = None
        if state != "lost":
            judged = {"verification": state, "verified_at": moment, "verified_level": "integrity"}
            sidecar = describe(name, b"x", sequence=1 if sequence is None else sequence,
                               **(judged if state != "unjudged" else {}))
        # Two archives of one second differ in their path only, which no rule looks at.
        return Entry(name, f"/backups/{name}/{sequence}", application, kind, moment.replace(microsecond=0), sequence,
                     1, True, sidecar)

    return entry


@st.composite
def histories(draw, make):
    """Archives in the order in which they were made: the stamps are what the clock said, which may be anything."""
    count = draw(st.integers(0, 14))
    entries = []
    numbers = itertools.count(1)
    for _index in range(count):
        state = draw(st.sampled_from(["passed", "passed", "passed", "failed", "unjudged", "lost"]))
        known = state != "lost" or draw(st.booleans())
        number = next(numbers)
        entries.append(make(draw(st.integers(-1, 60) | st.floats(-1, 60)), number if known else None, state,
                            draw(st.sampled_from(["database", "database", "full"]))))
    return entries


@st.composite
def cases(draw, make):
    return {
        "entries": draw(histories(make)),
        "retention_days": draw(st.integers(1, 40)),
        "keep_last": draw(st.integers(1, 5)),
        "protected": (),
    }


def names(entries):
    return [entry.path for entry in entries]


def by_kind(entries):
    return [[entry for entry in entries if entry.kind == kind] for kind in ("database", "full")]


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_invariants(data, make, now):
    case = data.draw(cases(make))
    entries, days, keep_last = case["entries"], case["retention_days"], case["keep_last"]
    case["protected"] = tuple(data.draw(st.sets(st.sampled_from(entries).map(lambda e: e.name)))) if entries else ()
    plan = plan_retention(now=now, **case)

    assert plan.refused is None
    kept = [entry for entry, reason in plan.keep if reason]
    assert sorted(names(plan.remove) + names(kept)) == sorted(names(entries))
    for entry in plan.remove:
        assert now - entry.stamp > days * DAY
        assert entry.name not in case["protected"]
    for members in by_kind(entries):
        left = [entry for entry in members if entry in kept]
        known = [entry for entry in members if entry.sequence is not None]
        verified = [entry for entry in members if entry.verified]
        assert set(names(verified[-keep_last:])) <= set(names(left))
        if known:
            assert known[-1] in left
        if members and not known:
            assert max(members, key=lambda e: (e.stamp, e.name)) in left
        good = [entry for entry in members if not entry.damaged]
        assert sum(not entry.damaged for entry in left) >= min(keep_last, len(good))
        if not verified:
            assert all(entry in left for entry in members if entry.damaged)


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_a_second_run_removes_nothing_more(data, make, now):
    case = data.draw(cases(make))
    entries = case.pop("entries")
    case["protected"] = tuple(data.draw(st.sets(st.sampled_from(entries).map(lambda e: e.name)))) if entries else ()
    plan = plan_retention(entries, now=now, **case)
    again = plan_retention([entry for entry, _reason in plan.keep], now=now, **case)
    assert again.remove == ()
    assert dict(again.keep).keys() == dict(plan.keep).keys()


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_asking_to_keep_more_never_removes_more(data, make, now):
    case = data.draw(cases(make))
    removed = set(names(plan_retention(now=now, **case).remove))
    for change in ({"retention_days": case["retention_days"] + data.draw(st.integers(1, 30))},
                   {"keep_last": case["keep_last"] + data.draw(st.integers(1, 10))}, {"retention_days": 0}):
        assert set(names(plan_retention(now=now, **{**case, **change}).remove)) <= removed
    later = now + timedelta(days=data.draw(st.integers(0, 400)))
    assert removed <= set(names(plan_retention(now=later, **case).remove))


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_the_order_in_which_entries_come_does_not_matter(data, make, now):
    case = data.draw(cases(make))
    shuffled = data.draw(st.permutations(case["entries"]))
    assert plan_retention(now=now, **case) == plan_retention(now=now, **{**case, "entries": shuffled})


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_whatever_the_clock_says_the_newest_verified_stay(data, make, now):
    case = data.draw(cases(make))
    clock = now + timedelta(days=data.draw(st.integers(-20000, 500000)))
    last_run_at = data.draw(st.none() | st.just(now) | st.just(clock))
    plan = plan_retention(now=clock, last_run_at=last_run_at, **case)
    kept = {entry.path for entry, _reason in plan.keep}
    for members in by_kind(case["entries"]):
        assert {e.path for e in [e for e in members if e.verified][-case["keep_last"]:]} <= kept
    newest = max((entry.stamp for entry in case["entries"]), default=clock)
    jumped = newest - clock > DAY or (last_run_at == now and (
        now - clock > DAY or clock - now > max(case["retention_days"], 62) * DAY))
    assert (plan.refused is not None) == jumped
    if jumped:
        assert plan.remove == ()
        assert len(plan.keep) == len(case["entries"])


def test_the_usual_month(make, now):
    entries = [make(days, 100 - days) for days in range(40, -1, -1)]
    plan = plan_retention(entries, now=now, retention_days=30, keep_last=7, last_run_at=now - DAY)
    assert [100 - entry.sequence for entry in plan.remove] == [40, 39, 38, 37, 36, 35, 34, 33, 32, 31]
    assert [reason for _entry, reason in plan.keep] == (
        ["not older than 30 days"] * 24 + ["one of the newest 7 that are verified"] * 6 + ["the newest"])


def test_fifteen_failed_nights_leave_the_good_ones(make, now):
    """Archives that failed verification push nothing out (a known accident: fifteen of them left zero backups)."""
    good = [make(60 - n, n) for n in range(1, 10)]
    bad = [make(20 - n, 100 + n, "failed") for n in range(15)]
    plan = plan_retention(good + bad, now=now, retention_days=10, keep_last=7)
    assert names(plan.remove) == names(good[:2]) + names(bad[:10])


def test_a_backup_job_that_stood_still_for_a_year_loses_nothing_but_the_surplus(make, now):
    entries = [make(400 - n, n) for n in range(10)]
    plan = plan_retention(entries, now=now, retention_days=30, keep_last=7)
    assert names(plan.remove) == names(entries[:3])


def test_without_verification_the_number_is_still_kept(make, now):
    entries = [make(100 - n, n, "unjudged") for n in range(10)]
    plan = plan_retention(entries, now=now, retention_days=30, keep_last=3)
    assert names(plan.remove) == names(entries[:7])
    some = [make(100, 1, "passed"), *entries[1:]]
    plan = plan_retention(some, now=now, retention_days=30, keep_last=3)
    assert names(plan.remove) == names(entries[1:8])


def test_lost_sidecars_do_not_make_archives_worthless(make, now):
    entries = [make(100 - n, None, "lost", "config") for n in range(10)]
    plan = plan_retention(entries, now=now, retention_days=30, keep_last=7)
    assert names(plan.remove) == names(entries[:3])


def test_what_an_unknown_archive_may_need_stays(make, now):
    """Without sidecar and key nobody knows whether a database archive is an increment, and on what."""
    entries = [make(100 - n, n or None, "passed" if n else "lost") for n in range(10)]
    plan = plan_retention(entries, now=now, retention_days=30, keep_last=7)
    assert names(plan.remove) == names(entries[1:3])
    newest = make(0, None, "lost")
    plan = plan_retention([*entries, newest], now=now, retention_days=30, keep_last=7)
    assert plan.remove == () and f"perhaps needed by {newest.name}" in plan.keep[0][1]


@pytest.fixture
def chains(make):
    """Weekly full archives with six increments each, 28 days, oldest first; ``state`` by number."""

    def build(strategy="incremental", states=None):
        entries = []
        for number in range(28):
            entry = make(28 - number, number + 1, (states or {}).get(number, "passed"))
            if number % 7:
                base = entries[-1] if strategy == "incremental" else entries[number - number % 7]
                entry = replace(entry, base=base.name)
            entries.append(entry)
        return entries

    return build


@pytest.mark.parametrize("strategy", ["incremental", "differential"])
def test_what_a_kept_archive_needs_is_kept(chains, now, strategy):
    entries = chains(strategy)
    plan = plan_retention(entries, now=now, retention_days=3, keep_last=2)
    kept = [entries.index(entry) for entry, _reason in plan.keep]
    assert kept == (list(range(21, 28)) if strategy == "incremental" else [21, 25, 26, 27])
    assert dict(plan.keep)[entries[21]].startswith("needed by")


def test_an_increment_without_its_base_is_no_restorable_archive(chains, now):
    entries = chains()
    lost = entries[:21] + entries[22:]
    plan = plan_retention(lost, now=now, retention_days=1, keep_last=3)
    kept = [entries.index(entry) for entry, _reason in plan.keep]
    # The newest three that restore are the end of the third chain, which needs its beginning.
    assert set(range(14, 21)) <= set(kept)


def test_an_increment_on_a_damaged_base_is_no_restorable_archive(chains, now):
    entries = chains(states={21: "failed"})
    plan = plan_retention(entries, now=now, retention_days=1, keep_last=1)
    assert set(range(14, 21)) <= {entries.index(entry) for entry, _reason in plan.keep}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_kept_archive_ever_lacks_what_it_needs(make, now, data):
    entries = []
    for number in range(data.draw(st.integers(1, 20))):
        state = data.draw(st.sampled_from(["passed", "failed", "unjudged"]))
        entry = make(data.draw(st.integers(0, 80)) + number * 0.001, number + 1, state)
        if entries and data.draw(st.booleans()):
            entry = replace(entry, base=data.draw(st.sampled_from(entries)).name)
        entries.append(replace(entry, path=f"{entry.path}-{number}"))
    plan = plan_retention(entries, now=now, retention_days=data.draw(st.integers(1, 40)),
                          keep_last=data.draw(st.integers(1, 9)))
    kept = {entry.name for entry, _reason in plan.keep}
    there = {entry.name for entry in entries}
    assert all(entry.base is None or entry.base in kept or entry.base not in there for entry, _reason in plan.keep)


def test_damaged_ones_stay_as_long_as_nothing_is_verified(make, now):
    damaged = [make(100 - n, n, "failed") for n in range(5)]
    assert plan_retention(damaged, now=now, retention_days=30, keep_last=1).remove == ()
    plan = plan_retention([*damaged, make(1, 9)], now=now, retention_days=30, keep_last=1)
    assert names(plan.remove) == names(damaged)
    plan = plan_retention([*damaged, make(1, 9, "unjudged")], now=now, retention_days=30, keep_last=1)
    assert plan.remove == ()


def test_a_verification_of_another_size_does_not_count(make, now):
    entries = [make(50, 1), make(40, 2), make(1, 3)]
    changed = Entry(**{**vars(entries[1]), "size": 2})
    assert not changed.verified
    plan = plan_retention([entries[0], changed, entries[2]], now=now, retention_days=30, keep_last=2)
    assert plan.remove == (changed,)


def test_sequence_beats_stamp_when_the_clock_went_back(make, now):
    """The newest was made while the clock stood two months back: by its stamp alone it would go."""
    entries = [make(20, 1), make(19, 2), make(75, 3), make(74, 4)]
    plan = plan_retention(entries, now=now, retention_days=15, keep_last=1)
    assert names(plan.remove) == names(entries[:3])
    plan = plan_retention(entries, now=now, retention_days=30, keep_last=1)
    assert plan.remove == ()


def test_kinds_and_applications_are_counted_apart(make, now):
    entries = [make(50, 1, kind="full"), make(49, 1, kind="config"), make(48, 7, kind="database"),
               make(47, 8, kind="database"), make(46, 1, application="other")]
    plan = plan_retention(entries, now=now, retention_days=30, keep_last=1)
    assert names(plan.remove) == [entries[2].path]


def test_protected_archives_stay(make, now):
    entries = [make(50, 1), make(49, 2), make(1, 3)]
    plan = plan_retention(entries, now=now, retention_days=30, keep_last=1, protected=[entries[0].name])
    assert plan.remove == (entries[1],)
    assert (entries[0], "protected") in plan.keep


def test_zero_days_keep_for_ever_whatever_the_clock_says(make, now):
    entries = [make(9000, 1), make(-500, 2)]
    plan = plan_retention(entries, now=now, retention_days=0, keep_last=1)
    assert (plan.remove, plan.refused) == ((), None)
    assert {reason for _entry, reason in plan.keep} == {"kept for ever (retention_days is 0)"}


def test_the_age_itself_is_still_young(make, now):
    entries = [make(30, 1), make(0, 2)]
    assert plan_retention(entries, now=now, retention_days=30, keep_last=1).remove == ()
    second = timedelta(seconds=1)
    assert plan_retention(entries, now=now + second, retention_days=30, keep_last=1).remove == (entries[0],)


@pytest.mark.parametrize(("ahead", "refused"), [(0, False), (1, False), (1.0001, True), (365, True)])
def test_an_archive_from_the_future_refuses(make, now, ahead, refused):
    entries = [make(90, 1), make(-ahead, 2, "failed"), make(0, 3)]
    plan = plan_retention(entries, now=now, retention_days=30, keep_last=1)
    assert (plan.refused is not None) == refused
    assert plan.remove == (() if refused else (entries[0],))
    if refused:
        assert entries[1].path in plan.refused
        assert "2026-11-24T02:00:00Z" in plan.refused


@pytest.mark.parametrize(("days", "gap", "refused"), [
    (90, 1, False), (90, 90, False), (90, 90.01, True), (1, 62, False), (1, 62.01, True), (30, 31, False),
    (30, -1, False), (30, -1.01, True), (30, 3650, True),
])
def test_a_gap_to_the_last_run_refuses(make, now, days, gap, refused):
    entries = [make(5000, 1), make(4999, 2)]
    plan = plan_retention(entries, now=now, retention_days=days, keep_last=1, last_run_at=now - timedelta(days=gap))
    assert (plan.refused is not None) == refused
    assert plan.remove == (() if refused else (entries[0],))


def test_nothing_there_is_nothing_to_do(now):
    plan = plan_retention([], now=now, retention_days=30, keep_last=7, last_run_at=None)
    assert (plan.remove, plan.keep, plan.refused) == ((), (), None)


@pytest.mark.parametrize(("days", "keep_last", "name"), [(30, 0, "keep_last"), (30, -1, "keep_last"),
                                                         (-1, 7, "retention_days")])
def test_settings_that_would_remove_everything_are_refused(make, now, days, keep_last, name):
    with pytest.raises(UsageError, match=name):
        plan_retention([make(99, 1)], now=now, retention_days=days, keep_last=keep_last)


def test_a_retention_of_ages_is_no_overflow(make, now):
    assert plan_retention([make(99, 1)], now=now, retention_days=10 ** 12, keep_last=1).remove == ()
