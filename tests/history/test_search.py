"""Searching subjects: everything that fits is found, page after page; on PostgreSQL by an index."""

from __future__ import annotations

import importlib
import re
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from deployments.models import Deploy
from projects.models import Environment, Role
from tests.factories import grant, make_deploy, make_environment, make_project, make_user
from tests.history.test_history import rows_of, shown

INDEX = "deploy_subject_words"
migration = importlib.import_module("deployments.migrations.0005_subject_search")
postgresql_only = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="PostgreSQL has the index (tests/everything.py runs this there)"
)


@pytest.fixture
def long(db):
    """Sixty deploys of one environment, three of which speak of prices: 5, 8 and 55."""
    environment = make_environment(make_project(slug="shop"), slug="staging")
    for number in range(1, 61):
        make_deploy(environment, subject="Show Prices" if number in (5, 8, 55) else f"Change {number}")
    return environment


@pytest.fixture
def member(long):
    user = make_user("vera")
    grant(user, Role.VIEWER, long.project)
    return user


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
def test_everything_is_found_at_once(long, admin, member, get, who):
    user = admin if who == "admin" else member
    assert walk(get, user, "?q=prices", "next") == [[55, 8, 5]]
    assert walk(get, user, "?q=RICE", "next") == [[55, 8, 5]]
    assert walk(get, user, "?q=nowhere", "next") == [[]]


@pytest.mark.parametrize("who", ["admin", "member"])
def test_a_page_that_is_full_goes_on_where_it_ended_and_back(long, admin, member, get, who):
    user = admin if who == "admin" else member
    wanted = [n for n in range(60, 0, -1) if n not in (5, 8, 55)]
    assert walk(get, user, "?q=change", "next") == [wanted[:25], wanted[25:50], wanted[50:]]
    assert walk(get, user, f"?q=change&before={wanted[49]}", "prev") == [
        wanted[50:],
        wanted[25:50],
        wanted[:25],
    ]


@pytest.mark.parametrize("text", ["100%", "a_b", "back\\slash", "ü", "x"])
def test_signs_stand_for_themselves(long, admin, get, text):
    found = make_deploy(long, subject=f"It is {text}.")
    make_deploy(long, subject="It is 1000, acb, backslash, u.")
    assert shown(get(admin, f"/deploys/?q={text.replace('%', '%25')}")) == [found.number]


def test_the_other_filters_hold_as_well(long, admin, get):
    other = make_environment(make_project(slug="other"), slug="staging")
    make_deploy(other, "failed", subject="Show prices")
    early = Deploy.objects.get(number=5).created_at
    Deploy.objects.filter(number__lte=30).update(created_at=early.replace(year=early.year - 1))
    assert shown(get(admin, "/deploys/?q=prices&project=other")) == [61]
    assert shown(get(admin, "/deploys/?q=prices&state=succeeded")) == [55, 8, 5]
    assert shown(get(admin, f"/deploys/?q=prices&until={early.year - 1}-12-31")) == [8, 5]


@pytest.mark.parametrize(
    "address", ["before=1", "before=0", "before=99999", "after=99999", "after=0", "before=x"]
)
def test_addresses_that_nobody_gave(long, admin, get, address):
    response = get(admin, f"/deploys/?q=prices&{address}")
    assert set(shown(response)) <= {5, 8, 55}


def test_other_projects_are_not_found(long, member, get):
    secret = make_environment(make_project(slug="secret-plans"), slug="staging")
    make_deploy(secret, subject="Buy prices")
    assert shown(get(member, "/deploys/?q=prices")) == [55, 8, 5]


def test_the_export_holds_all_that_fit(long, admin, get):
    response = get(admin, "/deploys/export.csv?q=prices&state=succeeded")
    assert [row["number"] for row in rows_of(response)] == ["55", "8", "5"]


def test_the_number_of_queries_does_not_grow(long, member, client):
    client.force_login(member)
    client.get("/deploys/?q=prices")
    counts = []
    for _ in range(3):
        with CaptureQueriesContext(connection) as asked:
            client.get("/deploys/?q=prices")
        counts.append(len(asked))
        place = Environment.objects.create(
            project=long.project, slug=f"e{len(counts)}", name="e", cluster=long.cluster, namespace=f"e{len(counts)}"
        )  # fmt: skip
        for _ in range(30):
            make_deploy(place, subject="Prices")
    one, *several = counts  # the list of one environment offers the way back
    assert one <= 13
    assert several[0] == several[1] <= 8


def run(direction: str) -> None:
    """The migration, forwards (`create`) or backwards (`drop`)."""
    with connection.schema_editor(atomic=False) as editor:
        getattr(migration, direction)(None, editor)


def is_valid() -> bool | None:
    """Whether the index can be used; None when there is none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [INDEX])
        row = cursor.fetchone()
    return row and row[0]


@postgresql_only
def test_postgresql_finds_words_by_the_index(long):
    words = Deploy.objects.filter(subject__icontains="prices").order_by()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        plan = words.explain()
    assert INDEX in plan


@postgresql_only
@pytest.mark.django_db(transaction=True)
def test_the_migration_goes_back_and_forth_and_mends_a_build_that_was_interrupted():
    assert is_valid()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass(%s)", [INDEX])
    run("create")
    assert is_valid()
    run("drop")
    assert is_valid() is None
    run("create")
    assert is_valid()


@postgresql_only
@pytest.mark.django_db(transaction=True)
def test_without_the_right_to_create_the_extension_the_migration_says_so_and_goes_on(caplog):
    with connection.cursor() as cursor:
        cursor.execute("DROP EXTENSION pg_trgm CASCADE")
        cursor.execute("CREATE ROLE without_rights")
        cursor.execute("SET ROLE without_rights")
        try:
            run("create")
        finally:
            cursor.execute("RESET ROLE")
            cursor.execute("DROP ROLE without_rights")
        assert is_valid() is None
        assert "pg_trgm cannot be created" in caplog.text
        run("create")
    assert is_valid()
