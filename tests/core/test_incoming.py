"""What a request may bring: bodies of a bounded length, refused before they are read, and no NUL."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from core.incoming import bounded, longest_body
from portal.errors import too_large
from tests.factories import make_environment, make_secrets_file, make_user

LIMIT = django_settings.LONGEST_BODY


class Server:
    """Sends a body in pieces, as uvicorn does, and keeps the answer. `taken`: bytes that the application took."""

    def __init__(self, path: str, pieces: list[bytes], **headers: str) -> None:
        self.scope = {
            "type": "http", "path": path, "method": "POST",
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        }  # fmt: skip
        self.pieces, self.taken = pieces, 0
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        piece = self.pieces.pop(0)
        self.taken += len(piece)
        return {"type": "http.request", "body": piece, "more_body": bool(self.pieces)}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def ask(self) -> int:
        """The status; 200 from an application that reads the whole body first, as Django does."""

        async def reads(scope: Any, receive: Any, send: Any) -> None:
            while (await receive())["more_body"]:
                pass
            await send({"type": "http.response.start", "status": 200, "headers": []})

        asyncio.run(bounded(reads, too_large)(self.scope, self.receive, self.send))
        return int(self.sent[0]["status"])


def test_a_body_that_says_it_is_too_long_is_not_read() -> None:
    server = Server("/login/", [b"x"], content_length="300000000", accept="text/html")
    assert server.ask() == 413
    assert server.taken == 0
    assert (b"connection", b"close") in server.sent[0]["headers"]
    assert b"More was sent than the portal takes here" in server.sent[1]["body"]


def test_a_body_without_a_length_is_counted() -> None:
    piece = b"x" * 65_536
    server = Server("/login/", [piece] * 1000, transfer_encoding="chunked", accept="application/json")
    assert server.ask() == 413
    assert server.taken <= LIMIT + len(piece)
    assert b'"code": "too-large"' in server.sent[1]["body"]


def test_a_body_that_fits_is_taken() -> None:
    assert Server("/login/", [b"x" * LIMIT], content_length=str(LIMIT)).ask() == 200
    assert Server("/no/such/page/", [b"x" * LIMIT]).ask() == 200


@pytest.mark.parametrize("said", ["", "-1", "many", "1e9"])
def test_a_length_that_is_no_number_is_counted_all_the_same(said: str) -> None:
    assert Server("/login/", [b"x" * (LIMIT + 1)], content_length=said).ask() == 413


def test_pages_that_take_files_take_more() -> None:
    file = "/projects/shop/staging/secrets/1/"
    for path in (f"{file}import/", f"{file}set/", reverse("projects:cluster-new"), "/admin/clusters/lon1/"):
        assert longest_body(path) == django_settings.FILE_UPLOAD_MAX_MEMORY_SIZE, path
    for path in ("/login/", "/admin/people/new/", "/nowhere/", "/projects/shop/staging/deploy/"):
        assert longest_body(path) == LIMIT, path


def test_no_body_reaches_a_disk() -> None:
    """Django's own buffer moves to a file beyond this length."""
    assert LIMIT < django_settings.FILE_UPLOAD_MAX_MEMORY_SIZE


@pytest.mark.django_db
class TestNul:
    @pytest.fixture
    def ana(self) -> Client:
        client = Client(raise_request_exception=False)
        client.force_login(make_user("ana", is_admin=True))
        return client

    @pytest.mark.parametrize(
        "address",
        [
            "/?q=%00",
            "/?%00=1",
            "/projects/%00/",
            "/deploys/?project=%00",
            "/audit/?target=%00",
            "/%00",
            "/login/?next=%00",
        ],
    )
    def test_in_an_address(self, ana: Client, address: str) -> None:
        assert ana.get(address).status_code == 400

    @pytest.mark.parametrize("name", ["revision", "note\x00"])
    def test_in_a_form(self, ana: Client, name: str) -> None:
        place = make_environment()
        address = reverse("deployments:new", args=[place.project.slug, place.slug])
        assert ana.post(address, {name: "a\x00b"}).status_code == 400

    def test_in_a_sign_in(self) -> None:
        client = Client(raise_request_exception=False)
        assert client.post("/login/", {"login": "a\x00", "password": "x"}).status_code == 400

    def test_in_a_cookie(self) -> None:
        """Django decodes `\\000` in quoted cookies."""
        client = Client(raise_request_exception=False)
        client.cookies["sessionid"] = "a\x00b"
        assert client.get("/").status_code == 400

    def test_a_file_may_hold_anything(self, ana: Client) -> None:
        place = make_environment()
        file = make_secrets_file(place)
        address = reverse("secrets:import", args=[place.project.slug, place.slug, file.pk])
        sent = {"file": SimpleUploadedFile("x.env", b"A=\x00")}
        assert ana.post(address, sent).status_code != 400
