"""How the database is reached: bounded waits on PostgreSQL, one pool in a web process, a private file of SQLite."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.utils import InternalError
from django.test import override_settings

from core.lost import lost_its_connection
from portal.database import (
    MIGRATION_LOCK_SECONDS,
    database,
    keep_private,
    patient_migrations,
    use_pool,
)

URL = "postgres://slipway:secret@db.example:5432/slipway"
only_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql",
    reason="PostgreSQL has these settings (tests/everything.py runs this there)",
)


def shown(name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW {name}")
        return str(cursor.fetchone()[0])


def test_the_address_can_say_otherwise() -> None:
    options = database(f"{URL}?connect_timeout=3&sslmode=require")["OPTIONS"]
    assert options["connect_timeout"] == 3
    assert options["sslmode"] == "require"
    assert options["tcp_user_timeout"] == 30_000


def test_a_web_process_has_one_pool() -> None:
    found = database(URL)
    use_pool(found, 7)
    assert found["CONN_MAX_AGE"] == 0
    assert found["OPTIONS"]["pool"]["max_size"] == 7
    sqlite = database("sqlite:////tmp/x.sqlite3")
    use_pool(sqlite, 7)
    assert "pool" not in sqlite["OPTIONS"]


def test_a_sqlite_file_and_its_folder_are_the_owners(tmp_path: Path) -> None:
    folder, file = tmp_path / "data", tmp_path / "data" / "slipway.sqlite3"
    folder.mkdir(mode=0o755)
    keep_private(folder, database(f"sqlite:///{file}"))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for old in (file, folder / "slipway.sqlite3-wal"):  # made by an earlier version
        old.touch()
        old.chmod(0o644)
    keep_private(folder, database(f"sqlite:///{file}"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_a_folder_that_is_missing_is_not_made(tmp_path: Path) -> None:
    """Commands that store nothing, such as newkeys, leave no trace."""
    keep_private(tmp_path / "data", database(f"sqlite:///{tmp_path}/data/slipway.sqlite3"))
    assert not list(tmp_path.iterdir())


@only_postgresql
@pytest.mark.django_db(transaction=True)
class TestLimits:
    def test_each_connection_has_them(self) -> None:
        connection.close()  # this one has migrated the test database
        assert shown("idle_in_transaction_session_timeout") == "30s"
        assert shown("lock_timeout") == "30s"
        assert shown("tcp_user_timeout") in {"30000", "0"}
        assert shown("tcp_keepalives_idle") == "15"

    def test_migrations_wait_longer(self) -> None:
        patient_migrations(using="default")
        assert shown("lock_timeout") == f"{MIGRATION_LOCK_SECONDS // 60}min"
        assert shown("idle_in_transaction_session_timeout") == "0"
        connection.close()


@only_postgresql
@pytest.mark.django_db(transaction=True)
def test_migrate_tells_its_connection_so() -> None:
    call_command("migrate", verbosity=0)
    assert shown("lock_timeout") == "5min"
    connection.close()


@only_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_process_that_stands_still_in_a_transaction_gives_its_locks_back() -> None:
    """Its next statement fails; nobody waits for it for ever."""
    from django.db import transaction

    from people.models import User
    from tests.factories import make_user

    user = make_user("ana")
    with connection.cursor() as cursor:
        cursor.execute("SET idle_in_transaction_session_timeout = '200ms'")
    with pytest.raises(InternalError) as lost, transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        time.sleep(1)
        User.objects.count()
    assert lost_its_connection(lost.value)
    assert not lost_its_connection(InternalError("current transaction is aborted"))
    connection.close()
    assert User.objects.count() == 1


def test_weak_keys_stop_the_start() -> None:
    from django.core.checks import run_checks

    for name in ("DIGEST_KEY", "SECRET_KEY"):
        for weak in ("x", "x" * 64, "abcabcabcabcabcabcabcabc"):
            with override_settings(**{name: weak}):
                assert [message.id for message in run_checks()] == ["slipway.E004"], (name, weak)
