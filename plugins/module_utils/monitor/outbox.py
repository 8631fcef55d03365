# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages that wait on disk until every way that is owed them has taken them.

A directory of mode 0700 holds one JSON file a message, named by its time, with the ways that are still owed it. A crash
between sending and writing that down sends a message twice; none is lost. Files end in:

- ``.json``: waits;
- ``.refused``: the last way that was owed it said again and again that it will never take it, or was there again and
  again and did not take it; kept to be read;
- ``.damaged``: cannot be understood; kept to be read.

``recipients`` names those whom the mail server refuses for good while it takes messages for others. The newest
``MOST_KEPT`` waiting and as many refused messages are kept.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Callable, Optional

from .. import directories
from ..alerting import Alerting, Message
from ..channels import apprise, mail, webhook
from ..channels.errors import DELAYED, PARTLY, REFUSED, UNREACHABLE, ChannelError
from ..errors import DestinationError, from_oserror, printable
from ..files import atomic_write, fsync_directory, remove_leftovers
from .letters import LONGEST_REST, Letter, Owed, dump, dump_refused, file_name, load, load_refused

MOST_KEPT = 500
MOST_REFUSALS = 12
MOST_FAILURES = 40
"""With the pauses between them, about three days."""
GRACE_SECONDS = 60.0
WAITING, SET_ASIDE, DAMAGED = ".json", ".refused", ".damaged"
_REFUSED_RECIPIENTS = "recipients"
_POLL_SECONDS = 0.05
_FIRST_PAUSE = timedelta(minutes=4)
_LONGEST_PAUSE = {DELAYED: timedelta(hours=2), REFUSED: LONGEST_REST}


@dataclass(frozen=True)
class Delivery:
    """``sent`` counts messages by ways; ``waiting`` messages, the ``oldest`` of which is of that time. ``failures``
    are (way, reason), each once; the way ``outbox`` is the directory itself. ``refused`` and ``damaged`` are the paths
    of files that were set aside, now or earlier. ``unconfigured`` counts ways that are owed messages no more because
    they are configured no more; ``dropped`` messages that were too many. ``busy``: another run sends, and this one
    did nothing."""

    sent: int = 0
    waiting: int = 0
    oldest: Optional[datetime] = None
    failures: tuple[tuple[str, str], ...] = ()
    damaged: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    unconfigured: int = 0
    dropped: int = 0
    busy: bool = False


def enqueue(directory: str, message: Message, channels: Sequence[str]) -> None:
    """Makes the message wait, durably, for each of ``channels`` (names as in Alerting.channels); makes the directory,
    whose parent exists. Where nobody is to be told there is nothing to keep. Raises DestinationError; InternalError
    for a message that cannot be written."""
    if not channels:
        return
    data = dump(Letter(message, {channel: Owed() for channel in channels}))
    if not os.path.isdir(directory):
        try:
            with suppress(FileExistsError):
                directories.make_directory(directory, 0o700)
        except OSError as error:
            raise from_oserror(error, directory, "creating the directory of messages to send") from error
    atomic_write(os.path.join(directory, file_name(message, WAITING)), data)


def send(alerting: Alerting, channel: str, message: Message, recipients: Sequence[str] = ()) -> None:
    """Sends by the way of that name, at once and once; a mail to all, or to ``recipients``. Raises ChannelError."""
    kind, _dash, number = channel.partition("-")
    if channel not in alerting.channels:
        raise ChannelError("it is not configured")
    if kind == "mail" and alerting.mail is not None:
        mail.send(alerting.mail, message, recipients=recipients)
    elif kind == "webhook":
        webhook.send(alerting.webhooks[int(number) - 1], message)
    else:
        apprise.send(alerting.apprise[int(number) - 1], message)


def send_at_once(alerting: Alerting, message: Message) -> tuple[str, ...]:
    """Sends by every way, once, without the queue. Returns a sentence for each that failed."""
    failed = []
    for channel in alerting.channels:
        try:
            send(alerting, channel, message)
        except ChannelError as error:
            failed.append(f"{channel}: {error}")
    return tuple(failed)


def waiting(directory: str) -> tuple[int, Optional[datetime]]:
    """How many messages wait, and the time of the oldest that can be read. Raises DestinationError."""
    names = _names(directory, WAITING)
    for name in names:
        with suppress(OSError, ValueError):
            return len(names), load(os.path.join(directory, name)).message.created
    return len(names), None


def unreadable(directory: str) -> int:
    """How many of the messages that wait cannot be read, and so are sent by no run. Raises DestinationError."""
    found = 0
    for name in _names(directory, WAITING):
        try:
            load(os.path.join(directory, name))
        except (ValueError, FileNotFoundError):
            # The next delivery sets it aside; or one has just sent it.
            continue
        except OSError:
            found += 1
    return found


def set_aside(directory: str) -> int:
    """How many messages nobody will be sent any more, because they were refused, were not taken after many
    attempts or cannot be understood. Raises DestinationError."""
    return len(_names(directory, SET_ASIDE)) + len(_names(directory, DAMAGED))


