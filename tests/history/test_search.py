"""Searching subjects part by part: no page reads more than a part, what was searched is said, and nothing is missed."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from deployments.models import Deploy
from deployments.pages import history
from projects.models import Environment, Role
from tests.factories import grant, make_deploy, make_environment, make_project, make_user
from tests.history.test_history import rows_of, shown

PART = 20


@pytest.fixture
def long(db, monkeypatch):
    """Sixty deploys of one environment, three of which speak of prices: 5, 8 and 55. A part is 20 of them."""
    monkeypatch.setattr(history, "SEARCHED_AT_ONCE", PART)
    environment = make_environment(make_project(slug="shop"), slug="staging")
    for number in range(1, 61):
        make_deploy(environment, subject="Show Prices" if number in (5, 8, 55) else f"Change {number}")
    return environment


@pytest.fixture
def member(long):
    user = make_user("vera")
    grant(user, Role.VIEWER, long.project)
    return user


def text_of(response) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", response.content.decode())).split())


def link(response, rel: str) -> str:
    """The address that goes on; empty when there is none."""
    found = re.search(rf'href="(\?[^"]*)" rel="{rel}"', response.content.decode())
    return unescape(found[1]) if found else ""


def walk(get, user, address: str, rel: str) -> list[list[int]]:
    """The numbers on each page, going on until there is no way further."""
    pages = []
    while address:
        assert len(pages) < 10, "it never ends"
        response = get(user, f"/deploys/{address}")
        pages.append(shown(response))
        address = link(response, rel)
    return pages


@pytest.mark.parametrize("who", ["admin", "member"])
def test_going_further_back_finds_everything_and_ends(long, admin, member, get, who):
    user = admin if who == "admin" else member
    assert walk(get, user, "?q=prices", "next") == [[55], [], [8, 5]]
    assert walk(get, user, "?q=nowhere", "next") == [[], [], []]


def test_and_back_again(long, admin, get):
    assert walk(get, admin, "?q=prices&before=21", "prev") == [[8, 5], [], [], [55]]


def test_what_was_searched_is_said(long, admin, get):
    first = get(admin, "/deploys/?q=prices")
    assert "Searched for this page: #41 to #60." in text_of(first)
    assert "Look further back" in text_of(first)
    nothing = get(admin, f"/deploys/{link(first, 'next')}")
    assert "Nothing found in this part" in text_of(nothing)
    assert "Searched for this page: #21 to #40." in text_of(nothing)
    last = get(admin, f"/deploys/{link(nothing, 'next')}")
    assert "Searched for this page: #1 to #20. There are no older ones." in text_of(last)


def test_a_page_that_is_full_goes_on_where_it_ended(long, admin, get, monkeypatch):
    monkeypatch.setattr(history, "SEARCHED_AT_ONCE", 50)
    first = get(admin, "/deploys/?q=change")
    assert shown(first) == [n for n in range(60, 34, -1) if n != 55]
    assert "Searched for this page" not in text_of(first), "nothing was left out"
    pages = walk(get, admin, "?q=change", "next")
    assert [n for page in pages for n in page] == [n for n in range(60, 0, -1) if n not in (5, 8, 55)]


def test_few_are_searched_at_once(long, admin, get):
    """A project or a time narrows what is searched: what indexes find is not walked through part by part."""
    other = make_environment(make_project(slug="other"), slug="staging")
    make_deploy(other, subject="Show prices")
    for number in range(40):
        make_deploy(long, subject=f"Later {number}")
    response = get(admin, "/deploys/?q=prices&project=other")
    assert shown(response) == [61]
    assert "Searched for this page" not in text_of(response)
    today = Deploy.objects.get(number=1).created_at.date()
    assert "Searched for this page" in text_of(get(admin, f"/deploys/?q=nowhere&since={today}"))


def test_dates_bound_what_is_searched(long, admin, get):
    early = Deploy.objects.get(number=1).created_at
    Deploy.objects.filter(number__lte=30).update(created_at=early.replace(year=early.year - 1))
    day = early.replace(year=early.year - 1).date()
    assert walk(get, admin, f"?q=prices&until={day}", "next") == [[], [8, 5]]
    assert walk(get, admin, f"?q=prices&since={day.replace(year=day.year + 1)}", "next") == [[55], []]


@pytest.mark.parametrize(
    "address", ["before=1", "before=0", "before=99999", "after=99999", "after=0", "before=x"]
)
def test_addresses_that_nobody_gave(long, admin, get, address):
    response = get(admin, f"/deploys/?q=prices&{address}")
    assert set(shown(response)) <= {5, 8, 55}


def test_other_projects_are_not_found(long, member, get):
    secret = make_environment(make_project(slug="secret-plans"), slug="staging")
    make_deploy(secret, subject="Buy prices")
    assert [n for page in walk(get, member, "?q=prices", "next") for n in page] == [55, 8, 5]


def test_the_export_holds_all_that_fit(long, admin, get):
    response = get(admin, "/deploys/export.csv?q=prices&state=succeeded")
    assert [row["number"] for row in rows_of(response)] == ["55", "8", "5"]


def test_every_reading_is_bounded_and_their_number_does_not_grow(long, member, client):
    """No query that looks at subjects is without a bound at both ends."""
    client.force_login(member)
    client.get("/deploys/?q=prices")
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(
            connection,
        ) as asked:
            client.get("/deploys/?q=prices")
        counts.append(len(asked))
        (search,) = [q["sql"] for q in asked if "LIKE" in q["sql"]]
        assert '"number" >= ' in search
        assert '"number" <= ' in search
        place = Environment.objects.create(
            project=long.project, slug=f"e{len(counts)}", name="e", cluster=long.cluster, namespace=f"e{len(counts)}"
        )  # fmt: skip
        for _ in range(30):
            make_deploy(place)
    assert counts[0] == counts[1] <= 11
