# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The outbox: nothing is lost, whatever happens to servers, files and runs."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.module_utils.alerting import Alerting, Mail
from ansible_collections.feedforward.maintenance.plugins.module_utils.channels import mail
from ansible_collections.feedforward.maintenance.plugins.module_utils.channels.errors import ChannelError
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import DestinationError, InternalError
from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor import letters, outbox
from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor.outbox import (
    MOST_REFUSALS,
    Delivery,
    deliver,
    enqueue,
)
from ansible_collections.feedforward.maintenance.tests.unit.engine.channels.servers import (
    Mailbox,
    closed_port,
    mail_server,
    message,
    web_server,
)

NOW = dt.datetime(2026, 11, 24, 6, 0, tzinfo=dt.timezone.utc)
ADMIN, OTHER = "admin@school.example", "other@school.example"


@pytest.fixture()
def directory(tmp_path):
    return str(tmp_path / "outbox")


@pytest.fixture(scope="module")
def servers():
    box = Mailbox()
    with mail_server(box) as port, web_server() as (web, address):
        yield box, port, web, address


@pytest.fixture()
def site(servers):
    """A mailbox, a web server, and alerts that go to both."""
    box, port, web, address = servers
    box.__init__()
    web.seen.clear()
    web.answers.clear()
    return box, web, Alerting(mail=by_mail(port), webhooks=(f"{address}/200/hook",))


def by_mail(port, **changes):
    return Mail("127.0.0.1", "alerts@school.example", (ADMIN,), port, "none", timeout_seconds=10.0, **changes)


def letter(number, **changes):
    return message(id=f"m{number}", created=NOW - dt.timedelta(hours=1) + dt.timedelta(seconds=number),
                   subject=f"Alert {number}", text=f"number {number}.\n", html=f"<p>number {number}.</p>\n",
                   payload={"number": number, "mark": f"hook{number}."}, **changes)


def fill(directory, count, channels=("mail", "webhook-1")):
    for number in range(1, count + 1):
        enqueue(directory, letter(number), channels)


def mailed(box):
    return [int(one.content.split(b"Subject: Alert ")[1].split(b"\r")[0]) for one in box.envelopes]


def posted(web):
    return [json.loads(body)["number"] for _method, _path, _headers, body in web.seen]


def files(directory, ending=""):
    return sorted(name for name in os.listdir(directory) if name.endswith(ending))


def owed(directory):
    """What is owed of each message."""
    found = {}
    for name in files(directory, ".json"):
        record = letters.load(os.path.join(directory, name))
        found[int(record.message.id[1:])] = set(record.owed)
    return found


def test_what_waits_is_sent_by_each_way_the_oldest_first(site, directory):
    box, web, alerting = site
    for number in (2, 3, 1):
        enqueue(directory, letter(number), alerting.channels)
    assert outbox.waiting(directory) == (3, letter(1).created)
    assert deliver(directory, alerting, NOW) == Delivery(sent=6)
    assert mailed(box) == posted(web) == [1, 2, 3]
    assert files(directory) == []
    assert deliver(directory, alerting, NOW) == Delivery()
    assert len(box.envelopes) == 3


def test_files_are_for_their_owner_alone_and_hold_no_address_of_a_way(site, directory):
    enqueue(directory, letter(1), site[2].channels)
    name, = files(directory)
    assert name == "20261124T050001000000Z-m1.json"
    assert os.stat(directory).st_mode & 0o7777 == 0o700
    assert os.stat(os.path.join(directory, name)).st_mode & 0o7777 == 0o600
    with open(os.path.join(directory, name), encoding="ascii") as stream:
        assert "http" not in stream.read()


def test_nobody_to_tell_and_nothing_to_send(site, directory):
    enqueue(directory, letter(1), ())
    assert not os.path.exists(directory)
    assert deliver(directory, site[2], NOW) == Delivery() and outbox.waiting(directory) == (0, None)


