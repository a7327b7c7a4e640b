"""A credential that no key decrypts: the pages of its row open, say so where it is tried, and take a new one."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.test import Client

from core.redactor import redacting
from deployments.gate.life import LIFE
from projects.models import Cluster, Project
from runs.life.reconcile import reconcile
from runs.models import State
from tests import factories as make

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(client: Client) -> Client:
    client.force_login(make.make_user(is_admin=True))
    return client


@pytest.fixture
def environment(settings: Any) -> Any:
    """An environment whose project and cluster have credentials of a key that is lost."""
    project = make.make_project(credential_kind="token", credential="canary-token")
    found = make.make_environment(project=project)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    return found


def test_every_page_around_it_opens(client: Client, environment: Any) -> None:
    project, cluster = environment.project.slug, environment.cluster.slug
    for address in (
        "/", f"/projects/{project}/", f"/projects/{project}/settings/", f"/projects/{project}/{environment.slug}/",
        f"/projects/{project}/settings/environments/{environment.slug}/", "/admin/clusters/", f"/admin/clusters/{cluster}/",
    ):  # fmt: skip
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert "canary" not in answer.content.decode()


def test_trying_the_cluster_says_what_to_do(client: Client, environment: Any) -> None:
    answer = client.post(f"/admin/clusters/{environment.cluster.slug}/check/")
    assert answer.status_code == 200
    assert "cannot be decrypted" in answer.content.decode()
    assert "enter the credential again" in answer.content.decode()


def test_runs_are_reconciled_as_ever(environment: Any) -> None:
    """A deploy there and one elsewhere lost their workers: both are given to others."""
    lost = [
        make.make_deploy(one, State.RUNNING, worker="gone") for one in (environment, make.make_environment())
    ]
    with redacting():
        reconcile([LIFE])
    for deploy in lost:
        deploy.refresh_from_db()
        assert (deploy.attempt, deploy.worker) == (2, "")


def test_rows_load(environment: Any) -> None:
    assert Project.objects.get(pk=environment.project_id).credential
    assert Cluster.objects.get(pk=environment.cluster_id).kubeconfig
