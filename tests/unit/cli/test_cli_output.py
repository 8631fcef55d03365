# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Marks, colour, JSON and streams that go away."""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING, TextIO

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.cli.output import (
    Line,
    Mark,
    Output,
    can_show_signs,
    is_terminal,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import DestinationError, SourceError

if TYPE_CHECKING:
    from conftest import Terminal

GOOD = Line("Database: Connected (15.2 MB)", Mark.GOOD)


def text_stream(encoding: str = "utf-8") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding)


def written(stream: TextIO) -> str:
    stream.flush()
    value: bytes = stream.buffer.getvalue()  # type: ignore[attr-defined]  # the BytesIO of text_stream
    return value.decode(stream.encoding)


def make(environ: dict[str, str], encoding: str = "utf-8") -> Output:
    return Output("feedforward-maintenance", stdout=text_stream(encoding), stderr=text_stream(encoding),
                  environ=environ)


@pytest.mark.parametrize("environ, encoding, sign", [
    ({}, "utf-8", "\u2713"), ({"LANG": "de_DE.UTF-8"}, "UTF-8", "\u2713"), ({"LC_ALL": "C"}, "utf-8", "[ok]"),
    ({"LC_ALL": "POSIX"}, "utf-8", "[ok]"), ({"LC_ALL": "C.UTF-8"}, "utf-8", "\u2713"), ({}, "ascii", "[ok]"),
    ({}, "latin-1", "[ok]"),
])
def test_marks_are_the_guides_where_they_can_be_shown(environ: dict[str, str], encoding: str, sign: str) -> None:
    output = make(environ, encoding)
    output.lines([GOOD, Line("below", Mark.GOOD, indent=1)])
    assert output.stdout is not None
    assert written(output.stdout) == f"{sign} Database: Connected (15.2 MB)\n  {sign} below\n"


@pytest.mark.parametrize("environ, expected", [
    ({"TERM": "xterm"}, "\033[32m\u2713\033[0m x"), ({"TERM": "xterm", "NO_COLOR": "1"}, "\u2713 x"),
    ({"TERM": "xterm", "NO_COLOR": ""}, "\033[32m\u2713\033[0m x"), ({"TERM": "dumb"}, "[ok] x"),
    ({"TERM": "linux"}, "\033[32m[ok]\033[0m x"),
])
def test_colour_on_a_terminal_touches_the_mark_only(terminal: Terminal, environ: dict[str, str],
                                                    expected: str) -> None:
    output = Output("p", stdout=terminal.stream, stderr=None, environ=environ)
    output.lines([Line("x", Mark.GOOD)])
    assert terminal.shown() == expected + "\r\n"


def test_names_that_carry_escape_sequences_are_made_visible() -> None:
    output = make({})
    output.lines([Line("evil\033[2Jname\nnext \u202e\udc80", Mark.BAD)])
    assert output.stdout is not None
    assert written(output.stdout) == "\u2717 evil\\x1b[2Jname\\nnext \\u202e\\udc80\n"


def test_details_come_with_verbose_only() -> None:
    for verbose, expected in ((False, "plain\n"), (True, "plain\ndetail\n")):
        output = make({})
        output.verbose = verbose
        output.show({}, [Line("plain"), Line("detail", detail=True)])
        assert output.stdout is not None and written(output.stdout) == expected


def test_json_is_one_document_and_nothing_else() -> None:
    output = make({})
    output.json = True
    output.lines([GOOD])
    output.show({"path": "/d\u00e9p\u00f4t", "size": 3}, [GOOD])
    assert output.stdout is not None
    text = written(output.stdout)
    assert json.loads(text) == {"path": "/d\u00e9p\u00f4t", "size": 3} and text.isascii() and text.endswith("}\n")


def test_an_error_is_one_line_and_with_json_a_document_too() -> None:
    error = SourceError("/x/users.db", "it is empty", "Look")
    output = make({})
    output.json = True
    output.error(error, 3)
    assert output.stdout is not None and output.stderr is not None
    assert written(output.stderr) == "feedforward-maintenance: /x/users.db: it is empty. Look.\n"
    assert json.loads(written(output.stdout))["error"] == {
        "type": "SourceError", "subject": "/x/users.db", "cause": "it is empty", "next_step": "Look",
        "message": "/x/users.db: it is empty. Look.", "exit_code": 3}


def test_debug_adds_the_traceback() -> None:
    output = make({})
    output.debug = True
    try:
        raise SourceError("s", "c", "n")
    except SourceError as error:
        output.error(error, 3)
    assert output.stderr is not None
    assert written(output.stderr).startswith("Traceback (most recent call last)")
    assert written(output.stderr).endswith("\np: s: c. n.\n".replace("\np", "\nfeedforward-maintenance"))


def test_missing_streams_are_no_error() -> None:
    output = Output("p", stdout=None, stderr=None, environ={})
    output.show({}, [GOOD])
    output.error(SourceError("s", "c", "n"), 3)
    output.note(GOOD)
    assert output.sign(Mark.GOOD, None) == "[ok]"
    assert not is_terminal(None)


def test_a_full_standard_output_is_told_and_an_error_still_reaches_standard_error() -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        output = Output("p", stdout=full, stderr=text_stream(), environ={})
        with pytest.raises(DestinationError, match="standard output: No space left on device"):
            output.lines([GOOD])
        output.json = True
        output.error(SourceError("s", "c", "n"), 3)
        assert output.stderr is not None and written(output.stderr) == "p: s: c. n.\n"
        with pytest.raises(OSError):
            full.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())


def test_a_standard_error_that_went_away_is_given_up() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w", encoding="utf-8")
    output = Output("p", stdout=None, stderr=stream, environ={})
    output.note(GOOD)
    assert output.stderr is None
    os.dup2(os.open(os.devnull, os.O_WRONLY), writing)
    stream.close()


def test_a_closed_stream_is_no_terminal_and_shows_no_signs() -> None:
    stream = text_stream("ascii")
    assert not can_show_signs(stream, {})
    stream.close()
    assert not is_terminal(stream)
