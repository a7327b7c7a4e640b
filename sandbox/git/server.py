"""Serves bare repositories over HTTP by Git's own `git http-backend`, to clients with the token.

`GIT_TOKEN=… python -m sandbox.git.server --directory D --port P`. Any user name with the token as the
password may fetch and push, as with a GitHub token. Without it the answer is 401, as for a private
repository. The owner in `/sandbox/<name>.git`, as on GitHub, may be left out. With GITHUB_END and GITHUB_TOKEN in the
environment it tells the sandbox's GitHub of each push.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hmac
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from http.client import HTTPException
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

from sandbox.github.repositories import OWNER, Update, refs, updates
from sandbox.web import Handler, Server

Tell = Callable[[str, list[Update]], None]  # takes a repository's name and the refs that a push changed
_PUSH = re.compile(r"/(?P<name>[A-Za-z0-9._-]+)\.git/git-receive-pack")


def _tell_nobody(_name: str, _updates: list[Update]) -> None:
    return None


def make_git_server(directory: Path, port: int, token: str, tell: Tell = _tell_nobody) -> Server:
    """A server of the repositories `directory/<name>.git` that already listens; the caller runs
    `serve_forever`. `tell` is called after each push that changed something.
    """

    class GitHandler(_GitHandler):
        pushed = staticmethod(tell)

    GitHandler.directory, GitHandler.token = directory.resolve(), token
    return Server(port, GitHandler)


class _GitHandler(Handler):
    directory: Path
    token: str
    pushed: Tell
    one_push = threading.Lock()  # the refs before and after a push are compared

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.body())

    def _serve(self, body: bytes) -> None:
        if not self._knows_token():
            return self.answer(
                401, b"Authentication required\n", {"WWW-Authenticate": 'Basic realm="sandbox"'}
            )
        place = self._place()
        match = _PUSH.fullmatch(place)
        if match and self.command == "POST":
            return self._take_push(match["name"], place, body)
        return self._answer(self._run(place, body))

    def _place(self) -> str:
        """The path of the request without the owner."""
        path = self.path.partition("?")[0]
        return path.removeprefix(f"/{OWNER}") if path.startswith(f"/{OWNER}/") else path

    def _take_push(self, name: str, place: str, body: bytes) -> None:
        repository = self.directory / f"{name}.git"
        if not repository.is_dir():
            return self._answer(self._run(place, body))
        with self.one_push:
            before = refs(repository)
            done = self._run(place, body)
            changed = updates(before, refs(repository))
        self._answer(done)
        if changed:
            self.wfile.flush()
            self.pushed(name, changed)
        return None

    def _run(self, place: str, body: bytes) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["git", "http-backend"],
            input=body,
            env=self._cgi(place, len(body)),
            capture_output=True,
            check=False,
        )

    def _answer(self, done: subprocess.CompletedProcess[bytes]) -> None:
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        status = int(headers.pop("Status", "200" if done.returncode == 0 else "500").split()[0])
        self.answer(status, content, headers)

    def _knows_token(self) -> bool:
        kind, _, encoded = self.headers.get("Authorization", "").partition(" ")
        try:
            _user, _, password = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        return kind.lower() == "basic" and hmac.compare_digest(password.encode(), self.token.encode())

    def _cgi(self, place: str, length: int) -> dict[str, str]:
        """The CGI environment of one request (RFC 3875), without the user's own Git configuration."""
        query = self.path.partition("?")[2]
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.directory),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_PROJECT_ROOT": str(self.directory),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": place,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(length),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": "sandbox",  # signed in: pushing is allowed
        }


def told_at(end: str, token: str) -> Tell:
    """Tells the GitHub end at this address of pushes. An end that does not answer is only said in the log."""
    opener = build_opener(ProxyHandler({}))

    def tell(name: str, changed: list[Update]) -> None:
        body = json.dumps({"repository": name, "updates": [asdict(one) for one in changed]}).encode()
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "User-Agent": "sandbox-git",
        }
        try:
            opener.open(
                Request(f"{end.rstrip('/')}/pushes", body, headers, method="POST"), timeout=10
            ).close()
        except (OSError, HTTPException) as error:
            print(f"GitHub was not told of a push to {name}: {error}", file=sys.stderr, flush=True)

    return tell


def main() -> None:
    """Parses the arguments and serves until a signal stops it."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.git.server")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    end = os.environ.get("GITHUB_END", "")
    tell = told_at(end, os.environ["GITHUB_TOKEN"]) if end else _tell_nobody
    make_git_server(options.directory, options.port, os.environ["GIT_TOKEN"], tell).serve_forever()


if __name__ == "__main__":
    main()
