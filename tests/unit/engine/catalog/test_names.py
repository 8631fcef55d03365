# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of archives: one reading each, and no name that a hostile application could slip out with."""

from __future__ import annotations

import os
import string
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.names import (
    KINDS,
    archive_name,
    parse_name,
    validate_application,
    validate_kind,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import UsageError

FIRST = string.ascii_lowercase + string.digits
applications = st.builds(str.__add__, st.sampled_from(FIRST), st.text(FIRST + "_.-", max_size=99))
moments = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 30),
                       timezones=st.sampled_from([timezone.utc, timezone(timedelta(hours=-11, minutes=-30))]))


@given(applications, st.sampled_from(KINDS), moments, st.booleans())
def test_a_name_is_read_back_as_it_was_made(application, kind, moment, encrypted):
    name = archive_name(application, kind, moment, encrypted)
    parsed = parse_name(name)
    assert parsed is not None
    assert (parsed.name, parsed.application, parsed.kind, parsed.encrypted) == (name, application, kind, encrypted)
    assert parsed.stamp == moment.replace(microsecond=0)
    assert len(os.fsencode(name + ".json")) < 200


def test_the_form_is_the_documented_one(instant):
    moment = instant(2026, 11, 24, 5, 47, 10)
    assert archive_name("feedforward", "full", moment, False) == "feedforward-full-20261124T054710Z.tar.gz"
    assert archive_name("feedforward", "full", moment, True) == "feedforward-full-20261124T054710Z.tar.gz.enc"


@given(st.text() | st.text(FIRST + "-._/TZtargzenc\n", max_size=80))
def test_any_text_is_refused_or_is_a_name_that_would_be_made(text):
    parsed = parse_name(text)
    if parsed is not None:
        assert archive_name(parsed.application, parsed.kind, parsed.stamp, parsed.encrypted) == text


@pytest.mark.parametrize("application", [
    "", ".", "..", "-x", ".hidden", "a/b", "../a", "a\n", "a b", "A", "ä", "a\0", "a;rm", "\u0661", "a" * 101, "\udcff",
])
def test_a_hostile_application_is_refused(application, instant):
    with pytest.raises(UsageError) as caught:
        archive_name(application, "full", instant(2026, 1, 1), False)
    assert "cannot be the name of an application" in str(caught.value)
    assert str(caught.value).isprintable()


@given(st.text())
def test_an_application_is_taken_as_it_is_or_refused(application):
    try:
        assert validate_application(application) is application
    except UsageError:
        return
    assert not set(application) - set(FIRST + "_.-")
    assert application[0] in FIRST


@pytest.mark.parametrize("name", [
    "feedforward-database-20261124T054710Z.tar.gz\n",
    "feedforward-database-20261124T054710Z.tar.gz.enc.json",
    "feedforward-database-20261124T054710Z.tar",
    "feedforward-database-20261324T054710Z.tar.gz",
    "feedforward-database-20261124T054760Z.tar.gz",
    "feedforward-database-00001124T054710Z.tar.gz",
    "feedforward-database-00011124T054710Z.tar.gz",
    "feedforward-database-20261124T054710.tar.gz",
    "feedforward-weekly-20261124T054710Z.tar.gz",
    "feedforward-full.status.json",
    "-full-20261124T054710Z.tar.gz",
    ".feedforward-full-20261124T054710Z.tar.gz.1a2b.maintenance-tmp",
    "../feedforward-full-20261124T054710Z.tar.gz",
    "a" * 101 + "-full-20261124T054710Z.tar.gz",
])
def test_what_is_not_a_name(name):
    assert parse_name(name) is None


def test_an_application_that_looks_like_a_name_is_told_apart(instant):
    outer = archive_name("x-full-20260101t000000z.tar.gz", "config", instant(2026, 1, 2), True)
    parsed = parse_name(outer)
    assert (parsed.application, parsed.kind) == ("x-full-20260101t000000z.tar.gz", "config")
    assert parse_name(archive_name("a-full", "full", instant(2026, 1, 2), True)).application == "a-full"


def test_an_unknown_kind_is_refused_and_the_kinds_are_named(instant):
    with pytest.raises(UsageError, match="database, config, logs, full"):
        archive_name("feedforward", "weekly", instant(2026, 1, 1), False)
    assert validate_kind("logs") == "logs"


def test_a_year_that_does_not_fit_is_refused(instant):
    with pytest.raises(UsageError, match="clock"):
        archive_name("feedforward", "full", instant(1, 1, 1), False)