def test_a_server_that_is_down_gets_everything_later_and_only_once(site, directory):
    box, web, alerting = site
    down = replace(alerting, mail=by_mail(closed_port()))
    fill(directory, 3)
    for minutes in (0, 5, 10):
        found = deliver(directory, down, NOW + dt.timedelta(minutes=minutes))
        assert (found.sent, found.waiting, found.oldest) == (0 if minutes else 3, 3, letter(1).created)
        # Only one of them was tried.
        assert found.failures == (("mail", f"127.0.0.1 port {down.mail.port}: no connection: Connection refused"),)
    assert owed(directory) == {1: {"mail"}, 2: {"mail"}, 3: {"mail"}}
    assert deliver(directory, alerting, NOW + dt.timedelta(minutes=10)).sent == 3
    assert mailed(box) == posted(web) == [1, 2, 3] and files(directory) == []


def test_a_login_that_is_refused_stops_the_way_and_loses_nothing(site, directory):
    box, web, alerting = site
    fill(directory, 2)
    found = deliver(directory, replace(alerting, mail=replace(alerting.mail, user="me", password="secret")), NOW)
    assert (found.sent, found.waiting, len(found.failures)) == (2, 2, 1)
    assert "secret" not in repr(found)
    assert deliver(directory, alerting, NOW).sent == 2 and mailed(box) == [1, 2]


@pytest.mark.parametrize("reply, status", [("554 5.6.0 never", 400), ("451 4.7.1 later", 500)])
def test_a_message_that_is_not_taken_does_not_block_the_others(site, directory, reply, status):
    box, web, alerting = site
    box.answers, web.answers = {"number 2.": reply}, {"hook2.": status}
    fill(directory, 4)
    moment = NOW
    for _run in range(3):
        found = deliver(directory, alerting, moment)
        moment += dt.timedelta(minutes=5)
    assert mailed(box) == [1, 3, 4] and sorted(set(posted(web))) == [1, 2, 3, 4]
    assert found.waiting == 1 and found.oldest == letter(2).created
    assert owed(directory) == {2: {"mail", "webhook-1"}}
    box.answers, web.answers = {}, {}
    assert deliver(directory, alerting, moment + dt.timedelta(hours=1)) == Delivery(sent=2)
    assert mailed(box) == [1, 3, 4, 2]


def test_a_server_that_refuses_everything_for_now_is_asked_once_a_run_and_gets_all(site, directory):
    box, web, alerting = site
    box.replies = {"MAIL": "451 4.3.0 later"}
    fill(directory, 3, ["mail"])
    for run in range(7):
        found = deliver(directory, alerting, NOW + run * dt.timedelta(minutes=5))
        assert (found.sent, found.waiting, found.refused, len(found.failures)) == (0, 3, (), 1)
    box.replies = {}
    assert deliver(directory, alerting, NOW + dt.timedelta(minutes=50)) == Delivery(sent=3)
    assert mailed(box) == [1, 2, 3]


def test_what_is_refused_again_and_again_is_set_aside_and_kept(site, directory):
    box, web, alerting = site
    web.answers = {"hook1.": 410}
    fill(directory, 1)
    moment = NOW
    for _refusal in range(MOST_REFUSALS):
        assert files(directory, ".refused") == []
        found = deliver(directory, alerting, moment)
        assert found.failures == (("webhook-1", "127.0.0.1 answers 410"),)
        # At once again: it is not yet time.
        assert deliver(directory, alerting, moment).failures == ()
        moment += dt.timedelta(hours=6)
    name, = files(directory)
    assert name.endswith("-m1.refused") and posted(web) == [1] * MOST_REFUSALS and mailed(box) == [1]
    assert found == Delivery(failures=found.failures, refused=(os.path.join(directory, name),))
    kept = letters.load(os.path.join(directory, name))
    assert kept.message == letter(1) and set(kept.owed) == {"webhook-1"}
    later = deliver(directory, alerting, moment + dt.timedelta(days=1))
    assert later == Delivery(refused=(os.path.join(directory, name),)) and len(web.seen) == MOST_REFUSALS


