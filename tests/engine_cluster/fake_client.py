"""A client whose lists and watches are scripted, for tests of what happens to watches. Everything else is refused."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

from engine.cluster.client import Answer, ApiError, Resource
from engine.types import Json

END = object()


class FakeStream:
    """Events put into it, until END; an ApiError put into it is raised."""

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def __iter__(self) -> Iterator[Any]:
        while (event := self.events.get()) is not END:
            if isinstance(event, ApiError):
                raise event
            yield event

    def close(self) -> None:
        self.events.put(END)

    def put(self, kind: str, body: Json) -> None:
        self.events.put({"type": kind, "object": body})


class FakeClient:
    """`lists` are given in turn (the last one again and again); each watch is a new FakeStream in `streams`."""

    def __init__(self, *lists: list[Json] | ApiError) -> None:
        self.lists = list(lists)
        self.listed = 0
        self.streams: queue.SimpleQueue[FakeStream] = queue.SimpleQueue()
        self.watch_queries: list[dict[str, str]] = []
        self.refuse_watches: ApiError | None = None

    def request(self, method: str, path: str, **options: Any) -> Json:
        answer = self.lists[min(self.listed, len(self.lists) - 1)]
        self.listed += 1
        if isinstance(answer, ApiError):
            raise answer
        return {"items": answer, "metadata": {"resourceVersion": str(100 * self.listed)}}

    def watch(self, path: str, *, query: Any = None, accept: str = "") -> FakeStream:
        self.watch_queries.append(dict(query))
        if self.refuse_watches:
            raise self.refuse_watches
        stream = FakeStream()
        self.streams.put(stream)
        return stream

    def send(self, method: str, path: str, **options: Any) -> Answer:
        raise NotImplementedError

    def text(self, path: str, **options: Any) -> str:
        raise NotImplementedError

    def lines(self, path: str, **options: Any) -> FakeStream:
        raise NotImplementedError

    def discover(self, group: str, version: str) -> list[Resource]:
        return []
