# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks of work on several threads, results in order, memory bounded.

zlib, hashlib and AES-GCM release the interpreter lock for large blocks, so threads are enough.
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import cache
from typing import Any, Callable, Generic, Optional, TypeVar

_T = TypeVar("_T")
_MOST_WORKERS = 16
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 32 << 20


def worker_count(workers: Optional[int]) -> int:
    """``workers``, or by default the number of processors that this process may use (at most 16)."""
    if workers is None:
        workers = len(os.sched_getaffinity(0))
    return max(1, min(workers, _MOST_WORKERS))


@cache
def _keep_freed_blocks() -> None:
    """Without this glibc returns each freed block of 1 MiB to the kernel, and the page faults of the next one take up
    to a third of the time of a restore. See mallopt(3); another C library has no such function, and needs none."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def thread_pool(workers: Optional[int]) -> ThreadPoolExecutor:
    """Threads for blocks of 1 MiB, as many as ``worker_count`` says."""
    _keep_freed_blocks()
    return ThreadPoolExecutor(worker_count(workers), thread_name_prefix="archive")


class OrderedQueue:
    """Hands blocks to an executor and delivers the results in the order of submission, on the caller's thread.

    At most ``limit`` blocks are in flight (waiting, being worked on, or done and not yet delivered): ``submit``
    waits for the oldest one otherwise. An exception of a worker is raised where its result was due.
    """

    def __init__(self, deliver: Callable[[bytes], Any], *, workers: Optional[int] = None,
                 executor: Optional[Executor] = None) -> None:
        count = worker_count(workers)
        self.limit = count + 2
        self._deliver = deliver
        self._owned = executor is None
        self._executor = executor or thread_pool(count)
        self._pending: deque[Future[bytes]] = deque()

    @property
    def in_flight(self) -> int:
        """Blocks that were submitted and not yet delivered."""
        return len(self._pending)

    def submit(self, function: Callable[..., bytes], *arguments: Any) -> None:
        """Queues ``function(*arguments)``; may deliver older results first."""
        while self._pending and (len(self._pending) >= self.limit or self._pending[0].done()):
            self._deliver(self._pending.popleft().result())
        self._pending.append(self._executor.submit(function, *arguments))

    def finish(self) -> None:
        """Delivers everything that is in flight, and ends the threads of an own executor."""
        try:
            while self._pending:
                self._deliver(self._pending.popleft().result())
        finally:
            if self._owned:
                self._executor.shutdown(wait=True)


class ReadAhead(Generic[_T]):
    """Takes items from ``read`` and works on them ahead of the reader: on ``executor``, or one at a time without.

    ``next`` gives the results in order, None after the last item (for which ``read`` returned None). An error of
    ``read`` or ``work`` is raised where its item was due, and again by every later call. At most ``limit`` items are
    in flight; ``read`` is only called on the caller's thread.
    """

    def __init__(self, read: Callable[[], Optional[_T]], work: Callable[[_T], bytes], *,
                 executor: Optional[Executor] = None, workers: Optional[int] = None) -> None:
        self._read = read
        self._work = work
        self._executor = executor
        self.limit = worker_count(workers) + 1 if executor is not None else 1
        self._pending: deque[Future[bytes]] = deque()
        self._end: Optional[BaseException] = None
        self._ended = False

    def next(self) -> Optional[bytes]:
        """The next result."""
        self._fill()
        if self._pending:
            try:
                return self._pending.popleft().result()
            except BaseException as error:
                self._pending.clear()
                self._ended, self._end = True, error
                raise
        if self._end is not None:
            raise self._end
        return None

    def close(self) -> None:
        """Lets go of everything: a reader and its ReadAhead hold each other, which would keep its blocks for long."""
        self._pending.clear()
        self._ended = True
        del self._read, self._work

    def _fill(self) -> None:
        while not self._ended and len(self._pending) < self.limit:
            try:
                item = self._read()
            except Exception as error:
                self._ended, self._end = True, error
                return
            if item is None:
                self._ended = True
            elif self._executor is not None:
                self._pending.append(self._executor.submit(self._work, item))
            else:
                self._pending.append(_done(self._work, item))


def _done(work: Callable[[_T], bytes], item: _T) -> Future[bytes]:
    future: Future[bytes] = Future()
    try:
        future.set_result(work(item))
    except Exception as error:
        future.set_exception(error)
    return future
