"""Every address, every role, GET and POST: the table is the truth, and an address that it lacks fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from core.slugs import RESERVED
from tests.access.addresses import addresses
from tests.access.table import COLUMNS, TABLE
from tests.ui.wording import faults

RAW = "admin:"  # Django's own admin, whose rule is tested below
OPEN_IN_RAW = {"admin:login", "admin:logout"}
# Who may do what is the same on both databases. Of these two every page asks both of them all that it asks for anyone.
ON_BOTH_DATABASES = ("admin", "deploys staging")
ROLES = [
    pytest.param(role, marks=() if role in ON_BOTH_DATABASES else pytest.mark.any_database)
    for role in COLUMNS
]


@contextmanager
def undone() -> Iterator[None]:
    """What a request does is taken back, so that each row finds the same world."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


WORDS: set[str] = set()  # faults in the words of the answers


@pytest.fixture
def ask(world: Any) -> Any:
    """`ask(role)(method, address)`: the status that this role gets. Responses that stream are not read."""

    def as_role(role: str) -> Any:
        client = Client(raise_request_exception=False)
        if world.people[role] is not None:
            client.force_login(world.people[role])
        cookies = client.cookies.copy()

        def status(method: str, address: str) -> int:
            client.cookies = cookies.copy()
            with undone():
                answer = client.generic(
                    method, address.format(**world.words), headers={"accept": "text/html"}
                )
                if "text/html" in answer.get("Content-Type", "") and not answer.streaming:
                    WORDS.update(
                        {f"{method} {address}: {fault}" for fault in faults(answer.content.decode())}
                    )
                return answer.status_code

        return status

    return as_role


def test_every_address_is_in_the_table_and_nothing_else() -> None:
    known = {name for name, _ in addresses() if not name.startswith(RAW)}
    assert known == {name for name, *_ in TABLE}


def test_the_addresses_of_the_table_are_those_of_their_names() -> None:
    routes = dict(addresses())
    for name, address, *_ in TABLE:
        # "/deploys/{good}/" must match "deploys/<int:number>/"
        pattern = re.sub(r"<[^>]+>", "[^/]+", routes[name])
        assert re.fullmatch(pattern, address.lstrip("/")), f"{name}: {address}"


def test_words_of_addresses_are_no_slugs() -> None:
    """Where a project's or environment's slug may stand, each word of the portal's own is reserved."""
    words = set()
    for _, route in addresses():
        parts = [part for part in route.split("/") if part]
        if parts[:1] == ["projects"]:
            words |= {part for part in parts[1:3] if not part.startswith("<")}
    assert words >= {"new", "settings"}
    assert words - RESERVED == set()


def test_each_row_has_an_answer_for_each_column() -> None:
    for name, _, *answers in TABLE:
        assert [len(answer.split()) for answer in answers] == [len(COLUMNS)] * 2, name


@pytest.mark.parametrize("role", ROLES)
def test_the_answers_of_the_table(ask: Any, role: str) -> None:
    column, wrong = COLUMNS.index(role), []
    status = ask(role)
    for name, address, getting, posting in TABLE:
        for method, answers in (("GET", getting), ("POST", posting)):
            wanted, got = int(answers.split()[column]), status(method, address)
            if got != wanted:
                wrong.append(f"{method} {name} {address}: {got}, not {wanted}")
    assert wrong == []
    assert set() == WORDS


@pytest.mark.any_database
@pytest.mark.parametrize("role", [role for role in COLUMNS if role != "admin"])
def test_the_raw_tables_are_for_admins_alone(ask: Any, role: str) -> None:
    status, found = ask(role), []
    for name, route in addresses():
        if name.startswith(RAW) and name not in OPEN_IN_RAW and "^" not in route and "(" not in route:
            address = "/" + re.sub(r"<[^>]+>", "1", route)
            found += [
                f"{method} {address}"
                for method in ("GET", "POST")
                if status(method, address) not in (302, 401, 403)
            ]
    assert found == []


def test_admins_open_every_raw_table_and_change_nothing_that_is_history(ask: Any) -> None:
    status = ask("admin")
    lists = [route for name, route in addresses() if name.startswith(RAW) and name.endswith("_changelist")]
    assert {status("GET", f"/{route}") for route in lists} == {200}
    for history in (
        "audit/auditevent",
        "deployments/deploy",
        "deployments/release",
        "runs/logchunk",
        "runs/step",
    ):
        for action in ("add/", "1/delete/"):
            assert status("POST", f"/django-admin/{history}/{action}") in (302, 403), history
