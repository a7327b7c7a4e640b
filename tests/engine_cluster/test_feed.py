"""Watches survive what happens to watches."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from engine.cluster import feed as feeds
from engine.cluster.client import ApiError, list_all
from engine.cluster.feed import Topic, World
from engine.cluster.resources import built_in
from engine.types import Json, ObjectRef
from tests.engine_cluster.fake_client import END, FakeClient, FakeStream

TOPIC = Topic(built_in("ConfigMap"), "shop")
GONE = ApiError("too old", status=410, reason="Expired")
BROKEN = ApiError("connection broke", status=0)


def item(name: str, version: str = "1") -> Json:
    return {"metadata": {"name": name, "namespace": "shop", "resourceVersion": version}}


def ref(name: str) -> ObjectRef:
    return ObjectRef("ConfigMap", "", "shop", name)


@pytest.fixture
def worlds() -> Iterator[list[World]]:
    made: list[World] = []
    yield made
    for world in made:
        world.close()


def follow(client: FakeClient, worlds: list[World]) -> tuple[World, FakeStream]:
    world = World(client)
    worlds.append(world)
    world.follow([TOPIC])
    return world, client.streams.get(timeout=60)


def read(world: World, *, until: str = "", seconds: float = 60) -> None:
    """Take in news until an object is there (or for one round)."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        world.read_news(0.05)
        if not until or ref(until) in world.objects:
            return
    raise AssertionError(f"{until} did not come")


def test_the_list_then_changes_then_deletions(worlds: list[World]) -> None:
    world, stream = follow(FakeClient([item("a")]), worlds)
    read(world, until="a")
    stream.put("ADDED", item("b", "2"))
    read(world, until="b")
    stream.put("DELETED", item("a", "3"))
    stream.put("ADDED", item("c", "4"))
    read(world, until="c")
    assert ref("a") not in world.objects
    assert set(world.gone) == {ref("a")}


def test_a_topic_is_followed_once(worlds: list[World]) -> None:
    client = FakeClient([])
    world, _ = follow(client, worlds)
    world.follow([TOPIC])
    assert client.listed == 1


def test_a_list_that_cannot_be_read_is_raised(worlds: list[World]) -> None:
    world = World(FakeClient(ApiError("forbidden", status=403)))
    worlds.append(world)
    with pytest.raises(ApiError):
        world.follow([TOPIC])


def test_a_watch_that_ends_is_opened_again_where_it_stopped(worlds: list[World]) -> None:
    client = FakeClient([item("a")])
    world, stream = follow(client, worlds)
    stream.put("BOOKMARK", item("", "77"))
    stream.events.put(END)
    client.streams.get(timeout=60).put("ADDED", item("b", "78"))
    read(world, until="b")
    assert client.watch_queries[1]["resourceVersion"] == "77"
    assert client.listed == 1


def test_a_stale_version_is_listed_again_and_what_vanished_meanwhile_is_gone(worlds: list[World]) -> None:
    client = FakeClient([item("a")], [item("b")])
    world, stream = follow(client, worlds)
    stream.events.put(GONE)
    read(world, until="b")
    assert ref("a") not in world.objects
    assert ref("a") in world.gone
    assert client.streams.get(timeout=60)
    assert client.watch_queries[1]["resourceVersion"] == "200"


def test_one_broken_connection_is_no_news_two_are(worlds: list[World]) -> None:
    client = FakeClient([item("a")])
    world, stream = follow(client, worlds)
    stream.events.put(BROKEN)
    second = client.streams.get(timeout=60)
    read(world)
    assert not world.lost
    client.refuse_watches = BROKEN
    second.events.put(BROKEN)
    deadline = time.monotonic() + 60
    while not world.lost:
        assert time.monotonic() < deadline
        world.read_news(0.1)
    client.refuse_watches = None
    client.streams.get(timeout=60).put("ADDED", item("b", "9"))
    read(world, until="b")
    found(world)


