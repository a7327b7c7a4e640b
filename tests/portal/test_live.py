"""The stream of changes: who is told of what, in order of commits, and what notes a change."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.sessions.models import Session
from django.db import connections
from django.utils import timezone

from audit.actors import SYSTEM_ACTOR, person
from audit.models import AuditEvent
from audit.record import record
from clusters import services as clusters
from clusters.models import LiveState
from core import changes
from core.heartbeats import Process
from core.models import Change
from deployments import branches
from engine.cluster.live import Live
from engine.errors import SlipwayError
from portal.live import cursor as cursors
from portal.live import feed as feeds
from portal.live.cursor import Cursor
from portal.live.feed import Viewer, events, feed
from portal.status import looks
from portal.status.pulse import Bell, Records
from portal.status.watch import Pulse
from projects import contacts
from projects.models import Environment
from registry import services as pull_credentials
from tests.factories import make_cluster, make_environment, make_project, make_user

PATIENCE = 30.0


@pytest.fixture(autouse=True)
def no_connection_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOOK_SECONDS", "REST_SECONDS", "PAUSE_SECONDS"):
        monkeypatch.setattr(feeds, name, 0.01)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(PATIENCE):
            await scenario()

    asyncio.run(limited())


def seer(*slugs: str, project: str = "", topic: str = "", person: str = "1") -> AsyncIterator[str]:
    return events(Viewer(person, lambda: set(slugs), project, topic))


async def first_look(stream: AsyncIterator[str]) -> None:
    """Reads up to `hello`, and waits until the feed knows where the tables end."""
    assert (await anext(stream)).startswith("event: hello")
    while any(cursor.floor is None for cursor in feed().cursors):
        await asyncio.sleep(0.01)


class TestCursor:
    def test_it_begins_at_the_end_and_tells_each_row_once(self, db: None) -> None:
        changes.note("old")
        cursor = Cursor(Change.objects.all(), "project")
        assert cursor.fresh() == set()
        changes.note("shop")
        changes.note("blog")
        assert cursor.fresh() == {"shop", "blog"}
        assert cursor.fresh() == set()

    def test_a_row_that_is_committed_after_younger_ones_is_told(self, db: None) -> None:
        cursor = Cursor(Change.objects.all(), "project")
        cursor.fresh()
        last = Change.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        Change.objects.create(pk=last + 5, project="younger")
        assert cursor.fresh() == {"younger"}
        Change.objects.create(pk=last + 2, project="late")
        assert cursor.fresh() == {"late"}

    def test_it_forgets_what_it_has_seen(self, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cursors, "OVERLAP_SECONDS", 0.0)
        cursor = Cursor(Change.objects.all(), "project")
        for n in range(20):
            changes.note(f"p{n}")
            cursor.fresh()
        assert len(cursor._seen) <= 1
        assert len(cursor._marks) <= 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("quick")
class TestStream:
    def test_a_viewer_is_told_of_what_they_may_see_and_of_nothing_else(self) -> None:
        async def scenario() -> None:
            mine, others = seer("shop"), seer("blog", person="2")
            await first_look(mine)
            await first_look(others)
            waiting = asyncio.create_task(anext(others))
            await sync_to_async(changes.note)("shop")
            assert (await anext(mine)).startswith("event: changed")
            await asyncio.sleep(0.1)
            assert not waiting.done()
            await sync_to_async(changes.note)("blog")
            assert (await waiting).startswith("event: changed")
            await mine.aclose()  # type: ignore[attr-defined]
            await others.aclose()  # type: ignore[attr-defined]
            assert feed().tasks == []
            assert not feed().viewers

        run(scenario)

    def test_a_page_about_one_project_hears_of_that_one(self) -> None:
        async def scenario() -> None:
            stream = seer("shop", "blog", project="blog")
            await first_look(stream)
            waiting = asyncio.create_task(anext(stream))
            await sync_to_async(changes.note)("shop")
            await asyncio.sleep(0.1)
            assert not waiting.done()
            await sync_to_async(record)(SYSTEM_ACTOR, "project.changed", project="blog")
            assert (await waiting).startswith("event: changed")
            await stream.aclose()  # type: ignore[attr-defined]

        run(scenario)

    def test_a_page_about_a_topic_hears_of_that_one(self) -> None:
        async def scenario() -> None:
            stream, others = seer("shop", topic=changes.REGISTRY), seer("shop", person="2")
            await first_look(stream)
            await first_look(others)
            waiting, not_told = asyncio.create_task(anext(stream)), asyncio.create_task(anext(others))
            for topic in (changes.DELIVERIES, changes.STATUS):
                await sync_to_async(changes.note_topic)(topic)
            await asyncio.sleep(0.1)
            assert not waiting.done()
            await sync_to_async(changes.note_topic)(changes.REGISTRY)
            assert (await waiting).startswith("event: changed")
            assert not not_told.done()
            not_told.cancel()
            await stream.aclose()  # type: ignore[attr-defined]

        run(scenario)

    def test_a_worker_that_falls_silent_is_told_to_the_status_page(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nobody writes a row then."""
        lives = Process("worker", "h", 1, ("short",), "", None, 1.0, timezone.now())
        pulses = [Pulse(Records("", 0.1, (lives,), 1.0), Bell("", 0.1))]
        monkeypatch.setattr(looks.watch, "for_page", lambda: pulses[-1])

        async def scenario() -> None:
            stream = seer("shop", topic=changes.STATUS)
            await first_look(stream)
            await asyncio.sleep(0.1)  # the first look
            pulses.append(Pulse(Records("", 0.7, (lives,), 2.0), Bell("", 0.9)))  # only slower
            waiting = asyncio.create_task(anext(stream))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            pulses.append(Pulse(Records("", 0.7, (replace(lives, age=900.0),), 2.0), Bell("", 0.9)))
            assert (await waiting).startswith("event: changed")
            await stream.aclose()  # type: ignore[attr-defined]

        run(scenario)

    def test_it_ends_with_the_sign_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("PING_SECONDS", "CHECK_SECONDS"):
            monkeypatch.setattr(feeds, name, 0.02)
        seen: list[set[str] | None] = [{"shop"}]

        async def scenario() -> None:
            stream = events(Viewer("1", lambda: seen[-1]))
            await first_look(stream)
            seen.append(None)
            with contextlib.suppress(StopAsyncIteration):
                while True:
                    assert (await anext(stream)).startswith(":")

        run(scenario)

    def test_the_number_of_streams_of_a_person_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(feeds, "MOST_STREAMS", 1)

        async def scenario() -> None:
            first = seer("shop")
            await anext(first)
            assert not feed().has_place("1")
            assert [text async for text in seer("shop")] == []
            await first.aclose()  # type: ignore[attr-defined]
            assert feed().has_place("1")

        run(scenario)


