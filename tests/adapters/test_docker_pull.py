"""Pulling an image for the cache, from an engine that is played over HTTP: what it says, and what ends the wait."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from adapters.docker.engine import Engine
from adapters.docker.wire import Stopper
from adapters.errors import ExternalError, TimedOut

LOGIN = ("AWS", "word")


class Played(ThreadingHTTPServer):
    """An engine. `lines`: what a pull says; `status`: of its answer; `hangs`: it then says nothing for so many seconds."""

    daemon_threads = True
    lines: tuple[dict[str, Any], ...] = ({"status": "Pulling"}, {"status": "Done"})
    status = 200
    hangs = 0.0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str]] = []
        self.began = threading.Event()

    @property
    def engine(self) -> Engine:
        return Engine(f"tcp://127.0.0.1:{self.server_port}", timeout=5)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Played

    def log_message(self, *_: Any) -> None:
        return

    def do_GET(self) -> None:
        self._begin(200)
        self._piece(json.dumps({"ApiVersion": "1.41", "Version": "20.10.24"}).encode())
        self._piece(b"")

    def do_POST(self) -> None:
        self.close_connection = True
        self.server.asked.append((self.path, self.headers.get("X-Registry-Auth", "")))
        self._begin(self.server.status)
        for one in self.server.lines:
            self._piece(json.dumps(one).encode() + b"\r\n")
        self.server.began.set()
        time.sleep(self.server.hangs)
        self._piece(b"")

    def _begin(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _piece(self, data: bytes) -> None:
        """A piece of the answer, as the engine sends them; an empty one ends it."""
        with contextlib.suppress(OSError):
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()


@pytest.fixture
def played() -> Iterator[Played]:
    made = Played()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def pull(played: Played, stopper: Stopper | None = None, silence: float = 5.0) -> bool:
    return played.engine.pull("r.example/web", "branch-main", LOGIN, stopper or Stopper(), silence=silence)


def test_an_image_that_the_registry_gives(played: Played) -> None:
    assert pull(played)
    ((path, credential),) = played.asked
    assert path == "/v1.41/images/create?fromImage=r.example%2Fweb&tag=branch-main"
    assert json.loads(base64.urlsafe_b64decode(credential)) == {"username": "AWS", "password": "word"}


def test_an_image_that_is_not_there_is_no_error(played: Played) -> None:
    played.lines = ({"status": "Pulling"}, {"error": "manifest unknown"})
    assert not pull(played)
    played.lines, played.status = ({"message": "not found"},), 404
    assert not pull(played)


def test_an_engine_that_falls_silent_is_not_waited_for(played: Played) -> None:
    played.hangs = 60.0
    began = time.monotonic()
    with pytest.raises(TimedOut):
        pull(played, silence=0.3)
    assert time.monotonic() - began < 40


def test_a_stop_ends_the_wait(played: Played) -> None:
    played.hangs = 10.0
    stopper, found = Stopper(), list[BaseException]()

    def work() -> None:
        try:
            pull(played, stopper, silence=60)
        except ExternalError as error:
            found.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert played.began.wait(60)
    time.sleep(0.2)  # the answer's begin is read
    stopper.stop()
    thread.join(60)
    assert not thread.is_alive()
    assert len(found) == 1
