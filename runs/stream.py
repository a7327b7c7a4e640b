"""The live log: each web process reads a new chunk once and sends it to all viewers of the run.

Redis only says that a run has news; without it, the feed polls the database every second. There is one feed per run and
process, and one Redis connection per process. New lines are read and rendered once, in a thread, and the same text goes to
all viewers: in the event loop 500 viewers cost 500 writes. A stream holds no database connection while it waits. A person has
MOST_STREAMS in a process, and each ends when their right does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from uuid import UUID
from weakref import WeakKeyDictionary

import structlog
from asgiref.sync import sync_to_async
from django.db import Error as DatabaseError
from django.db import close_old_connections
from django.http import StreamingHttpResponse

from core.errors import Refused
from core.listening import listen
from runs.bell import CHANNEL
from runs.feed import Feed, IsOpen, Render, event, in_thread

log = structlog.get_logger(__name__)

PING_SECONDS = 15.0
# Afterwards the browser connects again: the right is checked again, and an abandoned tab does not hold a connection for ever.
LONGEST_SECONDS = 300.0
MOST_STREAMS = 30  # of one person in one process; a page that gets none polls


@dataclass(frozen=True)
class Viewer:
    """A person with a stream. `may_read` asks the database whether they are still signed in and may still see the run."""

    person: str
    may_read: Callable[[], bool]


class Hub:
    """The feeds of one process, and its one Redis subscription."""

    def __init__(self) -> None:
        self.feeds: dict[UUID, Feed] = {}
        self.streams: Counter[str] = Counter()
        self.listener: asyncio.Task[None] | None = None

    def has_place(self, person: str) -> bool:
        """Whether this person may open one more stream."""
        return self.streams[person] < MOST_STREAMS

    @contextlib.contextmanager
    def counting(self, person: str) -> Iterator[None]:
        """Counts one stream of this person during the block."""
        self.streams[person] += 1
        try:
            yield
        finally:
            self.streams[person] -= 1
            self.streams += Counter()  # drops people without a stream

    @contextlib.asynccontextmanager
    async def watching(self, run_id: UUID, is_open: IsOpen, render: Render) -> AsyncIterator[Feed]:
        """The run's feed. It runs while at least one viewer is inside this context. There is no `await` between test and set,
        so that two simultaneous viewers cannot start two feeds."""
        if self.listener is None or self.listener.done():
            self.listener = asyncio.create_task(listen(CHANNEL, self._ring))
        feed = self.feeds.get(run_id)
        if feed is None:
            feed = self.feeds[run_id] = Feed(run_id, is_open, render)
            feed.task = asyncio.create_task(feed.follow())
        feed.viewers += 1
        try:
            yield feed
        finally:
            feed.viewers -= 1
            if feed.viewers == 0:
                self.feeds.pop(run_id, None)
                if feed.task is not None:
                    feed.task.cancel()
            if not self.feeds and self.listener is not None:
                self.listener.cancel()
                self.listener = None

    def _ring(self, text: str) -> None:
        run_id, _, what = text.partition(" ")
        with contextlib.suppress(ValueError):
            feed = self.feeds.get(UUID(run_id))
            if feed is not None:
                feed.rung(what)


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())


async def events(
    run_id: UUID, after: int, is_open: IsOpen, render: Render, viewer: Viewer
) -> AsyncIterator[str]:
    """The events for one viewer: `log` with new lines (id: the number of the last line), `changed`, `end`, and comments to
    keep the connection alive. Ends after LONGEST_SECONDS, and without `end` when the viewer may not read any more: the browser
    connects again and is told why."""
    await sync_to_async(
        close_old_connections
    )()  # in the request's thread, which has found the run and waits from here on
    if not hub().has_place(viewer.person):
        return
    with hub().counting(viewer.person):
        async with hub().watching(run_id, is_open, render) as feed:
            async for text in _told(feed, after, viewer):
                yield text


async def _told(feed: Feed, after: int, viewer: Viewer) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    until, asked, changes = loop.time() + LONGEST_SECONDS, loop.time(), feed.changes
    while loop.time() < until:
        if loop.time() >= asked + PING_SECONDS:
            asked = loop.time()
            if not await _may_read(viewer):
                return
        ended = feed.ended
        fresh = await feed.after(after)
        for block in fresh:
            after = block.last
            yield block.text
        if fresh:
            continue
        if feed.changes != changes:
            changes = feed.changes
            yield event("changed", 1)
        if ended:
            yield event("end", 1)
            return
        if not await _wait(feed, after, changes):
            yield ": ping\n\n"


async def _may_read(viewer: Viewer) -> bool:
    """Asks the database; as long as it does not answer, nothing new can be read either."""
    try:
        return bool(await in_thread(viewer.may_read))
    except DatabaseError:
        return True


async def _wait(feed: Feed, after: int, changes: int) -> bool:
    """Waits for news. Returns False when there were none for PING_SECONDS."""
    async with feed.news:
        try:
            async with asyncio.timeout(PING_SECONDS):
                await feed.news.wait_for(
                    lambda: feed.ended or feed.changes != changes or feed.last_line > after
                )
        except TimeoutError:
            return False
    return True


def stream_response(
    run_id: UUID, after: int, is_open: IsOpen, render: Render, viewer: Viewer
) -> StreamingHttpResponse:
    """The streaming response for one viewer of a run. Its headers forbid proxies to cache, transform or buffer it. Raises
    Refused when they have too many streams."""
    if not hub().has_place(viewer.person):
        raise Refused(
            f"You have {MOST_STREAMS} live logs open.", hint="Close some of them.", code="too-many-streams"
        )
    lines = events(run_id, after, is_open, render, viewer)
    response = StreamingHttpResponse(lines, content_type="text/event-stream")
    response["Cache-Control"] = "no-cache, no-transform"
    response["X-Accel-Buffering"] = "no"
    return response
