# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each cron expression becomes, and which ones are refused. tests/integration asks systemd itself."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.feedforward.maintenance.plugins.filter.cron_to_oncalendar import FilterModule
from ansible_collections.feedforward.maintenance.plugins.plugin_utils.cron import parse_cron

cron_to_oncalendar = FilterModule().filters()["cron_to_oncalendar"]


@pytest.mark.parametrize(("expression", "calendar"), [
    ("0 2 * * *", "*-*-* 02:00:00"),
    ("  0\t2 *  * * ", "*-*-* 02:00:00"),
    ("* * * * *", "*-*-* *:*:00"),
    ("*/15 * * * *", "*-*-* *:00/15:00"),
    ("*/40 * * * *", "*-*-* *:00,40:00"),
    ("5-59/20 * * * *", "*-*-* *:05/20:00"),
    ("0 8-17 * * mon-fri", "Mon..Fri *-*-* 08..17:00:00"),
    ("23 0-20/2 * * *", "*-*-* 00,02,04,06,08,10,12,14,16,18,20:23:00"),
    ("0 3 * * sun", "Sun *-*-* 03:00:00"),
    ("0 3 * * 0", "Sun *-*-* 03:00:00"),
    ("0 3 * * 7", "Sun *-*-* 03:00:00"),
    ("0 3 * * 5-7", "Fri..Sun *-*-* 03:00:00"),
    ("0 3 * * 0,1", "Mon,Sun *-*-* 03:00:00"),
    ("0 3 * * MON,wed,Fri", "Mon,Wed,Fri *-*-* 03:00:00"),
    ("0 3 * * */2", "Tue,Thu,Sat,Sun *-*-* 03:00:00"),
    ("0 3 * * 0-7", "*-*-* 03:00:00"),
    ("30 4 1,15 * *", "*-*-01,15 04:30:00"),
    ("5 0 * aug *", "*-08-* 00:05:00"),
    ("0 0 1 jan-mar,OCT *", "*-01,02,03,10-01 00:00:00"),
    ("0 0 1 */3 *", "*-01/3-01 00:00:00"),
    ("0 0 29 2 *", "*-02-29 00:00:00"),
    ("0 4 8-14 * *", "*-*-08..14 04:00:00"),
    ("@yearly", "*-01-01 00:00:00"),
    ("@annually", "*-01-01 00:00:00"),
    ("@monthly", "*-*-01 00:00:00"),
    ("@weekly", "Sun *-*-* 00:00:00"),
    ("@daily", "*-*-* 00:00:00"),
    ("@midnight", "*-*-* 00:00:00"),
    ("@Hourly", "*-*-* *:00:00"),
])
def test_expression_becomes_one_calendar_event(expression, calendar):
    assert cron_to_oncalendar(expression) == [calendar]


def test_a_day_field_that_begins_with_a_star_is_not_restricted():
    # crontab(5): "restricted (i.e., don't start with *)": cron wants both days then, as OnCalendar does.
    assert cron_to_oncalendar("0 0 */2 * 1") == ["Mon *-*-01/2 00:00:00"]


@pytest.mark.parametrize("expression", ["0 0 13 * 5", "0 0 1-31 * 1", "0 0 1 * 0-7", "0 0 1,15 jan sun"])
def test_day_of_month_or_day_of_week_is_refused(expression):
    assert parse_cron(expression).either_day
    with pytest.raises(AnsibleFilterError, match="day of the month or the day of the week .* Restrict one of the two"):
        cron_to_oncalendar(expression)


@pytest.mark.parametrize(("expression", "message"), [
    ("", "has 0 fields instead of five"),
    ("0 2 * *", "has 4 fields instead of five"),
    ("0 2 * * * root", "has 6 fields instead of five"),
    ("60 2 * * *", "minute '60': numbers go from 0 to 59"),
    ("0 24 * * *", "hour '24': numbers go from 0 to 23"),
    ("0 0 0 * *", "day of the month '0': numbers go from 1 to 31"),
    ("0 0 * 13 *", "month '13': numbers go from 1 to 12"),
    ("0 0 * * 8", "day of the week '8': numbers go from 0 to 7"),
    ("0 0 * * -1", "day of the week '-1': it is neither a number nor a name"),
    ("0 0 * mon *", "month 'mon': it is neither a number nor a name"),
    ("0 ½ * * *", "hour '½': it is neither a number nor a name"),
    ("0 ² * * *", "hour '²': it is neither a number nor a name"),
    ("H 2 * * *", "minute 'H': it is neither a number nor a name"),
    ("0 0 L * *", "day of the month 'L': it is neither a number nor a name"),
    ("0 0 * * 5#3", "day of the week '5#3': it is neither a number nor a name"),
    ("0, 2 * * *", "minute '': it is neither a number nor a name"),
    ("5/15 * * * *", "minute '5/15': a step needs a range"),
    ("*/0 * * * *", "minute '*/0': the step after '/' is not a whole number from 1 up"),
    ("*/x * * * *", "minute '*/x': the step after '/' is not a whole number from 1 up"),
    ("0 22-2 * * *", "hour '22-2': the range runs backwards"),
    ("0 0 * * sat-sun", "day of the week 'sat-sun': the range runs backwards"),
    ("0 0 30 2 *", "no calendar has such a day"),
    ("0 0 31 4,6,9,11 *", "no calendar has such a day"),
    ("@reboot", "a boot is no calendar time"),
    ("@fortnightly", "there is no such nickname"),
])
def test_what_cron_or_systemd_would_misread_is_refused_with_the_next_step(expression, message):
    with pytest.raises(AnsibleFilterError) as refused:
        cron_to_oncalendar(expression)
    text = str(refused.value)
    assert message in text
    assert "\n" not in text
    assert text.endswith(".")


@pytest.mark.parametrize("value", [None, 5, ["0 2 * * *"], {"cron": "0 2 * * *"}])
def test_only_text_is_an_expression(value):
    with pytest.raises(AnsibleFilterError, match="not a text. Quote the cron expression"):
        cron_to_oncalendar(value)
