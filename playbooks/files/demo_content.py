# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demonstration application holds: its schema, its rows and its files.

The shapes are those of FeedForward 0.2: 27 tables without foreign keys and without AUTOINCREMENT, times as naive local
text. Every name, essay and secret is invented. The same seed, size and day give the same rows.
`demo_application.py` is the command; it needs this file beside it.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import random
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

SCHEMA = """
CREATE TABLE users (email TEXT PRIMARY KEY, name TEXT, password TEXT, role TEXT, verified INTEGER,
  verification_token TEXT, approved INTEGER, department TEXT, reset_token TEXT, reset_token_expiry TEXT, status TEXT,
  last_active TEXT, tos_accepted TEXT, privacy_accepted TEXT);
CREATE TABLE courses (id INTEGER PRIMARY KEY, code TEXT, title TEXT, term TEXT, department TEXT, instructor_email TEXT,
  status TEXT, created_at TEXT, updated_at TEXT);
CREATE TABLE assignments (id INTEGER PRIMARY KEY, course_id INTEGER, title TEXT, description TEXT, due_date TEXT,
  max_drafts INTEGER, created_by TEXT, status TEXT, created_at TEXT, updated_at TEXT);
CREATE TABLE enrollments (id INTEGER PRIMARY KEY, course_id INTEGER, student_email TEXT);
CREATE TABLE drafts (id INTEGER PRIMARY KEY, assignment_id INTEGER, student_email TEXT, version INTEGER, content TEXT,
  content_preserved INTEGER, submission_date TEXT, word_count INTEGER, status TEXT, content_removed_date TEXT,
  hidden_by_student INTEGER);
CREATE TABLE model_runs (id INTEGER PRIMARY KEY, draft_id INTEGER, model_id INTEGER, run_number INTEGER,
  timestamp TEXT, prompt TEXT, raw_response TEXT, status TEXT, error_message TEXT, duration_seconds REAL);
CREATE TABLE category_scores (id INTEGER PRIMARY KEY, model_run_id INTEGER, category_id INTEGER, score REAL,
  confidence REAL);
CREATE TABLE feedback_items (id INTEGER PRIMARY KEY, model_run_id INTEGER, category_id INTEGER, type TEXT,
  content TEXT, is_strength INTEGER, is_aggregated INTEGER);
CREATE TABLE aggregated_feedback (id INTEGER PRIMARY KEY, draft_id INTEGER, category_id INTEGER,
  aggregated_score REAL, feedback_text TEXT, edited_by_instructor INTEGER, instructor_email TEXT, release_date TEXT,
  status TEXT);
CREATE TABLE submission_files (id INTEGER PRIMARY KEY, draft_id, filename TEXT, mime_type TEXT, content BLOB,
  checksum TEXT, uploaded_at TEXT, removed_at TEXT);
CREATE TABLE ai_models (id INTEGER PRIMARY KEY, name TEXT, provider TEXT, model_id TEXT, api_config TEXT,
  owner_type TEXT, max_context INTEGER, active INTEGER);
CREATE TABLE system_config (key TEXT PRIMARY KEY, value TEXT, description TEXT);
CREATE TABLE signals (id INTEGER PRIMARY KEY, course_id INTEGER, student_email TEXT, rule_id INTEGER, detail TEXT,
  status TEXT, raised_at TEXT);
CREATE TABLE signal_rules (id INTEGER PRIMARY KEY, name TEXT, expression TEXT, severity TEXT, active INTEGER);
CREATE TABLE rubrics (id INTEGER PRIMARY KEY, assignment_id INTEGER, name TEXT);
CREATE TABLE rubric_categories (id INTEGER PRIMARY KEY, rubric_id INTEGER, name TEXT, description TEXT, weight REAL);
CREATE TABLE assignment_settings (id INTEGER PRIMARY KEY, assignment_id INTEGER, ai_model_id INTEGER,
  num_runs INTEGER, aggregation_method TEXT, feedback_style_id INTEGER, auto_release INTEGER);
CREATE TABLE feedback_styles (id INTEGER PRIMARY KEY, name TEXT, description TEXT, active INTEGER);
CREATE TABLE mark_display_options (id INTEGER PRIMARY KEY, name TEXT, display_type TEXT, is_default INTEGER);
CREATE TABLE domain_whitelist (id INTEGER PRIMARY KEY, domain TEXT, auto_approve INTEGER, created_at TEXT);
CREATE TABLE course_instructors (id INTEGER PRIMARY KEY, course_id INTEGER, instructor_email TEXT, role TEXT);
CREATE TABLE instructor_notes (id INTEGER PRIMARY KEY, draft_id INTEGER, instructor_email TEXT, note TEXT,
  created_at TEXT);
CREATE TABLE announcements (id INTEGER PRIMARY KEY, course_id INTEGER, title TEXT, body TEXT, published_at TEXT);
CREATE TABLE user_preferences (email TEXT, name TEXT, value TEXT, PRIMARY KEY (email, name)) WITHOUT ROWID;
CREATE TABLE invitations (id INTEGER PRIMARY KEY, course_id INTEGER, email TEXT, token TEXT, sent_at TEXT,
  accepted_at TEXT);
CREATE TABLE background_tasks (id TEXT PRIMARY KEY, kind TEXT, payload TEXT, status TEXT, created_at TEXT);
CREATE TABLE rate_limits (client TEXT, window_start TEXT, hits INTEGER);
"""
# Two more tables, which FeedForward does not have: by what `run` keeps there a snapshot is proven a prefix of history.
LEDGER = """
CREATE TABLE demo_ledger (commit_number INTEGER PRIMARY KEY, debit INTEGER NOT NULL, credit INTEGER NOT NULL,
  amount INTEGER NOT NULL, chain TEXT NOT NULL);
CREATE TABLE demo_accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
"""
INDEXES = """
CREATE INDEX ix_drafts_assignment_student ON drafts (assignment_id, student_email);
CREATE INDEX ix_drafts_status ON drafts (status);
CREATE INDEX ix_model_runs_draft ON model_runs (draft_id);
CREATE INDEX ix_category_scores_run ON category_scores (model_run_id);
CREATE INDEX ix_feedback_items_run ON feedback_items (model_run_id);
CREATE INDEX ix_aggregated_feedback_draft ON aggregated_feedback (draft_id);
CREATE INDEX ix_submission_files_draft ON submission_files (draft_id);
CREATE UNIQUE INDEX ix_enrollments ON enrollments (course_id, student_email);
CREATE INDEX ix_signals_open ON signals (status) WHERE status = 'open';
"""
ACCOUNTS, OPENING_BALANCE = 10, 1_000_000
STUDENTS, INSTRUCTORS, COURSES, DRAFTS_PER_ASSIGNMENT = 60, 4, 5, 3
CATEGORIES = ("Argument", "Evidence", "Structure", "Language")
IN_FLIGHT = ("submitted", "processing", "feedback_ready")
SETTLED = ("feedback_ready",) * 8 + ("error", "archived")
HISTORY_DAYS = 300
ONSETS = "b br c ch cl d dr f fl g gr h j k l m n p ph pl qu r s sh sl st str t th tr v w z"
RIMES = "a ai al an ar ate e ea ect el en ence er i ic id in ing ion ism o oo or ose ough ous u un ure y"
# The prompts repeat the essays: so far apart that gzip, with its window of 32 KiB, sees no repetition.
FEEDBACK_BATCH = 25


