"""Archiving, restoring and removing: who may, what stands against it, what is told, and what stays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, models
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from audit.actors import SYSTEM_ACTOR, person
from audit.models import AuditEvent
from builds.models import BuildSettings
from core import leaving as core
from core.errors import Refused
from people import leaving as accounts
from people.models import User
from projects import infrastructure, memberships, services
from projects.leaving import uses
from projects.leaving.services import archive, remove, restore
from projects.leaving.things import Thing, kind_of
from projects.models import Cluster, Environment, Image, Project, SecretsFile
from registry.models import Credential, PullPolicy
from runs.models import State
from secrets_ui.models import ChangeRequest, Draft, Secret, SecretAddress, SecretVersion
from tests import factories as make
from tests.projects.conftest import World

KINDS = ("project", "environment", "image", "cluster", "registry")
MAINTAINERS = ("environment", "image")


def thing_of(world: World, kind: str) -> Thing:
    """The thing of that kind, with nothing in its way."""
    thing: Thing = getattr(world, kind)
    if kind in ("cluster", "registry"):
        Environment.objects.update(archived_at=timezone.now())
        Image.objects.update(archived_at=timezone.now())
    return thing


def is_archived(thing: Thing) -> bool:
    return type(thing).objects.get(pk=thing.pk).archived_at is not None


def verbs(kind: str) -> list[str]:
    return list(AuditEvent.objects.filter(target_kind=kind).order_by("id").values_list("verb", flat=True))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_archived_and_restored_once(world: World, kind: str) -> None:
    thing, actor = thing_of(world, kind), person(world.admin)
    for _ in range(2):
        archive(actor, thing=thing)
    row = type(thing).objects.get(pk=thing.pk)
    assert row.archived_at is not None
    assert row.archived_by == "ada"
    Cluster.objects.exclude(pk=world.cluster.pk).update(archived_at=None)
    for _ in range(2):
        restore(actor, thing=thing)
    assert not is_archived(thing)
    assert verbs(kind) == [f"{kind}.archived", f"{kind}.restored"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "who", ["maintainer", "deployer", "viewer", "staging_maintainer", "auditor", "stranger"]
)
def test_who_may(world: World, kind: str, who: str) -> None:
    thing, actor = thing_of(world, kind), person(getattr(world, who))
    may = who == "maintainer" and kind in MAINTAINERS
    for act in (archive, restore):
        if may:
            act(actor, thing=thing)
            continue
        with pytest.raises(Refused) as caught:
            act(actor, thing=thing)
        assert caught.value.code == "role"
    assert bool(verbs(kind)) == may


@pytest.mark.parametrize("by", ["admin", "the portal"])
def test_nothing_is_changed_in_what_is_archived(world: World, by: str) -> None:
    """Not even by the portal itself."""
    archive(person(world.admin), thing=world.project)
    world.project.refresh_from_db()
    environment = Environment.objects.select_related("project").get(pk=world.environment.pk)
    image = Image.objects.select_related("project").get(pk=world.image.pk)
    file = SecretsFile.objects.select_related("environment__project").get(pk=world.secrets_file.pk)
    row: dict[str, Any] = {"registry": world.registry, "repository": "a/b"}
    place: dict[str, Any] = {"cluster": world.cluster, "namespace": "x", "config_directory": "k"}
    actor = person(world.admin) if by == "admin" else SYSTEM_ACTOR
    attempts = [
        lambda: services.create_environment(actor, project=world.project, slug="x", **place),
        lambda: services.change_environment(actor, environment=environment, edited=0, namespace="y"),
        lambda: services.move_environment(actor, environment=environment),
        lambda: services.create_image(actor, project=world.project, name="x", **row),
        lambda: services.change_image(actor, image=image, edited=0, dockerfile="D", context=".", **row),
        lambda: services.create_secrets_file(actor, environment=environment, path="x.yaml", secret_id="x"),
        lambda: services.remove_secrets_file(actor, secrets_file=file),
        lambda: memberships.grant(actor, user=world.stranger, project=world.project, role="viewer"),
    ]
    for attempt in attempts:
        with pytest.raises(Refused) as caught:
            attempt()
        assert caught.value.code == "archived"


def test_an_archived_environment_or_cluster_is_not_changed_while_the_rest_is_current(world: World) -> None:
    actor = person(world.admin)
    archive(actor, thing=world.environment)
    archive(actor, thing=world.cluster)
    row = Environment.objects.select_related("project").get(pk=world.environment.pk)
    place: dict[str, Any] = {"cluster": world.cluster, "namespace": "x", "config_directory": "k"}
    attempts = [
        lambda: services.change_environment(actor, environment=row, edited=1, namespace="y"),
        lambda: memberships.grant(
            actor, user=world.stranger, project=world.project, role="viewer", environment=row
        ),
        lambda: services.create_environment(actor, project=world.project, slug="x", **place),
        lambda: infrastructure.change_cluster(actor, cluster=world.cluster, edited=1, name="New"),
    ]
    for attempt in attempts:
        with pytest.raises(Refused) as caught:
            attempt()
        assert caught.value.code == "archived"


def opened(world: World, what: str) -> tuple[Thing, str]:
    """Opens something, and returns what it keeps from being archived, with the words of the reason."""
    environment, project = world.environment, world.project
    if what == "deploy":
        return (
            environment,
            f"Deploy #{make.make_deploy(environment, State.QUEUED).number} to Staging has not ended.",
        )
    if what == "deploy of its environment":
        return (
            project,
            f"Deploy #{make.make_deploy(environment, State.RUNNING).number} to Staging has not ended.",
        )
    if what == "build":
        return project, f"Build #{make.make_build(project, State.QUEUED).number} has not ended."
    if what == "build of an image":
        return world.image, f"Build #{make.make_build(project, State.RUNNING).number} has not ended."
    if what == "pushes":
        BuildSettings.objects.create(project=project, on_push=True)
        return project, "Pushes are built by themselves."
    if what == "rule":
        Environment.objects.update(policies={"auto_deploy": "main"})
        return Environment.objects.get(), "Green builds of main are deployed to Staging by themselves."
    if what == "cluster in use":
        return world.cluster, "Shop Staging is on it."
    if what == "registry in use":
        return world.registry, "The image web of Shop is in it."
    return of_secrets(world, what)


def of_secrets(world: World, what: str) -> tuple[Thing, str]:
    secret = Secret.objects.create(arn="arn:1", region="eu-west-2", name="x")
    file = world.secrets_file
    SecretAddress.objects.create(region=file.region, role_arn="", named=file.secret_id, secret=secret)
    if what == "draft":
        ends = timezone.now() + timedelta(minutes=5)
        Draft.objects.create(user=world.deployer, secret=secret, edits="[]", ends_at=ends)
        return world.project, "dev has unsaved changes of the secrets file secret.yaml of Staging."
    waiting = what == "request"
    version = SecretVersion.objects.create(
        secret=secret, version_id="v", environment=world.environment,
        state=SecretVersion.State.WAITING if waiting else SecretVersion.State.OPEN,
    )  # fmt: skip
    if waiting:
        ChangeRequest.objects.create(version=version, secret=secret, environment=world.environment, slot=1)
        return world.environment, "A change of secrets of Staging waits for approval."
    return world.environment, "Secrets of Staging are being saved."


OPEN = (
    "deploy", "deploy of its environment", "build", "build of an image", "pushes", "rule", "cluster in use",
    "registry in use", "draft", "request", "save",
)  # fmt: skip


@pytest.mark.parametrize("what", OPEN)
def test_what_is_open_stands_against_archiving_and_is_told_with_a_link(
    world: World, sign_in: Any, what: str
) -> None:
    thing, words = opened(world, what)
    with pytest.raises(Refused) as caught:
        archive(person(world.admin), thing=thing)
    assert caught.value.code == "in-use"
    assert words in caught.value.message
    assert not is_archived(thing)
    answer = sign_in(world.admin).get(page_of(thing))
    text = answer.content.decode()
    assert f">{words}</a>" in text
    assert 'value="archive"' not in text


def page_of(thing: Thing) -> str:
    kind = kind_of(thing)
    if isinstance(thing, Environment | Image):
        part = thing.slug if isinstance(thing, Environment) else thing.name
        return reverse(f"projects:{kind}-archive", args=[thing.project.slug, part])
    return reverse(f"projects:{kind}-archive", args=[thing.slug])


def test_what_is_needed_is_restored_first(world: World) -> None:
    actor = person(world.admin)
    archive(actor, thing=world.project)
    archive(actor, thing=world.cluster)
    archive(actor, thing=world.registry)
    for thing, words in (
        (world.project, "The cluster London is archived"),
        (world.project, "The registry ECR is archived"),
    ):
        with pytest.raises(Refused) as caught:
            restore(actor, thing=thing)
        assert words in caught.value.message
    restore(actor, thing=world.cluster)
    restore(actor, thing=world.registry)
    restore(actor, thing=world.project)
    archive(actor, thing=world.environment)
    archive(actor, thing=world.project)
    with pytest.raises(Refused, match="The project Shop is archived"):
        restore(actor, thing=world.environment)


def test_the_short_name_of_something_archived_stays_taken(world: World, sign_in: Any) -> None:
    """So that a restored row meets no other one of its name."""
    archive(person(world.admin), thing=world.environment)
    client = sign_in(world.maintainer)
    sent = {"slug": "staging", "cluster": world.cluster.pk, "namespace": "n", "config_directory": "k", "deploy_timeout": 60,
            "placeholders": "usual", "variables-TOTAL_FORMS": 0, "variables-INITIAL_FORMS": 0}  # fmt: skip
    answer = client.post(reverse("projects:environment-new", args=["shop"]), sent)
    assert answer.status_code == 422
    assert "There is an environment “staging” that is archived" in answer.content.decode()
    restore(person(world.maintainer), thing=world.environment)
    assert not is_archived(world.environment)


class TestRemoving:
    def test_only_what_is_archived(self, world: World) -> None:
        with pytest.raises(Refused) as caught:
            remove(person(world.admin), thing=world.image)
        assert (caught.value.code, caught.value.hint) == ("in-use", "Archive it first.")

    @pytest.mark.parametrize("kind", KINDS)
    def test_nothing_refers_to_it(self, world: World, kind: str) -> None:
        thing, actor = thing_of(world, kind), person(world.admin)
        if kind in ("cluster", "registry"):
            Project.objects.all().delete()
        archive(actor, thing=thing)
        remove(actor, thing=thing)
        assert not type(thing).objects.filter(pk=thing.pk).exists()
        event = AuditEvent.objects.get(verb=f"{kind}.removed")
        assert event.target_id == str(thing.pk)
        assert "kubeconfig-token" not in str(event.data)

    @pytest.mark.parametrize(
        ("kind", "words"),
        [
            ("environment", "1 deploy refers to it."), ("project", "2 builds refer to it."),
            ("project", "1 deploy refers to it."),
            ("image", "2 built images refer to it."), ("cluster", "1 environment refers to it."),
            ("registry", "1 image refers to it."), ("environment", "1 change request refers to it."),
        ],
    )  # fmt: skip
    def test_what_refers_to_it_is_told_in_words(
        self, world: World, sign_in: Any, kind: str, words: str
    ) -> None:
        of_secrets(world, "request")
        SecretVersion.objects.update(state=SecretVersion.State.STORED)
        ChangeRequest.objects.update(state=ChangeRequest.State.APPROVED)
        make.make_deploy(world.environment)
        for _ in range(2):
            make.make_build(world.project)
        thing, actor = thing_of(world, kind), person(world.admin)
        archive(actor, thing=thing)
        with pytest.raises(Refused) as caught:
            remove(actor, thing=thing)
        assert words in f"{caught.value.message} {caught.value.hint}"
        assert "It can stay archived" in caught.value.hint
        assert type(thing).objects.filter(pk=thing.pk).exists()
        page = sign_in(world.admin).get(page_of(thing)).content.decode()
        assert words in page
        assert 'value="remove"' not in page

    def test_every_foreign_key_to_history_protects_it(self) -> None:
        """Whatever the check above overlooks: the history of a row is never deleted with it."""
        history = {"Deploy", "Release", "Build", "Decision", "ChangeRequest", "CreationRequest"}
        found = set()
        for model in (Project, Environment):
            for field in model._meta.get_fields(include_hidden=True):
                is_reverse = field.auto_created and not field.concrete and field.one_to_many
                if is_reverse and field.related_model.__name__ in history:
                    found.add(field.related_model.__name__)
                    assert field.on_delete is models.PROTECT, field
        assert found == history

    def test_every_kind_of_row_has_words(self) -> None:
        for model in apps.get_models():
            assert core._counted(model, 1).startswith("1 ")
        assert core._counted(apps.get_model("builds", "Delivery"), 2) == "2 deliveries refer to it."
        assert core._counted(apps.get_model("registry", "Refresh"), 2) == "2 refreshes refer to it."

    def test_the_name_is_typed(self, world: World, sign_in: Any) -> None:
        client = sign_in(world.maintainer)
        archive(person(world.maintainer), thing=world.environment)
        address = page_of(world.environment)
        wrong = client.post(address, {"do": "remove", "confirm": "staging"})
        assert wrong.status_code == 422
        assert "Type Shop Staging." in wrong.content.decode()
        assert Environment.objects.exists()
        right = client.post(address, {"do": "remove", "confirm": " Shop Staging "}, follow=True)
        assert "Shop Staging is removed." in right.content.decode()
        assert not Environment.objects.exists()
        assert client.get(address).status_code == 404

    def test_a_removed_short_name_is_free_again(self, world: World) -> None:
        """Nothing of the history showed it: who has a deploy or a build cannot be removed."""
        actor = person(world.admin)
        archive(actor, thing=world.project)
        remove(actor, thing=world.project)
        made = services.create_project(
            actor, slug="shop", name="Shop", repository_url="https://git.example/s.git"
        )
        assert made.pk != world.project.pk


def test_what_stays_outside_is_told_with_commands(world: World, sign_in: Any) -> None:
    release = make.make_release(world.environment)
    make.make_deploy(world.environment, release=release)
    Credential.objects.create(cluster=world.cluster, namespace="shop", secret_name="ecr-pull")
    page = sign_in(world.admin).get(page_of(world.environment)).content.decode()
    assert "ConfigMap/shop/c" in page
    assert "kubectl delete configmap -n shop -l slipway.dev/environment=shop.staging" in page
    assert "shop on London" in page
    assert "ecr-pull in shop on London" in page
    assert "ends by itself within 12 hours" in page
    assert f"{world.secrets_file.secret_id} (eu-west-2)" in page
    assert world.image.reference in sign_in(world.admin).get(page_of(world.project)).content.decode()


def test_a_registry_that_a_clusters_policy_names_is_in_use(world: World) -> None:
    Image.objects.update(archived_at=timezone.now())
    policy = PullPolicy.objects.create(cluster=world.cluster)
    policy.registries.add(world.registry)
    with pytest.raises(Refused, match="The pull secrets of London open it"):
        archive(person(world.admin), thing=world.registry)


class TestPages:
    def test_a_project_from_its_settings_to_the_list_and_back(self, world: World, sign_in: Any) -> None:
        client = sign_in(world.admin)
        settings = client.get(reverse("projects:settings", args=["shop"])).content.decode()
        assert page_of(world.project) in settings
        done = client.post(page_of(world.project), {"do": "archive"}, follow=True).content.decode()
        assert "Shop is archived. It can be restored at any time." in done
        assert "1 archived" in done
        assert client.get(reverse("projects:settings", args=["shop"])).status_code == 409
        listed = client.get(reverse("projects:archived")).content.decode()
        assert page_of(world.project) in listed
        shown = client.get("/projects/shop/").content.decode()
        assert "This project is archived" in shown
        assert page_of(world.project) in shown
        assert client.post(page_of(world.project), {"do": "restore"}).status_code == 302
        assert client.get(reverse("projects:settings", args=["shop"])).status_code == 200

    @pytest.mark.parametrize("who", ["viewer", "deployer", "maintainer"])
    def test_people_of_the_project_read_it_and_are_offered_nothing(
        self, world: World, sign_in: Any, who: str
    ) -> None:
        make.make_deploy(world.environment)
        archive(person(world.admin), thing=world.environment)
        client = sign_in(getattr(world, who))
        page = client.get("/projects/shop/staging/").content.decode()
        assert "This environment is archived" in page
        assert (page_of(world.environment) in page) == (who == "maintainer")
        assert "/deploy/" not in page
        refused = client.get("/projects/shop/staging/deploy/")
        assert refused.status_code == (403 if who == "viewer" else 409)
        assert "archived" in client.get("/deploys/").content.decode()
        listed = client.get(f"{reverse('projects:archived')}?project=shop").content.decode()
        assert "Shop Staging" in listed

    def test_a_stranger_sees_nothing_of_it(self, world: World, sign_in: Any) -> None:
        for thing in (world.environment, world.image):
            archive(person(world.admin), thing=thing)
        client = sign_in(world.stranger)
        assert "Staging" not in client.get(reverse("projects:archived")).content.decode()
        assert client.get(page_of(world.environment)).status_code == 404

    def test_the_list_has_a_constant_number_of_queries(self, world: World, sign_in: Any) -> None:
        client = sign_in(world.admin)
        for thing in (world.environment, world.image, world.cluster, world.registry):
            archive(person(world.admin), thing=thing)
        before = counted(client)
        for n in range(5):
            other = make.make_project(archived_at=timezone.now())
            make.make_environment(world.project, slug=f"e{n}", archived_at=timezone.now())
            make.make_image(world.project, name=f"i{n}", archived_at=timezone.now())
            make.make_environment(other)
        assert counted(client) == before


def counted(client: Any) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(reverse("projects:archived")).status_code == 200
    return len(queries)


class TestPeople:
    def test_an_account_is_archived_restored_and_removed(self, world: World, sign_in: Any) -> None:
        actor, address = person(world.admin), reverse("people:person-archive", args=[world.viewer.pk])
        client = sign_in(world.admin)
        assert client.post(address, {"do": "remove", "confirm": "vic"}).status_code == 422
        client.post(address, {"do": "archive"})
        accounts.archive(actor, user=world.viewer)
        assert not User.objects.get(pk=world.viewer.pk).is_active
        assert ">vic<" not in client.get(reverse("people:people")).content.decode()
        assert address in client.get(reverse("projects:archived")).content.decode()
        client.post(address, {"do": "restore"})
        accounts.restore(actor, user=world.viewer)
        assert User.objects.get(pk=world.viewer.pk).is_active
        assert world.viewer.memberships.count() == 1
        client.post(address, {"do": "archive"})
        client.post(address, {"do": "remove", "confirm": "vic"})
        assert not User.objects.filter(username="vic").exists()
        own = [verb for verb in verbs("user") if verb.startswith("user.")]
        assert own == [
            "user.archived",
            "user.restored",
            "user.archived",
            "user.removed",
        ]

    def test_who_did_something_stays(self, world: World) -> None:
        actor = person(world.admin)
        make.make_deploy(world.environment, actor_id=str(world.deployer.pk))
        make.make_build(world.project, actor_id=str(world.deployer.pk))
        accounts.archive(actor, user=world.deployer)
        with pytest.raises(Refused) as caught:
            accounts.remove(actor, user=world.deployer)
        assert (
            "1 build of theirs is in the history. 1 deploy of theirs is in the history."
            in caught.value.message
        )

    def test_the_name_of_a_removed_account_is_not_given_again(self, world: World, sign_in: Any) -> None:
        actor = person(world.admin)
        accounts.archive(actor, user=world.viewer)
        accounts.remove(actor, user=world.viewer)
        sent = {"username": "Vic", "password": "a long enough password", "name": "", "email": ""}
        answer = sign_in(world.admin).post(reverse("people:person-new"), sent)
        assert answer.status_code == 422
        assert "was the name of an account that was removed" in answer.content.decode()

    def test_others_than_admins_may_not(self, world: World) -> None:
        for act in (accounts.archive, accounts.restore, accounts.remove):
            with pytest.raises(Refused) as caught:
                act(person(world.maintainer), user=world.viewer)
            assert caught.value.code == "role"


def test_secrets_that_stay_take_as_many_queries_for_many_environments(world: World) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as made:
            list(uses.left_outside(Project.objects.get(pk=world.project.pk)))
        return len(made)

    few = queries()
    for _ in range(4):
        make.make_secrets_file(make.make_environment(world.project))
    assert queries() == few
