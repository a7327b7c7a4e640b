"""Watches: the changes that each one sends, in which form, from which version on."""

from __future__ import annotations

import asyncio
import contextlib
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
        self.ended = self.ended or len(self.pending) > _MOST_PENDING
        self.news.set()

    def end(self) -> None:
        """Ends it once the reader has everything."""
        self.ended = True
        self.news.set()

    def expire(self, version: int, oldest: int) -> None:
        """Ends it with 410: the changes since a version are not known any more."""
        self.pending.append(event("ERROR", encode(expired(version, oldest).status())))
        self.end()


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
        """Ends every watch; with `because_expired` each sends 410 first."""
        for kind, watches in self._open.items():
            for watch in watches:
                if because_expired:
                    watch.expire(self._store.oldest(kind), self._store.version)
                watch.end()

    async def follow(
        self, watch: Watch, since: int | None, *, initial: bool, seconds: float
    ) -> AsyncIterator[bytes]:
        """The lines of a watch. `since` None: begins with the existing objects; `initial`: a bookmark marks their end."""
        self._begin(watch, since, initial=initial)
        clock = asyncio.get_running_loop().time
        deadline, bookmark = clock() + seconds, clock() + _BOOKMARK_SECONDS
        self._open[watch.kind.key][watch] = None
        try:
            while watch.pending or not (watch.ended or clock() >= deadline):
                if watch.pending:
                    lines, watch.pending = watch.pending, []
                    watch.news.clear()
                    yield b"".join(lines)
                    continue
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(min(deadline, bookmark)):
                        await watch.news.wait()
                if clock() >= bookmark:
                    bookmark = clock() + _BOOKMARK_SECONDS
                    if watch.bookmarks and not watch.pending:
                        watch.pending.append(self._bookmark(watch))
        finally:
            del self._open[watch.kind.key][watch]

    def _begin(self, watch: Watch, since: int | None, *, initial: bool) -> None:
        """Queues the first lines: all existing objects, or the changes since a version."""
        if since is None:
            found = self._store.all(watch.kind.key, watch.namespace)
            watch.pending = [event("ADDED", watch.render(s)) for s in found if watch.matches(s.body)]
            if initial:
                mark = self._bookmark(watch, annotations={"k8s.io/initial-events-end": "true"})
                watch.pending.append(mark)
        elif since < (oldest := self._store.oldest(watch.kind.key)):
            watch.expire(since, oldest)
        else:
            for change in self._store.changes_since(watch.kind.key, since):
                watch.hear(change)

    def _bookmark(self, watch: Watch, **more: Json) -> bytes:
        metadata = {"resourceVersion": str(self._store.version), **more}
        body = {"kind": watch.kind.kind, "apiVersion": watch.kind.api_version, "metadata": metadata}
        return event("BOOKMARK", encode(body))
