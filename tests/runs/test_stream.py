"""The live log: resumable, one reader for all who watch, and nothing left when they go."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, connections

from core.errors import Refused, status_of
from core.redactor import Redactor
from deployments.models import Deploy
from runs import feed as feeds
from runs import stream as streams
from runs.bell import CHANGED, Bell
from runs.fence import Fence
from runs.journal import Journal
from runs.log import LogLine
from runs.models import OPEN, State
from runs.stream import events, hub

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE = 30.0  # until a test gives up; nothing is measured


def rendered(lines: Sequence[LogLine]) -> dict[str, object]:
    return {"texts": [line.text for line in lines], "count": lines[-1].number}


def is_open_of(run_id: UUID) -> Callable[[], bool]:
    return lambda: Deploy.objects.filter(run_id=run_id, state__in=OPEN).exists()


def write(fence: Fence, *texts: str) -> None:
    """Lines of a worker; it rings."""
    journal = Journal(fence, Redactor())
    for text in texts:
        journal.line(text)
    journal.flush()


def end(fence: Fence) -> None:
    """The run ends; it rings."""
    Deploy.objects.filter(run_id=fence.run_id).update(state=State.SUCCEEDED)
    Bell(fence.run_id).ring(CHANGED)


ANYBODY = streams.Viewer("1", lambda: True)


class Viewer:
    """A browser that reads the stream, event by event."""

    def __init__(self, fence: Fence, after: int = 0, viewer: streams.Viewer = ANYBODY) -> None:
        self.source: AsyncIterator[str] = events(
            fence.run_id, after, is_open_of(fence.run_id), rendered, viewer
        )
        self.last_id = after
        self.texts: list[str] = []

    async def next(self) -> tuple[str, Any]:
        """Name and data of the next event; pings are passed over."""
        while True:
            text = await asyncio.wait_for(anext(self.source), PATIENCE)
            if text.startswith(":"):
                continue
            fields = dict(line.split(": ", 1) for line in text.strip().splitlines())
            data = json.loads(fields["data"])
            if fields["event"] == "log":
                self.last_id = int(fields["id"])
                self.texts += data["texts"]
            return fields["event"], data

    async def until(self, name: str) -> Any:
        """Reads until an event of that name."""
        while True:
            found, data = await self.next()
            if found == name:
                return data

    async def lines(self, count: int) -> list[str]:
        """Reads until it has that many lines."""
        while len(self.texts) < count:
            await self.next()
        return self.texts

    async def leave(self) -> None:
        await self.source.aclose()  # type: ignore[attr-defined]


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Runs it in a loop of its own, and makes sure that nothing is left running there."""

    async def watched() -> None:
        try:
            await scenario()
        finally:
            await sync_to_async(connections.close_all)()  # of the thread that wrote as a worker
        assert hub().feeds == {}
        for _ in range(50):
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if not others:
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"still running: {others}")

    asyncio.run(watched())


def test_the_whole_log_then_the_end(fence: Fence) -> None:
    write(fence, "one", "two")
    end(fence)

    async def scenario() -> None:
        viewer = Viewer(fence)
        assert await viewer.next() == ("log", {"texts": ["one", "two"], "count": 2})
        assert await viewer.next() == ("end", 1)
        with pytest.raises(StopAsyncIteration):
            await anext(viewer.source)

    run(scenario)


def test_it_resumes_after_the_last_line_that_arrived(fence: Fence) -> None:
    write(fence, "one", "two")

    async def scenario() -> None:
        first = Viewer(fence)
        await first.lines(2)
        await first.leave()
        await sync_to_async(write)(fence, "three")
        again = Viewer(fence, after=first.last_id)
        assert await again.lines(1) == ["three"]
        assert again.last_id == 3
        await again.leave()

    run(scenario)


@pytest.mark.parametrize("redis", [True, False], ids=["bell", "no bell"])
def test_new_lines_and_changes_arrive(fence: Fence, redis: bool, request: pytest.FixtureRequest) -> None:
    """Without Redis the feed looks by itself; only `changed` needs the bell (the poll of the page asks anyway)."""
    if redis:
        request.getfixturevalue("with_redis")

    async def scenario() -> None:
        viewer = Viewer(fence)
        await sync_to_async(write)(fence, "one")
        assert await viewer.lines(1) == ["one"]
        await sync_to_async(write)(fence, "two", "three")
        assert await viewer.lines(3) == ["one", "two", "three"]
        await sync_to_async(end)(fence)
        await viewer.until("end")
        await viewer.leave()

    run(scenario)


