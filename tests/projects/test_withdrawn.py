"""What is no longer allotted to a project is not read, written or shown for it, wherever it is used; pages say what it was.

An admin gives it to another project by a closer allotment: the settings that name it stay as they are.
"""

from __future__ import annotations

from typing import Any, NoReturn

import pytest
from django.test import Client

from adapters.aws.secrets_manager import SecretsManager
from adapters.aws.secrets_writer import SecretsWriter
from audit.actors import person
from clusters import jobs as live
from clusters import services as live_services
from clusters.models import LiveState
from core.errors import Refused
from core.redactor import redacting
from people.models import User
from projects.allotting import services as allotting
from projects.allotting.using import NotAllotted
from projects.connections import git_repository
from projects.models import Allotment, Environment, Project
from projects.secret_files import current_versions, fetch_secrets
from registry import images
from registry.policies import environments_of
from secrets_ui.comparing.columns import columns_of
from secrets_ui.editing.revealing import reveal
from secrets_ui.editing.saving import save
from secrets_ui.known.looking import look
from secrets_ui.known.reading import learn
from secrets_ui.models import Secret, SecretAddress
from tests import factories as make

pytestmark = pytest.mark.django_db
Kind = Allotment.Kind
WORDS = "is not allotted to Shop any more"


@pytest.fixture
def environment() -> Environment:
    """Everything of Shop that can be withdrawn, covered by patterns."""
    project = make.make_project(
        slug="shop", name="Shop", repository_url="https://git.example/shop.git", credential_kind="token"
    )
    cluster = make.make_cluster()
    found = make.make_environment(
        project, slug="staging", namespace="shop-a", cluster=cluster, pull_secret="pull"
    )
    make.make_secrets_file(found, path="secret.yaml", secret_id="shop/a")
    image = make.make_image(project, name="web", repository="shop/web")
    Allotment.objects.all().delete()
    patterns: list[tuple[str, str, dict[str, Any]]] = [
        (Kind.NAMESPACE, "shop-*", {"cluster": cluster}), (Kind.SECRET, "shop/*", {}),
        (Kind.REPOSITORY, "shop/*", {"registry": image.registry}), (Kind.GIT, "https://git.example/*", {}),
    ]  # fmt: skip
    for kind, pattern, where in patterns:
        Allotment.objects.create(project=project, kind=kind, pattern=pattern, **where)
    return found


@pytest.fixture
def given_away(environment: Environment) -> None:
    """Another project gets the very names."""
    other = make.make_project(slug="other", name="Other")
    image = environment.project.images.get()
    for kind, name, where in [
        (Kind.NAMESPACE, "shop-a", {"cluster": environment.cluster}), (Kind.SECRET, "shop/a", {}),
        (Kind.REPOSITORY, "shop/web", {"registry": image.registry}),
        (Kind.GIT, "https://git.example/shop.git", {}),
    ]:  # fmt: skip
        Allotment.objects.create(project=other, kind=kind, pattern=name, **where)


@pytest.fixture
def admin() -> User:
    return make.make_user("mira", is_admin=True)


@pytest.fixture
def nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("the outside was asked")

    for owner, names in (
        (SecretsManager, ("get", "current_version")),
        (SecretsWriter, ("get", "describe", "put")),
    ):
        for name in names:
            monkeypatch.setattr(owner, name, asked)
    monkeypatch.setattr(images, "ecr_images", asked)
    monkeypatch.setattr(live_services, "read_all", asked)


def seen(environment: Environment) -> Secret:
    """The file's secret, as it was known while it was allotted."""
    file = environment.secrets_files.get()
    secret = Secret.objects.create(arn="arn:shop/a", region=file.region, name="shop/a", current_version="v-1")
    SecretAddress.objects.create(
        region=file.region, role_arn=file.role_arn, named=file.secret_id, secret=secret
    )
    return secret


def test_a_credential_is_not_sent(environment: Environment, given_away: None) -> None:
    with pytest.raises(NotAllotted, match=WORDS):
        git_repository(environment.project)


def test_a_public_repository_needs_no_allotment(environment: Environment, given_away: None) -> None:
    Project.objects.update(credential_kind="")
    assert git_repository(Project.objects.get(slug="shop"))