def refused_recipients(directory: str, alerting: Alerting) -> str:
    """A part of a sentence on who is refused for good while others are written to; empty: nobody. Addresses are
    numbers in it, for everybody may read where it is shown."""
    if alerting.mail is None:
        return ""
    everybody = alerting.mail.recipients
    refused = {one: reply for one, reply in load_refused(os.path.join(directory, _REFUSED_RECIPIENTS)).items()
               if one in everybody}
    if not refused:
        return ""
    first, reply = next(iter(refused.items()))
    text = f"{first}: {reply}"
    for number, one in sorted(enumerate(everybody, 1), key=lambda pair: -len(pair[1])):
        text = re.sub(re.escape(one), f"recipient {number}", text, flags=re.IGNORECASE)
    verb = "is" if len(refused) == 1 else "are"
    return f"{len(refused)} of {len(everybody)} recipients {verb} refused: {printable(text)}"


def note_recipients(directory: str, alerting: Alerting, took: Collection[str], never: Mapping[str, str]) -> None:
    """Remembers who took a mail and who never will. Raises OSError, DestinationError."""
    path = os.path.join(directory, _REFUSED_RECIPIENTS)
    known = load_refused(path)
    everybody = alerting.mail.recipients if alerting.mail else ()
    refused = {one: reply for one, reply in {**known, **never}.items() if one in everybody and one not in took}
    if refused and refused != known:
        atomic_write(path, dump_refused(refused))
    elif not refused and os.path.lexists(path):
        _remove(path)


def deliver(directory: str, alerting: Alerting, now: datetime, *, wait_seconds: float = 5.0,
            budget_seconds: float = 50.0) -> Delivery:
    """Tries to send what waits, the oldest first. After ``budget_seconds`` it begins nothing but the first try of a way
    that another one kept waiting, and not even that after ``GRACE_SECONDS`` more.

    What fails is owed further, and how decides what is tried next. UNREACHABLE: nothing more by that way in this run.
    DELAYED: the same, and the message gives way to younger ones for a pause of 4 minutes to 2 hours, so that one that a
    server chokes on does not block the others; after ``MOST_FAILURES`` it is tried no more. REFUSED: the others are
    tried; the message is tried again after pauses of 4 minutes to 6 hours, and after ``MOST_REFUSALS`` no more. PARTLY:
    it is owed further to those recipients that may take it later, with the pauses of DELAYED; who is refused for good
    while others take it is noted.

    Another run is waited for up to ``wait_seconds``. ``now`` is aware. Raises DestinationError where the directory
    cannot be read or locked; what fails at a single file is among the failures."""
    if not os.path.isdir(directory):
        return Delivery()
    with _locked(directory, wait_seconds) as locked:
        if not locked:
            count, oldest = waiting(directory)
            return Delivery(waiting=count, oldest=oldest, busy=True)
        remove_leftovers(directory)
        return _Round(directory, alerting, now, time.monotonic() + budget_seconds).run()


