# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the monitor do: run it, read what arrived by mail, break something and mend it."""

from __future__ import annotations

import email
import email.policy
import json
from email.message import EmailMessage
from typing import Any

from support import start_unit

DEMO = "/usr/local/lib/feedforward-demo"
MAIL = f"{DEMO}/mail"
PUBLIC = "/var/lib/feedforward-monitor/public"
# A state has to be found so often before it is told.
CONFIRM_RUNS = 2


def run_monitor(host: Any, times: int = 1) -> None:
    """What the timer does."""
    for _run in range(times):
        start_unit(host, "feedforward-monitor.service")


def mail(host: Any) -> list[Any]:
    """What arrived since the last look, in the order of its subjects; the mailbox is empty then."""
    found = []
    for name in host.check_output(f"ls {MAIL}").split():
        text = host.check_output(f"cat {MAIL}/{name}")
        found.append(email.message_from_string(text, policy=email.policy.default))
    host.check_output(f"rm -f {MAIL}/*")
    return sorted(found, key=lambda message: str(message["Subject"]))


def subjects(host: Any) -> list[str]:
    """Those of what arrived."""
    return [str(message["Subject"]) for message in mail(host)]


def summary(host: Any) -> dict[str, Any]:
    """What the monitor wrote beside its page."""
    return json.loads(host.check_output(f"cat {PUBLIC}/summary.json"))


def settled(host: Any) -> None:
    """Whatever is so now has been told, and is not looked at any more."""
    run_monitor(host, CONFIRM_RUNS)
    mail(host)


def told_once(host: Any, broken: str, mended: str, words: str, over: str = "RECOVERED") -> EmailMessage:
    """Breaks something by a command and mends it by another. Exactly one alert with ``words`` arrives, nothing while it
    stays so, exactly one that says ``over``, and nothing after it. Returns the alert."""
    mail(host)
    host.check_output(broken)
    try:
        run_monitor(host, CONFIRM_RUNS)
        alerts = mail(host)
        run_monitor(host)
        more = subjects(host)
    finally:
        host.check_output(mended)
    run_monitor(host, CONFIRM_RUNS)
    recoveries = subjects(host)
    run_monitor(host)
    later = subjects(host)
    assert len(alerts) == 1 and words in text(alerts[0]), [text(alert) for alert in alerts]
    assert not more, more
    assert [over in subject for subject in recoveries] == [True], recoveries
    assert not later, later
    return alerts[0]


def text(message: EmailMessage) -> str:
    """Its plain part, with each line break as a space."""
    part = message.get_body(("plain",))
    assert part is not None
    return " ".join(str(part.get_content()).split())
