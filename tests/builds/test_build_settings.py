"""The pages of build settings: rights, errors at their fields, concurrent edits, the audit, and no key that is ever shown."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from adapters.aws.secrets_manager import SecretText
from adapters.errors import Denied, NotFound
from audit.actors import person
from audit.models import AuditEvent
from builds import changing
from builds.models import BuildSecret, BuildSettings, Recipe, SeenBranch
from builds.pipeline import secrets
from core.errors import Refused, Stale
from people.models import User
from projects.allotting.services import withdraw
from projects.models import Allotment, Image, Project, Role
from tests import factories as make

pytestmark = pytest.mark.django_db
BASE = "/projects/shop/settings/builds/"
SECRET = "canary-webhook-secret-0123"
TOKEN = "canary-github-token-4567"
NOWHERE = "https://127.0.0.1:1/shop.git"
RULES = {
    "edited": "0", "on_push": "on", "branches": "main\r\nrelease/*\r\n\r\n", "tags": "", "watch": "src", "ignore": "docs\r\n*.md",
    "timeout": "900", "at_once": "2", "side_by_side": "3", "lifecycle_policy": "",
}  # fmt: skip


@pytest.fixture
def project() -> Project:
    found = make.make_project(slug="shop", name="Shop", repository_url=NOWHERE)
    make.make_image(found, name="web")
    return found


class Aws:
    """Secrets Manager with one secret."""

    text = '{"NPM": "canary-npm-value", "OTHER": "x"}'
    fails: Exception | None = None

    def get(self, secret_id: str, version_id: str = "") -> SecretText:
        if self.fails is not None:
            raise self.fails
        return SecretText("v1", self.text, datetime(2026, 11, 1, tzinfo=UTC))


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Aws:
    one = Aws()
    monkeypatch.setattr(secrets, "secrets_manager_at", lambda *_: one)
    return one


@pytest.fixture
def maintainer(project: Project, client: Client) -> User:
    user = make.make_user("mira")
    make.grant(user, Role.MAINTAINER, project)
    client.force_login(user)
    return user


def error_of(answer: Any, field: str) -> str:
    """The errors at a field."""
    assert answer.status_code == 422
    return " ".join(answer.context["form"].errors.get(field, []))


def last_event(verb: str) -> AuditEvent:
    return AuditEvent.objects.filter(verb=verb).order_by("-pk")[0]


def test_rules_are_saved_shown_and_audited(client: Client, maintainer: User, project: Project) -> None:
    assert client.post(BASE, RULES).status_code == 302
    stored = BuildSettings.objects.get(project=project)
    assert (stored.on_push, stored.branches, stored.watch, stored.ignore, stored.timeout) == (
        True, ["main", "release/*"], ["src"], ["docs", "*.md"], 900,
    )  # fmt: skip
    data = last_event("build_settings.changed").data
    assert data["branches"] == {"before": [], "after": ["main", "release/*"]}
    assert data["on_push"] == {"before": False, "after": True}
    text = client.get(BASE).text
    assert "main\nrelease/*" in text
    assert client.post(BASE, {**RULES, "edited": "1"}).status_code == 302
    assert AuditEvent.objects.filter(verb="build_settings.changed").count() == 1  # nothing differed


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("branches", "!main", "negated"), ("tags", "x" * 201, "longer than"),
        ("watch", "\n".join(map(str, range(51))), "more than"),
        ("ignore", "a\x1bb", "cannot be seen"), ("timeout", "5", "greater than or equal to 30"), ("at_once", "0", "greater"),
        ("at_once", "11", "less"), ("side_by_side", "x", "whole number"), ("lifecycle_policy", "{", "not JSON"),
        ("lifecycle_policy", "[" * 20_000, "not JSON"), ("lifecycle_policy", '{"rules": []}', "lifecycle policy of ECR"),
        ("lifecycle_policy", '{"rules": [' + '"x",' * 10_000 + '"x"]}', "30720"),
    ],
)  # fmt: skip
def test_a_wrong_rule_is_told_at_its_field(
    client: Client, maintainer: User, field: str, value: str, word: str
) -> None:
    answer = client.post(BASE, {**RULES, field: value})
    assert word in error_of(answer, field)
    assert not BuildSettings.objects.filter(on_push=True).exists()


def test_two_people_at_once_do_not_overwrite_each_other(
    client: Client, maintainer: User, project: Project
) -> None:
    client.post(BASE, RULES)
    answer = client.post(BASE, {**RULES, "timeout": "60"})
    assert answer.status_code == 422
    assert "changed since you opened this form" in answer.text
    assert BuildSettings.objects.get().timeout == 900
    with pytest.raises(Stale):
        changing.change_keys(person(maintainer), project, edited=0, webhook_secret=SECRET)


def test_other_rules_of_refs_begin_the_look_at_git_anew(maintainer: User, project: Project) -> None:
    actor = person(maintainer)
    changing.change_rules(actor, project, edited=0, on_push=True)
    SeenBranch.objects.create(project=project, ref="refs/heads/main", head="a" * 40)
    changing.change_rules(actor, project, edited=1, watch=["src"])
    assert SeenBranch.objects.exists()
    changing.change_rules(actor, project, edited=2, branches=["*"])
    assert not SeenBranch.objects.exists()


# Keys


def test_keys_are_kept_sealed_never_shown_and_audited_without_values(
    client: Client, maintainer: User, project: Project
) -> None:
    sent = {"edited": "0", "webhook_secret": SECRET, "github_token": TOKEN}
    assert client.post(f"{BASE}keys/", sent).status_code == 302
    stored = BuildSettings.objects.get()
    assert stored.webhook_secret.holds(SECRET)
    assert stored.github_token.holds(TOKEN)
    event = last_event("build_settings.changed")
    assert event.data == {"webhook_secret": "changed", "github_token": "changed"}
    for address in (BASE, f"{BASE}keys/"):
        text = client.get(address).text
        assert SECRET not in text
        assert TOKEN not in text
        assert "never shown again" in text or "which is set" in text
    assert client.post(f"{BASE}keys/", {"edited": "1"}).status_code == 302
    assert BuildSettings.objects.get().webhook_secret.holds(SECRET)  # empty keeps it
    client.post(f"{BASE}keys/", {"edited": "1", "forget_webhook_secret": "on"})
    stored.refresh_from_db()
    assert not stored.webhook_secret
    assert stored.github_token.holds(TOKEN)


@pytest.mark.parametrize(
    ("sent", "field", "word"),
    [
        ({"webhook_secret": "short"}, "webhook_secret", "16 characters"), ({"github_token": "a b"}, "github_token", "no spaces"),
        ({"webhook_secret": SECRET, "forget_webhook_secret": "on"}, "webhook_secret", "Leave this empty"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_told_at_its_field_and_not_sent_back(
    client: Client, maintainer: User, project: Project, sent: Any, field: str, word: str
) -> None:
    changing.change_keys(person(maintainer), project, edited=0, webhook_secret="an-older-secret-1")
    answer = client.post(f"{BASE}keys/", {"edited": "1", **sent})
    assert word in error_of(answer, field)
    assert SECRET not in answer.text


def test_the_page_says_how_to_set_the_webhook_up(client: Client, maintainer: User, settings: Any) -> None:
    settings.BASE_URL = "https://deploy.example.com"
    text = client.get(BASE).text
    assert "https://deploy.example.com/webhooks/github/" in text
    assert "none is set" in text
    settings.GITHUB_WEBHOOK_SECRET = SECRET
    text = client.get(BASE).text
    assert "no admin has allotted the repository's address to Shop" in text
    assert SECRET not in text
    make.with_address(Project.objects.get())
    assert "the site's; ask an admin for it" in client.get(BASE).text


def test_all_mistakes_of_a_form_are_told_at_once(client: Client, maintainer: User) -> None:
    wrong = {"timeout": "5", "at_once": "99", "lifecycle_policy": "{"}
    answer = client.post(BASE, {**RULES, **wrong})
    assert set(answer.context["form"].errors) == set(wrong)
    recipe = {"edited": "0", "target": "a b", "platform": "linux", "arguments": "NOPE"}
    answer = client.post(f"{BASE}images/web/", recipe)
    assert set(answer.context["form"].errors) == {"target", "platform", "arguments"}


# Recipes


def test_how_an_image_is_built(client: Client, maintainer: User) -> None:
    address = f"{BASE}images/web/"
    sent = {
        "edited": "0",
        "is_built": "on",
        "target": "run",
        "platform": "linux/amd64",
        "arguments": "A=1\r\nB=x=y\r\n",
    }
    assert client.post(address, sent).status_code == 302
    stored = Recipe.objects.get()
    assert stored.arguments == [{"name": "A", "value": "1"}, {"name": "B", "value": "x=y"}]
    assert "A=1\nB=x=y" in client.get(address).text
    assert last_event("build_recipe.changed").data["target"] == {"before": "", "after": "run"}
    assert client.post(address, sent).status_code == 422  # another edit came first
    assert client.get(f"{BASE}images/none/").status_code == 404


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("arguments", "NAME", "no “=”"), ("arguments", "1A=x", "no name"), ("arguments", "A=1\nA=2", "more than once"),
        ("arguments", "BUILDKIT_SYNTAX=evil/frontend", "only name docker/dockerfile"),
        ("arguments", "A=" + "x" * 2001, "longer than"), ("arguments", "\n".join(f"A{n}=1" for n in range(51)), "more than"),
        ("target", "a b", "name of a stage"), ("target", "--target", "name of a stage"), ("platform", "amd64", "linux/amd64"),
        ("platform", "linux/amd64;x", "linux/amd64"),
    ],
)  # fmt: skip
def test_a_wrong_recipe_is_told_at_its_field(
    client: Client, maintainer: User, field: str, value: str, word: str
) -> None:
    sent = {"edited": "0", "is_built": "on", "target": "", "platform": "", "arguments": ""}
    answer = client.post(f"{BASE}images/web/", {**sent, field: value})
    assert word in error_of(answer, field)


# Build secrets

NPM = {"name": "npm-token", "secret_id": "shop/build", "key": "NPM", "region": "eu-west-2", "role_arn": ""}


def test_a_build_secret_is_added_changed_and_removed(
    client: Client, maintainer: User, project: Project
) -> None:
    Allotment.objects.create(project=project, kind="secret", pattern="shop/*")
    assert client.post(f"{BASE}secrets/new/", NPM).status_code == 302
    row = BuildSecret.objects.get()
    assert "npm-token" in client.get(BASE).text
    address = f"{BASE}secrets/{row.pk}/"
    assert client.post(address, {**NPM, "edited": "0", "key": "OTHER"}).status_code == 302
    assert last_event("build_secret.changed").data == {"key": {"before": "NPM", "after": "OTHER"}}
    assert client.post(address, {**NPM, "edited": "0"}).status_code == 422
    assert client.post(f"{address}remove/").status_code == 302
    assert not BuildSecret.objects.exists()
    assert [e.verb for e in AuditEvent.objects.filter(verb__startswith="build_secret").order_by("pk")] == [
        "build_secret.created",
        "build_secret.changed",
        "build_secret.removed",
    ]


def test_a_build_secret_must_be_allotted(client: Client, maintainer: User, project: Project) -> None:
    answer = client.post(f"{BASE}secrets/new/", NPM)
    assert "not allotted to Shop" in error_of(answer, "secret_id")
    assert not BuildSecret.objects.exists()
    Allotment.objects.create(project=project, kind="secret", pattern="shop/*")
    client.post(f"{BASE}secrets/new/", NPM)
    row = BuildSecret.objects.get()
    role = "arn:aws:iam::123456789012:role/deploy"
    answer = client.post(f"{BASE}secrets/{row.pk}/", {**NPM, "edited": "0", "role_arn": role})
    assert "not allotted" in error_of(answer, "role_arn")
    answer = client.post(f"{BASE}secrets/{row.pk}/", {**NPM, "edited": "0", "secret_id": "blog/production"})
    assert "not allotted" in error_of(answer, "secret_id")
    row.refresh_from_db()
    assert (row.secret_id, row.role_arn) == ("shop/build", "")


def test_an_allotment_that_a_build_secret_needs_is_not_withdrawn(project: Project) -> None:
    admin = person(make.make_user(is_admin=True))
    changing.create_secret(admin, project, name="x", secret_id="shop/build")
    with pytest.raises(Refused, match="build secret x"):
        withdraw(admin, allotment=Allotment.objects.get(kind="secret", pattern="shop/build"))


def test_a_secret_that_aws_lacks_can_be_saved_all_the_same(
    client: Client, maintainer: User, project: Project, aws: Aws
) -> None:
    Allotment.objects.create(project=project, kind="secret", pattern="shop/*")
    answer = client.post(f"{BASE}secrets/new/", {**NPM, "key": "NONE"})
    assert "has no key NONE" in error_of(answer, "key")
    assert "Save anyway" in answer.text
    assert "canary" not in answer.text
    assert client.post(f"{BASE}secrets/new/", {**NPM, "key": "NONE", "save_anyway": "on"}).status_code == 302
    aws.fails = NotFound("There is no secret shop/other.", system="Secrets Manager")
    answer = client.post(f"{BASE}secrets/new/", {**NPM, "name": "b", "secret_id": "shop/other"})
    assert "There is no secret" in error_of(answer, "secret_id")
    aws.fails = Denied("AWS refused.", system="Secrets Manager")
    sent = {**NPM, "name": "b", "secret_id": "shop/other", "save_anyway": "on"}
    assert "refused" in error_of(client.post(f"{BASE}secrets/new/", sent), "secret_id")
    assert [one.key for one in BuildSecret.objects.all()] == ["NONE"]


def test_what_is_not_allotted_is_not_tried(
    client: Client, maintainer: User, project: Project, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(aws, "get", lambda name, *_: asked.append(name), raising=False)
    client.post(f"{BASE}secrets/new/", {**NPM, "save_anyway": "on"})
    assert asked == []


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [("name", "a b", "letters, digits"), ("name", "../x", "letters, digits"), ("region", "london", "AWS region"),
     ("role_arn", "x", "not allotted"), ("name", "", "required")],
)  # fmt: skip
def test_a_wrong_build_secret_is_told_at_its_field(
    client: Client, maintainer: User, project: Project, field: str, value: str, word: str
) -> None:
    Allotment.objects.create(project=project, kind="secret", pattern="shop/*")
    assert word in error_of(client.post(f"{BASE}secrets/new/", {**NPM, field: value}), field)


def test_the_id_of_a_mount_is_there_once(client: Client, maintainer: User, project: Project) -> None:
    Allotment.objects.create(project=project, kind="secret", pattern="shop/*")
    client.post(f"{BASE}secrets/new/", NPM)
    assert "already" in error_of(client.post(f"{BASE}secrets/new/", NPM), "name")


# Rights


def test_services_refuse_whoever_is_no_maintainer(project: Project) -> None:
    deployer = make.make_user()
    make.grant(deployer, Role.DEPLOYER, project)
    actor, image = person(deployer), Image.objects.get()
    row = BuildSecret.objects.create(project=project, name="x", secret_id="y")
    for change in (
        lambda: changing.change_rules(actor, project, edited=0, on_push=True),
        lambda: changing.change_keys(actor, project, edited=0, webhook_secret=SECRET),
        lambda: changing.change_recipe(
            actor, image, edited=0, target="", platform="", arguments=[], is_built=True
        ),
        lambda: changing.create_secret(actor, project, name="z", secret_id="y"),
        lambda: changing.change_secret(
            actor, row, edited=0, name="x", secret_id="z", key="", region="eu-west-2", role_arn=""
        ),
        lambda: changing.remove_secret(actor, row),
    ):
        with pytest.raises(Refused, match="role maintainer"):
            change()
    assert not BuildSettings.objects.exists()
    assert BuildSecret.objects.count() == 1


def test_services_check_what_forms_check(maintainer: User, project: Project) -> None:
    actor = person(maintainer)
    with pytest.raises(ValidationError):
        changing.change_rules(actor, project, edited=0, branches=["!x"])
    with pytest.raises(ValidationError):
        changing.change_keys(actor, project, edited=0, webhook_secret="short")
    assert not BuildSettings.objects.filter(edited__gt=0).exists()


def test_a_secret_of_another_project_is_not_found(client: Client, maintainer: User) -> None:
    other = BuildSecret.objects.create(project=make.make_project(), name="x", secret_id="y")
    assert client.get(f"{BASE}secrets/{other.pk}/").status_code == 404
    assert client.post(f"{BASE}secrets/{other.pk}/remove/").status_code == 404


def test_no_form_without_a_label(client: Client, maintainer: User) -> None:
    for address in (BASE, f"{BASE}keys/", f"{BASE}images/web/", f"{BASE}secrets/new/"):
        text = client.get(address).text
        ids = set(re.findall(r'<(?:input|textarea|select)[^>]*\bid="(id_[a-z_]+)"', text))
        assert ids
        assert ids - set(re.findall(r'for="(id_[a-z_]+)"', text)) <= {
            "id_edited",
            "id_typed_before",
        }  # both hidden
