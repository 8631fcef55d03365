# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The looks of ``jobs.health`` that need the network and nothing else: pages, the mail server, AI providers."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Optional

from ..channels import mail
from ..channels.errors import ChannelError
from ..config import Settings
from ..probes import provider, web
from ..units import format_seconds, iso
from ..watch import Endpoint, Provider
from .health import Finding
from .health_application import UNUSABLE_ADDRESS, calls_by_provider, found_providers
from .report import CRITICAL, OK, UNKNOWN, WARNING

_MOST_PROBES = 8
_BACK_OFF_SECONDS = 1.0
# What a look keeps of its deadline to tell what it found.
_RESERVE_SECONDS = 5.0
_LEAST_SECONDS = 0.1
_NAMES = {"openai": "OpenAI", "anthropic": "Anthropic", "google": "Google", "gemini": "Gemini", "mistral": "Mistral",
          "cohere": "Cohere", "groq": "Groq", "deepseek": "DeepSeek", "openrouter": "OpenRouter", "xai": "xAI"}


def pages(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Each page, and the certificate of its server. All are asked at once, and the look ends before its deadline: what
    has no answer by then is CRITICAL."""
    budget = settings.health.deadline_seconds
    budget -= min(_RESERVE_SECONDS, budget / 2)
    until = time.monotonic() + budget
    everyone = [(endpoint, _Asked(settings, endpoint, now, until)) for endpoint in settings.health.endpoints]
    for endpoint, asked in everyone:
        asked.join(max(0.0, until - time.monotonic()))
        yield from asked.findings or (_page_finding(CRITICAL, endpoint, f"no answer within {format_seconds(budget)}"),)


class _Asked(threading.Thread):
    """Asks one page. ``findings`` is empty until the end; nobody waits for one that never ends: not even the resolver
    of names can be told how long it may take."""

    def __init__(self, settings: Settings, endpoint: Endpoint, now: datetime, until: float) -> None:
        super().__init__(daemon=True)
        self._settings, self._endpoint, self._now, self._until = settings, endpoint, now, until
        self.findings: tuple[Finding, ...] = ()
        self.start()

    def run(self) -> None:
        try:
            self.findings = tuple(_page(self._settings, self._endpoint, self._now, self._until))
        except Exception as error:
            # One page that meets a defect must not hide the others.
            text = f"unexpected {type(error).__name__}: {error}"
            self.findings = (_page_finding(UNKNOWN, self._endpoint, text),)


def _page(settings: Settings, endpoint: Endpoint, now: datetime, until: float) -> Iterator[Finding]:
    try:
        answer, problem = _asked(settings, endpoint, until)
    except ValueError as error:
        yield _page_finding(UNKNOWN, endpoint, str(error))
        return
    if answer is None or problem:
        yield _page_finding(CRITICAL, endpoint, problem)
    else:
        milliseconds = answer.seconds * 1000
        slow = milliseconds > settings.health.response_warning_ms
        target = milliseconds > settings.health.response_target_ms
        text = f"{answer.status} in {milliseconds:.0f} ms"
        if slow or target:
            limit = settings.health.response_warning_ms if slow else settings.health.response_target_ms
            text += f", {'more than' if slow else 'above the target of'} {limit:g} ms"
        yield _page_finding(WARNING if slow else OK, endpoint, text, {"response_ms": milliseconds})
    if answer is not None and answer.certificate_ends is not None:
        yield _certificate(settings, endpoint, answer.certificate_ends, now)


def _page_finding(level: int, endpoint: Endpoint, text: str, figures: Optional[Mapping[str, float]] = None) -> Finding:
    return Finding(level, f"page {endpoint.url}", f"Page {endpoint.url}", text, figures or {})


def _asked(settings: Settings, endpoint: Endpoint, until: float) -> tuple[Optional[web.Answer], str]:
    """The last answer, and what is wrong with it; tried again after a pause that doubles, as often as the whole of an
    attempt ends before ``until``, in seconds of time.monotonic."""
    answer, problem = None, ""
    wanted = settings.health.timeout_seconds
    for attempt in range(settings.health.attempts):
        if attempt:
            pause = _BACK_OFF_SECONDS * 2 ** (attempt - 1)
            if time.monotonic() + pause + wanted > until:
                break
            time.sleep(pause)
        limit = min(wanted, max(_LEAST_SECONDS, until - time.monotonic()))
        try:
            answer = web.ask(endpoint.url, timeout_seconds=limit, verify=endpoint.verify_tls)
        except (OSError, http.client.HTTPException) as error:
            problem = _refusal(error, limit)
            continue
        problem = _difference(endpoint, answer)
        if not problem:
            break
    return answer, problem


def _refusal(error: Exception, timeout_seconds: float) -> str:
    # Before Python 3.10 the latter is not the former.
    if isinstance(error, (TimeoutError, socket.timeout)):
        return f"no answer within {format_seconds(timeout_seconds)}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {error.verify_message}"
    if isinstance(error, OSError):
        return f"no connection: {error.strerror or error}"
    return f"the answer is no HTTP ({type(error).__name__})"


def _difference(endpoint: Endpoint, answer: web.Answer) -> str:
    if answer.status != endpoint.status:
        where = f", to {answer.location}" if answer.location else ""
        return f"it answers {answer.status}{where}, and {endpoint.status} is expected"
    if endpoint.contains and endpoint.contains.encode() not in answer.body:
        return f"it answers {answer.status} without the text that is expected"
    return ""


def _certificate(settings: Settings, endpoint: Endpoint, ends: datetime, now: datetime) -> Finding:
    days = (ends - now).total_seconds() / 86400
    level = (CRITICAL if days < settings.health.certificate_critical_days
             else WARNING if days < settings.health.certificate_warning_days else OK)
    return Finding(level, f"certificate {endpoint.url}", f"Certificate of {endpoint.url}",
                   f"good until {iso(ends)}, {days:.0f} days", {"certificate_days": days})


def email(settings: Settings, _now: datetime) -> Iterator[Finding]:
    """The server that takes the alerts: connection, TLS and login; nothing is sent. None where none is configured."""
    if settings.alerts.mail is None:
        return
    try:
        milliseconds = mail.probe(settings.alerts.mail)
    except ChannelError as error:
        yield Finding(WARNING, "mail", "Email", f"no SMTP connection: {error}")
        return
    yield Finding(OK, "mail", "Email", "SMTP connection active", {"connect_ms": milliseconds})


def providers(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Whether each provider answers at all: those that are configured, and those that the application's database names,
    where it may be read here. The latter is read before there are threads: who reads it acts as its owner meanwhile."""
    wanted = watched_providers(settings, found_providers(settings))
    calls = calls_by_provider(settings, now) if wanted else {}
    with ThreadPoolExecutor(min(_MOST_PROBES, len(wanted) or 1)) as pool:
        yield from pool.map(lambda one: _provider(settings, one, calls), wanted)


def watched_providers(settings: Settings, found: Iterable[tuple[str, str]]) -> tuple[Provider, ...]:
    """The providers that are configured, and those of ``found`` (pairs of name and address, as ``found_providers``
    gives them) whose names are not configured; these are not trusted."""
    configured = tuple(one.name.lower() for one in settings.health.providers)
    more = (pair for pair in found if not any(f"{pair[0].lower()} ".startswith(f"{name} ") for name in configured))
    return (*settings.health.providers, *(Provider(name, url, trusted=False) for name, url in more))


def _provider(settings: Settings, wanted: Provider, calls: Mapping[str, int]) -> Finding:
    name = wanted.name.lower()
    check, title = f"provider {wanted.name}", f"AI Provider {_NAMES.get(name, wanted.name)}"
    limit = settings.health.provider_timeout_seconds
    try:
        if wanted.trusted:
            answered = web.ask(wanted.url, timeout_seconds=limit)
            status, seconds = answered.status, answered.seconds
        elif wanted.url == UNUSABLE_ADDRESS:
            raise provider.RefusedAddress("it is no address of http or https")
        else:
            status, seconds = provider.answer(wanted.url, private=settings.health.provider_private,
                                              timeout_seconds=limit)
    except provider.RefusedAddress as error:
        return Finding(UNKNOWN, check, title, f"the address in the application's database is not asked: {error}. Where "
                       "it is meant, name it in health.providers")
    except ValueError:
        return Finding(UNKNOWN, check, title, "its address cannot be understood")
    except (OSError, http.client.HTTPException) as error:
        return Finding(WARNING, check, title, _refusal(error, limit))
    figures = {"response_ms": seconds * 1000}
    if status >= 500:
        return Finding(WARNING, check, title, f"it answers {status}", figures)
    today = f" ({calls[name]:,} calls today)" if name in calls else ""
    return Finding(OK, check, title, f"Active{today}", figures)
