"""Watches: who is told of which change, in which form, from which version on."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from engine.types import Json
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.refusals import expired
from sandbox.kubernetes.store import Change, Store, Stored, encode

_BOOKMARK_SECONDS = 10.0
_MOST_PENDING = 5000  # events a reader may lag behind before its watch is ended
Render = Callable[[Stored], bytes]


@dataclass(eq=False)
class Watch:
    """One reader. `matches` are its selectors, `render` gives an object in the form that it asked for."""

    kind: Kind
    namespace: str
    matches: Callable[[Json], bool]
    render: Render
    bookmarks: bool = False
    pending: list[bytes] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False

    def hear(self, change: Change) -> None:
        """Takes note of a change, if it is one for this reader: objects come and go by matching or not."""
        if self.namespace and change.now.key[1] != self.namespace:
            return
        before = change.before is not None and self.matches(change.before.body)
        now = change.kind != "DELETED" and self.matches(change.now.body)
        if not before and not now:
            return
        word = "MODIFIED" if before and now else "ADDED" if now else "DELETED"
        self.pending.append(event(word, self.render(change.now)))
        if len(self.pending) > _MOST_PENDING:
            self.ended = True
        self.news.set()

    def end(self, last: bytes = b"") -> None:
        """Ends it once the reader has everything, `last` included."""
        if last:
            self.pending.append(last)
        self.ended = True
        self.news.set()


def event(word: str, data: bytes) -> bytes:
    """One line of a watch."""
    return b'{"type":"' + word.encode() + b'","object":' + data + b"}\n"


class Watches:
    """All readers of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open: dict[tuple[str, str], dict[Watch, None]] = defaultdict(dict)
        store.listen(self._tell)

    def _tell(self, change: Change) -> None:
        for watch in self._open[change.now.key[0]]:
            watch.hear(change)

    def end_all(self, *, because_expired: bool = False) -> None:
        """Ends every watch; with `because_expired` they are told 410."""
        for kind, watches in self._open.items():
            refusal = expired(self._store.oldest(kind), self._store.version)
            for watch in watches:
                watch.end(event("ERROR", encode(refusal.status())) if because_expired else b"")

    async def follow(
        self, watch: Watch, since: int | None, *, initial: bool, seconds: float
    ) -> AsyncIterator[bytes]:
        """The lines of a watch. `since` None begins with what is there; `initial` marks the end of that."""
        self._begin(watch, since, initial=initial)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        bookmark = loop.time() + _BOOKMARK_SECONDS
        self._open[watch.kind.key][watch] = None
        try:
            while True:
                if watch.pending:
                    lines, watch.pending = watch.pending, []
                    watch.news.clear()
                    yield b"".join(lines)
                    continue
                left = deadline - loop.time()
                if watch.ended or left <= 0:
                    return
                await _wait(watch.news, min(left, max(0.01, bookmark - loop.time())))
                if watch.bookmarks and loop.time() >= bookmark and not watch.pending:
                    watch.pending.append(self._bookmark(watch))
                    bookmark = loop.time() + _BOOKMARK_SECONDS
        finally:
            del self._open[watch.kind.key][watch]

    def _begin(self, watch: Watch, since: int | None, *, initial: bool) -> None:
        if since is None:
            for stored in self._store.all(watch.kind.key, watch.namespace):
                if watch.matches(stored.body):
                    watch.pending.append(event("ADDED", watch.render(stored)))
            if initial:
                watch.pending.append(self._bookmark(watch, {"k8s.io/initial-events-end": "true"}))
            return
        changes = self._store.changes_since(watch.kind.key, since)
        if changes is None:
            refusal = expired(since, self._store.oldest(watch.kind.key))
            watch.end(event("ERROR", encode(refusal.status())))
            return
        for change in changes:
            watch.hear(change)

    def _bookmark(self, watch: Watch, annotations: Json | None = None) -> bytes:
        metadata: Json = {"resourceVersion": str(self._store.version)}
        if annotations:
            metadata["annotations"] = annotations
        body = {"kind": watch.kind.kind, "apiVersion": watch.kind.api_version, "metadata": metadata}
        return event("BOOKMARK", encode(body))


async def _wait(news: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await news.wait()
    except TimeoutError:
        return
