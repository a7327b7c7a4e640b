"""Reads the database of a running sandbox, as the pages do not show it: SQLite or PostgreSQL, with the same answers to tests."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg.rows import dict_row
from psycopg.types.string import TextLoader


def is_postgresql(url: str) -> bool:
    """Whether the address names a PostgreSQL database."""
    return url.startswith("postgres")


def select(url: str, query: str, *values: object) -> list[dict[str, Any]]:
    """What a SELECT finds. `query` has `?` for values. JSON stays text, as SQLite has it."""
    if is_postgresql(url):
        with connected(url) as connection:
            return connection.execute(query.replace("%", "%%").replace("?", "%s"), values).fetchall()
    with closing(sqlite3.connect(f"file:{file_of(url)}?mode=ro", uri=True, timeout=20)) as found:
        found.row_factory = sqlite3.Row
        return [dict(row) for row in found.execute(query, values)]


def now(url: str) -> object:
    """The database's time, to compare with columns."""
    postgresql = is_postgresql(url)
    query = "SELECT now() AS now" if postgresql else "SELECT strftime('%Y-%m-%d %H:%M:%S', 'now') AS now"
    return select(url, query)[0]["now"]


@contextmanager
def connected(url: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """A connection to PostgreSQL that commits each statement."""
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        for name in ("json", "jsonb"):
            connection.adapters.register_loader(name, TextLoader)
        yield connection


def file_of(url: str) -> Path:
    """The file of a SQLite database."""
    return Path(url.removeprefix("sqlite:///"))


def make_database(server: str, name: str) -> None:
    """Makes a database on a PostgreSQL server."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[call-overload]


def address(server: str, name: str) -> str:
    """The address of a server's database of that name."""
    return urlsplit(server)._replace(path=f"/{name}").geturl()


def drop_database(server: str, name: str) -> None:
    """Drops it, whoever is connected."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')  # type: ignore[call-overload]


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Nobody else can write during the block."""
    if not is_postgresql(url):
        with closing(sqlite3.connect(file_of(url), timeout=20, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")
        return
    with psycopg.connect(url) as other:
        for table in ("projects_environment", "deployments_deploy"):
            other.execute(f'LOCK TABLE "{table}" IN EXCLUSIVE MODE')  # type: ignore[call-overload]
        yield
        other.rollback()


def may_be_written(url: str) -> bool:
    """Whether nobody keeps others from writing for long. Always on PostgreSQL."""
    if is_postgresql(url):
        return True
    with closing(sqlite3.connect(file_of(url), timeout=0.5, isolation_level=None)) as other:
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        other.execute("ROLLBACK")
        return True


def cells(url: str) -> Iterator[tuple[str, list[bytes]]]:
    """Each table with the text of all its cells."""
    if is_postgresql(url):
        yield from _cells_of_postgresql(url)
        return
    with closing(sqlite3.connect(f"file:{file_of(url)}?mode=ro", uri=True, timeout=20)) as connection:
        connection.text_factory = bytes
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for table in [row[0].decode() for row in names]:
            rows = connection.execute(f'SELECT * FROM "{table}"')
            yield table, [cell for row in rows for cell in row if isinstance(cell, bytes)]


def _cells_of_postgresql(url: str) -> Iterator[tuple[str, list[bytes]]]:
    names = select(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for table in [row["tablename"] for row in names]:
        rows = [row.values() for row in select(url, f'SELECT * FROM "{table}"')]
        texts = (cell for row in rows for cell in row)
        yield (
            table,
            [
                cell if isinstance(cell, bytes) else str(cell).encode()
                for cell in texts
                if isinstance(cell, bytes | str)
            ],
        )


def dump(url: str) -> bytes:
    """The whole PostgreSQL database as `pg_dump` writes it."""
    return subprocess.run(["pg_dump", url], check=True, capture_output=True, timeout=120).stdout
