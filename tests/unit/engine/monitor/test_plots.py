# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plots: XML that is whole, with words for those who do not see it, and lines where the figures are."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor import plots

VALUES = st.floats(-1e18, 1e18)


def drawn(text: str) -> ET.Element:
    """The picture, with what every one of them has."""
    picture = ET.fromstring(text)
    assert picture.get("role") == "img"
    words = {child.get("id"): child.text for child in picture if child.tag in ("title", "desc")}
    assert list(words) == picture.get("aria-labelledby").split()
    return picture


def paths(picture: ET.Element, style: str) -> list[str]:
    return [one.get("d") for one in picture.iter("path") if one.get("class") == style]


def line(series, **changes):
    given = {"since": 0.0, "until": 1000.0, "top": 10.0, "identity": "m1", "title": "CPU", "text": "5 %", **changes}
    return drawn(plots.line(series, **given))


def test_a_line_is_where_its_values_are():
    picture = line([(0.0, 0.0), (500.0, 5.0), (1000.0, 10.0)])
    assert paths(picture, "p-line") == ["M0 100L300 50L600 0"]
    assert paths(picture, "p-limit") == [] and picture.get("viewBox") == "0 0 600 100"


def test_what_is_outside_is_not_drawn_and_what_is_too_high_ends_at_the_top():
    assert paths(line([(-5.0, 1.0), (500.0, 99.0), (600.0, -3.0), (2000.0, 1.0)]), "p-line") == ["M300 0L360 100"]


def test_a_gap_is_a_gap():
    found = paths(line([(0.0, 1.0), (100.0, 1.0), (900.0, 1.0)], gap_seconds=300.0), "p-line")
    assert found == ["M0 90L60 90", "M540 90L540 90"]


def test_a_limit_and_a_band():
    picture = line([(0.0, 2.0), (500.0, 2.0)], most=[(0.0, 4.0), (500.0, 6.0)], limit=8.0)
    assert paths(picture, "p-limit") == ["M0 20H600"]
    assert paths(picture, "p-band") == ["M0 60L300 40L300 80L0 80Z"]
    assert paths(line([(0.0, 2.0)], limit=11.0), "p-limit") == []


def test_many_points_are_thinned_and_no_peak_is_lost():
    series = [(float(number), 9.0 if number == 4711 else 1.0 + number % 7 / 10) for number in range(10_000)]
    (found,) = paths(line(series, until=10_000.0), "p-line")
    assert len(found) < 4000 and re.search(r"L282\.\d 10L", found)


def test_no_figures_are_an_empty_picture():
    assert paths(line([]), "p-line") == []
    assert drawn(plots.bars([], identity="a", title="x", text="y")).get("viewBox") == "0 0 10 100"
    assert drawn(plots.strip([], identity="a", title="x", text="y")).get("viewBox") == "0 0 10 100"


def test_bars_tell_nothing_from_none():
    picture = drawn(plots.bars([10.0, None, 0.0, 5.0], identity="a", title="Calls", text="words"))
    assert [one.get("height") for one in picture.iter("rect")] == ["100", "2", "50"]
    assert [one.get("x") for one in picture.iter("rect")] == ["1", "21", "31"]
    assert paths(picture, "p-none") == ["M11 99h8"]


def test_a_strip_joins_what_is_equal_and_the_worse_is_higher():
    picture = drawn(plots.strip(["ok", "ok", "", "unknown", "warning", "critical"], identity="a", title="x", text="y"))
    assert [(one.get("class"), one.get("width"), one.get("height")) for one in picture.iter("rect")] == [
        ("p-ok", "20", "25"), ("p-unknown", "10", "50"), ("p-warning", "10", "70"), ("p-critical", "10", "100")]
    assert paths(picture, "p-none") == ["M20 99h10"]


def test_hostile_words_stay_words():
    evil = '</title><script>alert("1")</script>\x1b\u202e'
    for text in (plots.line([], 0.0, 1.0, 1.0, identity='"><b', title=evil, text=evil),
                 plots.bars([1.0], identity='"><b', title=evil, text=evil)):
        picture = ET.fromstring(text)
        assert picture.find("title").text == '</title><script>alert("1")</script>\\x1b\\u202e'
        assert "<script" not in text


@given(st.lists(st.tuples(st.floats(0, 1e6), VALUES), max_size=400), st.lists(st.tuples(st.floats(0, 1e6), VALUES)),
       st.floats(0, 1e18), st.one_of(st.none(), VALUES))
def test_whatever_the_figures_are_the_picture_is_whole(series, most, top, limit):
    text = plots.line(sorted(series), 0.0, 1e6, top, identity="x", title="t", text="d", most=sorted(most), limit=limit)
    numbers = [float(number) for path in drawn(text).iter("path")
               for number in re.findall(r"-?\d+\.?\d*", path.get("d"))]
    assert all(0 <= number <= 600 for number in numbers) and len(text) < 40_000


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e18)), max_size=60))
def test_bars_stay_in_their_picture(values):
    picture = drawn(plots.bars(values, identity="x", title="t", text="d"))
    assert all(float(one.get("y")) >= 0 and float(one.get("y")) + float(one.get("height")) <= 100.2
               for one in picture.iter("rect"))
