"""What is outside hangs: it is there, takes connections and does not answer. Nothing waits for it but what needs it, and
nothing is lost or done twice when it goes on. docs/reliability.md says what is promised."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest
import requests

from tests.chaos.breaking import horse_of, kill, silent
from tests.e2e.database import now
from tests.e2e.fixtures import People, Slow
from tests.e2e.running import Running, until

pytestmark = pytest.mark.slow


def seconds(call: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.monotonic()
    call()
    return time.monotonic() - began


def test_a_redis_that_hangs_delays_no_page_no_cancel_and_no_take_over(
    sandbox: Running, people: People, slow: Slow
) -> None:
    lead = people("lead")
    killed = lead.deploy("storefront", "staging", slow("storefront", 20))
    cancelled = lead.deploy("catalog", "staging", slow("catalog", 60))
    for number in (cancelled, killed):
        sandbox.reaches(number, "apply")
    with silent(sandbox.redis_pid()):
        asked: list[int] = []
        posts = [seconds(lambda: asked.append(lead.deploy("cluster-base", "cluster", "main")))]
        posts.append(seconds(lambda: lead.act(cancelled, "cancel")))
        pages = ["/", f"/deploys/{killed}/", "/projects/storefront/staging/"] * 3
        gets = [seconds(lambda path=path: lead.get(path)) for path in pages]  # type: ignore[misc]
        # Redis hangs for the whole of this block. Whoever waits for it waits far longer, also on a busy machine.
        assert statistics.median(gets) < 5, gets
        assert max(gets + posts) < 20, (gets, posts)
        assert sandbox.ended(cancelled, 30)["state"] == "cancelled"
        kill(horse_of(sandbox, killed))
        until("it is given to another worker", lambda: sandbox.deploy(killed)["attempt"] == 2 or None, 45)
        assert sandbox.deploy(asked[0])["state"] == "queued"
    for number in (killed, *asked):
        found = sandbox.ended(number, 150)
        assert found["state"] == "succeeded", found["result"]


def messages_about(sandbox: Running, number: int) -> int:
    """How many of Slack's messages, not counting replies, are about a deploy."""
    answer = requests.get(
        sandbox.env["SLIPWAY_SLACK_URL"], headers={"Accept": "application/json"}, timeout=20
    )
    shown = [json.dumps({**message, "replies": []}) for message in answer.json()["messages"]]
    return sum(f"/deploys/{number}/" in text or f"/deploys/{number}|" in text for text in shown)


def test_a_slack_that_hangs_and_a_killed_sender_tell_everything_once(
    sandbox: Running, people: People
) -> None:
    """Requests that were given up are carried out when Slack goes on: the next try must see that. Meanwhile clusters are
    read as ever, though Git hangs, too."""
    lead = people("lead")
    with ExitStack() as hanging:
        hanging.enter_context(silent(sandbox.pids("sandbox.slack.end")[0]))
        number = lead.deploy("cluster-base", "cluster", "main")
        assert sandbox.ended(number)["state"] == "succeeded"
        hanging.enter_context(silent(sandbox.pids("sandbox.git.server")[0]))
        until("a try was given up", lambda: waits(sandbox, number), 60)
        for pid in sandbox.pids("manage.py", "rqworker", "messages"):
            kill(pid)
        began = now(sandbox.database_url)
        unread = "SELECT environment_id FROM clusters_livestate WHERE read_at IS NULL OR read_at < ?"
        until("every environment was read", lambda: not sandbox.rows(unread, began) or None, 75)
    waiting = "SELECT key, state, result FROM notify_outgoing WHERE state NOT IN ('sent', 'skipped')"
    until("everything was told", lambda: not sandbox.rows(waiting) or None, 150)
    assert messages_about(sandbox, number) == 1


def waits(sandbox: Running, number: int) -> bool | None:
    """Whether the first message about a deploy waits for its next try."""
    query = "SELECT result FROM notify_outgoing WHERE key = ? AND state = 'waiting' AND result <> ''"
    return bool(sandbox.rows(query, f"deploy-{number}-started")) or None


def test_a_cluster_that_hangs_before_the_first_write_is_waited_for(
    sandbox: Running, people: People, slow: Slow
) -> None:
    """Visibly, and one can cancel meanwhile."""
    lead = people("lead")
    with silent(sandbox.api_server_pid()):
        waiting = lead.deploy("storefront", "staging", slow("storefront"))
        cancelled = lead.deploy("catalog", "staging", slow("catalog"))
        for number in (waiting, cancelled):
            until(
                "the log says so", lambda n=number: "Trying again for up to 60 s." in sandbox.log(n) or None
            )  # type: ignore[misc]
        lead.act(cancelled, "cancel")
        assert sandbox.ended(cancelled, 45)["state"] == "cancelled"
    found = sandbox.ended(waiting, 150)
    assert (found["state"], found["attempt"]) == ("succeeded", 1), found["result"]
    assert "The cluster answers again." in sandbox.log(waiting)


def test_audit_events_are_chained_although_the_scheduler_is_killed_again_and_again(
    sandbox: Running, people: People
) -> None:
    lead = people("lead")
    number = lead.deploy("cluster-base", "cluster", "main")
    for _ in range(6):
        pids = until("a scheduler runs", lambda: sandbox.pids("manage.py", "scheduler") or None)
        time.sleep(1)
        kill(pids[0])
    sandbox.ended(number, 150)
    (last,) = sandbox.rows("SELECT max(id) AS id FROM audit_auditevent")
    unchained = "SELECT id FROM audit_auditevent WHERE id <= ? AND hash = ''"
    # The lease of the killed one, the age from which events are chained, and one tick.
    until(
        "all events are chained", lambda: not sandbox.rows(unchained, last["id"]) or None, 15 + 30 + 30 + 15
    )
