"""What people may ask for: their rights, the audit, and that asking twice is asking once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from adapters.errors import Unavailable
from audit.actors import person
from audit.models import AuditEvent
from core.errors import Refused, Stale
from projects.models import Role
from registry import jobs, queries, running, services
from registry.models import Cause, Credential, PullPolicy, Refresh, State
from tests.factories import grant, make_cluster, make_environment, make_registry, make_user
from tests.registry.conftest import HOST

pytestmark = pytest.mark.django_db


@pytest.fixture
def pushed(monkeypatch) -> list[tuple]:
    """What was handed to the queue."""
    calls: list[tuple] = []
    monkeypatch.setattr(
        "core.jobs.push", lambda name, ids, queue, job_id, **_: calls.append((name, ids, queue)) or True
    )
    return calls


@pytest.fixture
def environment():
    return make_environment(pull_secret="ecr-pull", cluster=make_cluster(slug="hel"), namespace="shop")


@pytest.fixture
def admin():
    return person(make_user("ada", is_admin=True))


@pytest.fixture
def deployer(environment):
    user = make_user("dev")
    grant(user, Role.DEPLOYER, environment.project, environment)
    return person(user)


def verbs() -> list[str]:
    return list(AuditEvent.objects.order_by("id").values_list("verb", flat=True))


def test_a_deployer_renews_their_namespace_and_no_other(
    environment, deployer, django_capture_on_commit_callbacks, pushed
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        row = services.refresh(deployer, environment.cluster, namespace="shop")
    assert (row.state, row.cause, row.asked_as) == ("queued", Cause.PERSON, "dev")
    assert pushed == [("registry.jobs.refresh_asked", (row.pk,), "registry")]
    assert services.refresh(deployer, environment.cluster, namespace="shop").pk == row.pk
    assert verbs() == ["pull_credential.asked"]
    for namespace in ("other", ""):
        with pytest.raises(Refused):
            services.refresh(deployer, environment.cluster, namespace=namespace)


def test_where_nothing_is_kept_nothing_is_asked_for(environment, admin) -> None:
    for name in ("kube-system", "a" * 5000):
        with pytest.raises(Refused, match="keeps no pull credential in the namespace") as refused:
            services.refresh(admin, environment.cluster, namespace=name)
        assert len(refused.value.message) < 200
    assert not Refresh.objects.exists()
    assert services.refresh(admin, environment.cluster, namespace="shop").namespace == "shop"


def test_only_what_is_left_to_others_can_be_taken_over(environment, admin) -> None:
    """Else the next one who writes it would lose it without a question."""
    row = Credential.objects.create(
        cluster=environment.cluster, namespace="shop", secret_name="ecr-pull", state=State.VALID
    )
    with pytest.raises(Refused, match="there is nothing to take over"):
        services.adopt(admin, row)
    row.refresh_from_db()
    assert not row.adopt
    assert verbs() == []


def test_of_others_environments_nothing_is_told(environment, deployer) -> None:
    """Not even whether a namespace is there, or who maintains what is in it."""
    other = make_environment(cluster=environment.cluster, namespace="theirs", pull_secret="ecr-pull")
    grant(make_user("mara"), Role.MAINTAINER, other.project)
    told = []
    for name in ("theirs", "nowhere"):
        with pytest.raises(Refused) as refused:
            services.refresh(deployer, environment.cluster, namespace=name)
        told.append((refused.value.message.replace(name, "x"), refused.value.hint, refused.value.ask))
    assert told[0] == told[1]
    assert "mara" not in str(told)
    assert not Refresh.objects.exists()


def test_a_viewer_renews_nothing(environment) -> None:
    user = make_user("eye")
    grant(user, Role.VIEWER, environment.project)
    with pytest.raises(Refused, match="role deployer"):
        services.refresh(person(user), environment.cluster, namespace="shop")
    assert Refresh.objects.count() == 0


def test_only_admins_change_what_holds_for_a_cluster(environment, deployer) -> None:
    row = Credential.objects.create(cluster=environment.cluster, namespace="shop", secret_name="ecr-pull")
    later = timezone.now() + timedelta(hours=1)
    for ask in (
        lambda: services.pause(deployer, environment.cluster, until=later),
        lambda: services.resume(deployer, environment.cluster),
        lambda: services.save_policy(deployer, environment.cluster, edited=0, namespaces="all"),
        lambda: services.adopt(deployer, row),
        lambda: services.refresh(deployer, environment.cluster),
    ):
        with pytest.raises(Refused):
            ask()
    assert verbs() == []


def test_pause_and_resume(environment, admin) -> None:
    cluster = environment.cluster
    row = Credential.objects.create(cluster=cluster, namespace="shop", secret_name="ecr-pull")
    later = timezone.now() + timedelta(hours=1)
    services.pause(admin, cluster, until=later)
    services.pause(admin, cluster, until=later)
    services.pause(admin, cluster, namespace="shop", until=later)
    row.refresh_from_db()
    assert PullPolicy.objects.get().is_paused
    assert row.paused_until == later
    services.resume(admin, cluster)
    services.resume(admin, cluster, namespace="shop")
    services.resume(admin, cluster, namespace="shop")
    assert not PullPolicy.objects.get().is_paused
    assert verbs() == ["pull_credential.paused"] * 2 + ["pull_credential.resumed"] * 2
    with pytest.raises(ValidationError):
        services.pause(admin, cluster, until=timezone.now())


def test_a_policy_is_stored_with_what_changed(environment, admin) -> None:
    cluster, registry = environment.cluster, make_registry(slug="eu")
    policy = services.save_policy(
        admin, cluster, edited=0, namespaces="selector", selector=" team=shop ", secret_name="pull",
        registries=[registry], service_accounts=["default", "default", " "],
    )  # fmt: skip
    assert (policy.edited, policy.selector, policy.service_accounts) == (1, "team=shop", ["default"])
    event = AuditEvent.objects.get()
    assert event.data["namespaces"] == {"before": "environments", "after": "selector"}
    assert event.data["registries"] == {"before": [], "after": ["eu"]}
    with pytest.raises(Stale):
        services.save_policy(admin, cluster, edited=0, namespaces="all")
    for bad in (
        {"namespaces": "selector"},
        {"namespaces": "some"},
        {"namespaces": "all", "secret_name": "No Name"},
    ):
        with pytest.raises(ValidationError):
            services.save_policy(admin, cluster, edited=1, **bad)


def test_who_sees_which(environment, deployer, admin) -> None:
    mine = Credential.objects.create(cluster=environment.cluster, namespace="shop", secret_name="ecr-pull")
    Credential.objects.create(cluster=environment.cluster, namespace="other", secret_name="ecr-pull")
    Credential.objects.create(cluster=make_cluster(), namespace="shop", secret_name="ecr-pull")
    assert list(queries.credentials_for(deployer.user)) == [mine]
    assert queries.credentials_for(admin.user).count() == 3
    assert queries.may_refresh(deployer.user, mine)
    assert not queries.credentials_for(make_user("nobody")).exists()


def test_the_tick_asks_for_one_look_per_cluster_and_minute(
    environment, monkeypatch, django_capture_on_commit_callbacks
) -> None:
    make_cluster()  # nothing to look after there
    calls = []
    monkeypatch.setattr(
        "core.jobs.push", lambda name, ids, queue, job_id, **_: calls.append((ids, queue, job_id)) or True
    )
    with django_capture_on_commit_callbacks(execute=True):
        jobs.look()
    [(ids, queue, job_id)] = calls
    assert (ids, queue) == ((environment.cluster.pk,), "registry")
    assert job_id.startswith(f"pull-look-{environment.cluster.pk}-")


def test_old_renewals_are_forgotten(environment) -> None:
    old = timezone.now() - timedelta(days=31)
    for state, at in (("succeeded", old), ("queued", old), ("failed", timezone.now())):
        Refresh.objects.create(cluster=environment.cluster, cause=Cause.DUE, state=state, asked_at=at)
    jobs.forget_old()
    assert sorted(Refresh.objects.values_list("state", flat=True)) == ["failed", "queued"]


def test_a_person_renews_at_once(place, clock) -> None:
    """Also what is fresh: an admin gets a new token everywhere, in spite of pauses after failures."""
    environment, actor = place.home(), person(make_user("ada", is_admin=True))
    place.look()
    clock.shift(timedelta(minutes=1))
    row = services.refresh(actor, place.cluster)
    jobs.refresh_asked(row.pk)
    row.refresh_from_db()
    assert (row.state, row.sentence) == ("succeeded", "1 Secret renewed.")
    assert place.password(environment) == place.world.last
    assert len(place.world.asked) == 2
    event = AuditEvent.objects.get(verb="pull_credential.renewed", actor_text="ada")
    assert event.data["namespaces"] == environment.namespace
    assert event.data["token"]
    one = services.refresh(actor, place.cluster, namespace=environment.namespace)
    jobs.refresh_asked(one.pk)
    one.refresh_from_db()
    assert (one.state, one.sentence) == ("succeeded", "1 Secret fresh already: nothing had to be written.")


def test_who_renews_one_namespace_has_its_token_tried(place, clock) -> None:
    """The token is that of all namespaces, so it is made anew only if the registry refuses it: one can die early."""
    environment, deployer = place.home(), person(make_user("dan"))
    grant(deployer.user, Role.DEPLOYER, environment.project)
    place.look()
    first = place.password(environment)

    def renewed() -> Refresh:
        clock.shift(timedelta(hours=1))
        row = services.refresh(deployer, place.cluster, namespace=environment.namespace)
        jobs.refresh_asked(row.pk)
        row.refresh_from_db()
        return row

    row = renewed()
    assert (row.state, place.password(environment)) == ("succeeded", first)
    assert place.row(environment).proven_at == timezone.now()
    place.world.silent.add(HOST)
    row = renewed()
    assert (row.state, place.password(environment)) == ("failed", first)
    assert "is not reachable" in row.sentence
    place.world.silent.clear()
    place.world.issued[first] = timezone.now()  # AWS does not know it any more
    row = renewed()
    assert (row.state, row.sentence) == ("succeeded", "1 Secret renewed.")
    assert place.password(environment) == place.world.last != first
    assert len(place.world.asked) == 2
    place.world.issued[place.world.last] = timezone.now()
    place.world.fails = Unavailable("ECR is not reachable.", system="ECR")
    last = place.password(environment)
    assert (renewed().state, place.password(environment)) == ("failed", last)


def test_an_admin_adopts_a_foreign_one(place, clock) -> None:
    environment, actor = place.home(), person(make_user("ada", is_admin=True))
    place.put(environment, type="Opaque", data={"x": "eA=="})
    place.look()
    row = services.adopt(actor, place.row(environment))
    running.carry_out(row.pk)
    row.refresh_from_db()
    assert (row.state, row.cause) == ("succeeded", Cause.ADOPTED)
    assert place.pulls(environment)
    assert place.row(environment).state == State.VALID
    assert {"pull_credential.adopted", "pull_credential.renewed"} <= set(verbs())
