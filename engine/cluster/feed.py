"""Follows the cluster during a rollout: one watch per kind and namespace, kept alive, and the objects that it reports.

A feed reads a list and then follows it in a thread of its own. It goes on when the server ends a watch (every few
minutes), a connection breaks or falls silent, a resource version becomes too old (410) or the API server restarts.
Whatever fails again and again costs the API server a request every few seconds and LISTS_A_MINUTE, and the readers hear of
it once, and once when a watch has stayed open.
All feeds put their news into one queue; one thread reads it into a `World`.
"""

from __future__ import annotations

import contextlib
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from engine.cluster.client import ACCEPT_JSON, ApiError, Client, Resource, Stream, list_all
from engine.types import Json, ObjectRef

WATCH_SECONDS = 240  # after which the server ends a watch, and it is opened again
LONGEST_PAUSE = 5.0  # between two tries to reach the cluster
LISTS_A_MINUTE = 10  # of one feed
STEADY_SECONDS = 1.0  # a watch that has stayed open for so long works


@dataclass(frozen=True)
class Topic:
    """The objects that a feed follows: of a kind, in one namespace or in all, or one object only (`field_selector`)."""

    resource: Resource
    namespace: str = ""
    field_selector: str = ""
    accept: str = ACCEPT_JSON

    @property
    def path(self) -> str:
        return self.resource.path(self.namespace)

    @property
    def query(self) -> dict[str, str]:
        return {"fieldSelector": self.field_selector} if self.field_selector else {}

    def ref_of(self, body: Json) -> ObjectRef:
        """Lists leave out the kind of their items, so it comes from the topic."""
        metadata = body["metadata"]
        return ObjectRef(
            self.resource.kind, self.resource.group, metadata.get("namespace") or "", metadata["name"]
        )


@dataclass(frozen=True)
class News:
    """A message of a feed. `kind`: listed (all objects), changed, deleted, lost (`error` says why), found
    (again)."""

    topic: Topic
    kind: str
    objects: tuple[Json, ...] = ()
    error: ApiError | None = None


