"""The kubelet's own server, as far as `kubectl logs` needs it: `/containerLogs/{namespace}/{pod}/{container}`.

The API server finds it by the address and port in the Node's status and does not check its certificate. One server
serves all played nodes. It listens on 127.0.0.1 only and tells logs to anyone there: they are played, too.
"""

from __future__ import annotations

import datetime
import http.server
import ssl
import tempfile
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sandbox.cluster.certificates import make_authority, make_certificate
from sandbox.node.clock import now, parse
from sandbox.node.logs import Logs, Wanted
from sandbox.node.pods import Container, Pod

FindPod = Callable[[str, str], Pod | None]


class _Refused(Exception):
    """What the kubelet answers instead of a log."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class LogServer(http.server.ThreadingHTTPServer):
    """Serves logs over TLS with a certificate made for this run."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, find: FindPod, logs: Logs) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.find = find
        self.logs = logs
        self._tls = _own_certificate()

    @property
    def port(self) -> int:
        return self.server_address[1]

    def start(self) -> None:
        """Returns at once; the thread ends with the process."""
        threading.Thread(target=self.serve_forever, args=(3600,), name="logs", daemon=True).start()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the connection's own thread, so that a slow handshake holds up nobody else."""
        request.settimeout(30)
        try:
            with self._tls.wrap_socket(request, server_side=True) as secure:
                _Handler(secure, client_address, self)
        except (OSError, ssl.SSLError):
            return  # the reader has left, or was no TLS client


class _Handler(http.server.BaseHTTPRequestHandler):
    """One connection of the API server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: LogServer

    def do_GET(self) -> None:
        """A log, or the kubelet's refusal as plain text."""
        url = urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        query = {k: v[-1] for k, v in parse_qs(url.query).items()}
        if parts == ["healthz"]:
            self._answer(200, "ok")
        elif len(parts) == 4 and parts[0] == "containerLogs":
            try:
                self._send_log(parts[1], parts[2], parts[3], query)
            except _Refused as refusal:
                self._answer(refusal.status, str(refusal))
        else:
            self._answer(404, "404 page not found\n")

    def _send_log(self, namespace: str, name: str, container_name: str, query: dict[str, str]) -> None:
        pod = self.server.find(namespace, name)
        if pod is None:
            raise _Refused(404, f'pod "{name}" does not exist\n')
        container = pod.find(container_name)
        if container is None:
            raise _Refused(404, f'container "{container_name}" not found in pod "{name}"\n')
        wanted = _wanted(query, _previous_run(pod, container, query.get("previous") == "true"))
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for text in self.server.logs.read(pod.uid, container.name, wanted):
            self._chunk(text.encode())
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, data: bytes) -> None:
        """An empty text writes nothing, but notices (by `_gone`) that the reader has left."""
        if data:
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()
        elif self._gone():
            raise ConnectionResetError("the reader has left")

    def _gone(self) -> bool:
        """Whether the other side has closed: nothing is expected from it while it reads."""
        self.connection.settimeout(0.01)
        try:
            return self.connection.recv(1) == b""
        except TimeoutError:
            return False
        finally:
            self.connection.settimeout(30)

    def _answer(self, status: int, text: str) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged."""


def _previous_run(pod: Pod, container: Container, previous: bool) -> bool:
    """Whether the run before the newest is meant. Raises _Refused when there is no log, as a kubelet does.

    While a container waits to be started again, its newest run is at once the current and the previous one
    (pkg/kubelet/kubelet_pods.go: validateContainerLogStatus).
    """
    waiting, ended_before = container.state.get("waiting"), bool(container.last_state)
    if previous:
        if not ended_before:
            raise _Refused(
                400, f'previous terminated container "{container.name}" in pod "{pod.name}" not found'
            )
        return waiting is None
    if waiting is not None and not ended_before:
        reason = {
            "ErrImagePull": "image can't be pulled",
            "ImagePullBackOff": "trying and failing to pull image",
        }.get(waiting["reason"], waiting["reason"])
        raise _Refused(400, f'container "{container.name}" in pod "{pod.name}" is waiting to start: {reason}')
    return False


def _wanted(query: dict[str, str], previous: bool) -> Wanted:
    since = parse(query["sinceTime"]) if "sinceTime" in query else None
    if "sinceSeconds" in query:
        since = now() - datetime.timedelta(seconds=int(query["sinceSeconds"]))
    return Wanted(
        follow=query.get("follow") == "true" and not previous,
        previous=previous,
        timestamps=query.get("timestamps") == "true",
        tail=int(query.get("tailLines", "-1")),
        since=since,
        limit_bytes=int(query.get("limitBytes", "0")),
    )


def _own_certificate() -> ssl.SSLContext:
    pair = make_certificate(make_authority("played-kubelets"), common_name="kubelet", names=("127.0.0.1",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:  # ssl reads certificates from files only
        file.write(pair.certificate + pair.key)
        file.flush()
        context.load_cert_chain(file.name)
    return context
