# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the check of a private copy finds, and what it cannot."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import SourceError, UsageError
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.check import (
    CheckReport,
    check,
    check_copy,
    run_check,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.contents import (
    count_rows,
    quoted,
    read_contents,
    user_tables,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.snapshot import take
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.source import (
    examine,
    open_private,
    open_reader,
)

WEIRD_TABLES = ("it's", 'a "quoted" one', "with space", "100%", "#?;--", "line\nbreak", "ünïcode", "select", "5", "[x]",
                "sqlitex", "sqlite", "'); DROP TABLE drafts; --", "main.drafts")
OTHER_INDEX = "UPDATE sqlite_master SET sql = 'CREATE INDEX by_content ON drafts(id)' WHERE name = 'by_content'"


@pytest.mark.parametrize("level", ["full", "quick"])
def test_a_sound_copy(tmp_path, databases, level):
    path = databases.make(tmp_path / "a.db", rows=3000)
    assert check(str(path), level) == ()
    assert os.listdir(tmp_path) == ["a.db"]


def test_an_unknown_level(tmp_path):
    with pytest.raises(UsageError, match="deep"):
        check(str(tmp_path / "a.db"), "deep")


def test_a_missing_copy_is_no_verdict(tmp_path):
    with pytest.raises(SourceError, match="a.db"):
        check(str(tmp_path / "a.db"))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"no database" * 100, b"SQLite format 3\0" + bytes(10), os.urandom(8192)])
def test_what_is_no_database_is_a_problem(tmp_path, content):
    (tmp_path / "a.db").write_bytes(content)
    [problem] = check(str(tmp_path / "a.db"))
    assert problem


@pytest.mark.parametrize("change", [-4096, 4096, -1, 1])
def test_a_copy_of_another_size_than_its_header_says(tmp_path, databases, change):
    path = databases.make(tmp_path / "a.db", rows=500)
    os.truncate(path, path.stat().st_size + change)
    [problem] = check(str(path))
    assert "its header counts" in problem


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_a_copy_with_a_log_beside_it_is_not_the_whole(tmp_path, databases, suffix):
    path = databases.make(tmp_path / "a.db")
    (tmp_path / f"a.db{suffix}").write_bytes(b"")
    assert check(str(path)) == ()
    (tmp_path / f"a.db{suffix}").write_bytes(b"rows")
    [problem] = check(str(path))
    assert suffix in problem


@pytest.mark.parametrize("level", ["full", "quick"])
@pytest.mark.parametrize("page", range(1, 60, 7))
def test_noise_in_any_page_is_a_problem(tmp_path, databases, level, page):
    path = databases.make(tmp_path / "a.db", journal="delete", rows=1500)
    with open(path, "r+b") as stream:
        stream.seek(page * 4096)
        stream.write(os.urandom(4096))
    problems = check(str(path), level)
    assert problems
    assert all(problem.isprintable() for problem in problems)


def test_a_schema_of_noise_is_a_problem_and_no_exception(tmp_path, databases):
    path = databases.make(tmp_path / "a.db", journal="delete")
    with open(path, "r+b") as stream:
        stream.seek(100)
        stream.write(os.urandom(3900))
    assert check(str(path))


def test_an_index_that_lacks_a_row_is_seen_by_the_full_check_only(tmp_path, databases):
    path = databases.make(tmp_path / "a.db", journal="delete", after=f"PRAGMA writable_schema = ON; {OTHER_INDEX}")
    assert check(str(path), "quick") == ()
    assert check(str(path), "full")


def test_the_deadline_of_a_check(tmp_path, databases):
    path = databases.make(tmp_path / "a.db", rows=30_000)
    with pytest.raises(SourceError, match="deadline"):
        check_copy(str(path), deadline=time.monotonic() - 1)
    assert check_copy(str(path), deadline=time.monotonic() + 60).problems == ()