@pytest.mark.django_db(transaction=True)
class TestAddress:
    def test_nobody_is_asked_to_sign_in(self, client: Any) -> None:
        assert client.get("/changes/").status_code == 302

    def test_it_streams_what_the_person_sees(
        self, shop: Any, viewer: Any, quick: None, async_client: Any
    ) -> None:
        make_environment(make_project(slug="hidden"))

        async def scenario() -> None:
            await async_client.aforce_login(viewer)
            answer = await async_client.get("/changes/")
            assert answer["Content-Type"] == "text/event-stream"
            assert "no-cache" in answer["Cache-Control"]
            stream = answer.streaming_content
            read = [await anext(stream)]
            while any(cursor.floor is None for cursor in feed().cursors):
                await asyncio.sleep(0.01)
            waiting = asyncio.create_task(anext(stream))
            await sync_to_async(changes.note)("hidden")
            await asyncio.sleep(0.1)
            assert not waiting.done()
            await sync_to_async(changes.note)("shop")
            read.append(await waiting)
            assert [text.decode().split("\n")[0] for text in read] == ["event: hello", "event: changed"]
            await sync_to_async(Session.objects.all().delete)()
            await stream.aclose()

        run(scenario)


class TestWhatIsNoted:
    @pytest.fixture
    def environment(self, db: None) -> Environment:
        return make_environment(make_project(slug="shop"))

    def told(self) -> list[str]:
        return list(Change.objects.values_list("project", flat=True))

    def test_a_new_answer_of_a_cluster_once(
        self, environment: Environment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(clusters, "_read", lambda *_: Live([]))
        clusters.refresh_environment(environment)
        assert self.told() == ["shop"]
        clusters.refresh_environment(environment)
        assert self.told() == ["shop"], "it has answered the same"

    def test_the_first_silence_of_a_cluster(
        self, environment: Environment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise SlipwayError("gone")

        monkeypatch.setattr(clusters, "_read", refuse)
        clusters.refresh_environment(environment)
        clusters.refresh_environment(environment)
        assert self.told() == ["shop"]
        assert LiveState.objects.get().error == "gone"

    def test_new_commits(self, environment: Environment) -> None:
        seen = {"head": "a" * 40, "commits": [], "tried_at": timezone.now()}
        branches.store(environment.project, seen)
        branches.store(environment.project, seen)
        assert self.told() == ["shop"]
        branches.store(environment.project, {**seen, "head": "b" * 40})
        assert self.told() == ["shop", "shop"]

    def test_an_outside_system_that_fails_and_answers_again(self, db: None) -> None:
        for error in ("", "It did not answer.", "It did not answer.", "", ""):
            contacts.note("slack", error)
        assert self.told() == ["~status"] * 3

    def test_pull_credentials_that_an_admin_pauses(self, db: None) -> None:
        admin = person(make_user(is_admin=True))
        pull_credentials.pause(admin, make_cluster(), until=timezone.now() + timedelta(hours=1))
        assert self.told() == ["~registry"]

    def test_old_ones_are_deleted(self, db: None) -> None:
        changes.note("shop")
        Change.objects.update(at=timezone.now() - timedelta(hours=2))
        changes.note("blog")
        changes.prune()
        assert self.told() == ["blog"]

    def test_an_audit_event_needs_no_second_row(self, db: None) -> None:
        record(SYSTEM_ACTOR, "project.changed", project="shop")
        assert self.told() == []
        assert AuditEvent.objects.count() == 1
