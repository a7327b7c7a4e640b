"""Whatever is typed, given as base64 or as a file comes out byte for byte: of the draft, of AWS, by copy and by download."""

from __future__ import annotations

import base64
import uuid
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from core.redactor import redacting
from secrets_ui.editing.drafts import draft_of
from secrets_ui.files.model import open_text
from secrets_ui.known.secrets import secret_of
from secrets_ui.models import SecretVersion
from secrets_ui.pages.forms import GivenForm
from tests.secrets_ui.conftest import STORED, World
from tests.secrets_ui.support import HEAD
from tests.secrets_ui.wire import Wire

pytestmark = pytest.mark.django_db
FORMS = settings(deadline=None, suppress_health_check=list(HealthCheck))
PAGES = settings(FORMS, max_examples=6)
SAVES = settings(FORMS, max_examples=3)
ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)
EVERY_BYTE = bytes(range(256))


def drafted(world: World) -> bytes | None:
    with redacting():
        edit = draft_of(world.maintainer, secret_of(world.file)).find(("app", "TOKEN"))
    return edit.value if edit is not None else None


def given_for(tab: Client, world: World, **data: Any) -> None:
    answer = tab.post(world.url("set"), {"place": "app/TOKEN", "do": "set", "value": "", **data})
    assert answer.status_code == 302, answer.content.decode()[-2000:]


def saved(tab: Client, world: World) -> None:
    answer = tab.post(world.url("review"), {"comment": "x", "save_id": str(uuid.uuid4())})
    assert answer.status_code == 302, answer.content.decode()[-2000:]


def wanted(file: SimpleUploadedFile | None = None, **data: str) -> bytes:
    """What a form makes of it."""
    form = GivenForm({"do": "set", "value": "", **data}, {"file": file} if file is not None else {})
    assert form.is_valid(), form.errors
    return form.wanted


@FORMS
@given(value=ANY_TEXT)
def test_text_and_its_base64_are_the_same_value(value: str) -> None:
    plain = value.replace("\r\n", "\n").encode()
    assert wanted(value=value) == plain
    assert wanted(value=base64.b64encode(plain).decode(), encoding="base64") == plain
    assert wanted(SimpleUploadedFile("key", plain)) == plain


@FORMS
@given(value=st.binary(max_size=300))
def test_bytes_as_base64_and_as_a_file_are_the_same_value(value: bytes) -> None:
    assert wanted(value=base64.b64encode(value).decode(), encoding="base64") == value
    assert wanted(SimpleUploadedFile("key", value)) == value


@PAGES
@given(value=ANY_TEXT)
@example(value="\r\n a \r \n\t")
@example(value="\ufeff\u2028\x85\x7f\U0010ffff")
def test_a_text_is_kept_as_it_is_typed(tab: Client, world: World, value: str) -> None:
    """Browsers send each line end as CR LF; that alone is undone."""
    given_for(tab, world, value=value)
    assert drafted(world) == value.replace("\r\n", "\n").encode()
    given_for(tab, world, value=value.replace("\r\n", "\n").replace("\n", "\r\n"))
    assert drafted(world) == value.replace("\r\n", "\n").encode()


@PAGES
@given(value=st.binary(max_size=300))
@example(value=EVERY_BYTE)
def test_any_bytes_are_kept(tab: Client, world: World, value: bytes) -> None:
    text = base64.b64encode(value).decode()
    half = len(text) // 2
    for written in (text, f" {text[:half]}\r\n{text[half:]}\n"):
        given_for(tab, world, value=written, encoding="base64")
        assert drafted(world) == value
    given_for(tab, world, value="x", encoding="text")
    given_for(tab, world, file=SimpleUploadedFile("key.bin", value))
    assert drafted(world) == value


@SAVES
@given(value=st.one_of(st.binary(max_size=200), ANY_TEXT.map(str.encode)))
@example(value=EVERY_BYTE)
@example(value=b"")
def test_what_aws_holds_comes_out_again(tab: Client, world: World, value: bytes) -> None:
    world.by_hand(STORED)
    tab.post(world.url("read"))
    given_for(tab, world, file=SimpleUploadedFile("key.bin", value))
    saved(tab, world)
    assert open_text(world.text).secrets[0].values()["TOKEN"] == value
    for how in ("copied", "downloaded"):
        assert tab.post(world.url("reveal"), {"place": "app/TOKEN", "how": how}).content == value
    whole = tab.post(world.url("download"), {"form": "secret"}).content.decode()
    assert open_text(whole).secrets[0].values() == open_text(world.text).secrets[0].values()


def test_opening_and_saving_unchanged_writes_nothing(tab: Client, world: World, wire: Wire) -> None:
    """In a file of odd style, every value is given once more: AWS hears of no version."""
    odd = (
        f"{HEAD}# kept\ndata:\n  TOKEN:   'eA=='   # why\n  URL: >-\n    eA\n    ==\n\n  OLD: \"\"\n  NONE:\n"
    )
    world.by_hand(odd)
    tab.post(world.url("read"))
    versions = SecretVersion.objects.count()
    for key, value in open_text(odd).secrets[0].values().items():
        tab.post(world.url("set"), {"place": f"app/{key}", "do": "set", "value": value.decode()})
    saved(tab, world)
    assert world.text == odd
    assert "PutSecretValue" not in wire.calls
    assert SecretVersion.objects.count() == versions


def test_an_edit_changes_only_its_own_characters(tab: Client, world: World) -> None:
    odd = f"{HEAD}# kept\ndata:\n  TOKEN:   'eA=='   # why\n  URL: >-\n    eA\n    ==\n\n  OLD: \"\"\n"
    world.by_hand(odd)
    tab.post(world.url("read"))
    given_for(tab, world, value="new")
    saved(tab, world)
    assert world.text == odd.replace("'eA=='", "'bmV3'")
