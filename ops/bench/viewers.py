"""500 open boards of 60 projects with five environments each, in one web process on PostgreSQL, while a deploy notes 20 changes.

Each viewer has its stream, and asks for the board's part whenever it is told of a change, as the page does. Measured are the time
from the last change until the last board shows it (`viewers-change`, against the project's target), the processor time of the web
process for all of it (`viewers-cpu`, against that of making each of these boards anew, as for a first load, in the same run), the
connections to the database, and the transactions there.
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

from ops.bench.load import ask, request
from ops.bench.secrets import environment
from sandbox.bench import progress

VIEWERS, PEOPLE, CHANGES = 500, 50, 20
BETWEEN = 1.0  # seconds from one change to the next
DEPLOYS = 1500
LIMIT = 30.0
ANEW = 30  # boards that are made anew, for comparison
PATIENCE = 240.0


def rows() -> list[dict[str, Any]]:
    """The rows. Measured in a child process, because Django reads its settings once."""
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
            "REDIS_URL": "redis://127.0.0.1:1/0",
        }  # fmt: skip
        command = [sys.executable, "-m", "ops.bench.viewers", folder]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=variables)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if found["bad"]:
        raise RuntimeError(f"Errors among the answers (status: number): {found['bad']}")
    detail = (
        f"{found['asked']} boards asked for, median {found['median'] * 1000:.0f} ms; {found['kbytes']:.0f} kB each; at most"
        f" {found['connections']} connections; {found['transactions']} transactions, {found['tps']:.0f} per second"
    )
    return [
        {**row("change", found["change"], "the project's target", LIMIT), "detail": detail},
        row("cpu", found["cpu"], "each board made anew", found["anew"]),
    ]


def row(name: str, seconds: float, peer: str, peer_s: float) -> dict[str, Any]:
    """One line of the table."""
    return {
        "name": f"viewers-{name}", "ours_s": round(seconds, 2), "peer": peer, "peer_s": round(peer_s, 2),
        "ratio": round(peer_s / seconds, 2),
    }  # fmt: skip


class Viewers:
    """Open boards. `shown`: of each, the moment of the newest change that its board shows, by the database's
    clock; `last`: when the newest answer was there."""

    def __init__(self, port: int, sessions: list[str]) -> None:
        self.port, self.sessions = port, sessions
        self.statuses: Counter[int] = Counter()
        self.taken: list[float] = []
        self.sizes: list[int] = []
        self.shown: dict[int, float] = {}
        self.last = 0.0
        self.opened = 0

    async def view(self, number: int) -> None:
        """One viewer: opens a stream, and asks for the board at each event."""
        session = self.sessions[number % len(self.sessions)]
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request(self.port, session, "/changes/", {}))
        self.statuses[int((await reader.readline()).split()[1])] += 1
        self.opened += 1
        while line := await reader.readline():
            if line.startswith(b"event: changed"):
                await self.ask(number, session, (await reader.readline())[len(b"data: ") :].strip())

    async def ask(self, number: int, session: str, told: bytes) -> None:
        """Asks for the board's part."""
        began = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        asked = request(self.port, session, "/", {}).replace(
            b"\r\n\r\n",
            b"\r\nHX-Request: true\r\nAccept-Encoding: gzip\r\nSlipway-Told: " + told + b"\r\n\r\n",
            1,
        )
        writer.write(asked)
        self.statuses[int((await reader.readline()).split()[1])] += 1
        self.sizes.append(len(await reader.read()))
        writer.close()
        self.taken.append(time.perf_counter() - began)
        self.shown[number] = float(told)
        self.last = time.perf_counter()


def prepare() -> list[str]:
    """Fills the database. Returns the sessions of people with three kinds of rights."""
    from django.test import Client

    from ops.bench.search import make_deploys, make_places
    from people.models import User
    from projects.models import Membership, Project

    make_deploys(make_places(), range(1, DEPLOYS + 1), DEPLOYS)
    found = []
    for n in range(PEOPLE):
        user = User.objects.create(username=f"viewer{n}", is_admin=n % 3 == 0)
        if n % 3:
            Membership.objects.bulk_create(
                Membership(user=user, project=project, role=("viewer", "deployer")[n % 3 - 1])
                for project in Project.objects.all()
            )
        client = Client()
        client.force_login(user)
        found.append(str(client.session.session_key))
    return found


