"""The parts in headless Chromium, under the portal's own content policy: accessibility, width, script, live log.

axe-core comes from npm (`npm install` at the root, or NODE_PATH); without it only those tests are skipped.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser import CHROMIUM
from tests.ui import samples, site

AXE = Path(os.environ.get("NODE_PATH", site.REPO / "node_modules"), "axe-core", "axe.min.js")
LOOKS = [("light", 1440), ("dark", 390)]
ALL_LOOKS = [*LOOKS, ("dark", 1440), ("light", 1000)]

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")]


expect.set_options(timeout=30_000)  # ms, on a busy machine


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Stream:
    """A run as the server shows it: events for `/stream`, answers for `/log`; counts what was asked."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.broken = False
        self.opened: list[str] = []
        self.last_ids: list[str | None] = []
        self.polled: list[str] = []
        self.poll_answer: dict[str, Any] = {}
        self.poll_status = 200
        self.fragments = 0
        self.closing = threading.Event()

    def line(self, number: int, text: str, level: str = "info") -> None:
        fold = {
            "step": "rollout",
            "name": "Rollout",
            "state": "running",
            "lines": [samples.Line(number, None, level, text)],
        }
        html = site.render('{% include "components/log_folds.html" %}', folds=[fold])
        self.events.append(
            f"id: {number}\nevent: log\ndata: {json.dumps({'html': html, 'count': number})}\n\n"
        )

    def stream(self, handler: site.Handler) -> None:
        self.opened.append(handler.path)
        self.last_ids.append(handler.headers.get("Last-Event-ID"))
        if self.broken:
            return handler.answer("no", status=503)
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        sent = 0
        try:
            while not self.closing.is_set() and not self.broken:
                for event in self.events[sent:]:
                    handler.wfile.write(event.encode())
                sent = len(self.events)
                handler.wfile.write(b": still here\n\n")
                time.sleep(0.02)
        except OSError:
            pass  # the browser closed the connection
        return None

    def poll(self, handler: site.Handler) -> None:
        self.polled.append(handler.path)
        handler.answer(json.dumps(self.poll_answer), content_type="application/json", status=self.poll_status)

    def fragment(self, handler: site.Handler) -> None:
        self.fragments += 1
        handler.answer(FRAGMENT.replace("not yet", f"fetched {self.fragments}"))


FRAGMENT = (
    '<p id="fragment" hx-get="/fragment" hx-trigger="changed from:body" hx-swap="outerHTML">not yet</p>'
)


@pytest.fixture
def live() -> Iterator[Stream]:
    stream = Stream()
    yield stream
    stream.closing.set()


@pytest.fixture
def address(live: Stream) -> Iterator[str]:
    text = (
        '{% extends "base.html" %}{% block scripts %}{% load static %}'
        '<script type="module" src="{% static "js/live.js" %}"></script>{% endblock %}'
        '{% block content %}<h1>Deploy</h1>' + FRAGMENT + '{% include "components/log.html" with title="Log" count=9 live=True'
        ' stream_url="/stream?after=9" poll_url="/log?after=" %}{% endblock %}'
    )  # fmt: skip
    extra: dict[str, site.Answer] = {
        "live": site.render(text), "stream": live.stream, "log": live.poll, "fragment": live.fragment,
    }  # fmt: skip
    with site.serve(site.pages() | extra) as base:
        yield base


