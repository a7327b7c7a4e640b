"""Streamed answers of an API server: watch events, or the lines of a log."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from adapters.kubernetes.errors import KubernetesUnavailable, from_status, unreachable

LONGEST_LINE = 65_536  # of a log
LONGEST_EVENT = 64_000_000  # of a watch; the API server itself stores objects of some megabytes at most
CUT = " … (cut: the line is longer than 64 kB)".encode()


class _Line:
    """A line that is being received; keeps the first `longest` bytes."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._pieces: list[bytes] = []
        self.size = 0
        self.cut = False

    def add(self, piece: bytes) -> None:
        """Takes what still fits."""
        kept = piece[: self._longest - self.size]
        self.cut = self.cut or len(kept) < len(piece)
        if kept:
            self._pieces.append(kept)
            self.size += len(kept)

    def take(self) -> bytes:
        """The line; afterwards it is empty."""
        whole = b"".join(self._pieces) + (CUT if self.cut else b"")
        self._pieces, self.size, self.cut = [], 0, False
        return whole


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
        """Whole lines. Pieces of one line are collected and joined once, so that its time does not grow with its square."""
        line = _Line(LONGEST_EVENT if self._events else LONGEST_LINE)
        while piece := self._piece():
            first, *further = piece.split(b"\n")
            line.add(first)
            for start in further:
                yield self._whole(line)
                line.add(start)
        if line.size and not self._closed:
            yield self._whole(line)

    def _whole(self, line: _Line) -> bytes:
        """The line, and an empty one in its place. A log's line that is too long is cut; half an event would be no event."""
        if line.cut and self._events:
            raise KubernetesUnavailable(f"{self._server} sent an event of more than {LONGEST_EVENT:,} bytes.")
        return line.take()

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
