"""What people complain about in tools that renew pull secrets: one test for each complaint, on both control planes where the
cluster matters. The other modules test the same parts in detail."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.test import Client

from adapters.errors import Denied
from adapters.kubernetes.client import KubernetesClient
from audit.models import AuditEvent
from core.redactor import redacting
from projects.models import Environment
from registry import deploys, jobs, leases, reconcile, running
from registry.models import Cause, Refresh, State, Watch
from registry.pages.pulls import healing
from registry.secrets import seen
from tests.factories import make_user
from tests.registry.conftest import KEY, TYPE, config
from tests.registry.test_running import expire_leases, in_threads

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.mark.parametrize("plane", ["simulated"], indirect=True, scope="session")
def test_1_it_had_expired_before_it_was_renewed(place, clock) -> None:
    """While all is well, never less than nearly half of the life is left."""
    environment = place.home()
    place.look()
    least = timedelta.max
    for _ in range(26 * 3):
        clock.shift(20 * MINUTE)
        place.look()
        row = place.row(environment)
        least = min(least, row.expires_at - row.seen_at)
        assert place.pulls(environment)
    assert least > 5.6 * HOUR
    assert len(place.world.asked) == 5  # 26 hours


@pytest.mark.parametrize("plane", ["simulated"], indirect=True, scope="session")
@pytest.mark.parametrize("life", ["life", "session"])
def test_2_a_fixed_interval_does_not_know_how_long_the_token_really_lives(place, clock, life) -> None:
    setattr(place.world, life, 40 * MINUTE)
    environment = place.home()
    for _ in range(60):
        place.look()
        assert place.pulls(environment)
        clock.shift(2 * MINUTE)
    assert 5 <= len(place.world.asked) <= 7


def test_3_a_namespace_was_missed_and_the_job_said_success(place, clock, capsys) -> None:
    good, missed, late = place.home(), place.home(), place.home(exists=False)
    place.put(missed)
    with pytest.raises(SystemExit) as stopped:
        call_command("refresh_pull_credentials")
    assert stopped.value.code == 1
    told = capsys.readouterr().err
    assert f"{place.cluster.slug}/{missed.namespace}/ecr-pull" in told
    assert place.pulls(good)
    place.create(late.namespace)
    place.look()  # the next minute's, not in six hours
    assert place.pulls(late)


def test_4_a_pod_older_than_its_service_account_s_secret_waits_for_ever(place, clock) -> None:
    """It is told that this pod never heals, and which one takes its place."""
    environment = place.home()
    place.look()
    row = place.row(environment)
    told = {"message": "401", "secrets": [], "owner": "ReplicaSet"}
    assert healing(told, "ecr-pull", row, row.seen_at)[0] == "no"
    assert "Delete the pod; the one that takes its place" in healing(told, "ecr-pull", row, row.seen_at)[1]
    assert healing({**told, "secrets": ["ecr-pull"]}, "ecr-pull", row, row.seen_at)[0] == "yes"


@pytest.mark.django_db(transaction=True)
def test_5_parallel_deploys_fight_over_the_secret(place, transactional_db) -> None:
    """The object has been modified: told by nobody, of twenty at once for one namespace."""
    environment = place.home()
    place.world.slow = 0.1

    def deploy(number: int) -> deploys.Ensured:
        own = Environment.objects.select_related("cluster").get(pk=environment.pk)
        client = running.hasty_client(own.cluster, purpose="tests")
        try:
            return deploys.ensure(own, client, asked_as=f"deploy {number}", wait=60)
        finally:
            client.close()

    found = in_threads(20, deploy)
    assert {one.is_usable for one in found} == {True}
    assert [one.is_written for one in found].count(True) == 1
    assert len(place.world.asked) == Refresh.objects.count() == 1
    assert AuditEvent.objects.filter(verb="pull_credential.renewed").count() == 1


def test_6_it_is_deleted_and_made_again(place, clock, monkeypatch) -> None:
    """Nodes trust their images only while the Secret's UID stays, and pods that start in between find none."""
    environment = place.home()
    place.look()
    uid = place.secret(environment)["metadata"]["uid"]
    methods: list[str] = []
    send = KubernetesClient.send

    def noted(self, method: str, *given, **more):
        methods.append(method)
        return send(self, method, *given, **more)

    monkeypatch.setattr(KubernetesClient, "send", noted)
    clock.shift(6 * HOUR)
    place.look()
    clock.shift(13 * HOUR)
    place.look()
    place.tamper(environment)
    place.look()
    assert place.secret(environment)["metadata"]["uid"] == uid
    assert "PATCH" in methods
    assert {"DELETE", "POST", "PUT"}.isdisjoint(methods)


