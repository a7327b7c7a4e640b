"""The board: what runs where, is it healthy, what is waiting for me."""

from __future__ import annotations

import gzip
from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from clusters.models import LiveState, Trouble
from deployments.models import BranchState, Deploy, Release
from portal.board import PROJECTS_SHOWN, board
from projects.models import Cluster, Environment, Project, Role
from tests.factories import grant, make_cluster, make_deploy, make_environment, make_project, make_user
from tests.portal.conftest import begin, see, ship


def staging(shop):
    return Environment.objects.get(project=shop, slug="staging")


def words(html: str) -> str:
    """The page without the line breaks between its parts."""
    return " ".join(html.split())


def test_a_cell_says_what_runs(shop, deployer, page):
    html = page(deployer, "/")
    assert "Healthy" in html
    assert "aaaaaaa" in html
    assert "https://github.com/acme/shop/commit/" + "a" * 40 in html
    assert "Cache carts" in html
    assert "2/2 pods" in html
    assert "2 behind" in html
    assert "by ana" in html
    assert '/projects/shop/staging/deploy/"' in html


def test_environments_stand_in_their_order(shop, deployer, page):
    assert board(deployer).columns == ["staging", "production"]


def test_an_environment_of_one_project_alone_gets_no_column(shop, admin):
    for slug in ("staging", "production"):
        make_environment(
            make_project(slug=f"second-{slug}"), slug=slug, order=["staging", "production"].index(slug)
        )
    make_environment(make_project(slug="base"), slug="cluster", order=0)
    shown = board(admin)
    assert shown.columns == ["staging", "production", "other"]
    base = next(row for row in shown.rows if row.project.slug == "base")
    assert [[view.environment.slug for view in cell.views] for cell in base.cells] == [[], [], ["cluster"]]


def test_on_a_phone_a_project_is_a_line_with_the_worst_state_and_words_for_each_icon(shop, deployer, page):
    assert board(deployer).rows[0].worst == ""
    glance = words(page(deployer, "/")).partition('class="glance"')[2].partition("</th>")[0]
    assert "staging: healthy," in glance
    assert "show the environments of The Shop" in glance
    ship(staging(shop), "b" * 40, state="failed", result="It crashed.")
    begin(staging(shop))
    assert board(deployer).rows[0].worst == "deploying"
    LiveState.objects.filter(environment__slug="production").update(health="failing")
    row = board(deployer).rows[0]
    assert (row.worst, [view.environment.slug for view in row.views]) == (
        "failing",
        ["staging", "production"],
    )


def test_a_viewer_sees_why_there_is_no_button(shop, viewer, page):
    html = page(viewer, "/")
    assert "To deploy you need the role deployer; you are viewer here." in html
    assert "/projects/shop/staging/deploy/" not in html


def test_a_role_on_one_environment(shop, page):
    user = make_user("stan")
    grant(user, Role.DEPLOYER, shop, staging(shop))
    html = page(user, "/")
    assert "/projects/shop/staging/deploy/" in html
    assert "/projects/shop/production/deploy/" not in html


def test_others_projects_do_not_show(shop, viewer, page):
    other = make_environment(make_project(slug="secret-plans"))
    begin(other)
    html = page(viewer, "/")
    assert "secret-plans" not in html
    assert "Running now" not in html


def test_nobody_is_asked_to_sign_in(shop, client):
    assert client.get("/").status_code == 302
    assert client.post("/").status_code in (302, 401)


def test_drift_is_told(shop, deployer, page):
    LiveState.objects.all().delete()
    see(staging(shop), "f" * 40)
    html = page(deployer, "/")
    assert "drift" in html
    assert "Changed outside the portal: the cluster runs web:fffffff; deployed is aaaaaaa." in html


def test_an_older_release_is_recognised(shop, deployer, page):
    environment = staging(shop)
    ship(environment, "b" * 40)
    LiveState.objects.filter(environment=environment).update(read_at=timezone.now())
    html = page(deployer, "/")
    assert "the cluster runs aaaaaaa, deployed is bbbbbbb." in html