def test_repeated_410_costs_few_lists_and_is_told_once(worlds: list[World]) -> None:
    """A list that is too old as soon as it was read: the API server must not pay for it in a tight loop."""
    client = FakeClient([item("a")])
    client.refuse_watches = GONE
    world = World(client)
    worlds.append(world)
    world.follow([TOPIC])
    told = states(world, 2.5)
    assert client.listed <= 6
    assert told == [False, True]  # the lists that work do not end it
    assert world.lists_of_lost >= 1
    client.refuse_watches = None
    found(world)


def test_lists_of_a_minute_are_bounded(worlds: list[World], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "LONGEST_PAUSE", 0.01)
    client = FakeClient([item("a")])
    client.refuse_watches = GONE
    world = World(client)
    worlds.append(world)
    world.follow([TOPIC])
    deadline = time.monotonic() + 60
    while client.listed < feeds.LISTS_A_MINUTE:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.5)
    assert client.listed == feeds.LISTS_A_MINUTE


@pytest.mark.parametrize("end", [BROKEN, END])
def test_a_watch_that_opens_and_ends_at_once_is_tried_slowly_and_told_once(
    worlds: list[World], end: object
) -> None:
    class Hasty(FakeClient):
        def watch(self, path: str, *, query: object = None, accept: str = "") -> FakeStream:
            stream = super().watch(path, query=query, accept=accept)
            stream.put("MODIFIED", item("a", "7"))  # news does not make it steady
            stream.events.put(end)
            return stream

    client = Hasty([item("a")])
    world = World(client)
    worlds.append(world)
    world.follow([TOPIC])
    told = states(world, 2.5)
    assert len(client.watch_queries) <= 7
    assert told == [False, True]


def states(world: World, seconds: float) -> list[bool]:
    """Whether the feed counted as lost, each change once: for so many seconds, and until the first change."""
    seen = [bool(world.lost)]
    began = time.monotonic()
    while (spent := time.monotonic() - began) < seconds or (len(seen) == 1 and spent < 60):
        world.read_news(0.05)
        if bool(world.lost) != seen[-1]:
            seen.append(bool(world.lost))
    return seen


def found(world: World) -> None:
    """Waits until a watch has stayed open."""
    deadline = time.monotonic() + 60
    while world.lost:
        assert time.monotonic() < deadline
        world.read_news(0.1)


def test_what_may_not_be_read_is_left_out_in_the_background(worlds: list[World]) -> None:
    world = World(FakeClient(ApiError("forbidden", status=403)))
    worlds.append(world)
    world.follow_when_possible([TOPIC])
    for _ in range(4):
        world.read_news(0.05)
    assert not world.lost
    assert not any(feed._thread.is_alive() for feed in world._feeds.values())


def test_a_cluster_that_is_away_is_waited_for_in_the_background(worlds: list[World]) -> None:
    world = World(FakeClient(BROKEN, BROKEN, [item("a")]))
    worlds.append(world)
    world.follow_when_possible([TOPIC])
    read(world, until="a")
    found(world)


def test_closing_ends_the_threads(worlds: list[World]) -> None:
    world, _ = follow(FakeClient([]), worlds)
    feeds = list(world._feeds.values())
    world.close()
    assert not any(feed._thread.is_alive() for feed in feeds)


def test_lists_are_read_page_by_page_and_again_in_one_piece_when_they_expire() -> None:
    class Paged(FakeClient):
        def request(self, method: str, path: str, **options: object) -> Json:
            query = dict(options["query"])  # type: ignore[call-overload]
            self.watch_queries.append(query)
            if "continue" in query:
                raise GONE
            more = {"continue": "next"} if "limit" in query else {}
            return {"items": [item("a")], "metadata": {"resourceVersion": "5", **more}}

    client = Paged([])
    items, version = list_all(client, "/x")
    assert (len(items), version) == (1, "5")
    assert [("limit" in q, "continue" in q) for q in client.watch_queries] == [
        (True, False),
        (True, True),
        (False, False),
    ]
