"""One look at a real or simulated cluster: what is missing, old, tampered or foreign, and what is done about it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from adapters.errors import Denied, Unavailable
from audit.models import AuditEvent
from registry.models import Cause, Credential, Refresh, RefreshResult, RegistryToken, State
from tests.registry.conftest import HOST, KEY, TYPE, config

HOUR = timedelta(hours=1)


def renewals() -> list[tuple[str, str]]:
    return list(Refresh.objects.order_by("id").values_list("cause", "state"))


def test_a_missing_one_is_made_and_proven(place, clock) -> None:
    environment = place.home()
    report = place.look()
    assert report.is_good
    assert place.pulls(environment)
    row = place.row(environment)
    assert (row.state, row.proven_by, row.last_error) == (State.VALID, "v2", "")
    assert row.expires_at - row.half_life_at == timedelta(hours=6)
    body = place.secret(environment)
    assert (body["type"], body["metadata"]["labels"]) == (TYPE, {"slipway.dev/pull-credential": "managed"})
    assert renewals() == [(Cause.APPEARED, "succeeded")]


def test_a_fresh_one_is_left_alone(place, clock) -> None:
    """No write, no token, no row of history: one look at the cluster is all."""
    environment = place.home()
    place.look()
    version = place.secret(environment)["metadata"]["resourceVersion"]
    clock.shift(5 * HOUR)
    place.look()
    assert place.secret(environment)["metadata"]["resourceVersion"] == version
    assert len(place.world.asked) == 1
    assert Refresh.objects.count() == 1
    assert place.row(environment).seen_at is not None


def test_at_half_life_it_is_renewed_in_place(place, clock) -> None:
    environment = place.home()
    place.look()
    before = place.secret(environment)["metadata"]["uid"], place.password(environment)
    clock.shift(6 * HOUR)
    place.look()
    assert place.secret(environment)["metadata"]["uid"] == before[0]
    assert place.password(environment) == place.world.last != before[1]
    assert Refresh.objects.first().cause == Cause.START  # nobody had looked for six hours
    assert place.row(environment).state == State.VALID


def test_the_end_of_the_session_counts(place, clock) -> None:
    """A role's session may end its tokens: half of its hour is the half of their life."""
    place.world.session = HOUR
    environment = place.home()
    place.look()
    clock.shift(timedelta(minutes=5))
    place.look()
    assert len(place.world.asked) == 1
    clock.shift(timedelta(minutes=26))
    place.look()
    assert len(place.world.asked) == 2
    assert place.password(environment) == place.world.last


def test_a_tampered_one_is_repaired(place, clock) -> None:
    environment = place.home()
    place.look()
    good = place.password(environment)
    for text in (config("theirs"), config("theirs", "docker.example"), "eyJhdXRocyI6e319"):
        place.tamper(environment, text)
        place.look()
        assert place.password(environment) == good
        clock.shift(timedelta(minutes=25))
    assert len(place.world.asked) == 1
    row = place.row(environment)
    assert row.state == State.VALID
    assert row.last_writer
    assert Refresh.objects.filter(cause__in=(Cause.TAMPERED, Cause.START)).count() == 3


def test_a_writer_that_does_not_stop_is_left_and_told(place, clock) -> None:
    environment = place.home()
    place.look()
    for _ in range(5):
        place.tamper(environment)
        clock.shift(timedelta(minutes=1))
        place.look()
    row = place.row(environment)
    assert row.state == State.FOREIGN
    assert "again and again" in row.last_error
    assert place.password(environment) == "theirs"
    Credential.objects.filter(pk=row.pk).update(adopt=True)  # an admin lets the portal take it over
    place.look()
    assert place.pulls(environment)
    assert not place.row(environment).adopt
    place.tamper(environment)
    place.look()
    assert place.row(environment).state == State.FOREIGN
    clock.shift(2 * HOUR)
    place.look()
    assert place.pulls(environment)


def test_a_deleted_one_comes_back(place, clock) -> None:
    environment = place.home()
    place.look()
    place.api.delete(place.path(environment))
    place.look()
    assert place.pulls(environment)
    assert renewals()[-1] == (Cause.MISSING, "succeeded")


def test_a_foreign_one_is_explained_and_left(place, clock) -> None:
    environment = place.home()
    place.put(environment)
    report = place.look()
    assert not report.is_good
    row = place.row(environment)
    assert row.state == State.FOREIGN
    assert "kubectl-create at 20" in row.last_error
    assert "An admin can let the portal take it over (in place)" in row.hint
    assert place.password(environment) == "theirs"
    assert place.world.asked == []  # no token for what nobody keeps


