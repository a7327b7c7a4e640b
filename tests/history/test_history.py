"""The history page and its export."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from audit.models import AuditEvent
from deployments.models import Deploy
from deployments.pages import history
from projects.models import Environment, Role
from tests.factories import grant, make_deploy, make_environment, make_project, make_user


def shown(response) -> list[int]:
    """The numbers of the deploys on the page, in order."""
    assert response.status_code == 200
    return [int(number) for number in re.findall(r'href="/deploys/(\d+)/">#', response.content.decode())]


def test_the_newest_first_with_all_that_matters(shop, admin, get):
    response = get(admin, "/deploys/")
    html = response.content.decode()
    assert shown(response) == [6, 5, 4, 3, 2, 1]
    assert "https://github.com/acme/shop/commit/" + "5abc".ljust(40, "0") in html
    assert "Container web exits at start." in html
    assert "All ready." not in html
    assert 'href="/projects/shop/production/"' in html


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("project=shop", [6, 5, 4, 3, 2, 1]),
        ("environment=production", [6, 5, 4]),
        ("person=dora", [6, 4, 2]),
        ("state=failed&environment=staging", [2]),
        ("kind=rollback", []),
        ("revision=3ABC", [4]),
        ("revision=3abc0000", [4]),
        ("revision=zzz", []),
        ("q=change+5", [5]),
        ("person=nobody", []),
    ],
)
def test_each_filter(shop, admin, get, query, numbers):
    assert shown(get(admin, f"/deploys/?{query}")) == numbers


def test_dates_include_their_days(shop, admin, get):
    Deploy.objects.filter(number__lte=2).update(created_at=timezone.now() - timedelta(days=3))
    today = timezone.now().date()
    assert shown(get(admin, f"/deploys/?since={today}")) == [6, 5, 4, 3]
    assert shown(get(admin, f"/deploys/?until={today - timedelta(days=3)}")) == [2, 1]
    assert shown(get(admin, f"/deploys/?since={today - timedelta(days=3)}&until={today}")) == [
        6,
        5,
        4,
        3,
        2,
        1,
    ]


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "9000-01-02", "9999-12-31"])
@pytest.mark.parametrize("address", ["/deploys/", "/deploys/export.csv", "/audit/"])
@pytest.mark.parametrize("name", ["since", "until"])
def test_days_without_neighbours_are_days_too(shop, admin, get, address, name, day):
    everything = (name == "since") == (day < "2000")
    response = get(admin, f"{address}?{name}={day}")
    assert response.status_code == 200
    if address == "/deploys/":
        assert shown(response) == ([6, 5, 4, 3, 2, 1] if everything else [])


@pytest.mark.parametrize("query", ["since=yesterday", "state=exploded", "kind=x"])
def test_a_filter_that_makes_no_sense_is_named(shop, admin, get, query):
    response = get(admin, f"/deploys/?{query}")
    assert shown(response) == []
    assert 'class="error"' in response.content.decode()
    assert get(admin, f"/deploys/export.csv?{query}")["Content-Type"].startswith("text/html")
    assert not AuditEvent.objects.filter(verb="history.exported").exists()


def test_a_member_sees_his_projects_only(shop, other, viewer, get):
    response = get(viewer, "/deploys/")
    assert shown(response) == [6, 5, 4, 3, 2, 1]
    assert "secret-plans" not in response.content.decode()
    assert shown(get(viewer, "/deploys/?project=secret-plans")) == []
    assert shown(get(viewer, "/deploys/?q=competitor")) == []


def test_a_role_on_one_environment_shows_the_project(shop, get):
    user = make_user("stan")
    grant(user, Role.DEPLOYER, shop, Environment.objects.get(project=shop, slug="staging"))
    assert shown(get(user, "/deploys/")) == [6, 5, 4, 3, 2, 1]


def test_an_auditor_sees_no_deploys(shop, get):
    response = get(make_user("otto", is_auditor=True), "/deploys/")
    assert shown(response) == []
    assert "No deploys yet" in response.content.decode()


def test_nobody_is_asked_to_sign_in(shop, client):
    assert client.get("/deploys/").status_code == 302
    assert client.get("/deploys/export.csv").status_code == 302


def test_only_reading(shop, admin, client):
    client.force_login(admin)
    assert client.post("/deploys/").status_code == 405
    assert client.post("/deploys/export.csv").status_code == 405


def test_empty_states(admin, get):
    assert "No deploys yet" in get(admin, "/deploys/").content.decode()
    assert "No deploy fits" in get(admin, "/deploys/?state=failed").content.decode()


def walk(get, user, address):
    """All pages from the newest to the oldest."""
    found = []
    while address:
        response = get(user, f"/deploys/{address}")
        found += shown(response)
        older = re.search(r'href="(\?[^"]*before=\d+)"', response.content.decode())
        address = older[1].replace("&amp;", "&") if older else ""
    return found


@pytest.mark.parametrize("who", ["admin", "member"])
@pytest.mark.parametrize("query", ["?", "?state=failed", "?person=ada", "?environment=staging"])
def test_walking_through_all_pages_misses_nothing(shop, other, admin, viewer, get, who, query):
    """Deploys lie unevenly over environments: one is dormant, one has most of them."""
    busy = make_environment(shop, slug="preview")
    for n in range(70):
        make_deploy(busy if n % 7 else Environment.objects.get(project=shop, slug="staging"),
                    "failed" if n % 3 else "succeeded", actor_text="ada" if n % 2 else "dora")  # fmt: skip
    user = admin if who == "admin" else viewer
    chosen = history.HistoryFilter(dict(p.split("=") for p in query[1:].split("&") if p), user=user)
    expected = list(chosen.qs.order_by("-number").values_list("number", flat=True))
    assert len(expected) > 10
    assert walk(get, user, query) == expected


def test_going_back_to_newer_pages(shop, viewer, get):
    busy = make_environment(shop, slug="preview")
    for _ in range(60):
        make_deploy(busy)
    assert shown(get(viewer, "/deploys/?after=6"))[-1] == 7
    assert len(shown(get(viewer, "/deploys/?after=6"))) == 25
    assert shown(get(viewer, "/deploys/?after=2&environment=production")) == [6, 5, 4]


def rows_of(response) -> list[dict[str, str]]:
    assert response.status_code == 200
    return list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode())))


def test_the_export_holds_what_the_filters_leave(shop, admin, get):
    response = get(admin, "/deploys/export.csv?state=failed")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"].startswith('attachment; filename="deploys-')
    rows = rows_of(response)
    assert [row["number"] for row in rows] == ["6", "4", "2"]
    assert rows[0]["environment"] == "production"
    assert rows[0]["revision"] == "5abc".ljust(40, "0")
    assert rows[0]["url"].endswith("/deploys/6/")


def test_an_export_is_audited_with_its_filters(shop, admin, get):
    rows_of(get(admin, "/deploys/export.csv?state=failed"))
    event = AuditEvent.objects.get(verb="history.exported")
    assert event.actor_text == "ada"
    assert event.data == {"filters": {"state": "failed"}}


def test_a_member_exports_his_projects_only(shop, other, viewer, get):
    assert {row["project"] for row in rows_of(get(viewer, "/deploys/export.csv"))} == {"shop"}


def test_a_subject_that_is_a_formula_is_disarmed(shop, admin, get):
    make_deploy(
        Environment.objects.first(),
        subject='=HYPERLINK("http://x","y")',
        reason="+1",
        started_at=timezone.now(),
    )
    row = rows_of(get(admin, "/deploys/export.csv"))[0]
    assert row["subject"].startswith("'=")
    assert row["reason"] == "'+1"
    assert row["seconds"] == ""


def test_long_exports_come_whole(shop, viewer, get, monkeypatch):
    busy = make_environment(shop, slug="preview")
    for _ in range(20):
        make_deploy(busy)
    monkeypatch.setattr(
        "core.csvexport.by_key.__defaults__",
        (4, *__import__("core.csvexport").csvexport.by_key.__defaults__[1:]),
    )
    assert [int(row["number"]) for row in rows_of(get(viewer, "/deploys/export.csv"))] == list(
        range(26, 0, -1)
    )


@pytest.mark.parametrize(
    "address", ["/deploys/", "/deploys/?project=shop", "/deploys/?state=failed&person=ada&since=2020-01-01"]
)
def test_the_number_of_queries_does_not_grow(shop, viewer, client, django_assert_max_num_queries, address):
    client.force_login(viewer)
    client.get(address)
    for _ in range(3):
        environment = make_environment(make_project(), slug="staging")
        grant(viewer, Role.VIEWER, environment.project)
        for _ in range(10):
            make_deploy(environment)
    with django_assert_max_num_queries(9):
        client.get(address)
