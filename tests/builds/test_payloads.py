"""Bodies of GitHub's deliveries: its own published examples, and what is none."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builds.deciding import decide
from builds.incoming.payloads import MOST_COMMITS, MOST_PATHS, Unreadable, read
from builds.models import Build, Delivery
from tests.builds.pushing import deliver, push_body, site_secret_fixture  # noqa: F401  (a fixture)

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = Path(os.environ.get("NODE_PATH", ROOT / "node_modules"), "@octokit", "webhooks-examples")
needs_examples = pytest.mark.skipif(
    not EXAMPLES.exists(), reason="GitHub's examples are not installed: run `npm install` at the root"
)


def examples() -> list[tuple[str, int, dict[str, Any]]]:
    """Event, number and payload of each published example, of github.com and of the servers that one installs."""
    found = []
    for file in sorted(EXAMPLES.glob("*/index.json")):
        for event in json.loads(file.read_text()):
            found += [(event["name"], number, one) for number, one in enumerate(event["examples"])]
    return found


@needs_examples
@pytest.mark.django_db
def test_each_of_githubs_examples_is_taken_and_gets_a_sentence(client: Any, site_secret: str) -> None:
    sent = examples()
    assert len(sent) > 300
    assert {"push", "ping", "pull_request", "create", "delete"} <= {name for name, *_ in sent}
    wrong = []
    for event, number, payload in sent:
        answer = deliver(client, payload, event=event)
        if answer.status_code != 202:
            wrong.append((event, number, answer.status_code, answer.content))
    assert wrong == []
    for row in Delivery.objects.all():
        decide(row.pk)
    assert Delivery.objects.filter(state="decided").count() == len(sent)
    assert not Delivery.objects.filter(sentence="").exists()
    assert not Build.objects.exists()


@needs_examples
def test_of_githubs_pushes_what_decisions_need_is_read() -> None:
    pushes = [one for name, _, one in examples() if name == "push"]
    for one in pushes:
        found = read(json.dumps(one).encode(), "application/json", "push")
        assert found.ref == one["ref"]
        assert found.repository == one["repository"]["full_name"]
        assert set(found.addresses) >= {one["repository"]["clone_url"], one["repository"]["ssh_url"]}
        assert found.sender == one["sender"]["login"]
        assert found.facts["deleted"] is one["deleted"]
        assert found.facts["revision"] == ((one["head_commit"] or {}).get("id") or "")
    assert any(one["deleted"] for one in pushes)
    assert any(one["head_commit"] for one in pushes)


def as_json(content: Any) -> Any:
    return read(json.dumps(content).encode(), "application/json; charset=utf-8", "push")


def test_a_form_is_read_like_json() -> None:
    content = push_body("https://github.com/acme/shop.git", subject="Größe + 100 %", paths=["ü.py"])
    body = urlencode({"payload": json.dumps(content)}).encode()
    assert read(body, "application/x-www-form-urlencoded", "push") == as_json(content)


def test_nothing_but_what_decisions_need_is_kept() -> None:
    content = push_body(
        "https://github.com/acme/shop.git", compare="canary", pusher={"name": "x", "email": "canary@x"}
    )
    content["commits"][0]["author"]["email"] = content["head_commit"]["message"] = "Subject\n\ncanary body"
    assert "canary" not in repr(as_json(content))
    assert as_json(content).facts["subject"] == "Subject"


@pytest.mark.parametrize(
    ("body", "kind", "word"),
    [
        (b"{}", "text/plain", "content type"), (b"{}", "", "content type"),
        (b"{}", "multipart/form-data; boundary=x", "content type"),
        (b"\xff\xfe{}", "application/json", "UTF-8"), (b"{", "application/json", "not JSON"),
            (b"", "application/json", "not JSON"),
        (b"[]", "application/json", "not an object"), (b"null", "application/json", "not an object"),
        (b"[" * 200_000, "application/json", "nested"), (b'{"a":' * 200_000, "application/json", "nested"),
        (b"1" * 10_000, "application/json", "not JSON"), (b"x=1", "application/x-www-form-urlencoded", "no field payload"),
        (b"payload=%7B%7D&payload=%7B%7D", "application/x-www-form-urlencoded", "no field payload"),
        (b"&".join(b"a=1" for _ in range(50)), "application/x-www-form-urlencoded", "too many"),
        (b"payload=%FF", "application/x-www-form-urlencoded", "UTF-8"),
    ],
)  # fmt: skip
def test_what_is_no_payload_is_said_in_words(body: bytes, kind: str, word: str) -> None:
    with pytest.raises(Unreadable, match=word):
        read(body, kind, "push")


def test_many_commits_and_many_paths_are_not_taken_for_all() -> None:
    one = {"added": [], "removed": [], "modified": ["a"]}
    assert as_json({"commits": [one]}).facts["paths_are_all"]
    assert not as_json({"commits": [one] * MOST_COMMITS}).facts["paths_are_all"]
    many = {"added": [f"p{n}" for n in range(MOST_PATHS + 1)]}
    assert as_json({"commits": [many]}).facts["paths"] == []
    assert not as_json({"commits": [many]}).facts["paths_are_all"]
    assert not as_json({"commits": []}).facts["paths_are_all"]


def test_characters_that_no_database_takes_are_taken_out() -> None:
    content = push_body(
        "https://x/y", ref="refs/heads/a\x00b", subject="a\x00\ud800\u202eb", paths=["x\x00y"]
    )
    kept = repr(as_json(content))
    assert "\\x00" not in kept
    assert "ud800" not in kept
    assert "u202e" not in kept


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=15,
)
MEMBERS = st.sampled_from(
    ["ref", "before", "after", "repository", "sender", "pusher", "commits", "head_commit", "hook", "number", "created"]
)  # fmt: skip


@given(st.dictionaries(MEMBERS, JSON), st.sampled_from(["push", "ping", "pull_request", "star"]))
def test_members_of_any_type_are_read_without_an_error(content: dict[str, Any], event: str) -> None:
    found = read(json.dumps(content).encode(), "application/json", event)
    json.dumps([found.facts, found.addresses])
    assert len(found.ref) <= 300
    assert len(found.sender) <= 100
