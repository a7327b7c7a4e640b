"""Slack's protocol: messages, threads, updates, and each way in which it says no."""

from __future__ import annotations

import json
import time

import pytest

from adapters.errors import Denied, ExternalError, Invalid, NotFound, Throttled, TimedOut, Unavailable
from adapters.slack import Posted, Slack

TOKEN = "xoxb-canary-55d1"


@pytest.fixture
def slack(stub) -> Slack:
    return Slack(TOKEN, stub.url + "/api")


def sent(stub, number: int = -1) -> dict:
    return json.loads(stub.requests[number][3])


def test_message_thread_and_update(stub, slack) -> None:
    stub.say(200, {"ok": True, "channel": "C024BE91L", "ts": "1700000000.000100"})
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "*x*"}}]
    posted = slack.post("#deploys", "Deploying", blocks)
    assert posted == Posted("C024BE91L", "1700000000.000100")
    method, path, headers, _ = stub.requests[0]
    assert (method, path, headers["Authorization"]) == ("POST", "/api/chat.postMessage", f"Bearer {TOKEN}")
    assert sent(stub)["channel"] == "#deploys"
    assert sent(stub)["blocks"] == blocks
    assert "thread_ts" not in sent(stub)
    slack.post(posted.channel, "Details", thread_ts=posted.ts)
    assert sent(stub)["thread_ts"] == posted.ts
    assert "blocks" not in sent(stub)
    slack.update(posted.channel, posted.ts, "Done", blocks)
    assert stub.requests[-1][1] == "/api/chat.update"
    assert {**sent(stub), "blocks": None} == {
        "channel": "C024BE91L",
        "ts": posted.ts,
        "text": "Done",
        "blocks": None,
    }


def test_check_tells_who_we_are(stub, slack) -> None:
    stub.say(200, {"ok": True, "team": "Acme", "user": "slipway"})
    facts = slack.check()
    assert (facts.team, facts.user) == ("Acme", "slipway")


@pytest.mark.parametrize(
    ("code", "expected", "words"),
    [
        ("invalid_auth", Denied, "token"),
        ("not_authed", Denied, "token"),
        ("account_inactive", Denied, "token"),
        ("token_revoked", Denied, "token"),
        ("missing_scope", Denied, "scope"),
        ("not_in_channel", Denied, "not a member of #deploys"),
        ("cant_update_message", Denied, "may not change"),
        ("channel_not_found", NotFound, "#deploys"),
        ("message_not_found", NotFound, "gone from #deploys"),
        ("is_archived", NotFound, "archived"),
        ("msg_too_long", Invalid, "msg_too_long"),
        ("invalid_blocks", Invalid, "invalid_blocks"),
        ("ratelimited", Throttled, "less often"),
        ("internal_error", Unavailable, "failed on its side"),
        ("fatal_error", Unavailable, "failed on its side"),
    ],
)
def test_refusals_in_plain_words(stub, slack, code: str, expected: type[ExternalError], words: str) -> None:
    stub.say(200, {"ok": False, "error": code})
    with pytest.raises(ExternalError, match=words) as caught:
        slack.post("#deploys", "x")
    assert type(caught.value) is expected
    assert caught.value.permanent is (expected in (Denied, NotFound, Invalid))
    assert TOKEN not in str(caught.value) + caught.value.hint
    assert len(stub.requests) == 1


def test_short_pause_is_waited_for(stub, slack) -> None:
    stub.say(429, {"ok": False, "error": "ratelimited"}, Retry_After="1")
    stub.say(200, {"ok": True, "channel": "C1", "ts": "1.2"})
    started = time.monotonic()
    assert slack.post("C1", "x").ts == "1.2"
    assert time.monotonic() - started >= 1


def test_long_pause_is_the_callers_matter(stub, slack) -> None:
    stub.say(429, {"ok": False, "error": "ratelimited"}, Retry_After="60")
    started = time.monotonic()
    with pytest.raises(Throttled) as caught:
        slack.post("C1", "x")
    assert caught.value.retry_after == 60
    assert time.monotonic() - started < 40
    assert len(stub.requests) == 1


def test_pauses_end(stub, slack, monkeypatch) -> None:
    monkeypatch.setattr("slack_sdk.http_retry.builtin_handlers.time.sleep", lambda _seconds: None)
    stub.say(429, {"ok": False, "error": "ratelimited"}, Retry_After="1")
    with pytest.raises(Throttled):
        slack.post("C1", "x")
    assert len(stub.requests) == 3


def test_sick_slack_is_asked_twice(stub, slack) -> None:
    stub.say(503, "<html>")
    stub.say(200, {"ok": True, "channel": "C1", "ts": "1.2"})
    assert slack.post("C1", "x").ts == "1.2"
    stub.answers[:] = []
    stub.say(500, "<html>" + TOKEN)
    with pytest.raises(Unavailable) as caught:
        slack.post("C1", "x")
    assert TOKEN not in str(caught.value)
    assert len(stub.requests) == 4


@pytest.mark.parametrize("body", ["<html>", "", "[]", "{", '{"ok": true}', '"x"', "null"])
def test_answers_without_sense(stub, slack, body: str) -> None:
    stub.say(200, body)
    with pytest.raises(Unavailable):
        slack.post("C1", "x")


def test_lost_answer_is_not_asked_again(stub, slack) -> None:
    """The message may have arrived: a second request would post it twice."""
    stub.say(0)
    with pytest.raises(Unavailable, match="not reachable"):
        slack.post("C1", "x")
    assert len(stub.requests) == 1


def test_slow_and_absent_slack(stub, monkeypatch) -> None:
    monkeypatch.setattr("adapters.slack.TIMEOUT", 0.3)
    stub.say(200, {"ok": True})
    stub.delay = 5
    with pytest.raises(TimedOut, match="may have arrived"):
        Slack(TOKEN, stub.url).post("C1", "x")
    with pytest.raises(Unavailable, match="not reachable"):
        Slack(TOKEN, "http://127.0.0.1:1/").check()
    with pytest.raises(ExternalError):
        Slack(TOKEN, "nonsense").check()


@pytest.mark.parametrize("token", ["xoxb-a\nb", "xoxb-ü"])
def test_token_that_fits_no_header(token: str) -> None:
    with pytest.raises(Invalid):
        Slack(token)


def test_the_mark_travels_as_metadata_and_pages_are_turned(stub, slack) -> None:
    stub.say(200, {"ok": True, "channel": "C024BE91L", "ts": "1.2"})
    slack.post("C024BE91L", "x", mark="deploy-1/message")
    assert sent(stub)["metadata"] == {
        "event_type": "slipway_message",
        "event_payload": {"mark": "deploy-1/message"},
    }
    stub.answers[:] = []
    asked = []
    real = slack._client.conversations_history
    slack._client.conversations_history = lambda **given: asked.append(given) or real(**given)
    stub.say(200, {"ok": True, "messages": [{"ts": "9.1"}], "response_metadata": {"next_cursor": "more"}})
    marked = {"ts": "1.2", "metadata": {"event_payload": {"mark": "deploy-1/message"}}}
    stub.say(200, {"ok": True, "messages": [marked]})
    assert slack.find("C024BE91L", "deploy-1/message", since=1.0) == Posted("C024BE91L", "1.2")
    assert [one["cursor"] for one in asked] == [None, "more"]
    assert asked[0]["oldest"] == "1.000000"


def test_a_delivery_without_time_asks_nothing(stub) -> None:
    with pytest.raises(TimedOut):
        Slack(TOKEN, stub.url + "/api", seconds=-1).post("C1", "x")
    assert not stub.requests
