# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces of which the pages are made. What comes from elsewhere passes through ``text`` here, and only here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from html import escape
from typing import NamedTuple, Optional
from urllib.parse import quote

from ..errors import printable
from ..jobs.report import CRITICAL, OK, UNKNOWN, WARNING
from ..units import format_bytes, format_seconds, iso
from .dashboard_style import DARK, LIGHT, STALE_SECONDS, stylesheet

_BREAKS = re.compile(r"(?<=\w)[/.](?=\w)")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


class State(NamedTuple):
    """How a level is shown: a class of the style sheet, a sign and a word."""

    style: str
    symbol: str
    word: str


_STATES = {OK: State("ok", "✓", "OK"), WARNING: State("warning", "!", "Warning"),
           CRITICAL: State("critical", "✕", "Critical"), UNKNOWN: State("unknown", "?", "Unknown")}


def state(level: Optional[int]) -> State:
    """Whatever is no level is unknown."""
    return _STATES[UNKNOWN] if level is None else _STATES.get(level, _STATES[UNKNOWN])


def text(value: object) -> str:
    """``value`` as text of HTML: escaped, without control characters."""
    return escape(printable(str(value)))


def words(value: object) -> str:
    """``value`` as ``text``, which may be broken within addresses and paths: they are long for a phone."""
    return _BREAKS.sub(r"\g<0><wbr>", text(value))


def badge(level: Optional[int], word: str = "") -> str:
    """The state as a sign and a word."""
    shown = state(level)
    return (f'<span class="state {shown.style}"><span aria-hidden="true">{shown.symbol}</span> '
            f"{text(word or shown.word)}</span>")


def moment(when: datetime) -> str:
    """An aware instant in its own zone."""
    told = f"{when:%a} {when.day} {when:%b %Y, %H:%M} {when.tzname() or 'UTC'}"
    return f'<time datetime="{iso(when)}">{text(told)}</time>'


def short_moment(when: datetime) -> str:
    """An aware instant of this week in its own zone: ``Tue 24 Nov, 05:47``."""
    return f'<time datetime="{iso(when)}">{when:%a} {when.day} {when:%b, %H:%M}</time>'


def short_day(day: date) -> str:
    return f"{day:%a} {day.day} {day:%b}"


def measure(figure: str, value: float) -> str:
    """``value`` with the unit that the end of the name ``figure`` tells."""
    if figure.endswith("_bytes"):
        return format_bytes(int(value))
    if figure.endswith("_ms"):
        return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"
    if figure.endswith("_percent"):
        return f"{value:.0f} %" if value >= 10 or value == int(value) else f"{value:.2g} %"
    if figure.endswith("_seconds"):
        return format_seconds(value)
    if figure.startswith("cost"):
        return f"{value:,.2f}"
    return number(value)


def number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:,.2f}"


class Row(NamedTuple):
    """A row of a table: HTML a cell, the first of them its header; ``group``: the row heads those that follow."""

    cells: Sequence[str]
    group: bool = False


def table(caption: str, heads: Sequence[str], rows: Iterable[Row], styles: Sequence[str] = (), style: str = "") -> str:
    """``caption`` is HTML, ``heads`` are plain words; ``styles`` are classes of the columns, in order. With the
    ``style`` "stacked" the cells of a row stand below each other on a phone; the roles keep it a table there."""
    classes = [f' class="{name}"' if name else "" for name in (*styles, *[""] * len(heads))]
    head = "".join(f'<th scope="col" role="columnheader"{kind}>{text(word)}</th>' for word, kind in zip(heads, classes))
    bodies: list[list[str]] = [[]]
    for row in rows:
        if row.group:
            bodies.append([_line(f'<th scope="rowgroup" role="rowheader" colspan="{len(heads)}">{row.cells[0]}</th>')])
            continue
        first, *others = row.cells
        bodies[-1].append(_line(f'<th scope="row" role="rowheader"{classes[0]}>{first}</th>' + "".join(
            f'<td role="cell"{kind}>{cell}</td>' for cell, kind in zip(others, classes[1:]))))
    body = "".join(f'<tbody role="rowgroup">{"".join(lines)}</tbody>' for lines in bodies if lines)
    kind = f' class="{style}"' if style else ""
    return (f'<table role="table"{kind}><caption>{caption}</caption><thead role="rowgroup">{_line(head)}</thead>'
            f"{body}</table>")


def _line(cells: str) -> str:
    return f'<tr role="row">{cells}</tr>'


def section(identity: str, heading: str, content: str, *, hidden: bool = False) -> str:
    """A part of a page under its own heading."""
    style = ' class="hidden"' if hidden else ""
    return (f'<section aria-labelledby="{identity}"><h2 id="{identity}"{style}>{text(heading)}</h2>{content}</section>')


def written(now: datetime, then: str) -> str:
    """When a page was written, and what it means if that is long ago."""
    return (f'<p class="written">Written {moment(now)}. If this is more than {STALE_SECONDS // 60} minutes ago, '
            f"{text(then)}</p>")


def document(title: str, level: int, header: str, main: str, footer: str) -> str:
    """The whole page: no script, nothing from elsewhere, and a policy that says so to the browser
    (https://www.w3.org/TR/CSP3/)."""
    icon = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="8" '
            f'fill="{LIGHT[state(level).style]}"/><text x="8" y="12" font-size="11" text-anchor="middle" fill="#fff">'
            f"{state(level).symbol}</text></svg>")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="robots" content="noindex">\n'
        f'<meta name="theme-color" content="{LIGHT["page"]}" media="(prefers-color-scheme: light)">\n'
        f'<meta name="theme-color" content="{DARK["page"]}" media="(prefers-color-scheme: dark)">\n'
        f"<title>{text(state(level).word)}: {text(title)}</title>\n"
        f'<link rel="icon" href="data:image/svg+xml,{quote(icon)}">\n<style>{stylesheet()}</style>\n</head>\n<body>\n'
        f"<header>\n{header}\n</header>\n<main>\n{main}\n</main>\n"
        f'<footer>{footer}</footer>\n<aside class="stale warning" aria-label="Age of this page">This page has been '
        f"open for more than {STALE_SECONDS // 60} minutes: load it again to see how things are now.</aside>\n"
        "</body>\n</html>\n")