def test_what_one_way_refuses_for_good_is_still_sent_by_the_other(site, directory):
    box, web, alerting = site
    web.answers = {"hook1.": 404}
    down = replace(alerting, mail=by_mail(closed_port()))
    fill(directory, 1)
    for day in range(MOST_REFUSALS + 2):
        assert deliver(directory, down, NOW + dt.timedelta(days=day)).waiting == 1
    assert len(web.seen) == MOST_REFUSALS
    found = deliver(directory, alerting, NOW + dt.timedelta(days=30))
    assert (found.sent, found.waiting, len(found.refused)) == (1, 0, 1) and mailed(box) == [1]


def test_a_clock_that_was_set_back_does_not_make_a_message_wait_for_years(site, directory):
    box, web, alerting = site
    web.answers = {"hook1.": 500}
    fill(directory, 1, ["webhook-1"])
    deliver(directory, alerting, NOW + dt.timedelta(days=3000))
    web.answers = {}
    assert deliver(directory, alerting, NOW) == Delivery(sent=1)


def test_a_recipient_that_is_refused_is_told_and_the_others_are_not_told_twice(site, directory):
    box, web, alerting = site
    box.replies = {OTHER: "550 who"}
    both = replace(alerting, mail=replace(alerting.mail, recipients=(ADMIN, OTHER)))
    fill(directory, 2, ["mail"])
    found = deliver(directory, both, NOW)
    assert (found.sent, found.waiting) == (2, 0) and "1 of 2 recipients were refused" in found.failures[0][1]
    assert deliver(directory, both, NOW) == Delivery() and mailed(box) == [1, 2]


def test_what_is_never_taken_is_tried_more_and_more_rarely_and_then_set_aside(site, directory):
    box, web, alerting = site
    web.answers = {"hook1.": 500}
    fill(directory, 1, ["webhook-1"])
    tried, moment = [], NOW
    while files(directory, ".json") and moment < NOW + dt.timedelta(days=10):
        before = len(web.seen)
        found = deliver(directory, alerting, moment)
        if len(web.seen) > before:
            tried.append(moment)
        moment += dt.timedelta(minutes=5)
    pauses = [(later - earlier) / dt.timedelta(minutes=1) for earlier, later in zip(tried, tried[1:])]
    assert pauses[:7] == [5, 10, 20, 35, 65, 120, 120] and max(pauses) == 120
    assert len(tried) == outbox.MOST_FAILURES == 40 and dt.timedelta(days=2.5) < moment - NOW < dt.timedelta(days=3.5)
    assert len(found.refused) == 1 and found.waiting == 0 and outbox.set_aside(directory) == 1


def test_a_server_that_is_away_for_weeks_costs_no_message(site, directory):
    box, web, alerting = site
    down = replace(alerting, mail=by_mail(closed_port()))
    fill(directory, 1, ["mail"])
    for hour in range(200):
        deliver(directory, down, NOW + dt.timedelta(hours=5 * hour))
    box.replies = {"MAIL": "451 4.3.0 later"}
    deliver(directory, alerting, NOW + dt.timedelta(days=50))
    box.replies = {}
    assert deliver(directory, alerting, NOW + dt.timedelta(days=51)) == Delivery(sent=1)


def test_each_way_is_tried_once_although_the_first_takes_all_the_time(site, directory, monkeypatch):
    box, web, alerting = site
    fill(directory, 2)
    found = deliver(directory, alerting, NOW, budget_seconds=0.0)
    assert (found.sent, found.waiting) == (2, 1) and mailed(box) == posted(web) == [1]
    monkeypatch.setattr(outbox, "GRACE_SECONDS", -1.0)
    assert deliver(directory, alerting, NOW, budget_seconds=0.0).sent == 0


def to_both(alerting):
    return replace(alerting, mail=replace(alerting.mail, recipients=(ADMIN, OTHER)))