def own_functions(path, *, rows=200):
    """A database that only its application can check: collations and functions of its own."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.create_collation("unicase", lambda a, b: (a.lower() > b.lower()) - (a.lower() < b.lower()))
        connection.create_function("mine", 1, lambda value: value, deterministic=True)
        connection.executescript("CREATE TABLE plain(a PRIMARY KEY); CREATE TABLE notes(a TEXT COLLATE unicase);"
                                 "CREATE INDEX by_note ON notes(a);"
                                 "CREATE TABLE keyed(k TEXT COLLATE unicase PRIMARY KEY) WITHOUT ROWID;"
                                 "CREATE TABLE derived(a); CREATE INDEX by_mine ON derived(mine(a));"
                                 "CREATE TABLE computed(a, b AS (mine(a)) NOT NULL); INSERT INTO computed VALUES (1)")
        connection.execute("BEGIN")
        for number in range(rows):
            word = ("zebra", "apple", "Mango")[number % 3] + str(number)
            connection.execute("INSERT INTO plain VALUES (?)", (word,))
            connection.execute("INSERT INTO notes VALUES (?)", (word,))
            connection.execute("INSERT INTO keyed VALUES (?)", (word,))
        connection.execute("COMMIT")
    return path


def test_what_only_the_application_can_check_is_a_note(tmp_path):
    path = own_functions(tmp_path / "a.db")
    for level in ("full", "quick"):
        report = check_copy(str(path), level)
        assert report.problems == check(str(path), level) == ()
        assert any("table computed could not be checked" in note and "mine" in note for note in report.notes)
    notes = check_copy(str(path)).notes
    assert any("indexes of table derived" in note and "mine" in note for note in notes)
    assert any("indexes of table notes" in note and "unicase" in note for note in notes)


def test_rows_are_counted_without_the_collations_of_the_application(tmp_path, scratch):
    path = own_functions(tmp_path / "a.db")
    taken = take(str(path), str(scratch), "a.db")
    assert taken.contents.rows == {"computed": 1, "derived": 0, "keyed": 200, "notes": 200, "plain": 200}
    assert taken.problems == ()
    assert any("unicase" in warning for warning in taken.warnings)


@pytest.mark.parametrize("table", ["plain", "notes"])
def test_damage_beside_own_functions_is_still_found(tmp_path, table):
    path = own_functions(tmp_path / "a.db", rows=2000)
    with open_private(str(path)) as connection:
        pages = [page for (page,) in connection.execute(
            "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf'", (table,))]
    with open(path, "r+b") as stream:
        stream.seek((pages[1] - 1) * 4096)
        stream.write(os.urandom(4096))
    assert check(str(path))


def test_a_module_that_is_missing_here(tmp_path, databases):
    path = databases.make(tmp_path / "a.db", journal="delete", after="""
        PRAGMA writable_schema = ON;
        INSERT INTO sqlite_master VALUES ('table', 'elsewhere', 'elsewhere', 0,
                                          'CREATE VIRTUAL TABLE elsewhere USING nowhere(a)');""")
    assert check(str(path)) == ()
    with open_private(str(path)) as connection:
        assert read_contents(connection).rows == {"courses": 2, "drafts": 50, "empty": 0}


CHECKS_VIRTUAL_TABLES = sqlite3.sqlite_version_info >= (3, 44)
FTS4, FTS5, OTHER = "USING fts4(body", "USING fts5(body", "USING mine(body"
UNEXPLAINED = "SQL logic error"
LACKING = [
    (FTS5, "no such tokenizer: korean", ""), (FTS5, "error in tokenizer constructor", ""),
    (FTS4, "unknown tokenizer: korean", ""), (FTS4, "unknown tokenizer", ""),
    (OTHER, "vtable constructor failed: search", ""),
    (FTS5, UNEXPLAINED, "no such tokenizer: korean"), (FTS5, UNEXPLAINED, "error in tokenizer constructor")]
DAMAGE = [
    # SQLite's own modules name what they lack; this is a table of theirs that is gone.
    (FTS5, "vtable constructor failed: search", ""), (FTS4, "vtable constructor failed: search", ""),
    ('using "RTree"(body', "vtable constructor failed: search", ""),
    (FTS5, UNEXPLAINED, UNEXPLAINED), (FTS5, UNEXPLAINED, "no such table: main.search_content"),
    (OTHER, UNEXPLAINED, "unable to use function MATCH in the requested context"),
    (FTS5, "invalid fts5 file format (found 99, expected 4 or 5) - run 'rebuild'", ""),
    (FTS5, "there is no such tokenizer: korean", ""), (FTS5, "disk I/O error", "")]


class NewerSQLite(sqlite3.Connection):
    """As from SQLite 3.44 on: a check connects virtual tables, and ends with ``refusal`` where it cannot; from 3.47 on
    that says nothing, and a search tells ``reason``."""

    refusal = reason = ""
    table = "search"

    def execute(self, statement, *values):
        if "_check(100)" in statement or f'_check("{self.table}")' in statement:
            raise sqlite3.OperationalError(self.refusal)
        if "MATCH" in statement and self.reason:
            raise sqlite3.OperationalError(self.reason)
        return super().execute(statement, *values)


@pytest.fixture
def newer_sqlite(tmp_path, databases):
    """A connection to a database with a virtual table ``search`` that cannot be connected; ``change`` is SQL."""
    opened = []

    def connect(declared, refusal, reason, change=""):
        path = databases.make(tmp_path / "a.db", journal="delete", after=f"""
            CREATE VIRTUAL TABLE search USING fts5(body); INSERT INTO search SELECT content FROM drafts;
            PRAGMA writable_schema = ON; {change};
            UPDATE sqlite_master SET sql = replace(sql, 'USING fts5(body', '{declared}') WHERE name = 'search';""")
        opened.append(sqlite3.connect(path, factory=NewerSQLite))
        opened[-1].refusal, opened[-1].reason = refusal, reason
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


@pytest.mark.parametrize("level", ["full", "quick"])
@pytest.mark.parametrize(("declared", "refusal", "reason"), LACKING)
def test_a_tokenizer_that_only_the_application_has_is_a_note(newer_sqlite, level, declared, refusal, reason):
    report = run_check(newer_sqlite(declared, refusal, reason), level)
    assert report == CheckReport((), (f"table search could not be checked ({reason or refusal})",))


@pytest.mark.parametrize(("declared", "refusal", "reason"), DAMAGE)
def test_a_virtual_table_that_is_damaged_is_no_note(newer_sqlite, declared, refusal, reason):
    with pytest.raises(sqlite3.OperationalError) as caught:
        run_check(newer_sqlite(declared, refusal, reason), "full")
    assert str(caught.value) == refusal


@pytest.mark.parametrize(("declared", "refusal", "reason"), LACKING)
def test_damage_beside_such_a_tokenizer_is_still_found(newer_sqlite, declared, refusal, reason):
    report = run_check(newer_sqlite(declared, refusal, reason, OTHER_INDEX), "full")
    assert len(report.notes) == 1 and any("by_content" in problem for problem in report.problems)


def test_what_no_table_explains_is_no_note(newer_sqlite):
    connection = newer_sqlite(FTS5, UNEXPLAINED, "")
    connection.table = "another"
    with pytest.raises(sqlite3.OperationalError, match=UNEXPLAINED):
        run_check(connection, "full")


@pytest.mark.parametrize("module", ["fts4", "fts5"])
def test_a_tokenizer_that_this_sqlite_does_not_have(tmp_path, databases, scratch, module):
    path = databases.make(tmp_path / "a.db", journal="delete", after=f"""
        CREATE VIRTUAL TABLE search USING {module}(body); INSERT INTO search SELECT content FROM drafts;
        CREATE VIRTUAL TABLE beside USING fts5(body); INSERT INTO beside SELECT content FROM drafts;
        PRAGMA writable_schema = ON;
        UPDATE sqlite_master SET sql = replace(sql, '(body)', '(body, tokenize=korean)') WHERE name = 'search';""")
    report = check_copy(str(path))
    assert report.problems == take(str(path), str(scratch), "a.db").problems == ()
    assert ["table search could not be checked" in note and "tokenizer: korean" in note for note in report.notes] == (
        [True] if CHECKS_VIRTUAL_TABLES else [])
    # What the newer SQLite sees of the other virtual table, it sees in spite of the first.
    databases.run(path, "PRAGMA writable_schema = ON; UPDATE beside_data SET block = x'00' WHERE id > 10")
    assert bool(check(str(path))) == CHECKS_VIRTUAL_TABLES


@pytest.mark.parametrize("table", ["config", "content"])
def test_a_virtual_table_that_lost_one_of_its_tables(tmp_path, databases, table):
    path = databases.make(tmp_path / "a.db", journal="delete", after=f"""
        CREATE VIRTUAL TABLE search USING fts5(body); INSERT INTO search SELECT content FROM drafts;
        PRAGMA writable_schema = ON; DROP TABLE search_{table};""")
    report = check_copy(str(path))
    assert (bool(report.problems), report.notes) == (CHECKS_VIRTUAL_TABLES, ())


def test_tables_of_any_name(tmp_path, databases, scratch):
    path = databases.make(tmp_path / "a.db")
    for number, name in enumerate(WEIRD_TABLES):
        databases.run(path, f"CREATE TABLE {quoted(name)}(a)" + (f"; INSERT INTO {quoted(name)} VALUES (1)" * number))
    rows = take(str(path), str(scratch), "a.db").contents.rows
    assert {name: rows[name] for name in WEIRD_TABLES} == {name: number for number, name in enumerate(WEIRD_TABLES)}
    assert (rows["drafts"], len(rows)) == (50, 3 + len(WEIRD_TABLES))


def test_names_that_are_no_text(tmp_path, databases):
    path = databases.make(tmp_path / "a.db", journal="delete", after="""
        PRAGMA writable_schema = ON;
        UPDATE sqlite_master SET name = CAST(x'66ff' AS TEXT), tbl_name = CAST(x'66ff' AS TEXT),
               sql = 'CREATE TABLE ' || CAST(x'66ff' AS TEXT) || '(a)' WHERE name = 'empty';""")
    with open_private(str(path)) as connection:
        assert user_tables(connection) == ("courses", "drafts", "f\udcff")
        with pytest.raises(sqlite3.DatabaseError, match="not valid text"):
            count_rows(connection, "f\udcff")
    with pytest.raises(sqlite3.DatabaseError, match="not valid text"):
        quoted("a\0b")


def test_virtual_tables_and_their_shadows(tmp_path, databases, scratch):
    path = databases.make(tmp_path / "a.db", after="""
        CREATE VIRTUAL TABLE search USING fts5(body); INSERT INTO search SELECT content FROM drafts;
        CREATE VIRTUAL TABLE places USING rtree(id, x0, x1); INSERT INTO places VALUES (1, 0, 1);""")
    taken = take(str(path), str(scratch), "a.db")
    assert taken.problems == ()
    assert taken.contents.rows["search_content"] == 50
    assert not {"search", "places"} & set(taken.contents.rows)


def test_sequences_and_statistics_are_neither_tables_nor_schema(tmp_path, databases, scratch):
    path = databases.make(tmp_path / "a.db")
    before = take(str(path), str(scratch), "before").contents
    databases.run(path, "ANALYZE")
    after = take(str(path), str(scratch), "after").contents
    assert after == before
    databases.run(path, "CREATE TABLE counted(id INTEGER PRIMARY KEY AUTOINCREMENT)")
    changed = take(str(path), str(scratch), "changed").contents
    assert changed.schema_sha256 != before.schema_sha256
    assert "sqlite_sequence" not in changed.rows


def test_the_schema_digest_does_not_depend_on_the_order_of_making(tmp_path, databases, scratch):
    contents = []
    for name, script in (("a", "CREATE TABLE x(a); CREATE TABLE y(a)"), ("b", "CREATE TABLE y(a); CREATE TABLE x(a)")):
        path = databases.make(tmp_path / name, after=script)
        contents.append(take(str(path), str(scratch), name).contents)
    assert contents[0].schema_sha256 == contents[1].schema_sha256


HOSTILE = """
    CREATE VIEW bomb AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n;
    CREATE TRIGGER trap AFTER INSERT ON drafts BEGIN SELECT count(*) FROM bomb; END;
    PRAGMA writable_schema = ON;
    UPDATE sqlite_master SET name = 'empty', tbl_name = 'empty', sql =
        'CREATE VIEW empty AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n'
        WHERE name = 'empty';"""


def test_a_view_that_poses_as_a_table_is_not_run(tmp_path, databases, scratch):
    """Running it would never end."""
    path = databases.make(tmp_path / "a.db", journal="delete", after=HOSTILE)
    with open_private(str(path)) as connection, pytest.raises(sqlite3.DatabaseError):
        count_rows(connection, "empty")
    try:
        problems = take(str(path), str(scratch), "a.db", deadline_seconds=60).problems
    except SourceError as error:
        problems = (error.cause,)
    assert problems


def test_views_and_triggers_are_copied_and_never_run(tmp_path, databases, scratch):
    path = databases.make(tmp_path / "a.db", after=HOSTILE.partition("PRAGMA")[0])
    taken = take(str(path), str(scratch), "a.db", deadline_seconds=60)
    assert (taken.problems, taken.contents.rows) == ((), {"courses": 2, "drafts": 50, "empty": 0})
    assert databases.query(taken.path, "SELECT name FROM sqlite_master WHERE type IN ('view', 'trigger')") == [
        ("bomb",), ("trap",)]


def test_functions_that_the_schema_may_not_call(tmp_path):
    """trusted_schema is off: reading a table never runs a function that the file names and that may do harm."""
    path, calls = own_functions(tmp_path / "a.db"), []
    with open_reader(examine(str(path))) as live, open_private(str(path)) as private:
        for connection in (live, private):
            assert connection.execute("PRAGMA trusted_schema").fetchone() == (0,)
            connection.create_function("mine", 1, calls.append, deterministic=True)
            with pytest.raises(sqlite3.DatabaseError, match="unsafe use"):
                connection.execute("SELECT b FROM computed").fetchall()
    assert calls == []
