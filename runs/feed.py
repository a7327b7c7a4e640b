"""The feed of one run in one web process: reads and renders new lines once, for all viewers (runs/stream.py)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import UUID

import structlog
from django.db import Error as DatabaseError
from django.db import close_old_connections

from runs.bell import CHANGED
from runs.log import LogLine, last_line, read_from_line, read_on

log = structlog.get_logger(__name__)
Render = Callable[[Sequence[LogLine]], dict[str, object]]
IsOpen = Callable[[], bool]

LOOK_SECONDS = 1.0  # between two reads without a bell
KEPT_LINES = 2000  # in memory; a viewer that is further behind reads the database
_readers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="run-feed")


def event(name: str, data: object, id_: int | None = None) -> str:
    """One server-sent event in its text format (HTML standard, "Server-sent events"). `data` is sent as JSON."""
    head = f"id: {id_}\n" if id_ is not None else ""
    return f"{head}event: {name}\ndata: {json.dumps(data)}\n\n"


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
        open_before, fresh, sequence = await in_thread(self._read_on, self.sequence)
        if sequence is not None:  # else the first viewer may have begun meanwhile
            self.sequence = sequence
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
                    block, self.last_line, self.sequence = await in_thread(self._begin, line)
                    return [block] if block else []
        if line >= self.last_line:
            return []
        if self.blocks and self.blocks[0].first <= line + 1:
            found = [block for block in self.blocks if block.last > line]
            if found and found[0].first <= line:  # a page was made in the middle of this block
                rest = [one for one in found[0].lines if one.number > line]
                found[0] = await in_thread(block_of, rest, self.render)
            return found
        block, *_ = await in_thread(self._begin, line)
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


async def in_thread(func: Callable[..., object], *args: object):  # type: ignore[no-untyped-def]  # the type of func
    """Calls a function that uses the database, in a thread. Raises what it raises."""
    return await asyncio.get_running_loop().run_in_executor(_readers, _read, func, *args)
