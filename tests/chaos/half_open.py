"""A TCP proxy that can lose every packet, as a network does that is cut: both ends keep their connections and hear nothing.

The kernel drops the packets before it looks at them (a socket filter), so nothing is acknowledged: keep-alive probes and data
stay unanswered, and new connections time out.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

ATTACH_FILTER, DETACH_FILTER = 26, 27
_DROP_ALL = ctypes.create_string_buffer(
    struct.pack("HBBI", 0x06, 0, 0, 0)
)  # BPF: return 0, which is: no byte of it
_PROGRAM = struct.pack("HL", 1, ctypes.addressof(_DROP_ALL))


class Proxy:
    """Passes connections on to a port of this machine."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._is_cut = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def cut(self) -> None:
        """From now on nothing passes, in either direction."""
        with self._lock:
            self._is_cut = True
            for one in (self._listener, *self._sockets):
                one.setsockopt(socket.SOL_SOCKET, ATTACH_FILTER, _PROGRAM)

    def mend(self) -> None:
        """New connections pass again; the old ones stay lost."""
        with self._lock:
            self._is_cut = False
            self._listener.setsockopt(socket.SOL_SOCKET, DETACH_FILTER, 0)

    def close(self) -> None:
        """Ends it."""
        with self._lock:
            for one in (self._listener, *self._sockets):
                one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                with self._lock:
                    self._sockets += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self._is_cut:
                    return
                sink.sendall(data)
            if not self._is_cut:
                sink.shutdown(socket.SHUT_WR)


@contextmanager
def proxy(target: int) -> Iterator[Proxy]:
    """A proxy for the duration of the block."""
    made = Proxy(target)
    try:
        yield made
    finally:
        made.close()
