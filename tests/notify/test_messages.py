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
    assert "· 1 min 12 s" in body(made)


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


def test_what_people_write_formats_nothing() -> None:
    made = message(project="my_*shop*", subject="Use `rm -rf`\n> not ~this~")
    assert "*my\u200b_\u200b*shop\u200b* 63ec5c0" in body(made)
    assert message(subject="Set PAYMENT_API_URL").blocks[0]["text"]["text"].count("PAYMENT_API_URL") == 1
    assert message(state="failed", result="web crashed.", objects=["web crashed"]).details == "web crashed."
    assert "_Use \u200b`rm -rf\u200b` &gt; not \u200b~this\u200b~_" in body(made)


def test_no_entity_and_no_link_is_cut_in_two() -> None:
    made = message(state="failed", result="&" * 3000)
    assert made.details.endswith("&amp;…")


def test_the_details_name_the_objects_and_who_stopped_it() -> None:
    objects = [f"web{n}: container web exits with 1" for n in range(5)]
    made = message(
        state="failed", result="2 objects are not ready.", hint="Look at the log.", objects=objects
    )
    assert made.details.split("\n") == [
        "2 objects are not ready.",
        *(f"• {one}" for one in objects[:3]),
        "Look at the log.",
    ]
    made = message(state="cancelled", result="It was stopped.", cancelled_by="ana", objects=[])
    assert made.details == "It was stopped.\nCancelled by ana."
    assert (
        message(state="cancelled", result="Cancelled by ana.", cancelled_by="ana").details
        == "Cancelled by ana."
    )


AGAIN = {
    "failures": 20, "failing_since": 1782900000, "failing_clock": "10:00 UTC", "failed_last": 1782905000,
    "failed_clock": "11:23 UTC",
}  # fmt: skip


def test_a_try_that_failed_again_counts_and_adds_nothing_to_the_thread() -> None:
    made = message(state="failed", result="It <crashed>.", **AGAIN)
    assert made.text == "The Shop 63ec5c0 failed in Staging again (#12)"
    since, last = "<!date^1782900000^{time}|10:00 UTC>", "<!date^1782905000^{time}|11:23 UTC>"
    assert f"Failed 20 times since {since}, last at {last}." in body(made)
    assert "It &lt;crashed&gt;." in body(made)
    assert made.details == ""


def test_well_again_is_told_in_the_thread_too() -> None:
    made = message(state="succeeded", **AGAIN)
    assert made.text == "The Shop 63ec5c0 runs in Staging (#12)"
    assert made.details == "Well again after 20 failures since <!date^1782900000^{time}|10:00 UTC>."
    assert made.details in body(made)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("succeeded", ":leftwards_arrow_with_hook: Rolled back to 4a91d7e"),
        ("timed_out", ":rotating_light: The rollback to 4a91d7e did not succeed (timed out)"),
    ],
)
def test_how_the_rollback_ended(state: str, said: str) -> None:
    rollback = {
        "rollback_number": 13,
        "rollback_revision": "4a91d7e",
        "rollback_url": "https://d.example/13/",
    }
    made = message(
        state="failed", result="It crashed.", **rollback, rollback_state=state, rollback_result="So it is."
    )
    assert f"{said}: <https://d.example/13/|#13>" in body(made)
    assert "follows" not in body(made)
    assert made.details.endswith("\nSo it is.")
    assert "It crashed." not in made.details
