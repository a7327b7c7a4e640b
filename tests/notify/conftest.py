"""A Slack that remembers, in place of the adapter, and rows of the outbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from adapters.errors import TimedOut
from adapters.slack import Posted
from notify import outbox
from notify.models import Outgoing

FACTS = {
    "number": 12, "project": "The Shop", "environment": "Staging", "revision": "63ec5c0", "subject": "Cache carts",
    "author": "Ana", "actor": "dora", "kind": "deploy", "state": "running", "result": "", "hint": "", "reason": "",
    "seconds": 0, "url": "https://deploy.example/deploys/12/",
}  # fmt: skip


@dataclass
class FakeSlack:
    """`calls`: what was sent, in order. `errors`: raised one after the other instead of sending."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    lost: int = 0  # so many answers are lost: the message arrives, the caller hears nothing
    marks: dict[str, Posted] = field(default_factory=dict)
    looked: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, token: str, base_url: str = "", *, seconds: float = 0) -> FakeSlack:
        return self

    def _fail(self) -> None:
        if self.errors:
            raise self.errors.pop(0)

    def post(
        self, channel: str, text: str, blocks: Sequence[Any] = (), thread_ts: str = "", *, mark: str = ""
    ) -> Posted:
        self._fail()
        self.calls.append(("post", channel, text, thread_ts))
        posted = self.marks[mark] = Posted("C1", f"ts{len(self.calls)}")
        if self.lost:
            self.lost -= 1
            raise TimedOut("Slack gave no answer in time.", system="Slack")
        return posted

    def find(self, channel: str, mark: str, *, since: float, thread_ts: str = "") -> Posted | None:
        self._fail()
        self.looked.append((channel, mark))
        return self.marks.get(mark)

    def update(self, channel: str, ts: str, text: str, blocks: Sequence[Any] = ()) -> None:
        self._fail()
        self.calls.append(("update", channel, ts, text))


@pytest.fixture(autouse=True)
def slack(monkeypatch: pytest.MonkeyPatch, settings: Any) -> FakeSlack:
    settings.SLACK_BOT_TOKEN = "xoxb-test"
    fake = FakeSlack()
    monkeypatch.setattr(outbox, "Slack", fake)
    return fake


@pytest.fixture
def row(db: None) -> Any:
    """`row("started")` makes a due row of the thread `deploy-12`."""

    def make(key: str, *, thread: str = "deploy-12", channel: str = "#shop", **facts: Any) -> Outgoing:
        return Outgoing.objects.create(
            kind="slack", recipient=channel, key=f"{thread}-{key}", thread=thread, payload={**FACTS, **facts},
            next_try_at=timezone.now() - timedelta(seconds=1),
        )  # fmt: skip

    return make
