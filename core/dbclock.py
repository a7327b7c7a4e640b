"""The database's clock, by which processes of different hosts can compare moments."""

from __future__ import annotations

from django.db import connection

_ASK = {
    "postgresql": "SELECT EXTRACT(EPOCH FROM clock_timestamp())",
    "sqlite": "SELECT (julianday('now') - 2440587.5) * 86400.0",
}


def database_seconds() -> float:
    """Unix time by the database's clock, to a millisecond at least. Raises errors of the database."""
    with connection.cursor() as cursor:
        cursor.execute(_ASK[connection.vendor])
        return float(cursor.fetchone()[0])
