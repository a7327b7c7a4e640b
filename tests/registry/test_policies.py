"""Which namespaces get the credential, and the service accounts that name it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from projects.models import Allotment
from registry import watching
from registry.faults import Fault
from registry.models import Credential, PullPolicy, State
from tests.factories import make_environment
from tests.kubernetes.support import until

pytestmark = pytest.mark.django_db


def names(place) -> set[str]:
    return set(Credential.objects.filter(cluster=place.cluster).values_list("namespace", flat=True))


def test_a_selector(place, clock) -> None:
    environment = place.home(secret="", **{"team": "shop"})
    other = place.home(secret="", **{"team": "shop", "slipway.dev/pull-credential": "off"})
    place.home(secret="", team="other")
    PullPolicy.objects.create(
        cluster=place.cluster, namespaces="selector", selector="team=shop", secret_name="pull"
    )
    place.look()
    environment.pull_secret = "pull"
    assert names(place) == {environment.namespace}
    assert place.pulls(environment)
    assert other.namespace not in names(place)


def test_all_but_the_systems(place, clock) -> None:
    marked = place.home(secret="", **{"slipway.dev/pull-credential": "off"})
    plain, named = place.home(secret=""), place.home(secret="own-name")
    PullPolicy.objects.create(cluster=place.cluster, namespaces="all", secret_name="usual")
    place.look()
    assert {"default", plain.namespace, named.namespace} <= names(place)
    assert marked.namespace not in names(place)
    assert not [name for name in names(place) if name.startswith("kube-")]
    own = Credential.objects.filter(namespace=named.namespace).values_list("secret_name", flat=True)
    assert set(own) == {"own-name", "usual"}
    for row in Credential.objects.filter(namespace="default"):
        place.api.delete(f"/api/v1/namespaces/default/secrets/{row.secret_name}")


def test_one_that_is_not_wanted_any_more_is_forgotten(place, clock) -> None:
    environment = place.home()
    place.look()
    environment.pull_secret = ""
    environment.save()
    place.look()
    assert names(place) == set()


def test_a_namespace_that_is_no_longer_allotted_to_the_project_gets_none(place, clock) -> None:
    environment, other = place.home(), place.home()
    place.look()
    kept = place.secret(environment)["metadata"]["resourceVersion"]
    Allotment.objects.filter(pattern=environment.namespace).delete()
    clock.shift(timedelta(hours=7))
    assert place.look().is_good
    assert names(place) == {other.namespace}
    assert place.secret(environment)["metadata"]["resourceVersion"] == kept
    assert place.pulls(other)
    Allotment.objects.create(
        project=environment.project, kind=Allotment.Kind.NAMESPACE, cluster=place.cluster,
        pattern=f"{environment.namespace[:-1]}*",
    )  # fmt: skip
    place.look()
    assert place.pulls(environment)


def test_paused_is_looked_at_and_not_written(place, clock) -> None:
    environment = place.home()
    PullPolicy.objects.create(cluster=place.cluster, enabled=False)
    report = place.look()
    assert report.is_good
    assert place.row(environment).state == State.PAUSED
    assert place.secret(environment) is None
    assert place.world.asked == []


def test_a_silence_that_is_over_is_not_told_of_a_paused_one(place, clock) -> None:
    environment = place.home()
    place.look()
    PullPolicy.objects.create(cluster=place.cluster, enabled=False)
    watching.note_silence(watching.watch_of(place.cluster), Fault("The cluster does not answer."))
    assert "does not answer" in place.row(environment).last_error
    place.look()
    assert place.row(environment).state == State.PAUSED
    assert place.row(environment).last_error == ""


def test_only_the_registries_of_the_policy(place, clock) -> None:
    from tests.factories import make_registry

    other = make_registry(endpoint="https://other.example", region="us-east-1")
    environment = place.home()
    PullPolicy.objects.create(cluster=place.cluster).registries.set([other])
    place.look()
    assert place.world.asked == ["us-east-1"]
    assert place.pulls(environment, "other.example")
    assert place.password(environment) == ""


def test_service_accounts_get_the_secret_and_keep_their_own(place, clock) -> None:
    environment = place.home()
    PullPolicy.objects.create(cluster=place.cluster, service_accounts=["default", "missing"])
    path = f"/api/v1/namespaces/{environment.namespace}/serviceaccounts/default"
    until(lambda: place.api.find(path), what="its service account")
    place.api.merge(path, {"imagePullSecrets": [{"name": "own"}]})
    assert place.look().is_good
    body = place.api.get(path)
    assert body["imagePullSecrets"] == [{"name": "own"}, {"name": "ecr-pull"}]
    version = body["metadata"]["resourceVersion"]
    place.look()
    assert place.api.get(path)["metadata"]["resourceVersion"] == version


def test_two_environments_of_one_namespace_share_their_secret(place, clock) -> None:
    environment = place.home()
    make_environment(cluster=place.cluster, namespace=environment.namespace, pull_secret="ecr-pull")
    place.look()
    assert Credential.objects.count() == 1
