"""What is left until the first deploy: which lines there are, who gets which button, and when the list goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from django.core.cache import cache

from audit.actors import SYSTEM_ACTOR
from audit.record import record
from portal.first_deploy import checklist as lists
from portal.first_deploy import looking
from projects.models import Project, Role
from projects.namespaces import Place
from projects.reading.manifests import FoundVariable, Manifests
from projects.reading.scan import Folder, Scan
from runs.models import State
from secrets_ui.known.looking import Look
from tests import factories as make

PART = "/projects/shop/settings/first-deploy/"
HTMX = {"HX-Request": "true"}
SHA = "4e6908a" + "0" * 33


@dataclass
class Outside:
    """What the outside says; a test changes it. `asked`: how often the cluster was."""

    scan: Scan = field(
        default_factory=lambda: Scan(
            SHA,
            (Folder("kubernetes/staging", Manifests(3, (FoundVariable("LOG_LEVEL", "string", ("a:1",)),))),),
        )
    )
    place: Place = field(default_factory=lambda: Place(exists=False))
    has_images: bool | None = False
    secret: Look = field(default_factory=lambda: Look(None, "There is no such secret.", missing=True))
    asked: int = 0


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch, db: None) -> Outside:
    said = Outside()

    def place(*_: object) -> Place:
        said.asked += 1
        return said.place

    cache.clear()
    monkeypatch.setattr(looking, "scan_folders", lambda project, folders: dict.fromkeys(folders, said.scan))
    monkeypatch.setattr(looking, "look_at", place)
    monkeypatch.setattr(looking, "in_registry", lambda project, shas: dict.fromkeys(shas, said.has_images))
    monkeypatch.setattr(lists, "look_at_secrets", lambda files: {file.pk: said.secret for file in files})
    return said


@pytest.fixture
def shop(outside: Outside) -> Project:
    """A project with all parts and no deploy."""
    project = make.make_project(slug="shop", name="Shop")
    staging = make.make_environment(
        project, slug="staging", name="Staging", namespace="shop-staging", pull_secret="ecr"
    )
    make.make_secrets_file(staging)
    make.make_image(project)
    return project


def rows(project: Project, role: Role | None = Role.MAINTAINER) -> dict[str, lists.Item]:
    """The lines of the first environment, as a person with that role gets them."""
    person = make.make_user()
    if role is not None:
        make.grant(person, role, project)
    [first] = lists.checklist(person, project)
    return {item.title.split(" slipway/")[0]: item for item in first.items}


def test_every_line_with_what_helps(shop: Project) -> None:
    found = rows(shop)
    assert [(title, item.state, item.button) for title, item in found.items()] == [
        ("Repository read", "passed", ""),
        ("Cluster reachable", "passed", ""),
        ("Namespace exists", "waiting", "Create the namespace"),
        ("Rights suffice", "passed", ""),
        ("Variables have values", "waiting", "Give values"),
        ("Secret", "waiting", "Create it from the reference file"),
        ("Images can be pulled", "waiting", "Set it up now"),
        ("Images built", "waiting", "Build"),
        ("First deploy", "waiting", "Deploy"),
    ]
    assert found["Namespace exists"].posts
    assert ("next", "/projects/shop/") in found["Namespace exists"].fields
    assert found["Secret"].url.endswith("/create/?next=%2Fprojects%2Fshop%2F")


def test_a_viewer_reads_who_does_it(shop: Project) -> None:
    found = rows(shop, Role.VIEWER)
    assert {item.button for item in found.values()} <= {"", "Look"}
    assert found["Namespace exists"].whom == "A maintainer of the project does this."
    assert found["First deploy"].whom == "A deployer of the project does this."


def test_trouble_is_told_in_its_line(shop: Project, outside: Outside) -> None:
    outside.place = Place(error="London does not answer.", hint="Try again.")
    outside.scan = Scan(trouble="The host refused.", hint="Enter a token.")
    outside.has_images = None
    found = rows(shop)
    assert found["Cluster reachable"].text == "London does not answer. Try again."
    assert found["Repository read"].text == "The host refused. Enter a token."
    assert "Namespace exists" not in found
    assert "Variables have values" not in found
    assert found["Images built"].state == "warning"


def test_what_lacks_rights(shop: Project, outside: Outside) -> None:
    outside.place = Place(exists=None, lacks="The account lacks rights in shop-staging: patch deployments.")
    found = rows(shop)
    assert found["Rights suffice"].state == "failed"
    assert found["Namespace exists"].state == "warning"


def test_a_namespace_that_was_given_to_others_is_not_asked_about(shop: Project, outside: Outside) -> None:
    shop.allotments.all().delete()
    assert "is not allotted to Shop any more" in rows(shop)["Cluster reachable"].text
    assert outside.asked == 0


def test_an_answer_is_kept_until_something_changes(shop: Project, outside: Outside) -> None:
    rows(shop)
    rows(shop)
    assert outside.asked == 1
    record(SYSTEM_ACTOR, "namespace.created", project="shop")
    outside.place = Place(exists=True)
    assert rows(shop)["Namespace exists"].state == "passed"
    assert outside.asked == 2


@pytest.mark.parametrize(
    ("state", "shown", "button"),
    [
        (State.RUNNING, "running", "Watch"),
        (State.QUEUED, "running", "Watch"),
        (State.FAILED, "failed", "Deploy"),
    ],
)
def test_the_first_deploy_itself(shop: Project, state: State, shown: str, button: str) -> None:
    make.make_deploy(shop.environments.get(), state)
    last = rows(shop)["First deploy"]
    assert (last.state, last.button) == (shown, button)


def test_the_page_has_the_list_until_a_deploy_has_succeeded(shop: Project, client: Any) -> None:
    client.force_login(make.make_user(is_admin=True))
    assert f'hx-get="{PART}"' in client.get("/projects/shop/").content.decode()
    part = client.get(PART, headers=HTMX).content.decode()
    assert "Until the first deploy" in part
    assert part.count("button small primary") == 1
    assert "<html" not in part
    make.make_environment(shop, slug="production", name="Production", order=20)
    assert (
        'Create the namespace<span class="hidden-label"> for Production'
        in client.get(f"{PART}?environment=production").content.decode()
    )
    page = client.get(PART).content.decode()
    assert "<h1>First deploy of Shop</h1>" in page
    make.make_deploy(shop.environments.get(slug="staging"), State.SUCCEEDED)
    assert f'hx-get="{PART}"' not in client.get("/projects/shop/").content.decode()
    assert "Until the first deploy" not in client.get(PART, headers=HTMX).content.decode()
    assert client.get(PART)["Location"] == "/projects/shop/"


def test_the_number_of_queries_does_not_grow_with_secrets_or_environments(
    shop: Project, django_assert_max_num_queries: Any
) -> None:
    person = make.make_user(is_admin=True)
    with django_assert_max_num_queries(30) as few:
        lists.checklist(person, shop)
    cluster = shop.environments.get().cluster
    for n in range(5):
        make.make_secrets_file(shop.environments.get(slug="staging"), path=f"more-{n}.yaml")
        place = make.make_environment(shop, cluster=cluster, namespace=f"shop-{n}", pull_secret="ecr")
        make.make_deploy(place, State.FAILED)
    cache.clear()
    with django_assert_max_num_queries(len(few)):
        lists.checklist(person, shop)
