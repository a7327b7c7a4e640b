"""A Slack that remembers, in place of the adapter, and rows of the outbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from adapters.errors import ExternalError
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
    errors: list[ExternalError] = field(default_factory=list)

    def __call__(self, token: str, base_url: str = "") -> FakeSlack:
        return self

    def _fail(self) -> None:
        if self.errors:
            raise self.errors.pop(0)

    def post(self, channel: str, text: str, blocks: Sequence[Any] = (), thread_ts: str = "") -> Posted:
        self._fail()
        self.calls.append(("post", channel, text, thread_ts))
        return Posted("C1", f"ts{len(self.calls)}")

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

    def make(key: str, *, thread: str = "deploy-12", **facts: Any) -> Outgoing:
        return Outgoing.objects.create(
            kind="slack", recipient="#shop", key=f"{thread}-{key}", thread=thread, payload={**FACTS, **facts}
        )

    return make
