"""Shared by the sandbox's small HTTP servers: a handler without logs and a threaded server on 127.0.0.1."""

from __future__ import annotations

import http.server
import json
from typing import Any


class Handler(http.server.BaseHTTPRequestHandler):
    """A handler that keeps connections open, writes answers at once and logs nothing."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # without it each answer waits 40 ms for the client's delayed ACK
    wbufsize = 65536

    def log_message(self, format: str, *args: Any) -> None:
        return

    def body(self) -> bytes:
        """The request's body, plain or in chunks."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._chunks()
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunks(self) -> bytes:
        parts: list[bytes] = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        """Sends one whole answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def answer_json(self, body: object) -> None:
        """Sends one JSON answer."""
        self.answer(200, json.dumps(body).encode(), {"Content-Type": "application/json; charset=utf-8"})


class Server(http.server.ThreadingHTTPServer):
    """A threaded server on 127.0.0.1. Raises OSError when the port is taken; port 0 takes a free one."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, handler: type[Handler]) -> None:
        super().__init__(("127.0.0.1", port), handler)
