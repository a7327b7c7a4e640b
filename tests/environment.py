"""The environment variables of all tests. pytest loads them before Django reads its settings (`-p tests.environment`).

The caller's variables are ignored: a shell may point at production (KUBECONFIG, AWS_*, DATABASE_URL, …). Only
TEST_DATABASE_URL selects PostgreSQL.
"""

from __future__ import annotations

import os
import tempfile

from hypothesis import settings

SERVICE_VARIABLES = (
    "KUBECONFIG",
    "DATABASE_URL",
    "REDIS_URL",
    "DOCKER_HOST",
    "BASE_URL",
    "EMAIL_URL",
    "SENTRY_DSN",
)
SERVICE_PREFIXES = ("AWS_", "SLACK_", "GITHUB_", "GIT_", "SANDBOX_")

for name in list(os.environ):
    if name in SERVICE_VARIABLES or name.startswith(SERVICE_PREFIXES):
        del os.environ[name]

DATA = tempfile.mkdtemp(prefix="slipway-tests-")
os.environ.update(
    SECRET_KEY="only-for-tests",
    ENCRYPTION_KEYS="MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    DIGEST_KEY="only-for-tests",
    DATA_DIR=DATA,
    DATABASE_URL=os.environ.get("TEST_DATABASE_URL", f"sqlite:///{DATA}/slipway.sqlite3"),
    REDIS_URL="redis://127.0.0.1:1/0",  # no server there; tests that need Redis start one
    AWS_ACCESS_KEY_ID="test",
    AWS_SECRET_ACCESS_KEY="test",
    AWS_EC2_METADATA_DISABLED="true",
    LOG_LEVEL="WARNING",
)


settings.register_profile("deep", max_examples=5_000)


def pytest_runtest_logreport(report):
    """Writes the names of failed tests into the file FAILED_TESTS. tests/everything.py repeats them without other load."""
    place = os.environ.get("FAILED_TESTS")
    if place and report.failed:
        with open(place, "a", encoding="utf-8") as file:
            file.write(report.nodeid + "\n")
