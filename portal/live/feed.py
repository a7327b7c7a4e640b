"""Tells open pages that something changed: one reader in each web process, for all its viewers.

The reader looks into the database each second, and at once when a run rings the bell. What it finds are slugs of projects; a
viewer is told only of those that they may see. The page then fetches its part anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import structlog
from asgiref.sync import sync_to_async
from django.db import Error as DatabaseError
from django.db import close_old_connections

from audit.models import AuditEvent
from core.changes import STATUS, mark_of
from core.dbclock import database_seconds
from core.listening import listen
from core.models import Change
from portal.live.cursor import Cursor
from portal.status.looks import Looks
from runs.bell import CHANGED, CHANNEL
from runs.feed import event, in_thread

log = structlog.get_logger(__name__)
LOOK_SECONDS = 1.0
REST_SECONDS = 0.2  # between two looks, however often the bell rings
PING_SECONDS = 15.0
CHECK_SECONDS = (
    60.0  # between two looks at a viewer's sign-in and projects; the page that they fetch looks anyway
)
LONGEST_SECONDS = 300.0  # afterwards the browser connects again
MOST_STREAMS = 30  # of one person in one process; a page that gets none polls
PAUSE_SECONDS = 1.0  # between two events to one viewer
# Times the number of viewers: they do not all fetch their page in the same moment, and are told again only after that time, so
# that a deploy with many changes does not keep the process busy. 7.5 s for 500, none to speak of for ten.
SPREAD_SECONDS = 0.015

# Slugs of the projects that a viewer may see; None: their sign-in has ended.
Visible = Callable[[], "set[str] | None"]


@dataclass(frozen=True)
class Viewer:
    """A person with an open page. `visible` asks the database. `project`: only changes of this one matter; empty: of all.
    `topic`: of `core.changes.TOPICS`; then only its changes matter, and nothing tells which project they are about."""

    person: str
    visible: Visible
    project: str = ""
    topic: str = ""

    def seen(self) -> set[str] | None:
        """What matters to the page: slugs of projects, or the mark of its topic; None when the sign-in has ended."""
        found = self.visible()
        if found is not None and self.topic:
            return {mark_of(self.topic)}
        return found if found is None or not self.project else found & {self.project}


class ChangeFeed:
    """Follows the changes of all projects while it has viewers. `turn` grows with each look that found some. `told_at`: when the
    newest ones were there for everybody to see, by the database's clock."""

    def __init__(self) -> None:
        self.turn = 0
        self.told_at = 0.0
        self.changed: dict[str, int] = {}  # project -> the turn of its newest change
        self.viewers: Counter[str] = Counter()
        self.topics: Counter[str] = Counter()
        self.status = Looks()
        self.news = asyncio.Condition()
        self.bell = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []
        self.cursors = [
            Cursor(Change.objects.all(), "project"),
            Cursor(AuditEvent.objects.exclude(project_slug=""), "project_slug"),
        ]

    def has_place(self, person: str) -> bool:
        """Whether this person may open one more stream."""
        return self.viewers[person] < MOST_STREAMS

    @contextlib.contextmanager
    def viewing(self, person: str, topic: str = "") -> Iterator[None]:
        """The feed reads while at least one viewer is inside this context."""
        self.viewers[person] += 1
        self.topics[topic] += 1
        if not self.tasks:
            self.tasks = [
                asyncio.create_task(self._follow()),
                asyncio.create_task(listen(CHANNEL, self._ring)),
            ]
        try:
            yield
        finally:
            self.viewers[person] -= 1
            self.topics[topic] -= 1
            self.viewers += Counter()  # drops people without a stream
            if not self.viewers:
                for task in self.tasks:
                    task.cancel()
                self.tasks = []

    def _ring(self, text: str) -> None:
        if text.endswith(f" {CHANGED}"):
            self.bell.set()

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self.bell.wait()
            self.bell.clear()  # before the look: a bell from here on causes another one
            found = await self._found(self._read_status) if self.topics[STATUS] > 0 else set()
            found |= await self._found(self._read)
            if found:
                await self._tell(found, await self._moment())
            await asyncio.sleep(max(REST_SECONDS, self.spread if found else 0))

    @property
    def spread(self) -> float:
        """The seconds over which viewers fetch their pages."""
        return SPREAD_SECONDS * self.viewers.total()

    async def _found(self, read: Callable[[], set[str]]) -> set[str]:
        try:
            return await in_thread(read)
        except Exception:  # of the database, most likely: the reader goes on for all pages of this process
            log.exception("open pages are told nothing until the next look")
            return set()

    def _read_status(self) -> set[str]:
        """The states of the portal's parts change by themselves: a worker that is silent writes nothing."""
        return {mark_of(STATUS)} if self.status.changed() else set()

    def _read(self) -> set[str]:
        return set[str]().union(*(cursor.fresh() for cursor in self.cursors))

    async def _moment(self) -> float:
        """Now by the database's clock; 0, which tells no moment, while it does not answer."""
        try:
            return float(await in_thread(database_seconds))
        except DatabaseError:
            return 0.0

    async def _tell(self, projects: set[str], moment: float) -> None:
        self.turn, self.told_at = self.turn + 1, moment
        self.changed |= dict.fromkeys(projects, self.turn)
        async with self.news:
            self.news.notify_all()

    def since(self, turn: int) -> set[str]:
        """The projects that have changed after a turn."""
        return {project for project, at in self.changed.items() if at > turn}

    async def wait(self, turn: int, seconds: float) -> bool:
        """Waits for a change after a turn. Returns False when there was none for so long."""
        async with self.news:
            try:
                async with asyncio.timeout(seconds):
                    await self.news.wait_for(lambda: self.turn > turn)
            except TimeoutError:
                return False
        return True


_feeds: WeakKeyDictionary[asyncio.AbstractEventLoop, ChangeFeed] = WeakKeyDictionary()


def feed() -> ChangeFeed:
    """The feed of the running event loop."""
    return _feeds.setdefault(asyncio.get_running_loop(), ChangeFeed())


async def events(viewer: Viewer) -> AsyncIterator[str]:
    """The events for one viewer: `hello` at once, `changed` with the moment of the change, and comments to keep the connection
    alive. Ends after LONGEST_SECONDS, and when the sign-in has ended: the browser connects again and is told why."""
    # In the request's thread, which waits from here on: a stream holds no connection.
    await sync_to_async(close_old_connections)()
    source = feed()
    if not source.has_place(viewer.person):
        return
    with source.viewing(viewer.person, viewer.topic):
        turn, loop = source.turn, asyncio.get_running_loop()
        until, asked = loop.time() + LONGEST_SECONDS, loop.time()
        matters = await _seen(viewer, set())
        yield event("hello", 1)
        while matters is not None and loop.time() < until:
            news = await source.wait(turn, PING_SECONDS)
            if loop.time() >= asked + CHECK_SECONDS:
                asked, matters = loop.time(), await _seen(viewer, matters)
            if not news:
                yield ": ping\n\n"
                continue
            if matters and source.since(turn) & matters:
                await asyncio.sleep(random.random() * source.spread)  # noqa: S311
                turn = source.turn  # with what came meanwhile
                yield event("changed", source.told_at)
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                turn = source.turn


async def _seen(viewer: Viewer, before: set[str]) -> set[str] | None:
    """As `Viewer.seen`; as before while the database does not answer."""
    try:
        found: set[str] | None = await in_thread(viewer.seen)
    except DatabaseError:
        return before
    return found