def test_the_bell_alone_brings_a_line_and_a_change(
    fence: Fence, with_redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The feed never looks by itself here: what arrives was rung for."""
    monkeypatch.setattr(feeds, "LOOK_SECONDS", 3600.0)

    async def scenario() -> None:
        viewer = Viewer(fence)
        reading = asyncio.create_task(viewer.lines(1))
        await subscribed(with_redis)
        await sync_to_async(write)(fence, "rung")
        assert await reading == ["rung"]
        waiting = asyncio.create_task(viewer.until("changed"))
        await sync_to_async(Bell(fence.run_id).ring)(CHANGED)
        await waiting
        await viewer.leave()

    run(scenario)


async def subscribed(url: str) -> None:
    """Until the process listens to the bell."""
    from redis import asyncio as aioredis

    async with aioredis.from_url(url) as client:
        async with asyncio.timeout(PATIENCE):
            while not (await client.pubsub_numsub(streams.CHANNEL))[0][1]:
                await asyncio.sleep(0.02)


def test_two_viewers_have_one_reader(fence: Fence, monkeypatch: pytest.MonkeyPatch) -> None:
    write(fence, "one")
    read: list[int] = []
    real = feeds.read_on
    monkeypatch.setattr(feeds, "read_on", lambda run_id, after: read.append(after) or real(run_id, after))

    async def scenario() -> None:
        first, second = Viewer(fence), Viewer(fence)
        await asyncio.gather(first.lines(1), second.lines(1))
        assert len(hub().feeds) == 1
        assert hub().feeds[fence.run_id].viewers == 2
        await sync_to_async(write)(fence, "two")
        await asyncio.gather(first.lines(2), second.lines(2))
        assert first.texts == second.texts == ["one", "two"]
        before = len(read)
        await sync_to_async(write)(fence, "three")
        await asyncio.gather(first.lines(3), second.lines(3))
        # The feed may have looked once more by itself, but each chunk was read once, not once a viewer.
        assert read[before:].count(2) <= 2
        assert set(read) <= {1, 2, 3}, "it goes on after the last chunk that it has read"
        await first.leave()
        await sync_to_async(write)(fence, "four")
        assert await second.lines(4) == ["one", "two", "three", "four"]
        await second.leave()

    run(scenario)


def test_somebody_far_behind_reads_the_database(fence: Fence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "KEPT_LINES", 2)
    write(fence, "one")

    async def scenario() -> None:
        first = Viewer(fence)
        await first.lines(1)
        await sync_to_async(write)(fence, *"abcdef")
        await first.lines(7)
        late = Viewer(fence)
        assert await late.lines(7) == ["one", *"abcdef"]
        await first.leave()
        await late.leave()

    run(scenario)


def test_somebody_who_claims_to_be_further_keeps_nobody_from_reading(
    fence: Fence, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    real = feeds.read_from_line
    monkeypatch.setattr(feeds, "read_from_line", lambda run_id, line: read.append(line) or real(run_id, line))
    write(fence, "one")

    async def scenario() -> None:
        ahead = Viewer(fence, after=99_999)
        waiting = asyncio.create_task(ahead.until("end"))
        await asyncio.sleep(0.05)
        viewer = Viewer(fence)
        assert await viewer.lines(1) == ["one"]
        reading = asyncio.create_task(viewer.lines(2))
        await asyncio.sleep(0.3)
        await sync_to_async(write)(fence, "two")
        assert await reading == ["one", "two"]
        assert len(read) < 10, "nobody reads the database again and again"
        await sync_to_async(end)(fence)
        await waiting
        await viewer.leave()
        await ahead.leave()

    run(scenario)


def test_whoever_goes_while_waiting_leaves_nothing(fence: Fence, with_redis: str) -> None:
    """As when a browser disconnects: the task of the request is cancelled in the middle of waiting."""

    async def scenario() -> None:
        viewer = Viewer(fence)
        waiting = asyncio.create_task(viewer.next())
        await subscribed(with_redis)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        await viewer.leave()

    run(scenario)


def test_a_database_that_pauses_only_delays_the_lines(fence: Fence, monkeypatch: pytest.MonkeyPatch) -> None:
    write(fence, "one")
    monkeypatch.setattr(feeds, "LOOK_SECONDS", 0.05)
    failures = iter(range(3))

    async def scenario() -> None:
        viewer = Viewer(fence)
        await viewer.lines(1)
        feed = hub().feeds[fence.run_id]
        real = feed.is_open

        def sick() -> bool:
            if next(failures, None) is not None:
                raise OperationalError("gone")
            return real()

        feed.is_open = sick
        await sync_to_async(write)(fence, "two")
        assert await viewer.lines(2) == ["one", "two"]
        await viewer.leave()

    run(scenario)


def test_what_a_proxy_must_know(fence: Fence) -> None:
    async def scenario() -> None:
        response = streams.stream_response(fence.run_id, 0, lambda: False, rendered, ANYBODY)
        assert response["Content-Type"] == "text/event-stream"
        assert "no-transform" in response["Cache-Control"]
        assert response["X-Accel-Buffering"] == "no"

    run(scenario)


def test_it_ends_when_the_right_does_also_while_lines_come(
    fence: Fence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked at each ping; a log that never pauses has no pings, and is asked as often."""
    monkeypatch.setattr(streams, "PING_SECONDS", 0.2)
    right = [True]
    write(fence, "one")

    async def scenario() -> None:
        viewer = Viewer(fence, viewer=streams.Viewer("1", lambda: right[0]))
        await viewer.lines(1)
        right.clear()
        right.append(False)
        with pytest.raises(StopAsyncIteration):
            for n in range(200):
                await sync_to_async(write)(fence, f"line {n}")
                await viewer.next()
        await viewer.leave()

    run(scenario)


def test_a_right_that_cannot_be_asked_for_is_asked_for_again(
    fence: Fence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PING_SECONDS", 0.1)
    asked: list[int] = []

    def gone() -> bool:
        asked.append(1)
        if len(asked) < 3:
            raise OperationalError("gone")
        return False

    async def scenario() -> None:
        viewer = Viewer(fence, viewer=streams.Viewer("1", gone))
        with pytest.raises(StopAsyncIteration):
            await viewer.until("end")
        assert len(asked) == 3

    run(scenario)


def test_one_person_has_so_many_streams_and_others_their_own(
    fence: Fence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MOST_STREAMS", 2)
    write(fence, "one")

    async def scenario() -> None:
        first, second = Viewer(fence), Viewer(fence)
        await asyncio.gather(first.lines(1), second.lines(1))
        with pytest.raises(Refused) as refusal:
            streams.stream_response(fence.run_id, 0, lambda: True, rendered, ANYBODY)
        assert status_of(refusal.value) == 429
        with pytest.raises(StopAsyncIteration):  # asked for in the same moment as another one
            await Viewer(fence).next()
        other = Viewer(fence, viewer=streams.Viewer("2", lambda: True))
        await other.lines(1)
        await first.leave()
        again = Viewer(fence)
        await again.lines(1)
        for viewer in (second, other, again):
            await viewer.leave()
        assert not hub().streams

    run(scenario)


def test_a_stream_that_waits_holds_no_database_connection(fence: Fence) -> None:
    """The thread that found the run gives its connection back."""

    def connected() -> bool:
        return connections["default"].connection is not None

    async def scenario() -> None:
        connections["default"].settings_dict["CONN_MAX_AGE"], kept = (
            0,
            connections["default"].settings_dict["CONN_MAX_AGE"],
        )
        try:
            await sync_to_async(Deploy.objects.count)()
            assert await sync_to_async(connected)()
            viewer = Viewer(fence)
            waiting = asyncio.create_task(viewer.next())
            async with asyncio.timeout(PATIENCE):
                while await sync_to_async(connected)():
                    await asyncio.sleep(0.02)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
            await viewer.leave()
        finally:
            connections["default"].settings_dict["CONN_MAX_AGE"] = kept

    run(scenario)


def test_new_lines_are_rendered_once_for_all_viewers_and_outside_of_the_event_loop(
    fence: Fence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty viewers here, 500 in the promise: a line costs one rendering."""
    times: list[int] = []
    threads: set[str] = set()
    real = rendered

    def count(lines: Sequence[LogLine]) -> dict[str, object]:
        times.append(lines[0].number)
        threads.add(threading.current_thread().name)
        return real(lines)

    monkeypatch.setitem(Viewer.__init__.__globals__, "rendered", count)
    write(fence, "one")

    async def scenario() -> None:
        viewers = [
            Viewer(fence, after=1, viewer=streams.Viewer(str(person), lambda: True)) for person in range(50)
        ]
        reading = [asyncio.create_task(viewer.lines(2)) for viewer in viewers]
        async with asyncio.timeout(PATIENCE):
            while (
                (feed := hub().feeds.get(fence.run_id)) is None or feed.viewers < 50 or feed.sequence is None
            ):
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)  # all have asked once
        for number in (2, 3):
            await sync_to_async(write)(fence, f"line {number}")
            await asyncio.sleep(1.0)
        assert [await one for one in reading] == [["line 2", "line 3"]] * 50
        for viewer in viewers:
            await viewer.leave()

    run(scenario)
    assert sorted(times) == [2, 3]
    assert all(name.startswith("run-feed") for name in threads)


def test_a_page_made_in_the_middle_of_a_block_gets_its_rest(fence: Fence) -> None:
    write(fence, "one")

    async def scenario() -> None:
        first = Viewer(fence)
        assert await first.lines(1) == ["one"]
        reading = asyncio.create_task(first.lines(4))
        await asyncio.sleep(0.2)
        await sync_to_async(write)(fence, "two", "three", "four")
        assert await reading == ["one", "two", "three", "four"]
        late = Viewer(fence, after=2)
        assert await late.lines(2) == ["three", "four"]
        await late.leave()
        await first.leave()

    run(scenario)
