"""One rendering of the board for all who may see the same, and never an older one than a viewer was told of."""

from __future__ import annotations

import gzip
import re
import time
from typing import Any

import pytest
from django.test import Client

from core import changes
from core.dbclock import database_seconds
from portal import board as boards
from portal import shared_board
from projects.models import Role
from tests.factories import grant, make_project, make_user

HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    shared_board._made.clear()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The people for whom the board was made."""
    found: list[Any] = []
    real = boards.board
    monkeypatch.setattr(boards, "board", lambda user, **more: found.append(user) or real(user, **more))
    return found


def signed_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def ask(client: Client, address: str = "/", told: float = 0) -> str:
    more = {"HTTP_SLIPWAY_TOLD": f"{told:.6f}"} if told else {}
    return client.get(address, **HTMX, **more).content.decode()


def test_all_with_the_same_rights_share_one(shop: Any, admin: Any, made: list[Any]) -> None:
    other = make_user("second", is_admin=True)
    clients = [signed_in(user) for user in (admin, other)]  # a sign-in is an audit event
    assert ask(clients[0]) == ask(clients[1])
    assert made == [admin]


def test_other_rights_another_board(
    shop: Any, admin: Any, viewer: Any, deployer: Any, made: list[Any]
) -> None:
    pages = [ask(signed_in(user)) for user in (admin, viewer, deployer)]
    assert made == [admin, viewer, deployer]
    assert "you are viewer here" in pages[1]
    assert "you are viewer here" not in pages[0] + pages[2]


def test_a_role_that_is_taken_away_counts_at_once(shop: Any, viewer: Any) -> None:
    client = signed_in(viewer)
    assert "The Shop" in ask(client)
    viewer.memberships.all().delete()
    assert "The Shop" not in ask(client)
    grant(viewer, Role.DEPLOYER, shop)
    assert "you are viewer here" not in ask(client)


def test_a_role_given_while_it_is_made_shows_others_nothing(
    shop: Any, viewer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was made for more rights than the request began with is kept for nobody."""
    other = make_user("second")
    grant(other, Role.VIEWER, shop)
    client, of_another = signed_in(viewer), signed_in(other)
    hidden = make_project(slug="hidden")
    real = shared_board.noted

    def noted() -> shared_board.Version:
        if not viewer.memberships.filter(project=hidden).exists():
            grant(viewer, Role.VIEWER, hidden)
        return real()

    monkeypatch.setattr(shared_board, "noted", noted)
    assert "projects/hidden" in ask(client)  # it is theirs by now
    assert "projects/hidden" not in ask(of_another)
    assert "projects/hidden" not in ask(of_another, told=database_seconds() - 5)


def test_what_is_a_persons_own_is_not_shared(shop: Any, admin: Any, made: list[Any]) -> None:
    other = make_user("second", is_admin=True)
    for user in (admin, other):
        ask(signed_in(user), "/?show=mine")
    assert made == [admin, other]


def test_each_address_has_its_own(shop: Any, admin: Any, made: list[Any]) -> None:
    client = signed_in(admin)
    assert "No project fits" in ask(client, "/?q=nowhere")
    assert "No project fits" not in ask(client)
    assert len(made) == 2


def test_after_a_change_it_is_made_anew(shop: Any, admin: Any, made: list[Any]) -> None:
    client = signed_in(admin)
    ask(client)
    changes.note("shop")
    ask(client)
    ask(client)
    assert len(made) == 2


def test_who_was_told_gets_what_was_begun_later_and_nothing_older(
    shop: Any, admin: Any, made: list[Any]
) -> None:
    """Further changes make nobody wait for another one: they are told anew."""
    client = signed_in(admin)
    ask(client)
    time.sleep(0.002)
    told = database_seconds()
    time.sleep(0.002)
    ask(client, told=told)
    assert len(made) == 1  # nothing was noted since: still true
    changes.note("shop")
    told = database_seconds()
    time.sleep(0.002)
    ask(client, told=told)
    changes.note("shop")
    ask(client, told=told)
    assert len(made) == 2
    ask(client, told=told + 1000)
    assert len(made) == 3


@pytest.mark.parametrize("told", ["", "x", "-1", "1e99", "nan", "9" * 400])
def test_an_odd_moment_is_none(shop: Any, admin: Any, made: list[Any], told: str) -> None:
    client = signed_in(admin)
    ask(client)
    changes.note("shop")
    assert client.get("/", **HTMX, HTTP_SLIPWAY_TOLD=told).status_code == 200
    assert len(made) == 2


def test_it_ages(shop: Any, admin: Any, made: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_board, "FRESH_SECONDS", -1.0)
    client = signed_in(admin)
    ask(client)
    ask(client, told=database_seconds() - 60)
    assert len(made) == 2


def test_it_is_compressed_once(shop: Any, admin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = signed_in(admin)
    plain = client.get("/", **HTMX)
    packed = [client.get("/", **HTMX, HTTP_ACCEPT_ENCODING="gzip, br") for _ in range(2)]
    assert packed[0].content == packed[1].content
    assert packed[0]["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed[0]["Vary"]
    assert gzip.decompress(packed[0].content) == plain.content


@pytest.mark.parametrize("who", ["admin", "viewer", "deployer"])
def test_the_part_alone_says_the_same_as_in_the_page(shop: Any, request: Any, who: str) -> None:
    """It is made without the reader's own things, so it must not need any."""
    client = signed_in(request.getfixturevalue(who))
    page, part = client.get("/").content.decode(), ask(client)
    assert _without_moments(part) in _without_moments(page)


def _without_moments(text: str) -> str:
    """The text without seconds that pass between two requests."""
    return re.sub(r"\d+ s\b", "", " ".join(text.split()))
