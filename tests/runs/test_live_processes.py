"""The live log over real processes: uvicorn serves the stream, this process is the worker, a real Redis rings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from django.db import connection
from django.test import Client

from core.redactor import Redactor
from deployments.gate.life import LIFE
from projects.models import Role
from runs.fence import Fence
from runs.journal import Journal
from runs.life.ending import end_fenced
from runs.life.hooks import End
from runs.models import State
from tests import redis_server
from tests.factories import grant, make_user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60  # seconds until a test gives up; nothing is measured


def database_url() -> str:
    """The test database, as another process is told of it."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    who = quote(database["USER"]) + (f":{quote(database['PASSWORD'])}" if database["PASSWORD"] else "")
    return f"postgres://{who}@{database['HOST']}:{database['PORT']}/{database['NAME']}"


@contextmanager
def web(redis_url: str) -> Iterator[str]:
    """The portal under uvicorn on a free port; its address."""
    port = redis_server.free_port()
    environment = {**os.environ, "DATABASE_URL": database_url(), "REDIS_URL": redis_url, "PORT": str(port)}
    command = [sys.executable, "-m", "uvicorn", "portal.asgi:application", "--port", str(port)]
    options = ["--no-proxy-headers", "--log-level", "warning", "--timeout-graceful-shutdown", "1"]
    process = subprocess.Popen([*command, *options], cwd=ROOT, env=environment)
    try:
        address = f"http://127.0.0.1:{port}"
        adapter = requests.adapters.HTTPAdapter(
            max_retries=requests.adapters.Retry(40, backoff_factor=0.1, backoff_max=0.5)
        )
        with requests.Session() as session:
            session.mount("http://", adapter)
            assert session.get(f"{address}/healthz", timeout=PATIENCE).text == "ok\n"
        yield address
    finally:
        process.terminate()
        process.wait(20)


def events_of(lines: Iterator[str]) -> Iterator[tuple[str, str, object]]:
    """Id, name and data of each event."""
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield fields.get("id", ""), fields["event"], json.loads(fields["data"])
            fields = {}


def write(fence: Fence, text: str) -> None:
    journal = Journal(fence, Redactor())
    journal.step = "apply"
    journal.line(text)
    journal.flush()


def test_a_line_written_by_another_process_is_on_the_stream(
    fence: Fence, deploy, with_redis: str, client: Client
) -> None:
    user = make_user("vera")
    grant(user, Role.VIEWER, deploy.environment.project)
    client.force_login(user)
    write(fence, "before <anybody> watched")
    cookies = {"sessionid": client.cookies["sessionid"].value}
    with web(with_redis) as address, requests.Session() as session:
        url = f"{address}/deploys/{deploy.number}/stream"
        assert session.get(url, timeout=PATIENCE, headers={"Accept": "text/event-stream"}).status_code == 401
        ask = {"cookies": cookies, "stream": True, "timeout": PATIENCE}
        with session.get(url, headers={"Accept-Encoding": "gzip"}, **ask) as response:
            assert response.headers["Content-Type"] == "text/event-stream"
            assert "Content-Encoding" not in response.headers
            events = events_of(response.iter_lines(decode_unicode=True, chunk_size=1))
            identity, name, data = next(events)
            assert (identity, name) == ("1", "log")
            assert "before &lt;anybody&gt; watched" in data["html"]
            write(fence, "while somebody watches")
            identity, name, data = next(event for event in events if event[1] == "log")
            assert identity == "2"
            assert "while somebody watches" in data["html"]
            assert "before" not in data["html"]
        with session.get(url, headers={"Last-Event-ID": "1"}, **ask) as response:
            events = events_of(response.iter_lines(decode_unicode=True, chunk_size=1))
            assert next(events)[0] == "2"
            end_fenced(LIFE, fence, End(State.SUCCEEDED, "done"))
            assert "end" in {name for _, name, _ in events}
