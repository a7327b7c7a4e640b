"""Serves bare repositories over HTTP by Git's own `git http-backend`, to clients with the token.

`GIT_TOKEN=… python -m sandbox.git.server --directory D --port P`. Any user name with the token as the
password may fetch and push, as with a GitHub token. Without it the answer is 401, as for a private
repository.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hmac
import os
import subprocess
from pathlib import Path

from sandbox.web import Handler, Server


def make_git_server(directory: Path, port: int, token: str) -> Server:
    """A server of the repositories `directory/<name>.git` that already listens; the caller runs
    `serve_forever`.
    """

    class GitHandler(_GitHandler):
        pass

    GitHandler.directory, GitHandler.token = directory.resolve(), token
    return Server(port, GitHandler)


class _GitHandler(Handler):
    directory: Path
    token: str

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.body())

    def _serve(self, body: bytes) -> None:
        if not self._knows_token():
            return self.answer(
                401, b"Authentication required\n", {"WWW-Authenticate": 'Basic realm="sandbox"'}
            )
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=self._cgi(len(body)), capture_output=True, check=False
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        status = int(headers.pop("Status", "200" if done.returncode == 0 else "500").split()[0])
        return self.answer(status, content, headers)

    def _knows_token(self) -> bool:
        kind, _, encoded = self.headers.get("Authorization", "").partition(" ")
        try:
            _user, _, password = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        return kind.lower() == "basic" and hmac.compare_digest(password.encode(), self.token.encode())

    def _cgi(self, length: int) -> dict[str, str]:
        """The CGI environment of one request (RFC 3875), without the user's own Git configuration."""
        path, _, query = self.path.partition("?")
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.directory),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_PROJECT_ROOT": str(self.directory),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(length),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": "sandbox",  # signed in: pushing is allowed
        }


def main() -> None:
    """Parses the arguments and serves until a signal stops it."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.git.server")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    make_git_server(options.directory, options.port, os.environ["GIT_TOKEN"]).serve_forever()


if __name__ == "__main__":
    main()
