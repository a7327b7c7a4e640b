"""What goes wrong outside, in plain words and with a remedy; one fault delays no other Secret."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.aws.session import ClockSkewed
from adapters.errors import Denied, Throttled, TimedOut, Unavailable
from projects.models import Cluster
from registry import running
from registry.models import Cause, Credential, PullPolicy, Refresh, RegistryToken, State, Watch
from registry.reconcile import Ask
from sandbox.cluster.accounts import account_kubeconfig
from tests.factories import make_cluster, make_environment, make_registry
from tests.kubernetes.support import until
from tests.registry.conftest import HOST

HOUR = timedelta(hours=1)
OTHER = "210987654321.dkr.ecr.us-east-1.amazonaws.com"
LIST_ALL = {"apiGroups": [""], "resources": ["namespaces", "secrets"], "verbs": ["get", "list"]}
WRITE = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "patch"]}


def as_account(place, home: str, rules, *, only_in: str = "") -> None:
    """From now on the portal has an account with these rights."""
    text = account_kubeconfig(
        place.path_of_kubeconfig, "portal", namespace=home, rules=rules, only_in=only_in
    )
    Cluster.objects.filter(pk=place.cluster.pk).update(kubeconfig=text)


@pytest.mark.parametrize(
    "error",
    [
        Denied(
            "AWS refused to issue a registry token (AccessDenied).", system="ECR", hint="AWS says: allow it."
        ),
        Throttled("ECR asks us to slow down.", system="ECR"),
        Unavailable("ECR is not reachable.", system="ECR"),
        TimedOut("ECR gave no answer in time.", system="ECR"),
        ClockSkewed(
            "AWS does not accept the portal's clock.", system="ECR", hint="Let it follow a time server."
        ),
    ],
    ids=["denied", "throttled", "unreachable", "silent", "clock"],
)
def test_aws_gives_no_token(place, clock, error) -> None:
    environment = place.home()
    place.world.fails = error
    place.look()
    row = place.row(environment)
    assert (row.state, row.last_error, row.hint) == (State.MISSING, error.message, error.hint)
    assert place.secret(environment) is None
    failed = Refresh.objects.get()
    assert (failed.state, failed.cause) == ("failed", Cause.APPEARED)
    assert error.message in failed.sentence
    place.world.fails = None
    clock.shift(timedelta(minutes=2))
    place.look()
    assert place.pulls(environment)


def test_no_right_to_pull(place, clock) -> None:
    """A token that may sign in, and may not pull a known image."""
    from registry.proving import note_images
    from tests.factories import make_image

    environment = place.home()
    image = make_image(environment.project, registry=place.registry, repository="shop/web")
    note_images([(image, "abc")])
    place.world.closed.add("shop/web")
    place.look()
    row = place.row(environment)
    assert row.state == State.MISSING
    assert "No right to pull" in row.last_error
    assert "shop/web" not in row.last_error + row.hint  # people of other projects read it
    assert RegistryToken.objects.get().proofs[HOST]["image"] == "shop/web"
    place.world.closed.clear()
    place.world.images.add(("shop/web", "abc"))
    clock.shift(timedelta(minutes=2))
    place.look()
    assert place.row(environment).proven_by == "manifest"


def test_one_region_that_fails_delays_no_other(place, clock) -> None:
    """Its registry keeps what stands there, and the others are renewed."""
    make_registry(endpoint=f"https://{OTHER}", region="us-east-1", account="210987654321")
    environment = place.home()
    place.look()
    assert place.world.asked == ["eu-west-2", "us-east-1"]
    old = place.password(environment, OTHER)
    assert place.pulls(environment, OTHER)
    place.world.silent.add(OTHER)
    clock.shift(7 * HOUR)
    place.look()
    assert place.password(environment, HOST).startswith("canary-registry-token-eu-west-2")
    assert place.password(environment, HOST) != place.password(environment, OTHER) == old
    row = place.row(environment)
    assert row.state == State.FAILING
    assert f"The registry {OTHER} is not reachable" in row.last_error
    clock.shift(4 * HOUR + timedelta(minutes=40))
    place.look()
    assert place.pulls(environment, HOST)
    assert place.pulls(environment, OTHER)  # untried, because the old one had ended


def test_an_account_without_patch(place, clock) -> None:
    environment = place.home()
    place.look()
    as_account(place, environment.namespace, [LIST_ALL])
    until(lambda: place.look().fault is None, what="its rights")
    clock.shift(7 * HOUR)
    place.look()
    row = place.row(environment)
    assert "may not patch secrets in the namespace" in row.last_error
    assert 'resources: ["secrets"], verbs: ["patch"]' in row.hint
    assert row.state == State.FAILING


def test_an_account_of_one_namespace(place, clock) -> None:
    """It may list neither namespaces nor all Secrets: each is read alone."""
    environment = place.home()
    other = place.home()
    as_account(place, environment.namespace, [WRITE], only_in=environment.namespace)
    until(lambda: place.look(namespace=environment.namespace).is_good, what="its rights")
    assert place.pulls(environment)
    report = place.look()
    assert report.fault is not None
    assert f"get secrets in the namespace {other.namespace}" in report.fault.sentence


def test_a_policy_that_needs_all_namespaces_says_so(place, clock) -> None:
    environment = place.home()
    PullPolicy.objects.create(cluster=place.cluster, namespaces="all")
    as_account(place, environment.namespace, [WRITE], only_in=environment.namespace)
    report = until(
        lambda: (r := place.look()).fault and "namespaces" in r.fault.sentence and r, what="its rights"
    )
    assert "may not list namespaces in all namespaces" in report.fault.sentence
    assert 'resources: ["namespaces"], verbs: ["list"]' in report.fault.hint


def test_a_full_quota(place, clock) -> None:
    environment = place.home()
    place.api.create(
        f"/api/v1/namespaces/{environment.namespace}/resourcequotas",
        {"metadata": {"name": "none"}, "spec": {"hard": {"count/secrets": "0"}}},
    )
    until(lambda: "none" in str(place.refusal(environment)), what="the quota")
    place.look()
    row = place.row(environment)
    assert "exceeded quota" in row.last_error
    assert "ResourceQuota" in row.hint


def test_a_webhook_that_nobody_answers(place, clock) -> None:
    environment = place.home()
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]}
    hook = {
        "name": "hook.suite.example", "rules": [rule], "admissionReviewVersions": ["v1"], "sideEffects": "None",
        "clientConfig": {"service": {"name": "hook", "namespace": environment.namespace}},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": environment.namespace}},
    }  # fmt: skip
    service = {"metadata": {"name": "hook"}, "spec": {"selector": {"a": "b"}, "ports": [{"port": 443}]}}
    place.api.create(f"/api/v1/namespaces/{environment.namespace}/services", service)
    hooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    place.api.create(hooks, {"metadata": {"name": environment.namespace}, "webhooks": [hook]})
    try:
        until(lambda: "failed calling webhook" in place.refusal(environment), what="the webhook")
        place.look()
        row = place.row(environment)
        assert "asks the admission webhook hook.suite.example first" in row.last_error
        assert row.attempts == 1
    finally:
        place.api.delete(f"{hooks}/{environment.namespace}")


def test_a_namespace_that_is_being_deleted(place, clock) -> None:
    environment = place.home()
    place.api.create(
        f"/api/v1/namespaces/{environment.namespace}/configmaps",
        {"metadata": {"name": "keeps", "finalizers": ["suite.example/keep"]}},
    )
    place.api.delete(f"/api/v1/namespaces/{environment.namespace}")
    report = place.look()
    row = place.row(environment)
    place.api.merge(
        f"/api/v1/namespaces/{environment.namespace}/configmaps/keeps", {"metadata": {"finalizers": None}}
    )
    assert (row.state, row.failing_since, row.attempts) == (State.MISSING, None, 0)
    assert "is being deleted" in row.last_error
    assert report.is_good


@pytest.mark.django_db
def test_a_cluster_that_is_away_for_a_day(world, clock) -> None:
    """One row of error, pauses that grow, no storm; then everything is looked at again at once."""
    cluster = make_cluster()  # at an address without a server
    make_registry(endpoint=f"https://{HOST}")
    environment = make_environment(cluster=cluster, pull_secret="ecr-pull")
    now = clock_now()
    Credential.objects.create(
        cluster=cluster, namespace=environment.namespace, secret_name="ecr-pull", state=State.VALID,
        expires_at=now + 5 * HOUR, half_life_at=now - HOUR,
    )  # fmt: skip
    tries = 0
    for minute in range(0, 24 * 60, 4):
        if cluster.pk in running.due_clusters():
            tries += 1
            assert running.look_at(cluster, Ask()).fault is not None
        if minute == 60:
            assert Credential.objects.get().state == State.UNKNOWN
        clock.shift(timedelta(minutes=4))
    watch = Watch.objects.get()
    assert 85 <= tries <= 110
    assert watch.attempts == tries
    assert watch.failing_since == now
    assert "does not answer" in watch.last_error
    assert Credential.objects.get().state == State.ENDED
    assert Refresh.objects.count() == 0
    assert world.asked == []


def clock_now():
    from django.utils import timezone

    return timezone.now()
