"""The other sides that the adapters talk to: Git over HTTP with a password, a stub HTTP server, moto."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
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
        state.gate.wait(20)
        if state.answer is not None:
            return state.answer(environ, start)
        if environ.get("HTTP_AUTHORIZATION") != expected:
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