def test_an_answer_from_before_the_deploy_is_not_held_against_it(shop, deployer, page):
    environment = staging(shop)
    ship(environment, "b" * 40)
    LiveState.objects.filter(environment=environment).update(read_at=timezone.now() - timedelta(hours=1))
    assert "Changed outside" not in page(deployer, "/")


def test_an_old_answer_is_no_longer_true(shop, deployer, page):
    assert "Healthy" in page(deployer, "/")
    LiveState.objects.update(read_at=timezone.now() - timedelta(minutes=3))
    html = words(page(deployer, "/"))
    assert "Unknown" in html
    assert "Healthy" not in html
    assert "How its environment here is now is not known." in html
    assert "was asked last" in html
    assert board(deployer).sums == [("unknown", 2)]


def test_a_cluster_that_never_answered_counts_as_unknown(shop, deployer):
    LiveState.objects.update(read_at=None, error="connection refused", health="unknown")
    assert board(deployer).sums == [("unknown", 2)]
    LiveState.objects.update(error="")  # nobody has asked yet
    assert board(deployer).sums == []


def test_a_silent_cluster_is_told_once_with_the_reason(shop, deployer, page):
    LiveState.objects.update(read_at=timezone.now() - timedelta(seconds=70), error="connection refused")
    Environment.objects.update(cluster=staging(shop).cluster)
    html = words(page(deployer, "/"))
    assert "Healthy" not in html
    assert html.count("connection refused") == 1
    assert "does not answer; its last answer came" in html
    assert "does not answer; its last answer came" in words(page(deployer, "/projects/shop/"))


def test_one_missing_answer_changes_nothing_yet(shop, deployer, page):
    LiveState.objects.update(read_at=timezone.now() - timedelta(seconds=40), error="connection refused")
    assert "Healthy" in page(deployer, "/")


def test_a_failed_deploy_says_what_it_left(shop, deployer, page):
    environment = staging(shop)
    failed = ship(environment, "b" * 40, state="failed")
    pin = {"repository": "r.example/shop/worker", "tag": "bbbbbbb", "digest": ""}
    Release.objects.filter(pk=failed.release_id).update(images={**failed.release.images, "worker": pin})
    good = Deploy.objects.filter(environment=environment, state="succeeded").latest("number")
    web = next(iter(good.release.images.values()))["repository"]
    live = LiveState.objects.get(environment=environment)
    web_of_before = {**live.workloads[0], "images": [f"{web}:bbbbbbb"], "serves": [f"{web}:aaaaaaa"]}
    worker = {**live.workloads[0], "name": "worker", "images": ["r.example/shop/worker:bbbbbbb"]}
    live.workloads = [web_of_before, worker]
    LiveState.objects.filter(pk=live.pk).update(workloads=live.workloads, read_at=timezone.now())
    html = words(page(deployer, "/"))
    assert "web <span" in html
    assert ">aaaaaaa</span>, worker" in html
    assert f"· #{failed.number} by {failed.actor_text}" in html
    view = board(deployer).rows[0].cells[0].views[0]
    assert view.headline == "failed"
    assert (
        view.drift
        == f"Left by deploy #{failed.number} (failed): web aaaaaaa, worker bbbbbbb; deployed is aaaaaaa."
    )
    assert not view.outside


def test_what_two_failed_deploys_left_was_not_changed_outside(shop, deployer):
    """The second one changed one workload and was cancelled; the other one still runs what the first left."""
    environment = staging(shop)
    tries = [ship(environment, "b" * 40, state="failed"), ship(environment, "c" * 40, state="cancelled")]
    pin = {"repository": "r.example/shop/worker", "digest": ""}
    for tried in tries:
        images = {**tried.release.images, "worker": {**pin, "tag": tried.revision[:7]}}
        Release.objects.filter(pk=tried.release_id).update(images=images)
    live = LiveState.objects.get(environment=environment)
    web = next(iter(tries[0].release.images.values()))["repository"]
    workloads = [
        {**live.workloads[0], "images": [f"{web}:ccccccc"]},
        {**live.workloads[0], "name": "worker", "images": ["r.example/shop/worker:bbbbbbb"]},
    ]
    LiveState.objects.filter(pk=live.pk).update(workloads=workloads, read_at=timezone.now())
    view = board(deployer).rows[0].cells[0].views[0]
    assert view.drift == (
        f"Left by deploy #{tries[1].number} (cancelled): web ccccccc, worker bbbbbbb; deployed is aaaaaaa."
    )
    assert not view.outside


