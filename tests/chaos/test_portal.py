"""The portal's own processes and its database."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.chaos.breaking import is_back, kill_service
from tests.e2e.database import locked
from tests.e2e.fixtures import People, Slow
from tests.e2e.running import Running, until

pytestmark = pytest.mark.slow
LOCKED = 6.0  # seconds


def test_web_killed_under_a_stream(sandbox: Running, people: People, slow: Slow) -> None:
    """The stream breaks; opened again with what the browser knows last, it goes on without a gap or a double."""
    dev = people("dev")
    number = dev.deploy("storefront", "staging", slow("storefront"))
    first = Stream(dev.session.get(f"{sandbox.url}/deploys/{number}/stream?after=0", stream=True, timeout=60))
    sandbox.reaches(number, "apply")
    until("lines arrive", lambda: first.last or None)
    kill_service(sandbox.pids("uvicorn", "portal.asgi:application")[0], int(sandbox.env["PORT"]))
    assert first.over.wait(20)
    is_back(int(sandbox.env["PORT"]))
    second = Stream(
        dev.session.get(
            f"{sandbox.url}/deploys/{number}/stream?after=0",
            stream=True,
            timeout=60,
            headers={"Last-Event-ID": str(first.last)},
        )
    )
    assert second.over.wait(90)
    assert sandbox.ended(number)["state"] == "succeeded"
    assert "event: end" in second.lines
    assert second.count == sandbox.deploy(number)["log_lines"] - first.last
    assert sandbox.deploy(number)["attempt"] == 1


class Stream:
    """Reads server-sent events in a thread. `last`: the newest event's id; `count`: lines of the log that came."""

    def __init__(self, response: object) -> None:
        self.lines: list[str] = []
        self.over = threading.Event()
        found = response.iter_lines(chunk_size=1, decode_unicode=True)  # type: ignore[attr-defined]
        threading.Thread(target=self._read, args=(found,), daemon=True).start()

    def _read(self, lines: Iterator[str]) -> None:
        import requests

        try:
            for line in lines:
                self.lines.append(line)
        except (OSError, requests.RequestException):
            pass
        finally:
            self.over.set()

    @property
    def last(self) -> int:
        """0 before the first."""
        return max((int(line[4:]) for line in self.lines if line.startswith("id: ")), default=0)

    @property
    def count(self) -> int:
        """Items of the log."""
        return sum(line.count("<li id=") for line in self.lines if line.startswith("data: "))


def test_database_locked_for_some_seconds(sandbox: Running, people: People, slow: Slow) -> None:
    """Somebody else holds it: nothing is lost, nothing is done twice, a click waits."""
    dev = people("dev")
    number = dev.deploy("catalog", "staging", slow("catalog"))
    sandbox.reaches(number, "rollout")
    clicked: list[int] = []
    with locked(sandbox.database_url):
        click = threading.Thread(target=lambda: clicked.append(dev.deploy("storefront", "staging", "main")))
        click.start()
        dev.get(f"/deploys/{number}/")
        click.join(LOCKED)
        assert clicked == []
    click.join(60)
    for found in (sandbox.ended(number), sandbox.ended(clicked[0])):
        assert (found["state"], found["attempt"]) == ("succeeded", 1), found["result"]
    assert "every object is ready" in sandbox.log(number)
