"""What every test gets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings as django_settings

from tests import planes
from tests.environment import DATA


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    planes.count(item, report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many tests ran on which control plane."""
    for line in planes.counted():
        terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def fast_passwords(settings):
    """Hashing passwords as slowly as production does would cost more time than everything else."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def no_static_files(request, settings):
    """Every test client would look through all static files first, which takes longer than most tests (mark `static_files`)."""
    if request.node.get_closest_marker("static_files") is None:
        settings.SERVESTATIC_USE_FINDERS = settings.SERVESTATIC_USE_STATIC_ROOT = False


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings):
    """SQLite in a file, as the portal runs on it: a database in memory locks whole tables between threads."""
    database = django_settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        database["TEST"]["NAME"] = f"{DATA}/test.sqlite3"