@pytest.fixture
def open_page(chromium: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Opens a page of the site and fails the test on errors in its console."""
    contexts: list[BrowserContext] = []
    troubles: list[str] = []

    def opened(
        name: str, *, scheme: str = "light", width: int = 1440, quiet: bool = False, **options: Any
    ) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, **options
        )
        contexts.append(context)
        page = context.new_page()
        if not quiet:
            page.on(
                "console", lambda message: troubles.append(message.text) if message.type == "error" else None
            )
            page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto(f"{address}/{name}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert troubles == []


NAMES = ["form_wrong", "404", "stranger", "403", "400", "500", "problem", "session_ended", "live"]


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: run `npm install` at the root")
@pytest.mark.parametrize("name", ["guide", *NAMES])
def test_axe_finds_nothing(open_page: Callable[..., Page], name: str) -> None:
    for scheme, width in ALL_LOOKS if name == "guide" else LOOKS:
        page = open_page(name, scheme=scheme, width=width, quiet=True, bypass_csp=True)
        page.add_script_tag(path=AXE)
        found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
        told = [(item["id"], [node["html"][:120] for node in item["nodes"]]) for item in found]
        assert told == [], f"{name}, {scheme}, {width} px"


@pytest.mark.parametrize("name", ["guide", *NAMES])
def test_nothing_scrolls_sideways(open_page: Callable[..., Page], name: str) -> None:
    page = open_page(name, quiet=True)
    for width in (1440, 1000, 820, 390, 320):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", NAMES)
def test_the_content_policy_refuses_nothing(open_page: Callable[..., Page], name: str) -> None:
    open_page(name).wait_for_load_state()


def test_everything_is_there_without_script(open_page: Callable[..., Page]) -> None:
    page = open_page("guide", java_script_enabled=False)
    expect(page.get_by_role("heading", name="search-analytics to production")).to_be_visible()
    expect(page.locator("[data-theme-switch]")).to_be_hidden()
    page.get_by_text("Cancel…").click()
    expect(page.get_by_text("Stop here")).to_be_visible()
    page.get_by_role("button", name="Roll back to 4a91d7e…").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def test_the_theme_is_remembered_for_the_server(open_page: Callable[..., Page]) -> None:
    page = open_page("404")
    switch = page.locator("[data-theme-switch]")
    seen = []
    for _ in range(3):
        switch.click()
        cookies = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
        seen.append((page.locator("html").get_attribute("data-theme"), cookies.get("theme")))
    assert seen == [("light", "light"), ("dark", "dark"), (None, None)]


def test_keys(open_page: Callable[..., Page]) -> None:
    page = open_page("guide", quiet=True)
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("g b ?")
    assert page.url.endswith("/guide")
    page.keyboard.press("Escape")  # clears the field
    expect(page.locator("#search")).to_have_value("")
    page.keyboard.press("Escape")  # leaves it
    page.keyboard.press("g")
    page.keyboard.press("b")
    page.wait_for_url(lambda url: not url.endswith("/guide"))


def test_times_are_shown_in_the_viewers_zone(open_page: Callable[..., Page]) -> None:
    page = open_page("live", timezone_id="Asia/Tokyo", locale="en-GB")
    expect(page.locator("#L1 time")).to_have_text("18:44:00")
    assert "18:44" in str(page.locator("#L1 time").get_attribute("title"))


def test_the_first_wrong_field_has_the_focus(open_page: Callable[..., Page]) -> None:
    expect(open_page("form_wrong").get_by_label("Name", exact=True)).to_be_focused()


def test_lines_arrive_and_fragments_refresh(open_page: Callable[..., Page], live: Stream) -> None:
    page = open_page("live")
    live.line(10, "<i>first</i>")
    expect(page.locator("#L10 > span")).to_have_text("<i>first</i>")
    expect(page.locator("[data-log-count]")).to_have_text("10")
    expect(page.locator("details[data-step=rollout]")).to_have_count(1)
    live.events.append("event: changed\ndata: 1\n\n")
    expect(page.locator("#fragment")).to_have_text("fetched 1")
    live.events.append("event: changed\ndata: 1\n\n")
    expect(page.locator("#fragment")).to_have_text("fetched 2")


def test_lines_come_without_a_reload_in_their_order(open_page: Callable[..., Page], live: Stream) -> None:
    page = open_page("live")
    for number in (10, 11, 12):
        live.line(number, f"line {number}")
        page.wait_for_selector(f"#L{number}")
    assert page.locator("#L10, #L11, #L12").evaluate_all("found => found.map(line => line.id)") == [
        "L10",
        "L11",
        "L12",
    ]


def test_lines_that_are_there_are_not_shown_twice(open_page: Callable[..., Page], live: Stream) -> None:
    page = open_page("live")
    live.line(9, "again")
    live.line(10, "new")
    live.line(10, "new")
    page.wait_for_selector("#L10")
    assert page.locator("#L9, #L10").count() == 2


def test_the_end_stops_the_stream(open_page: Callable[..., Page], live: Stream) -> None:
    page = open_page("live")
    live.events.append("event: end\ndata: 1\n\n")
    expect(page.locator("[data-log-state]")).to_have_text("")
    expect(page.locator("#fragment")).to_have_text("fetched 1")
    opened = len(live.opened)
    page.wait_for_timeout(400)
    assert len(live.opened) == opened


def test_a_hidden_tab_lets_go_and_goes_on_where_it_was(open_page: Callable[..., Page], live: Stream) -> None:
    page = open_page("live")
    live.line(12, "seen")
    page.wait_for_selector("#L12")
    show = "hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});"
    show += " document.dispatchEvent(new Event('visibilitychange')) }"
    page.evaluate(show, True)
    live.line(13, "while hidden")
    page.wait_for_timeout(300)
    assert page.locator("#L13").count() == 0
    page.evaluate(show, False)
    page.wait_for_selector("#L13")
    assert live.opened == ["/stream?after=9", "/stream?after=12"]


def test_it_polls_where_streams_fail(open_page: Callable[..., Page], live: Stream) -> None:
    live.broken = True
    item = '<li id="L10"><a href="#L10">10</a><span>by asking</span></li>'
    live.poll_answer = {"html": item, "after": 10, "count": 10, "ended": False}
    page = open_page("live", quiet=True)
    expect(page.locator("#L10 > span")).to_have_text("by asking")
    assert live.polled[0] == "/log?after=9"
    live.poll_answer = {"html": "", "after": 10, "count": 10, "ended": True}
    expect(page.locator("[data-log-state]")).to_have_text("")
    assert live.polled[-1] == "/log?after=10"


def test_an_ended_session_is_said_and_nothing_is_asked_again(
    open_page: Callable[..., Page], live: Stream
) -> None:
    live.broken, live.poll_status = True, 401
    page = open_page("live", quiet=True)
    expect(page.get_by_text("Your session has ended.")).to_be_visible()
    expect(page.get_by_role("link", name="Sign in")).to_have_attribute("href", "/login/?next=%2Flive")
    asked = len(live.polled)
    page.wait_for_timeout(2500)
    assert len(live.polled) == asked


def test_following_pauses_when_one_scrolls_up(open_page: Callable[..., Page], live: Stream) -> None:
    for number in range(10, 120):
        live.line(number, f"line {number}")
    page = open_page("live")
    page.wait_for_selector("#L119")
    expect(page.locator("#L119")).to_be_in_viewport()
    body = page.locator("[data-log-body]")
    body.evaluate("body => { body.scrollTop = 0 }")
    expect(page.get_by_label("Follow")).not_to_be_checked()
    live.line(120, "below")
    page.wait_for_selector("#L120", state="attached")
    assert body.evaluate("body => body.scrollTop") == 0
    page.get_by_label("Follow").check()
    expect(page.locator("#L120")).to_be_in_viewport()


def test_finding_in_the_log(open_page: Callable[..., Page]) -> None:
    page = open_page("live")
    find = page.get_by_role("searchbox", name="Find in the log")
    find.fill("checked OUT")
    find.press("Enter")
    expect(page.locator("#L2")).to_be_visible()  # its fold was closed
    expect(page.locator("#L2")).to_have_class("log-hit")
    find.fill("L8")
    find.press("Enter")
    assert page.url.endswith("#L8")


def test_a_link_to_a_line_opens_its_fold(open_page: Callable[..., Page]) -> None:
    page = open_page("live#L2")
    expect(page.locator("#L2")).to_be_visible()


def test_a_form_is_sent_once(open_page: Callable[..., Page], address: str) -> None:
    page = open_page("form_wrong")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method) if request.method == "POST" else None)
    page.route("**/form_wrong", lambda route: None)  # the answer never comes
    page.evaluate(
        "() => { const form = document.querySelector('form.fields'); form.noValidate = true;"
        " form.requestSubmit(); form.requestSubmit(); }"
    )
    page.wait_for_timeout(300)
    assert sent == ["POST"]


def test_the_log_is_searched_while_one_types(open_page: Callable[..., Page]) -> None:
    page = open_page("live")
    find = page.get_by_role("searchbox", name="Find in the log")
    told = page.locator("[data-log-found]")
    find.fill("nothing of the kind")
    expect(told).to_have_text("Nothing found")
    find.fill("checked out")
    expect(told).to_have_text(re.compile(r"1 of \d+"))
    expect(page.locator("li.log-hit")).to_have_count(1)
    # The line that is found stays where it is.
    assert page.locator("li.log-hit").evaluate("line => getComputedStyle(line).marginBlock") == "0px"
    find.fill("")
    expect(told).to_have_text("")
    expect(page.locator("li.log-hit")).to_have_count(0)
