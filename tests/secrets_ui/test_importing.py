"""Many values at once: pasted or uploaded with a preview, and downloaded."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.actors import person
from audit.models import AuditEvent
from core.errors import Refused
from projects.models import Environment
from secrets_ui.bulk.downloading import download
from secrets_ui.bulk.importing import prepare, take
from secrets_ui.editing.drafts import draft_of
from secrets_ui.known.secrets import secret_of
from secrets_ui.models import Draft, SecretVersion
from secrets_ui.values.bulk import read_pasted
from secrets_ui.values.dotenv import read_env
from tests.secrets_ui.conftest import CANARY, World
from tests.secrets_ui.support import HEAD, b64

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("secret_world")]
PASTED = "canary-pasted-value-4711"
ENV = f"TOKEN={PASTED}\nURL=change-me\nNEW='{PASTED} 2'\n"


def page(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def imported(tab: Client, world: World, text: str, **more: Any) -> Any:
    return tab.post(world.url("import"), {"text": text, **more})


def production(world: World) -> None:
    Environment.objects.filter(pk=world.environment.pk).update(is_production=True)
    world.environment.is_production = True


def test_a_paste_is_previewed_without_values_and_saved_by_the_review(tab: Client, world: World) -> None:
    answer = imported(tab, world, ENV.replace("\n", "\r\n"))
    assert answer["Location"] == world.url("import/preview")
    seen = tab.get(world.url("import/preview"))
    assert "1 key added, 1 changed, 1 stored already" in page(seen)
    assert "Stored already: URL" in page(seen)
    assert PASTED not in seen.content.decode()
    assert "no-store" in seen["Cache-Control"]
    assert not draft_of(
        world.maintainer, secret_of(world.file)
    ).edits  # nothing is changed before it is taken
    assert "2 pasted values wait" in page(tab.get(world.page)).replace("3 pasted", "2 pasted")
    assert tab.post(world.url("import/preview"), {"do": "take"})["Location"] == world.url("review")
    review = tab.get(world.url("review"))
    assert PASTED not in review.content.decode()
    tab.post(world.url("review"), {"comment": "from the vault", "save_id": str(uuid.uuid4())})
    row = SecretVersion.objects.exclude(source="outside").get()
    assert (row.source, row.touched) == ("import", {"added": ["app/NEW"], "changed": ["app/TOKEN"]})
    assert b64(PASTED) in world.text
    assert "# kept as it is" in world.text
    assert PASTED not in str(list(AuditEvent.objects.values()))


@pytest.mark.parametrize(
    "text",
    [
        f"TOKEN: {PASTED}\nNEW: 0777\n",
        f'{{"TOKEN": "{PASTED}", "NEW": "0777"}}',
        f"{HEAD}stringData:\n  TOKEN: {PASTED}\n  NEW: '0777'\n",
    ],
)
def test_yaml_json_and_secret_files_are_recognised(tab: Client, world: World, text: str) -> None:
    upload = SimpleUploadedFile("values", text.encode())
    assert imported(tab, world, "", file=upload).status_code == 302
    take(person(world.maintainer), world.file)
    edits = draft_of(world.maintainer, secret_of(world.file)).edits
    assert {edit.key: edit.value for edit in edits} == {"TOKEN": PASTED.encode(), "NEW": b"0777"}


def test_taking_twice_changes_nothing_more(tab: Client, world: World) -> None:
    imported(tab, world, ENV)
    tab.post(world.url("import/preview"), {"do": "take"})
    before = draft_of(world.maintainer, secret_of(world.file)).edits
    answer = tab.post(world.url("import/preview"), {"do": "take"})
    assert answer.status_code == 302
    assert draft_of(world.maintainer, secret_of(world.file)).edits == before


def test_what_was_typed_for_a_key_is_told_and_only_then_replaced(tab: Client, world: World) -> None:
    tab.post(world.url("set"), {"place": "app/TOKEN", "value": "typed-before-1", "do": "set"})
    tab.post(world.url("set"), {"place": "app/OLD", "value": "typed-before-2", "do": "set"})
    imported(tab, world, ENV)
    assert "replaces what you typed for it" in page(tab.get(world.url("import/preview")))
    tab.post(world.url("import/preview"), {"do": "drop"})
    content = draft_of(world.maintainer, secret_of(world.file))
    assert {edit.value for edit in content.edits} == {b"typed-before-1", b"typed-before-2"}
    assert not content.pending
    imported(tab, world, ENV)
    tab.post(world.url("import/preview"), {"do": "take"})
    kept = {edit.key: edit.value for edit in draft_of(world.maintainer, secret_of(world.file)).edits}
    assert kept == {"TOKEN": PASTED.encode(), "OLD": b"typed-before-2", "NEW": f"{PASTED} 2".encode()}


def test_problems_stand_by_line_and_nothing_is_kept(tab: Client, world: World) -> None:
    answer = imported(tab, world, f"TOKEN={PASTED}\nthis is {PASTED}\nB='{PASTED}\n")
    assert answer.status_code == 422
    assert "Line 2: KEY=value is expected here." in page(answer)
    assert "Line 3:" in page(answer)
    assert PASTED not in answer.content.decode()
    assert not Draft.objects.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Paste the values, or choose a file."),
        ("# nothing\n", "holds no values"),
        (f"A={'x' * 140_000}", "longer than 131,072 bytes"),
        (f"A={'x' * 70_000}", "at most 65,536"),
        ("A=1\0", "A text holds no NUL."),
    ],
)
def test_what_cannot_be_taken_is_said(tab: Client, world: World, text: str, said: str) -> None:
    answer = imported(tab, world, text)
    assert answer.status_code == 422
    assert said in page(answer)
    assert not Draft.objects.exists()


def test_an_upload_is_text_and_not_too_big(tab: Client, world: World) -> None:
    answer = imported(tab, world, "", file=SimpleUploadedFile("a.env", b"\xff\xfeA\0"))
    assert "not text in UTF-8" in page(answer)
    answer = imported(tab, world, "", file=SimpleUploadedFile("a.env", b"A=" + b"x" * 200_000))
    assert "up to 131,072 bytes" in page(answer)
    assert not Draft.objects.exists()


def test_pasted_values_end_with_the_draft(tab: Client, world: World) -> None:
    imported(tab, world, ENV)
    Draft.objects.update(ends_at=timezone.now() - timedelta(seconds=1))
    answer = tab.get(world.url("import/preview"), follow=True)
    assert "erased after half an hour" in page(answer)


def test_the_right_to_edit_is_asked_for(tab: Client, world: World) -> None:
    with pytest.raises(Refused):
        prepare(person(world.viewer), world.file, ENV, secret="app")
    with pytest.raises(Refused):
        take(person(world.viewer), world.file)


def test_queries_do_not_grow_with_keys(tab: Client, world: World) -> None:
    def measured(number: int) -> int:
        imported(tab, world, "".join(f"K{at}={PASTED}{at}\n" for at in range(number)))
        with CaptureQueriesContext(connection) as queries:
            assert f"K{number - 1}" in page(tab.get(world.url("import/preview")))
        return len(queries)

    assert measured(2) == measured(60)


# Downloading


def test_downloads_hold_every_byte_and_are_audited(tab: Client, world: World) -> None:
    answer = tab.post(world.url("download"), {"form": "secret"})
    assert answer["Content-Disposition"].startswith("attachment;")
    assert "no-store" in answer["Cache-Control"]
    values = read_pasted(answer.content.decode()).values
    assert values == {"TOKEN": CANARY.encode(), "URL": b"change-me", "OLD": b"of-old-times"}
    answer = tab.post(world.url("download"), {"form": "env"})
    assert read_env(answer.content.decode()).values == values
    events = AuditEvent.objects.filter(verb="secrets.downloaded").order_by("pk")
    assert [event.data["as"] for event in events] == ["secret", "env"]
    assert CANARY not in str(list(events.values()))


def test_keys_that_an_env_text_cannot_carry_are_named(tab: Client, world: World) -> None:
    world.by_hand(f"{HEAD}data:\n  OK: {b64('fine')}\n  KEYSTORE: //79\n  a.b: {b64('x')}\n")
    tab.post(world.url("read"))
    answer = tab.post(world.url("download"), {"form": "env"})
    assert answer.status_code == 422
    assert "Not the name of a variable: a.b" in page(answer)
    answer = tab.post(world.url("download"), {"form": "env", "leave_out": "on"})
    assert answer.content.decode() == "# left out: a.b\n# left out: KEYSTORE\nOK=fine\n"
    assert b"//79" in tab.post(world.url("download"), {"form": "secret"}).content


def test_production_asks_for_a_reason_and_a_fresh_sign_in(tab: Client, world: World) -> None:
    production(world)
    assert tab.post(world.url("download"), {"form": "env"}).status_code == 422
    answer = tab.post(world.url("download"), {"form": "env", "reason": "moving house"})
    assert "/reauthenticate/" in answer["Location"]
    assert not AuditEvent.objects.filter(verb="secrets.downloaded").exists()
    with pytest.raises(Refused):
        download(person(world.maintainer), world.file, form="env")


def test_who_may_not_reveal_gets_nothing(tab: Client, world: World) -> None:
    with pytest.raises(Refused):
        download(person(world.viewer), world.file, form="env")
    client = Client()
    client.force_login(world.viewer)
    assert client.post(world.url("download"), {"form": "env"}).status_code == 403


def test_a_get_gives_no_value(tab: Client, world: World) -> None:
    assert CANARY not in tab.get(world.url("download")).content.decode()
