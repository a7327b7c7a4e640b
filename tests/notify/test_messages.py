"""The words of Slack's messages."""

from __future__ import annotations

from typing import Any

import pytest

from notify.messages import SIGNS, WORDS, Message, deploy_message
from runs.models import ENDS, State
from tests.notify.conftest import FACTS


def message(**facts: Any) -> Message:
    return deploy_message({**FACTS, **facts})


def body(made: Message) -> str:
    return str(made.blocks[0]["text"]["text"])


def test_what_runs_where_by_whom() -> None:
    made = message()
    assert made.text == "The Shop 63ec5c0 is being deployed to Staging (#12)"
    assert "<https://deploy.example/deploys/12/|#12>" in body(made)
    assert "_Cache carts_ · by dora" in body(made)
    assert made.details == ""


def test_a_success_needs_no_details_but_says_how_long_it_took() -> None:
    made = message(state="succeeded", seconds=72, result="63ec5c0 runs in Staging.")
    assert made.details == ""
    assert "· 72 s" in body(made)


@pytest.mark.parametrize("state", ["failed", "errored", "timed_out", "cancelled", "abandoned"])
def test_any_other_end_says_why_in_the_thread(state: str) -> None:
    made = message(state=state, result="It crashed.", hint="Look at the log.")
    assert made.details == "It crashed.\nLook at the log."
    assert WORDS[state] in made.text


def test_a_rollback_says_so() -> None:
    assert message(kind="rollback").text.startswith("The Shop (roll back to 63ec5c0) is being deployed")


def test_the_reason_is_told() -> None:
    assert "Reason: hotfix" in body(message(reason="hotfix"))


@pytest.mark.parametrize("field", ["project", "environment", "subject", "actor", "reason", "result"])
def test_nothing_that_people_write_is_markup(field: str) -> None:
    made = message(**{"state": "failed", field: "<!channel> & <https://evil.example|click>"})
    everything = made.text + body(made) + made.details
    assert "<!channel>" not in everything
    assert "<https://evil.example" not in everything
    assert "&lt;!channel&gt; &amp; " in everything


def test_long_texts_are_cut_to_what_slack_takes() -> None:
    made = message(state="failed", subject="x" * 5000, result="y" * 5000)
    assert len(body(made)) <= 3000
    assert len(made.details) <= 3000


def test_every_state_that_is_told_has_words() -> None:
    told = {State.RUNNING, *ENDS} - {State.SUPERSEDED}  # nothing becomes superseded after it started
    assert {str(state) for state in told} <= set(WORDS)
    assert set(WORDS) == set(SIGNS)


def test_what_follows_is_linked() -> None:
    rollback = {
        "rollback_number": 13,
        "rollback_revision": "4a91d7e",
        "rollback_url": "https://deploy.example/deploys/13/",
    }
    made = message(state="failed", **rollback)
    assert "Rollback to 4a91d7e follows: <https://deploy.example/deploys/13/|#13>" in body(made)
    assert "follows" not in body(message(state="failed"))
