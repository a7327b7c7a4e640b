"""What every test gets."""

from __future__ import annotations

import pytest
from django.conf import settings as django_settings

from tests.environment import DATA


@pytest.fixture(autouse=True)
def fast_passwords(settings):
    """Hashing passwords as slowly as production does would cost more time than everything else."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings):
    """SQLite in a file, as the portal runs on it: a database in memory locks whole tables between threads."""
    database = django_settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        database["TEST"]["NAME"] = f"{DATA}/test.sqlite3"