class Feed:
    """One list and its watch."""

    def __init__(self, client: Client, topic: Topic, out: queue.SimpleQueue[News]) -> None:
        self._client = client
        self._topic = topic
        self._out = out
        self._version = ""
        self._closing = threading.Event()
        self._stream: Stream | None = None
        self._lock = threading.Lock()
        self._failures = 0  # without a steady watch in between
        self._lists: deque[float] = deque(maxlen=LISTS_A_MINUTE)  # when they were read
        self._thread = threading.Thread(
            target=self._follow, daemon=True, name=f"slipway-watch-{topic.resource.plural}"
        )

    def open(self) -> None:
        """Read the list, in the calling thread, and begin to follow it. Raises ApiError when the list cannot be
        read."""
        self._relist()
        self._thread.start()

    def begin(self) -> None:
        """Read and follow the list in the background, as soon as the cluster lets us."""
        self._thread.start()

    def close(self) -> None:
        """End the watch; returns when its thread has ended, or after two seconds."""
        self._closing.set()
        with self._lock:
            if self._stream:
                self._stream.close()
        if self._thread.ident:
            self._thread.join(2)

    def _relist(self) -> None:
        self._lists.append(time.monotonic())
        items, self._version = list_all(
            self._client, self._topic.path, query=self._topic.query, accept=_list_form(self._topic.accept)
        )
        self._out.put(News(self._topic, "listed", tuple(items)))

    def _follow(self) -> None:
        while not self._closing.is_set():
            started = time.monotonic()
            try:
                if not self._version:
                    self._await_turn()
                    self._relist()
                self._watch_once()
            except ApiError as error:
                if error.status == 403:
                    self._out.put(News(self._topic, "denied", error=error))
                    return
                self._recover(error)
            else:
                if time.monotonic() - started < STEADY_SECONDS:
                    self._recover(ApiError("The API server ends each watch at once.", status=0))

    def _await_turn(self) -> None:
        """Waits until there was less than LISTS_A_MINUTE."""
        if len(self._lists) == LISTS_A_MINUTE:
            self._closing.wait(max(0.0, self._lists[0] + 60 - time.monotonic()))

    def _watch_once(self) -> None:
        query = {
            **self._topic.query,
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        stream = self._client.watch(self._topic.path, query=query, accept=self._topic.accept)
        with self._lock:
            self._stream = stream
            if self._closing.is_set():
                stream.close()
        steady = threading.Timer(STEADY_SECONDS, self._found_again)
        steady.daemon = True
        if self._failures:
            steady.start()
        try:
            for event in stream:
                self._tell(event)
        finally:
            steady.cancel()

    def _tell(self, event: Json) -> None:
        body = event["object"]
        self._version = body["metadata"].get("resourceVersion") or self._version
        if event["type"] != "BOOKMARK":
            self._out.put(News(self._topic, "deleted" if event["type"] == "DELETED" else "changed", (body,)))

    def _recover(self, error: ApiError) -> None:
        """After a watch broke. Silence and broken connections cost one request; a stale version costs a list. The first failure
        is mostly a connection that was quiet for too long, or a version that was: it is no news."""
        if self._closing.is_set():
            return
        if error.is_gone:
            self._version = ""
        self._failures += 1
        if self._failures > 1:
            self._out.put(News(self._topic, "lost", error=error))
        elif not error.is_gone:
            return  # opened again at once, where it stopped
        pause = min(LONGEST_PAUSE, 0.1 * 2 ** min(self._failures, 8)) * random.uniform(0.5, 1)  # noqa: S311
        self._closing.wait(pause)

    def _found_again(self) -> None:
        if self._failures > 1:
            self._out.put(News(self._topic, "found"))
        self._failures = 0


def _list_form(accept: str) -> str:
    return accept.replace("as=PartialObjectMetadata;", "as=PartialObjectMetadataList;")


@dataclass
class World:
    """The objects that the feeds tell of, by reference. Used by one thread."""

    client: Client
    objects: dict[ObjectRef, Json] = field(default_factory=dict)
    gone: dict[ObjectRef, Json] = field(default_factory=dict)  # deleted ones, as they were last seen
    lost: dict[Topic, ApiError] = field(default_factory=dict)  # feeds without a steady watch, and why
    lists_of_lost: int = 0  # lists that came all the same: the cluster answers, and what is known is not old
    news: queue.SimpleQueue[News] = field(default_factory=queue.SimpleQueue)
    _feeds: dict[Topic, Feed] = field(default_factory=dict)
    _listed: dict[Topic, set[ObjectRef]] = field(default_factory=dict)

    def follow(self, topics: Iterable[Topic]) -> None:
        """Open feeds for those topics that have none yet, all at once. Raises ApiError when a list cannot be
        read."""
        fresh = {topic: Feed(self.client, topic, self.news) for topic in topics if topic not in self._feeds}
        errors: list[ApiError] = []

        def open_one(feed: Feed) -> None:
            try:
                feed.open()
            except ApiError as error:
                errors.append(error)

        threads = [threading.Thread(target=open_one, args=(feed,), daemon=True) for feed in fresh.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._feeds.update(fresh)
        if errors:
            raise errors[0]

    def follow_when_possible(self, topics: Iterable[Topic]) -> None:
        """As `follow`, in the background. Kinds that the account may not read are left out; while the cluster does not
        answer, the feeds try again."""
        for topic in topics:
            if topic not in self._feeds:
                self._feeds[topic] = Feed(self.client, topic, self.news)
                self._feeds[topic].begin()

    def close(self) -> None:
        """End all feeds."""
        threads = [threading.Thread(target=feed.close, daemon=True) for feed in self._feeds.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(3)
        self._feeds.clear()

    def read_news(self, wait: float) -> bool:
        """Take in everything that came, waiting up to `wait` seconds for the first piece. Whether there was
        any."""
        news = self._next(wait)
        if news is None:
            return False
        while news is not None:
            self._take_in(news)
            news = self._next(0)
        return True

    def all_of(self, kind: str, namespace: str) -> Iterator[Json]:
        """The objects of a kind in a namespace."""
        for ref, body in self.objects.items():
            if ref.kind == kind and ref.namespace == namespace:
                yield body

    def _next(self, wait: float) -> News | None:
        with contextlib.suppress(queue.Empty):
            return self.news.get(timeout=wait) if wait > 0 else self.news.get_nowait()
        return None

    def _take_in(self, news: News) -> None:
        if news.kind == "lost" and news.error:
            self.lost[news.topic] = news.error
            return
        if news.kind == "denied":
            self.lost.pop(news.topic, None)
            return
        if news.kind == "found":
            self.lost.pop(news.topic, None)
        known = self._listed.setdefault(news.topic, set())
        refs = {news.topic.ref_of(body): body for body in news.objects}
        if news.kind == "deleted":
            self.objects.update(refs)  # the event shows the object as it was at its end
            self._forget(refs.keys(), known)
            return
        if news.kind == "listed":
            self.lists_of_lost += news.topic in self.lost
            self._forget(known - refs.keys(), known)
        known.update(refs)
        self.objects.update(refs)

    def _forget(self, refs: Iterable[ObjectRef], known: set[ObjectRef]) -> None:
        for ref in list(refs):
            known.discard(ref)
            if (last := self.objects.pop(ref, None)) is not None:
                self.gone[ref] = last
