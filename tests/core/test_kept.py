"""What of a form comes back when its session has ended: the fields that its view names, and never a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django import forms
from django.forms.formsets import BaseFormSet
from django.test import Client, RequestFactory
from django.urls import get_resolver, resolve

from core import again
from core.kept import Kept, fields_of, is_secret, keeps, kept_form
from tests.access.table import TABLE
from ui.forms import Unseen

OURS = (
    "core",
    "people",
    "projects",
    "audit",
    "deployments",
    "secrets_ui",
    "clusters",
    "portal",
    "runs",
    "notify",
    "ui",
)
CANARY = "canary-typed-secret"
SOUNDS_SECRET = re.compile(r"password|credential|kubeconfig|token|secret|passphrase|^again$", re.IGNORECASE)
# Names of things, and no secrets in spite of their names.
NAMES_OF_THINGS = {"secret_versions", "credential_kind", "pull_secret", "secret_id", "secret_requests"}
PAGE = {"accept": "text/html", "Sec-Fetch-Site": "same-origin", "Origin": "http://testserver"}


class Rows(BaseFormSet):
    @classmethod
    def get_default_prefix(cls) -> str:
        return "rows"


class Row(forms.Form):
    name = forms.CharField()
    hidden = forms.CharField(widget=Unseen(2))


class Some(forms.Form):
    name = forms.CharField()
    key = forms.CharField()
    password = forms.CharField(widget=forms.PasswordInput)
    text = forms.CharField(widget=Unseen(3))
    file = forms.FileField()


RowSet = forms.formset_factory(Row, formset=Rows)


@keeps(Some, RowSet)
def view(request: Any) -> None:
    """Takes both."""


def kept(fields: dict[str, Any], *, of: Any = view, secure: bool = False, **headers: str) -> Kept:
    request = RequestFactory().post("/x/", fields, headers=headers or PAGE, secure=secure)
    request.resolver_match = type("Match", (), {"func": staticmethod(of)})
    return kept_form(request)


def test_fields_are_kept_and_secrets_are_named() -> None:
    found = kept({"name": "Shop", "key": "k1", "password": CANARY, "text": CANARY})
    assert found == Kept((("name", "Shop"), ("key", "k1")), ("password", "text"))


def test_a_secret_that_was_not_filled_in_is_not_asked_for() -> None:
    assert kept({"name": "Shop", "password": ""}).secrets == ()


def test_what_no_form_has_is_dropped() -> None:
    assert kept({"name": "Shop", "note": CANARY, "csrfmiddlewaretoken": "t"}) == Kept((("name", "Shop"),))


def test_rows_are_kept_by_their_numbers() -> None:
    sent = {
        "rows-TOTAL_FORMS": "1",
        "rows-0-name": "A",
        "rows-0-hidden": CANARY,
        "rows-x-name": "B",
        "other-0-name": "C",
    }
    assert kept(sent) == Kept((("rows-TOTAL_FORMS", "1"), ("rows-0-name", "A")), ("rows-0-hidden",))


def test_nothing_is_kept_for_a_view_that_names_no_form() -> None:
    assert kept({"name": "Shop"}, of=lambda request: None) == Kept()


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_a_form_of_another_site_is_not_kept(site: str) -> None:
    sent = {"Sec-Fetch-Site": site, "Origin": "http://testserver"}
    assert kept({"name": "Shop"}, **sent) == Kept()


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ({"Origin": "http://testserver"}, True),
        ({"Referer": "http://testserver/projects/new/"}, False),
        ({"Sec-Fetch-Site": "same-origin"}, False),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "http://testserver.evil.example"}, False),
        ({"Origin": "http://testserver:81"}, False),
        ({"Origin": "https://testserver"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "null", "Referer": "http://testserver/"}, False),
        ({"Origin": "http://evil.example", "Referer": "http://testserver/"}, False),
        ({"Referer": "http://evil.example/http://testserver/"}, False),
        ({"Referer": "http://[broken"}, False),
        ({"accept": "text/html"}, False),
    ],
)
def test_only_a_form_whose_origin_is_ours_is_kept(headers: dict[str, str], own: bool) -> None:
    assert bool(kept({"name": "Shop"}, **headers).fields) is own


def test_the_public_address_counts_behind_a_proxy(settings: Any) -> None:
    settings.BASE_URL = "https://deploy.example.com"
    assert kept({"name": "Shop"}, Origin="https://deploy.example.com").fields


# Every form of the site


def every_form() -> list[type[forms.BaseForm]]:
    get_resolver().url_patterns  # noqa: B018  # imports every view, and with them the forms
    return sorted(set(below(forms.BaseForm)), key=lambda form: form.__qualname__)


def below(kind: type) -> Iterator[Any]:
    for found in kind.__subclasses__():
        yield from below(found)
        if found.__module__.partition(".")[0] in OURS and hasattr(found, "base_fields"):
            yield found


def test_every_field_that_sounds_secret_is_declared_so() -> None:
    named = {(form, name): field for form in every_form() for name, field in fields_of(form)}
    sounding = {at for at in named if SOUNDS_SECRET.search(at[1]) and at[1] not in NAMES_OF_THINGS}
    assert {name for _, name in sounding} >= {
        "password",
        "again",
        "credential",
        "kubeconfig",
        "kubeconfig_file",
    }
    assert [f"{form.__name__}.{name}" for form, name in sounding if not is_secret(named[form, name])] == []


def test_every_view_that_takes_a_form_names_it() -> None:
    """By the table of addresses: whoever may send a form there gets something else than 405."""
    without = {
        name
        for name, address, _, posting in TABLE
        if posting.split()[5] != "405" and not getattr(view_at(address), "kept_forms", ())
    }
    # Pages of allauth, with passwords and codes; buttons, whose forms have no field; and what takes or shows secret values.
    assert {name for name in without if not name.startswith(("account_", "mfa_"))} == {
        *(f"secrets:{name}" for name in ("read", "reveal", "draft", "open", "set", "add", "rename", "remove", "undo", "discard",
                                         "mend", "decide", "compare", "import", "preview", "download", "request-redo",
                                             "request-reveal", "secret-new", "secret-drop")),
        "projects:cluster-check", "projects:registry-check", "projects:settings-check", "projects:environment-check",
        "projects:environment-up", "projects:namespace_create", "projects:allotment-withdraw", "projects:secrets-file-remove",
        "projects:member-revoke",
        "people:person-link", "deployments:unmark", "audit:verify", "raw_password", "registry:refresh", "registry:resume",
        "registry:adopt",
        "pushes:github", "pushes:replay", "pushes:secret-remove", "builds:cancel",
    }  # fmt: skip


def view_at(address: str) -> Any:
    return resolve(re.sub(r"\{\w+\}", "1", address)).func


ADDRESSES = sorted(
    {a for _, a, _, posting in TABLE if posting.split()[0] == "401" and posting.split()[5] != "405"}
)


@pytest.mark.django_db
@pytest.mark.parametrize("address", ADDRESSES)
def test_no_secret_comes_back_and_every_other_field_does(address: str) -> None:
    """Each address that takes a form, sent without a session: all fields of its forms, and one that it does not know."""
    address = re.sub(r"\{\w+\}", "1", address)
    forms_there = [
        kind for kind in getattr(view_at(address), "kept_forms", ()) if hasattr(kind, "base_fields")
    ]
    fields = {name: field for kind in forms_there for name, field in fields_of(kind)}
    sent = {name: CANARY if is_secret(field) else f"typed-{name}" for name, field in fields.items()}
    page = Client().post(address, {**sent, "unknown": CANARY, "password": CANARY}, headers=PAGE)
    html = page.content.decode()
    assert page.status_code == 401
    assert CANARY not in html
    along = re.search(r'name="form_sent_late" value="([^"]*)"', html)
    late = again.opened(along[1]) if along else None
    kept_fields = dict(late.kept.fields) if late else {}
    assert CANARY not in str(late)
    for name, field in fields.items():
        assert (kept_fields.get(name) == f"typed-{name}") is not is_secret(field), name


class Open(forms.Form):
    """Shares names with `Some`, without their secrets."""

    password = forms.CharField()
    text = forms.CharField()


@pytest.mark.parametrize("order", [(Some, Open), (Open, Some)])
def test_a_name_that_is_secret_in_one_form_is_secret_in_all(order: Any) -> None:
    @keeps(*order)
    def both(request: Any) -> None:
        """Takes both."""

    found = kept({"name": "a", "password": CANARY, "text": CANARY}, of=both)
    assert CANARY not in repr(found)
    assert set(found.secrets) == {"password", "text"}


@pytest.mark.parametrize(
    "source", [{"Origin": "null"}, {"Origin": "://"}, {"Referer": ""}, {"Origin": "testserver"}]
)
def test_a_form_without_a_known_source_is_not_kept(source: dict[str, str], settings: Any) -> None:
    settings.BASE_URL = ""
    assert kept({"name": "a"}, **{"accept": "text/html", **source}) == Kept()


def test_no_view_saves_a_form_because_it_is_bound() -> None:
    """A form is bound on a GET, too, when it shows what was typed before the session ended: views ask for the method."""
    root = Path(__file__).resolve().parents[2]
    pages = [path for app in (*OURS, "builds", "registry") for path in (root / app).rglob("*views.py")]
    assert len(pages) > 20
    assert [str(path) for path in pages if re.search(r"\bif \w*\.is_bound and\b", path.read_text())] == []
