"""What is wrong is answered by its status and in words, and nothing that was typed or stored comes back."""

from __future__ import annotations

import html
import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from core.redactor import redacting
from engine.manifests.secretfiles import parse_secrets_file
from secrets_ui.editing.drafts import draft_of
from secrets_ui.files.model import open_text
from secrets_ui.known.secrets import secret_of
from secrets_ui.models import Draft
from tests.secrets_ui.conftest import CANARY, STORED, World
from tests.secrets_ui.support import HEAD, b64
from tests.secrets_ui.wire import Wire

pytestmark = pytest.mark.django_db
TYPED = "canary-typed-in-vain-77"


def words(answer: Any) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())))


def holds_nothing(answer: Any) -> None:
    text = answer.content.decode() + str(answer.headers) + str(answer.cookies)
    for value in (TYPED, CANARY):
        assert value not in text
        assert b64(value)[:-2] not in text


def typed(tab: Client, world: World, name: str = "set", **data: Any) -> Any:
    return tab.post(world.url(name), {"place": "app/TOKEN", "value": TYPED, "do": "set", **data})


def edits(world: World) -> list[Any]:
    with redacting():
        return list(draft_of(world.maintainer, secret_of(world.file)).edits)


# What AWS holds


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (f"a: [{CANARY}\n  b: }}", "could not be read"),
        (f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: app}}\ndata: {{TOKEN: {CANARY}}}\n", "could not be read"),
        (f"TOKEN={CANARY}\n", "could not be read"),
        (f"{HEAD}data:\n  no key: {b64(CANARY)}\n", "no key"),
        ("", "holds no Secret"),
        (f"{CANARY}\0", "could not be read"),
    ],
    ids=["no yaml", "no Secret", "env", "no key", "nothing", "NUL"],
)  # fmt: skip
def test_a_stored_text_that_is_no_secrets_file(tab: Client, world: World, stored: str, said: str) -> None:
    world.by_hand(stored or " ")
    for answer in (
        tab.post(world.url("read"), follow=True),
        tab.get(world.page),
        tab.get(world.url("versions")),
        typed(tab, world),
        tab.get(world.url("review"), follow=True),
        tab.post(world.url("reveal"), {"place": "app/TOKEN"}),
    ):
        assert answer.status_code in (200, 302, 422, 502)
        holds_nothing(answer)
    assert said in words(tab.get(world.page))
    assert world.text == (stored or " ")


def test_text_that_is_no_base64_is_named_and_can_be_looked_at(tab: Client, world: World) -> None:
    world.by_hand(f"{HEAD}data:\n  TOKEN: '%%{CANARY}'\n  URL: eA==\n")
    tab.post(world.url("read"))
    answer = tab.get(world.page)
    assert "Unreadable" in words(answer)
    holds_nothing(answer)
    assert CANARY in words(tab.post(world.url("reveal"), {"place": "app/TOKEN"}))


def test_a_key_in_both_parts_is_read_as_kubernetes_does_and_left_alone(tab: Client, world: World) -> None:
    """The plain one counts. Which of both is meant, only a person can tell."""
    stored = f"{HEAD}data:\n  TOKEN: {b64('the-other-value')}\n  URL: eA==\nstringData:\n  TOKEN: {CANARY}\n"
    world.by_hand(stored)
    tab.post(world.url("read"))
    refused = typed(tab, world)
    assert refused.status_code == 422
    assert "in lines 6 and 9" in words(refused)
    holds_nothing(refused)
    assert CANARY in words(tab.post(world.url("reveal"), {"place": "app/TOKEN"}))
    (meant,) = parse_secrets_file(stored, path="s.yaml")
    assert meant.body["data"]["TOKEN"] == b64(CANARY)
    tab.post(world.url("set"), {"place": "app/URL", "value": "new", "do": "set"})
    tab.post(world.url("review"), {"comment": "x", "save_id": str(uuid.uuid4())})
    assert world.text == stored.replace("URL: eA==", f"URL: {b64('new')}")


# What is typed


