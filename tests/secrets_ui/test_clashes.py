"""The same key changed by two people: facts of every side without a value, and a third value typed there."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from audit.models import AuditEvent
from projects.models import Environment
from secrets_ui.editing.drafts import draft_of
from secrets_ui.models import Secret
from tests.secrets_ui.conftest import CANARY, STORED, World
from tests.secrets_ui.support import b64
from tests.secrets_ui.test_pages import html, saved, set_value, signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("secret_world")]
MINE, THEIRS, THIRD = "canary-of-mine\n", "canary-of-theirs-x", "canary-third-way-12"


def both_changed(tab: Client, world: World, *, to: str = THEIRS) -> None:
    set_value(tab, world, MINE)
    world.by_hand(STORED.replace(b64(CANARY), b64(to)))


def decide(tab: Client, world: World, side: str, **more: Any) -> Any:
    data = {"current": world.version, "side-0": side, **more}
    return tab.post(world.url("decide"), data, follow=True)


def words(response: Any) -> str:
    return re.sub(r"<[^>]+>|\s+", " ", html(response))


def test_every_side_is_told_without_a_value(tab: Client, world: World) -> None:
    set_value(tab, world, "canary-before-that")
    saved(tab, world, comment="as it was then")
    set_value(tab, world, MINE)
    world.by_hand(STORED.replace(b64(CANARY), b64(f"{THEIRS}\r\n")))
    response = tab.get(world.url("review"))
    text = re.sub(r" +", " ", words(response))
    assert f"It was text, 18 characters {world.maintainer.username}, " in text
    assert "text, 20 characters · It ends with a line end. · Its lines end with CR LF." in text
    assert "outside the portal" in text
    assert "text, 15 characters · It ends with a line end." in text
    for value in (MINE.strip(), THEIRS, CANARY, "canary-before-that"):
        assert value not in html(response)


def test_a_third_value_takes_the_place_of_both(tab: Client, world: World) -> None:
    both_changed(tab, world)
    response = decide(tab, world, "third", **{"third-0-value": f"{THIRD}\r\n2"})
    assert response.redirect_chain[-1][0] == world.url("review")
    assert THIRD not in html(response)
    assert "18 → 21" in words(response)
    assert b64(THIRD) not in world.text  # it waits for the save
    saved(tab, world)
    assert world.text == STORED.replace(b64(CANARY), b64(f"{THIRD}\n2"))


def test_a_third_value_keeps_the_line_ends_of_what_is_stored(tab: Client, world: World) -> None:
    both_changed(tab, world, to="a\r\nb\r\n")
    decide(tab, world, "third", **{"third-0-value": "c\r\nd\r\n"})
    saved(tab, world)
    assert world.text == STORED.replace(b64(CANARY), b64("c\r\nd\r\n"))


@pytest.mark.parametrize(
    ("more", "stored"),
    [
        ({"third-0-value": "AAH/", "third-0-encoding": "base64"}, "AAH/"),
        ({"third-0-file": SimpleUploadedFile("v.bin", b"\0\1\xff")}, "AAH/"),
        ({"third-0-file": SimpleUploadedFile("v.txt", b"")}, ""),
    ],
)
def test_a_third_value_as_base64_or_file(
    tab: Client, world: World, more: dict[str, Any], stored: str
) -> None:
    both_changed(tab, world)
    decide(tab, world, "third", **more)
    saved(tab, world)
    assert re.search(rf'  TOKEN: "?{re.escape(stored)}"?\n', world.text)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({}, "Type the third value, or give a file."),
        ({"third-0-value": f"{THIRD}!", "third-0-encoding": "base64"}, "This is not base64"),
        ({"third-0-value": "x" * 65_537}, "A value has at most"),
        ({"third-0-value": f"{THIRD}\0"}, "A text holds no NUL"),
    ],
)
def test_a_third_value_that_cannot_be_taken(
    tab: Client, world: World, more: dict[str, str], why: str
) -> None:
    both_changed(tab, world)
    response = decide(tab, world, "third", **more)
    assert response.status_code == 422
    assert why in html(response)
    assert THIRD not in html(response)
    assert re.search(r'value="third" checked', html(response))
    (edit,) = draft_of(world.maintainer, Secret.objects.get()).edits
    assert edit.value == MINE.encode()
    saved(tab, world)
    assert b64(THEIRS) in world.text


def test_a_third_value_for_a_key_that_one_removes_and_one_that_is_gone(tab: Client, world: World) -> None:
    tab.post(world.url("remove"), {"place": "app/TOKEN"})
    world.by_hand(STORED.replace(b64(CANARY), b64(THEIRS)))
    assert "Yours , removed" in words(tab.get(world.url("review")))
    decide(tab, world, "third", **{"third-0-value": THIRD})
    saved(tab, world)
    assert world.text == STORED.replace(b64(CANARY), b64(THIRD))
    set_value(tab, world, MINE)
    world.by_hand(STORED.replace(f"  TOKEN: {b64(CANARY)}\n", ""))
    assert "not there" in words(tab.get(world.url("review")))
    decide(tab, world, "third", **{"third-0-value": THIRD})
    saved(tab, world)
    assert world.text.endswith(f"  TOKEN: {b64(THIRD)}\n")


def test_yet_another_version_keeps_the_third_value_as_one_s_own(tab: Client, world: World) -> None:
    both_changed(tab, world)
    response = decide(tab, world, "third", **{"third-0-value": THIRD, "current": "of-before"})
    assert "Yet another version was saved meanwhile" in html(response)
    (edit,) = draft_of(world.maintainer, Secret.objects.get()).edits
    assert edit.value == THIRD.encode()
    saved(tab, world)
    assert b64(THEIRS) in world.text


def test_theirs_is_looked_at_by_right_and_audited(tab: Client, world: World) -> None:
    both_changed(tab, world)
    assert "Show theirs" in html(tab.get(world.url("review")))
    response = tab.post(world.url("reveal"), {"place": "app/TOKEN", "how": "shown", "back": "review"})
    assert f">{THEIRS}</output>" in html(response)
    assert f'href="{world.url("review")}"' in html(response)
    assert response["Refresh"] == f"30; url={world.url('review')}"
    (event,) = AuditEvent.objects.filter(verb="secrets.revealed")
    assert event.data["version"] == world.version
    assert THEIRS not in str(event.data)
    response = tab.post(world.url("draft"), {"place": "app/TOKEN", "back": "review"})
    assert MINE.strip() in html(response)
    assert f'href="{world.url("review")}"' in html(response)


def test_who_may_edit_and_not_reveal_decides_by_facts(tab: Client, world: World) -> None:
    Environment.objects.update(secret_rights={"edit": "deployer"})
    client = signed_in(world.deployer)
    both_changed(client, world)
    assert "Show theirs" not in html(client.get(world.url("review")))
    assert client.post(world.url("reveal"), {"place": "app/TOKEN", "back": "review"}).status_code == 403
    decide(client, world, "theirs")
    assert b64(THEIRS) in world.text


def test_production_asks_why_before_theirs_is_shown(tab: Client, world: World) -> None:
    Environment.objects.filter(pk=world.environment.pk).update(is_production=True)
    both_changed(tab, world)
    assert "Why do you need to see theirs?" in html(tab.get(world.url("review")))
    response = tab.post(world.url("reveal"), {"place": "app/TOKEN", "how": "shown", "back": "review"})
    assert response.status_code == 422
    response = tab.post(world.url("reveal"), {"place": "app/TOKEN", "reason": "because", "back": "review"})
    assert response["Location"].endswith(f"next={world.url('review').replace('/', '%2F')}")


def test_a_new_name_that_came_twice_takes_no_third_value(tab: Client, world: World) -> None:
    tab.post(world.url("rename"), {"place": "app/OLD", "to": "FRESH"})
    world.by_hand(f"{STORED}  FRESH: {b64(THEIRS)}\n")
    text = words(tab.get(world.url("review")))
    assert "OLD is called so then" in text
    assert "A third one" not in text


def test_a_decision_without_aws_goes_back_to_the_review(
    tab: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_changed(tab, world)
    current = world.version
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    response = tab.post(world.url("decide"), {"current": current, "side-0": "mine"})
    assert response.status_code == 502
    assert "What you typed is kept" in html(response)
    assert f'href="{world.url("review")}"' in html(response)


def test_a_decision_for_a_draft_that_has_ended_says_so(tab: Client, world: World) -> None:
    both_changed(tab, world)
    current = world.version
    tab.post(world.url("discard"))
    response = tab.post(world.url("decide"), {"current": current, "side-0": "mine"}, follow=True)
    assert "There is nothing to save" in html(response)
    assert response.status_code == 200
