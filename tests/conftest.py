"""Fixtures and hooks for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings as django_settings

from core.jobs import redis_breaker
from tests import planes
from tests.environment import DATA


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    planes.count(item, report)
    return report


STATIC_FILES = "servestatic.middleware.ServeStaticMiddleware"
DATABASE = frozenset({"db", "transactional_db", "live_server"})


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL, tests that use no database are left out: they have run with the same result beside SQLite."""
    if "postgresql" not in django_settings.DATABASES["default"]["ENGINE"]:
        return
    alone = [item for item in items if not uses_database(item)]
    config.hook.pytest_deselected(items=alone)
    items[:] = [item for item in items if uses_database(item)]


def uses_database(item: pytest.Item) -> bool:
    """Whether a test has the mark `django_db`, or a fixture of the database."""
    return item.get_closest_marker("django_db") is not None or bool(
        DATABASE & set(getattr(item, "fixturenames", ()))
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the number of tests on each control plane."""
    for line in planes.counted():
        terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def fast_passwords(settings):
    """A fast hash for passwords: production's slow one would take more time than all tests."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def redis_is_not_known_to_be_down() -> None:
    """One test's Redis that does not answer is not the next one's."""
    redis_breaker.worked()


@pytest.fixture(autouse=True)
def no_static_files(request, settings):
    """No static files: each test client would list all of them first, which takes longer than most tests, and each request
    would start a thread and a loop of events, because that middleware is written for ASGI only. The mark `static_files` keeps
    them."""
    if request.node.get_closest_marker("static_files") is None:
        settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if name != STATIC_FILES]


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings):
    """SQLite in a file, as in the portal: a database in memory locks whole tables between threads."""
    database = django_settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        database["TEST"]["NAME"] = f"{DATA}/test.sqlite3"


@pytest.fixture(autouse=True)
def no_watch(request, monkeypatch):
    """No thread that looks at database and Redis for banners: no test starts a scheduler or a worker, and threads see
    nothing of a test's transaction. The mark `watched` keeps it."""
    from portal.status import telling, watch

    for kept in (watch.RECORDS, watch.BELL, telling.ROUNDS):
        kept.forget()
    if request.node.get_closest_marker("watched") is None:
        monkeypatch.setattr("portal.shell.banners", lambda user: [])
        monkeypatch.setattr(telling, "look", lambda: None)
        monkeypatch.setattr(watch, "start", lambda run: run())
