"""What was heard of the Docker engine, on the status page; the look at it, with a played engine."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from adapters.docker import disk
from adapters.docker.disk import Freed, Limit, OurImage, Used, prune_cache, remove
from adapters.docker.engine import EngineFacts
from adapters.docker.faults import not_there
from builds import engine, status
from builds.engine import Heard
from core.heartbeats import WORKER, Heart
from tests.factories import make_project, make_user

pytestmark = pytest.mark.django_db
FACTS = EngineFacts("28.2.2", "buildkit", "linux", "amd64")


@pytest.fixture(autouse=True)
def nothing_heard() -> None:
    cache.delete("builds.engine")


@pytest.fixture
def worker() -> None:
    Heart(WORKER, ["builds"]).beat()


class Played:
    """An engine without a socket."""

    wire = None

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def facts(self) -> EngineFacts:
        if self.error:
            raise self.error
        return FACTS


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Plays an engine with three images, one of them old."""
    now = timezone.now()
    images = tuple(
        OurImage(f"i{n}", {"slipway.dev/build": str(n)}, 5, now - timedelta(days=n)) for n in (0, 1, 30)
    )
    seen: dict[str, Any] = {"used": Used(images, 100, 50), "removed": []}

    def remove(_: object, chosen: list[OurImage], limit: Limit) -> Any:
        seen["removed"] += [one.engine_id for one in chosen]
        return Freed(len(chosen), sum(one.own_size for one in chosen))

    monkeypatch.setattr(engine, "engine", lambda timeout=10: Played(seen.get("error")))
    monkeypatch.setattr(engine.disk, "used", lambda wire, label, limit: seen["used"])
    monkeypatch.setattr(engine.disk, "remove", remove)
    monkeypatch.setattr(engine.disk, "prune_cache", lambda wire, keep, most_bytes, limit: 7)
    return seen


def only_row() -> Any:
    (row,) = status.rows()
    return row


def test_without_a_worker_of_builds_nothing_is_built_and_that_is_said() -> None:
    row = only_row()
    assert row.state == "inactive"
    assert row.sentence.startswith(
        "No worker of builds runs. Nothing can be built here. Everything else works"
    )


def test_before_the_first_look(worker: None) -> None:
    assert only_row().sentence == "Not asked yet; a worker of builds asks within a minute."


def test_what_the_engine_says_is_on_the_page(worker: None, played: dict[str, Any], client: Client) -> None:
    engine.tend()
    row = only_row()
    assert row.state == "reachable"
    assert row.sentence == "Docker 28.2.2 with BuildKit. Images of builds: 3, 115 B; cache: 50 B."
    assert played["removed"] == ["i30"]
    assert "1 images and 12 B were removed last" in row.details[1]
    client.force_login(make_user(is_superuser=True))
    assert "Docker 28.2.2 with BuildKit" in client.get("/status/").content.decode()
    assert {one.value for one in status.samples()} == {115.0, 50.0}


def test_room_is_made_once_an_hour(played: dict[str, Any]) -> None:
    engine.tend()
    engine.tend()
    assert played["removed"] == ["i30"]
    kept = cache.get("builds.engine")
    cache.set("builds.engine", {**kept, "pruned_at": (timezone.now() - timedelta(hours=2)).isoformat()})
    engine.tend()
    assert played["removed"] == ["i30", "i30"]


def test_a_slow_engine_holds_its_worker_for_a_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer takes 10 s: three images go in 25 s, the rest an hour later, and the cache waits, too."""
    now, asked = [0.0], []
    monkeypatch.setattr(disk.time, "monotonic", lambda: now[0])

    class Client:
        _version = "1.41"

        def remove_image(self, engine_id: str, force: bool) -> None:
            asked.append(engine_id)
            now[0] += 10

    wire = SimpleNamespace(host="unix:///x", client=Client())
    images = [OurImage(f"i{n}", {}, 5, timezone.now()) for n in range(9)]
    limit = Limit(25)
    assert remove(wire, images, limit) == Freed(3, 15)  # type: ignore[arg-type]
    assert prune_cache(wire, keep=timedelta(days=1), most_bytes=1, limit=limit) == 0  # type: ignore[arg-type]
    assert asked == ["i0", "i1", "i2"]


def test_the_times_of_a_look_fit_into_its_job(
    played: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    monkeypatch.setattr(engine, "has_worker", lambda: True)
    monkeypatch.setattr(engine, "queued", lambda _: [])
    monkeypatch.setattr(engine, "enqueue", lambda *_, seconds, **__: given.append(seconds))
    engine.look_soon()
    assert given[0] > engine.TEND_SECONDS * 2


def test_an_engine_that_does_not_answer(worker: None, played: dict[str, Any]) -> None:
    engine.tend()
    played["error"] = not_there("unix:///nowhere")
    engine.tend()
    row = only_row()
    assert row.state == "inactive"  # nothing was ever built here
    assert row.sentence.startswith("There is none. Nothing can be built here.")
    from builds.models import Build

    Build.objects.create(
        number=1, project=make_project(), revision="a" * 40, actor_kind="person", actor_text="Ada"
    )
    row = only_row()
    assert (row.state, row.error) == ("unreachable", "No Docker engine answers at unix:///nowhere.")
    assert "Everything else works" in row.remedy
    assert row.answered_at is not None
    first = row.failed_at
    engine.tend()
    assert only_row().failed_at == first


def test_readyz_does_not_fail_for_it(worker: None, played: dict[str, Any], client: Client) -> None:
    before = client.get("/readyz").status_code
    played["error"] = not_there("unix:///nowhere")
    engine.tend()
    assert client.get("/readyz").status_code == before


def test_a_look_that_is_long_ago(worker: None) -> None:
    old = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    heard = replace(Heard(), asked_at=old, answered_at=old, version="28.2.2", builder="classic")
    cache.set("builds.engine", heard.__dict__)
    assert only_row().sentence == "Not heard of for a while; does a worker of builds run?"


def test_the_tick_asks_only_where_a_worker_lives(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    waiting: set[str] = set()
    asked: list[str] = []
    monkeypatch.setattr(engine, "queued", lambda queue: waiting)
    monkeypatch.setattr(engine, "enqueue", lambda name, **more: asked.append(more["job_id"]))
    engine.look_soon()
    assert asked == []
    Heart(WORKER, ["builds"]).beat()
    engine.look_soon()
    assert len(asked) == 1
    waiting.add(asked[0])
    engine.look_soon()
    assert len(asked) == 1