def test_a_recipient_that_is_greylisted_gets_it_later_and_the_other_only_once(site, directory):
    box, web, alerting = site
    both, box.replies = to_both(alerting), {OTHER: "450 4.2.0 grey"}
    fill(directory, 2, ["mail"])
    found = deliver(directory, both, NOW)
    assert (found.sent, found.waiting) == (0, 2)
    assert [one.rcpt_tos for one in box.envelopes] == [[ADMIN], [ADMIN]]
    # It rests, and then is tried again, without keeping younger ones from going out.
    assert deliver(directory, both, NOW + dt.timedelta(minutes=1)).failures == ()
    enqueue(directory, letter(3), ["mail"])
    assert deliver(directory, both, NOW + dt.timedelta(minutes=5)).waiting == 3 and len(box.envelopes) == 3
    box.replies = {}
    assert deliver(directory, both, NOW + dt.timedelta(hours=3)) == Delivery(sent=3)
    assert [one.rcpt_tos for one in box.envelopes[3:]] == [[OTHER]] * 3 and files(directory) == []
    assert outbox.refused_recipients(directory, both) == ""


def test_who_is_owed_and_is_configured_no_more_is_owed_nothing(site, directory):
    box, web, alerting = site
    box.replies = {OTHER: "450 4.2.0 grey"}
    fill(directory, 1, ["mail"])
    deliver(directory, to_both(alerting), NOW)
    assert deliver(directory, alerting, NOW + dt.timedelta(hours=1)) == Delivery(unconfigured=1)
    assert len(box.envelopes) == 1


def test_a_recipient_that_is_greylisted_and_then_refused_is_reported(site, directory):
    box, web, alerting = site
    both, box.replies = to_both(alerting), {OTHER: "450 4.2.0 grey"}
    fill(directory, 1, ["mail"])
    deliver(directory, both, NOW)
    box.replies = {OTHER: "550 5.1.1 who"}
    found = deliver(directory, both, NOW + dt.timedelta(hours=1))
    assert (found.sent, found.waiting, found.refused) == (1, 0, ()) and len(box.envelopes) == 1
    assert outbox.refused_recipients(directory, both).startswith("1 of 2 recipients is refused: ")


def test_who_is_refused_is_known_until_a_message_is_taken(site, directory):
    box, web, alerting = site
    both, box.replies = to_both(alerting), {OTHER: f"550 5.1.1 <{OTHER}>: no such user"}
    fill(directory, 1, ["mail"])
    deliver(directory, both, NOW)
    told = outbox.refused_recipients(directory, both)
    assert told == "1 of 2 recipients is refused: recipient 2: 550 5.1.1 <recipient 2>: no such user"
    deliver(directory, both, NOW)
    assert outbox.refused_recipients(directory, both) == told
    # Whoever is written to no more is no trouble.
    assert outbox.refused_recipients(directory, alerting) == ""
    assert outbox.refused_recipients(directory, replace(alerting, mail=None)) == ""
    box.replies = {}
    fill(directory, 1, ["mail"])
    assert deliver(directory, both, NOW) == Delivery(sent=1)
    assert outbox.refused_recipients(directory, both) == "" and os.listdir(directory) == []


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 1}', b"\xff", b"[" * 100_000])
def test_a_damaged_note_of_who_is_refused_is_none(site, directory, content):
    box, web, alerting = site
    os.mkdir(directory)
    with open(os.path.join(directory, "recipients"), "wb") as stream:
        stream.write(content)
    assert outbox.refused_recipients(directory, alerting) == ""
    fill(directory, 1, ["mail"])
    assert deliver(directory, alerting, NOW) == Delivery(sent=1)


