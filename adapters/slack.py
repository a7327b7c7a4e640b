"""Slack: posts a message, updates it, answers in its thread.

Posting is not idempotent, so a request without an answer is not repeated here: the caller (the outbox) finds out with
`find` whether the message arrived. Only requests that Slack itself refused or failed (429, 500, 503) are repeated, within
seconds.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.error import URLError

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry import HttpResponse
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler, ServerErrorRetryHandler
from slack_sdk.web import SlackResponse

from adapters.errors import Denied, ExternalError, Invalid, NotFound, Throttled, TimedOut, Unavailable

SYSTEM = "Slack"
TIMEOUT = 10  # seconds for each try
LONGEST_WAIT = 3  # seconds; when Slack wants a longer pause, the caller gets Throttled with its length
# A request that Slack repeatedly refuses takes about so long: three tries and the pauses between them.
LONGEST_REQUEST = 3 * TIMEOUT + 2 * LONGEST_WAIT
MARK = "slipway_message"  # the event type of our messages' metadata
PAGES = 10

# slack_sdk logs messages at DEBUG and a failing server's answer at ERROR. Callers get errors as exceptions.
logging.getLogger("slack_sdk").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Posted:
    """The place of a message. Updating it or answering in its thread needs both values.

    `channel` is the channel's id, even if the message was posted to a name: Slack updates by id only.
    """

    channel: str
    ts: str


@dataclass(frozen=True)
class SlackFacts:
    """The identity of the bot."""

    team: str
    user: str


class Slack:
    """A Slack client of one bot. `token`: a bot token; `base_url`: another address of the API, for tests and the sandbox.

    `seconds`: after which it begins no further request and raises TimedOut.
    """

    def __init__(self, token: str, base_url: str = "", *, seconds: float = 3600.0) -> None:
        self._until = time.monotonic() + seconds
        if not token.strip().isascii() or not token.strip().isprintable():
            raise Invalid(
                "The Slack token holds characters that no token has.", system=SYSTEM, hint=_TOKEN_HINT
            )
        self._client = WebClient(
            token=token.strip(),
            base_url=base_url or WebClient.BASE_URL,
            timeout=TIMEOUT,
            retry_handlers=[_BriefRateLimit(max_retry_count=2), ServerErrorRetryHandler(max_retry_count=1)],
        )

    def post(
        self,
        channel: str,
        text: str,
        blocks: Sequence[dict[str, Any]] = (),
        thread_ts: str = "",
        *,
        mark: str = "",
    ) -> Posted:
        """Posts to a channel (id or name). `text`: for notifications and screen readers. `mark`: kept in the message's metadata,
        which people do not see; `find` knows it. Raises ExternalError."""
        with self._asking(channel):
            answer = self._client.chat_postMessage(
                channel=channel,
                text=text,
                blocks=list(blocks) or None,
                thread_ts=thread_ts or None,
                metadata={"event_type": MARK, "event_payload": {"mark": mark}} if mark else None,
                unfurl_links=False,
                unfurl_media=False,
            )
            return Posted(*_texts(answer, "channel", "ts"))

    def update(self, channel: str, ts: str, text: str, blocks: Sequence[dict[str, Any]] = ()) -> None:
        """Replaces a message. `channel` and `ts`: as returned by `post`. Raises ExternalError."""
        with self._asking(channel):
            self._client.chat_update(channel=channel, ts=ts, text=text, blocks=list(blocks) or None)

    def find(self, channel: str, mark: str, *, since: float, thread_ts: str = "") -> Posted | None:
        """The message with this mark, posted after `since` (Unix time) in a channel (id or name), or in a thread of it; None when
        there is none. Needs the scopes channels:history and, for a name, channels:read. Raises ExternalError."""
        with self._asking(channel):
            channel_id = self._id_of(channel)
            ask = partial(self._client.conversations_history, channel=channel_id)
            if thread_ts:
                ask = partial(self._client.conversations_replies, channel=channel_id, ts=thread_ts)
            for page in _pages(partial(ask, oldest=f"{since:.6f}", include_all_metadata=True, limit=200)):
                for message in page["messages"]:
                    payload = (message.get("metadata") or {}).get("event_payload") or {}
                    if payload.get("mark") == mark:
                        return Posted(channel_id, str(message["ts"]))
        return None

    def _id_of(self, channel: str) -> str:
        """The id of a channel that may be given by name. Raises NotFound."""
        if re.fullmatch(r"[CGD][A-Z0-9]{6,}", channel):
            return channel
        kinds = "public_channel,private_channel"
        for page in _pages(
            partial(self._client.conversations_list, types=kinds, exclude_archived=True, limit=1000)
        ):
            for one in page["channels"]:
                if one["name"] == channel.lstrip("#"):
                    return str(one["id"])
        raise NotFound(_NOT_FOUND["channel_not_found"].format(channel=channel), system=SYSTEM)

    @contextlib.contextmanager
    def _asking(self, channel: str) -> Iterator[None]:
        if time.monotonic() > self._until:
            raise TimedOut("Slack is too slow.", system=SYSTEM)
        with _slack_errors(channel):
            yield

    def check(self) -> SlackFacts:
        """Tries the token and returns its identity. Raises ExternalError."""
        with _slack_errors(""):
            answer = self._client.auth_test()
            return SlackFacts(*_texts(answer, "team", "user"))


def _pages(ask: Callable[..., SlackResponse]) -> Iterator[SlackResponse]:
    """The pages of a list of Slack's, at most PAGES."""
    cursor = ""
    for _ in range(PAGES):
        page = ask(cursor=cursor or None)
        yield page
        cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
        if not cursor:
            return


