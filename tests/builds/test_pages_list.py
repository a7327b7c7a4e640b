"""The list of builds: what it shows to whom, its filters and pages, its chart, and what it costs."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from builds.models import Build, BuiltImage, Delivery
from builds.pages import times
from people.models import User
from projects.models import Project, Role
from runs.models import State
from tests.factories import grant, make_build, make_image, make_project, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Project:
    project = make_project(slug="shop", repository_url="https://github.com/acme/shop.git")
    make_image(project, name="web")
    return project


@pytest.fixture
def visit(client: Client, shop: Project) -> Any:
    """`visit("?state=failed")`: the page as a viewer of the project sees it."""
    user = make_user("vic")
    grant(user, Role.VIEWER, shop)
    client.force_login(user)

    def get(query: str = "", **headers: str) -> str:
        answer = client.get(f"/builds/{query}", headers=headers)
        assert answer.status_code == 200
        return answer.content.decode()

    return get


def shown(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'id="build-line-(\d+)"', page)]


def ended(project: Project, state: str = State.SUCCEEDED, seconds: float = 60, **fields: Any) -> Build:
    at = timezone.now() - timedelta(minutes=10)
    more = {"started_at": at, "ended_at": at + timedelta(seconds=seconds)}
    return make_build(project, state, **more, **fields)


class TestRows:
    def test_a_line_says_what_why_and_how_long(self, visit: Any, shop: Project) -> None:
        delivery = Delivery.objects.create(delivery_id="d1", event="push", sender="octo")
        build = ended(
            shop, seconds=98, cause="push", delivery=delivery, images=("api", "worker"), branch="dev"
        )
        page = visit()
        assert shown(page) == [build.number]
        for text in ("api, worker", "push by octo", "1 min 38 s", "Succeeded", build.subject, ">dev</span>"):
            assert text in page
        assert f"https://github.com/acme/shop/commit/{build.revision}" in page

    def test_an_open_build_counts_its_images_and_the_list_updates_itself(
        self, visit: Any, shop: Project
    ) -> None:
        build = make_build(shop, State.RUNNING, images=("api", "web"), started_at=timezone.now())
        BuiltImage.objects.filter(build=build, name="api").update(state="succeeded")
        page = visit("?state=running")
        assert "1 of 2" in page
        assert "Building" in page
        assert (
            'data-changes="/changes/" hx-get="/builds/?state=running" hx-trigger="changed from:body"' in page
        )
        part = visit("?state=running", **{"hx-request": "true"})
        assert shown(part) == [build.number]
        assert "<h1>" not in part

    def test_only_the_newest_page_follows_changes(self, visit: Any, shop: Project) -> None:
        ended(shop)
        assert 'data-changes="/changes/"' in visit()
        assert "data-changes" not in visit("?before=99999")

    def test_trouble_is_told(self, visit: Any, shop: Project) -> None:
        ended(shop, State.FAILED, result="The Dockerfile of web failed at step 3.")
        newer = ended(shop)
        ended(shop, State.SUPERSEDED, result="A newer push came.", superseded_by=newer)
        page = visit()
        assert "The Dockerfile of web failed at step 3." in page
        assert "Build failed" in page
        link = f'<a href="/builds/{newer.number}/">build #{newer.number}</a>'
        assert f"{newer.short} came before it began: {link}" in page

    def test_who_may_build_nothing_is_not_asked_to(self, visit: Any, client: Client, shop: Project) -> None:
        ended(shop)
        assert "Build a revision" not in visit()
        grant(make_user("dev"), Role.DEPLOYER, shop)
        client.force_login(User.objects.get(username="dev"))
        assert "Build a revision" in client.get("/builds/").text

    def test_images_that_were_there_already(self, visit: Any, shop: Project) -> None:
        build = ended(shop)
        build.images.update(state="existed")
        assert "already in the registry" in visit()

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"cause": "person"}, "asked for by ana"),
            ({"cause": "catch_up"}, "a push that was missed"),
            ({"cause": "report"}, "built elsewhere"),
            ({"cause": "push", "actor_text": "push by octo"}, ">push by octo<"),  # its delivery was deleted
            ({"cause": "rebuild"}, "rebuild by ana"),  # of a build that was deleted
        ],
    )
    def test_causes(self, visit: Any, shop: Project, fields: Any, words: str) -> None:
        ended(shop, **fields)
        assert words in visit()

    def test_a_retry_names_what_it_repeats(self, visit: Any, shop: Project) -> None:
        first = ended(shop, State.FAILED)
        ended(shop, cause="retry", retry_of=first)
        assert f"retry of #{first.number} by ana" in visit()

    def test_texts_from_outside_are_escaped(self, visit: Any, shop: Project) -> None:
        bad = "<script>alert(1)</script>"
        ended(shop, State.FAILED, subject=bad, branch=bad, result=bad, actor_text=bad, images=("web",))
        page = visit()
        assert bad not in page
        assert "&lt;script&gt;" in page


class TestWho:
    def test_builds_of_other_projects_are_not_there(self, visit: Any, shop: Project) -> None:
        own = ended(shop)
        other = ended(make_project(slug="other"))
        assert shown(visit()) == [own.number]
        assert shown(visit(f"?project={other.project.slug}")) == []
        assert ">other<" not in visit()

    def test_a_stranger_sees_an_empty_list(self, client: Client, shop: Project) -> None:
        ended(shop)
        client.force_login(make_user("sue"))
        page = client.get("/builds/").content.decode()
        assert "No builds yet" in page
        assert shown(page) == []

    def test_an_admin_sees_all(self, client: Client, shop: Project) -> None:
        numbers = [ended(shop).number, ended(make_project()).number]
        client.force_login(make_user("ada", is_admin=True))
        assert shown(client.get("/builds/").content.decode()) == numbers[::-1]


class TestFilters:
    def test_each_filter(self, visit: Any, shop: Project) -> None:
        a = ended(shop, branch="main", revision="a" * 40)
        b = ended(shop, State.FAILED, branch="topic", revision="b" * 40, actor_text="ben")
        c = ended(shop, branch="main", revision="c" * 40, actor_text="push by octo")
        assert shown(visit("?state=failed")) == [b.number]
        assert shown(visit("?branch=main")) == [c.number, a.number]
        assert shown(visit("?who=ben")) == [b.number]
        assert shown(visit("?who=octo")) == [c.number]
        assert shown(visit("?revision=CCCCCCC")) == [c.number]
        assert shown(visit("?project=shop&branch=main&who=ana")) == [a.number]

    def test_a_filter_that_fits_nothing_leads_back(self, visit: Any, shop: Project) -> None:
        ended(shop)
        page = visit("?branch=nowhere")
        assert "No build fits" in page
        assert 'href="/builds/">Show all builds' in page

    def test_an_invalid_state_is_told_beside_its_field(self, visit: Any, shop: Project) -> None:
        ended(shop)
        page = visit("?state=sideways")
        assert "Nothing is shown until the filter above is valid." in page
        assert shown(page) == []


class TestManyBuilds:
    def test_pages_of_a_thousand_builds_by_key(self, visit: Any, shop: Project) -> None:
        first = make_build(shop)
        fields = {
            "project": shop,
            "state": "succeeded",
            "actor_kind": "person",
            "actor_text": "ana",
            "branch": "main",
        }
        Build.objects.bulk_create(
            Build(number=first.number + n, revision=f"{n:040x}", **fields) for n in range(1, 1000)
        )
        seen: list[int] = []
        page = visit()
        while True:
            seen += shown(page)
            older = re.search(r'href="(\?before=\d+)"', page)
            if older is None:
                break
            page = visit(older[1])
        assert seen == list(range(first.number + 999, first.number - 1, -1))

    def test_the_number_of_queries_is_constant(self, visit: Any, shop: Project) -> None:
        def queries() -> int:
            with CaptureQueriesContext(
                connection,
            ) as captured:
                visit("?project=shop")
            return len(captured)

        ended(shop)
        few = queries()
        delivery = Delivery.objects.create(delivery_id="d1", event="push")
        for n in range(20):
            ended(
                shop, retry_of=Build.objects.first(), delivery=delivery, images=("api", "web"), branch=f"b{n}"
            )
        assert queries() == few <= 20


class TestImages:
    def test_each_image_names_the_build_that_pushed_it_last(
        self, client: Client, visit: Any, shop: Project
    ) -> None:
        ended(shop)
        last = ended(shop)
        ended(shop, State.FAILED)
        make_image(make_project(slug="other"), name="secret-image")
        page = client.get("/builds/images/").content.decode()
        assert f'href="/builds/{last.number}/">#{last.number}' in page
        assert 'href="/registry/images/shop/web/"' in page
        assert "secret-image" not in page


class TestTimes:
    def test_the_chart_of_a_project(self, visit: Any, shop: Project) -> None:
        assert '<svg class="bars"' not in visit("?project=shop")  # nothing ended yet
        ended(shop, seconds=60)
        ended(shop, State.FAILED, seconds=30)
        ended(shop, State.CANCELLED, seconds=10)
        ended(shop, seconds=120)
        make_build(shop, State.RUNNING, started_at=timezone.now())
        page = visit("?project=shop")
        assert "<b>1 min 30 s</b> in the median" in page
        assert re.findall(r'<rect class="(\w+)"', page) == ["good", "bad", "none", "good"]
        assert "2 succeeded, 1 failed, 1 stopped" in page
        assert "style=" not in page

    def test_only_the_last_thirty(self, shop: Project) -> None:
        for seconds in range(35):
            ended(shop, seconds=seconds)
        chart = times.chart(shop)
        assert chart is not None
        assert [bar.seconds for bar in chart.bars] == [float(n) for n in range(5, 35)]
        assert chart.median == 19.5

    def test_the_heights(self, shop: Project) -> None:
        chart = times.drawn([ended(shop, seconds=s) for s in (0.0, 300.0, 600.0)])
        assert chart is not None
        assert chart.top == 600
        assert [bar.height for bar in chart.bars] == ["1.5", "50", "100"]
        assert chart.median_y == "50"

    def test_a_project_without_builds_that_succeeded_has_no_median(self, shop: Project) -> None:
        chart = times.drawn([ended(shop, State.FAILED)])
        assert chart is not None
        assert chart.median is None
        assert times.drawn([]) is None

    @pytest.mark.parametrize(("seconds", "top"), [(0.0, 1), (1.5, 2), (61.0, 120), (90_000.5, 90_001)])
    def test_the_upper_edge_is_a_round_number(self, seconds: float, top: int) -> None:
        assert times.nice(seconds) == top
