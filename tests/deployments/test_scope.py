"""An environment touches what is its own, or allotted to it: nothing else is deployed, previewed or even read."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache

from audit.actors import SYSTEM_ACTOR
from deployments.models import Deploy, compress
from deployments.pipeline import pipeline
from deployments.preparation.preview import preview
from engine.cluster.client import ApiError
from projects.allotting import services as allotting
from projects.models import Allotment
from runs.models import State
from tests.deployments.outside import CONFIG_MAP, Outside, commit
from tests.factories import make_deploy, make_image, make_release, make_secrets_file

pytestmark = pytest.mark.django_db(transaction=True)
Kind = Allotment.Kind
OBJECTS = {
    "ConfigMap for the namespace catalog-production": b"apiVersion: v1\nkind: ConfigMap\n"
    b"metadata: {name: a, namespace: catalog-production}\n",
    "belongs to no namespace (ClusterRoleBinding.rbac.authorization.k8s.io)": b"""apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: all}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: default, namespace: default}]
""",
    "is for the namespace kube-system": b"apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: kube-system}\n"
    b"spec: {containers: [{name: c, image: x, securityContext: {privileged: true}}]}\n",
    "belongs to no namespace (Namespace)": b"apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n",
    "names another environment": b"apiVersion: v1\nkind: ConfigMap\n"
    b"metadata: {name: a, labels: {slipway.dev/environment: catalog.production}}\n",
}  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    cache.clear()


class Untouched(Exception):
    """Raised by a test when something is read that must not be."""


def said(environment: Any) -> str:
    return " | ".join(f"{found.text} {found.detail}" for found in preview(environment, commit("c")).errors)


@pytest.mark.parametrize("words", OBJECTS)
def test_what_is_not_ours_is_refused_before_anything_is_read(
    environment: Any, outside: Outside, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    outside.files["other.yaml"] = OBJECTS[words]

    def reads(*_: Any, **__: Any) -> None:
        raise Untouched

    monkeypatch.setattr("deployments.preparation.preparation.check_objects", reads)
    text = said(environment)
    assert "other.yaml:1" in text
    assert words.removeprefix("ConfigMap for ") in text
    assert "Nothing was changed on the cluster." in text


def deployed(environment: Any, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> Deploy:
    """A deploy, worked on until the first write."""
    monkeypatch.setattr(pipeline, "refresh_soon", lambda pk: None)
    monkeypatch.setattr(pipeline, "rollout_steps", lambda work: None)
    deploy = make_deploy(environment, State.QUEUED, **{"revision": "c" * 40, **fields})
    pipeline.run(str(deploy.run_id), deploy.attempt)
    deploy.refresh_from_db()
    return deploy


def test_a_deploy_is_refused_with_every_problem(
    environment: Any, outside: Outside, pushed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, text in enumerate(OBJECTS.values()):
        outside.files[f"{number}.yaml"] = text
    deploy = deployed(environment, monkeypatch)
    assert deploy.state == State.FAILED
    assert deploy.release is None
    assert "And 4 more." in deploy.result


def test_what_an_admin_allots_is_deployed(
    environment: Any, outside: Outside, pushed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside.files["other.yaml"] = next(iter(OBJECTS.values()))
    allotting.allot(
        SYSTEM_ACTOR, project=environment.project, kind=Kind.OBJECTS_IN, pattern="catalog-*", environment=environment
    )  # fmt: skip
    assert said(environment) == ""
    assert deployed(environment, monkeypatch).state == State.SUCCEEDED


def test_a_stored_release_is_checked_again(
    environment: Any, outside: Outside, pushed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "elsewhere"},
        "data": {},
    }
    release = make_release(environment, objects_compressed=compress([{"object": body, "source": "c.yaml:1"}]))
    deploy = deployed(environment, monkeypatch, kind=Deploy.Kind.ROLLBACK, release=release)
    assert deploy.state == State.FAILED
    assert "is for the namespace elsewhere" in deploy.result


@pytest.mark.parametrize("kind", [Kind.NAMESPACE, Kind.SECRET, Kind.REPOSITORY])
def test_settings_that_are_no_longer_allotted_deploy_nothing(
    environment: Any, outside: Outside, pushed: Any, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    make_secrets_file(environment, path="secret.yaml", secret_id="app")
    make_image(environment.project, name="web")
    Allotment.objects.filter(kind=kind).delete()
    outside.fails = {name: Untouched() for name in ("git", "files", "secrets", "ecr", "cluster")}
    deploy = deployed(environment, monkeypatch)
    assert deploy.state == State.FAILED
    assert "is not allotted to" in deploy.result
    del outside.fails["secrets"]  # a preview asks which versions are current, without reading one
    assert "is not allotted to" in said(environment)


def test_an_object_of_another_environment_is_neither_taken_nor_shown(
    environment: Any, outside: Outside
) -> None:
    path = f"/api/v1/namespaces/{environment.namespace}/configmaps/settings"
    outside.files = {"settings.yaml": CONFIG_MAP}
    outside.objects[path] = {
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": "settings", "namespace": environment.namespace,
            "labels": {"slipway.dev/environment": "catalog.production"},
            "annotations": {"slipway.dev/object": f"ConfigMap/{environment.namespace}/settings"},
        },
        "data": {"LEVEL": "canary-of-others"},
    }  # fmt: skip
    made = preview(environment, commit("c"))
    assert "ConfigMap settings belongs to another environment" in made.errors[0].text
    assert "canary-of-others" not in repr(made)
    assert "catalog.production" not in repr(made)


def test_a_cluster_that_fails_is_still_told(environment: Any, outside: Outside) -> None:
    outside.fails["cluster"] = ApiError("no", status=0)
    assert said(environment)