def test_admins_see_lost_clusters_on_top(shop, admin, deployer, page):
    make_cluster(name="edge", last_error="no route to host")
    assert "Cluster <b>edge</b> does not answer" in page(admin, "/")
    assert "Cluster <b>edge</b>" not in page(deployer, "/")


def test_the_notice_of_a_cluster(shop, deployer, page):
    Cluster.objects.filter(environments__project=shop).update(notice="Upgrade on Thursday")
    assert "Upgrade on Thursday" in page(deployer, "/")


def test_a_running_deploy_shows_its_step(shop, deployer, page):
    running = begin(staging(shop))
    make_deploy(staging(shop), "queued")
    html = words(page(deployer, "/"))
    assert "Deploying" in html
    assert "Step 5 of 7: apply" in html
    assert "1 queued" in html
    assert f'href="/deploys/{running.number}/">Watch' in html


def test_the_board_follows_changes(shop, deployer, page):
    html = page(deployer, "/")
    assert 'data-changes="/changes/"' in html
    assert 'hx-trigger="changed from:body"' in html


def test_htmx_gets_the_part_only(shop, deployer, page):
    html = page(deployer, "/", **{"HX-Request": "true"})
    assert html.lstrip().startswith('<div id="board"')
    assert "<html" not in html


@pytest.mark.parametrize("state", ["failed", "errored", "timed_out", "abandoned"])
def test_a_deploy_that_ended_badly_waits_for_who_may_deploy(shop, deployer, viewer, page, state):
    ship(staging(shop), "d" * 40, state, result="Container web exits at start.")
    html = words(page(deployer, "/"))
    assert "Needs you" in html
    assert "Container web exits at start." in html
    assert "Needs you" not in page(viewer, "/")


def test_a_cancelled_deploy_waits_for_nobody(shop, deployer):
    ship(staging(shop), "d" * 40, "cancelled")
    assert board(deployer).needs == 0


def test_a_failure_that_was_mended_waits_for_nobody(shop, deployer):
    ship(staging(shop), "d" * 40, "failed")
    ship(staging(shop), "e" * 40)
    assert board(deployer).needs == 0


def test_what_is_degraded_waits(shop, deployer, page):
    LiveState.objects.filter(environment=staging(shop)).update(
        health="degraded", sentence="web: CrashLoopBackOff"
    )
    html = words(page(deployer, "/"))
    assert "is degraded" in html
    assert "web: CrashLoopBackOff" in html


def test_what_fails_comes_first_then_what_waits_then_the_rest(admin):
    """Of each, the one that waits longest first, whatever was deployed last."""

    def place(name, health, minutes=0, state="succeeded"):
        environment = make_environment(make_project(slug=name), slug="staging")
        at = timezone.now() - timedelta(minutes=minutes)
        ship(environment, state=state, ended_at=at)
        see(environment, health=health)
        if health == "failing":
            times = {"began_at": at, "seen_at": timezone.now()}
            Trouble.objects.create(environment=environment, ref="Deployment.apps/a/web", name="web", **times)

    place("fails-for-long", "failing", 90)
    place("degraded", "degraded", 500)
    place("failed-long-ago", "healthy", 300, "failed")
    place("fails-a-little", "failing", 5)
    place("failed-just-now", "healthy", 1, "timed_out")
    shown = board(admin)
    assert [one.environment.project.slug for one in shown.troubles] == [
        "fails-for-long", "fails-a-little", "failed-long-ago", "failed-just-now", "degraded",
    ]  # fmt: skip
    assert shown.troubles[0].since == Trouble.objects.earliest("began_at").began_at
    place("one-more", "failing", 30)
    shown = board(admin)
    assert [one.environment.project.slug for one in shown.troubles][:3] == [
        "fails-for-long", "one-more", "fails-a-little",
    ]  # fmt: skip
    assert shown.more_troubles == 1