@pytest.mark.parametrize("plane", ["simulated"], indirect=True, scope="session")
def test_7_the_one_who_renews_is_silently_dead_or_hangs(place, clock, client: Client) -> None:
    environment = place.home()
    place.look()
    stuck = leases.take(reconcile.lease_of(place.cluster))  # it hangs, and never gives it back
    clock.shift(7 * HOUR)
    assert place.look().fault is running.BUSY
    client.force_login(make_user(is_admin=True))
    page = client.get("/registry/").content.decode()
    assert "The portal has not looked at this cluster, although it is due each minute" in page
    assert "a worker for the queue registry" in page
    expire_leases()
    place.look()
    assert place.pulls(environment)
    with pytest.raises(leases.LeaseLost):
        leases.renew(stuck)  # when it wakes it writes nothing


@pytest.mark.parametrize("plane", ["simulated"], indirect=True, scope="session")
def test_8_the_scheduler_gave_up_after_many_missed_starts(
    place, clock, monkeypatch, django_capture_on_commit_callbacks
) -> None:
    """After a month without it, its first tick asks for one look, which renews at once."""
    environment = place.home()
    place.look()
    asked = []
    monkeypatch.setattr("core.jobs.push", lambda name, ids, *_, **__: asked.append((name, ids)) or True)
    clock.shift(timedelta(days=30))
    with django_capture_on_commit_callbacks(execute=True):
        jobs.look()
    assert asked == [("registry.jobs.look_at", (place.cluster.pk,))]
    jobs.look_at(place.cluster.pk)
    assert place.pulls(environment)
    assert Refresh.objects.first().cause == Cause.START


EARLIER = {
    "metadata": {
        "name": "ecr-pull", "uid": "u", "resourceVersion": "7", "labels": {"slipway.dev/pull-credential": "managed"},
        "managedFields": [{"manager": "slipway-registry", "operation": "Apply", "fieldsV1": {"f:data": {}, "f:type": {}}}],
    },
    "type": TYPE,
    "data": {KEY: config("theirs")},
}  # fmt: skip


def test_9_a_change_of_the_tool_itself_broke_pulls(place, clock) -> None:
    """What earlier versions wrote is known as our own, and what is no longer kept stays as it is."""
    with redacting():
        assert seen(EARLIER).ours
    environment = place.home()
    place.look()
    body = place.secret(environment)
    assert body["metadata"]["labels"] == {"slipway.dev/pull-credential": "managed"}
    assert {one["manager"] for one in body["metadata"]["managedFields"]} == {"slipway-registry"}
    [(host, entry)] = json.loads(base64.b64decode(body["data"][KEY]))["auths"].items()
    assert set(entry) == {"username", "password", "auth"}
    assert not host.startswith("http")
    Environment.objects.filter(pk=environment.pk).update(pull_secret="")
    place.look()
    assert place.cluster.pull_credentials.count() == 0
    assert place.secret(environment)["metadata"]["resourceVersion"] == body["metadata"]["resourceVersion"]
    assert place.pulls(environment)


def test_10_errors_that_nobody_can_read_again_and_again(place, clock) -> None:
    """One row and one event with the Secret's name, the cause in words and the remedy, however often it is tried."""
    environment = place.home(secret="other-name")
    place.world.fails = Denied(
        "AWS refused to issue a registry token: no identity-based policy allows it.", system="ECR",
        hint="Allow ecr:GetAuthorizationToken.",
    )  # fmt: skip
    for _ in range(60):
        place.look()
        clock.shift(MINUTE)
    row = place.row(environment)
    assert (row.state, row.secret_name) == (State.MISSING, "other-name")
    assert row.last_error.startswith("AWS refused to issue a registry token")
    assert row.hint == "Allow ecr:GetAuthorizationToken."
    [refresh] = Refresh.objects.all()
    assert refresh.tries > 5
    assert AuditEvent.objects.filter(verb="pull_credential.not_renewed").count() == 1
    assert Watch.objects.get().last_error == ""
    told = {"message": "401", "secrets": ["ecr-pull"]}
    assert "names ecr-pull and not other-name" in healing(told, "other-name", row, row.seen_at)[1]
