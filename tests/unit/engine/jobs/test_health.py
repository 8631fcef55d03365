# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health: each look at real servers, files and processes, and the verdict about it."""

from __future__ import annotations

import datetime as dt
import http.server
import ipaddress
import json
import os
import signal
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ansible_collections.feedforward.maintenance.plugins.module_utils.config import Settings, load_settings
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import UsageError
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import health_checks, health_network
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.health import Finding, examine_health
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.health_checks import CHECKS
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.report import (
    CRITICAL,
    OK,
    UNKNOWN,
    WARNING,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.probes import host, service, web
from ansible_collections.feedforward.maintenance.plugins.module_utils.watch import Endpoint, Provider, Watch

NOW = dt.datetime.now(dt.timezone.utc)
LIMITS = Watch(timeout_seconds=1.0, attempts=1, cpu_seconds=0.05)


class Pages(http.server.BaseHTTPRequestHandler):
    """/landing is well; the others are what their names say."""

    seen: list[str] = []

    def do_GET(self) -> None:
        self.seen.append(self.path)
        status, body = {"/error": (500, b""), "/gone": (303, b""), "/odd": (200, b"maintenance")}.get(
            self.path, (200, b"<h1>Welcome</h1>"))
        if self.path == "/second-try":
            status = 500 if self.seen.count(self.path) == 1 else 200
        if self.path == "/slow":
            time.sleep(0.3)
        if self.path.startswith("/hangs"):
            time.sleep(3)
        if self.path == "/nonsense":
            self.wfile.write(b"this is no HTTP\r\n\r\n")
            return
        self.send_response(status)
        if status == 303:
            self.send_header("Location", "/landing")
        self.end_headers()
        if self.path == "/drips":
            for _time in range(30):
                time.sleep(0.1)
                self.wfile.write(b".")
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Quiet."""


class Server(http.server.ThreadingHTTPServer):
    """One that many may knock at, at once."""

    request_queue_size = 64


@pytest.fixture()
def serve():
    """Starts servers; the function gives the address. ``days`` is how long its certificate is good: None is no TLS."""
    running = []

    def start(directory: Path, days: int | None = None) -> str:
        Pages.seen = []
        server = Server(("127.0.0.1", 0), Pages)
        server.daemon_threads = True
        server.handle_error = lambda *_arguments: None  # type: ignore[method-assign]
        if days is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate(directory, days))
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        return f"{'http' if days is None else 'https'}://127.0.0.1:{server.server_port}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def certificate(directory: Path, days: int) -> Path:
    """A certificate of its own authority for 127.0.0.1, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(NOW - dt.timedelta(days=1))
            .not_valid_after(NOW + dt.timedelta(days=days, hours=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
            .sign(key, hashes.SHA256()))
    path = directory / f"certificate-{days}.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return path


def look(name: str, settings: Settings) -> list[Finding]:
    """What one check finds, in this process."""
    return list(CHECKS[name](settings, NOW))


def page(url: str, **changes: object) -> Finding:
    """What is found about one page."""
    endpoint = Endpoint(url, **{key: value for key, value in changes.items() if key in vars(Endpoint(""))})
    limits = replace(LIMITS, endpoints=(endpoint,), **{key: value for key, value in changes.items()
                                                       if key in vars(LIMITS)})
    return look("pages", Settings(health=limits))[0]


@pytest.mark.parametrize("path, changes, level, told", [
    ("/landing", {}, OK, "200 in "),
    ("/landing", {"contains": "Welcome"}, OK, "200 in "),
    ("/landing", {"contains": "Goodbye"}, CRITICAL, "without the text that is expected"),
    ("/odd", {"contains": "Welcome"}, CRITICAL, "without the text that is expected"),
    ("/gone", {}, CRITICAL, "it answers 303, to /landing, and 200 is expected"),
    ("/gone", {"status": 303}, OK, "303 in "),
    ("/error", {}, CRITICAL, "it answers 500, and 200 is expected"),
    ("/slow", {"response_warning_ms": 200.0, "response_target_ms": 100.0}, WARNING, "more than 200 ms"),
    ("/slow", {"response_warning_ms": 900.0, "response_target_ms": 100.0}, OK, "above the target of 100 ms"),
    ("/hangs", {}, CRITICAL, "no answer within 1.0 s"),
    ("/drips", {}, CRITICAL, "no answer within 1.0 s"),
    ("/nonsense", {}, CRITICAL, "the answer is no HTTP (BadStatusLine)"),
])
def test_a_page(serve, tmp_path, path, changes, level, told):
    found = page(serve(tmp_path) + path, **changes)
    assert (found.level, told in found.text) == (level, True), found
    assert Pages.seen == [path]


def test_a_page_that_nobody_serves(serve, tmp_path):
    address = serve(tmp_path)
    port = int(address.rpartition(":")[2])
    found = page(f"http://127.0.0.1:{port - 1 if port > 1024 else port + 1}/")
    assert found.level == CRITICAL and "no connection: Connection refused" in found.text


def test_a_page_is_asked_again(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(health_network, "_BACK_OFF_SECONDS", 0.01)
    address = serve(tmp_path)
    assert page(f"{address}/second-try", attempts=3).level == OK
    assert page(f"{address}/error", attempts=3).level == CRITICAL
    assert Pages.seen == ["/second-try"] * 2 + ["/error"] * 3


def test_pages_that_never_answer_hold_back_no_other(serve, tmp_path, monkeypatch):
    """The attempts would take longer than the look may: it is told what did not answer, and what did."""
    monkeypatch.setattr(health_network, "_BACK_OFF_SECONDS", 0.01)
    monkeypatch.setattr(health_network, "_RESERVE_SECONDS", 1.0)
    address = serve(tmp_path)
    hanging = tuple(Endpoint(f"{address}/hangs?{number}") for number in range(12))
    limits = replace(LIMITS, endpoints=(*hanging, Endpoint(f"{address}/landing")), attempts=3, deadline_seconds=3.0)
    began = time.monotonic()
    *late, well = look("pages", Settings(health=limits))
    assert time.monotonic() - began < 3
    assert {(found.level, found.text) for found in late} == {(CRITICAL, "no answer within 1.0 s")} and len(late) == 12
    assert (well.level, well.check) == (OK, f"page {address}/landing")
    assert Pages.seen.count("/hangs?0") == 1, "no attempt is begun that could not end in time"
    limits = replace(limits, endpoints=limits.endpoints[-2:], timeout_seconds=30.0)
    found, well = look("pages", Settings(health=limits))
    assert (found.level, found.text, well.level) == (CRITICAL, "no answer within 2.0 s", OK)


def test_a_page_that_cannot_even_be_given_up_is_told(serve, tmp_path, monkeypatch):
    """A resolver that hangs knows no limit, and a defect is that of one page."""
    address = serve(tmp_path)
    real = web.ask

    def ask(url: str, **options: object) -> web.Answer:
        if url.endswith("/broken"):
            raise KeyError("x")
        if url.endswith("/hangs"):
            time.sleep(10)
        return real(url, **options)

    monkeypatch.setattr(web, "ask", ask)
    endpoints = tuple(Endpoint(address + path) for path in ("/hangs", "/broken", "/landing"))
    report = examine_health(Settings(application="app", health=replace(LIMITS, endpoints=endpoints,
                                                                       deadline_seconds=2.0)), NOW,
                            {"pages": CHECKS["pages"]})
    assert [(found.level, found.text[:30]) for found in report.findings[:2]] == [
        (CRITICAL, "no answer within 1.0 s"), (UNKNOWN, "unexpected KeyError: 'x'")]
    assert report.findings[2].level == OK and report.seconds < 2


@pytest.mark.parametrize("days, level", [(60, OK), (14, WARNING), (3, CRITICAL)])
def test_a_certificate_that_ends_soon(serve, tmp_path, monkeypatch, days, level):
    address = serve(tmp_path, days)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate_file := tmp_path / f"certificate-{days}.pem"))
    assert certificate_file.exists()
    settings = Settings(health=replace(LIMITS, endpoints=(Endpoint(address),)))
    answered, ends = look("pages", settings)
    assert answered.level == OK and ends.level == level and f"{days} days" in ends.text, ends


def test_a_certificate_that_nobody_vouches_for(serve, tmp_path):
    address = serve(tmp_path, 60)
    found = page(address)
    assert found.level == CRITICAL and "its certificate is not good: self-signed certificate" in found.text.replace(
        "self signed", "self-signed")
    assert page(address, verify_tls=False).level == OK


def test_what_is_no_address():
    with pytest.raises(ValueError, match="begin with http"):
        web.ask("file:///etc/passwd", timeout_seconds=1)


@pytest.fixture()
def database(tmp_path):
    path = tmp_path / "app.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE drafts(id INTEGER PRIMARY KEY, content TEXT)")
        connection.executemany("INSERT INTO drafts(content) VALUES (?)", [("x" * 500,)] * 400)
    connection.close()
    return path