@dataclass
class _Round:
    """One delivery, and what it did so far."""

    directory: str
    alerting: Alerting
    now: datetime
    until: float
    sent: int = 0
    unconfigured: int = 0
    failures: dict[tuple[str, str], None] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    begun: set[str] = field(default_factory=set)

    def run(self) -> Delivery:
        for name in _names(self.directory, WAITING):
            path = os.path.join(self.directory, name)
            try:
                letter = load(path)
            except ValueError:
                self._keep(_set_aside, path, DAMAGED)
            except OSError as error:
                self._fail("outbox", str(from_oserror(error, path, "reading a message that waits")))
            else:
                self._work(path, letter)
        dropped = self._bound(WAITING) + self._bound(SET_ASIDE)
        count, oldest = waiting(self.directory)
        refused, damaged = (tuple(os.path.join(self.directory, name) for name in _names(self.directory, ending))
                            for ending in (SET_ASIDE, DAMAGED))
        return Delivery(self.sent, count, oldest, tuple(self.failures), damaged, refused, self.unconfigured, dropped)

    def _work(self, path: str, letter: Letter) -> None:
        """Tries what is owed of one message, and writes down what became of it."""
        owed = {channel: one for channel, one in map(self._still, letter.owed.items()) if one is not None}
        self.unconfigured += len(letter.owed) - len(owed)
        changed = owed != letter.owed
        for channel, before in list(owed.items()):
            if changed and owed:
                # Before the next way is tried, for a run can be killed at any moment.
                changed = not self._keep(_write, path, Letter(letter.message, owed))
            after = self._try(letter.message, channel, before)
            changed = changed or after != before
            if after is None:
                del owed[channel]
            else:
                owed[channel] = after
        if not owed:
            self._keep(_remove, path)
            return
        if changed:
            self._keep(_write, path, Letter(letter.message, owed))
        if all(_is_hopeless(one) for one in owed.values()):
            self._keep(_set_aside, path, SET_ASIDE)

    def _still(self, item: tuple[str, Owed]) -> tuple[str, Optional[Owed]]:
        """What is owed by a way that is still configured, to those who still are."""
        channel, owed = item
        if channel not in self.alerting.channels:
            return channel, None
        if channel != "mail" or self.alerting.mail is None or not owed.recipients:
            return channel, owed
        recipients = tuple(one for one in owed.recipients if one in self.alerting.mail.recipients)
        return channel, replace(owed, recipients=recipients) if recipients else None

    def _try(self, message: Message, channel: str, owed: Owed) -> Optional[Owed]:
        """What is owed after it; None: nothing."""
        late = time.monotonic() - self.until
        if (channel in self.stopped or _is_hopeless(owed) or owed.rests(self.now) or late >= GRACE_SECONDS
                or (late >= 0 and channel in self.begun)):
            return owed
        self.begun.add(channel)
        try:
            send(self.alerting, channel, message, owed.recipients)
        except ChannelError as error:
            failure = error
        except Exception as error:
            # A defect at one message must not keep the others from being sent.
            failure = ChannelError(f"a defect of ours ({type(error).__name__})", DELAYED)
        else:
            self._note(channel, owed, None)
            self.sent += 1
            return None
        self._fail(channel, str(failure))
        return self._after(channel, owed, failure)

    def _after(self, channel: str, owed: Owed, failure: ChannelError) -> Optional[Owed]:
        """What is owed after a failure; None: nothing."""
        if failure.outcome == UNREACHABLE:
            self.stopped.add(channel)
            return owed
        # Where others have it, those who are left are a matter of their own.
        partly = failure.outcome == PARTLY or (bool(owed.recipients) and bool(failure.later or failure.never))
        if partly:
            self._note(channel, owed, failure)
            if not failure.later:
                self.sent += 1
                return None
        elif failure.outcome == DELAYED:
            self.stopped.add(channel)
        outcome = DELAYED if partly else failure.outcome
        pause = min(_FIRST_PAUSE * 2 ** min(owed.failures, 10), _LONGEST_PAUSE[outcome])
        return Owed(owed.failures + 1, owed.refusals + (outcome == REFUSED), self.now + pause,
                    failure.later if partly else owed.recipients)

    def _note(self, channel: str, owed: Owed, failure: Optional[ChannelError]) -> None:
        """Remembers which recipients of a mail took it, and which never will."""
        if channel != "mail" or self.alerting.mail is None:
            return
        never, later = (failure.never, failure.later) if failure else ({}, ())
        took = {*(owed.recipients or self.alerting.mail.recipients)} - {*never, *later}
        self._keep(lambda path: note_recipients(path, self.alerting, took, never), self.directory)

    def _bound(self, ending: str) -> int:
        """Removes the oldest beyond ``MOST_KEPT``; returns how many."""
        surplus = _names(self.directory, ending)[:-MOST_KEPT]
        return sum(self._keep(_remove, os.path.join(self.directory, name)) for name in surplus)

    def _keep(self, act: Callable[..., None], path: str, *arguments: Any) -> bool:
        """Whether it could be written down. A full disk does not end the delivery."""
        try:
            act(path, *arguments)
        except OSError as error:
            self._fail("outbox", str(from_oserror(error, path, "writing down what was sent")))
        except DestinationError as error:
            self._fail("outbox", str(error))
        else:
            return True
        return False

    def _fail(self, channel: str, reason: str) -> None:
        self.failures[(channel, reason)] = None


def _is_hopeless(owed: Owed) -> bool:
    return owed.refusals >= MOST_REFUSALS or owed.failures >= MOST_FAILURES


def _names(directory: str, ending: str) -> list[str]:
    """The files with that ending, the oldest first; none where there is no directory. Raises DestinationError."""
    try:
        return sorted(name for name in os.listdir(directory) if name.endswith(ending) and not name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise from_oserror(error, directory, "reading the directory of messages to send") from error


def _write(path: str, letter: Letter) -> None:
    atomic_write(path, dump(letter))


def _remove(path: str) -> None:
    directories.unlink(path)
    fsync_directory(os.path.dirname(path))


def _set_aside(path: str, ending: str) -> None:
    base, number = path[:-len(WAITING)], 1
    target = base + ending
    while os.path.lexists(target):
        number += 1
        target = f"{base}-{number}{ending}"
    directories.rename(path, target)
    fsync_directory(os.path.dirname(path))


@contextmanager
def _locked(directory: str, wait_seconds: float) -> Iterator[bool]:
    """Holds the lock of the directory, or tells that another process does. Raises DestinationError."""
    deadline = time.monotonic() + wait_seconds
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise from_oserror(error, directory, "locking the directory of messages to send") from error
    try:
        yield _lock(directory, handle, deadline)
    finally:
        os.close(handle)


def _lock(directory: str, handle: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        except OSError as error:
            raise from_oserror(error, directory, "locking the directory of messages to send") from error
        else:
            return True
