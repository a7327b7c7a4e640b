"""The Docker engine that the sandbox's builds use: only the one that SANDBOX_DOCKER_HOST names.

The caller's DOCKER_HOST does not count, because it may be another machine's.
"""

from __future__ import annotations

import os
import socket
from urllib.parse import urlsplit

from engine.errors import SlipwayError

VARIABLE = "SANDBOX_DOCKER_HOST"
_TIMEOUT = 5.0


def named() -> str:
    """The address of the engine; empty when there is none. Raises SlipwayError when the engine does not answer there."""
    host = os.environ.get(VARIABLE, "")
    if host:
        check(host)
    return host


def check(host: str) -> None:
    """Raises SlipwayError when no engine answers at this address (`unix:///path` or `tcp://host:port`). Called before anything
    is started."""
    try:
        with _connected(host) as connection:
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            answer = connection.makefile("rb").readline()
        problem = "" if b" 200 " in answer else "it is no Docker engine"
    except (OSError, ValueError) as error:
        problem = str(error)
    if problem:
        raise SlipwayError(
            f"No Docker engine answers at {VARIABLE}={host}: {problem}. Nothing was started.",
            hint=f"Start one there, or unset {VARIABLE}: the samples' images then come ready-made.",
        )


def _connected(host: str) -> socket.socket:
    """A connection to the engine. Raises OSError, ValueError."""
    parts = urlsplit(host)
    if parts.scheme == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_TIMEOUT)
        try:
            connection.connect(parts.path)
        except OSError:
            connection.close()
            raise
        return connection
    if parts.scheme != "tcp" or not parts.hostname:
        raise ValueError("write unix:///path or tcp://host:port")
    return socket.create_connection((parts.hostname, parts.port or 2375), timeout=_TIMEOUT)
