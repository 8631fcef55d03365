# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest part of an access log, read from its end."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.module_utils.probes import access_log
from ansible_collections.feedforward.maintenance.plugins.module_utils.probes.access_log import Requests

NOON = dt.datetime(2026, 11, 27, 12, tzinfo=dt.timezone.utc)
EAST = dt.timezone(dt.timedelta(hours=5, minutes=30))


def line(moment: dt.datetime, status: int = 200, request: str = "GET / HTTP/1.1", rest: str = ' "-" "curl/8"') -> str:
    return f'127.0.0.1 - alice [{moment:%d/%b/%Y:%H:%M:%S %z}] "{request}" {status} 512{rest}\n'


def before(minutes: float) -> dt.datetime:
    return NOON - dt.timedelta(minutes=minutes)


def read(path: Path, minutes: float = 15, **options) -> Requests:
    return access_log.requests_since(str(path), before(minutes), **options)


def test_the_window_is_counted(tmp_path):
    path = tmp_path / "access.log"
    path.write_text("".join([line(before(60), 500), line(before(14), 200), line(before(3), 404), line(before(2), 502),
                             line(before(1), 500, rest=""), line(before(0.5), 599, request='GET /\\"x\\" HTTP/1.1')]))
    assert read(path) == Requests(5, 3)
    assert read(path, 120) == Requests(6, 4)
    assert read(path, 0.1) == Requests(0, 0)


def test_zones_and_disorder(tmp_path):
    path = tmp_path / "access.log"
    path.write_text("".join([line(before(20), 500), line(before(10).astimezone(EAST), 500), line(before(16)),
                             line(before(5).astimezone(dt.timezone(dt.timedelta(hours=-8))))]))
    assert read(path) == Requests(2, 1)


def test_lines_that_are_none(tmp_path):
    path = tmp_path / "access.log"
    path.write_text("{}\n" + line(before(1)) + "x" * 300_000 + "\n\n" + line(before(1), 500).replace("Nov", "Foo")
                    + line(before(1), 500) + "127.0.0.1 - - [27/N")
    found = read(path)
    assert (found.requests, found.errors) == (2, 1) and found.unread >= 3
    path.write_text('{"status": 500}\n' * 10)
    assert read(path) == Requests(0, 0, 10)


def test_what_was_rotated_away_belongs_to_the_window(tmp_path):
    path = tmp_path / "access.log"
    path.write_text(line(before(1)))
    assert read(path) == Requests(1, 0)
    (tmp_path / "access.log.1").write_text(line(before(30), 500) + line(before(5), 500))
    assert read(path) == Requests(2, 1)
    path.write_text("")
    assert read(path) == Requests(1, 1)


def test_a_limit_of_what_is_read(tmp_path):
    path = tmp_path / "access.log"
    path.write_text(line(before(1)) * 3000)
    found = read(path, limit_bytes=10_000)
    assert 50 < found.requests < 200 and not found.complete
    assert read(path) == Requests(3000, 0)


def test_a_log_that_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "access.log")
    with pytest.raises(OSError, match="not a regular file"):
        read(Path("/dev/null"))


@given(st.lists(st.tuples(st.integers(0, 14), st.integers(100, 599)), max_size=50))
def test_every_line_is_counted_once(tmp_path_factory, entries):
    path = tmp_path_factory.mktemp("log") / "access.log"
    path.write_text("".join(line(before(minutes), status) for minutes, status in entries))
    assert read(path) == Requests(len(entries), sum(status >= 500 for _minutes, status in entries))


@given(st.lists(st.binary(min_size=1, max_size=60).filter(lambda text: b"\n" not in text), max_size=20),
       st.integers(1, 20))
def test_lines_come_back_in_reverse(tmp_path_factory, lines, block):
    path = tmp_path_factory.mktemp("log") / "access.log"
    path.write_bytes(b"\n".join(lines))
    before_bytes, access_log._BLOCK_BYTES = access_log._BLOCK_BYTES, block
    try:
        assert list(access_log._Tail(str(path), 10**6).lines()) == lines[::-1]
    finally:
        access_log._BLOCK_BYTES = before_bytes
