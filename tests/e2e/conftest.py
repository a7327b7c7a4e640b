"""Tests of the whole product as people use it, on one running sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser import CHROMIUM
from tests.e2e.browsing import LAUNCH, Visitor
from tests.e2e.fixtures import people, planted, sandbox, slow, tell_logs
from tests.e2e.running import Running
from tests.planes import NAMES, plane_of

__all__ = ["people", "planted", "sandbox", "slow"]


# People first, on a fresh sandbox; then what breaks it; the canaries after everything that could leak one. Stopping all of it
# comes last.
ORDER = (
    "tests/e2e/test_whole_path",
    "tests/e2e/",
    "tests/chaos/",
    "tests/e2e/test_canaries",
    "tests/chaos/test_restart",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the tests of the sandbox into their order, after all others: one control plane after the other."""

    def place(item: pytest.Item) -> tuple[int, int]:
        fits = [start for start in ORDER if item.nodeid.startswith(start)]
        if not fits:
            return -1, 0
        which = plane_of(item)
        return NAMES.index(which) if which else 0, ORDER.index(max(fits, key=len))

    items.sort(key=place)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """The sandbox's logs belong to a failure."""
    outcome: Any = yield
    tell_logs(outcome.get_result())


@pytest.fixture(scope="session")
def chromium(sandbox: Running) -> Iterator[Browser]:
    """One browser; each visitor is a context of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=LAUNCH)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser, sandbox: Running) -> Iterator[Callable[..., Visitor]]:
    """Opens a browser for somebody. Errors in its console fail the test."""
    visitors: list[Visitor] = []

    def opened(name: str = "admin", **options: Any) -> Visitor:
        visitors.append(Visitor.enter(chromium, sandbox, name, **options))
        return visitors[-1]

    yield opened
    for visitor in visitors:
        visitor.context.close()
    assert [trouble for visitor in visitors for trouble in visitor.troubles] == []
