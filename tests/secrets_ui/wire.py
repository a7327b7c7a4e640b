"""The line between the portal and the sandbox's AWS: calls can be cut, held, refused, or made to meet at one place."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

PATIENCE = 30.0
Phase = Literal["before", "after"]


@dataclass
class Rule:
    """What happens to the next calls of a name, before AWS hears them or after it has answered. `times`: how many calls."""

    call: str
    phase: Phase
    do: Literal["cut", "hold", "meet", "refuse"]
    times: int = 1_000
    label: str = ""  # only calls that name this label
    code: str = ""
    barrier: threading.Barrier | None = None
    arrived: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    is_lost: bool = False  # what was held is cut then

    def wait_until_one_is_here(self) -> None:
        """Returns once a call is held."""
        assert self.arrived.wait(PATIENCE), f"no {self.call} came"


@dataclass
class Wire:
    """`calls`: the names of all calls so far, in their order."""

    url: str = ""
    rules: list[Rule] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def cut(self, call: str, phase: Phase, times: int = 1_000) -> Rule:
        """The connection ends: before AWS hears the call, or after it has done it."""
        return self._add(Rule(call, phase, "cut", times))

    def hold(self, call: str, phase: Phase = "before", label: str = "") -> Rule:
        """One call waits until the rule's `go` is set."""
        return self._add(Rule(call, phase, "hold", 1, label))

    def meet(self, call: str, parties: int = 2, label: str = "") -> Rule:
        """So many calls wait for each other, and then reach AWS together."""
        return self._add(Rule(call, "before", "meet", parties, label, barrier=threading.Barrier(parties)))

    def refuse(self, call: str, code: str, times: int = 1_000) -> Rule:
        """AWS answers with an error, whose words quote what was sent."""
        return self._add(Rule(call, "before", "refuse", times, code=code))

    def mend(self) -> None:
        """Nothing stands in the way any more."""
        with self.lock:
            for rule in self.rules:
                rule.go.set()
            self.rules.clear()

    def _add(self, rule: Rule) -> Rule:
        with self.lock:
            self.rules.append(rule)
        return rule

    def due(self, call: str, phase: Phase, body: bytes) -> Rule | None:
        """The rule for this call, used up by one."""
        with self.lock:
            for rule in self.rules:
                wanted = (rule.call, rule.phase) == (call, phase) and rule.label.encode() in body
                if wanted and rule.times > 0:
                    rule.times -= 1
                    return rule
        return None


class _Cut(Exception):
    pass


class _Line(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wire: Wire
    target: str

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""

    def do_POST(self) -> None:
        call = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.wire.calls.append(call)
        try:
            if self._stop(call, "before", body):
                return
            status, headers, answer = self._forward(body)
            if self._stop(call, "after", body):
                return
            self._answer(status, headers, answer)
        except _Cut:
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def _stop(self, call: str, phase: Phase, body: bytes) -> bool:
        rule = self.wire.due(call, phase, body)
        if rule is None:
            return False
        if rule.do == "cut":
            raise _Cut
        if rule.do == "refuse":
            said = {"__type": rule.code, "message": f"refused: {body.decode(errors='replace')}"}
            self._answer(400, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(said).encode())
            return True
        if rule.barrier is not None:
            rule.barrier.wait(PATIENCE)
        else:
            rule.arrived.set()
            rule.go.wait(PATIENCE)
        if rule.is_lost:
            raise _Cut
        return False

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        place = urlsplit(self.target)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=PATIENCE)
        try:
            kept = {k: v for k, v in self.headers.items() if k.lower() not in ("connection", "expect")}
            connection.request("POST", self.path, body=body, headers=kept)
            answer = connection.getresponse()
            return answer.status, {"Content-Type": answer.headers.get("Content-Type", "")}, answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)


@contextmanager
def running_wire(target: str) -> Iterator[Wire]:
    """A line to `target` on a free port."""
    wire = Wire()
    handler = type("Line", (_Line,), {"wire": wire, "target": target})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    wire.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield wire
    finally:
        wire.mend()
        server.shutdown()
        server.server_close()
        thread.join(5)
