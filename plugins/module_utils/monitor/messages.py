# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an alert reads: one subject, one text for a terminal, the same as HTML, and the same for programs. Nothing
stands in it that is not in the events and findings."""

from __future__ import annotations

import html
import re
import secrets
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Optional

from ..alerting import Message
from ..errors import printable
from ..jobs.health import Finding
from ..jobs.privacy import without_logins
from ..jobs.report import LEVEL_NAMES, OK, UNKNOWN, WARNING, worst
from ..units import format_seconds, iso, stamp
from .alerts import Event

PAYLOAD_SCHEMA = "feedforward-maintenance alert"
PAYLOAD_SCHEMA_VERSION = 1
SUBJECT_CHARACTERS = 150
MOST_LISTED = 100
"""So many events, and so many findings, are listed at most; the others are counted."""

_COMMAND = "feedforward-maintenance"
_NAME_CHARACTERS, _WIDTH, _SHORTEST_TEXT = 40, 78, 20
_OVER = ("recovery", "gone")
_STYLE = """:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;margin:16px;max-width:44em;color:#1b2530;background:#ffffff;
overflow-wrap:anywhere}
h1{font-size:20px}h2{font-size:17px;margin:0}h3{font-size:16px}
section{border-left:4px solid;padding-left:12px;margin:16px 0}p{margin:4px 0}
.ok{color:#14653a}.warning{color:#7a4a00}.critical{color:#a3161c}.unknown{color:#474d63}
section p,section h2 span{color:#1b2530}a{color:#0b5a9d}
@media (prefers-color-scheme:dark){body{color:#e7ecf2;background:#11161c}
.ok{color:#86d6a3}.warning{color:#f0c069}.critical{color:#ff9d9d}.unknown{color:#bfc5dc}
section p,section h2 span{color:#e7ecf2}a{color:#7cb9f5}}"""


@dataclass(frozen=True)
class _Part:
    """A heading (``label`` and ``title``, coloured by ``level``) with the sentences below it."""

    label: str
    title: str
    level: int
    sentences: tuple[str, ...]


def compose(application: str, host: str, events: Sequence[Event], findings: Sequence[Finding], now: datetime,
            dashboard_url: str = "") -> Message:
    """The message about ``events``, which are all that one run has to tell; ``findings`` are all that it found.

    The payload has ``schema``, ``schema_version``, ``id``, ``application``, ``host``, ``created`` (ISO 8601, UTC),
    ``level`` and ``state`` (how the whole stands now, by the Monitoring Plugins), ``summary`` (the subject without
    its beginning), ``events`` (``kind``, ``check``, ``title``, ``level``, ``state``, ``previous``, ``previous_state``,
    ``text``, ``since``), ``problems`` (``check``, ``title``, ``level``, ``state``, ``text`` of all that is not well),
    ``left_out`` (how many of both are not listed), ``dashboard_url``.
    """
    ordered = sorted(events, key=_weight)
    problems = sorted((finding for finding in findings if finding.level != OK), key=lambda one: -_severity(one.level))
    current = {printable(one.check): one for one in sorted(findings, key=lambda one: _severity(one.level))}
    told = {event.check for event in events}
    others = [finding for finding in problems if printable(finding.check) not in told]
    parts = [_part(event, current.get(event.check), now) for event in ordered[:MOST_LISTED]]
    level = worst([*(finding.level for finding in findings), *(event.level for event in events
                                                               if event.kind not in _OVER)] or [OK])
    checks = {*(finding.check for finding in problems), *(event.check for event in events if not _is_good(event))}
    closing = [_advice(checks, _clean(host))] + ([f"Dashboard: {_clean(dashboard_url)}"] if dashboard_url else [])
    return _message(
        application, host, _summary(ordered), now, parts, _rest(len(ordered)), others, bool(findings), closing, {
            "level": level, "state": LEVEL_NAMES[level],
            "events": [_event_record(event) for event in ordered[:MOST_LISTED]],
            "problems": [_problem_record(finding) for finding in problems[:MOST_LISTED]],
            "left_out": max(0, len(ordered) - MOST_LISTED) + max(0, len(problems) - MOST_LISTED),
            "dashboard_url": _clean(dashboard_url)})


def test_message(application: str, host: str, channel: str, now: datetime) -> Message:
    """A message that tells of nothing but ``channel`` (as ``Alerting.channels`` names it); its payload has ``test``
    true, and its level is OK."""
    part = _Part("TEST", _clean(channel), OK, ("This is a test of this way of telling you. Nothing has happened.",))
    return _message(application, host, f"TEST: alerts arrive by {_clean(channel)}", now, [part], "", [], False,
                    ["Nothing has to be done."],
                    {"level": OK, "state": LEVEL_NAMES[OK], "test": True, "events": [], "problems": [], "left_out": 0,
                     "dashboard_url": ""})


def _message(application: str, host: str, summary: str, now: datetime, parts: Sequence[_Part], more: str,
             others: Sequence[Finding], looked: bool, closing: Sequence[str], payload: dict[str, Any]) -> Message:
    application, host, name = _clean(application), _clean(host), f"{stamp(now)}-{secrets.token_hex(6)}"
    start = f"[{application[:_NAME_CHARACTERS]}@{host[:_NAME_CHARACTERS]}] "
    short = _shortened(summary, SUBJECT_CHARACTERS - len(start))
    heading = f"{application} on {host}, {_when(now)}"
    listed = [_Part(LEVEL_NAMES[one.level], _clean(one.title), one.level, (_clean(one.text),))
              for one in others[:MOST_LISTED]]
    also = "Also not well now:" if listed else "Everything else that was looked at is well." if looked else ""
    rest = (more, _rest(len(others)))
    return Message(
        id=name, created=now, subject=start + short,
        text="\n".join(_text(heading, parts, also, listed, rest, closing)) + "\n",
        html="\n".join(_html(start + short, heading, parts, also, listed, rest, closing)) + "\n",
        payload={"schema": PAYLOAD_SCHEMA, "schema_version": PAYLOAD_SCHEMA_VERSION, "id": name,
                 "application": application, "host": host, "created": iso(now), "summary": short, **payload})


def _text(heading: str, parts: Iterable[_Part], also: str, listed: Iterable[_Part], rest: tuple[str, str],
          closing: Iterable[str]) -> Iterator[str]:
    yield heading
    for part in parts:
        yield ""
        yield from _wrapped(f"{part.label}: {part.title}", "")
        for sentence in part.sentences:
            yield from _wrapped(sentence, "  ")
    yield from ("", rest[0]) if rest[0] else ()
    yield from ("", also) if also else ()
    for part in listed:
        yield from _wrapped(f"{part.label}: {part.title}: {' '.join(part.sentences)}", "  ")
    yield from (f"  {rest[1]}",) if rest[1] else ()
    yield ""
    for sentence in closing:
        yield from _wrapped(sentence, "")


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent + "  ",
                         break_long_words=False, break_on_hyphens=False)


def _html(subject: str, heading: str, parts: Iterable[_Part], also: str, listed: Sequence[_Part],
          rest: tuple[str, str], closing: Iterable[str]) -> Iterator[str]:
    yield f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<meta name="viewport" content="width=device-width"><title>{html.escape(subject)}</title><style>{_STYLE}</style></head>
<body><h1>{html.escape(heading)}</h1>"""
    for part in parts:
        yield f'<section class="{_class(part)}"><h2>{html.escape(part.label)}: <span>{html.escape(part.title)}</span>' \
              "</h2>"
        for sentence in part.sentences:
            yield f"<p>{html.escape(sentence)}</p>"
        yield "</section>"
    yield from (f"<p>{rest[0]}</p>",) if rest[0] else ()
    yield from (f"<h3>{also}</h3>" if listed else f"<p>{also}</p>",) if also else ()
    if listed:
        yield "<ul>"
        for part in listed:
            yield f'<li><strong class="{_class(part)}">{part.label}</strong>: {html.escape(part.title)}: ' \
                  f"{html.escape(' '.join(part.sentences))}</li>"
        yield "</ul>"
    yield from (f"<p>{rest[1]}</p>",) if rest[1] else ()
    for sentence in closing:
        yield f"<p>{_linked(sentence)}</p>"
    yield "</body></html>"


def _class(part: _Part) -> str:
    return LEVEL_NAMES[part.level].lower()


def _linked(sentence: str) -> str:
    """Only the sentence that gives the address of the dashboard has one."""
    before, mark, address = sentence.partition("Dashboard: ")
    if before or not mark or not address.startswith(("http://", "https://")):
        return html.escape(sentence)
    return f'Dashboard: <a href="{html.escape(address)}">{html.escape(address)}</a>'


def _part(event: Event, finding: Optional[Finding], now: datetime) -> _Part:
    sentences = [_clean(event.text), *_times(event, now)]
    # The texts of events are cut.
    if finding is not None and not (finding.level == event.level and _clean(finding.text).startswith(sentences[0])):
        sentences.append(f"Now: {LEVEL_NAMES[finding.level]}: {_clean(finding.text)}")
    level, word = headline(event)
    return _Part(word, _clean(event.title), level, tuple(sentence for sentence in sentences if sentence))


def _times(event: Event, now: datetime) -> Iterator[str]:
    since = f"{_when(event.since)} ({format_seconds(max(0.0, (now - event.since).total_seconds()))})"
    if event.kind == "steady":
        yield f"It changed again and again, and has kept this state since {since}."
    elif event.kind == "unsteady":
        yield f"It changes again and again, since {since}. It is told again when it has kept one state."
    elif event.kind == "gone":
        was = "unsteady" if event.level == OK else LEVEL_NAMES[event.level]
        yield f"It is no longer among what is looked at. It was {was}, not well since {since}."
    elif event.kind == "recovery":
        yield f"It was {LEVEL_NAMES[event.previous]}, not well since {since}."
    else:
        yield f"Not well since {since}."


def headline(event: Event) -> tuple[int, str]:
    """How bad the news is, and its kind in a word or two. That something is no longer looked at is no good news, and no
    more is that it comes and goes."""
    level = {"gone": UNKNOWN, "unsteady": worst((WARNING, event.level))}.get(event.kind, event.level)
    return level, _label(event)


def _label(event: Event) -> str:
    level = LEVEL_NAMES[event.level]
    return {"worse": f"{level} (was {LEVEL_NAMES[event.previous]})",
            "better": f"{level} (was {LEVEL_NAMES[event.previous]})",
            "recovery": "RECOVERED", "reminder": f"REMINDER: {level}", "unsteady": "UNSTEADY", "gone": "GONE",
            "steady": "RECOVERED" if event.level == OK else f"{level} (steady)"}.get(event.kind, level)


def _summary(ordered: Sequence[Event]) -> str:
    """The chief event in one line, and how many more there are."""
    if not ordered:
        return "nothing has changed"
    chief = ordered[0]
    more = f" (and {len(ordered) - 1} more)" if len(ordered) > 1 else ""
    return f"{_label(chief)}: {_clean(chief.title)}: {_clean(chief.text)}{more}"


def _shortened(summary: str, characters: int) -> str:
    """At most so many characters, the number of further events still at the end."""
    if len(summary) <= characters:
        return summary
    found = re.search(r" \(and \d+ more\)\Z", summary)
    end = found.group() if found else ""
    return summary[:max(_SHORTEST_TEXT, characters - len(end) - 3)].rstrip() + "..." + end


def _weight(event: Event) -> tuple[int, int]:
    """What needs somebody stands first, what is over last."""
    rank = 3 if _is_good(event) else {"reminder": 1, "better": 2}.get(event.kind, 0)
    return rank, -_severity(event.level)


def _is_good(event: Event) -> bool:
    return event.kind in _OVER or (event.kind == "steady" and event.level == OK)


def _severity(level: int) -> int:
    return sum(worst((level, other)) == level for other in range(len(LEVEL_NAMES)))


def _advice(checks: Iterable[str], host: str) -> str:
    words = {check.partition(" ")[0] for check in checks}
    if not words:
        return "Nothing has to be done."
    text = f"To see all of it, run '{_COMMAND} health' on {host}"
    if words & {"backup", "backups", "escrow"}:
        text += f"; '{_COMMAND} doctor' tells why a backup is not made"
    if "silence" in words:
        text += f"; '{_COMMAND} alert list' shows the silences, and '{_COMMAND} alert end ID' ends one"
    return text + "."


def _rest(count: int) -> str:
    return f"And {count - MOST_LISTED} more." if count > MOST_LISTED else ""


def _event_record(event: Event) -> dict[str, Any]:
    return {"kind": event.kind, "check": _clean(event.check), "title": _clean(event.title), "level": event.level,
            "state": LEVEL_NAMES[event.level], "previous": event.previous,
            "previous_state": LEVEL_NAMES[event.previous], "text": _clean(event.text), "since": iso(event.since)}


def _problem_record(finding: Finding) -> dict[str, Any]:
    return {"check": _clean(finding.check), "title": _clean(finding.title), "level": finding.level,
            "state": LEVEL_NAMES[finding.level], "text": _clean(finding.text)}


def _when(moment: datetime) -> str:
    """The instant by the host's own clock, and in UTC where that is another."""
    try:
        local = moment.astimezone()
    except (OverflowError, OSError, ValueError):
        return iso(moment)
    text = local.strftime("%Y-%m-%d %H:%M:%S %Z")
    return f"{text} ({iso(moment)})" if local.utcoffset() != timedelta(0) else text


def _clean(text: str) -> str:
    """One line without control characters, and without a name and a password in an address."""
    return printable(" ".join(without_logins(text).split()))