def test_a_failing_environment_leads_to_its_alarms(shop, deployer, page):
    environment = staging(shop)
    LiveState.objects.filter(environment=environment).update(health="failing", sentence="web: crashed")
    began = timezone.now() - timedelta(minutes=12)
    Trouble.objects.create(
        environment=environment,
        ref="Deployment.apps/a/web",
        name="web",
        began_at=began,
        seen_at=timezone.now(),
    )
    html = words(page(deployer, "/"))
    assert 'href="/projects/shop/staging/alarms/">Alarms' in html
    assert "web: crashed · <time" in html
    assert ">for 12 min</time>" in html


def test_an_environment_without_deploys(shop, deployer, page):
    make_environment(shop, slug="preview", order=5)
    assert "Not deployed" in page(deployer, "/")


def test_a_project_without_environments(shop, admin, page):
    make_project(slug="empty")
    html = page(admin, "/")
    assert "No environment yet." in html
    assert "/projects/empty/settings/proposals/" in html


def test_an_empty_portal_gives_an_admin_the_first_steps(admin, page):
    html = page(admin, "/")
    assert "Register a cluster" in html
    assert "/admin/clusters/new/" in html


def test_somebody_without_a_project_is_told_whom_to_ask(admin, page):
    html = page(make_user("nina"), "/")
    assert "You are in no project yet" in html
    assert "Ask ada" in html


def test_an_auditor_is_led_to_the_audit(admin, auditor, shop, page):
    html = page(auditor, "/")
    assert 'href="/audit/"' in html
    assert "shop" not in html


def test_finding_a_project_by_name(shop, admin, page):
    for n in range(11):
        make_project(slug=f"other{n:02}")
    html = page(admin, "/?q=SHO")
    assert "/projects/shop/" in html
    assert "other01" not in html
    assert 'id="board-find"' in html
    assert "No project fits" in page(admin, "/?q=nothing")


def test_few_projects_need_no_search(shop, admin, page):
    assert 'id="board-find"' not in page(admin, "/")


def test_many_projects_come_in_pages(admin, page):
    for n in range(PROJECTS_SHOWN + 3):
        make_environment(make_project(slug=f"p{n:03}"), slug="staging")
    html = page(admin, "/")
    assert "p039" in html
    assert "p040" not in html
    html = page(admin, "/?after=p039")
    assert "p040" in html
    assert "/projects/p039/" not in html


def fill(count):
    """Projects of every kind: running, failed, drifted."""
    for n in range(count):
        environment = make_environment(make_project(), slug="staging")
        ship(environment)
        see(environment, "b" * 40 if n % 2 else "a" * 40)
        ship(environment, "c" * 40, "failed")
        begin(environment)


@pytest.mark.parametrize("kind", ["admin", "member"])
def test_the_number_of_queries_does_not_grow(admin, client, django_assert_max_num_queries, kind):
    for count in (2, 12):
        fill(count)
        user = admin if kind == "admin" else make_user(f"member{count}")
        if kind == "member":
            for environment in Environment.objects.all():
                grant(user, Role.DEPLOYER, environment.project)
        client.force_login(user)
        client.get("/")
        with django_assert_max_num_queries(20):
            client.get("/")


def test_the_first_load_is_small(admin, client):
    for _ in range(PROJECTS_SHOWN):
        project = make_project()
        for slug in ("staging", "production"):
            environment = make_environment(project, slug=slug)
            ship(environment)
            see(environment)
    client.force_login(admin)
    total = len(gzip.compress(client.get("/").content))
    for path in [*(settings.BASE_DIR / "static/css").iterdir(), settings.BASE_DIR / "static/js/app.js"]:
        total += len(gzip.compress(path.read_bytes()))
    htmx = 17_000  # htmx.min.js 2.0.10 of django-htmx, compressed: 16.4 kB
    assert total + htmx < 60_000


