"""The connection to a Docker engine: the SDK's client, and what it lacks: answers that another thread can end, and upgrades.

Only this module uses private parts of the SDK (docker 7): its addresses, its reading of streams, and the socket of an answer.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import docker
import requests
from docker.tls import TLSConfig
from urllib3 import HTTPHeaderDict

from adapters.docker.faults import SYSTEM, engine_errors, not_there
from adapters.errors import Unavailable

TIMEOUT = 30.0


class Stopper:
    """Ends what is under way at the engine, from another thread: the engine gives up a build or push whose connection ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: list[Line] = []
        self._event = threading.Event()

    @property
    def is_set(self) -> bool:
        """Whether it was stopped."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Waits, until a stop at most. Returns whether it was stopped."""
        return self._event.wait(seconds)

    def stop(self) -> None:
        """Ends it. What begins later is ended at once."""
        with self._lock:
            self._event.set()
            lines, self._lines = self._lines, []
        for line in lines:
            line.close()

    def watch(self, line: Line) -> Line:
        """The line, which a stop ends from now on."""
        with self._lock:
            self._lines.append(line)
        if self.is_set:
            line.close()
        return line

    def check(self) -> None:
        """Raises Unavailable after a stop."""
        if self.is_set:
            raise Unavailable("It was stopped.", system=SYSTEM)


class Line:
    """The answer to one request, as it comes."""

    def __init__(self, client: docker.APIClient, response: requests.Response) -> None:
        self._client, self._response = client, response
        self._socket: socket.socket | None = _socket_of(response)

    def objects(self) -> Iterator[dict[str, Any]]:
        """The JSON objects of the answer, as they come."""
        yield from self._client._stream_helper(self._response, decode=True)

    def send(self, data: bytes) -> None:
        """Sends bytes over an upgraded connection. Raises OSError."""
        if self._socket is None:
            raise OSError("the connection has ended")
        if data:
            self._socket.sendall(data)

    def receive(self) -> bytes:
        """The next bytes of an upgraded connection; none at its end. Raises OSError."""
        data: bytes = self._response.raw._fp.fp.read1(65536)
        return data

    def release(self) -> None:
        """Ends the connection and gives it back. For the thread that reads from it."""
        self.close()
        with contextlib.suppress(Exception):  # what is cut off in the middle may not like it
            self._response.close()

    def close(self) -> None:
        """Ends the connection, also while another thread reads from it."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def _socket_of(response: requests.Response) -> socket.socket | None:
    raw = getattr(getattr(response.raw._fp, "fp", None), "raw", None)
    found: socket.socket | None = getattr(raw, "_sock", raw)
    return found


class Wire:
    """One engine. `host`: as in DOCKER_HOST; `certificates`: the folder of the files for TLS, as in DOCKER_CERT_PATH. The first
    call connects. Raises ExternalError."""

    def __init__(self, host: str, certificates: str = "", *, timeout: float = TIMEOUT) -> None:
        self.host, self._certificates, self._timeout = host, certificates, timeout
        self._kept: docker.APIClient | None = None
        self._lock = threading.Lock()

    @property
    def client(self) -> docker.APIClient:
        """The SDK's client of this process."""
        with self._lock:
            if self._kept is None:
                self._kept = self._connected()
            return self._kept

    def _connected(self) -> docker.APIClient:
        path = self.host.removeprefix("unix://")
        if path != self.host and not os.path.exists(path):
            raise not_there(self.host)
        with engine_errors(self.host, "connect"):
            return docker.APIClient(
                base_url=self.host, version="auto", timeout=self._timeout, tls=self._tls(), credstore_env={}
            )

    def _tls(self) -> TLSConfig | bool:
        if not self._certificates:
            return False
        folder = Path(self._certificates)
        pair = (str(folder / "cert.pem"), str(folder / "key.pem"))
        return TLSConfig(client_cert=pair, ca_cert=str(folder / "ca.pem"), verify=True)

    def open(
        self, path: str, *, params: Mapping[str, str], headers: Mapping[str, str], stopper: Stopper, silence: float,
        body: Iterable[bytes] = (),
    ) -> Line:  # fmt: skip
        """Posts, and returns the answer as it comes. `silence`: seconds without a word from the engine. Raises the exceptions of
        the SDK and of the connection: call it in `engine_errors`."""
        client = self.client
        response = client.post(
            client._url(path), params=dict(params), headers=dict(headers), data=iter(body), stream=True,
            timeout=(self._timeout, silence),
        )  # fmt: skip
        line = stopper.watch(Line(client, response))
        client._raise_for_status(response)
        return line

    def upgrade(self, path: str, headers: Sequence[tuple[str, str]]) -> Line:
        """Opens a connection that both sides write to, as HTTP/2. A header may stand there more than once."""
        client = self.client
        with engine_errors(self.host, "open a session"):
            request = client.prepare_request(requests.Request("POST", client._url(path)))
            # Of requests' own headers each stands there once only.
            more = {"Connection": "Upgrade", "Upgrade": "h2c", "Content-Length": "0"}
            request.headers = HTTPHeaderDict([*more.items(), *headers])
            response = client.send(request, stream=True, timeout=(self._timeout, None))
            if response.status_code != requests.codes.switching_protocols:
                client._raise_for_status(response)
            return Line(client, response)
