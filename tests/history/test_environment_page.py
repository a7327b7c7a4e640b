"""The environment page and the project page."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from clusters.models import LiveState
from projects.models import Cluster, Environment, Role
from tests.factories import (
    grant,
    make_deploy,
    make_environment,
    make_project,
    make_release,
    make_secrets_file,
    make_user,
)


@pytest.fixture
def staging(shop):
    environment = Environment.objects.get(project=shop, slug="staging")
    environment.variables = [{"name": "LOG_LEVEL", "value": "value-not-shown", "type": "string"}]
    environment.save()
    make_secrets_file(environment)
    release = make_release(
        environment, secret_versions={"secret.yaml": "0a1b2c3d-4e5f"}, author="Ana", subject="Shipped"
    )
    ended = timezone.now() - timedelta(minutes=2)
    make_deploy(
        environment,
        release=release,
        revision="a" * 40,
        started_at=ended - timedelta(seconds=72),
        ended_at=ended,
    )
    return environment


def see(environment, **fields):
    workload = {
        "kind": "Deployment", "name": "web", "images": ["r.example/shop/web:1"], "desired": 3, "ready": 2, "updated": 3,
        "health": "degraded", "sentence": "2 of 3 replicas ready", "managed": True,
    }  # fmt: skip
    defaults = {
        "workloads": [workload],
        "health": "degraded",
        "sentence": "web: not ready",
        "read_at": timezone.now(),
    }
    return LiveState.objects.create(environment=environment, **{**defaults, **fields})


def text(response, status=200):
    assert response.status_code == status
    return response.content.decode()


def test_what_runs_with_its_age(staging, viewer, get):
    see(staging)
    html = text(get(viewer, "/projects/shop/staging/"))
    assert "Degraded" in html
    assert "2 of 3 replicas ready" in html
    assert "r.example/shop/web:1" in html
    assert "as the cluster said" in html
    assert "1 min 12 s" in html


def test_secrets_and_variables_by_name_only(staging, viewer, get):
    html = text(get(viewer, "/projects/shop/staging/"))
    assert "secret.yaml" in html
    assert "0a1b2c3d" in html
    assert "0a1b2c3d-4e5f" not in html
    assert "LOG_LEVEL" in html
    assert "value-not-shown" not in html


def test_a_cluster_that_does_not_answer(staging, viewer, get):
    see(staging, error="connection refused", read_at=timezone.now() - timedelta(minutes=9))
    html = text(get(viewer, "/projects/shop/staging/"))
    assert "Unknown" in html
    assert "unknown now" in html
    assert "connection refused" in html


def test_a_cluster_that_never_answered(staging, viewer, get):
    html = text(get(viewer, "/projects/shop/staging/"))
    assert "The cluster was not read yet." in html


@pytest.mark.parametrize("address", ["/projects/shop/staging/", "/projects/shop/"])
def test_the_notice_of_the_cluster(staging, viewer, get, address):
    Cluster.objects.filter(environments=staging).update(notice="Upgrade on Thursday")
    assert "Upgrade on Thursday" in text(get(viewer, address))


def test_a_viewer_is_told_whom_to_ask(staging, viewer, admin, get):
    html = text(get(viewer, "/projects/shop/staging/"))
    assert "To deploy you need the role deployer; you are viewer here. Ask ada." in html
    assert "/projects/shop/staging/deploy/" not in html
    assert "/settings/" not in html


def test_a_maintainer_may_deploy_and_set(staging, get):
    user = make_user("mia")
    grant(user, Role.MAINTAINER, staging.project)
    html = text(get(user, "/projects/shop/staging/"))
    assert "/projects/shop/staging/deploy/" in html
    assert "/projects/shop/settings/environments/staging/" in html
    assert "/projects/shop/settings/" in text(get(user, "/projects/shop/"))


@pytest.mark.parametrize("address", ["/projects/shop/staging/", "/projects/shop/"])
def test_strangers_find_nothing(staging, get, address):
    text(get(make_user("sam"), address), status=404)
    text(get(make_user("otto", is_auditor=True), address), status=404)


@pytest.mark.parametrize(
    "address", ["/projects/shop/nowhere/", "/projects/nothing/", "/projects/nothing/staging/"]
)
def test_what_is_not_there(shop, admin, get, address):
    text(get(admin, address), status=404)


def test_an_environment_without_anything(shop, admin, get):
    make_environment(shop, slug="fresh")
    html = text(get(admin, "/projects/shop/fresh/"))
    assert "Nothing was deployed here yet" in html
    assert "Not deployed" in html
    assert "no Secret of this environment" in html


def test_a_project_without_environments(admin, get):
    make_project(slug="bare")
    html = text(get(admin, "/projects/bare/"))
    assert "No environment yet" in html
    assert "Nothing was deployed yet." in html


def test_the_timeline_goes_through_all_environments(shop, viewer, get):
    html = text(get(viewer, "/projects/shop/"))
    places = [html.index(f">Deploy #{n}<") for n in range(6, 0, -1)]
    assert places == sorted(places)
    assert "Today" in html
    assert "Container web exits at start." in html


def test_the_timeline_has_pages(shop, viewer, get):
    busy = make_environment(shop, slug="preview")
    for _ in range(30):
        make_deploy(busy)
    html = text(get(viewer, "/projects/shop/"))
    assert "?before=12" in html
    older = text(get(viewer, "/projects/shop/?before=12"))
    assert ">Deploy #11<" in older
    assert ">Deploy #1<" in older


@pytest.mark.parametrize("address", ["/projects/shop/staging/", "/projects/shop/"])
def test_the_page_follows_changes_of_its_project(staging, viewer, get, address):
    html = text(get(viewer, address))
    assert 'data-changes="/changes/?project=shop"' in html
    assert 'hx-trigger="changed from:body"' in html


@pytest.mark.parametrize("address", ["/projects/shop/staging/", "/projects/shop/"])
def test_the_number_of_queries_does_not_grow(staging, viewer, client, django_assert_max_num_queries, address):
    client.force_login(viewer)
    client.get(address)
    for n in range(5):
        environment = make_environment(staging.project, slug=f"more{n}")
        for _ in range(4):
            make_deploy(environment)
        make_deploy(environment, "running")
        make_deploy(staging)
    with django_assert_max_num_queries(22):
        client.get(address)
