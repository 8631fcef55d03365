# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A message by mail (RFC 5321), over TLS (RFC 3207, 8314), as plain text and as HTML."""

from __future__ import annotations

import re
import smtplib
import ssl
import time
from contextlib import suppress
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any, Optional

from ..alerting import Mail, Message
from .errors import DELAYED, PARTLY, REFUSED, UNREACHABLE, ChannelError, cause
from .limits import time_limit

_SUBJECT_CHARACTERS = 250
_REPLY_CHARACTERS = 160
# With 7bit, what is not ASCII is encoded: not every server takes it as it is.
_POLICY = SMTP.clone(cte_type="7bit")


class _Patient(smtplib.SMTP):
    """Waits for each reply as a whole, not for each of its bytes, for the time that was given."""

    def getreply(self) -> tuple[int, bytes]:
        try:
            with time_limit(self.sock, self.timeout):
                return super().getreply()
        except TimeoutError:
            self.close()
            raise


class _PatientTls(_Patient, smtplib.SMTP_SSL):
    """The same over TLS from the first byte on."""


def send(mail: Mail, message: Message, *, context: Optional[ssl.SSLContext] = None) -> None:
    """Sends to every recipient. ``context`` None: the server's certificate is verified against the system's. Each
    step may take ``mail.timeout_seconds``. Raises ChannelError: PARTLY where only some recipients were refused."""
    letter = _letter(mail, message)
    connection = _connect(mail, context)
    try:
        refused = _hand_over(connection, mail, letter)
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _text in error.recipients.values()]
        outcome = REFUSED if all(500 <= code < 600 for code in codes) else DELAYED
        raise _failure(mail, f"every recipient was refused, the first with {_first(error.recipients)}",
                       outcome) from None
    except smtplib.SMTPResponseException as error:
        outcome = REFUSED if 500 <= error.smtp_code < 600 else DELAYED
        raise _failure(mail, _reason(mail, error), outcome) from None
    except (OSError, ValueError) as error:
        raise _failure(mail, _reason(mail, error), DELAYED) from None
    finally:
        _leave(connection)
    if refused:
        raise _failure(mail, f"{len(refused)} of {len(mail.recipients)} recipients were refused, the first with "
                             f"{_first(refused)}; the others have the message", PARTLY)


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


def _connect(mail: Mail, context: Optional[ssl.SSLContext]) -> smtplib.SMTP:
    """A connection that is ready to take a message."""
    if mail.user and mail.security not in ("starttls", "tls"):
        raise _failure(mail, "a login without TLS would show the password to the network: choose starttls or tls")
    if not (mail.user + mail.password).isascii():
        raise _failure(mail, "user and password have to be ASCII, for a login by SMTP knows nothing else")
    connection: Optional[smtplib.SMTP] = None
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


def _hand_over(connection: smtplib.SMTP, mail: Mail, letter: EmailMessage) -> dict[str, tuple[int, bytes]]:
    """Who was refused. Not by send_message, which writes ``>From`` where a line begins with that word."""
    wide = not (mail.sender + "".join(mail.recipients)).isascii()
    if wide and not connection.has_extn("smtputf8"):
        raise smtplib.SMTPNotSupportedError
    return connection.sendmail(mail.sender, mail.recipients, letter.as_bytes(policy=_POLICY.clone(utf8=wide)),
                               ["SMTPUTF8", "BODY=8BITMIME"] if wide else [])


def _leave(connection: smtplib.SMTP) -> None:
    """Whatever becomes of the farewell: the message has been taken, or has not."""
    with suppress(OSError, ValueError):
        if connection.sock is not None:
            connection.quit()
    connection.close()


def _failure(mail: Mail, reason: str, outcome: str = UNREACHABLE) -> ChannelError:
    # A server may quote what it was given.
    reason = reason.replace(mail.password, "***") if mail.password else reason
    return ChannelError(f"{mail.server} port {mail.port}: {reason}", outcome)


def _reason(mail: Mail, error: Exception) -> str:
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
    return cause(error, mail.timeout_seconds)


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
