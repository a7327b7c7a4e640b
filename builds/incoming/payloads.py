"""Reads what GitHub sends: of a body only what decisions need. Pure functions.

Nothing of a body is trusted to have the form that GitHub documents: a member of another type counts as absent, and every text
is made short and storable.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

from core.storable import storable_text

ZEROS = "0" * 40
# GitHub names at most 2048 commits of a push; beyond, and beyond so many paths, Git is asked for the difference.
MOST_COMMITS = 2048
MOST_PATHS = 2000
LONGEST_PATHS = 100_000  # characters, all together
LONGEST_PATH = 1000
ADDRESSES = ("clone_url", "ssh_url", "git_url", "html_url", "svn_url")
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


class Unreadable(Exception):
    """The body is not what GitHub sends. The text says why, and quotes nothing of it."""


@dataclass(frozen=True)
class Payload:
    """What is kept of a body. `facts`: of a push, what `builds/pushes.py` reads."""

    repository: str = ""
    addresses: tuple[str, ...] = ()
    ref: str = ""
    before: str = ""
    after: str = ""
    sender: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def read(body: bytes, content_type: str, event: str) -> Payload:
    """The payload of a body of one of GitHub's two content types. Raises Unreadable."""
    content = _object(body, content_type)
    repository = _dict(content, "repository")
    return Payload(
        repository=_text(repository, "full_name", 300),
        addresses=tuple(a for a in (_text(repository, name, 1000) for name in ADDRESSES) if a),
        ref=_text(content, "ref", 300) if event == "push" else "",
        before=_commit(content, "before"),
        after=_commit(content, "after"),
        sender=_sender(content),
        facts=_facts(content, event),
    )


def kind_of(content_type: str) -> str:
    """A content type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def _object(body: bytes, content_type: str) -> dict[str, Any]:
    kind = kind_of(content_type)
    if kind == FORM:
        body = _form_field(body)
    elif kind != JSON:
        raise Unreadable("its content type is neither application/json nor application/x-www-form-urlencoded")
    try:
        content = json.loads(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise Unreadable("its body is not UTF-8") from None
    except RecursionError:
        raise Unreadable("its JSON is nested too deeply") from None
    except ValueError:
        raise Unreadable("its body is not JSON") from None
    if not isinstance(content, dict):
        raise Unreadable("its JSON is not an object")
    return content


def _form_field(body: bytes) -> bytes:
    try:
        found = parse_qs(body.decode("utf-8"), max_num_fields=10, errors="strict")
    except UnicodeDecodeError:
        raise Unreadable("its body is not UTF-8") from None
    except ValueError:
        raise Unreadable("its form has too many fields") from None
    if len(found.get("payload", [])) != 1:
        raise Unreadable("its form has no field payload")
    return found["payload"][0].encode()


def _facts(content: dict[str, Any], event: str) -> dict[str, Any]:
    if event == "ping":
        return _ping(content)
    if event == "pull_request":
        number = content.get("number")
        return {"number": number} if isinstance(number, int) and not isinstance(number, bool) else {}
    return _push(content) if event == "push" else {}


def _ping(content: dict[str, Any]) -> dict[str, Any]:
    """Whether the webhook sends pushes; nothing where the ping does not say so."""
    events = _dict(content, "hook").get("events")
    return {"sends_pushes": "push" in events or "*" in events} if isinstance(events, list) else {}


def _push(content: dict[str, Any]) -> dict[str, Any]:
    head = _dict(content, "head_commit")
    paths, are_all = _paths(content)
    return {
        "created": content.get("created") is True,
        "deleted": content.get("deleted") is True,
        "forced": content.get("forced") is True,
        "revision": _commit(head, "id"),
        "subject": first_line(_text(head, "message", 5000))[:300],
        "author": _text(_dict(head, "author"), "name", 150),
        "authored_at": _moment(head),
        "paths": paths,
        "paths_are_all": are_all,
    }


def _paths(content: dict[str, Any]) -> tuple[list[str], bool]:
    """The changed paths that the commits name, and whether these are all."""
    commits = content.get("commits")
    if not isinstance(commits, list) or not commits or len(commits) >= MOST_COMMITS:
        return [], False
    found: dict[str, None] = {}
    size = 0
    for path in _named_paths(commits):
        if path in found:
            continue
        size += len(path)
        if len(found) >= MOST_PATHS or size > LONGEST_PATHS or len(path) > LONGEST_PATH:
            return [], False
        found[path] = None
    return list(found), all(isinstance(one, dict) for one in commits)


def _named_paths(commits: list[Any]) -> Iterator[str]:
    for commit in commits:
        for kind in ("added", "removed", "modified"):
            paths = commit.get(kind) if isinstance(commit, dict) else None
            for path in paths if isinstance(paths, list) else ():
                if isinstance(path, str):
                    yield storable_text(path)


def first_line(message: str) -> str:
    """The subject of a commit's message."""
    return next((line.strip() for line in message.splitlines() if line.strip()), "")


def _sender(content: dict[str, Any]) -> str:
    return _text(_dict(content, "sender"), "login", 100) or _text(_dict(content, "pusher"), "name", 100)


def _dict(content: dict[str, Any], name: str) -> dict[str, Any]:
    value = content.get(name)
    return value if isinstance(value, dict) else {}


def _text(content: dict[str, Any], name: str, longest: int) -> str:
    value = content.get(name)
    return storable_text(value[:longest]) if isinstance(value, str) else ""


def _commit(content: dict[str, Any], name: str) -> str:
    """A full hash; empty for the zeros that stand for no commit, and for anything else."""
    value = _text(content, name, 41).lower()
    is_hash = len(value) == 40 and all(c in "0123456789abcdef" for c in value)
    return value if is_hash and value != ZEROS else ""


def _moment(head: dict[str, Any]) -> str:
    """The commit's time in ISO 8601, if it is one with a zone."""
    text = _text(head, "timestamp", 40)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return ""
    return text if moment.tzinfo is not None else ""
