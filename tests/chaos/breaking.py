"""Ways to break one part of the sandbox for a while. Each ends only processes of the sandbox, by their ids."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.e2e import database
from tests.e2e.running import Running, answers, until

Answer = Callable[[BaseHTTPRequestHandler, bytes], tuple[int, bytes]]


def kill(pid: int) -> None:
    """As the kernel does when memory runs out: no last words."""
    os.kill(pid, signal.SIGKILL)
    until(f"process {pid} is gone", lambda: not is_running(pid) or None, 20, pause=0.02)


def kill_service(pid: int, port: int) -> None:
    """Kills it and waits until nobody listens any more: the threads of a dead process may hold its port for a moment."""
    kill(pid)
    until(f"nobody listens on port {port}", lambda: not answers(port) or None, 20, pause=0.01)


def is_running(pid: int) -> bool:
    """Whether it exists and is more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def parent_of(pid: int) -> int:
    """The process that started it."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def horse_of(sandbox: Running, number: int) -> int:
    """The process that works on a deploy: its row names host and process."""
    return int(sandbox.deploy(number)["worker"].rpartition(":")[2])


@contextmanager
def silent(pid: int) -> Iterator[None]:
    """A process that is there but answers nobody: stopped."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def gone(pid: int, port: int) -> Iterator[None]:
    """A service that is killed and cannot come back for as long as its port is taken: nobody answers there.

    Whoever leaves finds it running again.
    """
    kill(pid)
    with listener(port) as taken:
        closing = threading.Thread(target=_hang_up, args=(taken,), daemon=True)
        closing.start()
        try:
            yield
        finally:
            with suppress(OSError):
                taken.shutdown(socket.SHUT_RDWR)
            closing.join(5)
            taken.close()
            is_back(port)


def listener(port: int) -> socket.socket:
    """Takes the port before the one who was killed is started again."""
    deadline = time.monotonic() + 60
    while True:
        taken = socket.socket()
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", port))
            taken.listen(64)
            return taken
        except OSError:
            taken.close()
            assert time.monotonic() < deadline, f"port {port} was not free"
            time.sleep(0.01)


def _hang_up(taken: socket.socket) -> None:
    with suppress(OSError):
        while True:
            taken.accept()[0].close()


@contextmanager
def impostor(pid: int, port: int, answer: Answer) -> Iterator[None]:
    """Somebody else answers at the address of a service that was killed. `answer`: request, body → status, body."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, data = answer(self, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_HEAD = _any

        def log_message(self, *_: object) -> None:
            """Quiet."""

    kill(pid)
    taken = listener(port)
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = taken
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
        is_back(port)


def is_back(port: int) -> None:
    """Waits until a service listens again: the sandbox starts what ended, with growing pauses."""
    until(f"somebody listens on port {port} again", lambda: answers(port) or None, 60)


def stop(database_url: str, pid: int) -> None:
    """Stops a process. On SQLite outside of a transaction: in one, it would keep everybody out until it is woken. PostgreSQL
    ends such a transaction by itself."""
    while True:
        os.kill(pid, signal.SIGSTOP)
        if database.may_be_written(database_url):
            return
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.05)
