"""The live log: each web process reads a new chunk once and sends it to all viewers of the run.

Redis only says that a run has news; without it, the feed polls the database every second. There is one feed per run and
process, and one Redis connection per process. New lines are read and rendered once, in a thread, and the same text goes to
all viewers: in the event loop 500 viewers cost 500 writes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import UUID
from weakref import WeakKeyDictionary

import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections
from django.http import StreamingHttpResponse
from redis import asyncio as aioredis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeout

from runs.bell import CHANGED, CHANNEL
from runs.log import LogLine, last_line, read_from_line, read_on

log = structlog.get_logger(__name__)
Render = Callable[[Sequence[LogLine]], dict[str, object]]
IsOpen = Callable[[], bool]

LOOK_SECONDS = 1.0  # between two reads without a bell
PING_SECONDS = 15.0
KEPT_LINES = 2000  # in memory; a viewer that is further behind reads the database
# Afterwards the browser connects again: the right is checked again, and an abandoned tab does not hold a connection for ever.
LONGEST_SECONDS = 300.0
# After which a silent Redis is asked for a sign of life, and as long again until the connection is given up.
QUIET_SECONDS = 10.0
_readers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="run-feed")


@dataclass(frozen=True)
class Block:
    """Successive lines of a log, and the event with them, rendered for all viewers."""

    lines: Sequence[LogLine]
    text: str

    @property
    def first(self) -> int:
        """The number of its first line."""
        return self.lines[0].number

    @property
    def last(self) -> int:
        """The number of its last line."""
        return self.lines[-1].number


def block_of(lines: Sequence[LogLine], render: Render) -> Block | None:
    """Renders lines, which takes long for many of them; None without lines."""
    return Block(lines, event("log", render(lines), lines[-1].number)) if lines else None


class Feed:
    """Follows one run while it has viewers. Viewers wait on `news`, then compare `last_line` and `changes` with their own."""

    def __init__(self, run_id: UUID, is_open: IsOpen, render: Render) -> None:
        self.run_id, self.is_open, self.render = run_id, is_open, render
        self.blocks: deque[Block] = deque()
        self.kept = 0  # lines in `blocks`
        self.last_line = 0  # of the lines up to `sequence`
        self.opening = asyncio.Lock()  # for the first read: of many viewers at once one does it
        self.sequence: int | None = None  # of the last chunk that was read; None until a viewer has read
        self.changes = 0
        self.ended = False
        self.viewers = 0
        self.news = asyncio.Condition()
        self.bell = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def rung(self, what: str) -> None:
        """Handles a bell from Redis; `what` is LOG or CHANGED."""
        if what == CHANGED:
            self.changes += 1
        self.bell.set()

    async def follow(self) -> None:
        """Reads news at each bell, or after LOOK_SECONDS without one, until the run has ended."""
        changes = 0
        while not self.ended:
            self.bell.clear()  # before the read: a bell from here on causes another round
            try:
                fresh = await self._look()
            except DatabaseError:
                log.exception("a live log waits until the database answers")
                fresh = None
            if fresh or self.ended or self.changes != changes:
                changes = self.changes
                await self._publish(fresh)
            if not self.ended:
                # Not asyncio.wait_for: in Python 3.11 it can lose a cancellation that comes when the awaited event is set.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self.bell.wait()

    async def _look(self) -> Block | None:
        """The new lines; sets `ended`. Reads no lines before the first viewer has called `after`."""
        open_before, fresh, self.sequence = await _in_thread(self._read_on, self.sequence)
        self.ended = not open_before
        return fresh

    def _read_on(self, sequence: int | None) -> tuple[bool, Block | None, int | None]:
        open_before = self.is_open()
        if sequence is None:
            return open_before, None, None
        lines, sequence = read_on(self.run_id, sequence)
        return open_before, block_of(lines, self.render), sequence

    async def _publish(self, fresh: Block | None) -> None:
        if fresh is not None:
            self.blocks.append(fresh)
            self.last_line = fresh.last
            self.kept += len(fresh.lines)
            while self.kept > KEPT_LINES and len(self.blocks) > 1:
                self.kept -= len(self.blocks.popleft().lines)
        async with self.news:
            self.news.notify_all()

    async def after(self, line: int) -> list[Block]:
        """The lines after a number: from memory, or from the database for a viewer that is further behind."""
        if self.sequence is None:
            async with self.opening:
                if self.sequence is None:  # from now on the feed reads new chunks
                    block, self.last_line, self.sequence = await _in_thread(self._begin, line)
                    return [block] if block else []
        if line >= self.last_line:
            return []
        if self.blocks and self.blocks[0].first <= line + 1:
            found = [block for block in self.blocks if block.last > line]
            if found and found[0].first <= line:  # a page was made in the middle of this block
                rest = [one for one in found[0].lines if one.number > line]
                found[0] = await _in_thread(block_of, rest, self.render)
            return found
        block, *_ = await _in_thread(self._begin, line)
        return [block] if block else []

    def _begin(self, line: int) -> tuple[Block | None, int, int]:
        """The lines after a number, the number of the last one, and the sequence number of its chunk."""
        found, sequence = read_from_line(self.run_id, line)
        last = found[-1].number if found else last_line(self.run_id, sequence)
        return block_of(found, self.render), last, sequence


def _read(func: Callable[..., object], *args: object) -> object:
    close_old_connections()
    try:
        return func(*args)
    finally:
        close_old_connections()


async def _in_thread(func: Callable[..., object], *args: object):  # type: ignore[no-untyped-def]  # the type of func
    return await asyncio.get_running_loop().run_in_executor(_readers, _read, func, *args)


class Hub:
    """The feeds of one process, and its one Redis subscription."""

    def __init__(self) -> None:
        self.feeds: dict[UUID, Feed] = {}
        self.listener: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def watching(self, run_id: UUID, is_open: IsOpen, render: Render) -> AsyncIterator[Feed]:
        """The run's feed. It runs while at least one viewer is inside this context. There is no `await` between test and set,
        so that two simultaneous viewers cannot start two feeds."""
        if self.listener is None or self.listener.done():
            self.listener = asyncio.create_task(self._listen())
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

    async def _listen(self) -> None:
        """Subscribes to the bell, and again after an error of Redis."""
        while True:
            try:
                limits = {"socket_connect_timeout": 2, "socket_timeout": 2}
                async with (
                    aioredis.from_url(settings.REDIS_URL, **limits) as client,
                    client.pubsub() as pubsub,
                ):
                    await pubsub.subscribe(CHANNEL)
                    await self._hear(pubsub)
            except (RedisError, OSError) as error:
                log.info("the bell is silent; live pages look by themselves", error=type(error).__name__)
                await asyncio.sleep(2)

    async def _hear(self, pubsub: PubSub) -> None:
        """Rings for each message. Raises RedisError when Redis gives no sign of life: a connection that a firewall dropped
        would stay silent for ever."""
        asked = False
        while True:
            message = await pubsub.get_message(timeout=QUIET_SECONDS)
            if message is None:
                if asked:
                    raise RedisTimeout("no answer to a ping")
                await pubsub.ping()
            elif message["type"] == "message":
                self._ring(message["data"].decode())
            asked = message is None

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


def event(name: str, data: object, id_: int | None = None) -> str:
    """One server-sent event in its text format (HTML standard, "Server-sent events"). `data` is sent as JSON."""
    head = f"id: {id_}\n" if id_ is not None else ""
    return f"{head}event: {name}\ndata: {json.dumps(data)}\n\n"


async def events(run_id: UUID, after: int, is_open: IsOpen, render: Render) -> AsyncIterator[str]:
    """The events for one viewer: `log` with new lines (id: the number of the last line), `changed`, `end`, and comments to
    keep the connection alive. Ends after LONGEST_SECONDS."""
    loop = asyncio.get_running_loop()
    until = loop.time() + LONGEST_SECONDS
    async with hub().watching(run_id, is_open, render) as feed:
        changes = feed.changes
        while loop.time() < until:
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


def stream_response(run_id: UUID, after: int, is_open: IsOpen, render: Render) -> StreamingHttpResponse:
    """The streaming response for one viewer of a run. Its headers forbid proxies to cache, transform or buffer it."""
    response = StreamingHttpResponse(events(run_id, after, is_open, render), content_type="text/event-stream")
    response["Cache-Control"] = "no-cache, no-transform"
    response["X-Accel-Buffering"] = "no"
    return response
