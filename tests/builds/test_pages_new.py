"""Building a revision by hand, how revisions stand where one chooses them, and builds on the pages of others."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.template import Context, Template
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from adapters.errors import Unavailable
from builds.models import Build, Recipe
from builds.pages import standing
from people.models import User
from projects import connections
from projects.models import Environment, Image, Project, Role
from runs.models import State
from tests.deployments.outside import FakeCluster, FakeEcr, FakeGit, FakeSecrets, Outside
from tests.factories import (
    grant,
    make_build,
    make_deploy,
    make_environment,
    make_image,
    make_project,
    make_user,
)

pytestmark = pytest.mark.django_db
A, B, C = "a" * 40, "b" * 40, "c" * 40


@pytest.fixture(autouse=True)
def pushed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What was handed to the queue."""
    calls: list[tuple[str, int]] = []
    monkeypatch.setattr("core.jobs.push", lambda func, ids, queue, job_id, **_: calls.append(ids) or True)
    cache.clear()
    return calls


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Outside:
    """A repository of three commits, and a registry that has the images of the newest."""
    world = Outside()
    world.tags = {C[:7]}
    monkeypatch.setattr(connections, "GitRepository", lambda *_, **__: FakeGit(world))
    monkeypatch.setattr(connections, "Ecr", lambda *_, **__: FakeEcr(world))
    monkeypatch.setattr(connections, "SecretsManager", lambda *_, **__: FakeSecrets(world))
    monkeypatch.setattr(connections.KubernetesClient, "from_kubeconfig", lambda *_, **__: FakeCluster(world))
    return world


@pytest.fixture
def image() -> Image:
    return make_image(make_project(slug="shop", name="The Shop"), name="web")


@pytest.fixture
def shop(image: Image) -> Project:
    return image.project


@pytest.fixture
def staging(shop: Project) -> Environment:
    return make_environment(shop, slug="staging")


@pytest.fixture
def dev(client: Client, shop: Project, outside: Outside) -> Client:
    """Signed in as a deployer of the project."""
    user = make_user("dev")
    grant(user, Role.DEPLOYER, shop)
    client.force_login(user)
    return client


