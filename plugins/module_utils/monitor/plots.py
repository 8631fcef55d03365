# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of figures as inline SVG (https://www.w3.org/TR/SVG11/). They hold shapes only and stretch with their place;
what they say stands in ``title`` and ``desc``, and words that are to be seen stand beside them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Optional

from ..errors import printable

_WIDTH, _HEIGHT = 600, 100
_MOST_POINTS = 150
_BAR = 10


def line(series: Sequence[tuple[float, float]], since: float, until: float, top: float, *, identity: str, title: str,
         text: str, most: Sequence[tuple[float, float]] = (), limit: Optional[float] = None, ticks: int = 4,
         gap_seconds: float = 900.0) -> str:
    """``series`` (seconds since 1970, value; in order) from ``since`` to ``until``, and from 0 up to ``top``; broken
    where nothing was found for longer than ``gap_seconds``. ``most`` is drawn as a band above it, ``limit`` as a dashed
    line. ``identity`` is unique on its page."""
    parts = [_vertical(number / ticks * _WIDTH) for number in range(1, ticks)]
    parts.append(f'<path class="p-base" d="M0 {_HEIGHT}H{_WIDTH}"/>')
    if most:
        parts += [_band(run, dict(series), since, until, top) for run in _runs(most, since, until, gap_seconds)
                  if len(run) > 1]
    if limit is not None and 0 < limit <= top:
        parts.append(f'<path class="p-limit" d="M0 {_y(limit, top)}H{_WIDTH}"/>')
    size = max(1, -(-len(series) * 2 // _MOST_POINTS))
    for run in _runs(series, since, until, gap_seconds):
        spots = [f"{_x(at, since, until)} {_y(value, top)}" for at, value in _thin(run, size)]
        # A line of no length has round ends and is seen.
        parts.append(f'<path class="p-line" d="M{"L".join(spots if len(spots) > 1 else spots * 2)}"/>')
    return _svg("line", f"0 0 {_WIDTH} {_HEIGHT}", identity, title, text, "".join(parts))


def bars(values: Sequence[Optional[float]], *, identity: str, title: str, text: str) -> str:
    """One bar a value, the highest of full height; None, of which nothing is known, is a dashed line at the foot."""
    top = max((value for value in values if value is not None), default=0.0) or 1.0
    parts = []
    for number, value in enumerate(values):
        left = number * _BAR
        if value is None:
            parts.append(f'<path class="p-none" d="M{left + 1} {_HEIGHT - 1}h{_BAR - 2}"/>')
        else:
            height = max(2.0, value / top * _HEIGHT)
            parts.append(f'<rect class="p-bar" x="{left + 1}" y="{_number(_HEIGHT - height)}" width="{_BAR - 2}" '
                         f'height="{_number(height)}"/>')
    width = max(1, len(values)) * _BAR
    return _svg("bars", f"0 0 {width} {_HEIGHT}", identity, title, text, "".join(parts))


_HEIGHTS = {"ok": 25, "unknown": 50, "warning": 70, "critical": _HEIGHT}


def strip(states: Sequence[str], *, identity: str, title: str, text: str) -> str:
    """One piece a time, each of equal length: ``ok``, ``warning``, ``critical``, ``unknown``, or empty where nobody
    looked. The worse, the higher, so that it can be read without colours."""
    parts, begin = [], 0
    for end in range(1, len(states) + 1):
        if end < len(states) and states[end] == states[begin]:
            continue
        state, left, width = states[begin], begin * _BAR, (end - begin) * _BAR
        if state in _HEIGHTS:
            height = _HEIGHTS[state]
            parts.append(f'<rect class="p-{state}" x="{left}" y="{_HEIGHT - height}" width="{width}" '
                         f'height="{height}"/>')
        else:
            parts.append(f'<path class="p-none" d="M{left} {_HEIGHT - 1}h{width}"/>')
        begin = end
    return _svg("strip", f"0 0 {max(1, len(states)) * _BAR} {_HEIGHT}", identity, title, text, "".join(parts))


def _svg(kind: str, box: str, identity: str, title: str, text: str, content: str) -> str:
    name = escape(identity)
    return (f'<svg class="{kind}" viewBox="{box}" preserveAspectRatio="none" role="img" '
            f'aria-labelledby="{name}-t {name}-d"><title id="{name}-t">{escape(printable(title))}</title>'
            f'<desc id="{name}-d">{escape(printable(text))}</desc>{content}</svg>')


def _runs(series: Sequence[tuple[float, float]], since: float, until: float,
          gap_seconds: float) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = []
    for at, value in series:
        if not since <= at <= until:
            continue
        if not runs or at - runs[-1][-1][0] > gap_seconds:
            runs.append([])
        runs[-1].append((at, value))
    return runs


def _band(most: Sequence[tuple[float, float]], series: dict[float, float], since: float, until: float,
          top: float) -> str:
    above = [f"{_x(at, since, until)} {_y(value, top)}" for at, value in most]
    below = [f"{_x(at, since, until)} {_y(series.get(at, 0.0), top)}" for at, _value in reversed(most)]
    return f'<path class="p-band" d="M{"L".join([*above, *below])}Z"/>'


def _thin(series: Sequence[tuple[float, float]], size: int) -> list[tuple[float, float]]:
    """The ends, and of each ``size`` between them the least and the largest: no peak is lost."""
    if size <= 2 or len(series) <= 2:
        return list(series)
    kept = [series[0]]
    for begin in range(0, len(series), size):
        piece = series[begin:begin + size]
        kept += sorted({min(piece, key=lambda pair: pair[1]), max(piece, key=lambda pair: pair[1])} - {kept[-1]})
    return kept if kept[-1] == series[-1] else [*kept, series[-1]]


def _vertical(x: float) -> str:
    return f'<path class="p-tick" d="M{_number(x)} 0V{_HEIGHT}"/>'


def _x(at: float, since: float, until: float) -> str:
    return _number((at - since) / max(until - since, 1.0) * _WIDTH)


def _y(value: float, top: float) -> str:
    return _number(_HEIGHT - min(max(value / top if top > 0 else 0.0, 0.0), 1.0) * _HEIGHT)


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