class Prose:
    """Invented English-looking text; gzip shrinks it to about two fifths."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        syllables = [onset + rime for onset in ONSETS.split() for rime in RIMES.split()]
        words = ["".join(rng.choices(syllables, k=rng.choice((1, 2, 2, 3)))) for _word in range(30000)]
        weights = list(itertools.accumulate(1 / (rank + 3000) for rank in range(len(words))))
        self.sentences = [
            " ".join(rng.choices(words, cum_weights=weights, k=rng.randint(7, 24))).capitalize() + ". "
            for _sentence in range(25000)
        ]

    def text(self, sentences: int) -> str:
        """`sentences` sentences of about 110 bytes, in paragraphs of eight."""
        chosen = self.rng.choices(self.sentences, k=sentences)
        return "\n\n".join("".join(chosen[i : i + 8]).rstrip() for i in range(0, sentences, 8))


def stamp(moment: datetime) -> str:
    """The application's text form: naive local time, always with six digits of a second."""
    return moment.isoformat(timespec="microseconds")


def sealed_key(rng: random.Random) -> str:
    """`api_config` of a model: the shape of base64 of a Fernet token, with nothing but random bytes in it."""
    token = base64.urlsafe_b64encode(b"\x80" + bytes(4) + rng.randbytes(4 + 16 + 64 + 32))
    return json.dumps({"api_key_encrypted": base64.b64encode(token).decode(), "temperature": 0.2})


