# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each line of an application's .env becomes, as people and their tools write them."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.feedforward.maintenance.plugins.filter.mail_settings import FilterModule

mail_settings = FilterModule().filters()["mail_settings"]
SERVER = "SMTP_SERVER=mail.example.org\n"


def test_a_whole_file():
    text = ("\ufeffSECRET_KEY=a=b\r\n# SMTP_SERVER=old.example.org\r\nexport SMTP_SERVER = 'mail.example.org'\r\n"
            "SMTP_PORT=465\r\nSMTP_USER=app\r\nSMTP_PASSWORD=\"pass word: %$'\"\r\nSMTP_FROM=app@example.org\r\n")
    assert mail_settings(text) == {"server": "mail.example.org", "port": 465, "security": "tls", "user": "app",
                                   "password": "pass word: %$'", "sender": "app@example.org"}


def test_what_is_not_named_has_its_default():
    assert mail_settings(SERVER) == {"server": "mail.example.org", "port": 587, "security": "starttls", "user": "",
                                     "password": "", "sender": ""}


@pytest.mark.parametrize("text", ["", "SMTP_PORT=25", "SMTP_SERVER=", "SMTP_SERVER=''", 'SMTP_SERVER="" # none yet',
                                  "SMTP_SERVER= # none yet", "SMTP_SERVER=   \r\nSMTP_USER=app", "#" + SERVER,
                                  "MY_" + SERVER, SERVER + "SMTP_SERVER=\n"])
def test_without_a_server_there_are_none(text):
    assert mail_settings(text) == {}


@pytest.mark.parametrize(("line", "setting", "value"), [
    ("SMTP_SERVER=host # comment", "server", "host"),
    ("SMTP_SERVER=host\t# comment", "server", "host"),
    ("SMTP_SERVER='host' # comment", "server", "host"),
    ("  SMTP_SERVER = other", "server", "other"),
    ("SMTP_PORT=587 # x", "port", 587),
    ("SMTP_PORT=25 # x", "port", 25),
    ("SMTP_PORT='2525'", "port", 2525),
    ("SMTP_PORT=", "port", 587),
    ("SMTP_PORT=smtp", "port", 587),
    ("SMTP_PORT=0", "port", 587),
    ("SMTP_PORT=65536", "port", 587),
    ("SMTP_PORT=-25", "port", 587),
    ("SMTP_PORT=²5", "port", 587),
    ("SMTP_PORT=465 # TLS", "security", "tls"),
    ("SMTP_FROM=FeedForward <noreply@x.org>", "sender", "noreply@x.org"),
    ('SMTP_FROM="FeedForward <noreply@x.org>"', "sender", "noreply@x.org"),
    ('SMTP_FROM="FeedForward <noreply@x.org>" # whom it is from', "sender", "noreply@x.org"),
    (r'SMTP_FROM="\"Feed, Forward\" < noreply@x.org >"', "sender", "noreply@x.org"),
    ("SMTP_FROM=<noreply@x.org>", "sender", "noreply@x.org"),
    ("SMTP_FROM=noreply@x.org # whom it is from", "sender", "noreply@x.org"),
    ("SMTP_FROM=FeedForward", "sender", ""),
    ("SMTP_FROM=a@b, c@d", "sender", ""),
    ("SMTP_FROM=", "sender", ""),
    ("SMTP_PASSWORD=a#b", "password", "a#b"),
    ("SMTP_PASSWORD=a b", "password", "a b"),
    ("SMTP_PASSWORD=a #b", "password", "a"),
    ("SMTP_PASSWORD='a #b'", "password", "a #b"),
    ("SMTP_PASSWORD='it\\'s'", "password", "it's"),
    (r'SMTP_PASSWORD="a\"b\\c\d"', "password", r'a"b\c\d'),
    ("SMTP_PASSWORD='a\"b'", "password", 'a"b'),
    ("SMTP_PASSWORD=\"open", "password", '"open'),
    ("SMTP_PASSWORD='a'b'", "password", "'a'b'"),
    ("SMTP_PASSWORD=one\nSMTP_PASSWORD=two", "password", "two"),
    ("SMTP_PASSWORD={{ lookup('env', 'HOME') }}", "password", "{{ lookup('env', 'HOME') }}"),
])
def test_a_line_as_people_write_it(line, setting, value):
    assert mail_settings(SERVER + line + "\n")[setting] == value


@pytest.mark.parametrize("value", [None, 5, b"SMTP_SERVER=x", ["SMTP_SERVER=x"]])
def test_only_text_has_settings(value):
    with pytest.raises(AnsibleFilterError, match="not a text. Use what"):
        mail_settings(value)