def settings_of(database: Path, **limits: object) -> Settings:
    return Settings(databases=(str(database),), health=replace(LIMITS, **limits))


def test_a_database_that_is_well(database):
    found = look("database", settings_of(database))
    assert [finding.level for finding in found] == [OK, OK, OK, OK], found
    assert [finding.check.split(" ")[0] for finding in found] == ["database", "size", "query", "log"]
    assert found[0].title == "Database" and found[0].text.startswith("Connected (2")
    assert found[1].title == "Database, size" and found[1].text == found[0].text[len("Connected ("):-1]
    assert found[0].figures["size_bytes"] == database.stat().st_size


@pytest.mark.parametrize("limits, level, told", [
    ({"database_notice_bytes": 100_000}, WARNING, "more than 100.0 kB"),
    ({"database_notice_bytes": 100, "database_warning_bytes": 200_000}, WARNING, "more than 200.0 kB"),
    ({"database_notice_bytes": 100, "database_critical_bytes": 210_000}, CRITICAL, "more than 210.0 kB"),
    ({"query_target_ms": 1e-6}, WARNING, "above the target of 1e-06 ms"),
])
def test_a_database_that_grows_or_is_slow(database, limits, level, told):
    whole = look("database", settings_of(database, **limits))
    found = [finding for finding in whole if finding.level != OK]
    assert [finding.level for finding in found] == [level] and told in found[0].text, found
    assert found[0].check in (f"size {database}", f"query {database}")
    assert "more than" not in whole[0].text and whole[0].figures["size_bytes"] == database.stat().st_size


