"""The Slack end against the real client."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from adapters.errors import NotFound
from adapters.slack import Slack
from sandbox.slack.end import make_slack_server
from sandbox.web import Server

TOKEN = "xoxb-test"


@pytest.fixture
def url(tmp_path: Path, serve: Callable[[Server], str]) -> str:
    return serve(make_slack_server(tmp_path / "slack", 0, TOKEN))


@pytest.fixture
def slack(url: str) -> WebClient:
    return WebClient(token=TOKEN, base_url=f"{url}/api/", timeout=5)


def read(url: str, accept: str = "*/*") -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept}), timeout=5) as answer:
        return answer.read()


def messages(url: str) -> list[dict[str, Any]]:
    return json.loads(read(url + "/"))["messages"]


def test_a_message_is_updated_and_has_its_details_in_a_thread(slack: WebClient, url: str) -> None:
    posted = slack.chat_postMessage(channel="#storefront", text="Deploying")
    slack.chat_postMessage(channel=posted["channel"], thread_ts=posted["ts"], text="web is ready")
    section = {
        "type": "section",
        "text": {"type": "mrkdwn", "text": "*Deployed* to <https://x.example/1|#1>"},
    }
    slack.chat_update(channel=posted["channel"], ts=posted["ts"], text="Deployed", blocks=[section])
    (message,) = messages(url)
    assert (message["channel"], message["text"], message["updates"]) == ("#storefront", "Deployed", 1)
    assert message["blocks"] == [section]
    assert [reply["text"] for reply in message["replies"]] == ["web is ready"]
    assert message["replies"][0]["channel"] == "#storefront"


def test_the_page_shows_messages_as_text_with_their_links(slack: WebClient, url: str) -> None:
    slack.chat_postMessage(
        channel="#a",
        text="<script>alert(1)</script> *bold* <https://x.example/?a=1&b=2|here> _by Ana_ at <!date^17^{time}|10:04 UTC>",
    )
    page = read(url + "/", "text/html").decode()
    assert "<script>" not in page
    assert "<b>bold</b>" in page
    assert "<i>by Ana</i> at <time>10:04 UTC</time>" in page
    assert '<a href="https://x.example/?a=1&amp;b=2">here</a>' in page


def test_an_update_needs_the_channel_that_slack_answered(slack: WebClient) -> None:
    posted = slack.chat_postMessage(channel="#a", text="x")
    with pytest.raises(SlackApiError) as error:
        slack.chat_update(channel="C0000000000", ts=posted["ts"], text="y")
    assert error.value.response["error"] == "message_not_found"


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"channel": "Not A Channel!", "text": "x"}, "channel_not_found"),
        ({"channel": "#a"}, "no_text"),
        ({"channel": "#a", "text": "x", "thread_ts": "1.000001"}, "thread_not_found"),
    ],
)
def test_refusals_come_as_slack_words_them(slack: WebClient, given: dict[str, str], error: str) -> None:
    with pytest.raises(SlackApiError) as refused:
        slack.api_call("chat.postMessage", json=given)  # chat_postMessage warns of a missing text by itself
    assert refused.value.response["error"] == error


def test_the_token_is_checked(slack: WebClient, url: str) -> None:
    assert slack.auth_test()["ok"]
    with pytest.raises(SlackApiError) as error:
        WebClient(token="xoxb-other", base_url=f"{url}/api/").auth_test()
    assert error.value.response["error"] == "invalid_auth"


def test_messages_are_kept(tmp_path: Path, serve: Callable[[Server], str]) -> None:
    first = serve(make_slack_server(tmp_path / "slack", 0, TOKEN))
    posted = WebClient(token=TOKEN, base_url=f"{first}/api/").chat_postMessage(channel="#a", text="kept")
    second = serve(make_slack_server(tmp_path / "slack", 0, TOKEN))
    assert [message["ts"] for message in messages(second)] == [posted["ts"]]


def test_a_message_is_found_by_its_mark_in_its_channel_and_in_its_thread(url: str) -> None:
    """Also by the channel's name, as before the first answer."""
    slack = Slack(TOKEN, f"{url}/api/")
    first = slack.post("#storefront", "Deploying", mark="deploy-1/message")
    slack.post("#storefront", "Another")
    details = slack.post(first.channel, "It crashed.", thread_ts=first.ts, mark="deploy-1/details")
    for channel in ("#storefront", first.channel):
        assert slack.find(channel, "deploy-1/message", since=0) == first
        assert slack.find(channel, "deploy-1/message", since=time.time() + 60) is None
        assert slack.find(channel, "deploy-1/details", since=0) is None
        assert slack.find(channel, "deploy-1/details", since=0, thread_ts=first.ts) == details
    with pytest.raises(NotFound):
        slack.find("#nobody", "deploy-1/message", since=0)
