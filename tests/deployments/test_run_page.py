"""The page of a deploy while it runs, after it failed, was stopped or replaced: pods, expected time, the card, the way back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clusters.models import LiveState
from deployments.management.commands.deploy import facts
from deployments.models import Deploy, ObjectState, compress
from deployments.pages import going_back
from deployments.pages.deploy_parts import StepView
from deployments.pages.expected import Usual, expected, usual_of
from engine.types import Evidence, PodNote, PodsShown
from projects.models import Role, SecretsFile
from runs.models import State, Step
from tests.factories import grant, make_deploy, make_environment, make_release, make_user
from ui.words import about_left

pytestmark = pytest.mark.django_db
NOW = timezone.now
WEB = "Deployment.apps/ns/web"


@pytest.fixture
def visit(client: Client, deployer: Any) -> Any:
    """`visit(address)`: the text of a page as the deployer sees it, with its spaces made one."""
    client.force_login(deployer)
    return lambda address: " ".join(client.get(address).content.decode().split())


def text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def good(environment: Any, revision: str = "a", **fields: Any) -> Deploy:
    """A deploy that succeeded, with a release of its own."""
    release = make_release(environment, verified_at=NOW(), revision=revision * 40, place=environment.place)
    given = {"started_at": NOW(), "ended_at": NOW(), "release": release, "revision": revision * 40, **fields}
    return make_deploy(environment, **given)


def ended(environment: Any, state: State = State.FAILED, *, wrote: bool = True, **fields: Any) -> Deploy:
    """A deploy that did not succeed, after its first write."""
    release = make_release(environment, revision="b" * 40, place=environment.place) if wrote else None
    given = {"started_at": NOW(), "ended_at": NOW(), "revision": "b" * 40, "release": release, **fields}
    deploy = make_deploy(environment, state, **given)
    if wrote:
        Step.objects.filter(run_id=deploy.run_id, name="apply").update(started_at=NOW())
    return deploy


def row(
    deploy: Deploy, ref: str = WEB, action: str = "change", progress: str = "progressing", **fields: Any
) -> None:
    ObjectState.objects.create(run_id=deploy.run_id, ref=ref, action=action, progress=progress, **fields)


def stamp(seconds: float) -> str:
    return (NOW() - timedelta(seconds=seconds)).isoformat()


def pods(**note: Any) -> dict[str, Any]:
    given = {"name": "web-6d7f-abcde", "phase": "runs, not ready", "since": stamp(31), **note}
    return asdict(PodsShown(2, 3, (PodNote(**given),), more=1))


class TestPods:
    @pytest.fixture(autouse=True)
    def still(self) -> Iterator[None]:
        """Ages are compared to the second."""
        with time_machine.travel(datetime.now(UTC), tick=False):
            yield

    def test_what_they_wait_for_stands_below_the_objects(self, environment: Any, visit: Any) -> None:
        deploy = make_deploy(environment, State.RUNNING, started_at=NOW())
        probe = {"waits": "readiness probe", "waits_since": stamp(28), "allowed": 60.0, "said": "HTTP 503"}
        row(deploy, pods=pods(**probe, restarts=2))
        page = visit(f"/deploys/{deploy.number}/")
        assert "Pods of web that are not ready" in page
        assert re.search(r"readiness probe 28 s of 1 min: HTTP 503", text(page))
        assert "2/3" in page
        assert "1 more not ready" in page
        assert 'data-label="restarts">2<' in page

    def test_a_probe_beyond_its_time_is_told_so(self, environment: Any, visit: Any) -> None:
        deploy = make_deploy(environment, State.RUNNING, started_at=NOW())
        row(deploy, pods=pods(waits="startup probe", waits_since=stamp(90), allowed=60.0))
        assert "startup probe 1 min 30 s , longer than its 1 min" in text(visit(f"/deploys/{deploy.number}/"))

    def test_after_the_end_nothing_counts_on(self, environment: Any, visit: Any) -> None:
        deploy = ended(environment, result="web: it crashed.")
        row(
            deploy, progress="failed", pods=pods(waits="readiness probe", waits_since=stamp(28), allowed=60.0)
        )
        details = visit(f"/deploys/{deploy.number}/").partition('id="details"')[2]
        assert "readiness probe 28 s of 1 min" in text(details)
        assert "data-elapsed" not in details

    def test_times_that_cannot_be_read_are_no_error(self, environment: Any, visit: Any) -> None:
        deploy = make_deploy(environment, State.RUNNING, started_at=NOW())
        row(deploy, pods=pods(since="", waits="readiness probe", waits_since="soon", said="<b>x</b>"))
        assert "readiness probe: &lt;b&gt;x&lt;/b&gt;" in visit(f"/deploys/{deploy.number}/")

    def test_what_is_being_asked_is_told(self, environment: Any, visit: Any) -> None:
        deploy = make_deploy(environment, State.RUNNING, started_at=NOW())
        doing = "asks the cluster Kind for a dry run of 7 objects"
        Step.objects.filter(run_id=deploy.run_id, name="preflight").update(state="running", summary=doing)
        assert f"Preflight: {doing}" in visit(f"/deploys/{deploy.number}/")


class TestExpectedTime:
    def took(self, environment: Any, seconds: float, **fields: Any) -> Deploy:
        began = NOW() - timedelta(hours=1)
        deploy = make_deploy(
            environment, started_at=began, ended_at=began + timedelta(seconds=seconds), **fields
        )
        Step.objects.filter(run_id=deploy.run_id, name__in=["apply", "rollout"]).update(
            state="succeeded", started_at=began, ended_at=began + timedelta(seconds=seconds / 2)
        )
        return deploy

    def test_it_is_the_median_of_the_last_ten_that_succeeded_in_one_attempt(self, environment: Any) -> None:
        for seconds in (900, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100):
            self.took(environment, seconds)
        self.took(environment, 5, attempt=2)
        self.took(environment, 5, state=State.FAILED)
        usual = usual_of(make_deploy(environment, State.RUNNING))
        assert usual is not None
        assert (usual.whole, usual.steps["rollout"]) == (55, 27.5)

    def test_one_deploy_tells_nothing(self, environment: Any, visit: Any) -> None:
        self.took(environment, 70)
        running = make_deploy(environment, State.RUNNING, started_at=NOW())
        assert usual_of(running) is None
        assert "usually" not in visit(f"/deploys/{running.number}/")

    def test_the_page_says_how_long_it_still_takes(self, environment: Any, visit: Any) -> None:
        for _ in range(2):
            self.took(environment, 70)
        running = make_deploy(environment, State.RUNNING, started_at=NOW())
        page = visit(f"/deploys/{running.number}/")
        assert "about 1 min 10 s left, usually 1 min 10 s" in page
        assert "usually 35 s" in page  # the step rollout
        assert 'data-eta="70"' in page

    @pytest.mark.parametrize(("passed", "left"), [(0.0, 40.0), (20.0, 20.0), (99.0, 10.0)])
    def test_what_is_left_is_of_this_step_and_the_next(
        self, environment: Any, passed: float, left: float
    ) -> None:
        now = NOW()
        steps = [
            StepView("checkout", "succeeded", 2.0, now, ""),
            StepView("apply", "running", None, now - timedelta(seconds=passed), ""),
            StepView("rollout", "pending", None, None, ""),
        ]
        deploy = make_deploy(environment, State.RUNNING, started_at=now)
        found = expected(deploy, steps, Usual(60.0, {"checkout": 5.0, "apply": 30.0, "rollout": 10.0}), now)
        assert found is not None
        assert (found.ends_at - now).total_seconds() == left
        late = make_deploy(environment, State.FAILED, started_at=now - timedelta(seconds=61))
        found = expected(late, steps, Usual(60.0, {"apply": 30.0, "rollout": 10.0}), now)
        assert found is not None
        assert found.text == "longer than usual (1 min)"

    @pytest.mark.parametrize(
        ("left", "words"),
        [
            (38, "about 40 s left, usually 1 min 10 s"),
            (2, "about 5 s left, usually 1 min 10 s"),
            (134, "about 2 min 10 s left, usually 1 min 10 s"),
            (0, "longer than usual (1 min 10 s)"),
        ],
    )
    def test_in_words(self, left: float, words: str) -> None:
        assert about_left(left, 70) == words


def stored_web(environment: Any) -> bytes:
    container = {"name": "web", "image": "r/web:1", "envFrom": [{"secretRef": {"name": "keys"}}]}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": environment.namespace},
    }
    secret = {"ref": f"Secret/{environment.namespace}/keys", "keys": {"TOKEN": "0d82"}}
    return compress([
        {"object": {**body, "spec": {"template": {"spec": {"containers": [container]}}}}, "source": "a.yaml:1"},
        {"secret": secret, "source": "s.yaml:1", "from": {"file": "secret.yaml", "version_id": "v"}},
    ])  # fmt: skip


class TestTheCard:
    @pytest.fixture
    def failed(self, environment: Any) -> Deploy:
        """web crashes because a setting is missing; it wrote a new Job and changed web."""
        serving = "web goes on serving with aaaaaaa: 2 of 2 replicas are ready."
        crash = Evidence(
            pod="web-1", container="web", previous_logs=("Error: setting PAYMENT_API_URL is missing",)
        )
        deploy = ended(
            environment, result="web: container web crashed twice", still_serving=serving,
            hint=f"Look at the last lines of its log. {serving}",
            evidence=[{"ref": WEB, "sentence": "web: container web crashed twice", **asdict(crash)}],
        )  # fmt: skip
        type(deploy.release).objects.filter(pk=deploy.release_id).update(
            objects_compressed=stored_web(environment)
        )
        SecretsFile.objects.create(
            environment=environment, path="secret.yaml", secret_id="shop/keys", region="eu-west-1"
        )
        row(deploy, progress="failed", sentence="web: container web crashed twice", pods=pods())
        row(deploy, "Job.batch/ns/migrate-2", action="create", progress="ready")
        row(deploy, "Service/ns/web", action="unchanged", progress="applied")
        return deploy

    def test_cause_once_what_serves_what_is_left_and_the_fix(self, failed: Deploy, visit: Any) -> None:
        page = visit(f"/deploys/{failed.number}/")
        shown = text(page.partition("<main")[2].partition("</main>")[0])
        assert shown.count("container web crashed twice") == 1
        assert "Still serving web goes on serving with aaaaaaa: 2 of 2 replicas are ready." in shown
        assert "Left behind New: Job/migrate-2. Changed: Deployment/web. 2 pods not ready." in shown
        assert "Likely fix PAYMENT_API_URL is read by web and set nowhere in " in shown
        assert "What to do" not in shown  # the fix says it better

    def test_buttons_for_those_who_can_press_them(
        self, environment: Any, failed: Deploy, visit: Any, client: Client
    ) -> None:
        address, place = f"/deploys/{failed.number}/", f"{environment.project.slug}/{environment.slug}"
        assert "Add variable" not in visit(address)
        lead = make_user("lead")
        grant(lead, Role.MAINTAINER, environment.project)
        client.force_login(lead)
        page = client.get(address).content.decode()
        file = SecretsFile.objects.get().pk
        assert f'href="/projects/{place}/secrets/?file={file}&amp;add=PAYMENT_API_URL#add"' in page
        settings = re.search(r'href="([^"]+\?variable=PAYMENT_API_URL)#variables"', page)
        assert settings is not None
        assert 'value="PAYMENT_API_URL"' in client.get(settings[1]).content.decode()

    def test_warnings_come_first_and_usual_events_are_folded(self, environment: Any, visit: Any) -> None:
        events = [
            {"type": "Normal", "reason": "Pulled", "text": "pulled it", "count": 1, "object": ""},
            {"type": "Warning", "reason": "BackOff", "text": "backs off", "count": 9, "object": ""},
        ]
        evidence = [{"ref": WEB, "pod": "web-1", "container": "web", "events": events}]
        page = visit(f"/deploys/{ended(environment, result='x', evidence=evidence).number}/")
        shown, _, folded = page.partition("1 usual event</summary>")
        assert "<b>BackOff</b>" in shown
        assert "<b>Pulled</b>" in folded
        assert "<b>Pulled</b>" not in shown

    def test_a_deploy_of_before_has_all_in_its_hint(self, environment: Any, visit: Any) -> None:
        page = text(visit(f"/deploys/{ended(environment, result='x', hint='Look. web goes on.').number}/"))
        assert "What to do Look. web goes on." in page
        assert "Still serving" not in page

    def test_the_outcome_is_announced_once(self, failed: Deploy, environment: Any, visit: Any) -> None:
        said = f"Deploy #{failed.number} to {environment.name} failed: web: container web crashed twice"
        assert f'data-say="{said}"' in visit(f"/deploys/{failed.number}/progress/")
        running = make_deploy(environment, State.RUNNING)
        assert "data-say" not in visit(f"/deploys/{running.number}/progress/")


class TestAfterTheEnd:
    def test_of_a_stopped_deploy_nothing_turns(self, environment: Any, visit: Any) -> None:
        good(environment)
        deploy = ended(
            environment, State.CANCELLED, result="lead cancelled it. 1 of 2 objects had been written."
        )
        row(deploy, sentence="1 of 2 replicas updated")
        page = visit(f"/deploys/{deploy.number}/").partition("<main")[2].partition("</main>")[0]
        assert "was being changed when it was stopped: 1 of 2 replicas updated" in page
        assert " spin" not in page

    def test_the_rollback_that_follows_is_told_once(self, environment: Any, visit: Any) -> None:
        target = good(environment)
        deploy = ended(environment, State.CANCELLED)
        after = make_deploy(
            environment, State.QUEUED, kind="rollback", undoes=deploy, rolls_back_to=target, release=target.release,
            revision=target.revision,
        )  # fmt: skip
        told = f"lead cancelled it. 1 of 2 objects had been written; deploy #{after.number} rolls back to aaaaaaa."
        Deploy.objects.filter(pk=deploy.pk).update(result=told)
        page = text(visit(f"/deploys/{deploy.number}/").partition("<main")[2].partition("</main>")[0])
        assert "lead cancelled it. 1 of 2 objects had been written. Rollback #" in page
        assert page.count(f"#{after.number}") == 1
        assert "follows: queued." in page
        Deploy.objects.filter(pk=after.pk).update(state=State.SUCCEEDED, started_at=NOW(), ended_at=NOW())
        page = text(visit(f"/deploys/{deploy.number}/").partition("<main")[2].partition("</main>")[0])
        assert page.count(f"#{after.number}") == 1
        assert "followed: succeeded." in page

    def test_an_old_deploy_says_from_when_to_when_it_ran(self, environment: Any, visit: Any) -> None:
        began = NOW() - timedelta(hours=5)
        old = good(environment, ended_at=began, result="aaaaaaa runs in Staging; every object is ready.")
        after = good(environment, "c", ended_at=began + timedelta(hours=3))
        page = visit(f"/deploys/{old.number}/")
        assert re.search(
            rf"ran from .* to .* \(3 h\), replaced by #{after.number} \( ccccccc , ana\)", text(page)
        )
        assert "runs in Staging" not in page
        assert "Deploy this again…" in page
        assert re.search(r'class="button" type="button" id="roll-back"[^>]*>.*?Roll back to aaaaaaa', page)

    def test_what_a_rollback_undid_says_so_and_offers_none(self, environment: Any, visit: Any) -> None:
        target = good(environment)
        bad = ended(environment, result="web: it crashed.")
        back = make_deploy(
            environment, kind="rollback", started_at=NOW(), ended_at=NOW(), release=target.release,
            revision=target.revision, rolls_back_to=target,
        )  # fmt: skip
        page = visit(f"/deploys/{bad.number}/")
        assert f'Undone by <a href="/deploys/{back.number}/">rollback #{back.number}</a>' in page
        assert 'id="roll-back"' not in page
        assert "Left behind" not in page
        again = visit(f"/deploys/{target.number}/")  # its release runs again
        assert "ran from" not in text(again)


class TestTheWayBack:
    def serving(self, environment: Any, health: str = "failing", *, wrote_at: datetime | None = None) -> None:
        LiveState.objects.create(
            environment=environment, health=health, workloads=[], read_at=wrote_at or NOW(), tried_at=NOW()
        )

    def link(self, deploy: Deploy) -> str:
        return f'href="/deploys/{deploy.number}/#roll-back"'

    def test_of_a_failed_environment_it_is_offered_wherever_one_looks(
        self, environment: Any, visit: Any
    ) -> None:
        good(environment)
        self.serving(environment, "healthy")
        bad = ended(environment, result="web: it crashed.")
        place = f"/projects/{environment.project.slug}/"
        for address in ("/", place, f"{place}{environment.slug}/"):
            page = visit(address)
            assert self.link(bad) in page, address
            assert "Roll back to aaaaaaa…" in page

    @pytest.mark.parametrize("part", ["environment", "project"])
    def test_what_is_archived_offers_none(self, environment: Any, visit: Any, part: str) -> None:
        """The gate would refuse it."""
        old = good(environment)
        bad = ended(environment, result="web: it crashed.")
        thing = environment if part == "environment" else environment.project
        type(thing).objects.filter(pk=thing.pk).update(archived_at=NOW())
        slug, env = environment.project.slug, environment.slug
        for address in (
            f"/projects/{slug}/",
            f"/projects/{slug}/{env}/",
            f"/deploys/?project={slug}&environment={env}",
            f"/deploys/{old.number}/",
            f"/deploys/{bad.number}/",
        ):
            page = visit(address)
            assert "roll-back" not in page, address
            assert "/rollback/" not in page, address

    def test_a_degraded_one_goes_back_to_the_release_before_what_runs(
        self, environment: Any, visit: Any
    ) -> None:
        good(environment)
        live = good(environment, "c")
        self.serving(environment)
        page = visit("/")
        assert self.link(live) in page
        assert "Roll back to aaaaaaa…" in page

    def test_what_is_in_place_is_never_offered(self, environment: Any, visit: Any) -> None:
        first = good(environment)
        again = make_deploy(
            environment, started_at=NOW(), ended_at=NOW(), release=first.release, revision=first.revision
        )
        self.serving(environment)
        for address in ("/", f"/deploys/{again.number}/", f"/deploys/{first.number}/"):
            assert "Roll back to" not in visit(address), address

    def test_the_same_revision_with_other_settings_is_named_by_its_number(
        self, environment: Any, visit: Any
    ) -> None:
        before, live = good(environment), good(environment)
        page = visit(f"/deploys/{live.number}/")
        assert f"Roll back to #{before.number}…" in page
        assert f"back to #{before.number}?" in page

    def test_a_rollback_that_wrote_nothing_left_nothing_in_place(self, environment: Any, visit: Any) -> None:
        """Else what runs would be offered, because the rollback's release has another content."""
        before, live = good(environment), good(environment, "c")
        tried = make_deploy(
            environment, State.FAILED, kind="rollback", started_at=NOW(), ended_at=NOW(), release=before.release,
            revision=before.revision, result="The registry no longer holds it.",
        )  # fmt: skip
        self.serving(environment)
        assert "Roll back to aaaaaaa…" in visit("/")
        assert "Roll back to" not in visit(f"/deploys/{tried.number}/")
        assert "Roll back to aaaaaaa…" in visit(f"/deploys/{live.number}/")

    def test_the_list_offers_what_is_good_and_not_in_place(self, environment: Any, visit: Any) -> None:
        old, marked, live = good(environment), good(environment, "c"), good(environment, "d")
        type(marked.release).objects.filter(pk=marked.release_id).update(marked_bad_by="lead")
        slug, env = environment.project.slug, environment.slug
        for address in (
            f"/projects/{slug}/{env}/",
            f"/projects/{slug}/",
            f"/deploys/?project={slug}&environment={env}",
        ):
            page = visit(address)
            assert self.link(old) in page, address
            assert self.link(marked) not in page
            assert self.link(live) not in page
        make_environment(environment.project)
        assert self.link(old) not in visit("/deploys/")  # of several environments: none

    def test_while_a_deploy_runs_and_for_those_who_may_not_there_is_none(
        self, environment: Any, visit: Any, viewer: Any, client: Client
    ) -> None:
        good(environment)
        ended(environment, result="x")
        self.serving(environment)
        client.force_login(viewer)
        assert "Roll back" not in client.get("/").content.decode()
        make_deploy(environment, State.RUNNING)
        client.force_login(make_user("admin", is_admin=True))
        assert "Roll back" not in client.get("/").content.decode()

    def test_as_many_queries_for_many_environments(self, environment: Any, deployer: Any) -> None:
        made = [environment, *(make_environment(slug=f"s{n}", project=environment.project) for n in range(3))]
        for one in made:
            good(one)
            good(one, "c")
            ended(one, result="x")
            self.serving(one)
        counts = []
        for chosen in (made[:1], made):
            views = [going_back.of_environment(deployer, one) for one in chosen]
            with CaptureQueriesContext(connection) as queries:
                found = going_back.with_ways_back(views)
            counts.append(len(queries))
            assert {view.back.target.revision[0] for view in found if view.back} == {"c"}
            assert all(view.back for view in found)
        assert counts == [3, 3]


def test_the_command_line_lists_the_pods(environment: Any) -> None:
    deploy = make_deploy(environment, State.RUNNING, started_at=NOW())
    row(deploy, pods=pods(waits="readiness probe", said="HTTP 503"))
    row(deploy, "ConfigMap/ns/c", progress="applied")
    (listed,) = facts(deploy)["pods"]
    assert (listed["object"], listed["ready"], listed["wanted"]) == (WEB, 2, 3)
    assert (listed["waiting"][0]["waits"], listed["waiting"][0]["said"]) == ("readiness probe", "HTTP 503")
