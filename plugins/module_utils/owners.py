# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users and groups: their names, their ids, and acting as one of them."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .errors import SourceError


def owner_names(uid: int, gid: int) -> tuple[str, str]:
    """Names of a user and a group on this host; an id without a name stays a decimal number."""
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    try:
        group = grp.getgrgid(gid).gr_name
    except KeyError:
        group = str(gid)
    return user, group


def owner_ids(user: str, group: str, uid: int, gid: int) -> tuple[int, int]:
    """The ids that ``user`` and ``group`` have on this host, else the given numbers: a restore on another
    host follows the names, as tar does."""
    with suppress(KeyError):
        uid = pwd.getpwnam(user).pw_uid
    with suppress(KeyError):
        gid = grp.getgrnam(group).gr_gid
    return uid, gid


@contextmanager
def acting_as(uid: int, gid: int) -> Iterator[None]:
    """Root takes the effective ids of another user meanwhile; for anybody else, and for root's own, nothing changes.

    Files that SQLite makes beside a database then belong to its owner. The whole process changes: no other
    thread may be at work. Raises SourceError when the ids cannot be taken (a sandbox without CAP_SETUID).
    """
    if os.geteuid() != 0 or uid == 0:
        yield
        return
    groups, old_gid = os.getgroups(), os.getegid()
    try:
        user = pwd.getpwuid(uid).pw_name
        wanted = os.getgrouplist(user, gid)
    except KeyError:
        wanted = [gid]
    try:
        os.setgroups(wanted)
        os.setegid(gid)
        os.seteuid(uid)
    except OSError as error:
        _become_root(groups, old_gid)
        raise SourceError(f"user {uid}, group {gid}", f"the identity of the owner cannot be taken: {error.strerror}",
                          "Give the unit CAP_SETUID and CAP_SETGID, or run as the owner") from error
    try:
        yield
    finally:
        _become_root(groups, old_gid)


def _become_root(groups: list[int], gid: int) -> None:
    os.seteuid(0)
    os.setegid(gid)
    # Without CAP_SETGID the supplementary groups were never changed.
    with suppress(PermissionError):
        os.setgroups(groups)
