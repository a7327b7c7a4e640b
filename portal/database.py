"""How the portal reaches its database, and what keeps one process from blocking the others there.

Limits of every PostgreSQL connection: a half-open one is noticed within half a minute on both sides, a transaction whose
process stands still ends after IDLE_SECONDS and gives its locks back, and no statement waits longer than LOCK_SECONDS for a
lock. Only `migrate` waits longer (`patient_migrations`).
"""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path
from typing import Any

import dj_database_url
from django.db import connections

CONNECT_SECONDS = 10
IDLE_SECONDS = 30
LOCK_SECONDS = 30
MIGRATION_LOCK_SECONDS = 300
SILENT_SECONDS = 30  # until a connection without any answer is given up
POOL_SECONDS = 30.0  # a request waits so long for a free connection
POOL_IDLE_SECONDS = 120.0
SQLITE = "django.db.backends.sqlite3"
POSTGRESQL = "django.db.backends.postgresql"
Database = dict[str, Any]


def database(url: str) -> Database:
    """Django's settings of the database with this address."""
    found: Database = dict(dj_database_url.parse(url, conn_max_age=60, conn_health_checks=True))
    if found["ENGINE"] == SQLITE:
        return found | _sqlite(str(found["NAME"]))
    if found["ENGINE"] == POSTGRESQL:
        return found | {"OPTIONS": {**postgresql_options(), **found.get("OPTIONS", {})}}
    return found


def _sqlite(name: str) -> Database:
    """Several processes share the file: a read lock cannot become a write lock, so each transaction begins as a writer;
    WAL lets readers go on meanwhile."""
    options = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA busy_timeout=20000;",
    }
    return {"OPTIONS": options, "CONN_MAX_AGE": 0 if ":memory:" in name else 60}


def postgresql_options() -> dict[str, Any]:
    """libpq's options. Those of the database's address go before them, e.g. `?options=`, `?keepalives_idle=`."""
    server = {
        "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
        "lock_timeout": f"{LOCK_SECONDS}s",
        "tcp_keepalives_idle": SILENT_SECONDS // 2,
        "tcp_keepalives_interval": 5,
        "tcp_keepalives_count": 3,
        "tcp_user_timeout": f"{SILENT_SECONDS}s",
    }
    return {
        "connect_timeout": CONNECT_SECONDS,
        "keepalives_idle": SILENT_SECONDS // 2,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": SILENT_SECONDS * 1000,
        "options": " ".join(f"-c {name}={value}" for name, value in server.items()),
    }


def use_pool(found: Database, size: int) -> None:
    """Makes the connections of this process a pool of at most `size`, for web processes: each request runs in a thread of
    its own, so no connection would be used twice. Call it before the first connection. SQLite needs no pool."""
    if found["ENGINE"] != POSTGRESQL:
        return
    found["CONN_MAX_AGE"] = 0  # a request gives its connection back at its end
    found["OPTIONS"]["pool"] = {
        "min_size": 1,
        "max_size": size,
        "timeout": POOL_SECONDS,
        "max_idle": POOL_IDLE_SECONDS,
    }


def patient_migrations(*, using: str, **_: Any) -> None:
    """Before migrations (Django's signal `pre_migrate`): they may wait for long transactions, and think in one."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{MIGRATION_LOCK_SECONDS}s'")
        cursor.execute("SET idle_in_transaction_session_timeout = 0")


def keep_private(folder: Path, found: Database) -> None:
    """Closes DATA_DIR and a SQLite file to the machine's other users. SQLite gives its further files the same mode.

    Leaves alone what belongs to another user: the container's platform decides there.
    """
    if folder.is_dir():
        _only_owner(folder, 0o700)
    file = Path(str(found["NAME"]))
    if found["ENGINE"] != SQLITE or ":memory:" in str(file) or not file.parent.is_dir():
        return
    with contextlib.suppress(OSError):
        file.touch(mode=0o600)
    for part in (file, *file.parent.glob(f"{file.name}-*")):
        _only_owner(part, 0o600)


def _only_owner(path: Path, mode: int) -> None:
    with contextlib.suppress(OSError):
        if stat.S_IMODE(path.stat().st_mode) != mode:
            path.chmod(mode)
