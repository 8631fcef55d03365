# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A message by mail (RFC 5321), over TLS (RFC 3207, 8314), as plain text and as HTML."""

from __future__ import annotations

import re
import smtplib
import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any, Optional

from ..alerting import Mail, Message
from .errors import DELAYED, PARTLY, REFUSED, UNREACHABLE, ChannelError, cause
from .limits import time_limit

END_SECONDS = 60.0
"""So long a server may look at a message that has ended: RFC 5321, 4.5.3.2.6, wants ten minutes, a run has not so many.
Whoever leaves earlier sends again what was taken."""

_SUBJECT_CHARACTERS = 250
_REPLY_CHARACTERS = 160
# With 7bit, what is not ASCII is encoded: not every server takes it as it is.
_POLICY = SMTP.clone(cte_type="7bit")


class _Patient(smtplib.SMTP):
    """Waits for each reply as a whole, not for each of its bytes, for the time that was given, and longer for that to
    the message itself. ``waits_seconds``: how long it waits, or waited last."""

    waits_seconds = 0.0
    _next_waits: tuple[float, ...] = ()

    def data(self, msg: Any) -> tuple[int, bytes]:
        self._next_waits = (self.timeout, max(self.timeout, END_SECONDS))
        try:
            return super().data(msg)
        finally:
            self._next_waits = ()

    def getreply(self) -> tuple[int, bytes]:
        self.waits_seconds, *rest = self._next_waits or (self.timeout,)
        self._next_waits = tuple(rest)
        try:
            if self.sock is not None:
                self.sock.settimeout(self.waits_seconds)
            with time_limit(self.sock, self.waits_seconds):
                return super().getreply()
        except TimeoutError:
            self.close()
            raise


class _PatientTls(_Patient, smtplib.SMTP_SSL):
    """The same over TLS from the first byte on."""


def send(mail: Mail, message: Message, *, context: Optional[ssl.SSLContext] = None,
         recipients: Sequence[str] = ()) -> None:
    """Sends to every recipient, or to those that are given. ``context`` None: the server's certificate is verified
    against the system's. Each step may take ``mail.timeout_seconds``, and the answer to the message END_SECONDS.
    Raises ChannelError: PARTLY where only some recipients were refused."""
    letter = _letter(mail, message)
    recipients = recipients or mail.recipients
    connection = _connect(mail, context)
    try:
        refused = _hand_over(connection, mail, letter, recipients)
    except smtplib.SMTPRecipientsRefused as error:
        later, never = _sorted(mail, error.recipients)
        raise _failure(mail, f"every recipient was refused, the first with {_first(error.recipients)}",
                       DELAYED if later else REFUSED, later, never) from None
    except smtplib.SMTPResponseException as error:
        outcome = REFUSED if 500 <= error.smtp_code < 600 else DELAYED
        raise _failure(mail, _reason(mail, error), outcome) from None
    except (OSError, ValueError) as error:
        raise _failure(mail, _reason(mail, error, connection.waits_seconds), DELAYED) from None
    finally:
        _leave(connection)
    if refused:
        raise _failure(mail, f"{len(refused)} of {len(recipients)} recipients were refused, the first with "
                             f"{_first(refused)}; the others have the message", PARTLY, *_sorted(mail, refused))


def probe(mail: Mail, *, context: Optional[ssl.SSLContext] = None) -> float:
    """Milliseconds until the server took connection, TLS, login (where a user is set) and NOOP; nothing is sent.
    Raises ChannelError."""
    began = time.monotonic()
    connection = _connect(mail, context)
    try:
        code, text = connection.noop()
        milliseconds = (time.monotonic() - began) * 1000
    except (OSError, ValueError) as error:
        raise _failure(mail, _reason(mail, error)) from None
    finally:
        _leave(connection)
    if code != 250:
        raise _failure(mail, f"it answers {_reply(code, text)} to NOOP")
    return milliseconds


def _connect(mail: Mail, context: Optional[ssl.SSLContext]) -> _Patient:
    """A connection that is ready to take a message."""
    if mail.user and mail.security not in ("starttls", "tls"):
        raise _failure(mail, "a login without TLS would show the password to the network: choose starttls or tls")
    if not (mail.user + mail.password).isascii():
        raise _failure(mail, "user and password have to be ASCII, for a login by SMTP knows nothing else")
    connection: Optional[_Patient] = None
    ready = False
    try:
        verified = context or ssl.create_default_context()
        if mail.security == "tls":
            connection = _PatientTls(mail.server, mail.port, timeout=mail.timeout_seconds, context=verified)
        else:
            connection = _Patient(mail.server, mail.port, timeout=mail.timeout_seconds)
        connection.ehlo_or_helo_if_needed()
        if mail.security == "starttls":
            if not connection.has_extn("starttls"):
                raise _failure(mail, "it offers no STARTTLS: choose its port for tls, or another server")
            connection.starttls(context=verified)
            connection.ehlo_or_helo_if_needed()
        if mail.user:
            if not connection.has_extn("auth"):
                raise _failure(mail, "it offers no login, and a user is configured")
            connection.login(mail.user, mail.password)
        ready = True
        return connection
    except (OSError, ValueError) as error:
        raise _failure(mail, _reason(mail, error)) from None
    finally:
        if connection is not None and not ready:
            connection.close()


