# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The databases that are measured: essay-like text in the row shapes of FeedForward, and the change of 1 % of the rows.

WAL mode, pages of 4096 bytes. Like English prose for compressors: gzip 6 makes about 2.6:1 of it, at the speed that it
has on prose. A text comes back to its own phrases and shares nothing longer than a word with others, so that a large
window is no advantage that it would not have with real essays. The same size and seed give the same rows.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

PAGE_SIZE = 4096
MEGABYTE = 1_000_000
SEED = 20261124
CHANGED_SHARE = 0.01
# A class hands in together: its drafts are neighbours.
CLASS_ROWS = 25
PATTERNS = ("scattered", "clustered")
STUDENTS_PER_DRAFT = 0.2
RUNS_PER_DRAFT, ITEMS_PER_RUN = 2, 8
BATCH_DRAFTS = 25
BUSY_TIMEOUT_SECONDS = 60.0
TABLES = ("users", "drafts", "model_runs", "feedback_items")

SCHEMA = """
CREATE TABLE users (email TEXT PRIMARY KEY, name TEXT, password TEXT, role TEXT, status TEXT, last_active TEXT);
CREATE TABLE drafts (id INTEGER PRIMARY KEY, assignment_id INTEGER, student_email TEXT, version INTEGER, content TEXT,
  content_preserved INTEGER, submission_date TEXT, word_count INTEGER, status TEXT, content_removed_date TEXT,
  hidden_by_student INTEGER);
CREATE TABLE model_runs (id INTEGER PRIMARY KEY, draft_id INTEGER, model_id INTEGER, run_number INTEGER,
  timestamp TEXT, prompt TEXT, raw_response TEXT, status TEXT, error_message TEXT, duration_seconds REAL);
CREATE TABLE feedback_items (id INTEGER PRIMARY KEY, model_run_id INTEGER, category_id INTEGER, type TEXT,
  content TEXT, is_strength INTEGER, is_aggregated INTEGER);
CREATE INDEX ix_drafts_assignment_student ON drafts (assignment_id, student_email);
CREATE INDEX ix_model_runs_draft ON model_runs (draft_id);
CREATE INDEX ix_feedback_items_run ON feedback_items (model_run_id);
"""
# Frequencies in English, in per mille.
LETTERS = {"e": 120, "t": 90, "a": 80, "o": 75, "i": 70, "n": 67, "s": 63, "h": 60, "r": 60, "d": 40, "l": 40, "u": 27,
           "c": 27, "m": 24, "w": 22, "f": 23, "g": 20, "y": 19, "p": 20, "b": 15, "v": 10, "k": 8}
VOCABULARY_WORDS = 80_000
PHRASES_PER_TEXT, PHRASE_WORDS = 10, (4, 9)
# One in eight places of a text holds one of its phrases.
WORDS_PER_PHRASE = 8


