"""The page of a repository's images: what runs where, what scans found, and what stays when ECR does not answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from adapters.aws.ecr_images import NOT_SCANNED, EcrImages, ListedImage, Listing, Scan
from adapters.errors import Unavailable
from clusters.models import LiveState
from registry import images
from registry.pages.image_views import PAGE
from tests.factories import make_deploy, make_release
from tests.registry.pages import Portal, make_portal

pytestmark = pytest.mark.django_db
ADDRESS = "/registry/images/shop/web/"


class FakeImages:
    """adapters.aws.ecr_images.EcrImages, of one listing."""

    def __init__(self) -> None:
        self.listing = Listing((), is_cut=False)
        self.scans: dict[str, Scan] = {}
        self.fails: Exception | None = None
        self.asked: list[str] = []

    def images(self, repository: str) -> Listing:
        self.asked.append(repository)
        if self.fails:
            raise self.fails
        return self.listing

    def scan(self, repository: str, digest: str) -> Scan:
        self.asked.append(digest)
        if self.fails:
            raise self.fails
        return self.scans.get(digest, Scan(NOT_SCANNED))


@pytest.fixture
def portal() -> Portal:
    cache.clear()
    return make_portal()


@pytest.fixture
def ecr(monkeypatch: pytest.MonkeyPatch) -> FakeImages:
    fake = FakeImages()
    monkeypatch.setattr(images, "ecr_images", lambda registry: fake)
    return fake


@pytest.fixture
def see(client: Client, portal: Portal):
    def look(address: str = ADDRESS, who: str = "viewer") -> str:
        client.force_login(portal.people[who])
        answer = client.get(address)
        assert answer.status_code == 200
        return " ".join(answer.content.decode().split())

    return look


def listed(portal: Portal, n: int, **fields: Any) -> ListedImage:
    given = {
        "tags": (f"t{n}",),
        "pushed_at": portal.now - timedelta(hours=n),
        "size": 5_000_000,
        "status": "ACTIVE",
    }
    return ListedImage(f"sha256:{n:064}", **{**given, **fields})


def test_the_fake_has_the_adapter_s_methods() -> None:
    for name in ("images", "scan"):
        assert getattr(FakeImages, name).__annotations__ == getattr(EcrImages, name).__annotations__


def test_tags_age_size_place_and_findings(portal: Portal, ecr: FakeImages, see) -> None:
    reference = f"{portal.registry.host}/shop/web"
    LiveState.objects.create(
        environment=portal.environment,
        workloads=[{"name": "web", "images": [f"{reference}:t1@sha256:{1:064}", "other:t2"]}],
    )
    ecr.listing = Listing(
        (
            listed(portal, 1, scan=Scan("COMPLETE", {"HIGH": 2, "LOW": 7, "WEIRD": 1})), listed(portal, 2, status="ARCHIVED"),
            listed(portal, 3), listed(portal, 4, scan=Scan("UNSUPPORTED_IMAGE")),
            listed(portal, 5, tags=(), scan=Scan("COMPLETE")),
        ),
        is_cut=True,
    )  # fmt: skip
    ecr.scans[f"sha256:{3:064}"] = Scan("IN_PROGRESS")
    page = see()
    rows = page[page.index("<tbody>") :].split("<tr>")[1:]
    assert ["/projects/shop/staging/" in row for row in rows] == [True, False, False, False, False]
    assert "high</span> 2" in rows[0]
    assert "low 7 weird 1" in rows[0]
    for row, words in zip(
        rows[1:], ("archived", "scan in progress", "cannot be scanned", "nothing found"), strict=True
    ):
        assert words in row
    assert "no tag" in rows[4]
    assert "5 images read; the registry has more" in page
    assert "4.8" in rows[0]


def test_what_was_deployed_last_is_told_where_the_cluster_does_not_say_that_it_runs(
    portal: Portal, ecr: FakeImages, see
) -> None:
    reference = f"{portal.registry.host}/shop/web"
    image = {"repository": reference, "tag": "t1", "digest": f"sha256:{1:064}"}
    release = make_release(portal.environment, images={"web": image})
    make_deploy(portal.environment, release=release, state="succeeded")
    older = make_release(
        portal.environment, images={"web": {**image, "tag": "t3", "digest": f"sha256:{3:064}"}}
    )
    make_deploy(portal.environment, release=older, state="failed")
    ecr.listing = Listing((listed(portal, 1), listed(portal, 2), listed(portal, 3)), is_cut=False)

    def rows() -> list[str]:
        page = see()
        return page[page.index("<tbody>") :].split("<tr>")[1:]

    assert ["last deployed" in row for row in rows()] == [True, False, False]
    LiveState.objects.create(
        environment=portal.environment, workloads=[{"name": "web", "images": [f"{reference}:t2"]}]
    )
    assert ["/projects/shop/staging/" in row for row in rows()] == [True, True, False]
    LiveState.objects.update(workloads=[{"name": "web", "images": [f"{reference}:t1"]}])
    assert ["last deployed" in row for row in rows()] == [False, False, False]
    assert ["/projects/shop/staging/" in row for row in rows()] == [True, False, False]


def test_the_answer_is_kept_with_its_age(
    portal: Portal, ecr: FakeImages, see, monkeypatch: pytest.MonkeyPatch
) -> None:
    ecr.listing = Listing((listed(portal, 1),), is_cut=False)
    see()
    see()
    assert ecr.asked == ["shop/web", f"sha256:{1:064}"]
    see(f"{ADDRESS}?anew=1")
    assert ecr.asked == ["shop/web", f"sha256:{1:064}"]  # somebody who reloads it does not ask at each time
    monkeypatch.setattr(images, "ANEW", timedelta(0))
    see(f"{ADDRESS}?anew=1")
    assert ecr.asked == ["shop/web", f"sha256:{1:064}", "shop/web"]
    ecr.fails = Unavailable("ECR does not answer.", system="ECR")
    page = see(f"{ADDRESS}?anew=1")
    assert "ECR could not be read now." in page
    assert "This is what it said" in page
    assert "t1" in page


def test_without_any_answer_the_page_says_why(portal: Portal, ecr: FakeImages, see) -> None:
    ecr.fails = Unavailable("ECR does not answer.", system="ECR")
    assert "ECR does not answer." in see()
    ecr.fails = None
    assert "No images yet" in see()


def test_scans_that_cannot_be_read_are_asked_for_once(portal: Portal, ecr: FakeImages) -> None:
    image = portal.environment.project.images.select_related("registry").get()
    ecr.fails = Unavailable("ECR does not answer.", system="ECR")
    found = images.with_scans(image, [listed(portal, n) for n in range(9)])
    assert {one.scan.status for one in found} == {images.UNREADABLE}
    assert len(ecr.asked) == 1


def test_pages_go_on_after_an_image(portal: Portal, ecr: FakeImages, see) -> None:
    done = Scan("COMPLETE")
    ecr.listing = Listing(tuple(listed(portal, n, scan=done) for n in range(PAGE + 3)), is_cut=False)
    page = see()
    assert f"1 to {PAGE} of {PAGE + 3}" in page
    page = see(f"{ADDRESS}?before=sha256:{PAGE - 1:064}")
    assert f"{PAGE + 1} to {PAGE + 3} of {PAGE + 3}" in page
    assert "Older" not in page


def test_strangers_do_not_learn_of_it(portal: Portal, ecr: FakeImages, client: Client) -> None:
    client.force_login(portal.people["stranger"])
    assert client.get(ADDRESS).status_code == 404
    assert client.get("/registry/images/none/web/").status_code == 404
    assert ecr.asked == []
