# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part ``alerts`` of the configuration: what is taken, and one clear word about what is not."""

from __future__ import annotations

import json

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.alerting import Alerting, Mail, alerting
from ansible_collections.feedforward.maintenance.plugins.module_utils.config import load_settings
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import UsageError

MAIL = {"server": "mail.example.org", "sender": "app@example.org", "recipients": ["admin@example.org"]}


def test_what_is_not_given_has_its_default():
    assert alerting({}) == Alerting()
    assert alerting({"mail": MAIL}).mail == Mail("mail.example.org", "app@example.org", ("admin@example.org",))
    assert alerting({"mail": None, "heartbeat": ""}) == Alerting()


def test_what_is_unknown_is_told_of_whatever_is_looked_at():
    """A log that is configured and cannot be read is no less unknown than anything else."""
    assert alerting({}).unknown_silent == ()
    assert alerting({"unknown_silent": ["errors"]}).unknown_silent == ("errors",)


def test_the_ways_are_numbered_in_their_order():
    found = alerting({"mail": MAIL, "webhooks": ["https://a.example/x", "http://b.example"], "apprise": ["json://c"]})
    assert found.channels == ("mail", "webhook-1", "webhook-2", "apprise-1")


def test_no_secret_is_shown():
    found = alerting({"mail": {**MAIL, "user": "u", "password": "hush"}, "webhooks": ["https://a.example/hush"],
                      "apprise": ["slack://hush"], "heartbeat": "https://b.example/hush"})  # fmt: skip
    assert "hush" not in repr(found)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "an object"),
        ({"mial": {}}, "without 'mial'"),
        ({"mail": {**MAIL, "recipients": []}}, "look at recipients"),
        ({"mail": {**MAIL, "recipients": ["Admin <admin@example.org>"]}}, "look at recipients"),
        ({"mail": {**MAIL, "recipients": ["a@b\r\nBcc: c@d"]}}, "look at recipients"),
        ({"mail": {**MAIL, "sender": "nobody"}}, "look at sender"),
        ({"mail": {**MAIL, "port": True}}, "look at port"),
        ({"mail": {**MAIL, "security": "ssl"}}, "look at security"),
        ({"mail": {"server": "x", "sender": "a@b"}}, "look at recipients"),
        ({"mail": {**MAIL, "server": "a b"}}, "look at server"),
        ({"mail": {**MAIL, "security": "none", "user": "u"}}, "by TLS only"),
        ({"webhooks": ["ftp://a"]}, "webhooks is a list"),
        ({"webhooks": "https://a"}, "webhooks is a list"),
        ({"apprise": ["nothing"]}, "apprise is a list"),
        ({"heartbeat": "example.org"}, "heartbeat is"),
        ({"directory": "state"}, "directory is a full path"),
        ({"confirm_runs": 0}, "confirm_runs is a whole number"),
        ({"confirm_runs": 1.5}, "confirm_runs is a whole number"),
        ({"reminder_hours": "24"}, "reminder_hours is a number"),
        ({"unknown_silent": ["Errors"]}, "unknown_silent is a list"),
    ],
)
def test_what_is_wrong_is_named(given, words):
    with pytest.raises(ValueError, match=words):
        alerting(given)


def test_a_wrong_file_is_named_without_its_secrets(tmp_path):
    (tmp_path / "monitoring.json").write_text(
        json.dumps({"alerts": {"mail": {**MAIL, "user": "u", "password": "hush", "security": "none"}}}))
    settings = load_settings(str(tmp_path))
    with pytest.raises(UsageError) as caught:
        assert settings.alerts.channels
    assert "monitoring.json" in str(caught.value) and "hush" not in str(caught.value)
