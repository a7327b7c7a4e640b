"""The sandbox's Slack server: takes requests of `slack_sdk`, stores messages, and shows them as a page and as JSON at `/`.

`SLACK_BOT_TOKEN=… python -m sandbox.slack.end --directory D --port P`. It implements auth.test,
chat.postMessage (threads and metadata too), chat.update, conversations.history, conversations.replies and
conversations.list as documented at https://api.slack.com/methods: errors come as HTTP 200 with
`"ok": false`, a channel is answered by its id, and an update is found by that id and the message's `ts`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import threading
import time
import urllib.parse
from pathlib import Path
from typing import Any

from sandbox.slack.page import render
from sandbox.web import Handler, Server

Json = dict[str, Any]

_CHANNEL = re.compile(r"#?[a-z0-9][a-z0-9_-]{0,79}|[CG][A-Z0-9]{8,10}")
_KEPT = 2000  # messages; the oldest go first


class SlackError(Exception):
    """An error with Slack's code, for the member `error` of the answer."""


class Channels:
    """Every message that was posted, in order, kept in one file of the folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.messages: list[Json] = json.loads(path.read_text()) if path.exists() else []

    def post(self, given: Json) -> Json:
        """chat.postMessage: a new message, in a thread when `thread_ts` names one."""
        channel = _channel_id(str(given.get("channel", "")))
        if not given.get("text") and not given.get("blocks") and not given.get("attachments"):
            raise SlackError("no_text")
        with self.lock:
            thread = given.get("thread_ts") or ""
            if thread and self._find(channel, thread) is None:
                raise SlackError("thread_not_found")
            message = {
                "channel": self._name(channel, str(given["channel"])),
                "channel_id": channel,
                "ts": self._next_ts(),
                "thread_ts": thread,
                "updates": 0,
                "metadata": _decoded(given.get("metadata") or {}),
                **_content(given),
            }
            self.messages = [*self.messages, message][-_KEPT:]
            self._keep()
        return message

    def update(self, given: Json) -> Json:
        """chat.update: replaces the content of an existing message."""
        with self.lock:
            message = self._find(str(given.get("channel", "")), str(given.get("ts", "")))
            if message is None:
                raise SlackError("message_not_found")
            message.update(_content(given), updates=message["updates"] + 1)
            self._keep()
        return message

    def history(self, given: Json) -> list[Json]:
        """conversations.history: a channel's messages outside of threads, newest first."""
        channel = self._known(given)
        with self.lock:
            return [
                _told(m, given)
                for m in reversed(self.messages)
                if _fits(m, channel, given) and not m["thread_ts"]
            ]

    def replies(self, given: Json) -> list[Json]:
        """conversations.replies: the first message of a thread and its replies, oldest first."""
        channel, first = self._known(given), str(given.get("ts", ""))
        with self.lock:
            if self._find(channel, first) is None:
                raise SlackError("thread_not_found")
            thread = [m for m in self.messages if first in (m["ts"], m["thread_ts"])]
        return [_told(m, given) for m in thread if m["ts"] == first or _fits(m, channel, given)]

    def names(self) -> list[Json]:
        """conversations.list: the channels that were ever used."""
        with self.lock:
            found = {m["channel_id"]: m["channel"].lstrip("#") for m in self.messages}
        return [{"id": key, "name": name, "is_channel": True} for key, name in found.items()]

    def _known(self, given: Json) -> str:
        """Unlike posting, reading takes ids only."""
        channel = str(given.get("channel", ""))
        if not re.fullmatch(r"[CG][A-Z0-9]{8,10}", channel):
            raise SlackError("channel_not_found")
        return channel

    def threads(self) -> list[Json]:
        """Messages newest first, each with its `replies` (oldest first)."""
        with self.lock:
            tops = [m for m in self.messages if not m["thread_ts"]]
            replies = [m for m in self.messages if m["thread_ts"]]
        return [{**m, "replies": [r for r in replies if r["thread_ts"] == m["ts"]]} for m in reversed(tops)]

    def _find(self, channel: str, ts: str) -> Json | None:
        return next((m for m in self.messages if m["ts"] == ts and m["channel_id"] == channel), None)

    def _name(self, channel: str, given: str) -> str:
        """The name under which a channel was first used: a client may use its id afterwards."""
        return next((m["channel"] for m in self.messages if m["channel_id"] == channel), given)

    def _next_ts(self) -> str:
        last = float(self.messages[-1]["ts"]) if self.messages else 0.0
        return f"{max(time.time(), last + 0.000001):.6f}"

    def _keep(self) -> None:
        new = self.path.with_suffix(".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(self.messages, file)
        new.replace(self.path)


def _content(given: Json) -> Json:
    return {"text": given.get("text") or "", "blocks": _decoded(given.get("blocks") or [])}


def _decoded(value: Any) -> Any:
    """A form's field holds JSON as text."""
    return json.loads(value) if isinstance(value, str) else value


def _fits(message: Json, channel: str, given: Json) -> bool:
    return bool(message["channel_id"] == channel and float(message["ts"]) > float(given.get("oldest") or 0))


def _told(message: Json, given: Json) -> Json:
    """A message as the lists show it; its metadata only on request."""
    shown = {name: message[name] for name in ("text", "blocks", "ts")}
    wants = str(given.get("include_all_metadata", "")).lower() in ("1", "true")
    return {**shown, **({"metadata": message.get("metadata") or {}} if wants else {})}


def _channel_id(channel: str) -> str:
    """The id of a channel: the given id, or one derived from the name. Raises SlackError for an invalid channel."""
    if not _CHANNEL.fullmatch(channel):
        raise SlackError("channel_not_found")
    if channel[0] in "CG":
        return channel
    return "C" + hashlib.sha256(channel.lstrip("#").encode()).hexdigest()[:10].upper()


def make_slack_server(directory: Path, port: int, token: str) -> Server:
    """The server, which already listens; the caller runs `serve_forever`. API at `/api/`, page and JSON at
    `/`.
    """
    directory.mkdir(parents=True, exist_ok=True)

    class SlackHandler(_SlackHandler):
        pass

    SlackHandler.channels, SlackHandler.token = Channels(directory / "messages.json"), token
    return Server(port, SlackHandler)


class _SlackHandler(Handler):
    channels: Channels
    token: str

    def do_GET(self) -> None:
        if self.path.startswith("/api/"):
            query = urllib.parse.parse_qs(self.path.partition("?")[2])
            return self._method({name: values[0] for name, values in query.items()})
        threads = self.channels.threads()
        if "text/html" in self.headers.get("Accept", "") and "format=json" not in self.path:
            return self.answer(200, render(threads).encode(), {"Content-Type": "text/html; charset=utf-8"})
        return self.answer_json({"messages": threads})

    def do_POST(self) -> None:
        raw = self.body().decode()
        if "json" in self.headers.get("Content-Type", ""):
            return self._method(json.loads(raw or "{}"))
        return self._method({name: values[0] for name, values in urllib.parse.parse_qs(raw).items()})

    def _method(self, given: Json) -> None:
        try:
            self.answer_json({"ok": True, **self._call(given)})
        except SlackError as error:
            self.answer_json({"ok": False, "error": str(error)})

    def _call(self, given: Json) -> Json:
        if self.headers.get("Authorization") != f"Bearer {self.token}":
            raise SlackError("not_authed" if "Authorization" not in self.headers else "invalid_auth")
        match self.path.partition("?")[0].removeprefix("/api/"):
            case "auth.test":
                return {
                    "team": "Sandbox",
                    "user": "slipway",
                    "user_id": "U0SLIPWAY",
                    "team_id": "T0SANDBOX",
                    "url": "/",
                }
            case "chat.postMessage":
                return _answer_message(self.channels.post(given))
            case "chat.update":
                return _answer_message(self.channels.update(given))
            case "conversations.history":
                return {"messages": self.channels.history(given), "has_more": False}
            case "conversations.replies":
                return {"messages": self.channels.replies(given), "has_more": False}
            case "conversations.list":
                return {"channels": self.channels.names()}
        raise SlackError("unknown_method")


def _answer_message(message: Json) -> Json:
    shown = {name: message[name] for name in ("text", "blocks", "ts")}
    return {"channel": message["channel_id"], "ts": message["ts"], "text": message["text"], "message": shown}


def main() -> None:
    """Parses the arguments and serves until a signal stops it."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.slack.end")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    make_slack_server(options.directory, options.port, os.environ["SLACK_BOT_TOKEN"]).serve_forever()


if __name__ == "__main__":
    main()
