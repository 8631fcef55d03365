# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail: what a real server of mail receives, and what is told when it does not."""

from __future__ import annotations

import asyncio
import base64
import email.policy
import os
import ssl
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.module_utils.alerting import Mail
from ansible_collections.feedforward.maintenance.plugins.module_utils.channels import mail
from ansible_collections.feedforward.maintenance.plugins.module_utils.channels.errors import (
    DELAYED,
    PARTLY,
    REFUSED,
    UNREACHABLE,
    ChannelError,
)
from ansible_collections.feedforward.maintenance.tests.unit.engine.channels.servers import (
    PASSWORD,
    USER,
    Mailbox,
    at_the_end_of_a_message,
    authority,
    closed_port,
    drip,
    hang,
    mail_server,
    message,
    raw_server,
    server_side,
)

ADMIN, OTHER = "admin@school.example", "other@school.example"
HEADERS = ["Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress", "MIME-Version",
           "Content-Type"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def trusted(certificate):
    return ssl.create_default_context(cafile=str(certificate))


@pytest.fixture()
def box():
    return Mailbox()


@pytest.fixture(scope="module")
def plain():
    """A server without TLS, and its box: for what does not depend on the connection."""
    box = Mailbox()
    with mail_server(box) as port:
        yield box, Mail("127.0.0.1", USER, (ADMIN,), port, "none", timeout_seconds=10.0)


def to(port, **changes):
    given = {"security": "starttls", "user": USER, "password": PASSWORD, "timeout_seconds": 10.0}
    return Mail("127.0.0.1", USER, (ADMIN, OTHER), port, **{**given, **changes})


def received(box):
    return email.message_from_bytes(box.envelopes[-1].content, policy=email.policy.default)


def failure(act, *arguments, **options):
    """The error, which holds no secret."""
    with pytest.raises(ChannelError) as caught:
        act(*arguments, **options)
    for text in (str(caught.value), repr(caught.value), caught.value.reason):
        assert PASSWORD not in text
        assert base64.b64encode(PASSWORD.encode()).decode() not in text
    assert caught.value.__cause__ is None and (caught.value.__suppress_context__ or caught.value.__context__ is None)
    return caught.value


@pytest.mark.parametrize("implicit", [False, True])
def test_a_message_arrives_over_tls_after_a_login(box, certificate, trusted, implicit):
    with mail_server(box, certificate, implicit=implicit, login=True) as port:
        way = to(port, security="tls" if implicit else "starttls")
        mail.send(way, message(), context=trusted)
        assert mail.probe(way, context=trusted) > 0
    assert box.logins == 2 and len(box.envelopes) == 1
    assert (box.envelopes[0].mail_from, box.envelopes[0].rcpt_tos) == (USER, [ADMIN, OTHER])
    letter = received(box)
    assert [name for name, _value in letter.items()] == HEADERS
    assert letter["Subject"] == "Disk is full"
    assert letter["From"] == USER and letter["To"] == f"{ADMIN}, {OTHER}"
    assert letter["Date"].datetime == message().created
    assert letter["Message-ID"] == "<20261124T054710Z-abc@school.example>"
    assert letter["Auto-Submitted"] == "auto-generated" and letter["X-Auto-Response-Suppress"] == "All"
    assert letter.get_content_type() == "multipart/alternative"
    assert letter.get_body(("plain",)).get_content().replace("\r\n", "\n") == "Storage: 98 % are used\n"
    assert letter.get_body(("html",)).get_content().replace("\r\n", "\n") == "<p>Storage: 98 % are used</p>\n"


def test_the_systems_authorities_are_what_is_trusted(box, certificate):
    code = ("import sys\n"
            "from ansible_collections.feedforward.maintenance.plugins.module_utils.alerting import Mail\n"
            "from ansible_collections.feedforward.maintenance.plugins.module_utils.channels import mail\n"
            "mail.probe(Mail('127.0.0.1', 'a@b.example', ('c@d.example',), int(sys.argv[1])))\n")
    with mail_server(box, certificate) as port:
        done = subprocess.run([sys.executable, "-c", code, str(port)], check=False, timeout=60, capture_output=True,
                              env={**os.environ, "SSL_CERT_FILE": str(certificate)})
        assert done.returncode == 0, done.stderr.decode()
        assert "its certificate is not good" in str(failure(mail.probe, to(port)))


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("act", [mail.probe, lambda way, **options: mail.send(way, message(), **options)])
def test_a_certificate_that_nobody_vouches_for_ends_it_before_the_login(box, certificate, implicit, act):
    with mail_server(box, certificate, implicit=implicit, login=True) as port:
        error = failure(act, to(port, security="tls" if implicit else "starttls"))
    assert error.outcome == UNREACHABLE and "its certificate is not good: self" in str(error)
    assert box.logins == 0 and not box.envelopes


def test_a_certificate_of_another_host(box, certificate, trusted):
    with mail_server(box, certificate) as port:
        error = failure(mail.probe, replace(to(port), server="localhost"), context=trusted)
    assert "its certificate is not good: Hostname mismatch" in str(error)


def test_a_wrong_password(box, certificate, trusted):
    with mail_server(box, certificate, login=True) as port:
        error = failure(mail.send, to(port, password="wrong-" + PASSWORD), message(), context=trusted)
        assert (error.outcome, str(error)) == (
            UNREACHABLE, f"127.0.0.1 port {port}: it refuses the user or the password (535)")
    assert not box.envelopes


def test_a_server_without_starttls_never_gets_a_login_nor_a_message(box, trusted):
    with mail_server(box) as port:
        error = failure(mail.send, to(port), message(), context=trusted)
        assert error.outcome == UNREACHABLE and "it offers no STARTTLS" in str(error)
        error = failure(mail.send, to(port, user=""), message(), context=trusted)
        assert "it offers no STARTTLS" in str(error)
        error = failure(mail.probe, to(port, security="none"))
        assert "a login without TLS would show the password" in str(error)
        error = failure(mail.probe, to(port, security="tls"), context=trusted)
        assert "no TLS connection" in str(error)
    assert box.logins == 0 and not box.envelopes


def test_a_server_without_login(certificate, trusted):
    def talk(connected):
        with server_side(certificate).wrap_socket(connected, server_side=True) as safe:
            safe.sendall(b"220 hello\r\n")
            safe.recv(1000)
            safe.sendall(b"250 mail.test\r\n")
            safe.recv(1000)

    with raw_server(talk) as port:
        assert "it offers no login" in str(failure(mail.probe, to(port, security="tls"), context=trusted))


def test_a_password_that_smtp_cannot_carry(certificate):
    with pytest.raises(ChannelError, match="have to be ASCII") as caught:
        mail.probe(to(closed_port(), password="Schlüssel"))
    assert "ssel" not in repr(caught.value)


def test_nobody_listens():
    error = failure(mail.send, to(closed_port()), message())
    assert error.outcome == UNREACHABLE and str(error).endswith("no connection: Connection refused")


@pytest.mark.parametrize("security", ["starttls", "tls", "none"])
@pytest.mark.parametrize("talk", [hang, drip(b"220-", b"x"), drip(b"220 ", b"x"), drip(b"220-", b"x\r\n220-")])
def test_a_server_that_hangs_or_drips(security, talk):
    with raw_server(talk) as port:
        way = to(port, security=security, user="", timeout_seconds=0.5)
        error = failure(mail.probe, way)
    assert error.outcome == UNREACHABLE
    # Bytes that are no TLS end a handshake at once.
    assert "no answer within 0.50 s" in str(error) or (security == "tls" and talk is not hang)


@pytest.mark.parametrize("said, outcome, told", [
    (b"", UNREACHABLE, "it closed the connection"),
    (b"554 5.7.1 go away\r\n", UNREACHABLE, "it answers 554 5.7.1 go away"),
    (b"HTTP/1.1 400 Bad Request\r\n", UNREACHABLE, "it answers -1"),
    (b"x" * 10000 + b"\r\n", UNREACHABLE, "it answers 500 Line too long."),
])
def test_what_is_no_mail_server(said, outcome, told):
    with raw_server(lambda connected: (connected.sendall(said), connected.close())) as port:
        error = failure(mail.send, to(port), message())
    assert error.outcome == outcome and told in str(error), error


@pytest.mark.parametrize("replies, outcome, told", [
    ({"MAIL": "550 5.7.1 sender"}, REFUSED, "it answers 550 5.7.1 sender"),
    ({"MAIL": "451 4.3.0 later"}, DELAYED, "it answers 451 4.3.0 later"),
    ({"DATA": "554 5.6.0 odd"}, REFUSED, "it answers 554 5.6.0 odd"),
    ({"DATA": "452 4.3.1 full"}, DELAYED, "it answers 452 4.3.1 full"),
    ({"DATA": f"554 you said {PASSWORD}"}, REFUSED, "it answers 554 you said ***"),
    ({ADMIN: "550 5.1.1 who"}, REFUSED, "every recipient was refused, the first with 550 5.1.1 who"),
    ({ADMIN: "450 4.2.0 grey"}, DELAYED, "every recipient was refused, the first with 450 4.2.0 grey"),
])
def test_a_message_that_is_not_taken(plain, replies, outcome, told):
    box, way = plain
    before, box.replies = len(box.envelopes), replies
    try:
        error = failure(mail.send, replace(way, password=PASSWORD), message())
    finally:
        box.replies = {}
    assert error.outcome == outcome and told in str(error), error
    assert len(box.envelopes) == before


@pytest.mark.parametrize("last, told", [(lambda connected: None, "it closed the connection"),
                                        (hang, "no answer within 0.50 s")])
def test_a_server_that_leaves_before_it_has_taken_the_message(monkeypatch, last, told):
    monkeypatch.setattr(mail, "END_SECONDS", 0.5)
    with raw_server(at_the_end_of_a_message(last)) as port:
        error = failure(mail.send, to(port, security="none", user="", timeout_seconds=0.5), message())
    # It may have the message, or not: it has to be sent again.
    assert error.outcome == DELAYED and str(error).endswith(told), error


def test_for_the_answer_to_a_message_it_waits_longer_than_for_any_other(monkeypatch):
    assert mail.END_SECONDS == 60.0

    def late(connected):
        threading.Event().wait(1.0)
        connected.sendall(b"250 OK\r\n")

    with raw_server(at_the_end_of_a_message(late)) as port:
        mail.send(to(port, security="none", user="", timeout_seconds=0.3), message())
        monkeypatch.setattr(mail, "END_SECONDS", 0.6)
        error = failure(mail.send, to(port, security="none", user="", timeout_seconds=0.3), message())
        assert error.outcome == DELAYED and str(error).endswith("no answer within 0.60 s")


@pytest.mark.parametrize("implicit", [False, True])
def test_also_over_tls_it_waits_longer_for_the_answer_to_a_message(certificate, trusted, implicit):
    class Late(Mailbox):
        async def handle_DATA(self, server, session, envelope):
            await asyncio.sleep(1.0)
            return await super().handle_DATA(server, session, envelope)

    with mail_server(Late(), certificate, implicit=implicit) as port:
        mail.send(to(port, security="tls" if implicit else "starttls", user="", timeout_seconds=0.5), message(),
                  context=trusted)


def test_what_comes_after_the_message_does_not_matter():
    with raw_server(at_the_end_of_a_message(lambda connected: connected.sendall(b"250 OK\r\n"))) as port:
        mail.send(to(port, security="none", user=""), message())


def test_a_recipient_that_is_refused_is_told_and_the_others_have_the_message(plain):
    box, way = plain
    before, box.replies = len(box.envelopes), {OTHER: "550 5.1.1 who is that"}
    try:
        error = failure(mail.send, replace(way, recipients=(ADMIN, OTHER, "third@school.example")), message())
    finally:
        box.replies = {}
    assert error.outcome == PARTLY
    assert "1 of 3 recipients were refused, the first with 550 5.1.1 who is that; the others have" in str(error)
    assert [one.rcpt_tos for one in box.envelopes[before:]] == [[ADMIN, "third@school.example"]]


def test_of_the_recipients_that_are_refused_it_says_who_may_take_it_later(plain):
    box, way = plain
    third = "third@school.example"
    before, box.replies = len(box.envelopes), {ADMIN: "450 4.2.0 grey", OTHER: "550 5.1.1 who"}
    way = replace(way, recipients=(ADMIN, OTHER, third))
    try:
        error = failure(mail.send, way, message())
        assert (error.outcome, error.later, set(error.never)) == (PARTLY, (ADMIN,), {OTHER})
        box.replies = {ADMIN: "450 4.2.0 grey"}
        error = failure(mail.send, way, message(), recipients=(ADMIN,))
        assert (error.outcome, error.later, error.never) == (DELAYED, (ADMIN,), {})
        box.replies = {}
        mail.send(way, message(), recipients=(ADMIN,))
    finally:
        box.replies = {}
    assert [one.rcpt_tos for one in box.envelopes[before:]] == [[third], [ADMIN]]
    # Whoever gets it later sees to whom it went.
    assert received(box)["To"] == f"{ADMIN}, {OTHER}, {third}"


@pytest.mark.parametrize("sender", ["a\nBcc: x@y.example@b.example", "a@" + "b" * 64 + ".example", "a@b..example"])
def test_an_address_that_cannot_stand_in_a_message(sender):
    error = failure(mail.send, replace(to(closed_port()), sender=sender), message())
    assert "cannot stand in a message" in str(error)


def test_addresses_outside_ascii_need_a_server_that_takes_them(plain):
    box, way = plain
    mail.send(replace(way, recipients=("jürgen@school.example",)), message())
    assert box.envelopes[-1].rcpt_tos == ["jürgen@school.example"]


EVIL = ["a\nBcc: victim@x.example", "a\r\nBcc: victim@x.example", "a\rBcc: v@x.example", "a\r\n\r\nbody", "a\0b",
        "a\u2028Bcc: v@x.example", "a\u2029b\u0085c\x0bd\x0ce", "=?utf-8?q?a=0D=0ABcc=3A_v=40x.example?=",
        "=?utf-8?b?YQ0KQmNjOiB2QHguZXhhbXBsZQ==?=", "==??utf-8?q?a=0Ab?=", "\ud800 half", "\n", "", "x" * 100_000,
        "ä " * 50_000, "\n" * 100_000 + "Bcc: v@x.example", ".", "\u202eesrever", "= ?=?=?"]
SUBJECTS = st.text(st.sampled_from("aä \r\n\0\t=?:_utf8q.\u2028\u2029\x85\U0001f600") | st.characters(), max_size=400)


@settings(max_examples=60, deadline=None)
@given(SUBJECTS)
@example("".join(EVIL))
def test_a_subject_is_never_more_than_a_subject(plain, subject):
    look_at_subject(plain, subject)


@pytest.mark.parametrize("subject", EVIL, ids=range(len(EVIL)))
def test_a_subject_that_wants_to_be_more(plain, subject):
    look_at_subject(plain, subject)


def look_at_subject(plain, subject):
    box, way = plain
    before = len(box.envelopes)
    mail.send(way, message(subject=subject))
    assert len(box.envelopes) == before + 1
    assert box.envelopes[-1].rcpt_tos == [ADMIN]
    letter = received(box)
    assert [name for name, _value in letter.items()] == HEADERS
    told = str(letter["Subject"])
    assert len(told) <= 250 and (told.isprintable() or not told)
    assert "victim" not in letter["To"] and letter["To"] == ADMIN
    head = box.envelopes[-1].content.partition(b"\r\n\r\n")[0]
    assert max(len(line) for line in head.split(b"\r\n")) <= 998
    wanted = " ".join(subject.split())
    if wanted.isprintable() and "=?" not in wanted and len(wanted) <= 250:
        assert told == wanted


BODIES = st.text(st.sampled_from("aä.=\n\t >\U0001f600") | st.characters(exclude_categories=("Cs", "Cc")),
                 max_size=3000)


@settings(max_examples=60, deadline=None)
@given(BODIES, BODIES)
@example(".\n..\n.\n", "From me\n\n.\n")
@example("ä" * 5000, "x" * 5000)
def test_bodies_arrive_as_they_are(plain, text, html):
    box, way = plain
    mail.send(way, message(text=text + "\n", html=html + "\n"))
    letter = received(box)
    assert letter.get_body(("plain",)).get_content().replace("\r\n", "\n") == text + "\n"
    assert letter.get_body(("html",)).get_content().replace("\r\n", "\n") == html + "\n"
    content = box.envelopes[-1].content
    assert content.isascii() and max(len(line) for line in content.split(b"\r\n")) <= 998


def test_what_no_body_may_hold_is_left_out(plain):
    box, way = plain
    mail.send(way, message(text="a\0b\x07c\ud800d\n"))
    assert received(box).get_body(("plain",)).get_content().replace("\r\n", "\n") == "abc?d\n"


def test_an_identifier_that_is_none(plain):
    box, way = plain
    mail.send(way, message(id="a>\r\nBcc: v@x.example <" + "b" * 300))
    letter = received(box)
    assert [name for name, _value in letter.items()] == HEADERS
    assert letter["Message-ID"].endswith("@school.example>")
