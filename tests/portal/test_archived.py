"""What is archived shows on no page but those of history, and no tick or job acts on it: every page and every tick is walked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from builds import concerned, deciding, missed
from builds.models import BuildSettings, Delivery
from clusters import jobs as live
from clusters.models import LiveState, Trouble
from core.errors import Refused
from deployments import branches
from deployments.gate import aftermath, automatic
from deployments.management.commands import deploy as command
from deployments.models import BranchState
from notify.models import Outgoing
from people.models import User
from portal.ticks import TICKS
from projects import mirrors
from projects.models import Cluster, Environment, Image, Project, Registry, Role
from registry import jobs as renewals
from registry import places, running
from registry.models import Credential, Namespaces, PullPolicy, Watch
from registry.policies import environments_of, registries_of
from registry.reconcile import Ask
from runs.models import State
from secrets_ui.models import Secret, SecretAddress
from tests import factories as make
from tests.access.table import TABLE

MARK = "zzgone"  # in each name of what is archived
FIRST = 900_000  # the primary keys of what is archived begin here
# Pages that tell what was: their rows stay, with a tag. And the list of what is archived.
HISTORY = {
    "projects:archived", "deployments:history", "deployments:export", "builds:list", "audit:list", "audit:export",
    "pushes:deliveries", "projects:allotments", "secrets:requests",
}  # fmt: skip


@pytest.fixture
def ada(db: None) -> User:
    return make.make_user("ada", is_admin=True)


def equip(project: Project, word: str, pk: int, cluster: Cluster, registry: Registry) -> Environment:
    """One of everything that lists and ticks look for, in trouble where that makes them look."""
    now = timezone.now()
    since = (now - timedelta(hours=1)).isoformat()
    environment = make.make_environment(
        project, pk=pk, slug=f"{word}-env", name=f"{word} env", cluster=cluster, namespace=f"{word}-ns",
        pull_secret=f"{word}-pull", policies={"auto_deploy": "main", "auto_deploy_since": since},
        slack_channel=f"#{word}",
    )  # fmt: skip
    make.make_image(project, pk=pk, name=f"{word}-image", registry=registry)
    file = make.make_secrets_file(environment, pk=pk, path=f"{word}.yaml", secret_id=f"{word}/secret")
    secret = Secret.objects.create(arn=f"arn:{word}", region="eu-west-2", name=f"{word}/secret")
    SecretAddress.objects.create(region=file.region, role_arn="", named=file.secret_id, secret=secret)
    LiveState.objects.create(environment=environment, health="failing", read_at=now - timedelta(hours=1))
    Trouble.objects.create(
        environment=environment, ref=f"Deployment.apps/x/{word}", name=word, sentence="It fails.",
        began_at=now - timedelta(hours=2), seen_at=now,
    )  # fmt: skip
    sha = f"{word[:1].encode().hex():0<40}"
    make.make_deploy(environment, State.FAILED, subject=f"{word} change")
    make.make_build(project, images=[f"{word}-image"], revision=sha, ended_at=now - timedelta(minutes=5))
    BuildSettings.objects.create(project=project, on_push=True)
    BranchState.objects.create(
        project=project, branch="main", head=sha, commits=[[sha, f"{word} commit", "Ana", now.isoformat()]],
        tried_at=now - timedelta(hours=1),
    )  # fmt: skip
    Credential.objects.create(
        cluster=cluster,
        namespace=f"{word}-ns",
        secret_name=f"{word}-pull",
        expires_at=now + timedelta(minutes=5),
    )
    return environment


@pytest.fixture
def shop(ada: User) -> Environment:
    """What is current, so that each page and tick has something to show and to do."""
    project = make.make_project(slug="shop", name="Shop", group="shops")
    cluster = make.make_cluster(slug="lon1", last_error="It is away.")
    registry = make.make_registry(slug="ecr", endpoint="https://ecr.example")
    return equip(project, "shop", FIRST - 1000, cluster, registry)


@pytest.fixture
def gone(shop: Environment) -> Environment:
    """The same, everything of it archived: project, cluster and registry. And an archived environment and image of the shop."""
    project = make.make_project(
        pk=FIRST, slug=MARK, name=f"{MARK} project", group=f"{MARK} group",
        repository_url=f"https://{MARK}.example/{MARK}.git",
    )  # fmt: skip
    cluster = make.make_cluster(
        pk=FIRST, slug=f"{MARK}-c", name=f"{MARK} c", last_error=f"{MARK} is away.", notice=MARK
    )
    registry = make.make_registry(
        pk=FIRST,
        slug=f"{MARK}-r",
        name=f"{MARK} r",
        endpoint=f"https://{MARK}.ecr.example",
        region="eu-central-1",
    )
    Watch.objects.create(cluster=cluster, failing_since=timezone.now(), last_error=f"{MARK} is away.")
    environment = equip(project, MARK, FIRST, cluster, registry)
    make.make_environment(
        shop.project, pk=FIRST + 1, slug=f"{MARK}-2", name=f"{MARK} 2", cluster=shop.cluster, pull_secret="x",
        namespace=f"{MARK}-2",
    )  # fmt: skip
    make.make_secrets_file(Environment.objects.get(pk=FIRST + 1), pk=FIRST + 1, secret_id=f"{MARK}/2")
    make.grant(make.make_user("vera"), Role.VIEWER, project)
    make.make_image(shop.project, pk=FIRST + 1, name=f"{MARK}-3", registry=shop.project.images.get().registry)
    return environment


def archive_all() -> None:
    for model in (Project, Cluster, Registry):
        model.objects.filter(pk__gte=FIRST).update(archived_at=timezone.now(), archived_by="ada")
    for part in (Environment, Image):
        part.objects.filter(pk=FIRST + 1).update(archived_at=timezone.now(), archived_by="ada")


def pages() -> Iterator[tuple[str, str]]:
    """Every page without a number in its address that is not history; the table of access knows them."""
    for name, address, getting, _ in TABLE:
        answers = getting.split()
        if (
            name in HISTORY
            or "{" in address
            or answers[5] != "200"
            or name.startswith(("account_", "mfa_", "raw_"))
        ):
            continue
        if "/production/" in address or "web" in address:
            continue
        yield name, address.replace("/staging/", "/shop-env/")


def test_no_page_but_history_shows_it(
    ada: User, gone: Environment, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.METRICS_TOKEN = "a-token-for-this-test"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    client = Client()
    client.force_login(ada)
    bearer = {"HTTP_AUTHORIZATION": "Bearer a-token-for-this-test"}
    addresses = dict(pages()) | {
        "search": "/search/?q=gone-env", "metrics": "/metrics", "search of a commit": "/search/?q=gone commit",
        "board behind": "/?show=behind", "board in trouble": "/?show=trouble", "board mine": "/?show=mine",
        "roles of a person": f"/admin/people/{User.objects.get(username='vera').pk}/",
    }  # fmt: skip
    assert len(addresses) > 40
    shown = {name for name, address in addresses.items() if MARK in text_of(client.get(address, **bearer))}
    # Each kind of page shows it while it is current: else this test would find nothing.
    assert shown >= {
        "portal:board", "portal:project", "search", "metrics", "status", "projects:clusters", "projects:registries",
        "projects:environments", "projects:images", "projects:allotment-new", "secrets:overview", "registry:overview",
        "builds:images", "builds:new", "projects:image-new", "projects:environment-new", "projects:members",
        "projects:secrets-files", "search of a commit", "board in trouble", "secrets:compare",
        "roles of a person",
    }  # fmt: skip
    archive_all()
    still = {name for name, address in addresses.items() if MARK in text_of(client.get(address, **bearer))}
    assert still == set()
    tagged = client.get("/deploys/").content.decode()
    assert MARK in tagged
    assert "archived" in tagged


def text_of(answer: Any) -> str:
    return "" if answer.streaming else str(answer.content.decode())


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[Any, ...]]]:
    """What was enqueued, as name and ids."""
    found: list[tuple[str, tuple[Any, ...]]] = []
    monkeypatch.setattr(
        "core.jobs.push", lambda name, ids, queue, job_id, **_: found.append((name, ids)) or True
    )
    return found


def test_no_tick_asks_for_anything_of_it(
    gone: Environment,
    jobs: list[tuple[str, tuple[Any, ...]]],
    settings: Any,
    django_capture_on_commit_callbacks: Any,
) -> None:
    settings.SLACK_BOT_TOKEN = "xoxb-not-a-token"

    def asked() -> set[str]:
        jobs.clear()
        Outgoing.objects.all().delete()
        for tick in TICKS:
            with django_capture_on_commit_callbacks(execute=True):
                tick.run()
        own = {name for name, ids in jobs if any(isinstance(one, int) and one >= FIRST for one in ids)}
        named = {name for name, ids in jobs if any(MARK in str(one) for one in ids)}
        told = {row.kind for row in Outgoing.objects.all() if MARK in f"{row.recipient}{row.payload}"}
        return own | named | told

    before = asked()
    assert before >= {
        "clusters.jobs.refresh_cluster", "deployments.branches.refresh", "builds.missed.look_at", "projects.mirrors.tidy",
        "registry.jobs.look_at", "secrets_ui.jobs.look_at", "portal.status.asking.ask", "portal.status.asking.ask_cluster",
        "deployments.jobs.deploy_green",
    }  # fmt: skip
    assert Outgoing.Kind.SLACK_NOTE in before
    Trouble.objects.update(told_at=None)
    archive_all()
    assert asked() == set()


def test_a_job_that_was_enqueued_before_does_nothing(
    gone: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive_all()

    def outside(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("something archived was asked for outside")

    for place in (
        "clusters.jobs.refresh_environment", "clusters.jobs._refresh_due", "deployments.branches.newest_commits",
        "builds.missed.refs_of", "registry.running.look_at", "deployments.gate.automatic.ask", "projects.mirrors.repository_of",
    ):  # fmt: skip
        monkeypatch.setattr(place, outside)
    for pk in (FIRST, FIRST + 1):
        live.refresh_live(pk)
        automatic.decide(pk)
    live.refresh_cluster(FIRST)
    branches.refresh(FIRST)
    missed.look_at(FIRST)
    renewals.look_at(FIRST)
    mirrors.tidy(FIRST)
    aftermath.tell_troubles()
    assert not Outgoing.objects.filter(recipient__contains=MARK).exists()


def test_a_push_to_its_repository_leads_to_nothing(gone: Environment) -> None:
    def pushed(number: int) -> Delivery:
        return Delivery.objects.create(
            delivery_id=str(number), event="push", repository=MARK, ref="refs/heads/main",
            addresses=[f"https://{MARK}.example/{MARK}.git"], after="a" * 40,
        )  # fmt: skip

    assert concerned.named_by(pushed(1)) == [gone.project]
    archive_all()
    delivery = pushed(2)
    deciding.decide(delivery.pk)
    delivery.refresh_from_db()
    assert delivery.state == Delivery.State.DECIDED
    assert delivery.sentence == f"No project of the portal has the repository {MARK}, or it is archived."


def test_its_namespace_gets_no_credential_whatever_the_policy_says(
    gone: Environment, shop: Environment
) -> None:
    archive_all()
    assert [one.pk for one in environments_of(shop.cluster)] == [shop.pk]
    policy = PullPolicy.objects.create(cluster=shop.cluster, namespaces=Namespaces.ALL)
    assert FIRST not in {registry.pk for registry in registries_of(policy)}

    class Client:
        """A cluster with the namespaces of both environments."""

    homes = {
        name: places.Home(name, is_ending=False, is_off=False) for name in ("shop-ns", f"{MARK}-2", "other")
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "read_homes", lambda client, selector="": homes)
        planned = places.plan(Client(), policy)  # type: ignore[arg-type]
    assert {place.namespace for place in planned.places} == {"shop-ns", "other"}


def test_nobody_looks_at_the_credentials_of_an_archived_cluster(gone: Environment) -> None:
    """Also not the command line, nor a renewal that was asked for before."""
    archive_all()
    report = running.look_at(Cluster.objects.get(pk=FIRST), Ask())
    assert report.fault is running.ARCHIVED


def test_the_command_line_is_refused_in_words(gone: Environment) -> None:
    archive_all()
    options = {
        "project": MARK, "environment": f"{MARK}-env", "user": "", "reason": "", "override": "", "secrets_only": False,
        "revision": "main", "although_bad": False,
    }  # fmt: skip
    with pytest.raises(Refused) as caught:
        command.request(options)
    assert caught.value.code == "archived"
    assert f"The project {MARK} project is archived" in caught.value.message