VALUES: dict[str, tuple[dict[str, Any], str]] = {
    "NUL": ({"value": f"{TYPED}\0"}, "A text holds no NUL. Give a binary value as a file."),
    "no base64": ({"value": f"{TYPED}%", "encoding": "base64"}, "This is not base64. Nothing of it was kept."),
    "junk behind base64": ({"value": f"{b64(TYPED).rstrip('=')}!", "encoding": "base64"}, "This is not base64."),
    "too long": ({"value": TYPED * 3000}, "A value has at most 65,536 bytes"),
    "file too long": ({"file": TYPED.encode() * 3000}, "A file of up to 65,536 bytes"),
    "file far too long": ({"value": "", "file": b"x" * 2_700_000}, "A file of up to 65,536 bytes"),
    "NUL in the key": ({"place": "app/TOKEN\0"}, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", ["set", "add"])
def test_a_value_that_cannot_be_stored(tab: Client, world: World, name: str) -> None:
    for case, (data, said) in VALUES.items():
        given = {"of": "app", "key": data.get("place", "FRESH").rpartition("/")[2], **data}
        if "file" in data:
            given["file"] = SimpleUploadedFile("key", data["file"])
        answer = typed(tab, world, name, **given)
        assert (answer.status_code, edits(world)) == (422, []), case
        assert said in words(answer), case
        holds_nothing(answer)


NAMES = ("a b", "a/b", ".", "..", "..x", "ü", "k" * 254, "<<", "a\u200bb", "a:b", "", " ", "a\nb")


@pytest.mark.parametrize(("name", "field"), [("add", "key"), ("rename", "to")])
def test_a_name_that_is_none(tab: Client, world: World, name: str, field: str) -> None:
    for key in NAMES:
        answer = typed(tab, world, name, of="app", **{field: key})
        assert (answer.status_code, edits(world)) == (422, []), key
        assert re.search("is not a valid key|Write the n|at most 253", words(answer)), key
        holds_nothing(answer)


def test_a_form_that_is_far_too_long(tab: Client, world: World) -> None:
    answer = typed(tab, world, value=TYPED * 150_000)
    assert answer.status_code == 400
    assert "too large" in words(answer)
    assert edits(world) == []
    holds_nothing(answer)


def test_many_values_that_are_too_long_together(tab: Client, world: World) -> None:
    for key in ("TOKEN", "URL", "OLD"):
        typed(tab, world, place=f"app/{key}", value=TYPED + "x" * 20_000)
    for answer in (
        tab.get(world.url("review")),
        tab.post(world.url("review"), {"comment": "x", "save_id": str(uuid.uuid4())}),
    ):
        assert "65,536" in words(answer)
        holds_nothing(answer)
    assert answer.status_code == 422
    assert (len(edits(world)), world.text) == (3, STORED)


# What AWS does meanwhile


def gone(world: World, wire: Wire) -> None:
    world.aws.delete_secret(SecretId=world.file.secret_id, ForceDeleteWithoutRecovery=True)


def scheduled(world: World, wire: Wire) -> None:
    world.aws.delete_secret(SecretId=world.file.secret_id)


def refusing(call: str, code: str) -> Callable[[World, Wire], None]:
    return lambda world, wire: wire.refuse(call, code) and None


def cut(call: str) -> Callable[[World, Wire], None]:
    def cutting(world: World, wire: Wire) -> None:
        wire.cut(call, "after")
        if call == "PutSecretValue":
            wire.cut("UpdateSecretVersionStage", "before")

    return cutting


@pytest.mark.parametrize(
    ("happens", "status", "said"),
    [
        (gone, 502, "There is no"),
        (scheduled, 502, "scheduled for deletion"),
        (refusing("PutSecretValue", "EncryptionFailure"), 422, "kms:GenerateDataKey"),
        (refusing("GetSecretValue", "DecryptionFailure"), 502, "kms:Decrypt"),
        (refusing("PutSecretValue", "AccessDeniedException"), 422, "secretsmanager:PutSecretValue"),
        (refusing("PutSecretValue", "ThrottlingException"), 422, "Try again in a minute"),
        (cut("PutSecretValue"), 422, "did not say in time"),
        (cut("DescribeSecret"), 502, "not reachable"),
    ],
    ids=["gone", "scheduled", "no key", "not readable", "denied", "throttled", "cut at the write", "away"],
)
def test_what_happens_between_typing_and_saving(
    tab: Client, world: World, wire: Wire, happens: Any, status: int, said: str
) -> None:
    """A page that only shows, and the save itself: both say it, and what was typed is kept."""
    typed(tab, world)
    happens(world, wire)
    form = {"comment": "x", "save_id": str(uuid.uuid4())}
    answers = [tab.post(world.url("review"), form), tab.get(world.url("review"))]
    assert answers[0].status_code == status, words(answers[0])[-3000:]
    assert said in words(answers[0])
    for answer in [*answers, tab.get(world.page)]:
        holds_nothing(answer)
    assert [edit.value for edit in edits(world)] == [TYPED.encode()]


POSTS = (
    "read", "create", "versions", "reveal", "draft", "open", "set", "add", "rename", "remove", "undo", "discard", "mend",
    "review", "decide", "copy", "import", "import/preview", "download", "requests/1", "requests/1/redo", "requests/1/reveal",
    "create/1", "secret/new", "secret/remove",
)  # fmt: skip


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}, {"X-Copy": "1"}])
def test_no_form_is_taken_after_the_session_has_ended(
    tab: Client, world: World, headers: dict[str, str]
) -> None:
    typed(tab, world)
    tab.post("/logout/")
    for name in POSTS:
        answer = typed(tab, world, name, text=TYPED, key=TYPED, reason=TYPED, comment=TYPED, headers=headers)
        assert answer.status_code == 401, name
        holds_nothing(answer)
    assert Draft.objects.count() == 1
    assert world.text == STORED


def test_the_list_of_forms_is_whole() -> None:
    from secrets_ui.urls import urlpatterns

    known = {
        re.sub(r"<int:asked>", "1", str(found.pattern).partition("<int:file>/")[2]) for found in urlpatterns
    }
    only_shown = {"", "requests/"}
    assert known - only_shown == {f"{name}/" for name in POSTS}


def test_open_text_never_quotes_what_it_refuses() -> None:
    from engine.errors import ManifestError

    with pytest.raises(ManifestError) as caught:
        open_text(f"{HEAD}data: [{CANARY}")
    assert CANARY not in f"{caught.value.message} {caught.value.hint} {caught.value.problems}"
