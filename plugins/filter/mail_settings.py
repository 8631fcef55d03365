# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter ``mail_settings``: by which server an application sends its mail, as its .env says."""

from __future__ import annotations

DOCUMENTATION = r"""
name: mail_settings
author: FeedForward maintenance contributors (@feedforward)
version_added: 1.0.0
short_description: Read the mail settings in the .env of an application
description:
  - Takes the text of a C(.env) and returns what its lines C(SMTP_SERVER), C(SMTP_PORT), C(SMTP_USER),
    C(SMTP_PASSWORD) and C(SMTP_FROM) say. Of a name that stands there twice, the last line counts.
  - A value is what stands between quotes, where C(\\) and C(\") lose their backslash. Without quotes, it ends before
    a C(#) that stands after a space.
  - Without a server nothing is returned, also where C(SMTP_SERVER) is empty.
positional: _input
options:
  _input:
    description: The text of the file.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show by which server the application sends its mail
  ansible.builtin.debug:
    msg: "{{ (settings.content | b64decode | feedforward.maintenance.mail_settings).server }}"
  # => mail.example.edu
"""

RETURN = r"""
_value:
  description: The settings, an empty dictionary where no server is named.
  type: dict
  contains:
    server:
      description: Name of the server.
      type: str
    port:
      description: Its port, V(587) where none or something else than a port is given.
      type: int
    security:
      description: V(tls) with port 465, else V(starttls).
      type: str
    user:
      description: Whom to log in as, empty where nobody is named.
      type: str
    password:
      description: The password, or empty.
      type: str
    sender:
      description: The bare address of C(SMTP_FROM), empty where it holds no address.
      type: str
"""

import re

from ansible.errors import AnsibleFilterError

_LINE = re.compile(r"[ \t]*(?:export[ \t]+)?(SMTP_[A-Z]+)[ \t]*=[ \t]*(.*)")
_QUOTED = re.compile(r"""(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')(?:\s*|\s+#.*)""")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_NAMED = re.compile(r"[^<>]*<\s*([^<>]*?)\s*>")
_ADDRESS = re.compile(r"""[^\s@<>,;:"()\[\]\\\x00-\x1f\x7f]+@[^\s@<>,;:"()\\\x00-\x1f\x7f]+""")
_DEFAULT_PORT = 587
_TLS_PORT = 465


def mail_settings(text):
    """The settings in ``text``, the content of a .env. Raises AnsibleFilterError."""
    if not isinstance(text, str):
        raise AnsibleFilterError(f"mail_settings: the input is of type {type(text).__name__}, not a text. "
                                 "Use what ansible.builtin.slurp read, decoded by b64decode.")
    found = {}
    for line in text.lstrip("\ufeff").split("\n"):
        match = _LINE.fullmatch(line.rstrip())
        if match:
            found[match.group(1)] = _value(match.group(2))
    if not found.get("SMTP_SERVER"):
        return {}
    port = _port(found.get("SMTP_PORT", ""))
    return {
        "server": found["SMTP_SERVER"],
        "port": port,
        "security": "tls" if port == _TLS_PORT else "starttls",
        "user": found.get("SMTP_USER", ""),
        "password": found.get("SMTP_PASSWORD", ""),
        "sender": _address(found.get("SMTP_FROM", "")),
    }


def _value(raw):
    quoted = _QUOTED.fullmatch(raw)
    if not quoted:
        return _COMMENT.sub("", raw, count=1).rstrip()
    if quoted.group(2) is not None:
        return re.sub(r"\\([\\'])", r"\1", quoted.group(2))
    return re.sub(r"\\([\\\"'])", r"\1", quoted.group(1))


def _port(text):
    return int(text) if re.fullmatch(r"[0-9]{1,5}", text) and 0 < int(text) < 65536 else _DEFAULT_PORT


def _address(text):
    named = _NAMED.fullmatch(text.strip())
    address = named.group(1) if named else text.strip()
    return address if _ADDRESS.fullmatch(address) else ""


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Names of the filters with their functions."""
        return {"mail_settings": mail_settings}
