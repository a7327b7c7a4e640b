"""Copies what the pods of Jobs write, while they write it, so that it can be told line by line."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator

from engine.cluster.client import ApiError, Client, Stream
from engine.cluster.resources import built_in
from engine.types import Json

MAX_LINES = 2000  # of one container; the rest is only in the cluster
MAX_LENGTH = 2000  # of a line, in characters
_PAUSE = 2.0  # before a log that ended too early is opened again


class ContainerLog:
    """The log of one container, followed by a thread. Lines come in order, each once, even if the connection
    breaks."""

    def __init__(self, client: Client, path: str, container: str, out: queue.SimpleQueue[str]) -> None:
        self._client = client
        self._path = path
        self._container = container
        self._out = out
        self._told = 0
        self._stream: Stream | None = None
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self.has_ended = threading.Event()  # set by the owner: the container writes no more
        self._thread = threading.Thread(target=self._follow, daemon=True, name="slipway-joblog")
        self._thread.start()

    def close(self, wait: float) -> None:
        """Let the rest be read for up to `wait` seconds, then end."""
        self.has_ended.set()
        self._thread.join(wait)
        self._closing.set()
        with self._lock:
            if self._stream:
                self._stream.close()
        self._thread.join(2)

    def _follow(self) -> None:
        while not self._closing.is_set():
            ended = self.has_ended.is_set()  # before reading, so that what is read now is all there is
            complete = self._read(follow=not ended)
            if ended and complete:
                return
            self._wait_for_more()

    def _wait_for_more(self) -> None:
        """Until the container has ended, or for a pause: the server gave up on the stream too early."""
        if self.has_ended.wait(_PAUSE):
            self._closing.wait(0.05)

    def _read(self, *, follow: bool) -> bool:
        query = {"container": self._container, **({"follow": "true"} if follow else {})}
        try:
            stream = self._client.lines(self._path, query=query)
        except ApiError as error:
            return error.status in (400, 404)  # the pod is gone, or the container never began
        with self._lock:
            self._stream = stream
            if self._closing.is_set():
                stream.close()
        try:
            for number, line in enumerate(stream):
                if number >= self._told:
                    self._tell(line)
                if self._told > MAX_LINES:
                    self._stop_reading(stream)
        except ApiError:
            return False
        return True

    def _stop_reading(self, stream: Stream) -> None:
        """Nothing more of this log is copied, so nothing more is read."""
        self._closing.set()
        stream.close()

    def _tell(self, line: str) -> None:
        self._told += 1
        if self._told <= MAX_LINES:
            self._out.put(line[:MAX_LENGTH])
        elif self._told == MAX_LINES + 1:
            self._out.put("… the rest of this log is not copied.")


class JobLogs:
    """The logs of all containers of the pods of some Jobs."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._logs: dict[tuple[str, str, int], ContainerLog] = {}
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def update(self, pods: Iterable[Json]) -> None:
        """Follow what has started since; note what has ended."""
        for pod in pods:
            metadata, status = pod["metadata"], pod.get("status") or {}
            for section in ("initContainerStatuses", "containerStatuses"):
                for container in status.get(section) or []:
                    self._update(metadata, container)

    def _update(self, metadata: Json, container: Json) -> None:
        state = container.get("state") or {}
        if "running" not in state and "terminated" not in state:
            return
        key = (metadata.get("uid", ""), container["name"], int(container.get("restartCount") or 0))
        if key not in self._logs:
            path = f"{built_in('Pod').path(metadata['namespace'], metadata['name'])}/log"
            self._logs[key] = ContainerLog(self._client, path, container["name"], self._lines)
        if "terminated" in state:
            self._logs[key].has_ended.set()

    def lines(self) -> Iterator[str]:
        """What has been written since the last call."""
        while True:
            try:
                yield self._lines.get_nowait()
            except queue.Empty:
                return

    def close(self, wait: float = 0.0) -> None:
        """End; with `wait`, give each log that many seconds to be read to its end."""
        for log in self._logs.values():
            log.close(wait)
        self._logs.clear()
