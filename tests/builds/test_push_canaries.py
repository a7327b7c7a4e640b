"""The webhook secret and the token are in no row, page, log, audit event, error or raw table."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.apps import apps
from django.core import serializers
from django.db import connection
from django.test import Client

from audit.actors import person
from builds import changing
from builds.deciding import decide
from builds.models import Delivery
from core.redactor import redacting
from tests import factories as make
from tests.adapters.conftest import origin  # noqa: F401  (a fixture)
from tests.builds.pushing import SITE_SECRET, Shop, deliver, push_body, shop_fixture, site_secret_fixture  # noqa: F401  (fixtures)

OWN = "canary-own-webhook-secret-51b2"
TOKEN = "canary-own-github-token-93c4"
CANARIES = (OWN, TOKEN, SITE_SECRET)


@pytest.fixture
def admin(shop: Shop) -> Any:
    user = make.make_user("ada", is_admin=True)
    changing.change_keys(person(user), shop.project, edited=0, webhook_secret=OWN, github_token=TOKEN)
    return user


def everything_stored() -> str:
    """Every row of every table, as text."""
    models = [model for model in apps.get_models() if model._meta.managed]
    rows = "".join(serializers.serialize("json", model._default_manager.all()) for model in models)
    with connection.cursor() as cursor:  # sealed fields as they are in the table
        cursor.execute("SELECT webhook_secret, github_token FROM builds_buildsettings")
        return rows + repr(cursor.fetchall())


def test_they_are_in_no_row(shop: Shop, admin: Any) -> None:
    deliver(shop.client, push_body(shop.url), secret=OWN)
    deliver(shop.client, push_body(shop.url), secret="wrong")
    deliver(shop.client, push_body(shop.url, subject=f"Oops {OWN}"), secret=SITE_SECRET, delivery="f" * 36)
    for row in Delivery.objects.filter(state="waiting"):
        with redacting():
            decide(row.pk)
    stored = everything_stored()
    assert TOKEN not in stored
    assert SITE_SECRET not in stored
    assert OWN not in stored.replace(
        f"Oops {OWN}", ""
    )  # what a person writes into a commit is theirs to tell


def test_they_are_on_no_page(shop: Shop, admin: Any) -> None:
    deliver(shop.client, push_body(shop.url), secret=OWN)
    client = Client()
    client.force_login(admin)
    base = "/projects/shop/settings/builds/"
    pages = [base, f"{base}keys/", f"{base}images/web/", "/builds/deliveries/", "/audit/", "/status/", "/metrics",
             "/django-admin/builds/buildsettings/", "/django-admin/builds/delivery/"]  # fmt: skip
    number = shop.rules.pk
    for address in (*pages, f"/django-admin/builds/buildsettings/{number}/change/"):
        text = client.get(address).text
        for canary in CANARIES:
            assert canary not in text, address


def test_they_are_in_no_answer_and_no_log(
    shop: Shop, admin: Any, caplog: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = [
        deliver(shop.client, push_body(shop.url), secret=secret).content.decode()
        for secret in (OWN, SITE_SECRET, "x")
    ]
    out = capsys.readouterr()
    for canary in CANARIES:
        assert canary not in json.dumps([*answers, out.out, out.err, caplog.text])