def test_a_message_of_an_earlier_version_is_owed_to_all(site, directory):
    box, web, alerting = site
    fill(directory, 1, ["mail"])
    path = os.path.join(directory, files(directory)[0])
    with open(path, encoding="ascii") as stream:
        record = json.load(stream)
    assert record["owed"]["mail"].pop("recipients") == []
    with open(path, "w", encoding="ascii") as stream:
        json.dump(record, stream)
    assert deliver(directory, to_both(alerting), NOW).sent == 1
    assert box.envelopes[0].rcpt_tos == [ADMIN, OTHER]


def test_a_way_that_is_configured_no_more_is_owed_nothing(site, directory):
    box, web, alerting = site
    fill(directory, 2, ["mail", "webhook-1", "webhook-2", "apprise-1", "pigeon"])
    down = replace(alerting, mail=by_mail(closed_port()))
    assert deliver(directory, down, NOW).unconfigured == 6
    assert owed(directory) == {1: {"mail"}, 2: {"mail"}}
    assert deliver(directory, replace(alerting, mail=None), NOW) == Delivery(unconfigured=2)
    assert files(directory) == [] and not box.envelopes and posted(web) == [1, 2]


BAD = [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 200_000, b'{"format": 2}', b'{"format": 1}', b"9" * 10_000]


def damaged_records():
    good = json.loads(letters.dump(letters.Letter(letter(1), {"mail": letters.Owed(1, 1, NOW)})))
    yield from (json.dumps({key: value for key, value in good.items() if key != name}).encode() for name in good)
    for name, value in (("created", "2026-11-24T05:00:00"), ("created", "soon"), ("subject", 3), ("payload", []),
                        ("payload", {"x": float("nan")}), ("owed", []), ("owed", {"mail": 1}),
                        ("owed", {"mail": {"failures": True, "refusals": 0}}),
                        ("owed", {"mail": {"failures": -1, "refusals": 0}}),
                        ("owed", {"mail": {"failures": 0, "refusals": 0, "recipients": [1]}}),
                        ("owed", {"mail": {"failures": 0, "refusals": 0, "not_before": "x"}})):
        yield json.dumps({**good, name: value}).encode()


@pytest.mark.parametrize("content", [*BAD, *damaged_records()], ids=lambda content: content[:20].decode("latin-1"))
def test_a_damaged_file_is_set_aside_and_told_and_stops_nothing(site, directory, content):
    box, web, alerting = site
    fill(directory, 3, ["mail"])
    path = os.path.join(directory, files(directory)[0])
    with open(path, "wb") as stream:
        stream.write(content)
    aside = path[:-len(".json")] + ".damaged"
    assert outbox.waiting(directory) == (3, letter(2).created)
    assert deliver(directory, alerting, NOW) == Delivery(sent=2, damaged=(aside,))
    assert mailed(box) == [2, 3]
    with open(aside, "rb") as stream:
        assert stream.read() == content
    # Another one of that name takes nothing away.
    with open(path, "wb") as stream:
        stream.write(b"other")
    assert len(deliver(directory, alerting, NOW).damaged) == 2 and len(files(directory, ".damaged")) == 2


def test_what_is_no_file_is_told_and_stops_nothing(site, directory):
    box, web, alerting = site
    fill(directory, 1, ["mail"])
    os.mkdir(os.path.join(directory, "0-directory.json"))
    os.mkfifo(os.path.join(directory, "0-pipe.json"))
    os.symlink("/etc/passwd", os.path.join(directory, "0-link.json"))
    found = deliver(directory, alerting, NOW)
    assert (found.sent, found.waiting, [way for way, _reason in found.failures]) == (1, 3, ["outbox"] * 3)
    assert mailed(box) == [1]


def test_what_a_killed_run_was_writing_is_removed(site, directory):
    fill(directory, 1, ["mail"])
    left = os.path.join(directory, ".20261124-m9.json.0011aabb.maintenance-tmp")
    with open(left, "wb") as stream:
        stream.write(b"{")
    assert deliver(directory, site[2], NOW) == Delivery(sent=1)
    assert files(directory) == []