def test_a_large_database_that_goes_missing_is_news(database):
    """To have become too large is nothing that hides it."""
    settings = settings_of(database, database_critical_bytes=1000)
    levels = {finding.check: finding.level for finding in look("database", settings)}
    assert (levels[f"database {database}"], levels[f"size {database}"]) == (OK, CRITICAL)
    database.unlink()
    assert [(finding.check, finding.level) for finding in look("database", settings)] == [
        (f"database {database}", CRITICAL)]


def test_a_log_that_grows(database):
    holder = sqlite3.connect(database)
    holder.execute("INSERT INTO drafts(content) VALUES ('more')")
    holder.commit()
    found = look("database", settings_of(database, wal_warning_bytes=1000))
    holder.close()
    assert found[-1].level == WARNING and "a reader that does not end" in found[-1].text


@pytest.mark.parametrize("act, told", [
    (lambda path: path.unlink(), "the database is missing"),
    (lambda path: path.write_bytes(b""), "empty"),
    (lambda path: path.write_bytes(b"x" * 4096), "it does not begin with 'SQLite format 3'"),
])
def test_a_database_that_is_gone_is_not_made(database, act, told):
    act(database)
    before = sorted(os.listdir(database.parent))
    (found,) = look("database", settings_of(database))
    assert found.level == CRITICAL and told in found.text, found
    assert sorted(os.listdir(database.parent)) == before


def test_no_database_is_not_called_well():
    assert [finding.level for finding in look("database", Settings())] == [UNKNOWN]


HOLDER = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\nc.execute('SELECT * FROM drafts').fetchone()\n" \
         "print(flush=True)\nsys.stdin.read()\n"


