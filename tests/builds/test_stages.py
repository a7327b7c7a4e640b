"""What a build still may do when its worker begins: rights and registries may have changed since it was asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.git.repository import Commit
from audit.actors import Actor, person
from builds.models import Build, BuiltImage
from builds.pipeline.stages import check_allotted
from builds.pipeline.work import NotBuildable
from builds.requests import Order, request_build
from projects.models import Allotment, Role
from tests.factories import grant, make_image, make_project, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def work() -> Any:
    """The attempt at a build of one image, which may be pushed."""
    project = make_project(slug="shop")
    make_image(project, name="api")
    user = make_user("ada")
    grant(user, Role.DEPLOYER, project)
    actor: Actor = person(user)
    commit = Commit("a" * 40, "Change", "Ada", datetime(2026, 3, 1, tzinfo=UTC))
    build: Build = request_build(actor, project, Order(commit)).build
    made = SimpleNamespace(build=build, project=project)
    check_allotted(made)  # type: ignore[arg-type]
    return made


def test_what_counts_is_where_the_image_goes(work: Any) -> None:
    image = work.project.images.get()
    pushed_to = image.repository
    Allotment.objects.filter(project=work.project, kind="repository").delete()
    image.repository = "elsewhere/api"
    image.save()
    Allotment.objects.create(
        project=work.project, kind="repository", pattern="elsewhere/api", registry=image.registry
    )
    with pytest.raises(NotBuildable, match=pushed_to):
        check_allotted(work)


def test_an_image_that_was_removed_since_needs_its_right_too(work: Any) -> None:
    Allotment.objects.filter(project=work.project, kind="repository").delete()
    work.project.images.all().delete()
    with pytest.raises(NotBuildable):
        check_allotted(work)


def test_a_build_without_its_registry_is_not_green(work: Any) -> None:
    BuiltImage.objects.update(registry=None)
    with pytest.raises(NotBuildable, match="is not there any more"):
        check_allotted(work)


def test_what_is_in_the_registry_is_not_asked_again(work: Any) -> None:
    BuiltImage.objects.update(registry=None, state=BuiltImage.State.EXISTED)
    check_allotted(work)
