"""The search: everything a person may see, what they may do there, and where a commit runs."""

from __future__ import annotations

import pytest

from deployments.models import BranchState, Deploy
from portal.search import finding
from portal.search.finding import MOST, find
from projects.models import Environment, Project, Role
from tests.factories import grant, make_deploy, make_environment, make_project, make_user
from tests.portal.conftest import ship


def texts(found, title):
    return [hit.text for name, hits in found.hits if name == title for hit in hits]


def test_a_project_by_name_and_address(shop, viewer):
    assert texts(find(viewer, "The Sh"), "Projects") == ["The Shop"]
    assert texts(find(viewer, "acme/shop"), "Projects") == ["The Shop"]


def test_an_environment_by_words_of_both_names(shop, viewer):
    assert texts(find(viewer, "shop prod"), "Environments") == ["The Shop production"]
    assert texts(find(viewer, "shop"), "Environments") == ["The Shop staging", "The Shop production"]


def test_deploy_leads_to_the_button_of_who_may(shop, deployer, viewer):
    found = find(deployer, "deploy shop production")
    assert texts(found, "Do") == ["Deploy The Shop to production"]
    assert dict(found.hits)["Do"][0].url == "/projects/shop/production/deploy/"
    assert texts(find(viewer, "deploy shop production"), "Do") == []


def test_secrets_lead_to_their_page(shop, viewer):
    assert dict(find(viewer, "secrets shop staging").hits)["Do"][0].url == "/projects/shop/staging/secrets/"


@pytest.mark.parametrize("text", ["#{}", "{}"])
def test_a_deploy_by_number(shop, viewer, text):
    deploy = Deploy.objects.latest("number")
    hits = dict(find(viewer, text.format(deploy.number)).hits)["Deploys"]
    assert hits[0].url == f"/deploys/{deploy.number}/"


def test_deploys_by_revision_and_by_subject(shop, viewer):
    assert len(texts(find(viewer, "aaaaaaa"), "Deploys")) == 2
    assert len(texts(find(viewer, "cache c"), "Deploys")) == 2


def test_where_is_my_commit(shop, viewer):
    """staging runs `a…`, the oldest of three; production the newest but one."""
    ship(Environment.objects.get(slug="production"), "b" * 40)
    (found,) = find(viewer, "bbbbbbb").commits
    assert found.subject == "Newer"
    assert [(place.name, place.runs) for place in found.places] == [("staging", False), ("production", True)]
    (oldest,) = find(viewer, "cache carts").commits
    assert [place.runs for place in oldest.places] == [True, True]
    (newest,) = find(viewer, "newest").commits
    assert [place.runs for place in newest.places] == [False, False]


def test_a_revision_of_another_branch_runs_elsewhere(shop, viewer):
    ship(Environment.objects.get(slug="staging"), "d" * 40)
    (found,) = find(viewer, "newest").commits
    assert [place.runs for place in found.places] == [None, False]


def test_nothing_of_others_is_found(shop):
    stranger = make_user("eve")
    deploy = Deploy.objects.latest("number")
    for text in (
        "shop",
        "acme",
        "deploy shop",
        f"#{deploy.number}",
        "aaaaaaa",
        "cache carts",
        "dora",
        "newest",
    ):
        assert find(stranger, text).is_empty, text


def test_a_role_on_one_environment_acts_only_there(shop):
    user = make_user("stan")
    grant(user, Role.DEPLOYER, shop, Environment.objects.get(slug="staging"))
    assert texts(find(user, "deploy shop"), "Do") == ["Deploy The Shop to staging"]


def test_people_are_found_by_admins_alone(shop, admin, deployer, viewer):
    assert texts(find(admin, "dora"), "People") == ["dora"]
    assert texts(find(viewer, "dora"), "People") == []


@pytest.mark.parametrize(
    "text", ["", " ", "a", "x" * 5000, "%", "__", "' or 1=1 --", "deploy", "deploy " * 50]
)
def test_odd_texts_find_nothing_and_break_nothing(shop, viewer, page, text):
    assert find(viewer, text).is_empty
    page(viewer, "/search/?q=" + text.replace("%", "%25").replace(" ", "+")[:3000])


def test_much_is_bounded_and_costs_the_same(shop, admin, django_assert_max_num_queries):
    for n in range(30):
        project = make_project(slug=f"shop-{n:02}")
        make_environment(project, slug="staging")
        BranchState.objects.create(
            project=project, branch="main", head="c" * 40, commits=[["c" * 40, "Newest", "Ana", ""]]
        )
        make_deploy(project.environments.get(), "succeeded", subject="Newest")
    with django_assert_max_num_queries(12):
        found = find(admin, "newest")
    assert len(found.commits) == MOST
    assert len(texts(found, "Deploys")) == MOST
    assert len(texts(find(admin, "shop"), "Projects")) == MOST


def test_the_page_and_the_list(shop, viewer, page):
    html = page(viewer, "/search/?q=shop")
    assert "<h1>Search</h1>" in html
    assert 'value="shop"' in html
    part = page(viewer, "/search/?q=shop", **{"HX-Request": "true"})
    assert part.lstrip().startswith('<div class="found"')
    assert 'href="/projects/shop/"' in part
    assert "Nothing fits “zzz”" in page(viewer, "/search/?q=zzz")


def test_markup_in_names_is_text(shop, admin, page):
    Project.objects.filter(pk=shop.pk).update(name="<script>alert(1)</script>")
    assert "<script>alert" not in page(admin, "/search/?q=shop")
    assert "<b>x" not in page(admin, "/search/?q=<b>x")


def test_subjects_are_searched_in_what_runs_and_in_the_newest(shop, viewer, page, monkeypatch):
    """No database looks at all deploys; the page says so, and where all are looked at."""
    staging = Environment.objects.get(project=shop, slug="staging")
    old = ship(staging, "d" * 40)
    Deploy.objects.filter(pk=old.pk).update(subject="Needle of old")
    runs = ship(staging, "e" * 40)
    Deploy.objects.filter(pk=runs.pk).update(subject="Needle that runs")
    ship(Environment.objects.get(project=shop, slug="production"), "f" * 40, state="failed")
    monkeypatch.setattr(finding, "NEWEST", 1)
    (hit,) = [hit for title, hits in find(viewer, "needle").hits if title == "Deploys" for hit in hits]
    assert hit.text.endswith("Needle that runs")
    assert hit.more.endswith("runs there now")
    monkeypatch.setattr(finding, "NEWEST", 10)
    assert len(dict(find(viewer, "needle").hits)["Deploys"]) == 2
    html = page(viewer, "/search/?q=needle of")
    assert "the newest 10,000 deploys" in html
    assert "/deploys/?q=needle%20of" in html
    assert "newest 10,000" not in page(viewer, "/search/?q=eeeeeee")