def test_a_process_that_goes_on_in_a_file_that_was_removed(database):
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(database)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline()
        assert service.open_file((process.pid,), str(database)) == service.OpenFile(same=True, deleted=False)
        unit = service.Unit("app.service", "loaded", "active", "running", "success", process.pid, 0)
        assert [found.level for found in health_checks._open_database(str(database), unit)] == [OK]
        content = database.read_bytes()
        database.unlink()
        database.write_bytes(content)
        assert service.open_file((process.pid,), str(database)) == service.OpenFile(same=False, deleted=True)
        (found,) = health_checks._open_database(str(database), unit)
        assert found.level == CRITICAL and "Restart it" in found.text
        process.communicate(b"")
    assert service.open_file((process.pid,), str(database)) == service.OpenFile(same=False, deleted=False)
    assert os.getpid() in service.processes_of(os.getpid())


def test_a_service_where_no_systemd_is(monkeypatch):
    monkeypatch.setattr(os.path, "isdir", lambda _path: False)
    (found,) = look("service", Settings(service="app.service"))
    assert found.level == UNKNOWN and "does not run systemd" in found.text
    assert look("service", Settings()) == []


SYSTEMCTL = """#!/bin/sh
printf '%s\\n' LoadState={load} ActiveState={active} SubState=running MainPID={pid} NRestarts={restarts} Result=success
printf '%s\\n' "ActiveEnterTimestamp={started}"
test "$TZ $LC_ALL" = "UTC C"
"""


@pytest.mark.parametrize("load, active, restarts, minutes, level, told", [
    ("loaded", "active", 0, 1, OK, "active"),
    ("loaded", "active", 3, 59, WARNING, "restarted 3 times by systemd, last at 2"),
    ("loaded", "active", 3, 61, OK, "restarted 3 times by systemd, last at 2"),
    ("loaded", "active", 3, None, WARNING, "restarted 3 times by systemd"),
    ("loaded", "active", 3, -5, WARNING, "restarted 3 times by systemd"),
    ("loaded", "activating", 3, 300, CRITICAL, "it is activating"),
    ("loaded", "failed", 0, None, CRITICAL, "it is failed"),
    ("not-found", "inactive", 0, None, CRITICAL, "no such unit")])
def test_what_systemctl_says_is_judged(tmp_path, monkeypatch, load, active, restarts, minutes, level, told):
    """Systemd itself is asked on booted hosts; here its words are. ``minutes`` ago it became active."""
    started = "n/a"
    if minutes is not None:
        started = (NOW - dt.timedelta(minutes=minutes)).strftime("%a %Y-%m-%d %H:%M:%S UTC")
    script = tmp_path / "systemctl"
    script.write_text(SYSTEMCTL.format(load=load, active=active, pid=0, restarts=restarts, started=started))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(os.path, "isdir", lambda _path: True)
    (found,) = look("service", Settings(service="app.service", databases=("/none",)))
    assert found.level == level and told in found.text


