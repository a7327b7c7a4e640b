"""The page of the pull credentials: what it says, to whom, and at what price."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from clusters.models import LiveState
from registry.models import Credential, Refresh, RefreshResult, RegistryToken, State, Watch
from registry.pages.listing import FEW, PAGE, ROOM, Asked
from registry.pages.overview import overview
from registry.pages.pulls import healing
from registry.pages.strips import DAYS
from tests import factories as make
from tests.registry.pages import RULE, Portal, make_portal

pytestmark = pytest.mark.django_db
PAGE_URL = "/registry/"


@pytest.fixture
def portal() -> Portal:
    return make_portal()


@pytest.fixture
def see(client: Client, portal: Portal):
    def look(who: str = "admin", address: str = PAGE_URL, **headers: str) -> str:
        client.force_login(portal.people[who])
        answer = client.get(address, headers=headers)
        assert answer.status_code == 200
        return " ".join(answer.content.decode().split())

    return look


def heading(page: str) -> str:
    found = re.search(r"<h1>(.*?)</h1>", page)
    assert found
    return re.sub(r"<[^>]+>", "", found[1]).strip()


def test_the_headline_says_whether_pulls_work_and_when_they_stop(portal: Portal, see) -> None:
    assert heading(see()) == "Pulls work in 1 of 1 namespace"
    stops = portal.failing().expires_at
    portal.credential("gone", State.ENDED, hours=-1)
    portal.credential("late", hours=-0.1)  # ended since the last look
    assert heading(see()) == f"Pulls work in 2 of 4 namespaces; 1 will stop at {stops:%H:%M} UTC"


def test_a_trouble_comes_first_with_cause_time_and_fix(portal: Portal, see) -> None:
    portal.failing()
    page = see()
    card = page[page.index('class="failure') : page.index("</section>", page.index('class="failure'))]
    for text in (
        "feed", "may not patch secrets", "6 h ago</time>, 8 attempts", "in 1", "What still works", "still pull",
        "Running pods go on in any case", RULE.replace('"', "&quot;"), "Refresh this one",
    ):  # fmt: skip
        assert text in card, text
    assert page.index('class="failure') < page.index("<table")


def test_troubles_of_one_reason_are_one_card(portal: Portal, see) -> None:
    for n in range(9):
        portal.failing(f"feed-{n}")
    page = see()
    assert page.count('class="failure ') == 1
    assert "feed-1, feed-2, feed-3, feed-4, feed-5 and more" in page


def test_a_token_or_a_cluster_that_fails_is_told_once(portal: Portal, see) -> None:
    RegistryToken.objects.update(
        last_error="AWS does not answer.",
        hint="See the network.",
        attempts=3,
        failing_since=portal.now - timedelta(hours=1),
    )
    portal.credential("one", State.FAILING, last_error="AWS does not answer.")
    page = see()
    assert page.count('class="failure ') == 1
    assert "AWS does not answer." in page
    Watch.objects.update(
        failing_since=portal.now - timedelta(hours=2), last_error="No route to host.", attempts=5
    )
    page = see()
    assert page.count('class="failure ') == 2
    assert "No route to host." in page
    assert "Try Helsinki now" in page


def test_the_image_that_a_registry_refused_is_named_to_admins_alone(portal: Portal, see) -> None:
    proof = {"by": "", "refused": True, "error": "No right to pull.", "hint": "", "image": "canary/web"}
    RegistryToken.objects.update(proofs={portal.registry.host: proof})
    assert "Tried on</dt><dd><code>canary/web</code>" in see()
    assert "No right to pull." in see("viewer")
    assert "canary/web" not in see("viewer")


def test_a_portal_that_does_not_look_says_so(portal: Portal, see) -> None:
    assert "has not looked" not in see()
    Watch.objects.update(looked_at=portal.now - timedelta(minutes=9))
    assert "has not looked at this cluster" in see()


def test_each_row_says_state_time_left_proof_and_refresh(portal: Portal, see) -> None:
    portal.credential(
        "cd",
        State.FOREIGN,
        hours=None,
        last_writer="kubectl-edit",
        last_error="It was written by kubectl-edit.",
    )
    page = see()
    row = page[page.index('<span class="title">shop<') :]
    row = row[: row.index("</tr>")]
    assert [
        "Valid" in row,
        "7 h 59 min" in row,
        "manifest read" in row,
        "4 h ago" in row,
        "Shop staging" in row,
    ] == [True] * 5
    assert "data-left" in row
    assert "Written by others" in page
    assert "adopt-" in page
    assert "was last written by <b>kubectl-edit</b>" in page


def test_the_strip_shows_real_renewals(portal: Portal, see) -> None:
    row = Credential.objects.get()
    portal.renewal(row, 0)
    portal.renewal(row, 3)
    portal.renewal(row, 5, result="failed", state="failed", ended_at=portal.now - timedelta(days=4))
    page = see()
    four, five = (portal.now - timedelta(days=n) for n in (4, 5))
    words = f"30 days: renewals on 4 days; failures on 2 days: {five:%-d %b}, {four:%-d %b}"
    assert f'aria-label="{words}"' in page
    strip = page[page.index('class="strip"') :]
    strip = strip[: strip.index("</svg>")]
    bars = {kind: path.count("M") for kind, path in re.findall(r'class="(\w*)" d="([^"]*)"', strip)}
    assert bars == {"none": DAYS - 4, "bad": 2, "": 2}


def test_what_was_done_leads_to_the_audit(portal: Portal, see) -> None:
    portal.renewal(
        Credential.objects.get(), 0, sentence="1 Secret renewed.", fingerprint="9c410eb2", asked_as=""
    )
    page = see()
    assert "1 Secret renewed." in page
    assert "9c410eb2" in page
    assert "/audit/?verb=pull_credential.&amp;target=hel" in page
    assert "/audit/" not in see("viewer")


def test_people_see_the_namespaces_of_their_environments_only(portal: Portal, see) -> None:
    other = portal.credential("secret-venture", State.FAILING, hours=1, last_error="secret-venture refuses.")
    row = portal.renewal(
        other, 0, result="failed", state="failed", sentence="1 Secret not renewed; secret-venture: no."
    )
    RefreshResult.objects.create(
        refresh=row, credential=Credential.objects.get(namespace="shop"), result="written"
    )
    for who in ("viewer", "deployer", "maintainer"):
        page = see(who)
        assert heading(page) == "Pulls work in 1 of 1 namespace"
        assert "secret-venture" not in page
        assert "1 renewed: shop." in page
    assert "secret-venture" in see()
    assert "Shop" not in see("stranger")


def test_a_renewal_in_a_namespace_of_others_is_not_shown_by_its_name_alone(portal: Portal, see) -> None:
    """The person has a namespace of that name, in another cluster."""
    second = make.make_cluster(slug="lon", name="London")
    portal.credential("feed", cluster=second)
    make.make_environment(
        portal.environment.project, slug="feed", cluster=second, namespace="feed", pull_secret="ecr-pull"
    )
    portal.credential("feed")
    Refresh.objects.create(
        cluster=portal.cluster,
        namespace="feed",
        cause="person",
        state="running",
        step=4,
        asked_as="canary-person",
    )
    assert "canary-person" in see()
    for who in ("viewer", "deployer", "maintainer"):
        assert "canary-person" not in see(who)


def test_people_read_how_many_of_their_namespaces_were_renewed(portal: Portal, see) -> None:
    first = Credential.objects.get()
    refresh = portal.renewal(first, 0, sentence="9 Secrets renewed.")
    for n in range(4):
        name = f"own-{n}"
        make.make_environment(
            portal.environment.project,
            slug=name,
            cluster=portal.cluster,
            namespace=name,
            pull_secret="ecr-pull",
        )
        RefreshResult.objects.create(refresh=refresh, credential=portal.credential(name), result="written")
    page = see("viewer")
    assert "5 renewed: shop, own-0, own-1 and 2 more." in page
    assert "…." not in page
    RefreshResult.objects.update(result="skipped", sentence="It is paused.")
    assert "5 skipped; shop: It is paused." in see("viewer")


def test_a_pause_that_outlives_its_credential_says_so(portal: Portal, see) -> None:
    row = portal.credential("lull", State.PAUSED, hours=4, paused_until=portal.now + timedelta(hours=5))
    assert "Pulls stop before the pause ends. An admin can resume it" in see()
    Credential.objects.filter(pk=row.pk).update(paused_until=portal.now + timedelta(hours=3))
    assert "Nothing is written here until the pause ends." in see()


def test_buttons_are_for_those_who_may(portal: Portal, see) -> None:
    def buttons(who: str) -> list[bool]:
        page = see(who)
        return [
            text in page
            for text in (
                'value="hel/shop"',
                "Refresh all now",
                "/registry/hel/settings/",
                "/registry/hel/pause/",
            )
        ]

    assert buttons("viewer") == [False] * 4
    assert buttons("deployer") == [True, False, False, False]
    assert buttons("admin") == [True] * 4


def test_no_secret_is_in_the_page(portal: Portal, see) -> None:
    assert "canary" not in see()


def test_a_renewal_is_followed_step_by_step(portal: Portal, see) -> None:
    Refresh.objects.create(
        cluster=portal.cluster, cause="person", state="running", step=4, done=3, total=14, asked_as="ada",
        started_at=portal.now, asked_by=portal.people["admin"],
    )  # fmt: skip
    page = see()
    assert 'http-equiv="refresh"' in page  # without script
    assert 'data-changes="/changes/?topic=registry"' in page
    assert "Step 4 of 5, writing, 3 of 14" in page
    part = see(HX_Request="true")
    assert "<html" not in part
    assert 'data-say="Helsinki: step 4 of 5, writing, 3 of 14.' in part
    Refresh.objects.update(
        state="succeeded", step=5, done=14, ended_at=portal.now, sentence="14 Secrets renewed."
    )
    page = see()
    assert "14 Secrets renewed." in page


def test_pods_that_cannot_pull_and_whether_they_heal(portal: Portal, see) -> None:
    told = {"container": "web", "image": "eu/web:1", "born": ""}
    pulls = [
        {**told, "pod": "web-1", "message": "401 Unauthorized", "secrets": []},
        {**told, "pod": "web-2", "message": "manifest not found", "secrets": ["ecr-pull"]},
    ]
    LiveState.objects.create(
        environment=portal.environment,
        health="failing",
        read_at=portal.now,
        workloads=[{"name": "web", "pulls": pulls}],
    )
    page = see("viewer")
    assert "Pods that cannot pull now" in page
    assert "It never heals: it was made before anything named ecr-pull for it. Delete the pod" in page
    assert "The registry has no such image" in page
    assert "Pods that cannot pull now" not in see("stranger")


def test_a_pod_of_a_job_is_among_them_while_the_workloads_are_well(portal: Portal, see) -> None:
    told = {"container": "c", "image": "eu/backup:1", "born": "", "message": "401", "secrets": []}
    pulls = [{**told, "pod": "backup-29", "owner": "Job"}, {**told, "pod": "by-hand", "owner": ""}]
    LiveState.objects.create(
        environment=portal.environment, health="healthy", read_at=portal.now, pulls=pulls
    )
    page = see("viewer")
    assert 'id="pulls">Pods that cannot pull now</h2><span class="count">2</span>' in page
    assert "Delete the pod; the one that takes its place gets the Secret." in page
    assert "Delete the pod; make it anew." in page
    LiveState.objects.update(pulls=[])
    assert "Pods that cannot pull now" not in see("viewer")


def test_a_pod_heals_with_its_credential(portal: Portal) -> None:
    told = {"message": "401", "secrets": ["ecr-pull"]}
    row = Credential.objects.get()
    row.written_at = portal.now - timedelta(minutes=1)
    assert healing(told, "ecr-pull", row, portal.now)[0] == "yes"
    row.written_at = portal.now - timedelta(hours=1)
    assert healing(told, "ecr-pull", row, portal.now)[0] == "no"
    row.expires_at = portal.now
    assert healing(told, "ecr-pull", row, portal.now)[0] == "later"
    assert healing(told, "ecr-pull", None, portal.now)[0] == "later"
    heals, sentence = healing({"message": "401", "secrets": ["old"]}, "ecr-pull", row, portal.now)
    assert (heals, "names old and not ecr-pull" in sentence) == ("no", True)


def test_filters_and_pages_have_addresses(portal: Portal, see) -> None:
    for n in range(PAGE + 5):
        portal.credential(f"ns-{n:03}")
    portal.failing("zz-feed")
    page = see()
    assert page.count("<tr id=") == FEW
    assert page.index("zz-feed") < page.index("ns-000")
    assert f"All {PAGE + 7} namespaces of Helsinki" in page
    page = see(address="/registry/?cluster=hel")
    assert page.count("<tr id=") == PAGE
    assert "?cluster=hel&amp;page=1" in page
    page = see(address="/registry/?cluster=hel&page=1")
    assert page.count("<tr id=") == 7
    assert see(address="/registry/?q=NS-01").count("<tr id=") == 10
    assert see(address="/registry/?show=attention").count("<tr id=") == 1
    assert "No credential fits" in see(address="/registry/?q=nothing")
    assert see(address="/registry/?cluster=hel&page=999999999999").count("<tr id=") == PAGE
    assert see(address="/registry/?cluster=hel&page=99").count("<tr id=") == 0


def test_an_empty_portal_gives_the_first_step(portal: Portal, see) -> None:
    Credential.objects.all().delete()
    assert "No pull credentials yet" in see()
    assert "None of the environments that you see" in see("stranger")


def test_ten_clusters_cost_as_many_queries_as_one(portal: Portal, client: Client) -> None:
    def queries(who: str) -> int:
        client.force_login(portal.people[who])
        with CaptureQueriesContext(connection) as seen:
            assert client.get(PAGE_URL).status_code == 200
        return len(seen)

    portal.renewal(Credential.objects.get(), 1)
    few = {who: queries(who) for who in ("admin", "viewer")}
    fill(portal, clusters=9, namespaces=200)
    for who, number in few.items():
        assert queries(who) <= number <= 24  # folded clusters ask for less
    Credential.objects.filter(namespace__startswith="n1").update(state=State.ENDED)
    for who, number in few.items():
        assert queries(who) == number


def test_many_clusters_are_folded_to_their_counts_and_the_page_stays_small(portal: Portal, see) -> None:
    fill(portal, clusters=10, namespaces=200)
    page = see()
    assert page.count('<tr id="credential-') == 0
    assert page.count("Pulls work in 200 of 200 namespaces · <a") == 10
    assert '<a href="/registry/?cluster=c3">All 200 namespaces of ' in page
    assert len(page) < 100_000
    Credential.objects.filter(cluster__slug="c7", namespace__in=("n1", "n2", "n3", "n4")).update(
        state=State.FAILING, last_error="The quota is full.", failing_since=portal.now
    )
    page = see()
    assert page.count('<tr id="credential-') == ROOM // 11
    assert page.index('id="cluster-c7"') < page.index('id="cluster-c0"')
    assert "197 more are not shown here" in page
    Credential.objects.update(state=State.FAILING, last_error="The quota is full.", failing_since=portal.now)
    assert see().count('<tr id="credential-') <= ROOM
    assert len(see()) < 150_000
    assert len(see(address="/registry/?cluster=c3")) < 150_000


def test_what_a_filter_leaves_out_is_counted_with_a_link_to_all(portal: Portal, see) -> None:
    for n in range(FEW + 3):
        portal.failing(f"feed-{n:02}")
    page = see(address="/registry/?show=attention&q=feed")
    assert page.count('<tr id="credential-') == FEW
    assert (
        '<a href="/registry/?cluster=hel&amp;q=feed&amp;show=attention">All that fit in Helsinki</a>; 3 more are'
        in page
    )
    page = see(address="/registry/?cluster=hel&q=feed&show=attention")
    assert page.count('<tr id="credential-') == FEW + 3


def test_a_card_tells_of_alike_troubles_that_do_not_show_as_rows(portal: Portal, see) -> None:
    for n in range(FEW + 3):
        portal.failing(f"feed-{n:02}")
    page = see(address="/registry/?page=0")
    card = page[page.index('class="failure') :]
    assert "Also in</dt><dd>feed-01, feed-02, feed-03, feed-04, feed-05 and more" in card
    line = overview(portal.people["admin"], Asked(), portal.now)
    assert len(line.cards[0].also) == FEW + 2


def fill(portal: Portal, *, clusters: int, namespaces: int) -> None:
    """Many clusters; in each namespace an environment of the project, and a renewal of the whole cluster."""
    project = portal.environment.project
    for n in range(clusters):
        cluster = make.make_cluster(slug=f"c{n}")
        Watch.objects.create(cluster=cluster, looked_at=portal.now)
        rows = Credential.objects.bulk_create(
            Credential(
                cluster=cluster, namespace=f"n{i}", secret_name="ecr-pull", state=State.VALID,
                expires_at=portal.now + timedelta(hours=7), half_life_at=portal.now + timedelta(hours=1),
            )
            for i in range(namespaces)
        )  # fmt: skip
        refresh = Refresh.objects.create(cluster=cluster, cause="due", state="succeeded", ended_at=portal.now)
        RefreshResult.objects.bulk_create(
            RefreshResult(refresh=refresh, credential=row, result="written") for row in rows
        )
        type(portal.environment).objects.bulk_create(
            type(portal.environment)(
                project=project, slug=f"e{n}-{i}", name=f"e{n}-{i}", cluster=cluster, namespace=f"n{i}", config_directory="k",
                pull_secret="ecr-pull",
            )
            for i in range(namespaces)
        )  # fmt: skip
