"""Listens to everything that Redis is told (MONITOR), over its restarts, and keeps what it heard."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass
class RedisTap:
    """Use as a context manager. `heard()`: all commands so far, as Redis prints them."""

    port: int
    _pieces: list[bytes] = field(default_factory=list)
    _closing: threading.Event = field(default_factory=threading.Event)
    _socket: socket.socket | None = None

    def __enter__(self) -> RedisTap:
        self._thread = threading.Thread(target=self._listen, name="redis-tap", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)

    def heard(self) -> bytes:
        """Everything so far."""
        return b"".join(self._pieces)

    def _listen(self) -> None:
        while not self._closing.is_set():
            with (
                suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection,
            ):
                connection.settimeout(None)
                self._socket = connection
                connection.sendall(b"MONITOR\r\n")
                while piece := connection.recv(1 << 16):
                    self._pieces.append(piece)
            self._closing.wait(0.2)
