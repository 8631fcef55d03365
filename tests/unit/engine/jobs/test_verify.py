# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification: verdicts, levels, records."""

from __future__ import annotations

import errno
import io
import json
import os
import random
import subprocess
import sys
import tarfile
import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils import errors
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys import load_ring
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.reader import read_manifest
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.sidecar import read_sidecar
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.status import read_status
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import check as check_module
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import keys, prune
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.check import check_archive
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.verify import VerifyRequest, run_verify
from ansible_collections.feedforward.maintenance.plugins.module_utils.units import utc_now

from .conftest import ROWS, Site, flip

PASSING = [errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.EACCES, errno.ENOTCONN, errno.ETIMEDOUT, errno.ENOMEM]
LASTING = [(errno.ENOENT, None), (errno.EISDIR, None), (errno.ELOOP, None), (errno.EIO, None), (errno.EIO, 0),
           (errno.EIO, 6)]


@pytest.mark.parametrize("level", ["checksums", "integrity", "restore"])
def test_a_good_archive_passes_and_the_record_says_how(site: Site, level: str) -> None:
    archive = site.backup("full").archive
    result = site.verify(level=level)
    verdict = result.archives[0]
    assert result.passed and not result.changed
    assert (verdict.verdict, verdict.level, verdict.problems, verdict.recorded) == ("passed", level, (), True)
    assert verdict.databases[0]["rows"] == {"drafts": ROWS} and verdict.files == 2
    sidecar, status = read_sidecar(archive), read_status(site.archives, "app", "full")
    assert (sidecar.verification, sidecar.verified_level) == ("passed", level)
    assert status.last_verification == "passed" and (status.last_restore_test_at is not None) == (level == "restore")
    assert not [name for name in os.listdir(site.archives) if "scratch" in name]


def test_every_flipped_bit_fails_and_is_recorded(site: Site) -> None:
    archive = site.backup().archive
    original = open_bytes(archive)
    dice = random.Random(7)
    for _turn in range(40):
        place, bit = dice.randrange(len(original)), dice.randrange(8)
        flip(archive, place, bit)
        result = site.verify(level="checksums")
        assert not result.passed and result.archives[0].verdict == "failed" and result.archives[0].problems
        flip(archive, place, bit)
    assert read_sidecar(archive).verification == "failed"
    assert read_status(site.archives, "app", "database").last_verification == "failed"
    assert open_bytes(archive) == original and site.verify().passed


@pytest.mark.parametrize("strategy", ["full", "incremental"])
@pytest.mark.parametrize("level", ["checksums", "integrity"])
def test_no_more_threads_are_at_work_than_the_operator_allows(site: Site, strategy: str, level: str) -> None:
    for _backup in range(2):
        # Of several blocks, so that there is work for several threads.
        site.sql("INSERT INTO drafts(content) VALUES (?)", random.Random(1).randbytes(6_000_000))
        site.backup(strategy=strategy)
    at_work = set()

    def progress(_what: str, _done: int, _total: int) -> None:
        at_work.update(thread.name for thread in threading.enumerate() if thread.name.startswith("archive"))

    request = VerifyRequest("app", site.archives, level=level, key_file=site.key_file)
    assert run_verify(replace(request, workers=1), progress=progress).passed
    # The threads of a reader have numbers.
    assert at_work == {"archive_0"}
    assert run_verify(replace(request, workers=3), progress=progress).passed
    assert at_work > {"archive_0"}