class _BriefRateLimit(RateLimitErrorRetryHandler):
    """Waits as long as Slack asks, but only for short pauses, because it sleeps in the calling thread."""

    def _can_retry(self, *, response: HttpResponse | None = None, **others: Any) -> bool:
        wait = _retry_after(response.headers) if response else None
        return super()._can_retry(response=response, **others) and (wait or 0) <= LONGEST_WAIT


_DENIED = {
    "invalid_auth": "Slack does not accept the bot's token.",
    "not_authed": "There is no Slack token.",
    "account_inactive": "The Slack token belongs to an account or workspace that was switched off.",
    "token_revoked": "The Slack token was revoked.",
    "token_expired": "The Slack token has expired.",
    "not_allowed_token_type": "The Slack token is not a bot token.",
    "missing_scope": "The Slack bot lacks a permission (scope).",
    "no_permission": "The Slack bot lacks a permission.",
    "ekm_access_denied": "Slack's administrators have suspended posting.",
    "restricted_action": "Slack's settings do not let the bot post in {channel}.",
    "restricted_action_read_only_channel": "{channel} is a read-only Slack channel.",
    "not_in_channel": "The Slack bot is not a member of {channel}.",
    "cant_update_message": "The Slack bot may not change that message.",
    "edit_window_closed": "Slack does not let messages of that age be changed.",
}
_NOT_FOUND = {
    "channel_not_found": "There is no Slack channel {channel}, or the bot does not see it.",
    "message_not_found": "The Slack message to be updated is gone from {channel}.",
    "thread_not_found": "The Slack thread is gone from {channel}.",
    "is_archived": "The Slack channel {channel} is archived.",
}
_PASSING = {
    *("internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"),
    *("accesslimited", "external_channel_migrating"),
}
_HINTS = {
    "not_in_channel": "Invite the bot to the channel in Slack (/invite).",
    "channel_not_found": "Check the channel's name; invite the bot to it if it is private.",
    "missing_scope": "Give the Slack app the scopes chat:write and chat:write.public, then install it again.",
}
_TOKEN_HINT = "Set SLACK_BOT_TOKEN to a valid bot token (xoxb-…)."  # noqa: S105 - a sentence


@contextlib.contextmanager
def _slack_errors(channel: str) -> Iterator[None]:
    """Turns exceptions of slack_sdk and urllib inside the block into ExternalErrors."""
    try:
        yield
    except SlackApiError as error:
        raise _refusal(error, channel or "the channel") from None
    except (TimeoutError, URLError) as error:
        if isinstance(error, TimeoutError) or isinstance(error.reason, TimeoutError):
            raise TimedOut(
                "Slack gave no answer in time; the message may have arrived.", system=SYSTEM
            ) from None
        raise _unreachable() from None
    except (OSError, http.client.HTTPException, SlackClientError):
        raise _unreachable() from None
    except (ValueError, LookupError, TypeError, AttributeError):  # no JSON, or JSON of another shape
        raise Unavailable(
            "Slack's answer made no sense.", system=SYSTEM, hint="Check SLACK_API_URL."
        ) from None


def _refusal(error: SlackApiError, channel: str) -> ExternalError:
    answer = error.response
    data = getattr(answer, "data", answer)
    code = str(data.get("error", "")) if isinstance(data, dict) else ""
    status, headers = getattr(answer, "status_code", 200), getattr(answer, "headers", {})
    if status == 429 or code in ("ratelimited", "rate_limited", "message_limit_exceeded"):
        return Throttled(
            "Slack asks us to post less often.", system=SYSTEM, retry_after=_retry_after(headers)
        )
    if code in _DENIED:
        hint = _HINTS.get(code, _TOKEN_HINT if "token" in _DENIED[code] else "")
        return Denied(_DENIED[code].format(channel=channel), system=SYSTEM, hint=hint)
    if code in _NOT_FOUND:
        return NotFound(_NOT_FOUND[code].format(channel=channel), system=SYSTEM, hint=_HINTS.get(code, ""))
    # Slack's own codes are single words; slack_sdk puts a sentence there when the answer is not JSON.
    if status >= 500 or code in _PASSING or not re.fullmatch(r"[a-z_0-9]{1,60}", code):
        return Unavailable("Slack failed on its side.", system=SYSTEM, hint="Try again.")
    return Invalid(f"Slack does not take the message ({code}).", system=SYSTEM)


def _texts(answer: SlackResponse, *names: str) -> list[str]:
    """The named fields of an answer. Raises LookupError when one is missing: then the answer is not from Slack."""
    values = [answer.get(name) for name in names]
    if not all(isinstance(value, str) and value for value in values):
        raise LookupError(names)
    return [str(value) for value in values]


def _retry_after(headers: Mapping[str, Any]) -> float | None:
    """Seconds that Slack asks us to wait, or None. slack_sdk gives headers as texts or as lists of texts."""
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), None)
    text = value[0] if isinstance(value, list) and value else value
    return float(text) if isinstance(text, str) and text.isdigit() else None


def _unreachable() -> Unavailable:
    hint = "Try again; if it stays so, check the network between the portal and Slack."
    return Unavailable("Slack is not reachable.", system=SYSTEM, hint=hint)