def _hand_over(connection: smtplib.SMTP, mail: Mail, letter: EmailMessage,
               recipients: Sequence[str]) -> dict[str, tuple[int, bytes]]:
    """Who was refused. Not by send_message, which writes ``>From`` where a line begins with that word."""
    wide = not (mail.sender + "".join(mail.recipients)).isascii()
    if wide and not connection.has_extn("smtputf8"):
        raise smtplib.SMTPNotSupportedError
    return connection.sendmail(mail.sender, recipients, letter.as_bytes(policy=_POLICY.clone(utf8=wide)),
                               ["SMTPUTF8", "BODY=8BITMIME"] if wide else [])


def _leave(connection: smtplib.SMTP) -> None:
    """Whatever becomes of the farewell: the message has been taken, or has not."""
    with suppress(OSError, ValueError):
        if connection.sock is not None:
            connection.quit()
    connection.close()


def _sorted(mail: Mail, refused: dict[str, tuple[int, bytes]]) -> tuple[list[str], dict[str, str]]:
    """Who may take it later; who never will, with the reply to each."""
    never = {one: _without_password(mail, _reply(code, text)) for one, (code, text) in refused.items()
             if 500 <= code < 600}
    return [one for one in refused if one not in never], never


def _failure(mail: Mail, reason: str, outcome: str = UNREACHABLE, later: Sequence[str] = (),
             never: Optional[Mapping[str, str]] = None) -> ChannelError:
    return ChannelError(f"{mail.server} port {mail.port}: {_without_password(mail, reason)}", outcome, later=later,
                        never=never)


def _without_password(mail: Mail, text: str) -> str:
    """A server may quote what it was given."""
    return text.replace(mail.password, "***") if mail.password else text


def _reason(mail: Mail, error: Exception, waited_seconds: float = 0.0) -> str:
    if isinstance(error, smtplib.SMTPAuthenticationError):
        # What servers tell about a login may quote it, encoded in one of several ways.
        return f"it refuses the user or the password ({_reply(error.smtp_code, b'')})"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"it answers {_reply(error.smtp_code, error.smtp_error)}"
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return "it closed the connection"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "it takes no addresses with characters outside ASCII"
    if isinstance(error, smtplib.SMTPException):
        return f"it does not do what is needed, for instance a known way to log in ({type(error).__name__})"
    return cause(error, waited_seconds or mail.timeout_seconds)


def _first(refused: dict[str, tuple[int, bytes]]) -> str:
    return [_reply(code, text) for code, text in refused.values()][0]


def _reply(code: int, text: Any) -> str:
    """A reply of the server (RFC 5321, 4.2) in one line, shortened."""
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    return f"{code} {' '.join(words.split())[:_REPLY_CHARACTERS]}".strip()


def _letter(mail: Mail, message: Message) -> EmailMessage:
    letter = EmailMessage(policy=_POLICY)
    try:
        letter["Subject"] = _subject(message.subject)
        letter["From"] = mail.sender
        letter["To"] = ", ".join(mail.recipients)
        domain = mail.sender.rpartition("@")[2].encode("idna").decode("ascii")
    except ValueError:
        raise _failure(mail, "an address of sender or recipient cannot stand in a message") from None
    letter["Date"] = format_datetime(message.created)
    letter["Message-ID"] = f"<{re.sub('[^A-Za-z0-9.-]+', '-', message.id)[:100]}@{domain}>"
    # RFC 3834, and what Exchange looks for: no answer of an absent person, please.
    letter["Auto-Submitted"] = "auto-generated"
    letter["X-Auto-Response-Suppress"] = "All"
    letter.set_content(_body(message.text))
    letter.add_alternative(_body(message.html), subtype="html")
    return letter


def _subject(text: str) -> str:
    """One line that can only be read as text: a line break would begin a header of its own, and ``=?`` an encoded
    word (RFC 2047), in which a line break may hide."""
    line = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    while "=?" in line:
        line = line.replace("=?", "= ?")
    return line if len(line) <= _SUBJECT_CHARACTERS else line[:_SUBJECT_CHARACTERS - 3] + "..."


def _body(text: str) -> str:
    kept = "".join(one for one in text if one in "\n\t" or ord(one) >= 32 and ord(one) != 127)
    return kept.encode("utf-8", "replace").decode("utf-8")