def test_credentials_are_not_read(shop, admin, client, settings):
    """A key that is gone must not take the board down."""
    settings.ENCRYPTION_KEYS = ["b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXItMTI="]
    client.force_login(admin)
    assert client.get("/").status_code == 200


def test_open_deploys_of_all_states_show(shop, deployer):
    environment = staging(shop)
    begin(environment)
    make_deploy(environment, "queued")
    make_deploy(environment, "waiting")
    shown = board(deployer)
    assert [one.deploy.state for one in shown.going] == ["running", "queued", "waiting"]
    assert shown.running == 1
    assert Deploy.objects.count() == 5


class TestFilters:
    @pytest.fixture
    def many(self, shop, admin):
        """shop is up to two commits behind; one project fails, one runs the newest commit."""
        bad = make_environment(make_project(slug="bad", group="team red"), slug="staging")
        ship(bad)
        see(bad, health="failing")
        new = make_environment(make_project(slug="new"), slug="staging")
        ship(new, "c" * 40)
        see(new)
        BranchState.objects.create(project=new.project, branch="main", head="c" * 40)
        Deploy.objects.update(actor_id="0")

    def shown(self, user, **filters):
        return [row.project.slug for row in board(user, **filters).rows]

    def test_trouble(self, many, admin):
        assert self.shown(admin, show="trouble") == ["bad"]

    def test_behind(self, many, admin):
        assert self.shown(admin, show="behind") == ["shop"]

    def test_mine_is_by_role_or_by_deploys_of_late(self, many, admin, deployer, viewer):
        assert self.shown(admin, show="mine") == []
        assert self.shown(deployer, show="mine") == ["shop"]
        assert self.shown(viewer, show="mine") == []
        make_deploy(Environment.objects.get(project__slug="new"), actor_kind="person", actor_id=str(admin.pk))
        assert self.shown(admin, show="mine") == ["new"]

    def test_a_group(self, many, admin, page):
        assert self.shown(admin, group="team red") == ["bad"]
        assert "<option selected>team red</option>" in page(admin, "/?group=team%20red")

    def test_groups_of_others_do_not_show(self, many, viewer, page):
        assert "team red" not in page(viewer, "/")

    def test_an_unknown_filter_shows_everything(self, many, admin):
        assert self.shown(admin, show="nonsense") == ["bad", "new", "shop"]

    @pytest.mark.parametrize(
        ("show", "words"),
        [("trouble", "Nothing fails"), ("behind", "Every environment runs"), ("mine", "You hold no role")],
    )
    def test_nothing_fits(self, admin, page, show, words):
        make_environment(make_project(slug="shop"), slug="staging")
        html = page(admin, f"/?show={show}")
        assert words in html
        assert "Show all projects" in html

    def test_filters_stand_in_the_address_and_stay_on_the_next_page(self, admin, page):
        for n in range(PROJECTS_SHOWN + 1):
            see(make_environment(make_project(slug=f"p{n:03}", group="a b")), health="failing")
        html = page(admin, "/?show=trouble&group=a+b")
        assert 'href="?show=trouble&amp;group=a+b&amp;after=p039#projects"' in html
        assert 'href="?show=behind&amp;group=a+b#projects"' in html

    def test_the_counts_are_of_everything(self, admin):
        for n in range(PROJECTS_SHOWN + 5):
            see(make_environment(make_project(slug=f"p{n:03}")))
        assert board(admin).sums == [("healthy", PROJECTS_SHOWN + 5)]


def test_rare_environments_stand_in_a_column_of_their_own(admin, page):
    for slug in ("staging", "production"):
        for project in ("one", "two"):
            found = Project.objects.filter(slug=project).first() or make_project(slug=project)
            make_environment(found, slug=slug, order=["staging", "production"].index(slug))
    make_environment(Project.objects.get(slug="one"), slug="qa", order=5)
    shown = board(admin)
    assert shown.columns == ["staging", "production", "other"]
    assert [view.environment.slug for view in shown.rows[0].cells[2].views] == ["qa"]
    html = page(admin, "/")
    assert "columns-3" in html
    assert 'class="board-scroll wide" tabindex="0"' in html
