# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboard and the page of the fleet in a real browser: on a phone and a desk, light and dark."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.needs("chromium", "npm")

PAGES = ("well", "ill", "new", "fleet")
WIDE, NARROW = (1280, 900), (360, 800)
AXE = """axe.run(document, {resultTypes: ['violations', 'incomplete']}).then(found => found.violations.map(
    one => [one.impact, one.id, ...one.nodes.slice(0, 3).map(node => node.html.slice(0, 200))].join(' ')))"""
OVERFLOWING = """[...document.querySelectorAll('body *')].filter(
    one => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('.hidden, thead'))
    .map(one => one.outerHTML.slice(0, 100)).slice(0, 5)"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_read_by_everybody(browser, axe, pages, screenshots, name, size, scheme):
    browser.emulate(*size, scheme)
    browser.open(pages[name])
    browser.screenshot(screenshots / f"{name}-{size[0]}-{scheme}.png")
    assert browser.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert browser.evaluate(OVERFLOWING) == []
    assert browser.requests() == [pages[name]]
    assert browser.complaints() == []
    browser.evaluate(axe)
    assert [one for one in browser.evaluate(AXE) if one.startswith(("serious", "critical"))] == []


def test_the_checker_finds_what_is_wrong(browser, axe, pages):
    browser.emulate(*WIDE, "light")
    browser.open(pages["new"])
    browser.evaluate("document.querySelector('h1').style.color = '#ccc'")
    browser.evaluate("document.querySelector('svg title').remove(); document.querySelector('svg desc').remove()")
    browser.evaluate(axe)
    found = browser.evaluate(AXE)
    assert [one.split()[:2] for one in found] == [["serious", "color-contrast"], ["serious", "svg-img-alt"]], found


def test_dark_is_dark(browser, pages):
    found = []
    for scheme in ("light", "dark"):
        browser.emulate(*WIDE, scheme)
        browser.open(pages["well"])
        found.append(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert found == ["rgb(244, 246, 248)", "rgb(17, 22, 28)"]


def test_dark_is_not_printed(browser, pages):
    browser.emulate(*WIDE, "dark", "print")
    browser.open(pages["well"])
    style = browser.evaluate("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]")
    assert style == ["rgb(255, 255, 255)", "rgb(27, 37, 48)"]


def test_what_findings_hold_is_not_run(browser, pages):
    browser.emulate(*WIDE, "light")
    browser.open(pages["ill"])
    assert browser.evaluate("document.scripts.length") == 0
    assert browser.evaluate("document.images.length") == 0
    assert "<script>alert(2)</script>" in browser.evaluate("document.body.innerText")


def test_the_policy_of_the_page_lets_nothing_in_or_out(browser, pages):
    browser.emulate(*WIDE, "light")
    browser.open(pages["well"])
    browser.events.clear()
    told = browser.evaluate("""new Promise(done => {
        const told = [];
        document.addEventListener('securitypolicyviolation', event => {
            told.push(event.effectiveDirective);
            if (told.length === 3) done(told.sort());
        });
        const image = document.createElement('img');
        image.src = 'http://127.0.0.1:9/x.png';
        const script = document.createElement('script');
        script.textContent = 'window.ran = true';
        document.body.append(image, script);
        fetch('http://127.0.0.1:9/').catch(() => 0);
    })""")
    assert told == ["connect-src", "img-src", "script-src-elem"]
    assert browser.evaluate("window.ran === undefined")


def test_a_page_that_lies_open_says_that_it_is_old(browser, pages):
    browser.emulate(*NARROW, "light")
    browser.open(pages["well"])
    visible = "getComputedStyle(document.querySelector('.stale')).visibility"
    assert browser.evaluate(visible) == "hidden"
    for seconds, state in ((890, "hidden"), (902, "visible"), (90_000, "visible")):
        browser.evaluate(f"document.getAnimations().forEach(one => {{one.currentTime = {seconds * 1000}}})")
        assert browser.evaluate(visible) == state


def test_the_tables_stay_tables_on_a_phone(browser, pages):
    browser.emulate(*NARROW, "light")
    browser.open(pages["well"])
    roles = browser.roles()
    rows = browser.evaluate("document.querySelectorAll('#overview ~ * tbody tr').length")
    assert roles.count("table") >= 3 and roles.count("rowheader") >= rows > 28
    assert roles.count("main") == 1 and roles.count("banner") == 1 and roles.count("navigation") == 1


def test_headings_are_in_order(browser, pages):
    for name in PAGES:
        browser.open(pages[name])
        levels = browser.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(one => +one.tagName[1])")
        assert levels.count(1) == 1 and levels[0] == 1
        assert all(after - before <= 1 for before, after in zip(levels, levels[1:]))