RUN = """
import datetime, sys
from ansible_collections.feedforward.maintenance.plugins.module_utils.alerting import Alerting, Mail
from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor import outbox
mail = Mail("127.0.0.1", "alerts@school.example", ("admin@school.example",), int(sys.argv[2]), "none")
print("began", flush=True)
print(outbox.deliver(sys.argv[1], Alerting(mail=mail), datetime.datetime.fromisoformat(sys.argv[3])).sent)
"""


def another_run(directory, port):
    return subprocess.Popen([sys.executable, "-c", RUN, directory, str(port), NOW.isoformat()], text=True,
                            stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})


class Slow(Mailbox):
    """Takes the second message never, and says that it has come to it."""

    async def handle_DATA(self, server, session, envelope):
        if self.envelopes:
            self.replies["reached"] = "yes"
            while "reached" in self.replies:
                await asyncio.sleep(0.02)
        return await super().handle_DATA(server, session, envelope)


def wait_for(state, seconds=30.0):
    until = time.monotonic() + seconds
    while not state():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_one_run_at_a_time_and_a_killed_one_loses_nothing(directory):
    box = Slow()
    fill(directory, 3, ["mail"])
    with mail_server(box) as port:
        alerting = Alerting(mail=by_mail(port))
        run = another_run(directory, port)
        try:
            wait_for(lambda: "reached" in box.replies)
            # The first is sent; the run waits for the second.
            assert deliver(directory, alerting, NOW, wait_seconds=0.1) == Delivery(
                waiting=2, oldest=letter(2).created, busy=True)
            assert mailed(box) == [1]
            run.send_signal(signal.SIGKILL)
        finally:
            run.kill()
            run.communicate(timeout=30)
    quick = Mailbox()
    with mail_server(quick) as port:
        assert deliver(directory, Alerting(mail=by_mail(port)), NOW) == Delivery(sent=2)
    assert mailed(quick) == [2, 3]


def test_two_runs_at_once_send_each_message_once(site, directory):
    box, web, alerting = site
    fill(directory, 30, ["mail"])
    runs = [another_run(directory, alerting.mail.port) for _number in range(2)]
    told = [run.communicate(timeout=60)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], told
    assert mailed(box) == list(range(1, 31)) and files(directory) == []


def test_a_new_message_is_not_kept_waiting_by_a_run(site, directory):
    fill(directory, 1, ["mail"])
    with outbox._locked(directory, 0.0) as locked:
        assert locked
        enqueue(directory, letter(2), ["mail"])
    assert deliver(directory, site[2], NOW).sent == 2


def test_the_newest_are_kept(site, directory, monkeypatch):
    box, web, alerting = site
    monkeypatch.setattr(outbox, "MOST_KEPT", 5)
    down = replace(alerting, mail=by_mail(closed_port()))
    fill(directory, 8, ["mail"])
    found = deliver(directory, down, NOW)
    assert (found.waiting, found.dropped, found.oldest) == (5, 3, letter(4).created)
    assert deliver(directory, down, NOW).dropped == 0
    # What can be sent is sent before anything is dropped.
    fill(directory, 8, ["mail"])
    assert deliver(directory, alerting, NOW) == Delivery(sent=8)


def test_a_defect_at_one_message_does_not_stop_the_others(site, directory, monkeypatch):
    box, web, alerting = site
    real = mail.send

    def broken(way, what, **options):
        if what.id == "m1":
            raise RuntimeError("https://secret")
        real(way, what, **options)

    monkeypatch.setattr(mail, "send", broken)
    fill(directory, 2, ["mail"])
    assert deliver(directory, alerting, NOW).failures == (("mail", "a defect of ours (RuntimeError)"),)
    found = deliver(directory, alerting, NOW)
    assert (found.sent, found.waiting) == (1, 1) and mailed(box) == [2]


