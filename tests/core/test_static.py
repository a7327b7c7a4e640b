"""What a browser loads first: compressed, small, cached for ever, and never a page's secret."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib.staticfiles import storage as storages
from django.http import HttpResponse, StreamingHttpResponse
from django.test import Client, RequestFactory
from django.test.signals import setting_changed
from django.utils.cache import add_never_cache_headers

from audit.actors import person
from audit.record import record
from core.middleware import CompressedPages
from people.services import new_setup_link
from tests.factories import PASSWORD, make_deploy, make_environment, make_project, make_user
from tests.portal.conftest import see
from ui.static import StaticFiles

pytestmark = pytest.mark.static_files
ROOT = Path(__file__).resolve().parents[2]
MOST_BYTES = 60_000  # the first load of the board, on a slow line


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """STATIC_ROOT after collectstatic."""
    root = tmp_path_factory.mktemp("static")
    command = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity=0"]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "STATIC_ROOT": str(root)}, check=True)
    return root


@pytest.fixture
def with_collected(collected: Path, settings: Any) -> Path:
    """The portal serves what was collected."""
    settings.STATIC_ROOT = str(collected)
    setting_changed.send(sender=None, setting="STATIC_ROOT", value=str(collected), enter=True)
    return collected


def addresses(page: str) -> list[str]:
    return re.findall(r'(?:href|src)="(/static/[^"]+)"', page)


@pytest.mark.django_db
def test_the_first_load_of_the_board_is_small(with_collected: Path, client: Client) -> None:
    for _ in range(8):
        environment = make_environment()
        make_deploy(environment)
        see(environment)
    client.force_login(make_user("ada", is_admin=True))
    answer = client.get("/", headers={"Accept-Encoding": "gzip"})
    assert answer["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in answer["Vary"]
    page = gzip.decompress(answer.content).decode()
    sizes = {"/": len(answer.content)}
    for address in addresses(page):
        path = with_collected / address.removeprefix("/static/")
        packed = path.with_name(path.name + ".gz")
        assert re.search(r"\.[0-9a-f]{12}\.", path.name), address
        sizes[address] = packed.stat().st_size if packed.exists() else path.stat().st_size
    assert len(sizes) > 7
    assert sum(sizes.values()) < MOST_BYTES, sizes


def scripts_of(path: Path) -> set[Path]:
    """A script with what it imports."""
    found = {path}
    for name in re.findall(r'from "\./([^"]+)"', path.read_text() if path.suffix == ".js" else ""):
        found |= scripts_of(path.with_name(name))
    return found


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path",
    ["/", "/projects/{slug}/", "/projects/{slug}/production/", "/deploys/{number}/", "/deploys/", "/builds/", "/secrets/",
     "/registry/", "/audit/", "/admin/people/", "/admin/people/{person}/roles/", "/login/"],
)  # fmt: skip
def test_the_first_load_of_each_main_page_is_small(with_collected: Path, client: Client, path: str) -> None:
    """With sixty projects, everything that the browser fetches, as it is sent."""
    for number in range(60):
        project = make_project(slug=f"project-{number}", name=f"Project {number}")
        environment = make_environment(project, slug="production", name="Production")
        deploy = make_deploy(environment)
        see(environment)
        record(
            person(deploy_user(number)), "project.changed", target_kind="project", target_text=project.name
        )
    admin = make_user("ada", is_admin=True)
    if path != "/login/":
        client.force_login(admin)
    address = path.format(slug="project-7", number=deploy.number, person=admin.pk)
    answer = client.get(address, headers={"Accept-Encoding": "gzip"})
    assert answer.status_code == 200
    packed_page = answer.content
    page = gzip.decompress(packed_page) if answer.get("Content-Encoding") == "gzip" else packed_page
    files = {with_collected / one.removeprefix("/static/") for one in addresses(page.decode())}
    sizes = {one.name: packed_size(one) for file in files for one in scripts_of(file)}
    total = len(packed_page) + sum(sizes.values())
    assert total < MOST_BYTES, (len(packed_page), sizes)


def packed_size(path: Path) -> int:
    packed = path.with_name(path.name + ".gz")
    return packed.stat().st_size if packed.exists() else path.stat().st_size


def deploy_user(number: int) -> Any:
    return make_user(f"person-{number}")


def test_scripts_import_each_other_by_the_collected_name(with_collected: Path) -> None:
    storage = StaticFiles()
    live = (with_collected / storage.stored_name("js/live.js")).read_text()
    assert f'from "./{Path(storage.stored_name("js/app.js")).name}"' in live
    assert 'from "./app.js"' not in live


def test_without_collecting_every_file_has_its_own_name(client: Client) -> None:
    assert storages.staticfiles_storage.url("css/base.css") == "/static/css/base.css"
    for address in ("/static/css/base.css", "/static/django_htmx/htmx-2.min.js"):
        assert client.get(address).status_code == 200


def test_collected_files_come_compressed_and_for_ever(with_collected: Path, client: Client) -> None:
    address = storages.staticfiles_storage.url("css/components.css")
    answer = client.get(address, headers={"Accept-Encoding": "gzip"})
    assert answer["Content-Encoding"] == "gzip"
    assert "immutable" in answer["Cache-Control"]
    assert int(answer["Content-Length"]) < (with_collected / "css/components.css").stat().st_size / 2


class TestCompression:
    def answer(self, response: Any, path: str = "/", encoding: str = "gzip") -> Any:
        request = RequestFactory().get(path, headers={"Accept-Encoding": encoding})
        return CompressedPages(lambda request: response)(request)

    def test_a_page_is_compressed(self) -> None:
        answer = self.answer(HttpResponse("word " * 500))
        assert gzip.decompress(answer.content) == b"word " * 500

    def test_the_same_page_is_not_always_as_long(self) -> None:
        """An attacker who measures lengths measures noise."""
        assert len({len(self.answer(HttpResponse("word " * 500)).content) for _ in range(30)}) > 1

    def test_who_cannot_unpack_gets_it_plain(self) -> None:
        assert self.answer(HttpResponse("word " * 500), encoding="identity").content == b"word " * 500

    def test_what_no_cache_may_keep_is_left_alone(self) -> None:
        response = HttpResponse("word " * 500)
        add_never_cache_headers(response)
        assert "Content-Encoding" not in self.answer(response)

    @pytest.mark.django_db
    @pytest.mark.parametrize(
        "path",
        [
            "/account/mfa/",
            "/account/mfa/totp/activate/",
            "/account/mfa/recovery-codes/",
            "/account/mfa/recovery-codes/generate/",
            "/setup/",
        ],
    )
    def test_pages_that_show_secrets_are_left_alone(self, client: Client, path: str) -> None:
        """Each with what makes it show one."""
        if path == "/setup/":
            path += f"{new_setup_link()}/"
        else:
            user = make_user("ana")
            client.force_login(user)
            if "recovery" in path:
                TOTP.activate(user, "JBSWY3DPEHPK3PXP")  # the example of its standard
                RecoveryCodes.activate(user)
            client.post("/reauthenticate/", {"password": PASSWORD})
        answer = client.get(path, headers={"Accept-Encoding": "gzip", "accept": "text/html"})
        assert answer.status_code == 200
        assert len(answer.content) > 500
        assert "no-store" in answer["Cache-Control"]
        assert "Content-Encoding" not in answer

    @pytest.mark.parametrize("kind", ["application/json", "text/plain", "text/csv", "text/event-stream"])
    def test_anything_else_is_left_alone(self, kind: str) -> None:
        assert "Content-Encoding" not in self.answer(HttpResponse("word " * 500, content_type=kind))

    def test_streams_are_not_held_back(self) -> None:
        assert "Content-Encoding" not in self.answer(StreamingHttpResponse(iter(["word "] * 500)))
