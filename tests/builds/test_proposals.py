"""Images are proposed from the Dockerfiles of the repository."""

from __future__ import annotations

from typing import Any

import pytest

from builds.proposals import found
from projects.dockerfiles import MOST, is_dockerfile, proposals
from projects.models import Image, Role
from tests import factories as make
from tests.adapters.conftest import origin  # noqa: F401  (a fixture)
from tests.builds.pushing import Shop, shop_fixture, site_secret_fixture  # noqa: F401  (fixtures)

SETTINGS = "/projects/shop/settings/"


@pytest.mark.parametrize(
    ("paths", "wanted"),
    [
        (["Dockerfile"], [("web", "Dockerfile", ".", "shop/web")]),
        (["Dockerfile", "worker/Dockerfile"],
         [("web", "Dockerfile", ".", "shop/web"), ("worker", "worker/Dockerfile", "worker", "shop/worker")]),
        (["Dockerfile.worker", "api.Dockerfile"],
         [("worker", "Dockerfile.worker", ".", "shop/worker"), ("api", "api.Dockerfile", ".", "shop/api")]),
        (["docker/Dockerfile", "docker/Dockerfile.cron"],
         [("web", "docker/Dockerfile", ".", "shop/web"), ("cron", "docker/Dockerfile.cron", ".", "shop/cron")]),
        (["a/web/Dockerfile", "b/web/Dockerfile"],
         [("web", "a/web/Dockerfile", "a/web", "shop/web"), ("web-2", "b/web/Dockerfile", "b/web", "shop/web-2")]),
        (["services/Big_API/Dockerfile"],
         [("big-api", "services/Big_API/Dockerfile", "services/Big_API", "shop/big-api")]),
        (["new/Dockerfile"], [("web", "new/Dockerfile", "new", "shop/web")]),
        (["node_modules/x/Dockerfile", "Dockerfile.dockerignore", "README.md", "src/dockerfile.py.txt/x"], []),
    ],
)  # fmt: skip
def test_what_is_proposed(paths: list[str], wanted: list[tuple[str, ...]]) -> None:
    made = [(one.name, one.dockerfile, one.context, one.repository) for one in proposals("shop", paths, [])]
    assert sorted(made) == sorted(wanted)


def test_what_an_image_has_is_not_proposed() -> None:
    known = [Image(name="web", dockerfile="./Dockerfile"), Image(name="worker", dockerfile="x")]
    made = proposals("shop", ["Dockerfile", "worker/Dockerfile"], known)
    assert [(one.name, one.dockerfile) for one in made] == [("worker-2", "worker/Dockerfile")]


def test_odd_and_many_paths_are_left_out() -> None:
    assert not is_dockerfile("x" * 300 + "/Dockerfile")
    assert not is_dockerfile("a\x1b/Dockerfile")
    assert not is_dockerfile("ü/Dockerfile")
    assert len(proposals("shop", [f"d{n}/Dockerfile" for n in range(100)], [])) == MOST


def test_the_newest_revision_is_read(shop: Shop) -> None:
    assert found(shop.project).is_known is False
    shop.origin.commit("Two", {"Dockerfile": "FROM scratch\n", "api/Dockerfile": "FROM scratch\n"})
    seen = found(shop.project, ask=True)
    assert [one.name for one in seen.proposals] == ["api"]
    assert seen.sha == shop.origin.git("rev-parse", "HEAD")
    assert found(shop.project).proposals == seen.proposals  # without the host


def test_a_repository_that_cannot_be_read_is_said(shop: Shop) -> None:
    shop.origin.bare.rename(shop.origin.bare.with_suffix(".away"))
    assert found(shop.project, ask=True).trouble


def test_a_link_named_dockerfile_breaks_nothing(shop: Shop) -> None:
    (shop.origin.work / "Dockerfile").symlink_to("/etc/passwd")
    shop.origin.commit("Link", {"api/Dockerfile": "FROM scratch\n"})
    assert [one.name for one in found(shop.project, ask=True).proposals] == ["api"]


def test_the_settings_propose_and_the_form_is_filled_in(shop: Shop, client: Any) -> None:
    maintainer = make.make_user()
    make.grant(maintainer, Role.MAINTAINER, shop.project)
    client.force_login(maintainer)
    shop.origin.commit("Api", {"services/api/Dockerfile": "FROM scratch\n"})
    text = client.get(f"{SETTINGS}builds/?look=1").text
    assert "Found in the repository" in text
    link = "images/new/?name=api&amp;dockerfile=services%2Fapi%2FDockerfile&amp;context=services%2Fapi&amp;repository=shop%2Fapi"
    assert link in text
    form = client.get(f"{SETTINGS}{link.replace('&amp;', '&')}").text
    assert 'value="services/api/Dockerfile"' in form
    assert 'value="shop/api"' in form


def test_a_project_without_images_is_led_to_the_proposals(shop: Shop, client: Any) -> None:
    client.force_login(make.make_user(is_admin=True))
    shop.project.images.all().delete()
    assert f"{SETTINGS}builds/?look=1" in client.get(f"{SETTINGS}images/").text