def open_bytes(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def test_without_the_right_key_the_verdict_is_unknown_and_nothing_is_recorded(site: Site) -> None:
    archive = site.backup().archive
    before = read_sidecar(archive)
    other = os.path.join(site.root, "other.key")
    keys.create(other)
    for key_file in (other, None):
        result = site.verify(key_file=key_file)
        assert not result.passed and result.archives[0].verdict == "unknown" and not result.archives[0].recorded
    assert read_sidecar(archive) == before


def test_all_latest_and_oldest(site: Site) -> None:
    first = site.backup()
    second = site.backup(force=True)
    full = site.backup("full")
    names = {which: [a.path for a in site.verify(archive=which).archives] for which in ("all", "latest", "oldest")}
    assert names == {"all": [first.archive, second.archive, full.archive], "latest": [second.archive, full.archive],
                     "oldest": [first.archive, full.archive]}
    assert [a.path for a in site.verify(archive=first.archive).archives] == [first.archive]
    assert [a.path for a in site.verify(archive=os.path.basename(first.archive)).archives] == [first.archive]


def test_one_bad_archive_among_good_ones_fails_the_whole(site: Site) -> None:
    first = site.backup()
    site.backup(force=True)
    flip(first.archive, os.path.getsize(first.archive) - 5)
    result = site.verify(archive="all")
    assert [a.verdict for a in result.archives] == ["failed", "passed"] and not result.passed


def test_an_empty_directory_is_an_error_and_not_a_pass(site: Site) -> None:
    with pytest.raises(errors.ArchiveError, match="no archive"):
        site.verify()


@pytest.mark.parametrize("changes", [{"level": "deep"}, {"scratch": "/nowhere"}, {"destination": None}])
def test_bad_requests(site: Site, changes) -> None:
    site.backup()
    with pytest.raises(errors.UsageError):
        site.verify(**changes)


def test_without_record_nothing_is_written(site: Site) -> None:
    site.backup()
    before = site.tree(site.archives)
    assert site.verify(record=False).passed
    assert site.tree(site.archives) == before


def test_scratch_without_room_is_an_error(site: Site, monkeypatch) -> None:
    site.backup()
    monkeypatch.setattr(check_module, "free_bytes", lambda path: 10)
    with pytest.raises(errors.DestinationError, match="free"):
        site.verify(level="integrity")


def test_counted_rows_that_differ_are_a_failure(site: Site, tmp_path) -> None:
    """A manifest that counts other rows than its database holds: what a bug in the backup would look like."""
    archive = site.backup(key_file=None).archive
    manifest = read_manifest(archive, None)
    with tarfile.open(archive) as tar:
        tar.extract(manifest.databases[0].member, tmp_path)
    path = str(tmp_path / manifest.databases[0].member)
    good = check_module.inspect_unpacked(path, manifest.databases[0])
    assert good["problems"] == ()
    from dataclasses import replace
    wrong = replace(manifest.databases[0], rows={"drafts": ROWS + 1}, schema_sha256="0" * 64)
    assert len(check_module.inspect_unpacked(path, wrong)["problems"]) == 2
    with open(path, "r+b") as stream:
        stream.seek(4096 * 2)
        stream.write(b"\xff" * 4096)
    assert check_module.inspect_unpacked(path, manifest.databases[0])["problems"]


def test_an_archive_that_vanished_meanwhile_is_told(site: Site) -> None:
    path = os.path.join(site.archives, "app-database-20260101T000000Z.tar.gz")
    verdict = check_archive(path, load_ring(site.key_file), level="checksums")
    assert verdict.verdict == "failed" and "cannot be opened" in verdict.problems[0]


def test_a_lost_sidecar_is_rebuilt_by_a_verification(site: Site) -> None:
    archive = site.backup().archive
    before = read_sidecar(archive)
    os.unlink(archive + ".json")
    site.verify()
    after = read_sidecar(archive)
    assert (after.sha256, after.sequence, after.size) == (before.sha256, before.sequence, before.size)


def test_a_key_that_used_to_fit_and_does_not_is_damage(site: Site) -> None:
    archive = site.backup().archive
    flip(archive, 3)
    result = site.verify()
    assert result.archives[0].verdict == "failed"


def refuse(monkeypatch, paths, number: int) -> None:
    """Whoever opens one of ``paths`` gets this error of the system."""
    real = os.open

    def opened(path, *arguments, **more):
        if path in paths:
            raise OSError(number, os.strerror(number), path)
        return real(path, *arguments, **more)

    monkeypatch.setattr(os, "open", opened)


def refuse_reading(monkeypatch, path: str, number: int, after: int) -> None:
    """Whoever reads ``path`` gets this error of the system after so many reads."""
    real = os.fdopen

    class Broken(io.FileIO):
        left = after

        def read(self, size=-1):
            if not self.left:
                raise OSError(number, os.strerror(number))
            self.left -= 1
            return super().read(min(size, 1000))

    def opened(handle, *arguments, **more):
        is_it = os.path.samestat(os.fstat(handle), os.stat(path))
        return Broken(handle) if is_it else real(handle, *arguments, **more)

    monkeypatch.setattr(os, "fdopen", opened)


@pytest.mark.parametrize("reads", [None, 1])
@pytest.mark.parametrize("number", PASSING)
def test_what_only_hinders_this_run_is_no_verdict(site: Site, monkeypatch, number: int, reads) -> None:
    archive = site.backup().archive
    sidecar, status = read_sidecar(archive), read_status(site.archives, "app", "database")
    assert sidecar.verification == "passed"
    with monkeypatch.context() as patched:
        if reads is None:
            refuse(patched, {archive}, number)
        else:
            refuse_reading(patched, archive, number, reads)
        result = site.verify(level="checksums")
    verdict = result.archives[0]
    assert not result.passed and (verdict.verdict, verdict.recorded) == ("unknown", False)
    assert verdict.exit_code == result.failure().exit_code == errors.ArchiveError.exit_code
    assert os.strerror(number) in verdict.problems[0] and os.strerror(number) in str(result.failure())
    assert (read_sidecar(archive), read_status(site.archives, "app", "database")) == (sidecar, status)
    assert site.verify(level="checksums").passed


@pytest.mark.parametrize(("number", "reads"), LASTING)
def test_what_is_gone_or_broken_is_failed_and_recorded(site: Site, monkeypatch, number: int, reads) -> None:
    archive = site.backup().archive
    with monkeypatch.context() as patched:
        if reads is None:
            refuse(patched, {archive}, number)
        else:
            refuse_reading(patched, archive, number, reads)
        verdict = site.verify(level="checksums").archives[0]
    assert (verdict.verdict, verdict.recorded) == ("failed", True) and os.strerror(number) in verdict.problems[0]
    assert read_sidecar(archive).verification == "failed"


def test_a_base_that_cannot_be_opened_now_is_no_verdict_on_what_needs_it(site: Site, monkeypatch) -> None:
    base = site.backup(strategy="incremental").archive
    site.sql("DELETE FROM drafts WHERE id = 1")
    increment = site.backup(strategy="incremental").archive
    with monkeypatch.context() as patched:
        refuse(patched, {base}, errno.ESTALE)
        verdict = site.verify(archive=increment).archives[0]
    assert (verdict.verdict, verdict.recorded) == ("unknown", False) and "Stale" in verdict.problems[0]
    assert read_sidecar(increment).verification == "passed"


def test_a_process_with_too_many_open_files_condemns_nothing(site: Site) -> None:
    archive = site.backup(key_file=None).archive
    code = ("import json, os, resource, sys\n"
            "from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import check\n"
            "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
            "held = []\n"
            "try:\n"
            "    while True:\n"
            "        held.append(os.open('/dev/null', os.O_RDONLY))\n"
            "except OSError:\n"
            "    found = check.check_archive(sys.argv[1], None, level='checksums')\n"
            "print(json.dumps([found.verdict, found.problems, found.error.exit_code]))\n")
    ended = subprocess.run([sys.executable, "-c", code, archive], check=True, capture_output=True, text=True)
    verdict, problems, exit_code = json.loads(ended.stdout)
    assert (verdict, exit_code) == ("unknown", 6) and "Too many open files" in problems[0]


def test_retention_after_a_run_that_could_not_open_the_good_ones(site: Site, monkeypatch) -> None:
    for number in range(4):
        site.sql("DELETE FROM drafts WHERE id = ?", number + 1)
        site.backup(prune=False)
    names = site.names()
    with monkeypatch.context() as patched:
        refuse(patched, {os.path.join(site.archives, name) for name in names[1:]}, errno.ESTALE)
        verdicts = [archive.verdict for archive in site.verify(archive="all").archives]
    assert verdicts == ["passed", "unknown", "unknown", "unknown"]
    monkeypatch.setattr(prune, "utc_now", lambda: utc_now() + timedelta(days=40))
    pruned = prune.run_prune(prune.PruneRequest("app", site.archives, keep_last=2, key_file=site.key_file))
    assert pruned.removed == tuple(names[:2]) and site.names() == names[2:]
    assert site.verify(archive="all").passed


def test_an_error_beside_the_archive_is_no_verdict_on_it(site: Site, monkeypatch) -> None:
    """As of a scratch directory that is on a network, too."""
    archive = site.backup().archive

    def stale(path: str) -> int:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)

    with monkeypatch.context() as patched:
        patched.setattr(check_module, "free_bytes", stale)
        verdict = site.verify(level="integrity").archives[0]
    assert (verdict.verdict, verdict.recorded) == ("unknown", False) and "Stale" in verdict.problems[0]
    assert read_sidecar(archive).verification == "passed"