@pytest.mark.usefixtures("given_away", "nobody_is_asked")
class TestSecrets:
    def test_are_not_fetched(self, environment: Environment) -> None:
        with redacting(), pytest.raises(NotAllotted, match=f"The AWS secret shop/a {WORDS}"):
            fetch_secrets(environment, references={})

    def test_have_no_current_version(self, environment: Environment) -> None:
        assert current_versions(environment) == {}

    def test_are_not_looked_at(self, environment: Environment) -> None:
        seen(environment)
        (found,) = look(list(environment.secrets_files.select_related("environment__project"))).values()
        assert found.secret is None
        assert WORDS in found.error
        assert not found.missing  # so that nobody is offered to make it

    def test_are_not_learned_by_jobs(self, environment: Environment) -> None:
        seen(environment)
        with redacting():
            assert not learn(environment.secrets_files.get(), "v-1")

    @pytest.mark.parametrize("does", ["reveal", "save"])
    def test_are_neither_revealed_nor_saved(self, environment: Environment, admin: User, does: str) -> None:
        seen(environment)
        file = environment.secrets_files.get()
        with redacting(), pytest.raises(NotAllotted, match=WORDS):
            if does == "reveal":
                reveal(person(admin), file, ("app", "TOKEN"))
            else:
                save(person(admin), file, token="t", comment="")

    def test_are_no_column_of_the_comparison(self, environment: Environment, admin: User) -> None:
        seen(environment)
        ((column,),) = columns_of(admin, environment.project).values()
        assert (column.secret, column.keys, column.compares) == (None, None, False)
        assert WORDS in column.problem

    def test_their_pages_say_what_was_withdrawn(
        self, environment: Environment, admin: User, client: Client
    ) -> None:
        seen(environment)
        client.force_login(admin)
        page = client.get("/projects/shop/staging/secrets/").content.decode()
        assert f"The AWS secret shop/a {WORDS}" in page
        assert "Ask an admin" in page
        file = environment.secrets_files.get()
        for name in ("versions", "import", "download"):
            answer = client.get(f"/projects/shop/staging/secrets/{file.pk}/{name}/")
            assert answer.status_code == 403
            assert f"The AWS secret shop/a {WORDS}" in answer.content.decode()


@pytest.mark.usefixtures("given_away", "nobody_is_asked")
def test_images_are_not_listed_not_even_kept_ones(environment: Environment) -> None:
    known = images.known_images(environment.project.images.get())
    assert known.listing is None
    assert "The repository shop/web of" in known.error
    assert WORDS in known.error


def test_a_pull_secret_is_not_written(environment: Environment, request: pytest.FixtureRequest) -> None:
    assert environments_of(environment.cluster) == [environment]
    request.getfixturevalue("given_away")
    assert environments_of(environment.cluster) == []


@pytest.mark.parametrize("job", ["refresh_live", "refresh_cluster"])
def test_what_runs_there_is_forgotten(
    environment: Environment, given_away: None, nobody_is_asked: None, job: str
) -> None:
    LiveState.objects.create(
        environment=environment, health="healthy", sentence="web runs", workloads=[{"name": "web"}]
    )
    getattr(live, job)(environment.pk if job == "refresh_live" else environment.cluster_id)
    row = LiveState.objects.get()
    assert (row.health, row.sentence, row.workloads, row.read_at) == ("unknown", "", [], None)
    assert WORDS in row.error
    assert row.tried_at is not None  # so that the next tick leaves it alone


def test_what_only_one_allotment_covers_is_not_withdrawn_by_mistake(
    environment: Environment, admin: User
) -> None:
    """With the exact name gone, another project's closer pattern would take the namespace."""
    project, cluster = environment.project, environment.cluster
    exact = Allotment.objects.create(project=project, kind=Kind.NAMESPACE, pattern="shop-a", cluster=cluster)
    other = make.make_project(slug="other")
    Allotment.objects.create(project=other, kind=Kind.NAMESPACE, pattern="shop-a*", cluster=cluster)
    with pytest.raises(Refused, match="still used by the environment"):
        allotting.withdraw(person(admin), allotment=exact)
