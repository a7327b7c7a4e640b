"""Many people at once on PostgreSQL's usual 100 connections: 500 live logs stay open while 50 requests at a time ask for pages,
and 50 clicks on one Deploy button come in the same moment. No answer may be an error.

It uses real processes: two of uvicorn, PostgreSQL, Redis, a Git repository. The peer is the project's target.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from ops.bench.live import prepare_portal, running_deploy
from ops.bench.whole_deploy import environment, services
from sandbox.bench import progress

STREAMS, REQUESTS, ROUNDS = 500, 50, 6
PEOPLE = 25
LIMIT = 5.0  # seconds for a page while 50 are asked for, on two cores
TOKEN = "0123456789abcdefghijklmnopqrstuv"  # noqa: S105  (of a form: cookie and field are compared)
PATIENCE = 120.0


def rows() -> list[dict[str, Any]]:
    """The rows `load-pages` and `load-clicks`. Raises RuntimeError when an answer was an error. Measured in a child process,
    because Django reads its settings once."""
    from sandbox.processes import free_port
    from tests.everything import postgres, postgres_programs

    programs = postgres_programs()
    if programs is None:
        progress.tell("no PostgreSQL server is installed (Debian: postgresql)")
        return []
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder, postgres(programs) as url:
        port = free_port()
        variables = {
            **environment(Path(folder)), "PORT": str(port), "BASE_URL": f"http://127.0.0.1:{port}", "DATABASE_URL": url,
        }  # fmt: skip
        command = [sys.executable, "-m", "ops.bench.load", folder]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=variables)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    bad = {status: count for status, count in found["statuses"].items() if int(status) >= 400}
    if bad:
        raise RuntimeError(f"Errors among the answers (status: number): {bad}")
    detail = f"{found['streams']} live logs open; at most {found['connections']} of 100 connections; {found['statuses']}"
    return [{**row(name, found[name]), "detail": detail} for name in ("pages", "clicks")]


def row(name: str, seconds: list[float]) -> dict[str, Any]:
    """One line of the table: the median of all answers."""
    ours = statistics.median(seconds)
    return {
        "name": f"load-{name}", "ours_s": round(ours, 4), "peer": "the project's target", "peer_s": LIMIT,
        "ratio": round(LIMIT / ours, 2),
    }  # fmt: skip


async def ask(port: int, session: str, path: str, **fields: str) -> tuple[int, float]:
    """Status and seconds of one request on a connection of its own. With fields it is a form."""
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request(port, session, path, fields))
        status = int((await reader.readline()).split()[1])
        await reader.read()
        return status, time.perf_counter() - began
    finally:
        writer.close()


def request(port: int, session: str, path: str, fields: dict[str, str]) -> bytes:
    """The bytes of one request."""
    body = urlencode({**fields, "csrfmiddlewaretoken": TOKEN}) if fields else ""
    head = [
        f"{'POST' if fields else 'GET'} {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Accept: text/html, text/event-stream",
        f"Cookie: sessionid={session}; csrftoken={TOKEN}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    return ("\r\n".join([*head, "", body])).encode()


async def open_stream(port: int, session: str, path: str) -> tuple[int, asyncio.StreamWriter | None]:
    """Opens a live log. Returns its status, and its connection when it is open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request(port, session, path, {}))
    status = int((await reader.readline()).split()[1])
    return status, writer


async def load(port: int, sessions: list[str], number: int) -> dict[str, Any]:
    """Opens the streams, then asks for pages and clicks. Returns the times, all statuses, and the most connections seen."""
    statuses: Counter[int] = Counter()
    connections = [0]
    counting = asyncio.create_task(count_connections(connections))
    progress.tell(f"opening {STREAMS} live logs")
    streams = await asyncio.gather(
        *(
            open_stream(port, sessions[n % PEOPLE], f"/deploys/{number}/stream?after=0")
            for n in range(STREAMS)
        )
    )
    statuses.update(status for status, _ in streams)
    pages = ("/", "/deploys/", f"/deploys/{number}/", "/projects/bench/")
    taken = {"pages": [0.0], "clicks": [0.0]}
    for turn in range(ROUNDS):
        progress.tell(f"round {turn + 1} of {ROUNDS}")
        asked = [ask(port, sessions[n % PEOPLE], pages[n % len(pages)]) for n in range(REQUESTS)]
        taken["pages"] += note(statuses, await asyncio.gather(*asked))
    place = "/projects/bench/bench/deploy/"
    clicks = [ask(port, sessions[n % PEOPLE], place, revision="main", key=f"key{n}") for n in range(REQUESTS)]
    taken["clicks"] += note(statuses, await asyncio.gather(*clicks))
    counting.cancel()
    for _, writer in streams:
        if writer is not None:
            writer.close()
    found = {name: seconds[1:] for name, seconds in taken.items()}
    return {**found, "statuses": dict(statuses), "connections": connections[0], "streams": len(streams)}


def note(statuses: Counter[int], answers: list[tuple[int, float]]) -> list[float]:
    """Counts the statuses and returns the seconds."""
    statuses.update(status for status, _ in answers)
    return [seconds for _, seconds in answers]


async def count_connections(most: list[int]) -> None:
    """Keeps the highest number of connections to the database in `most`."""
    from asgiref.sync import sync_to_async
    from django.db import connection

    def count() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
            return int(cursor.fetchone()[0])

    while True:
        most[0] = max(most[0], await sync_to_async(count)())
        await asyncio.sleep(0.2)


def sessions_of_people() -> list[str]:
    """Sessions of new people who may do everything."""
    from django.test import Client

    from people.models import User

    found = []
    for n in range(PEOPLE):
        client = Client()
        client.force_login(User.objects.create(username=f"person{n}", is_admin=True))
        found.append(str(client.session.session_key))
    return found


def main(folder: Path) -> None:
    """The child: prints what was found as one line of JSON."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import transaction

    from sandbox import processes

    call_command("migrate", verbosity=0)
    port = int(os.environ["PORT"])
    web = [
        sys.executable, "-m", "uvicorn", "portal.asgi:application", "--port", str(port), "--workers", "2", "--no-access-log",
        "--no-proxy-headers", "--timeout-graceful-shutdown", "1",
    ]  # fmt: skip
    with services(folder):
        with transaction.atomic():
            place, repository = prepare_portal(folder)
            repository.commit("v0")
            number = running_deploy(place).number
        sessions = sessions_of_people()
        children = [processes.spawn(web, log=folder / "web.log", env=dict(os.environ))]
        try:
            processes.wait_until(lambda: not processes.port_is_free(port), children, seconds=60, what="web")
            found = asyncio.run(asyncio.wait_for(load(port, sessions, number), PATIENCE * 3))
        finally:
            processes.stop(children, 5)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