def note_change(number: int) -> None:
    """What a step of a deploy leaves."""
    from core.changes import note

    note(f"shop{number % 60}")


def last_change() -> float:
    """When the last change was noted, by the database's clock."""
    from core.models import Change

    return Change.objects.latest("pk").at.timestamp()


def state_of_database() -> tuple[int, int]:
    """Connections now, and transactions so far."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
        connections = int(cursor.fetchone()[0])
        cursor.execute("SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database")
        return connections, int(cursor.fetchone()[0])


def seconds_of(pid: int) -> float:
    """The processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(port: int, sessions: list[str], pid: int) -> dict[str, Any]:
    """Opens the boards, notes the changes, and waits until no board is asked for any more."""
    from asgiref.sync import sync_to_async

    viewers = Viewers(port, sessions)
    progress.tell(f"opening {VIEWERS} boards")
    tasks = [asyncio.create_task(viewers.view(number)) for number in range(VIEWERS)]
    while viewers.opened < VIEWERS:
        await asyncio.sleep(0.1)
    await asyncio.sleep(5)
    cpu, began = seconds_of(pid), time.perf_counter()
    most, before = await sync_to_async(state_of_database)()
    progress.tell(f"{CHANGES} changes")
    for number in range(CHANGES):
        await sync_to_async(note_change)(number)
        await asyncio.sleep(BETWEEN)
        most = max(most, (await sync_to_async(state_of_database)())[0])
    changed, noted = time.perf_counter() - BETWEEN, await sync_to_async(last_change)()
    while any(viewers.shown.get(number, 0.0) < noted for number in range(VIEWERS)):
        most = max(most, (await sync_to_async(state_of_database)())[0])
        await asyncio.sleep(0.2)
        if time.perf_counter() > changed + PATIENCE:
            raise RuntimeError(
                f"{sum(at >= noted for at in viewers.shown.values())} of {VIEWERS} boards show it"
            )
    after = (await sync_to_async(state_of_database)())[1]
    took = time.perf_counter() - began
    for task in tasks:
        task.cancel()
    used = seconds_of(pid) - cpu
    anew = await made_anew(port, sessions, pid) * len(viewers.taken)
    return {
        "anew": anew, "change": viewers.last - changed, "cpu": used, "asked": len(viewers.taken),
        "median": statistics.median(viewers.taken), "kbytes": statistics.median(viewers.sizes) / 1000,
        "connections": most, "transactions": after - before, "tps": (after - before) / took,
        "bad": {status: count for status, count in viewers.statuses.items() if status >= 400},
    }  # fmt: skip


async def made_anew(port: int, sessions: list[str], pid: int) -> float:
    """The processor time for a board that is loaded for the first time."""
    await ask(port, sessions[0], "/")
    before = seconds_of(pid)
    for number in range(ANEW):
        status, _ = await ask(port, sessions[number % len(sessions)], "/")
        if status != 200:
            raise RuntimeError(f"The board answered {status}")
    return (seconds_of(pid) - before) / ANEW


def main(folder: Path) -> None:
    """The child: prints what was found as one line of JSON."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import transaction

    from sandbox import processes

    call_command("migrate", verbosity=0)
    with transaction.atomic():
        sessions = prepare()
    port = int(os.environ["PORT"])
    web = [
        sys.executable, "-m", "uvicorn", "portal.asgi:application", "--port", str(port), "--no-access-log",
        "--no-proxy-headers", "--timeout-graceful-shutdown", "1",
    ]  # fmt: skip
    child = processes.spawn(web, log=folder / "web.log", env=dict(os.environ))
    try:
        processes.wait_until(lambda: not processes.port_is_free(port), [child], seconds=60, what="web")
        found = asyncio.run(asyncio.wait_for(measure(port, sessions, child.process.pid), PATIENCE * 3))
    finally:
        processes.stop([child], 5)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    if sys.argv[1:]:
        main(Path(sys.argv[1]))
    else:
        sys.stdout.write("".join(f"{line}\n" for line in rows()))
