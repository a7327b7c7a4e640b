"""The other sides that the adapters talk to: Git over HTTP with a password, a stub HTTP server, moto."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest

TOKEN = "canary-token-7f3a"
_AUTHOR = {
    "GIT_AUTHOR_NAME": "Ana",
    "GIT_AUTHOR_EMAIL": "ana@example.com",
    "GIT_COMMITTER_NAME": "Ana",
    "GIT_COMMITTER_EMAIL": "ana@example.com",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}


@dataclass
class Origin:
    """A repository as a team has it: a working copy to commit in and a bare one that is served."""

    work: Path
    bare: Path
    clock: int = 1_700_000_000

    def git(self, *args: str, cwd: Path | None = None) -> str:
        """Run Git in the working copy; each call is a minute later than the one before."""
        self.clock += 60
        dates = {"GIT_AUTHOR_DATE": f"{self.clock} +0100", "GIT_COMMITTER_DATE": f"{self.clock} +0100"}
        done = subprocess.run(
            ["git", *args],
            cwd=cwd or self.work,
            env={**os.environ, **_AUTHOR, **dates},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def write(self, path: str, content: str | bytes) -> None:
        """Put a file into the working copy."""
        place = self.work / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self, subject: str, files: dict[str, str | bytes] | None = None, *, push: bool = True) -> str:
        """Commit (and push) everything; returns the commit."""
        for path, content in (files or {}).items():
            self.write(path, content)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", subject)
        if push:
            self.push()
        return self.git("rev-parse", "HEAD")

    def import_commits(self, count: int) -> list[str]:
        """Add many empty commits on a branch `many`, in one process; returns them."""
        who = "Ana <ana@example.com>"
        rows = [
            f"commit refs/heads/many\ncommitter {who} {self.clock + n} +0000\ndata 1\nx\n"
            for n in range(count)
        ]
        command = ["git", "fast-import", "--quiet"]
        subprocess.run(command, cwd=self.work, input="".join(rows).encode(), check=True)
        return self.git("rev-list", "many").split()

    def push(self) -> None:
        """Make the bare repository equal to the working copy: branches and tags, also deleted ones."""
        self.git("push", "-q", "--mirror", str(self.bare))


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    """A repository with two commits on `main`; the config directory is `kubernetes/staging`."""
    made = Origin(tmp_path / "work", tmp_path / "served" / "shop.git")
    made.work.mkdir()
    made.bare.parent.mkdir()
    made.git("init", "-q", "-b", "main")
    made.git("init", "-q", "--bare", "-b", "main", str(made.bare))
    made.commit("First", {"README.md": "hello\n"})
    made.commit(
        "Add manifests",
        {"kubernetes/staging/web.yaml": "kind: Service\n", "kubernetes/staging/sub/x.yaml": "x\n"},
    )
    return made


@dataclass
class GitServer:
    """`git http-backend` on 127.0.0.1, asking for a token. `answer` replaces it by a fixed answer."""

    url: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    answer: Callable[[dict[str, Any], Any], list[bytes]] | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    also: set[str] = field(default_factory=set)  # further tokens that it takes


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        return


def _backend(root: Path, environ: dict[str, Any], start: Any) -> list[bytes]:
    keep = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE")
    env = {**os.environ, **{name: environ.get(name, "") for name in keep}}
    env |= {"GIT_PROJECT_ROOT": str(root), "GIT_HTTP_EXPORT_ALL": "1", "REMOTE_USER": "someone"}
    env |= {"GIT_PROTOCOL": environ.get("HTTP_GIT_PROTOCOL", "")}
    env |= {"HTTP_CONTENT_ENCODING": environ.get("HTTP_CONTENT_ENCODING", "")}
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    env["CONTENT_LENGTH"] = str(len(body))
    output = subprocess.run(
        ["git", "http-backend"], input=body, env=env, capture_output=True, check=False
    ).stdout
    head, _, rest = output.partition(b"\r\n\r\n")
    headers = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n") if line]
    status = next((value for name, value in headers if name == "Status"), "200 OK")
    start(status, [header for header in headers if header[0] != "Status"])
    return [rest]


@pytest.fixture
def git_server(origin: Origin) -> Iterator[GitServer]:
    """Serves `origin` at `<url>/shop.git`, to those with the token."""
    expected = "Basic " + base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
    state = GitServer("")
    state.gate.set()

    def app(environ: dict[str, Any], start: Any) -> list[bytes]:
        state.requests.append(dict(environ))
        state.gate.wait(120)
        if state.answer is not None:
            return state.answer(environ, start)
        further = {
            "Basic " + base64.b64encode(f"x-access-token:{token}".encode()).decode() for token in state.also
        }
        if environ.get("HTTP_AUTHORIZATION") not in {expected, *further}:
            start("401 Unauthorized", [("WWW-Authenticate", "Basic realm=git")])
            return [b""]
        return _backend(origin.bare.parent, environ, start)

    server = make_server("127.0.0.1", 0, app, server_class=_Server, handler_class=_Quiet)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield state
    state.gate.set()
    server.shutdown()
    server.server_close()


@dataclass
class Stub:
    """An HTTP server that answers by a script: each request takes the next answer, the last one stays."""

    url: str = ""
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    delay: float = 0.0
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def say(self, status: int, body: bytes | str | dict[str, Any] = b"", **headers: str) -> None:
        """Add an answer. A dict becomes JSON; `_` in header names becomes `-`."""
        raw = (
            json.dumps(body).encode()
            if isinstance(body, dict)
            else body.encode()
            if isinstance(body, str)
            else body
        )
        self.answers.append((status, {name.replace("_", "-"): value for name, value in headers.items()}, raw))

    def next_answer(self) -> tuple[int, dict[str, str], bytes]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def stub() -> Iterator[Stub]:
    """A scripted HTTP server on 127.0.0.1. Status 0 closes the connection without an answer."""
    state = Stub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            return

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            state.requests.append((self.command, self.path, dict(self.headers), body))
            status, headers, content = state.next_answer()
            self.close_connection = True
            if state.delay and state.ended.wait(state.delay):
                return
            if status == 0:
                return
            self.send_response(status)
            for name, value in {
                "Content-Length": str(len(content)),
                **headers,
                "Connection": "close",
            }.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_HEAD = _answer

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_args: None  # a client that gave up is what some tests are about
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield state
    state.ended.set()
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """moto's server, as AWS. Tests use names of their own, since its state lives as long as the session."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's number of tries is kept, its pauses are not."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_args: 0)
