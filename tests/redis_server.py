"""A real Redis for tests: on a free port, in memory, stopped afterwards."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis


@contextmanager
def running(port: int = 0) -> Iterator[str]:
    """Runs a Redis server during the block. Yields its URL. Skips the test when none is installed."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server is installed (Debian: redis-server)")
    port = port or free_port()
    options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"]
    server = subprocess.Popen(
        [program, "--port", str(port), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(10)


def free_port() -> int:
    """A free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    """Waits until Redis answers. Raises TimeoutError after 30 s."""
    deadline = time.monotonic() + 60
    with redis.Redis(port=port) as client:
        while True:
            try:
                client.ping()
                return
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
