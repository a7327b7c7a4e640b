"""All errors of a form at once; a secret that was typed is not asked for again because of another field, and shows nowhere."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core import typed
from core.findings import FAILED, Finding
from core.models import TypedSecret
from projects import checking
from projects.models import Cluster, Project
from tests import factories as make
from tests.projects.conftest import DOWN, REFUSED, World

CANARY = "canary-0f3a91c2-typed-token"
NEW = reverse("projects:new")
TAKEN = {
    "name": "Blog", "slug": "shop", "repository_url": "https://git.example/blog.git", "default_branch": "main",
    "credential_kind": "token", "credential": CANARY,
}  # fmt: skip
NO_BRANCH = Finding(FAILED, "There is no such branch.", field="default_branch", can_override=True)


def errors(answer: Any) -> dict[str, Any]:
    return dict(answer.context["form"].errors)


def carried(answer: Any) -> str:
    """What the page carries in place of the secret."""
    found = re.search(r'name="typed_before" value="([^"]*)"', answer.content.decode())
    return found[1] if found else ""


def send(client: Client, before: str, url: str = NEW, **changes: Any) -> Any:
    return client.post(url, {**TAKEN, "credential": "", "slug": "blog", "typed_before": before, **changes})


def whole_database() -> str:
    """Every value of every table."""
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        rows = [cursor.execute(f'SELECT * FROM "{table}"') or cursor.fetchall() for table in tables]
    return json.dumps(rows, default=str)


def test_all_errors_are_told_at_once_and_the_first_has_the_focus(
    world: World, sign_in: Any, outside: Any
) -> None:
    outside["repository"] = [NO_BRANCH]
    answer = sign_in(world.admin).post(NEW, {**TAKEN, "slack_channel": "x" * 101})
    assert errors(answer).keys() == {"slug", "default_branch", "slack_channel"}
    focused = re.findall(
        r'<(?:input|textarea|select)[^>]*name="(\w+)"[^>]*\sautofocus', answer.content.decode()
    )
    assert focused == ["slug"]


def test_what_can_be_told_without_the_credential_is_told(world: World, sign_in: Any, outside: Any) -> None:
    outside["address_alone"] = [Finding(FAILED, "There is no such host.", field="repository_url")]
    answer = sign_in(world.admin).post(NEW, {**TAKEN, "credential": ""})
    assert errors(answer).keys() == {"slug", "repository_url", "credential"}


@pytest.mark.parametrize(
    ("kind", "url", "text"),
    [
        ("ssh", "https://git.example/a.git", "x"), ("token", "git@git.example:a.git", "x"),
        ("token", "https://git.example/a.git", "-----BEGIN OPENSSH PRIVATE KEY-----"),
    ],
)  # fmt: skip
def test_a_credential_of_the_wrong_kind_is_told_at_the_credential(
    world: World, sign_in: Any, kind: str, url: str, text: str
) -> None:
    sent = {**TAKEN, "credential_kind": kind, "repository_url": url, "credential": text}
    assert errors(sign_in(world.admin).post(NEW, sent)).keys() == {"slug", "credential"}


def test_a_typed_token_is_not_asked_for_again(world: World, sign_in: Any) -> None:
    client = sign_in(world.admin)
    first = client.post(NEW, TAKEN)
    assert (errors(first).keys(), "is kept until" in first.content.decode()) == ({"slug"}, True)
    assert send(client, carried(first)).status_code == 302
    assert Project.objects.get(slug="blog").credential.open() == CANARY
    assert not TypedSecret.objects.exists()


def test_it_outlives_several_tries_and_can_be_replaced(world: World, sign_in: Any, outside: Any) -> None:
    client = sign_in(world.admin)
    outside["repository"] = [NO_BRANCH]
    first = carried(client.post(NEW, TAKEN))
    second = carried(send(client, first))
    assert second not in ("", first)
    assert TypedSecret.objects.count() == 1
    third = send(client, second, credential="another-token", save_anyway="on")
    assert third.status_code == 302
    assert Project.objects.get(slug="blog").credential.open() == "another-token"


def test_a_token_that_was_refused_itself_is_not_kept(world: World, sign_in: Any, outside: Any) -> None:
    outside["repository"] = [Finding(FAILED, REFUSED.text, field="credential")]
    answer = sign_in(world.admin).post(NEW, TAKEN)
    assert (carried(answer), TypedSecret.objects.count()) == ("", 0)


def test_it_counts_only_in_its_session_and_form(world: World, sign_in: Any, settings: Any) -> None:
    client = sign_in(world.admin)
    before = carried(client.post(NEW, TAKEN))
    other = Client()
    other.force_login(world.admin)
    assert "not kept any longer" in str(errors(send(other, before))["credential"])
    elsewhere = send(client, before, url=reverse("projects:settings", args=["shop"]), edited="0")
    assert "not kept any longer" in str(errors(elsewhere)["credential"])
    assert client.get(NEW).content.decode().count("is kept until") == 0
    assert TypedSecret.objects.count() == 1


def test_it_is_forgotten_in_time(world: World, sign_in: Any) -> None:
    client = sign_in(world.admin)
    before = carried(client.post(NEW, TAKEN))
    TypedSecret.objects.update(ends_at=timezone.now() - timedelta(seconds=1))
    assert "not kept any longer" in str(errors(send(client, before))["credential"])
    typed.erase_ended()
    assert not TypedSecret.objects.exists()


def test_a_kubeconfig_from_a_file_is_kept_where_the_cluster_is_down(
    world: World, sign_in: Any, outside: Any
) -> None:
    outside["cluster"] = [Finding(FAILED, DOWN.text, field="kubeconfig", can_override=True)]
    client = sign_in(world.admin)
    file = SimpleUploadedFile("config", make.KUBECONFIG.encode())
    first = client.post(
        reverse("projects:cluster-new"), {"name": "2", "slug": "two", "kubeconfig_file": file}
    )
    assert errors(first).keys() == {"kubeconfig"}
    again = {"name": "2", "slug": "two", "save_anyway": "on", "typed_before": carried(first)}
    assert client.post(reverse("projects:cluster-new"), again).status_code == 302
    assert Cluster.objects.get(slug="two").kubeconfig.open() == make.KUBECONFIG


def test_the_value_is_in_no_page_row_session_audit_or_log(
    world: World, sign_in: Any, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    client = sign_in(world.admin)
    first = client.post(NEW, TAKEN)
    second = send(client, carried(first), slug="shop")
    sessions = [
        Session.objects.get(pk=key).get_decoded() for key in Session.objects.values_list("pk", flat=True)
    ]
    seen = [
        first.content.decode(),
        second.content.decode(),
        whole_database(),
        json.dumps(sessions, default=str),
    ]

    def breaks(*_: Any) -> Any:
        raise ValueError(f"cannot use {CANARY}")

    monkeypatch.setattr(checking, "repository", breaks)
    client.raise_request_exception = False
    broken = send(client, carried(second))
    assert broken.status_code == 500
    out = capfd.readouterr()
    seen += [broken.content.decode(), out.out, out.err, whole_database()]
    assert [text for text in seen if CANARY in text] == []
    key = str(client.cookies["sessionid"].value)
    assert [row for row in TypedSecret.objects.values_list() if key in map(str, row)] == []
