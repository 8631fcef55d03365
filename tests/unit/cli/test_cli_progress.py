# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress on a real pseudo-terminal, with --verbose, and without either."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Optional, TextIO

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.cli.output import Output
from ansible_collections.feedforward.maintenance.plugins.module_utils.cli.progress import (
    ProgressLine,
    describe,
    percent,
    progress_for,
    terminal_columns,
)

if TYPE_CHECKING:
    from conftest import Terminal

MB = 1000 * 1000


class Clock:
    """A clock that the test moves, seconds."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def drawn(terminal: Terminal) -> list[str]:
    """What was drawn, one item a redraw."""
    return terminal.shown().split("\r\033[K")


def output_on(stderr: Optional[TextIO], *, verbose: bool = False) -> Output:
    output = Output("p", stdout=None, stderr=stderr, environ={"NO_COLOR": "1", "TERM": "xterm"})
    output.verbose = verbose
    return output


def test_one_line_is_rewritten_with_percent_rate_and_time_left(terminal: Terminal) -> None:
    clock = Clock()
    with ProgressLine(output_on(terminal.stream), live=True, clock=clock) as progress:
        for second in range(5):
            progress("snapshot users.db", second * 10 * MB, 100 * MB)
            clock.now += 1
    assert drawn(terminal) == [
        "",
        "snapshot users.db  0 %  0 B of 100.0 MB",
        "snapshot users.db  10 %  10.0 MB of 100.0 MB  10.0 MB/s  9.0 s left",
        "snapshot users.db  20 %  20.0 MB of 100.0 MB  10.0 MB/s  8.0 s left",
        "snapshot users.db  30 %  30.0 MB of 100.0 MB  10.0 MB/s  7.0 s left",
        "snapshot users.db  40 %  40.0 MB of 100.0 MB  10.0 MB/s  6.0 s left",
        "",
    ]


def test_redraws_are_few_but_the_end_of_a_phase_is_shown(terminal: Terminal) -> None:
    clock = Clock()
    with ProgressLine(output_on(terminal.stream), live=True, clock=clock) as progress:
        for step in range(1000):
            progress("files", step, 0)
            clock.now += 0.0005
        progress("compress", 0, MB)
        progress("compress", MB, MB)
    lines = drawn(terminal)
    assert 5 <= sum(line.startswith("files") for line in lines) <= 6
    assert lines[-3:] == ["compress  0 %  0 B of 1.0 MB", "compress  100 %  1.0 MB of 1.0 MB", ""]


def test_the_rate_follows_the_last_seconds(terminal: Terminal) -> None:
    clock = Clock()
    with ProgressLine(output_on(terminal.stream), live=True, clock=clock) as progress:
        done = 0
        for speed in [50] * 20 + [1] * 10:
            progress("p", done, 2000 * MB)
            clock.now += 1
            done += speed * MB
    assert "  1.0 MB/s  " in drawn(terminal)[-2]


def test_a_line_never_wraps_and_control_characters_are_visible(terminal: Terminal) -> None:
    terminal.resize(20)
    with ProgressLine(output_on(terminal.stream), live=True, clock=Clock()) as progress:
        progress("a\033[2J" + "b" * 50, 1, 2)
    assert drawn(terminal)[1] == "a\\x1b[2J" + "b" * 11


def test_verbose_leaves_one_line_a_phase_on_a_terminal(terminal: Terminal) -> None:
    clock = Clock()
    with ProgressLine(output_on(terminal.stream, verbose=True), live=True, clock=clock) as progress:
        progress("snapshot", 0, 2 * MB)
        clock.now += 2
        progress("snapshot", 2 * MB, 2 * MB)
        progress("check", 0, 0)
        clock.now += 0.5
    assert [line for line in drawn(terminal) if line.endswith("\r\n")] == [
        "\u2713 snapshot: 2.0 MB in 2.0 s\r\n", "\u2713 check: 0.50 s\r\n"]


def test_without_a_terminal_verbose_writes_plain_lines_and_a_failure_says_where() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    clock = Clock()
    with pytest.raises(KeyError), ProgressLine(output_on(stream, verbose=True), live=False, clock=clock) as progress:
        progress("snapshot", MB, MB)
        clock.now += 1
        progress("compress", MB, 4 * MB)
        clock.now += 3
        raise KeyError
    with pytest.raises(KeyError), ProgressLine(output_on(stream, verbose=True), live=False, clock=clock) as progress:
        progress("publish", 0, 0)
        raise KeyError
    stream.seek(0)
    assert stream.read() == ("\u2713 snapshot: 1.0 MB in 1.0 s\n\u2717 compress: stopped at 25 % after 3.0 s\n"
                             "\u2717 publish: stopped after 0.00 s\n")


def test_without_terminal_and_verbose_nothing_is_written() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with progress_for(output_on(stream), "xterm") as progress:
        progress("snapshot", 1, 2)
    stream.seek(0)
    assert stream.read() == ""


def test_a_dumb_terminal_gets_no_rewritten_line(terminal: Terminal) -> None:
    with progress_for(output_on(terminal.stream, verbose=True), "dumb") as progress:
        progress("snapshot", 2, 2)
    assert "\033" not in terminal.shown()


def test_a_standard_error_that_went_away_silences_the_progress() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w", encoding="utf-8")
    output = output_on(stream, verbose=True)
    clock = Clock()
    with ProgressLine(output, live=True, clock=clock) as progress:
        progress("snapshot", 1, 2)
        assert output.stderr is None
        clock.now += 1
        progress("snapshot", 2, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), writing)
    stream.close()


def test_a_terminal_that_vanishes_in_between_is_no_error(terminal: Terminal) -> None:
    output = output_on(terminal.stream)
    with ProgressLine(output, live=True, clock=Clock()) as progress:
        progress("snapshot", 1, 2)
        output.stderr = None
    assert "snapshot" in terminal.shown()


def test_figures() -> None:
    assert percent(999, 1000) == "99 %" and percent(1000, 1000) == "100 %" and percent(7, 5) == "100 %"
    assert describe("files", 2000, 0, 500.0) == "files  2.0 kB  500 B/s"
    assert describe("check", 0, 0, None) == "check"
    assert describe("p", 5, 5, 5.0) == "p  100 %  5 B of 5 B  5 B/s"


def test_columns_of_something_that_is_no_terminal_are_80() -> None:
    assert terminal_columns(io.StringIO()) == 80