def test_a_systemctl_that_fails_is_unknown(tmp_path, monkeypatch):
    script = tmp_path / "systemctl"
    script.write_text("#!/bin/sh\necho no bus >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(OSError, match="no bus"):
        service.unit("app.service")


@pytest.mark.parametrize("room, level, told", [
    (host.Room("/", 100 * 10**9, 50 * 10**9, 1000, 900), OK, "50.0 GB free (50%)"),
    (host.Room("/", 100 * 10**9, 9 * 10**9, 1000, 900), CRITICAL, "less than 10.0 GB"),
    (host.Room("/", 100 * 10**9, 14 * 10**9, 1000, 900), WARNING, "more than 85 % are used"),
    (host.Room("/", 15 * 10**9, 9 * 10**9, 1000, 900), OK, "9.0 GB free (60%)"),
    (host.Room("/", 15 * 10**9, 1 * 10**9, 1000, 900), WARNING, "more than 85 % are used"),
    (host.Room("/", 15 * 10**9, 299 * 10**6, 1000, 900), CRITICAL, "299.0 MB free (2%), less than 2 %"),
    (host.Room("/", 15 * 10**9, 301 * 10**6, 1000, 900), WARNING, "more than 85 % are used"),
    (host.Room("/", 0, 0, 0, 0), OK, "0 B free (100%)"),
    (host.Room("/", 100 * 10**9, 50 * 10**9, 1000, 50), WARNING, "95 % of its inodes"),
    (host.Room("/", 100 * 10**9, 50 * 10**9, 1000, 20), WARNING, "98 % of its inodes"),
    (host.Room("/", 100 * 10**9, 50 * 10**9, 1000, 19), CRITICAL, "but less than 2 % of its inodes are free"),
    (host.Room("/", 100 * 10**9, 14 * 10**9, 1000, 0), CRITICAL, "but less than 2 % of its inodes are free"),
])
def test_storage(monkeypatch, room, level, told):
    monkeypatch.setattr(host, "rooms", lambda _paths: (room,))
    (found,) = look("storage", Settings())
    assert (found.level, told in found.text) == (level, True), found


def test_figures_of_this_machine(tmp_path):
    usage = os.statvfs(tmp_path)
    (room,) = host.rooms([str(tmp_path / "not" / "there"), str(tmp_path)])
    assert room.size_bytes <= usage.f_blocks * usage.f_frsize and 0 <= room.used_percent <= 100
    assert {found.path for found in host.rooms(["/", "/proc"])} == {"/", "/proc"}
    memory, processors = host.memory(), host.processors(0.05)
    assert 0 < memory.available_bytes <= memory.total_bytes and 0 <= memory.used_percent <= 100
    assert processors.count == os.cpu_count() and 0 <= processors.busy_percent <= 100


@pytest.mark.parametrize("name, used, level", [("memory", 89.0, OK), ("memory", 91.0, CRITICAL),
                                               ("cpu", 79.0, OK), ("cpu", 81.0, WARNING)])
def test_limits_of_memory_and_processors(monkeypatch, name, used, level):
    monkeypatch.setattr(host, "memory", lambda: host.Memory(10_000, int(10_000 - used * 100)))
    monkeypatch.setattr(host, "processors", lambda seconds: host.Processors(2, used, 1.0))
    assert [found.level for found in look(name, Settings())] == [level]


def test_backups_are_those_of_status(tmp_path):
    assert [found.level for found in look("backups", Settings())] == [UNKNOWN]
    found = look("backups", Settings(application="app", directory=str(tmp_path)))
    assert {finding.check for finding in found} == {f"backup {kind}" for kind in ("database", "config", "logs", "full")}
    assert {finding.level for finding in found} == {CRITICAL}
    (tmp_path / ".app.db.restore-journal").write_text("{}")
    settings = Settings(application="app", directory=str(tmp_path), databases=(str(tmp_path / "app.db"),))
    (waits,) = [finding for finding in look("backups", settings) if "restore" in finding.text]
    assert (waits.level, waits.check) == (CRITICAL, "backup restore")


def test_one_check_that_hangs_fails_or_dies_hides_no_other():
    def hangs(_settings, _now):
        time.sleep(60)
        return []

    def breaks(_settings, _now):
        raise KeyError("x")

    def refuses(_settings, _now):
        raise PermissionError(13, "Permission denied", "/x")

    def dies(_settings, _now):
        os._exit(9)

    def many(_settings, _now):
        return [Finding(OK, f"c{number}", "t" * 100, "x" * 400) for number in range(500)]

    began = time.monotonic()
    report = examine_health(Settings(application="app", health=Watch(deadline_seconds=2.0)), NOW,
                            {"hangs": hangs, "breaks": breaks, "refuses": refuses, "dies": dies, "many": many})
    assert time.monotonic() - began < 30
    by_check = {finding.check: finding for finding in report.findings}
    assert report.level == UNKNOWN and len(by_check) == 504
    assert by_check["hangs"].text == "it had not ended after 2.0 s"
    assert by_check["breaks"].text == "unexpected KeyError: 'x'" and by_check["refuses"].text == "Permission denied"
    assert by_check["dies"].text == "it ended without an answer" and by_check["c499"].level == OK
    assert report.summary.startswith("Hangs: it had not ended") and report.summary.endswith("(and 3 more)")


def test_a_look_that_cannot_even_be_killed_is_left_behind(monkeypatch):
    """As one that waits for a disk or a file server that hangs: no signal reaches it."""
    signalled, kill = set(), os.kill
    monkeypatch.setattr(os, "kill", lambda process, _number: signalled.add(process))

    def hangs(_settings, _now):
        time.sleep(60)
        return []

    def well(_settings, _now):
        return [Finding(OK, "well", "Well", "")]

    began = time.monotonic()
    report = examine_health(Settings(application="app", health=Watch(deadline_seconds=0.5)), NOW,
                            {"hangs": hangs, "stuck": hangs, "well": well})
    seconds = time.monotonic() - began
    left = [process for process in signalled if os.path.exists(f"/proc/{process}/fd")]
    try:
        assert [(found.check, found.level, found.text) for found in report.findings] == [
            ("hangs", UNKNOWN, "it had not ended after 0.50 s"), ("stuck", UNKNOWN, "it had not ended after 0.50 s"),
            ("well", OK, "")]
        assert seconds < 3 and len(left) == 2
        for process in left:
            streams = {os.readlink(f"/proc/{process}/fd/{number}") for number in range(3)}
            assert streams == {os.devnull}, "who reads what we print must not wait for its end"
    finally:
        for process in left:
            kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


@pytest.mark.parametrize("value, told", [
    ([], "should be an object"),
    ({"speed": 1}, "without 'speed'"),
    ({"attempts": 0}, "attempts is a whole number above"),
    ({"disk_free_bytes": 1.5}, "disk_free_bytes is a whole number"),
    ({"timeout_seconds": True}, "timeout_seconds is a"),
    ({"endpoints": {}}, "endpoints are a list"),
    ({"endpoints": [{"url": "ftp://x"}]}, "look at url"),
    ({"endpoints": [{"status": 200}]}, "look at url"),
    ({"endpoints": [{"url": "https://user:hush@x/"}]}, "has no user and no password: logins are not sent; remove them"),
    ({"endpoints": [{"url": "http://hush@x"}]}, "logins are not sent"),
    ({"endpoints": [{"url": "http://user:hush@x?a"}]}, "logins are not sent"),
    ({"endpoints": [{"url": "http://x", "status": 99}]}, "look at status"),
    ({"endpoints": [{"url": "http://x", "follow": True}]}, "without 'follow'"),
    ({"providers": {}}, "providers are a list"),
    ({"providers": [{"name": "a"}]}, "providers whose url begins with http"),
    ({"providers": [{"name": "a\n", "url": "http://x"}]}, "providers whose name is of letters"),
    ({"providers": [{"name": "a", "url": "http://x", "trusted": False}]}, "without 'trusted'"),
    ({"provider_private": 1}, "provider_private is true or false"),
    ({"key_escrowed": "yes"}, "key_escrowed is true or false"),
    ({"access_log": "access.log"}, "access_log is a full path, or empty"),
    ({"work_query": "DELETE FROM drafts"}, "work_query is one SELECT, or empty"),
    ({"error_minimum": 1.5}, "error_minimum is a whole number above 0"),
    ({"quick_check_seconds": -1}, "quick_check_seconds is a number of at least 0"),
])
def test_a_wrong_value_has_its_own_words(tmp_path, value, told):
    (tmp_path / "monitoring.json").write_text(json.dumps({"health": value}))
    with pytest.raises(UsageError, match=r"monitoring.json: the value of 'health' should be ") as caught:
        assert load_settings(str(tmp_path)).health.attempts
    assert told in str(caught.value) and "hush" not in str(caught.value)


def test_the_values_that_were_configured(tmp_path):
    (tmp_path / "monitoring.json").write_text(json.dumps({"health": {
        "endpoints": [{"url": "http://127.0.0.1/@a?b=c@d", "status": 204}], "attempts": 2, "disk_warning_percent": 70,
        "providers": [{"name": "Local", "url": "http://10.0.0.1:8000/"}], "access_log": "", "work_query": "SELECT 0, 0",
        "key_escrowed": None, "quick_check_seconds": 0}}))
    endpoints, providers = (Endpoint("http://127.0.0.1/@a?b=c@d", 204),), (Provider("Local", "http://10.0.0.1:8000/"),)
    assert load_settings(str(tmp_path)).health == Watch(
        endpoints=endpoints, attempts=2, disk_warning_percent=70, providers=providers, work_query="SELECT 0, 0",
        quick_check_seconds=0)
