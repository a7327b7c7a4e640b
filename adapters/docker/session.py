"""A session with BuildKit: while it builds, the engine asks us for secrets and for credentials of registries.

The engine calls back, over a connection that we open, by gRPC: HTTP/2 in which we are the server. So the values stay in the
memory of this process: no file, no argument, no environment, and nothing in the image.
"""

from __future__ import annotations

import struct
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from adapters.docker import protobuf
from adapters.docker.wire import Line, Wire
from adapters.errors import ExternalError

_ONE_SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret"  # noqa: S105 - a method's name
_CREDENTIALS = "/moby.filesync.v1.Auth/Credentials"
_HEALTH = "/grpc.health.v1.Health/Check"
_SERVING = 1
_NOT_FOUND, _UNIMPLEMENTED = "5", "12"  # status codes of gRPC
# A registry is named by its address; of Docker Hub BuildKit asks under another name than Dockerfiles use.
_HUB = {"registry-1.docker.io": "docker.io", "index.docker.io": "docker.io"}

Login = tuple[str, str]  # user name, password


@dataclass(frozen=True)
class Offer:
    """What a build may ask for: values of secrets by their id, and credentials by the host of a registry."""

    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    logins: Mapping[str, Login] = field(default_factory=dict, repr=False)


class Session:
    """Answers the engine in a thread until it is closed. Use as a context manager; `id` goes with the build."""

    def __init__(self, wire: Wire, offer: Offer) -> None:
        self.id = uuid.uuid4().hex
        self._wire, self._offer = wire, offer
        self._line: Line | None = None
        self._calls: dict[int, tuple[str, bytearray]] = {}
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))

    def __enter__(self) -> Session:
        headers = [("X-Docker-Expose-Session-Uuid", self.id), ("X-Docker-Expose-Session-Name", "slipway")]
        headers += [
            ("X-Docker-Expose-Session-Grpc-Method", name) for name in (_ONE_SECRET, _CREDENTIALS, _HEALTH)
        ]
        self._line = self._wire.upgrade("/session", headers)
        threading.Thread(target=self._serve, name="buildkit-session", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._line is not None:
            self._line.close()

    def _serve(self) -> None:
        """Answers calls until the connection ends, whoever ends it: then the build ends with its own error."""
        assert self._line is not None  # noqa: S101 - made before the thread; tells the type checker
        try:
            self._h2.initiate_connection()
            self._line.send(self._h2.data_to_send())
            while data := self._line.receive():
                for event in self._h2.receive_data(data):
                    self._take(event)
                self._line.send(self._h2.data_to_send())
        except (OSError, ValueError, ExternalError, h2.exceptions.H2Error):
            return
        finally:
            self._line.release()

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            headers = {_text(name): _text(value) for name, value in event.headers or ()}
            self._calls[event.stream_id] = (headers.get(":path", ""), bytearray())
        elif isinstance(event, h2.events.DataReceived):
            self._calls[event.stream_id][1].extend(event.data or b"")
            self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self._calls.pop(event.stream_id, None)
        elif isinstance(event, h2.events.StreamEnded):
            path, body = self._calls.pop(event.stream_id)
            self._answer(event.stream_id, *self._called(path, bytes(body[5:])))

    def _called(self, path: str, message: bytes) -> tuple[bytes, str]:
        """The answer to a call: its message, and gRPC's status code."""
        answers: dict[str, Callable[[bytes], bytes | None]] = {
            _ONE_SECRET: self._secret, _CREDENTIALS: self._credentials,
            _HEALTH: lambda _: protobuf.encoded_number(1, _SERVING),
        }  # fmt: skip
        if path not in answers:
            return b"", _UNIMPLEMENTED
        answer = answers[path](message)
        return (b"", _NOT_FOUND) if answer is None else (answer, "0")

    def _secret(self, message: bytes) -> bytes | None:
        value = self._offer.secrets.get(protobuf.text(message, 1))
        return None if value is None else protobuf.encoded(1, value)

    def _credentials(self, message: bytes) -> bytes:
        """The credential for a registry; none for one that we know nothing of, which may be public."""
        host = protobuf.text(message, 1)
        login = self._offer.logins.get(_HUB.get(host, host))
        if login is None:
            return b""
        return protobuf.encoded(1, login[0].encode()) + protobuf.encoded(2, login[1].encode())

    def _answer(self, stream: int, message: bytes, status: str) -> None:
        """Sends one answer. Secrets are at most 500 kB (BuildKit's limit), so they are sent in frames as the window allows."""
        self._h2.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
        if status == "0":
            self._send(stream, b"\0" + struct.pack(">I", len(message)) + message)
        self._h2.send_headers(stream, [("grpc-status", status), ("grpc-message", "")], end_stream=True)

    def _send(self, stream: int, data: bytes) -> None:
        while data:
            room = min(
                self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size, len(data)
            )
            if room > 0:
                self._h2.send_data(stream, data[:room])
                data = data[room:]
                continue
            self._line_or_fail().send(self._h2.data_to_send())
            received = self._line_or_fail().receive()
            if not received:
                raise OSError("the engine has gone")
            for event in self._h2.receive_data(received):
                self._take(event)

    def _line_or_fail(self) -> Line:
        if self._line is None:
            raise OSError("the session has ended")
        return self._line


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
