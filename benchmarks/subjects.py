# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured side by side. A subject keeps everything of one history below one directory, its store:
``repo`` holds what is counted, all else (caches, keys) lies beside it, so that a copy of the store is complete.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .data import PATTERNS
from .processes import Ran, run, shell, stored_bytes

PASSWORD = "benchmark"
FIRST, RESTORE, RESTORE_CHAIN, VERIFY = "first backup", "restore", "restore chain", "verify"


def after(pattern: str) -> str:
    """The name of the operation that backs up after a change of 1 % of the rows."""
    return f"after 1 % {pattern}"


@dataclass(frozen=True)
class Stored:
    """One backup: what it took, the bytes that it added, and of ours the seconds of the check of the snapshot."""

    ran: Ran
    bytes: int
    check_seconds: float | None = None


class Subject:
    """A way to back up the database ``source``. Everything but ``full`` is optional."""

    name = ""
    needs: tuple[str, ...] = ()
    operations: tuple[str, ...] = (FIRST,)

    def lacking(self) -> str:
        """Why it cannot be measured here; an empty text when it can."""
        missing = [program for program in self.needs if shutil.which(program) is None]
        return f"{', '.join(missing)} not found" if missing else ""

    def begin(self, store: Path) -> None:
        """Makes an empty store, which is not measured."""
        (store / "repo").mkdir(parents=True)

    def full(self, store: Path, source: Path) -> Stored:
        """The first backup."""
        return counted(store, lambda: self._full(store, source))

    def increment(self, store: Path, source: Path) -> Stored:
        """One more backup into the same store."""
        return counted(store, lambda: self._increment(store, source))

    def restore(self, store: Path, target: Path) -> tuple[Ran, Path]:
        """Restores the newest backup below the directory ``target``; returns where the database is as well."""
        raise NotImplementedError

    def _full(self, store: Path, source: Path) -> Ran:
        raise NotImplementedError

    def _increment(self, store: Path, source: Path) -> Ran:
        return self._full(store, source)


def counted(store: Path, backup: Callable[[], Ran]) -> Stored:
    """Calls ``backup`` and counts by how much the repository grew."""
    before = stored_bytes(store / "repo")
    ran = backup()
    return Stored(ran, stored_bytes(store / "repo") - before)


class Pipeline(Subject):
    """Stock commands on files, each working at ``$SOURCE`` and below ``$REPO``."""

    def __init__(self, name: str, needs: tuple[str, ...], script: str, unpack: str) -> None:
        self.name, self.needs, self._script = name, ("sqlite3", "openssl", "sha256sum", *needs), script
        self._unpack = unpack
        self.operations = (FIRST, RESTORE)

    def _full(self, store: Path, source: Path) -> Ran:
        environment = {"SOURCE": str(source), "REPO": str(store / "repo"), "PASSWORD": PASSWORD}
        return shell(self._script, environment=environment)

    def restore(self, store: Path, target: Path) -> tuple[Ran, Path]:
        database = target / "app.db"
        decrypt = "openssl enc -d -aes-256-cbc -pbkdf2 -pass env:PASSWORD -in \"$REPO/archive.enc\""
        environment = {"REPO": str(store / "repo"), "PASSWORD": PASSWORD, "TARGET": str(database)}
        return shell(f"{decrypt} | {self._unpack} > \"$TARGET\"", environment=environment), database


class Restic(Subject):
    """restic with a local repository."""

    name = "restic"
    needs = ("restic",)
    operations = (FIRST, *map(after, PATTERNS), RESTORE)

    def begin(self, store: Path) -> None:
        store.mkdir(parents=True, exist_ok=True)
        self._restic(store, "init")

    def _full(self, store: Path, source: Path) -> Ran:
        return self._restic(store, "backup", "--quiet", str(source))

    def restore(self, store: Path, target: Path) -> tuple[Ran, Path]:
        ran = self._restic(store, "restore", "latest", "--target", str(target))
        return ran, next(target.rglob("app.db"))

    def _restic(self, store: Path, *arguments: str) -> Ran:
        environment = {"RESTIC_PASSWORD": PASSWORD, "RESTIC_REPOSITORY": str(store / "repo"),
                       "RESTIC_CACHE_DIR": str(store / "cache")}
        return run(["restic", *arguments], environment=environment)


class Borg(Subject):
    """BorgBackup with a local repository, its key in the repository, zstd level 3."""

    name = "borg"
    needs = ("borg",)
    operations = (FIRST, *map(after, PATTERNS), RESTORE)

    def begin(self, store: Path) -> None:
        store.mkdir(parents=True, exist_ok=True)
        self._borg(store, "init", "--encryption=repokey-blake2")

    def _full(self, store: Path, source: Path) -> Ran:
        return self._borg(store, "create", "--compression", "zstd,3", "::{now:%Y%m%dT%H%M%S.%f}", source.name,
                          cwd=source.parent)

    def restore(self, store: Path, target: Path) -> tuple[Ran, Path]:
        newest = self._borg(store, "list", "--short", "--last", "1").output.strip()
        return self._borg(store, "extract", f"::{newest}", cwd=target), target / "app.db"

    def _borg(self, store: Path, *arguments: str, cwd: Path | None = None) -> Ran:
        environment = {"BORG_PASSPHRASE": PASSWORD, "BORG_REPO": str(store / "repo"),
                       "BORG_BASE_DIR": str(store / "home"), "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes"}
        return run(["borg", *arguments], environment=environment, cwd=cwd)


_COPY = "sqlite3 \"$SOURCE\" \".backup '$REPO/copy.db'\"\n"
_STREAMED = (" | openssl enc -aes-256-cbc -pbkdf2 -pass env:PASSWORD | tee \"$REPO/archive.enc\" "
             "| sha256sum > \"$REPO/archive.sha256\"\nrm \"$REPO/copy.db\"")


def stock_subjects() -> list[Subject]:
    """Everything that is not ours."""
    on_files = """\
gzip -6 "$REPO/copy.db"
openssl enc -aes-256-cbc -pbkdf2 -pass env:PASSWORD -in "$REPO/copy.db.gz" -out "$REPO/archive.enc"
sha256sum "$REPO/archive.enc" > "$REPO/archive.sha256"
rm "$REPO/copy.db.gz"
"""
    return [
        Pipeline("administrator", ("gzip",), _COPY + on_files, "gzip -dc"),
        Pipeline("pigz", ("pigz",), _COPY + 'pigz -6 -p 2 -c "$REPO/copy.db"' + _STREAMED, "pigz -dc"),
        Pipeline("zstd", ("zstd",), _COPY + 'zstd -q -3 -T2 -c "$REPO/copy.db"' + _STREAMED, "zstd -qdc"),
        Restic(),
        Borg(),
    ]