def chain_link(previous: str, commit: int, debit: int, credit: int, amount: int) -> str:
    """The ledger's running hash after a commit: 32 hex digits that stand for the whole history up to it."""
    return hashlib.sha256(f"{previous}|{commit}|{debit}|{credit}|{amount}".encode()).hexdigest()[:32]


class Builder:
    """Fills an empty database; `now` is the naive local moment at which its history ends."""

    def __init__(self, database: sqlite3.Connection, rng: random.Random, now: datetime) -> None:
        self.db, self.rng, self.now, self.prose = database, rng, now, Prose(rng)
        self.students = [f"student{number:02d}@students.example.edu" for number in range(1, STUDENTS + 1)]
        self.instructors = [f"instructor{number}@example.edu" for number in range(1, INSTRUCTORS + 1)]
        self.drafts = 0

    def add(self, table: str, *rows: tuple[object, ...]) -> None:
        self.db.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(rows[0]))})", rows)

    def moment(self, days_ago: float) -> str:
        return stamp(self.now - timedelta(days=days_ago, seconds=self.rng.random() * 3600))

    def fill(self, megabytes: int) -> None:
        """Makes the schema and rows until the database holds `megabytes` million bytes."""
        self.db.executescript(SCHEMA + LEDGER)
        self.add("demo_accounts", *((number, OPENING_BALANCE) for number in range(1, ACCOUNTS + 1)))
        self.people()
        self.settings()
        page_size = self.db.execute("PRAGMA page_size").fetchone()[0]
        handed_in: list[tuple[int, str, str, str]] = []
        for assignment in itertools.count(1):
            for student, version in itertools.product(self.students, range(1, DRAFTS_PER_ASSIGNMENT + 1)):
                share = self.db.execute("PRAGMA page_count").fetchone()[0] * page_size / (megabytes * 1e6)
                if share >= 1:
                    self.feedback(handed_in)
                    self.db.executescript(INDEXES)
                    return
                days_ago = HISTORY_DAYS * (1 - share)
                if (student, version) == (self.students[0], 1):
                    self.assignment(assignment, days_ago)
                # The last nine students really are inactive; by users.last_active most of them look so.
                quiet = student in self.students[-9:]
                handed_in.append(self.draft(assignment, student, version, 120 + 0.6 * days_ago if quiet else days_ago))
                if len(handed_in) == FEEDBACK_BATCH:
                    self.feedback(handed_in)
                    handed_in.clear()

    def people(self) -> None:
        rng = self.rng
        for number, email in enumerate([*self.students, *self.instructors, "admin@example.edu"]):
            role = "student" if number < STUDENTS else "instructor" if email in self.instructors else "admin"
            registered = self.moment(20 if number < 11 else 200 + rng.random() * 90)
            name = f"{rng.choice(('Ada', 'Bo', 'Cleo', 'Dev', 'Eli', 'Fay', 'Gus'))} Example {number + 1}"
            password = "$2b$12$" + base64.b64encode(rng.randbytes(40)).decode()[:53]
            status = rng.choice(("active", "active", "active", None, ""))
            times = (registered,) * 3
            self.add("users", (email, name, password, role, 1, "", 1, "Humanities", None, "", status, *times))
            self.add("user_preferences", (email, "email_notifications", rng.choice("01")), (email, "theme", "light"))
        for course in range(1, COURSES + 1):
            teacher = self.instructors[course % INSTRUCTORS]
            begun = self.moment(HISTORY_DAYS)
            names = (f"HUM{100 + course}", f"Writing {course}", "2026", "Humanities")
            self.add("courses", (course, *names, teacher, "active", begun, begun))
            self.add("course_instructors", (course, course, teacher, "lead"))
            self.add("announcements", (course, course, "Welcome", self.prose.text(6), begun))
            self.add("invitations", (course, course, f"guest{course}@example.edu", rng.randbytes(16).hex(), begun, ""))
            self.add("enrollments", *((None, course, email) for email in self.students))

    def settings(self) -> None:
        self.add("domain_whitelist", (1, "students.example.edu", 1, self.moment(HISTORY_DAYS)))
        self.add("feedback_styles", (1, "Balanced", "Strengths, then suggestions", 1), (2, "Brief", "Three lines", 1))
        self.add("mark_display_options", (1, "Numeric", "numeric", 1), (2, "Hidden", "hidden", 0))
        for number, provider in enumerate(("openai", "anthropic", "ollama"), 1):
            model = (f"Model {number}", provider, f"demo-{number}")
            self.add("ai_models", (number, *model, sealed_key(self.rng), "system", 32000, 1))
        self.add(
            "system_config",
            ("site_name", "FeedForward demonstration", "Shown in the page title"),
            ("max_upload_bytes", "10485760", "Largest accepted file"),
            ("last_sign_in", self.moment(0), "Moved by the demonstration's writer"),
        )
        self.add("signal_rules", (1, "No draft for 14 days", "days_since_draft > 14", "warning", 1))
        self.add("rate_limits", ("192.0.2.7", self.moment(0), 3))

    def assignment(self, number: int, days_ago: float) -> None:
        course, made = (number - 1) % COURSES + 1, self.moment(days_ago)
        due = (self.now - timedelta(days=days_ago - 21)).isoformat(timespec="minutes")
        teacher = self.instructors[course % INSTRUCTORS]
        status = "active" if days_ago < 30 else "closed"
        task = (f"Essay {number}", self.prose.text(5), due, DRAFTS_PER_ASSIGNMENT)
        self.add("assignments", (number, course, *task, teacher, status, made, made))
        self.add("assignment_settings", (number, number, self.rng.randint(1, 3), 2, "mean", 1, 0))
        self.add("rubrics", (number, number, f"Rubric of essay {number}"))
        self.add("rubric_categories", *((None, number, name, self.prose.text(1), 0.25) for name in CATEGORIES))
        self.add("signals", (number, course, self.rng.choice(self.students), 1, "quiet", "open", made))

    def draft(self, assignment: int, student: str, version: int, days_ago: float) -> tuple[int, str, str, str]:
        """Adds a draft and returns its id, essay, moment and status."""
        rng = self.rng
        self.drafts += 1
        draft, essay, moment = self.drafts, self.prose.text(rng.randint(20, 70)), self.moment(days_ago)
        status, words = rng.choice(IN_FLIGHT if days_ago < 1 else SETTLED), len(essay.split())
        removed = rng.choice((None, ""))
        self.add("drafts", (draft, assignment, student, version, essay, 1, moment, words, status, removed, 0))
        if rng.random() < 0.3:
            self.submission(draft, essay, moment)
        if status == "submitted":
            self.add("background_tasks", (rng.randbytes(8).hex(), "feedback", str(draft), "queued", moment))
        return draft, essay, moment, status

    def feedback(self, handed_in: list[tuple[int, str, str, str]]) -> None:
        """Two runs of a model for each draft, then what the instructor made of them."""
        rng = self.rng
        for number in (1, 2):
            for draft, essay, moment, status in handed_in:
                if status != "submitted":
                    self.model_run(draft, number, essay, moment, "error" if status == "error" else "complete")
        for draft, _essay, moment, status in handed_in:
            if status not in ("feedback_ready", "archived"):
                continue
            teacher, released = rng.choice(self.instructors), moment if rng.random() < 0.8 else ""
            for category in range(1, len(CATEGORIES) + 1):
                remark = (rng.randint(50, 100), self.prose.text(2))
                self.add("aggregated_feedback", (None, draft, category, *remark, 0, teacher, released, "approved"))
            if rng.random() < 0.1:
                self.add("instructor_notes", (None, draft, teacher, self.prose.text(2), moment))

    def model_run(self, draft: int, number: int, essay: str, moment: str, status: str) -> None:
        rng = self.rng
        prompt = f"Give feedback by the rubric {', '.join(CATEGORIES)}.\n\n{essay}"
        reply = json.dumps({name: {"score": rng.randint(50, 100), "text": self.prose.text(4)} for name in CATEGORIES})
        failed = status == "error"
        outcome = (None, status, "provider timed out") if failed else (reply, status, None)
        run = self.db.execute(
            "INSERT INTO model_runs VALUES (NULL,?,?,?,?,?,?,?,?,?)",
            (draft, rng.randint(1, 3), number, moment, prompt, *outcome, rng.random() * 9),
        ).lastrowid
        if not failed:
            for category in range(1, len(CATEGORIES) + 1):
                self.add("category_scores", (None, run, category, rng.randint(50, 100), rng.random()))
            self.add("feedback_items", (None, run, 1, "strength", self.prose.text(1), 1, 0))

    def submission(self, draft: int, essay: str, moment: str) -> None:
        # In the application's own data draft_id is now and then JSON text with the whole essay in it.
        reference = json.dumps({"draft": draft, "content": essay}) if self.rng.random() < 0.1 else draft
        body = essay.encode()
        checksum = hashlib.sha256(body).hexdigest()
        self.add(
            "submission_files", (None, reference, f"essay-{draft}.txt", "text/plain", body, checksum, moment, None)
        )


