"""Django's admin on top: for admins only, without credentials, history cannot be edited, mending is audited."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet
from django.apps import apps
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from audit.models import AuditEvent
from core.fields import EncryptedTextField
from deployments.models import Release
from people.models import SetupLink, User
from projects.models import Cluster, Environment, Membership, Project
from tests import factories as make

pytestmark = pytest.mark.django_db
OURS = [
    "audit",
    "people",
    "projects",
    "runs",
    "notify",
    "clusters",
    "secrets_ui",
    "registry",
    "builds",
    "deployments",
]
MODELS = [model for label in OURS for model in apps.get_app_config(label).get_models()]


@pytest.fixture
def as_admin(client: Client) -> Client:
    client.force_login(make.make_user("ada", is_admin=True))
    return client


def listing(model: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def rows() -> dict[str, Any]:
    project = make.make_project(credential="canary-git-token", credential_kind="token")
    environment = make.make_environment(project)
    release = make.make_release(environment)
    deploy = make.make_deploy(environment, release=release)
    made = [
        project, environment, environment.cluster, make.make_image(project), make.make_secrets_file(environment), release,
        deploy, make.grant(make.make_user(), "viewer", project),  # type: ignore[arg-type]
    ]  # fmt: skip
    return {type(row).__name__: row for row in made}


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_every_model_is_there_for_admins_only(as_admin: Client, model: Any) -> None:
    assert as_admin.get(listing(model)).status_code == 200
    other = Client()
    other.force_login(make.make_user(is_auditor=True))
    assert other.get(listing(model)).status_code in (302, 403)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_nothing_can_be_edited(as_admin: Client, rf: Any, model: Any) -> None:
    request = rf.get("/")
    request.user = make.make_user(is_admin=True)
    site = admin.site._registry[model]
    assert not site.has_add_permission(request)
    assert not site.has_change_permission(request)
    assert not site.has_delete_permission(request)
    assert site.has_view_permission(request)


def test_no_table_of_a_library_can_be_edited(rf: Any) -> None:
    request = rf.get("/")
    request.user = make.make_user(is_admin=True)
    for model, site in admin.site._registry.items():
        assert not site.has_add_permission(request), model
        assert not site.has_change_permission(request), model


def test_no_page_shows_a_credential(as_admin: Client) -> None:
    for name, row in rows().items():
        address = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
        page = as_admin.get(address).content.decode()
        assert "canary" not in page, name
        for field in ("kubeconfig", "credential", "password", "objects_compressed", "token_hash"):
            assert f'name="{field}"' not in page, name


def test_the_second_steps_secret_is_not_shown(as_admin: Client) -> None:
    row = Authenticator.objects.create(
        user=make.make_user(), type="totp", data={"secret": "canary-totp-secret"}
    )
    page = as_admin.get(reverse("admin:mfa_authenticator_change", args=[row.pk])).content.decode()
    assert "canary" not in page


def test_a_form_sent_to_a_raw_table_changes_nothing(as_admin: Client) -> None:
    cluster = make.make_cluster(name="London")
    address = reverse("admin:projects_cluster_change", args=[cluster.pk])
    answer = as_admin.post(address, {"name": "Paris", "notice": "", "slug": "hijacked", "kubeconfig": "gone"})
    assert answer.status_code == 403
    saved = Cluster.objects.get(pk=cluster.pk)
    assert (saved.name, saved.slug, saved.edited, saved.kubeconfig.open()) == (
        "London",
        cluster.slug,
        0,
        make.KUBECONFIG,
    )
    assert not AuditEvent.objects.filter(verb="cluster.changed").exists()


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_encrypted_fields_are_not_shown(rf: Any, model: Any) -> None:
    secret = {f.name for f in model._meta.concrete_fields if isinstance(f, EncryptedTextField)}
    site, request = admin.site._registry[model], rf.get("/")
    request.user = make.make_user(is_admin=True)
    assert secret <= {*site.get_exclude(request)}
    assert not secret & {*site.get_list_display(request)}


def test_a_row_whose_credential_no_key_decrypts_can_be_looked_at(as_admin: Client, settings: Any) -> None:
    cluster = make.make_cluster(name="London")
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    assert as_admin.get(listing(Cluster)).status_code == 200
    page = as_admin.get(reverse("admin:projects_cluster_change", args=[cluster.pk]))
    assert page.status_code == 200
    assert "London" in page.content.decode()


def test_no_table_and_no_row_decrypts_the_credential_of_a_related_row(
    as_admin: Client, settings: Any
) -> None:
    made = rows()
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    for name, row in made.items():
        assert as_admin.get(listing(type(row))).status_code == 200, name
        address = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
        assert as_admin.get(address).status_code == 200, name


@pytest.mark.parametrize(
    ("model", "lookup"),
    [
        (User, "password__startswith"), (SetupLink, "token_hash__startswith"), (Authenticator, "data__secret__startswith"),
        (Cluster, "kubeconfig__regex"), (Project, "credential__gt"), (Environment, "cluster__kubeconfig__regex"),
        (Membership, "user__password__startswith"), (Release, "objects_compressed__contains"),
    ],
)  # fmt: skip
def test_the_address_of_a_table_cannot_ask_for_what_it_leaves_out(
    as_admin: Client, model: Any, lookup: str
) -> None:
    assert as_admin.get(listing(model), {lookup: "a"}).status_code == 400
    assert as_admin.get(listing(model), {"e": "1", lookup: "a"}).status_code == 400


def test_nothing_that_history_hangs_on_can_be_deleted(as_admin: Client) -> None:
    project = make.make_project()
    address = reverse("admin:projects_project_delete", args=[project.pk])
    assert as_admin.post(address, {"post": "yes"}).status_code == 403
    assert Project.objects.filter(pk=project.pk).exists()
