# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What key_escrow decides, from nothing but the key ids that both sides hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import KeyFileError
from ansible_collections.feedforward.maintenance.plugins.plugin_utils.escrow import (
    EscrowPlan,
    Holding,
    KeyContent,
    after,
    holding,
    plan_escrow,
    plan_without_escrow,
)

A, B, C = "aaaaaaaa", "bbbbbbbb", "cccccccc"


def ring(current=None, *older):
    """A holding of these ids."""
    return Holding(current, frozenset(older))


def plan(host, escrow, *, create=True):
    """The plan for these holdings."""
    return plan_escrow("/secure/backup.key", "/escrow/backup.key", host, escrow, create=create)


@pytest.mark.parametrize(("host", "escrow", "expected"), [
    (ring(), ring(), EscrowPlan(create=True)),
    (ring(), ring(A), EscrowPlan(install=(A,))),
    (ring(), ring(C, A, B), EscrowPlan(install=(A, B, C))),
    (ring(None, A), ring(C, A, B), EscrowPlan(install=(B, C))),
    (ring(A), ring(), EscrowPlan(escrow=(A,))),
    (ring(B, A), ring(), EscrowPlan(escrow=(A, B))),
    (ring(A), ring(A), EscrowPlan()),
    (ring(B, A), ring(B, A), EscrowPlan()),
    (ring(B, A), ring(A), EscrowPlan(escrow=(B,))),
    (ring(C, A, B), ring(A), EscrowPlan(escrow=(B, C))),
    (ring(B), ring(B, A), EscrowPlan()),
    (ring(B, A), ring(B), EscrowPlan(escrow=(A,))),
    (ring(A, A), ring(A), EscrowPlan()),
    (ring(A), ring(A, A), EscrowPlan()),
])
def test_plan(host, escrow, expected):
    assert plan(host, escrow) == expected
    assert expected.changed is (expected != EscrowPlan())


@pytest.mark.parametrize(("host", "escrow", "create", "subject", "words"), [
    (ring(), ring(), False, "/secure/backup.key", "create=true"),
    (ring(A), ring(B), True, "/secure/backup.key", "delete neither"),
    (ring(A), ring(B, A), True, "/secure/backup.key", "an older one in escrow"),
    (ring(None, A), ring(), True, "/secure/backup.key", A),
    (ring(None, A), ring(B), True, "/secure/backup.key", A),
    (ring(), ring(None, A), True, "/escrow/backup.key", A),
])
def test_what_would_not_be_safe_is_refused(host, escrow, create, subject, words):
    with pytest.raises(KeyFileError) as refused:
        plan(host, escrow, create=create)
    assert refused.value.subject == subject
    assert words in str(refused.value)


def test_without_escrow():
    assert plan_without_escrow("/k", ring(A), create=False) == EscrowPlan()
    assert plan_without_escrow("/k", ring(A, B), create=True) == EscrowPlan()
    assert plan_without_escrow("/k", ring(), create=True) == EscrowPlan(create=True)
    for host, create in ((ring(), False), (ring(None, A), True)):
        with pytest.raises(KeyFileError, match="there is no key on the host"):
            plan_without_escrow("/k", host, create=create)


HOLDINGS = st.builds(Holding, st.none() | st.sampled_from([A, B, C]), st.frozensets(st.sampled_from([A, B, C])))


@given(host=HOLDINGS, escrow=HOLDINGS)
def test_a_plan_that_is_carried_out_leaves_nothing_to_do_and_loses_no_key(host, escrow):
    try:
        first = plan(host, escrow)
    except KeyFileError:
        return
    new = Holding("dddddddd") if first.create else escrow
    host_after, escrow_after = after(first, host, new)
    assert plan(host_after, escrow_after, create=False) == EscrowPlan()
    assert host_after.current is not None
    assert host_after.current == escrow_after.current
    assert host.ids <= host_after.ids
    assert host.ids | escrow.ids <= escrow_after.ids


def test_no_repr_shows_a_key():
    key = KeyContent(A, b"the content")
    assert "content=" not in repr(key)
    assert "the content" not in repr({"": key})
    assert holding({"": key, B: KeyContent(B, b"")}) == ring(A, B)
    assert holding({}) == ring()
