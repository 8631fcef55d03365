# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter ``cron_to_oncalendar``: one schedule variable drives either scheduler."""

from __future__ import annotations

DOCUMENTATION = r"""
name: cron_to_oncalendar
author: FeedForward maintenance contributors (@feedforward)
version_added: 1.0.0
short_description: Turn a time in cron's syntax into systemd calendar events
description:
  - Takes the five fields of C(crontab(5)), or a nickname such as V(@daily), and returns what C(OnCalendar=) of a
    systemd timer takes, so that one schedule variable drives either scheduler.
  - Names of months and weekdays, lists, ranges and steps are understood. V(7) is Sunday, as V(0) is.
  - An expression that restricts the day of the month B(and) the day of the week is refused. Cron runs it when
    B(either) matches, which one calendar event cannot say. As in cron, a field that begins with V(*) does not count
    as restricted.
  - A date that no calendar has, such as 30 February, and V(@reboot) are refused as well.
positional: _input
options:
  _input:
    description: The cron expression.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show when the backups run
  ansible.builtin.debug:
    msg: "{{ '0 2 * * *' | feedforward.maintenance.cron_to_oncalendar }}"
  # => ["*-*-* 02:00:00"]

- name: Every quarter of an hour on working days
  ansible.builtin.debug:
    msg: "{{ '*/15 8-17 * * mon-fri' | feedforward.maintenance.cron_to_oncalendar }}"
  # => ["Mon..Fri *-*-* 08..17:00/15:00"]
"""

RETURN = r"""
_value:
  description: The calendar events. A timer has one C(OnCalendar=) line for each.
  type: list
  elements: str
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.feedforward.maintenance.plugins.plugin_utils.cron import CronError, to_oncalendar


def cron_to_oncalendar(value):
    """The list of calendar events for the cron expression ``value``. Raises AnsibleFilterError."""
    if not isinstance(value, str):
        raise AnsibleFilterError(f"cron_to_oncalendar: the input is of type {type(value).__name__}, not a text. "
                                 "Quote the cron expression, for instance '0 2 * * *'.")
    try:
        return list(to_oncalendar(value))
    except CronError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Names of the filters with their functions."""
        return {"cron_to_oncalendar": cron_to_oncalendar}
