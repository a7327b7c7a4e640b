"""Whose an image is: of which revision, and of whose repository."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from adapters.aws.ecr import ImageFacts
from adapters.docker import context
from adapters.docker.faults import BuildFailed
from builds.models import BuiltImage
from builds.pipeline import stages
from builds.pipeline.registries import Known
from builds.pipeline.work import NotBuildable
from builds.tags import revision_tags
from deployments.preparation import prepare
from projects.models import Image
from tests.factories import make_build, make_image, make_project

OURS, OTHER = "63ec5c0" + "a" * 33, "63ec5c0" + "b" * 33


def facts(digest: str, *tags: str) -> ImageFacts:
    return ImageFacts(digest, None, 1, "ACTIVE", tags)


def order(revision: str) -> Any:
    return SimpleNamespace(tags=revision_tags(revision))


def test_an_image_of_another_revision_with_the_same_short_tag_is_not_taken_for_ours() -> None:
    """Whoever may push a branch can make such a revision within minutes, and its image would be deployed as a reviewed one."""
    theirs = facts("sha256:2", "63ec5c0", OTHER)
    assert Known({"63ec5c0": theirs}, keeps_tags=False).image(order(OURS)) is None
    ours = facts("sha256:1", OURS)
    assert Known({"63ec5c0": theirs, OURS: ours}, keeps_tags=False).image(order(OURS)) == ours


def test_an_image_that_another_tool_tagged_shortly_is_ours() -> None:
    pushed = facts("sha256:1", "63ec5c0")
    assert Known({"63ec5c0": pushed}, keeps_tags=False).image(order(OURS)) == pushed


def test_a_deploy_takes_the_image_of_its_own_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"63ec5c0": facts("sha256:2", "63ec5c0", OTHER), OURS: facts("sha256:1", OURS)}
    monkeypatch.setattr(prepare, "images_by_tag", lambda image, tags, *, hasty: found)
    image: Any = SimpleNamespace(name="web", reference="r.example/web")
    pin = prepare.pin_of(image, OURS)
    assert (pin.tag, pin.digest) == (OURS, "sha256:1")
    del found[OURS]
    with pytest.raises(prepare.NotDeployable):
        prepare.pin_of(image, OURS)


@pytest.mark.django_db
def test_a_build_pushes_nowhere_that_is_no_longer_allotted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not where it was to go when it was asked for, either: the image's settings may name another place by now, or be gone."""
    image = make_image(make_project(slug="shop"), name="web")
    build = make_build(image.project, images=("web",))
    row = build.images.get()
    row.registry, row.reference = image.registry, f"{image.registry.host}/others/private"
    row.state = BuiltImage.State.PENDING
    row.save()
    Image.objects.all().delete()
    refused: Any = lambda project, wishes: [one for one in wishes if one.value == "others/private"]  # noqa: E731
    monkeypatch.setattr(stages, "not_allotted", refused)
    work: Any = SimpleNamespace(project=image.project, build=build)
    with pytest.raises(NotBuildable):
        stages.check_allotted(work)


def test_a_pattern_that_cannot_be_read_fails_the_build() -> None:
    with pytest.raises(BuildFailed):
        context._ignored("[z-a]")
