"""Builds that another tool made: taken when the registry has the images, and refused in words when not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from adapters.aws.ecr import ImageFacts
from adapters.errors import NotFound, Unavailable
from audit.models import AuditEvent
from builds.models import Build, Recipe
from projects import connections
from projects.models import Image, Role
from runs.models import State
from tests import factories as make
from tests.adapters.conftest import origin  # noqa: F401  (a fixture)
from tests.builds.pushing import Shop, shop_fixture, site_secret_fixture  # noqa: F401  (fixtures)

DIGEST = "sha256:" + "1" * 64
OTHER = "sha256:" + "2" * 64


class Ecr:
    """A registry with images by repository and tag."""

    def __init__(self) -> None:
        self.images: dict[str, dict[str, str]] = {}
        self.fails: Exception | None = None

    def digests(self, repository: str, tags: Any) -> dict[str, ImageFacts]:
        if self.fails:
            raise self.fails
        found = self.images.get(repository, {})
        pushed = datetime(2026, 11, 1, tzinfo=UTC)
        return {tag: ImageFacts(found[tag], pushed, 4_200_000, "ACTIVE") for tag in tags if tag in found}


@pytest.fixture
def ecr(monkeypatch: pytest.MonkeyPatch) -> Ecr:
    one = Ecr()
    monkeypatch.setattr(connections, "ecr", lambda *_, **__: one)
    return one


@pytest.fixture
def head(shop: Shop, ecr: Ecr) -> str:
    """The newest commit, whose image is in the registry under both tags."""
    sha = shop.origin.git("rev-parse", "HEAD")
    ecr.images["shop/web"] = {sha: DIGEST, sha[:7]: DIGEST}
    return sha


def report(*given: str) -> str:
    out = StringIO()
    call_command("report_build", *given, stdout=out)
    return out.getvalue()


def refused(*given: str) -> CommandError:
    with pytest.raises(CommandError) as caught:
        report(*given)
    return caught.value


def test_a_report_becomes_a_build_that_has_succeeded(head: str) -> None:
    found = json.loads(report("shop", head[:7], "--json"))
    build = Build.objects.get()
    assert found == {
        "id": build.number, "project": "shop", "revision": head, "state": "succeeded",
        "reason": "Built elsewhere: 1 image found in the registry.", "url": f"http://127.0.0.1:8000/builds/{build.number}/",
        "images": [{
            "name": "web", "reference": build.images.get().reference, "tags": [head, head[:7]], "digest": DIGEST,
            "size": 4_200_000,
        }],
    }  # fmt: skip
    assert (build.cause, build.state, build.actor_text, build.subject) == (
        "report",
        "succeeded",
        "system",
        "Add manifests",
    )
    assert build.ended_at is not None
    assert [event.verb for event in AuditEvent.objects.order_by("pk")] == ["build.requested", "build.ended"]


def test_the_same_report_twice_is_one_build(head: str, ecr: Ecr) -> None:
    report("shop", "main")
    assert "known already" in report("shop", head)
    ecr.images["shop/web"] = {head: OTHER}
    assert "taken" in report("shop", head)
    assert Build.objects.count() == 2


def test_a_report_belongs_to_the_branches_whose_head_it_is(head: str, shop: Shop) -> None:
    for name in ("release/1", "other"):
        shop.origin.git("branch", name)
    shop.origin.push()
    report("shop", head)
    build = Build.objects.get()
    assert (build.branch, build.branches) == ("main", ["main", "other", "release/1"])


def test_the_only_branch_is_the_reports(head: str, shop: Shop, ecr: Ecr) -> None:
    shop.origin.git("checkout", "-q", "-b", "feature")
    sha = shop.origin.commit("More", {"a": "b"})
    ecr.images["shop/web"][sha] = DIGEST
    report("shop", sha)
    assert Build.objects.get().branch == "feature"


def test_a_report_may_name_its_branch(head: str, shop: Shop) -> None:
    shop.origin.commit("More", {"a": "b"})  # main has moved on
    report("shop", head)
    assert "taken" in report("shop", head, "--branch", "main")
    assert "known already" in report("shop", head, "--branch", "main")
    assert "known already" in report("shop", head)
    newest, oldest = Build.objects.order_by("-number")
    assert (newest.branches, oldest.branches) == (["main"], [])


def test_an_image_that_is_not_built_here_is_reported_too(head: str) -> None:
    Recipe.objects.create(image=Image.objects.get(), is_built=False)
    assert "taken" in report("shop", "main", "--image", f"web={DIGEST}")


def test_only_the_named_images_must_be_there(head: str, shop: Shop) -> None:
    make.make_image(shop.project, name="worker", repository="shop/worker")
    assert "There is no tag" in str(refused("shop", "main"))
    report("shop", "main", "--image", "web")
    assert list(Build.objects.get().images.values_list("name", flat=True)) == ["web"]


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (("nope", "main"), "no project nope"), (("shop", "nope"), "no revision"),
        (("shop", "main", "--image", "api"), "no image api"),
        (("shop", "main", "--image", "web=latest"), "NAME=sha256"), (("shop", "main", "--image", f"web={OTHER}"), "leads to"),
        (("shop", "main", "--branch", "nope"), "no branch nope"), (("shop", "main", "--branch", "b" * 300), "no branch bbb"),
        (("shop", "HEAD~1"), "not a revision"), (("shop", "main", "--as", "nobody"), "no active person"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_in_words(head: str, given: tuple[str, ...], word: str) -> None:
    error = refused(*given)
    assert word in str(error)
    assert error.returncode == 2
    assert not Build.objects.exists()


def test_a_missing_tag_and_a_missing_repository_are_refused(head: str, ecr: Ecr) -> None:
    ecr.images = {}
    error = refused("shop", "main")
    assert (error.returncode, f"no tag {head[:7]}" in str(error)) == (2, True)
    ecr.fails = NotFound("There is no repository “shop/web”.", system="ECR")
    assert refused("shop", "main").returncode == 2


def test_a_registry_or_a_host_that_does_not_answer_is_no_refusal(head: str, ecr: Ecr, shop: Shop) -> None:
    ecr.fails = Unavailable("ECR does not answer.", system="ECR")
    assert refused("shop", "main").returncode == 1
    shop.origin.bare.rename(shop.origin.bare.with_suffix(".away"))
    assert refused("shop", "main").returncode == 1
    assert not Build.objects.exists()


def test_it_needs_a_deployer(head: str, shop: Shop) -> None:
    viewer, deployer = make.make_user("vic"), make.make_user("dev")
    make.grant(viewer, Role.VIEWER, shop.project)
    make.grant(deployer, Role.DEPLOYER, shop.project)
    error = refused("shop", "main", "--as", "vic")
    assert (error.returncode, "deployer" in str(error)) == (2, True)
    report("shop", "main", "--as", "dev")
    assert Build.objects.get().actor_text == "dev"


def test_a_build_of_the_revision_that_goes_on_is_waited_for(head: str, shop: Shop) -> None:
    Build.objects.create(
        project=shop.project, number=7, revision=head, state=State.RUNNING, actor_kind="system", actor_text="push"
    )  # fmt: skip
    error = refused("shop", "main")
    assert (error.returncode, str(error).startswith("Build 7 of")) == (2, True)
    assert Build.objects.count() == 1


def test_a_project_without_images_is_said(shop: Shop, ecr: Ecr) -> None:
    shop.project.images.all().delete()
    assert "has no image" in str(refused("shop", "main"))
