"""The portal tells what is broken of it: in banners, on the status page and in the probe, soon, and without waiting."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
import requests

from tests.chaos.breaking import kill, parent_of, silent
from tests.e2e.fixtures import People
from tests.e2e.portal import Person
from tests.e2e.running import Running, until

pytestmark = [pytest.mark.slow, pytest.mark.any_database]
PAGES = (
    "/",
    "/status/",
    "/deploys/",
    "/projects/storefront/",
    "/projects/storefront/staging/",
    "/secrets/",
    "/admin/",
)
PAGE, PROBE = 1.0, 0.5  # seconds


def warm(person: Person) -> None:
    """What a process does only once is done: reading templates, asking Git and AWS."""
    for _ in range(4):  # two web processes
        for address in PAGES:
            person.get(address)


def timed(person: Person, address: str) -> tuple[float, str]:
    began = time.monotonic()
    text = person.get(address).text
    return time.monotonic() - began, text


def banners(page: str) -> str:
    """Their texts, above the content of a page."""
    return " ".join(re.findall(r'class="banner .*?<p>(.*?)</p>', page.partition("<main")[0]))


def banner(person: Person, words: str, seconds: float = 90.0) -> str:
    """Waits for a banner with these words."""
    return until(
        f"the banner says {words!r}",
        lambda: words in banners(person.get("/deploys/").text) and words,
        seconds,
        pause=0.5,  # a page takes processor time
    )


def none(person: Person, words: str) -> None:
    """Waits until no process of the site shows such a banner any more."""
    until(
        "the banner is gone",
        lambda: all(words not in banners(person.get("/").text) for _ in range(4)) or None,
        60,
    )


def ready(sandbox: Running) -> tuple[float, dict[str, Any]]:
    began = time.monotonic()
    answer = requests.get(f"{sandbox.url}/readyz", timeout=10)
    return time.monotonic() - began, answer.json()


def test_redis_is_stopped(sandbox: Running, people: People) -> None:
    """It takes connections and says nothing: nothing that only shows something waits for it."""
    admin = people("admin")
    warm(admin)
    with silent(sandbox.redis_pid()):
        banner(admin, "Redis hangs")
        for address in PAGES:
            seconds, page = timed(admin, address)
            assert seconds < PAGE, address
            assert "Pages work and deploys can be asked for" in banners(page), address
        seconds, answer = ready(sandbox)
        assert seconds < PROBE
        assert (answer["ready"], answer["redis"]["ok"]) == (True, False)
        assert "Redis hangs" in timed(people("viewer"), "/")[1]
    none(admin, "Redis hangs")


def test_the_scheduler_is_silent(sandbox: Running, people: People) -> None:
    """People are told within a minute, and that it is over within seconds."""
    admin = people("admin")
    (scheduler,) = sandbox.pids("manage.py", "scheduler")
    with silent(scheduler):
        banner(admin, "The scheduler has not worked for")
        assert "Start it (manage.py scheduler)" in banners(admin.get("/").text)
        assert "Not all is well" in admin.get("/status/").text
    none(admin, "The scheduler")


def test_a_killed_worker_is_shown_as_dead_beside_the_new_one(sandbox: Running, people: People) -> None:
    """The sandbox starts another one; the row of the dead one says so for a while."""
    admin = people("admin")
    pids = sandbox.pids("manage.py", "rqworker", "short")
    (worker,) = [pid for pid in pids if parent_of(pid) not in pids]  # the others are its jobs
    until("its heartbeat is there", lambda: f"process {worker}" in admin.get("/status/").text or None, 30)
    kill(worker)
    dead = f"process {worker}: dead or hanging, silent for"
    until("the page shows it as dead", lambda: dead in admin.get("/status/").text or None, 60, pause=0.5)
    until("another one lives", lambda: re.search(r"[1-9] workers?, \d+ busy", admin.get("/status/").text), 60)
    assert f"process {worker}" not in people("viewer").get("/status/").text
