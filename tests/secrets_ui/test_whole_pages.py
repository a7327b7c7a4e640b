"""Whole Secrets on the pages: typed, reviewed and saved like single keys, and never by accident."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from projects.models import Environment, Role
from secrets_ui.editing.drafts import draft_of
from secrets_ui.models import Secret, SecretVersion
from tests import factories as make
from tests.secrets_ui.conftest import STORED, World
from tests.secrets_ui.support import b64
from tests.secrets_ui.test_pages import html, saved, set_value, signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("secret_world")]
TYPED = "canary-typed-into-a-new-secret"
SECOND = (
    "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: second\n# about B\n"
    f"data:\n  B: {b64('of b')}\n  C: {b64('of c')}\n"
)


def add(tab: Client, world: World, name: str = "fresh", **more: Any) -> Any:
    data = {"name": name, "type": "Opaque", "key": "KEY", "value": TYPED, **more}
    return tab.post(world.url("secret/new"), data, follow=True)


def drop(tab: Client, world: World, name: str = "app") -> Any:
    return tab.post(world.url("secret/remove"), {"secret": name}, follow=True)


@pytest.fixture
def two(tab: Client, world: World) -> World:
    """The file with a second Secret."""
    world.by_hand(STORED + SECOND)
    Secret.objects.update(tried_at=None)
    tab.post(world.url("read"))
    return world


def test_a_secret_is_added_and_saved_behind_what_is_stored(tab: Client, world: World) -> None:
    text = html(add(tab, world))
    assert TYPED not in text
    assert 'id="fresh/KEY"' in text
    set_value(tab, world, "one more", "fresh/MORE")
    text = html(tab.get(world.url("review")))
    assert TYPED not in text
    for words in ("Secret added", "Opaque, 2 keys", "1 Secret added", "3 keys stay byte for byte"):
        assert words in text
    saved(tab, world)
    assert world.text == STORED + (
        "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: fresh\ntype: Opaque\ndata:\n"
        f"  KEY: {b64(TYPED)}\n  MORE: {b64('one more')}\n"
    )
    row = SecretVersion.objects.latest("pk")
    assert row.touched == {"added": ["fresh/KEY", "fresh/MORE"]}


def test_a_type_brings_its_keys_and_is_not_saved_without_their_values(tab: Client, world: World) -> None:
    text = html(add(tab, world, type="kubernetes.io/tls", key="", value="a certificate"))
    assert "Give tls.key its value now." in text
    assert 'id="value"' in text  # the form of that key is open
    text = html(tab.get(world.url("review")))
    assert "needs a value for tls.key" in text
    assert "Something cannot be done" in text
    saved(tab, world)
    assert world.text == STORED
    set_value(tab, world, "a key", "fresh/tls.key")
    saved(tab, world)
    assert f"  tls.crt: {b64('a certificate')}\n  tls.key: {b64('a key')}\n" in world.text


def test_credentials_of_a_registry_must_be_json(tab: Client, world: World) -> None:
    add(tab, world, type="kubernetes.io/dockerconfigjson", key="")
    assert "is no JSON" in html(tab.get(world.url("review")))
    credentials = '{"auths": {}}'
    set_value(tab, world, credentials, "fresh/.dockerconfigjson")
    saved(tab, world)
    assert world.text.endswith(f"  .dockerconfigjson: {b64(credentials)}\n")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"name": "app"}, "holds a Secret app already"),
        ({"name": "App"}, "A name has small letters"),
        ({"key": ""}, "Write the name of its first key."),
        ({"key": "a b"}, "is not a valid key"),
        ({"type": "unheard-of"}, "Select a valid choice"),
    ],
)
def test_what_is_refused_keeps_the_value_unseen(
    tab: Client, world: World, more: dict[str, str], why: str
) -> None:
    response = add(tab, world, **more)
    assert response.status_code == 422
    assert why in html(response)
    assert TYPED not in html(response)
    assert world.text == STORED
    if more.get("type") is None:
        assert "leave this empty to use it" in html(response)
        add(tab, world, value="", kept="1")
        content = draft_of(world.maintainer, Secret.objects.get())
        assert [edit.value for edit in content.edits] == [None, TYPED.encode()]


def test_a_flat_file_says_why_it_cannot_hold_another(tab: Client, world: World) -> None:
    world.by_hand('{"TOKEN": "x"}')
    Secret.objects.update(tried_at=None)
    tab.post(world.url("read"))
    assert "stands for one Secret, so no other one can be added" in html(tab.get(world.page))
    assert "stands for one Secret: no other one can be added" in html(tab.get(world.url("secret/new")))
    response = add(tab, world)
    assert response.status_code == 422
    assert "stands for one Secret" in html(response)


def test_a_removed_secret_goes_with_a_review_of_its_keys_and_readers(tab: Client, two: World) -> None:
    set_value(tab, two, "typed before", "app/TOKEN")
    response = drop(tab, two)
    assert response.redirect_chain[-1][0] == two.url("review")
    text = html(response)
    for words in ("Secret removed", "with 3 keys", "These keys go:", "TOKEN", "URL", "OLD", "Deployment/web"):
        assert words in text
    assert "2 keys stay byte for byte" in text
    assert "you remove the whole Secret app" in html(tab.get(two.page))
    assert "undo that first" in html(set_value(tab, two, "x", "app/TOKEN"))
    saved(tab, two)
    assert two.text == SECOND
    assert SecretVersion.objects.latest("pk").touched["removed"] == ["app/OLD", "app/TOKEN", "app/URL"]


def test_a_removal_is_taken_back_at_any_of_its_keys(tab: Client, two: World) -> None:
    drop(tab, two)
    tab.post(two.url("undo"), {"place": "app/"})
    assert "you remove" not in html(tab.get(two.page))


def test_a_new_secret_is_taken_back_with_its_keys(tab: Client, world: World) -> None:
    for take_back in (
        lambda: tab.post(world.url("undo"), {"place": "fresh/"}),
        lambda: drop(tab, world, "fresh"),
    ):
        add(tab, world)
        take_back()
        assert draft_of(world.maintainer, Secret.objects.get()).edits == ()


def test_the_only_secret_stays(tab: Client, world: World) -> None:
    assert "It is the only Secret of the file" in html(drop(tab, world))
    assert "The file has no such Secret." in html(drop(tab, world, "other"))
    assert "Remove the Secret" not in html(tab.get(world.page))
    assert world.text == STORED


def test_removing_a_secret_of_production_asks_for_its_name(tab: Client, two: World) -> None:
    Environment.objects.filter(pk=two.environment.pk).update(is_production=True)
    drop(tab, two, "second")
    assert f"Type {two.environment.slug} to remove 2 keys" in html(tab.get(two.url("review")))
    assert saved(tab, two).status_code == 422
    saved(tab, two, confirm=two.environment.slug)
    assert two.text == STORED


def test_keys_that_another_person_changed_are_not_removed_unseen(tab: Client, two: World) -> None:
    drop(tab, two, "second")
    two.by_hand((STORED + SECOND).replace(b64("of b"), b64("changed")))
    text = html(tab.get(two.url("review")))
    assert "A Secret that you remove was changed meanwhile" in text
    assert "B changed" in text
    saved(tab, two)
    assert "second" in two.text
    tab.post(two.url("decide"), {"current": two.version, "side-0": "mine"})
    saved(tab, two)
    assert two.text == STORED


def test_theirs_keeps_the_secret(tab: Client, two: World) -> None:
    drop(tab, two, "second")
    two.by_hand((STORED + SECOND).replace(b64("of b"), b64("changed")))
    response = tab.post(two.url("decide"), {"current": two.version, "side-0": "theirs"}, follow=True)
    assert "Nothing of yours is left to save." in html(response)
    assert "second" in two.text


def test_another_save_that_added_the_same_name_is_told(tab: Client, world: World) -> None:
    add(tab, world, "second")
    world.by_hand(STORED + SECOND)
    assert "The file holds a Secret second already." in html(tab.get(world.url("review")))
    saved(tab, world)
    assert world.text == STORED + SECOND


def test_keys_typed_for_a_secret_that_goes_are_not_lost_in_silence(tab: Client, two: World) -> None:
    tab.post(two.url("import"), {"text": "B=pasted\n", "of": "second"})
    drop(tab, two, "second")
    tab.post(two.url("import/preview"), {"do": "take"})
    assert "Keys of this Secret are changed, too" in html(tab.get(two.url("review")))


def test_who_may_not_edit_adds_and_removes_nothing(tab: Client, two: World) -> None:
    user = make.make_user("vic")
    make.grant(user, Role.DEPLOYER, two.environment.project)
    client = signed_in(user)
    for response in (add(client, two), drop(client, two, "second"), client.get(two.url("secret/new"))):
        assert response.status_code == 403
    assert "Add a Secret" not in html(client.get(two.page))


def test_a_request_with_a_whole_secret_can_be_done_again(tab: Client, two: World) -> None:
    Environment.objects.filter(pk=two.environment.pk).update(policies={"secret_requests": True})
    add(tab, two)
    drop(tab, two, "second")
    saved(tab, two)
    asked = SecretVersion.objects.get(state="waiting").request
    tab.post(two.url(f"requests/{asked.pk}"), {"do": "withdraw"})
    tab.post(two.url(f"requests/{asked.pk}/redo"))
    edits = draft_of(two.maintainer, Secret.objects.get()).edits
    assert [(edit.do, edit.secret, edit.key) for edit in edits] == [
        ("new", "fresh", ""), ("drop", "second", ""), ("add", "fresh", "KEY"),
    ]  # fmt: skip


def test_a_first_value_that_is_too_long_is_refused_at_once(tab: Client, world: World) -> None:
    response = add(tab, world, value="x" * 65_537)
    assert response.status_code == 422
    assert "Nothing of it was kept" in html(response)
    assert draft_of(world.maintainer, Secret.objects.get()).loose is None
