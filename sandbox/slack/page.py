"""The page with the messages of the sandbox's Slack."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="5"><title>Sandbox Slack</title><style>
:root {{ color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }}
body {{ max-width: 46rem; margin: 2rem auto; padding: 0 1rem }}
article {{ border: 1px solid #8884; border-radius: 8px; padding: .75rem 1rem; margin: 1rem 0 }}
article article {{ border-width: 0 0 0 3px; border-radius: 0; margin: .5rem 0 }}
header {{ color: light-dark(#555, #aaa); font-size: .85rem }}
p {{ margin: .25rem 0; white-space: pre-wrap; overflow-wrap: anywhere }}
</style></head><body><h1>Sandbox Slack</h1><p>{count}</p>{messages}</body></html>
"""


def render(threads: list[Json]) -> str:
    """The whole page. Messages are escaped; only Slack's links and bold become markup."""
    count = f"{len(threads)} messages, newest first." if threads else "Nothing was posted yet."
    return _PAGE.format(count=count, messages="".join(_article(message) for message in threads))


def _article(message: Json) -> str:
    when = datetime.fromtimestamp(float(message["ts"]), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    updated = f" · updated {message['updates']}×" if message["updates"] else ""
    paragraphs = "".join(f"<p>{_mrkdwn(text)}</p>" for text in _texts(message))
    replies = "".join(_article(reply) for reply in message.get("replies", ()))
    channel = html.escape(message["channel"])
    return f"<article><header>{channel} · {when}{updated}</header>{paragraphs}{replies}</article>"


def _texts(message: Json) -> list[str]:
    """The texts of the blocks in order; the message's own text when there are none."""
    found = [text for block in message["blocks"] for text in _block_texts(block)]
    return found or [message["text"]]


def _block_texts(block: Json) -> list[str]:
    holders = [block.get("text"), *block.get("fields", ()), *block.get("elements", ())]
    texts = [holder.get("text") for holder in holders if isinstance(holder, dict)]
    return [text["text"] if isinstance(text, dict) else text for text in texts if text]


def _mrkdwn(text: str) -> str:
    """Slack's links, times, bold and italic; everything else escaped. Slack clients send &, < and > already escaped."""
    escaped = html.escape(html.unescape(text), quote=True)
    escaped = re.sub(r"&lt;(https?://[^|&]+(?:&amp;[^|&]+)*)\|(.+?)&gt;", r'<a href="\1">\2</a>', escaped)
    escaped = re.sub(r"&lt;(https?://\S+?)&gt;", r'<a href="\1">\1</a>', escaped)
    escaped = re.sub(r"&lt;!date\^\d+\^[^|]*\|(.+?)&gt;", r"<time>\1</time>", escaped)
    escaped = re.sub(r"(?<![\w\u200b_])_([^\n]+?)(?<!\u200b)_(?!\w)", r"<i>\1</i>", escaped)
    return re.sub(r"(?<![\w\u200b*])\*([^\n]+?)(?<!\u200b)\*(?![\w*])", r"<b>\1</b>", escaped)