@pytest.mark.parametrize(
    "body",
    [{"type": "Opaque", "data": {"x": "eA=="}}, {"immutable": True}],
    ids=["wrong type", "immutable"],
)
def test_what_cannot_be_changed_is_replaced_only_when_adopted(place, clock, body) -> None:
    environment = place.home()
    place.put(environment, **body)
    place.look()
    row = place.row(environment)
    assert row.state == State.FOREIGN
    assert "by deleting it and creating it anew" in row.hint
    uid = place.secret(environment)["metadata"]["uid"]
    row.adopt = True
    row.save()
    place.look()
    assert place.pulls(environment)
    assert place.secret(environment)["metadata"]["uid"] != uid
    row.refresh_from_db()
    assert (row.state, row.adopt) == (State.VALID, False)


def test_an_adopted_one_is_patched_in_place_and_keeps_other_registries(place, clock) -> None:
    environment = place.home()
    place.put(environment, data={KEY: config("hub", "docker.example")})
    place.look()
    uid = place.secret(environment)["metadata"]["uid"]
    row = place.row(environment)
    row.adopt = True
    row.save()
    place.look()
    assert place.secret(environment)["metadata"]["uid"] == uid
    assert place.pulls(environment)
    assert place.password(environment, "docker.example") == "hub"
    place.look()
    clock.shift(7 * HOUR)
    place.look()
    assert place.password(environment) == place.world.last
    assert place.password(environment, "docker.example") == "hub"


def test_a_namespace_that_comes_later(place, clock) -> None:
    environment = place.home(exists=False)
    report = place.look()
    assert report.is_good  # nothing is wrong: it does not exist yet
    row = place.row(environment)
    assert (row.state, row.failing_since) == (State.MISSING, None)
    assert "does not exist yet" in row.last_error
    place.create(environment.namespace)
    place.look()
    assert place.pulls(environment)


def test_aws_away_keeps_the_living_one(place, clock) -> None:
    """And a namespace that appears meanwhile gets it, too."""
    first = place.home()
    place.look()
    place.world.fails = Unavailable("ECR is not reachable; could not issue a registry token.", system="ECR")
    clock.shift(7 * HOUR)
    second = place.home()
    place.look()
    assert place.pulls(first)
    assert place.pulls(second)
    row = place.row(first)
    assert (row.state, row.last_error) == (
        State.FAILING,
        "ECR is not reachable; could not issue a registry token.",
    )
    clock.shift(3 * HOUR)
    place.look()
    assert place.row(first).state == State.ENDS_SOON
    clock.shift(3 * HOUR)
    place.look()
    assert place.row(first).state == State.ENDED
    assert place.password(first)  # nothing empty is written over it
    place.world.fails = None
    clock.shift(HOUR)
    place.look()
    assert place.pulls(first)
    assert place.row(first).state == State.VALID


def test_a_failure_that_goes_on_is_one_row_and_one_event(place, clock) -> None:
    place.home()
    place.look()
    place.world.fails = Denied("AWS refused to issue a registry token.", system="ECR")
    clock.shift(6 * HOUR)
    place.look()
    events = AuditEvent.objects.count()
    for _ in range(120):
        clock.shift(timedelta(minutes=1))
        place.look()
    assert len(place.world.asked) <= 1 + 1 + 4 + 8 + 1  # pauses of 1, 2, 4, 8 and then 15 minutes
    assert (
        Refresh.objects.filter(state="failed").count() == 2
    )  # the first was told as START, after hours without a look
    assert AuditEvent.objects.count() <= events + 1


def test_a_token_without_the_right_to_pull_never_replaces_a_living_one(place, clock) -> None:
    environment = place.home()
    place.look()
    good = place.password(environment)
    place.world.refusing.add(HOST)
    clock.shift(7 * HOUR)
    place.look()
    assert place.password(environment) == good
    assert "may not sign in" in place.row(environment).last_error
    place.world.refusing.clear()
    clock.shift(HOUR)
    place.look()
    assert place.password(environment) == place.world.last


def test_a_silent_registry_and_an_old_token(place, clock) -> None:
    """An untried token is better than an ended one, and no better than a living one."""
    environment = place.home()
    place.look()
    good = place.password(environment)
    place.world.silent.add(HOST)
    clock.shift(11 * HOUR)
    place.look()
    assert place.password(environment) == good
    clock.shift(timedelta(minutes=40))
    place.look()
    assert place.password(environment) == place.world.last != good
    row = place.row(environment)
    assert row.proven_at is None
    assert "without a proof" in RegistryToken.objects.get().last_error
    place.world.silent.clear()
    clock.shift(timedelta(minutes=20))
    place.look()
    row.refresh_from_db()
    assert (row.state, row.proven_by) == (State.VALID, "v2")


def test_nothing_secret_is_stored(place, clock) -> None:
    place.home()
    place.look()
    token = place.world.last
    stored = json.dumps(
        [list(model.objects.values()) for model in (Refresh, RefreshResult, AuditEvent, Credential)],
        default=str,
    )
    assert token not in stored
    with_sql = RegistryToken.objects.extra(select={"raw": "token"}).values_list("raw", flat=True)
    assert token not in str(list(with_sql))
    assert RegistryToken.objects.get().token.open() == token
