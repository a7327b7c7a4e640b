"""Streamed answers of an API server: watch events, or the lines of a log."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from adapters.kubernetes.errors import KubernetesUnavailable, from_status, unreachable


class HttpStream:
    """Iterates over one streamed answer: lines of text, or watch events. One thread uses it once."""

    def __init__(self, response: urllib3.BaseHTTPResponse, server: str, *, events: bool) -> None:
        self._response = response
        self._server = server
        self._events = events
        self._lock = threading.Lock()
        self._started = False
        self._closed = False

    def __iter__(self) -> Iterator[Any]:
        with self._lock:
            if self._closed:
                return
            self._started = True
        try:
            for line in self._lines():
                yield self._event(line) if self._events else line.decode("utf-8", "replace")
        finally:
            self._response.close()

    def close(self) -> None:
        """Ends the stream, from any thread. A thread that waits in it returns at once."""
        with self._lock:
            self._closed = True
            if not self._started:
                self._response.close()
                return
        try:
            self._response.shutdown()
        except (ValueError, OSError):  # it has ended by itself
            return

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        while piece := self._piece():
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines
        if rest and not self._closed:
            yield rest

    def _piece(self) -> bytes:
        try:
            return b"" if self._closed else self._response.read1(1 << 16)
        except (HTTPError, OSError) as error:
            if self._closed:
                return b""
            raise unreachable(self._server, error) from error

    def _event(self, line: bytes) -> Any:
        try:
            event = json.loads(line)
        except ValueError as error:
            raise KubernetesUnavailable(
                f"The watch at {self._server} broke in the middle of an event."
            ) from error
        if event.get("type") == "ERROR":
            raise from_status(event.get("object") or {})
        return event