class Essays:
    """Invented text."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        letters, weights = list(LETTERS), list(itertools.accumulate(LETTERS.values()))
        self._words = ["".join(rng.choices(letters, cum_weights=weights, k=rng.randint(2, 9)))
                       for _word in range(VOCABULARY_WORDS)]

    def remark(self) -> str:
        """One sentence."""
        return " ".join(self.rng.choices(self._words, k=self.rng.randint(15, 40)))

    def text(self, least_places: int, most_places: int) -> str:
        """Between ``least_places`` and ``most_places`` words or phrases, about ten bytes each."""
        rng = self.rng
        phrases = [" ".join(rng.choices(self._words, k=rng.randint(*PHRASE_WORDS)))
                   for _phrase in range(PHRASES_PER_TEXT)]
        places = rng.choices(self._words, k=rng.randint(least_places, most_places))
        for place in rng.sample(range(len(places)), len(places) // WORDS_PER_PHRASE):
            places[place] = rng.choice(phrases)
        return " ".join(places)


def moment(rng: random.Random) -> str:
    """Naive local time as the application writes it."""
    day = f"2026-{rng.randint(1, 11):02d}-{rng.randint(1, 28):02d}"
    return f"{day}T{rng.randint(8, 22):02d}:00:00.{rng.randint(0, 999999):06d}"


def student(number: int) -> str:
    """The e-mail address of a student."""
    return f"student{number:06d}@students.example.edu"


def build_database(path: Path, megabytes: float, seed: int = SEED) -> None:
    """Makes the database ``path`` of ``megabytes`` million bytes; it appears when it is complete."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    rng = random.Random(seed)
    essays = Essays(rng)
    database = sqlite3.connect(temporary, isolation_level=None)
    database.executescript(f"PRAGMA page_size = {PAGE_SIZE}; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
    database.executescript(SCHEMA)
    for first in itertools.count(1, BATCH_DRAFTS):
        _insert_batch(database, rng, essays, first)
        if database.execute("PRAGMA page_count").fetchone()[0] * PAGE_SIZE >= megabytes * MEGABYTE:
            break
    database.execute("PRAGMA journal_mode = WAL")
    database.close()
    os.replace(temporary, path)


def _insert_batch(database: sqlite3.Connection, rng: random.Random, essays: Essays, first: int) -> None:
    database.execute("BEGIN")
    new_students = range(int((first - 1) * STUDENTS_PER_DRAFT), int((first - 1 + BATCH_DRAFTS) * STUDENTS_PER_DRAFT))
    database.executemany("INSERT INTO users VALUES (?,?,?,?,?,?)", (_user(rng, number) for number in new_students))
    drafts = range(first, first + BATCH_DRAFTS)
    known = new_students.stop
    database.executemany("INSERT INTO drafts VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                         (_draft(rng, essays, number, known) for number in drafts))
    for run, draft in itertools.product(range(1, RUNS_PER_DRAFT + 1), drafts):
        added = database.execute("INSERT INTO model_runs VALUES (NULL,?,?,?,?,?,?,?,NULL,?)",
                                 _model_run(rng, essays, draft, run)).lastrowid
        database.executemany("INSERT INTO feedback_items VALUES (NULL,?,?,?,?,?,0)",
                             ((added, item % 4 + 1, "remark", essays.remark(), item % 2)
                              for item in range(ITEMS_PER_RUN)))
    database.execute("COMMIT")


def _user(rng: random.Random, number: int) -> tuple[object, ...]:
    return student(number), f"Student {number}", rng.randbytes(30).hex(), "student", "active", moment(rng)


def _draft(rng: random.Random, essays: Essays, number: int, students: int) -> tuple[object, ...]:
    essay = essays.text(400, 900)
    return (number, number // 60 + 1, student(rng.randrange(students)), number % 3 + 1, essay, 1, moment(rng),
            essay.count(" ") + 1, "feedback_ready", None, 0)


def _model_run(rng: random.Random, essays: Essays, draft: int, run: int) -> tuple[object, ...]:
    return (draft, rng.randint(1, 3), run, moment(rng), essays.text(450, 950), essays.text(150, 400), "complete",
            rng.random() * 9)


def change_rows(path: Path, pattern: str, seed: int) -> int:
    """Changes 1 % of the rows of each table, one by one or in runs of ``CLASS_ROWS`` neighbours at random places.

    Essays are revised, not only stamped. The log is emptied into the database. Returns the number of changed rows.
    """
    rng = random.Random(seed)
    essays = Essays(random.Random(SEED))
    essays.rng = rng
    database = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS)
    database.execute("BEGIN IMMEDIATE")
    changed = 0
    for table in TABLES:
        (rows,) = database.execute(f"SELECT max(rowid) FROM {table}").fetchone()
        for row in changed_rows(rng, rows, pattern):
            _change_row(database, rng, essays, table, row)
            changed += 1
    database.execute("COMMIT")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return changed


def changed_rows(rng: random.Random, rows: int, pattern: str) -> Sequence[int]:
    """The ids, from 1 to ``rows``, of the rows that change."""
    wanted = max(1, round(rows * CHANGED_SHARE))
    if pattern == "scattered":
        return sorted(rng.sample(range(1, rows + 1), wanted))
    length = min(CLASS_ROWS, wanted)
    places = rng.sample(range(max(1, rows // length)), -(-wanted // length))
    return sorted(itertools.islice(_neighbours(places, length), wanted))


def _neighbours(places: Sequence[int], length: int) -> Iterator[int]:
    for place in places:
        yield from range(place * length + 1, (place + 1) * length + 1)


def _change_row(database: sqlite3.Connection, rng: random.Random, essays: Essays, table: str, row: int) -> None:
    if table == "users":
        database.execute("UPDATE users SET last_active = ? WHERE rowid = ?", (moment(rng), row))
    elif table == "drafts":
        essay = essays.text(400, 900)
        database.execute("UPDATE drafts SET content = ?, word_count = ?, submission_date = ? WHERE id = ?",
                         (essay, essay.count(" ") + 1, moment(rng), row))
    elif table == "feedback_items":
        database.execute("UPDATE feedback_items SET content = ? WHERE id = ?", (essays.remark(), row))
    else:
        database.execute("UPDATE model_runs SET prompt = ?, raw_response = ?, timestamp = ? WHERE id = ?",
                         (essays.text(450, 950), essays.text(150, 400), moment(rng), row))


def cached_name(megabytes: float, seed: int, state: str) -> str:
    """The file name of one database in the cache; it changes when this file does."""
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
    return f"{megabytes:g}mb-{seed}-{state}-{recipe}.db"


def main(arguments: Sequence[str]) -> None:
    """``build PATH MEGABYTES SEED`` or ``change PATH PATTERN SEED``."""
    action, path, what, seed = arguments
    if action == "build":
        build_database(Path(path), float(what), int(seed))
    else:
        change_rows(Path(path), what, int(seed))


if __name__ == "__main__":
    main(sys.argv[1:])
