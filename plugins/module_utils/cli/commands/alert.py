# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``alert``: prove the ways by which alerts go out, and keep them quiet while work is done."""

from __future__ import annotations

import argparse
import getpass
import os
import re
import socket
from contextlib import suppress
from datetime import timedelta

from ...channels.errors import ChannelError
from ...config import Settings
from ...errors import MaintenanceError, UsageError
from ...jobs.report import LEVEL_NAMES
from ...monitor import messages, outbox, silences
from ...monitor.alerts import load_state
from ...monitor.run import Places, as_the_monitor, places_of
from ...units import iso, utc_now
from ..context import Context
from ..output import Line, Mark
from ..plugin import LEVEL_MARKS
from ..text import count

SUMMARY = "test the ways of alerts, list what is told, silence it for a while"
DESCRIPTION = """\
  alert test                               send a message by each configured way
  alert list                               what was told and is not over, and silences
  alert silence --for 2h --reason TEXT     tell nothing for so long
  alert end ID                             end a silence: its work is done

A silence that runs out without being ended is told itself: work was planned,
and nobody said that it was finished."""
_DURATION = re.compile(r"(\d{1,4})([mhd])", re.ASCII)
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("action", choices=("test", "list", "silence", "end"), metavar="ACTION",
                        help="test, list, silence or end")
    parser.add_argument("id", nargs="?", metavar="ID", help="the silence to end, as 'alert list' names it")
    parser.add_argument("--for", dest="duration", type=duration, metavar="TIME", help="30m, 2h or 1d")
    parser.add_argument("--reason", metavar="TEXT", help="what is done meanwhile, without names of persons")
    parser.add_argument("--check", action="append", default=[], metavar="NAME",
                        help="silence only checks whose names begin so, may be repeated")


def duration(text: str) -> timedelta:
    """An argparse type: ``30m``, ``2h``, ``1d``."""
    found = _DURATION.fullmatch(text)
    if not found or int(found.group(1)) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time like 30m, 2h or 1d")
    return timedelta(**{_UNITS[found.group(2)]: int(found.group(1))})


def run(context: Context) -> int:
    """Exit code 0; 1 where a way did not take the test message."""
    settings = context.settings()
    places = places_of(settings)
    _there(places)
    with as_the_monitor(places):
        if context.options.action == "test":
            return _test(context, settings, places)
        if context.options.action == "list":
            return _list(context, places)
        if context.options.action == "silence":
            return _silence(context, places)
        return _end(context, places)


def _there(places: Places) -> None:
    try:
        os.stat(places.state)
    except OSError as error:
        raise UsageError(places.state, f"the monitor's directory cannot be used: {error.strerror}",
                         "Run the role monitoring, and this command as root") from error


def _test(context: Context, settings: Settings, places: Places) -> int:
    now, host = utc_now(), socket.gethostname()
    if not settings.alerts.channels:
        raise UsageError("alerts", "no way to tell anybody is configured",
                         "Set monitoring_mail_recipients or another monitoring variable, and run the role monitoring")
    failed: dict[str, str] = {}
    for channel in settings.alerts.channels:
        try:
            outbox.send(settings.alerts, channel, messages.test_message(settings.application, host, channel, now))
        except ChannelError as error:
            failed[channel] = str(error)
        else:
            if channel == "mail" and settings.alerts.mail is not None:
                # Nobody is refused any more. Where that cannot be written, the next alert does.
                with suppress(OSError, MaintenanceError):
                    outbox.note_recipients(places.kept("outbox"), settings.alerts, settings.alerts.mail.recipients, {})
    context.output.show(
        {"channels": {name: {"sent": name not in failed, "reason": failed.get(name)}
                      for name in settings.alerts.channels}},
        [Line(f"{name}: {failed[name]}", Mark.BAD) if name in failed else Line(f"{name}: sent", Mark.GOOD)
         for name in settings.alerts.channels])
    return 1 if failed else 0


def _list(context: Context, places: Places) -> int:
    state = load_state(places.kept("alerts.json"))
    told = [condition for condition in state.conditions.values() if not condition.well]
    quiet = [silence for silence in silences.read_silences(places.kept("silences.json")) if silence.ended is None]
    lines = [Line(f"{one.title}: {one.text}, since {iso(one.since)}", LEVEL_MARKS[one.level]) for one in told]
    lines += [Line(f"silence {one.id} until {iso(one.ends)}: {one.reason} ({one.who})"
                   + (f", only {', '.join(one.checks)}" if one.checks else "")) for one in quiet]
    context.output.show(
        {"conditions": [{"check": one.check, "state": LEVEL_NAMES[one.level], "text": one.text,
                         "since": iso(one.since)} for one in told],
         "silences": [{"id": one.id, "reason": one.reason, "ends": iso(one.ends), "checks": list(one.checks)}
                      for one in quiet]},
        lines or [Line("nothing is told at the moment, and nothing is silenced", Mark.GOOD)])
    return 0


def _silence(context: Context, places: Places) -> int:
    options, now = context.options, utc_now()
    if options.duration is None or not options.reason:
        raise UsageError("alert silence", "--for and --reason are needed", "For instance: --for 2h --reason 'upgrade'")
    made = silences.open_silence(places.kept("silences.json"), reason=options.reason, who=_who(), now=now,
                                 duration=options.duration, checks=tuple(options.check))
    context.output.show({"id": made.id, "ends": iso(made.ends)},
                        [Line(f"Silence {made.id} until {iso(made.ends)}: end it with 'alert end {made.id}'",
                              Mark.GOOD)])
    return 0


def _end(context: Context, places: Places) -> int:
    if not context.options.id:
        raise UsageError("alert end", "the silence to end is missing", "'alert list' names them")
    ended = silences.end_silence(places.kept("silences.json"), context.options.id, utc_now())
    context.output.show({"ended": [one.id for one in ended]}, [Line(f"{count(len(ended), 'silence')} ended",
                                                                    Mark.GOOD)])
    return 0


def _who() -> str:
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
