"""How long GitHub's webhook takes to answer: 50 signed pushes a second for 20 s, each a new delivery of usual size, while
the web process writes them to the database and enqueues their work. No answer may be an error. The peer is the project's target.

It uses real processes: one of uvicorn, PostgreSQL, Redis.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from ops.bench.whole_deploy import environment, services
from sandbox.bench import progress

RATE, SECONDS = 50, 20
TARGET = 0.1  # of the 99th percentile
CONNECTIONS = 16  # that are kept open, as a proxy does
SECRET = "only-for-the-benchmark"  # noqa: S105
PATIENCE = 120.0


def rows() -> list[dict[str, Any]]:
    """The rows `webhook-p50` and `webhook-p99`. Raises RuntimeError when an answer was no 202. Measured in a child process,
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
            **environment(Path(folder)), "PORT": str(port), "BASE_URL": f"http://127.0.0.1:{port}",
            "GITHUB_WEBHOOK_SECRET": SECRET, "DATABASE_URL": url,
        }  # fmt: skip
        command = [sys.executable, "-m", "ops.bench.webhook", folder]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=variables)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if set(found["statuses"]) != {202} or found["stored"] != len(found["seconds"]):
        raise RuntimeError(f"{found['stored']} of {len(found['seconds'])} stored; {set(found['statuses'])}")
    seconds = sorted(found["seconds"])
    detail = f"{len(seconds)} deliveries at {RATE} a second; the slowest took {seconds[-1]:.3f} s"
    parts = (("p50", statistics.median(seconds)), ("p99", seconds[int(len(seconds) * 0.99)]))
    return [{**row(name, taken), "detail": detail} for name, taken in parts]


def row(name: str, ours: float) -> dict[str, Any]:
    """One line of the table."""
    return {
        "name": f"webhook-{name}", "ours_s": round(ours, 4), "peer": "the project's target for the 99th percentile",
        "peer_s": TARGET, "ratio": round(TARGET / ours, 2),
    }  # fmt: skip


def delivery(port: int) -> bytes:
    """One push as GitHub sends it, as bytes of a request. Twenty commits, each with a few paths."""
    commit = {
        "id": "b" * 40, "message": "Change the colour of the button", "timestamp": "2026-11-27T10:00:00+01:00",
        "author": {"name": "Ana", "email": "ana@example.com"}, "added": [], "removed": [], "modified": ["src/a.py", "src/b.py"],
    }  # fmt: skip
    body = json.dumps(
        {
            "ref": "refs/heads/main", "before": "a" * 40, "after": "b" * 40, "created": False, "deleted": False,
            "forced": False, "head_commit": commit, "commits": [commit] * 20, "sender": {"login": "ana"},
            "repository": {"full_name": "acme/shop", "clone_url": "https://github.com/acme/shop.git"},
        }
    ).encode()  # fmt: skip
    signature = hmac.digest(SECRET.encode(), body, "sha256").hex()
    head = [
        "POST /webhooks/github/ HTTP/1.1", f"Host: 127.0.0.1:{port}", "Content-Type: application/json",
        f"Content-Length: {len(body)}", "X-GitHub-Event: push", f"X-GitHub-Delivery: {uuid.uuid4()}",
        f"X-Hub-Signature-256: sha256={signature}", "", "",
    ]  # fmt: skip
    return "\r\n".join(head).encode() + body


class Sender:
    """Sends deliveries over connections that stay open."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        self.seconds: list[float] = []
        self.statuses: list[int] = []

    async def connect(self) -> None:
        """Opens the connections."""
        for _ in range(CONNECTIONS):
            self.free.put_nowait(await asyncio.open_connection("127.0.0.1", self.port))

    async def send(self) -> None:
        """Sends one and notes its time: from the moment at which it was due, waiting for a connection included."""
        request, began = delivery(self.port), time.perf_counter()
        reader, writer = await self.free.get()
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))
        self.seconds.append(time.perf_counter() - began)
        self.statuses.append(int(head.split()[1]))
        self.free.put_nowait((reader, writer))


async def load(port: int) -> Sender:
    """Sends RATE deliveries a second for SECONDS."""
    sender = Sender(port)
    await sender.connect()
    for _ in range(10):  # the first requests load the code
        await sender.send()
    sender.seconds.clear()
    sender.statuses.clear()
    begin, sent = time.perf_counter(), []
    for number in range(RATE * SECONDS):
        await asyncio.sleep(max(0.0, begin + number / RATE - time.perf_counter()))
        sent.append(asyncio.create_task(sender.send()))
        if number % RATE == 0:
            progress.tell(f"second {number // RATE + 1} of {SECONDS}")
    await asyncio.gather(*sent)
    return sender


def main(folder: Path) -> None:
    """The child: prints what was found as one line of JSON."""
    import django

    django.setup()
    from django.core.management import call_command

    from builds.models import Delivery
    from sandbox import processes

    call_command("migrate", verbosity=0)
    port = int(os.environ["PORT"])
    web = [
        sys.executable, "-m", "uvicorn", "portal.asgi:application", "--port", str(port), "--no-access-log",
        "--no-proxy-headers", "--timeout-graceful-shutdown", "1",
    ]  # fmt: skip
    with services(folder):
        children = [processes.spawn(web, log=folder / "web.log", env=dict(os.environ))]
        try:
            processes.wait_until(lambda: not processes.port_is_free(port), children, seconds=60, what="web")
            sender = asyncio.run(asyncio.wait_for(load(port), PATIENCE))
        finally:
            processes.stop(children, 5)
    stored = Delivery.objects.count() - 10
    sys.stdout.write(
        json.dumps({"seconds": sender.seconds, "statuses": sender.statuses, "stored": stored}) + "\n"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