def read(client: Client, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status
    return answer.content.decode()


def stands(page: str, sha: str) -> str:
    """What stands beside a revision in a list of them, without markup."""
    row = page[page.index(f'value="{sha}"') :]
    row = row[
        : row.find('<div class="pick-row">') if '<div class="pick-row">' in row else row.index("</fieldset>")
    ]
    found = re.search(r'<span class="pick-stands">(.*)', row, re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", found[1]).split()) if found else ""


class TestChoosing:
    def test_the_only_project_is_chosen_by_itself(self, dev: Client) -> None:
        page = read(dev, "/builds/new/")
        assert "Build a revision of The Shop" in page
        assert re.findall(r'value="(\w{40})"', page) == [C, B, A]
        assert (stands(page, C), stands(page, B)) == ("Ready", "No image")

    def test_of_several_the_person_chooses(self, dev: Client) -> None:
        grant(User.objects.get(username="dev"), Role.MAINTAINER, make_project(slug="zoo", name="The Zoo"))
        make_project(slug="secret")
        page = read(dev, "/builds/new/")
        assert re.findall(r'<option value="(\w*)"', page) == ["", "shop", "zoo"]
        assert "<fieldset" not in page
        assert "Build a revision of The Zoo" in read(dev, "/builds/new/?project=zoo")

    def test_who_builds_nowhere_is_told(self, client: Client, shop: Project) -> None:
        viewer = make_user()
        grant(viewer, Role.VIEWER, shop)
        client.force_login(viewer)
        assert "No project to build" in read(client, "/builds/new/")
        read(client, "/builds/new/?project=shop", status=403)
        read(client, "/builds/new/?project=nowhere", status=404)

    def test_a_project_without_images_that_are_built_here(self, dev: Client, image: Image) -> None:
        Recipe.objects.create(image=image, is_built=False)
        page = read(dev, "/builds/new/")
        assert "has no image that is built here" in page
        assert '<button class="button primary" id="go" disabled>' in page

    def test_git_that_fails_is_told(self, dev: Client, outside: Outside) -> None:
        outside.fails["git"] = Unavailable("The Git host does not answer.", system="Git")
        page = read(dev, "/builds/new/?revision=nowhere")
        assert "The newest commits may be missing: The Git host does not answer." in page
        assert "Nothing was started." in page


class TestAsking:
    def post(self, client: Client, **fields: str) -> Any:
        data = {"project": "shop", "revision": B, "branch": "main", "key": "k", **fields}
        return client.post("/builds/new/", data, headers={"accept": "text/html"})

    def test_it_is_requested_once(self, dev: Client, pushed: Any) -> None:
        answer = self.post(dev)
        build = Build.objects.get()
        assert answer.url == f"/builds/{build.number}/"
        assert (build.revision, build.subject, build.branch, build.cause) == (B, "Change b", "main", "person")
        assert [image.name for image in build.images.all()] == ["web"]
        Build.objects.update(state=State.SUCCEEDED)
        assert self.post(dev).url == answer.url  # a double click, even a late one
        assert Build.objects.count() == 1

    def test_one_page_offers_many_revisions(self, dev: Client) -> None:
        self.post(dev)
        self.post(dev, revision=A)  # the same page's key
        assert set(Build.objects.values_list("revision", flat=True)) == {A, B}

    def test_a_branch_that_does_not_have_the_commit_does_not_count(
        self, dev: Client, outside: Outside
    ) -> None:
        """Its tags, and rules that deploy the branch, follow from it."""
        outside.left = {B}
        self.post(dev)
        assert (Build.objects.get().revision, Build.objects.get().branch) == (B, "")

    def test_a_branch_that_cannot_be_one_does_not_count(self, dev: Client) -> None:
        self.post(dev, branch="--upload-pack=x y")
        assert Build.objects.get().branch == ""

    def test_a_branch_will_do(self, dev: Client) -> None:
        self.post(dev, revision="main")
        assert Build.objects.get().revision == C

    @pytest.mark.parametrize(
        ("fields", "why"),
        [
            ({"revision": "nowhere"}, "The repository has no revision"),
            ({"revision": ""}, "Choose a revision."),
            ({"project": ""}, "Choose a project."),
        ],
    )
    def test_what_is_refused_says_why(self, dev: Client, fields: Any, why: str) -> None:
        answer = self.post(dev, **fields)
        assert answer.status_code == 422
        assert why in answer.content.decode()
        assert not Build.objects.exists()

    def test_without_an_image_it_is_refused(self, dev: Client, image: Image) -> None:
        image.delete()
        answer = self.post(dev)
        assert answer.status_code == 422
        assert "has no image that is built here" in answer.content.decode()

    def test_viewers_and_strangers(self, client: Client, shop: Project, outside: Outside) -> None:
        user = make_user()
        client.force_login(user)
        assert self.post(client).status_code == 404
        grant(user, Role.VIEWER, shop)
        assert self.post(client).status_code == 403
        assert not Build.objects.exists()


class TestStanding:
    """Beside each revision on the page of a new deploy."""

    ADDRESS = "/projects/shop/staging/deploy/"

    def test_without_any_build(self, dev: Client, staging: Environment) -> None:
        page = read(dev, self.ADDRESS)
        assert stands(page, C) == "Ready"
        assert stands(page, B) == "No image Build this : bbbbbbb"
        assert f'form="build-this" name="revision" value="{B}"' in page
        assert '<form id="build-this" method="post" action="/builds/new/">' in page

    @pytest.mark.parametrize(
        ("state", "words"),
        [
            (State.QUEUED, "Build queued : build {n}"),
            (State.RUNNING, "Building : build {n}"),
            (State.CANCELLING, "Building : build {n}"),
            (State.FAILED, "Build failed : build {n} Build again : bbbbbbb"),
            (State.ERRORED, "Build failed : build {n} Build again : bbbbbbb"),
            (State.CANCELLED, "No image : build {n} Build again : bbbbbbb"),
            (State.SUCCEEDED, "No image : build {n} Build again : bbbbbbb"),  # removed since
        ],
    )
    def test_with_a_build(
        self, dev: Client, shop: Project, staging: Environment, state: str, words: str
    ) -> None:
        long_ago = timezone.now() - timedelta(hours=1)
        build = make_build(shop, state, revision=B, ended_at=long_ago)
        page = read(dev, self.ADDRESS)
        assert stands(page, B) == words.format(n=build.number)
        assert f'<a href="/builds/{build.number}/">' in page

    def test_the_newest_build_counts(self, dev: Client, shop: Project, staging: Environment) -> None:
        make_build(shop, State.FAILED, revision=B)
        newest = make_build(shop, State.RUNNING, revision=B)
        assert stands(read(dev, self.ADDRESS), B) == f"Building : build {newest.number}"

    def test_images_that_were_just_pushed_are_ready(
        self, dev: Client, shop: Project, staging: Environment
    ) -> None:
        """The registry was asked a moment before."""
        read(dev, self.ADDRESS)
        build = make_build(shop, State.SUCCEEDED, revision=B, ended_at=timezone.now())
        assert stands(read(dev, self.ADDRESS), B) == f"Ready : build {build.number}"

    def test_images_of_a_failed_build_that_came_from_elsewhere(
        self, dev: Client, shop: Project, staging: Environment
    ) -> None:
        build = make_build(shop, State.FAILED, revision=C)
        assert stands(read(dev, self.ADDRESS), C) == f"Ready : build {build.number}"

    def test_a_registry_that_does_not_answer(
        self, dev: Client, shop: Project, staging: Environment, outside: Outside
    ) -> None:
        outside.fails["ecr"] = Unavailable("ECR does not answer.", system="ECR")
        build = make_build(shop, State.SUCCEEDED, revision=B)
        page = read(dev, self.ADDRESS)
        assert stands(page, B) == f"Ready : build {build.number}"
        assert stands(page, C) == ""  # nothing is known

    def test_who_may_only_deploy_here_may_not_build(
        self, client: Client, shop: Project, staging: Environment, outside: Outside
    ) -> None:
        user = make_user()
        grant(user, Role.DEPLOYER, shop, staging)
        client.force_login(user)
        page = read(client, self.ADDRESS)
        assert stands(page, B) == "No image"
        assert "build-this" not in page

    def test_the_checks_of_a_revision_without_images_offer_the_build(
        self, dev: Client, shop: Project, staging: Environment
    ) -> None:
        page = read(dev, f"{self.ADDRESS}?see=1&revision={B}")
        assert '<form id="build-chosen" method="post" action="/builds/new/">' in page
        assert "The images of bbbbbbb are not built" in page
        build = make_build(shop, State.RUNNING, revision=B)
        page = read(dev, f"{self.ADDRESS}?see=1&revision={B}")
        assert f'<a href="/builds/{build.number}/">Build #{build.number}</a>' in page
        assert "The images of bbbbbbb are being built" in page
        assert "build-chosen" not in page
        assert "The images of" not in read(dev, f"{self.ADDRESS}?see=1&revision={C}")

    def test_one_query_for_all_revisions(self, shop: Project) -> None:
        for n in range(10):
            make_build(shop, revision=f"{n:040x}")
        with CaptureQueriesContext(connection) as captured:
            found = standing.standings(shop, [f"{n:040x}" for n in range(10)], {})
        assert (len(captured), len(found)) == (1, 10)


class TestElsewhere:
    def test_the_project_page_has_the_last_builds(self, dev: Client, shop: Project) -> None:
        assert "Nothing was built here yet." in read(dev, "/projects/shop/")
        numbers = [make_build(shop, branch=branch).number for branch in ("main", "topic", "main")]
        failed = make_build(shop, State.FAILED, branch="topic", result="It broke.")
        page = read(dev, "/projects/shop/")
        for number in (*numbers, failed.number):
            assert f'id="build-line-{number}"' in page
        branches = page[
            page.index('class="branch-states"') : page.index("</ul>", page.index('class="branch-states"'))
        ]
        assert re.findall(r"<code>(\w+)</code><a href=\"/builds/(\d+)/\"", branches) == [
            ("topic", str(failed.number)), ("main", str(numbers[2])),
        ]  # fmt: skip
        assert "It broke." in page
        assert 'href="/builds/?project=shop"' in page
        assert 'data-changes="/changes/?project=shop"' in page

    def test_the_project_page_costs_the_same_for_many_builds(self, dev: Client, shop: Project) -> None:
        def queries() -> int:
            with CaptureQueriesContext(connection) as captured:
                read(dev, "/projects/shop/")
            return len(captured)

        make_build(shop)
        few = queries()
        for n in range(20):
            make_build(shop, branch=f"b{n}", images=("web", "api"))
        assert queries() == few

    def test_a_deploy_leads_to_the_build_that_made_its_images(
        self, dev: Client, shop: Project, staging: Environment
    ) -> None:
        deploy = make_deploy(staging)
        assert "/builds/1" not in read(dev, f"/deploys/{deploy.number}/")
        green = make_build(shop, revision=deploy.revision)
        make_build(shop, State.FAILED, revision=deploy.revision)
        link = f'build <a href="/builds/{green.number}/">#{green.number}</a>'
        assert link in read(dev, f"/deploys/{deploy.number}/")

    def test_builds_of_other_projects_are_not_named(self, dev: Client, staging: Environment) -> None:
        deploy = make_deploy(staging)
        make_build(make_project(), revision=deploy.revision)
        assert 'build <a href="/builds/' not in read(dev, f"/deploys/{deploy.number}/")


class TestRegistry:
    """The tags by which the page of a repository's images names builds."""

    PAGE = Template(
        "{% load image_builds %}{% builds_of image digests as built %}"
        "{% for one in digests %}[{% build_link built one %}]{% endfor %}"
    )

    def test_each_digest_leads_to_the_newest_build_that_made_it(self, shop: Project, image: Image) -> None:
        first, second = make_build(shop), make_build(shop)
        first.images.update(digest="sha256:1")
        second.images.update(digest="sha256:1")
        make_build(make_project(), images=("web",)).images.update(digest="sha256:2")  # another project's
        with CaptureQueriesContext(connection) as captured:
            page = self.PAGE.render(Context({"image": image, "digests": ["sha256:1", "sha256:2"]}))
        assert (
            page == f'[<a href="/builds/{second.number}/">#{second.number}</a>][<span class="faint">–</span>]'
        )
        assert len(captured) == 1