def write_files(home: Path, database: Path, rng: random.Random, now: datetime) -> None:
    """Writes settings, secrets, uploads, specifications and logs below `home`; files are private to their owner."""
    prose = Prose(rng)
    secret = rng.randbytes(24).hex()
    put(
        home / ".env",
        "# Invented values of a demonstration: none of them opens anything.\n"
        f"SECRET_KEY=demo-{secret}\nDATABASE_PATH={database.name}\nSMTP_SERVER=smtp.example.edu\nSMTP_PORT=587\n"
        f"SMTP_USER=feedforward\nSMTP_PASSWORD=demo-{rng.randbytes(8).hex()}\nSMTP_FROM=feedforward@example.edu\n"
        f"OPENAI_API_KEY=demo-{rng.randbytes(12).hex()}\n",
    )
    put(home / ".sesskey", rng.randbytes(32).hex())
    put(home / "config" / "settings.yml", "---\nsite_name: FeedForward demonstration\nmax_drafts: 3\nlocale: en\n")
    for assignment, student in itertools.product((1, 2, 3), range(1, 9)):
        folder = home / "data" / "uploads" / str(assignment) / f"student{student:02d}@students.example.edu"
        put(folder / "essay.txt", prose.text(30))
    for course in range(1, COURSES + 1):
        put(home / "data" / "assignment_specs" / f"HUM{100 + course}" / "essay.md", f"# Essay\n\n{prose.text(8)}\n")
    for name in ("application", "access", "audit"):
        lines = [f"{stamp(now - timedelta(minutes=left))} {name} invented line {left}" for left in range(400, 0, -1)]
        put(home / "logs" / f"{name}.log", "\n".join(lines) + "\n")


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