def test_a_full_disk_does_not_end_the_delivery(site, directory, monkeypatch):
    box, web, alerting = site

    def full(path, data, **_options):
        raise DestinationError(path, "no space is left on the device", "Free some")

    fill(directory, 2)
    monkeypatch.setattr(outbox, "atomic_write", full)
    found = deliver(directory, alerting, NOW)
    # What all ways have taken needs no space to go.
    assert (found.sent, found.waiting, {way for way, _reason in found.failures}) == (4, 0, {"outbox"})
    assert mailed(box) == posted(web) == [1, 2]
    with pytest.raises(DestinationError, match="no space"):
        enqueue(directory, letter(3), ["mail"])


def test_places_that_cannot_be_used(site, tmp_path):
    file = tmp_path / "file"
    file.write_text("x", encoding="ascii")
    with pytest.raises(DestinationError):
        enqueue(str(file), letter(1), ["mail"])
    with pytest.raises(DestinationError, match="does not exist"):
        enqueue(str(tmp_path / "no" / "outbox"), letter(1), ["mail"])
    with pytest.raises(DestinationError):
        outbox.waiting(str(file))


@pytest.mark.parametrize("changes", [{"payload": {"x": float("inf")}}, {"payload": {"x": object()}},
                                     {"created": dt.datetime(2026, 11, 24)}])
def test_a_message_that_cannot_be_written(directory, changes):
    with pytest.raises(InternalError, match="cannot be written as JSON"):
        enqueue(directory, replace(letter(1), **changes), ["mail"])


def test_at_once_and_without_the_queue(site):
    box, web, alerting = site
    assert outbox.send_at_once(alerting, letter(1)) == ()
    assert mailed(box) == posted(web) == [1]
    down = replace(alerting, mail=by_mail(closed_port()))
    failed, = outbox.send_at_once(down, letter(2))
    assert failed == f"mail: 127.0.0.1 port {down.mail.port}: no connection: Connection refused"
    assert posted(web) == [1, 2]


@pytest.mark.parametrize("channel", ["mail", "webhook-2", "webhook-0", "webhook-x", "apprise-1", "pigeon", ""])
def test_a_way_that_is_none(site, channel):
    with pytest.raises(ChannelError, match="it is not configured"):
        outbox.send(replace(site[2], mail=None), channel, letter(1))


def test_the_second_webhook_is_the_second(servers, site):
    box, web, alerting = site
    outbox.send(replace(alerting, webhooks=(*alerting.webhooks, f"{servers[3]}/201/other")), "webhook-2", letter(1))
    assert [path for _method, path, _headers, _body in web.seen] == ["/201/other"]


TEXTS = st.text(st.characters(), max_size=50)
MOMENTS = st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(9000, 1, 1), timezones=st.just(dt.timezone.utc))
COUNTS = st.integers(0, 10 ** 6)
NUMBERS = st.integers(-2 ** 60, 2 ** 60) | st.floats(allow_nan=False, allow_infinity=False)
PAYLOADS = st.dictionaries(TEXTS, st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=6), max_size=4)


@given(st.builds(letters.Letter, st.builds(type(letter(1)), TEXTS, MOMENTS, TEXTS, TEXTS, TEXTS, PAYLOADS),
                 st.dictionaries(TEXTS, st.builds(letters.Owed, COUNTS, COUNTS, st.none() | MOMENTS,
                                                  st.lists(TEXTS, max_size=3).map(tuple)), max_size=3)))
def test_a_message_is_read_as_it_was_written(tmp_path_factory, one):
    path = str(tmp_path_factory.getbasetemp() / "one.json")
    with open(path, "wb") as stream:
        stream.write(letters.dump(one))
    assert letters.load(path) == one
    name = letters.file_name(one.message, ".json")
    assert name.isascii() and "/" not in name and not name.startswith(".") and len(name) < 200


@given(MOMENTS, MOMENTS)
def test_names_sort_by_time(first, second):
    names = [letters.file_name(replace(letter(1), created=moment), "") for moment in (first, second)]
    assert (names[0] < names[1]) == (first < second)
