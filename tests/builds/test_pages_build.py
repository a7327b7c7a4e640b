"""The page of one build: what it shows in each state, its buttons, and where its images go."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.models import AuditEvent
from builds.models import Build, BuiltImage
from clusters.models import LiveState
from core.heartbeats import WORKER, Heart
from projects.models import Project, Role
from runs.models import LogChunk, State, Step
from tests.factories import grant, make_build, make_environment, make_image, make_project, make_user

pytestmark = pytest.mark.django_db
DIGEST = "sha256:" + "d" * 64


@pytest.fixture(autouse=True)
def pushed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What was handed to the queue."""
    calls: list[tuple[str, int]] = []
    monkeypatch.setattr("core.jobs.push", lambda func, ids, queue, job_id, **_: calls.append(ids) or True)
    return calls


@pytest.fixture
def shop() -> Project:
    project = make_project(slug="shop", name="The Shop", repository_url="https://github.com/acme/shop.git")
    make_image(project, name="web")
    return project


@pytest.fixture
def dev(client: Client, shop: Project) -> Client:
    """Signed in as a deployer of the project."""
    user = make_user("dev")
    grant(user, Role.DEPLOYER, shop)
    client.force_login(user)
    return client


def ended(project: Project, state: str = State.SUCCEEDED, seconds: float = 60, **fields: Any) -> Build:
    at = timezone.now() - timedelta(minutes=10)
    more = {"started_at": at, "ended_at": at + timedelta(seconds=seconds)}
    return make_build(project, state, **more, **fields)


def page(client: Client, build: Build, part: str = "") -> str:
    answer = client.get(f"/builds/{build.number}/{part}")
    assert answer.status_code == 200
    return answer.content.decode()


def write_log(build: Build, *lines: tuple[str, str]) -> None:
    """Lines of the log, each with its step."""
    text = "\n".join(f"1764280000.5\tinfo\t{step}\t{words}" for step, words in lines)
    LogChunk.objects.create(run_id=build.run_id, sequence=1, first_line=1, line_count=len(lines), text=text)


class TestSucceeded:
    @pytest.fixture
    def green(self, shop: Project) -> Build:
        build = ended(shop, builder="classic", git_tags=["v1.2"], branch="main")
        build.images.update(
            digest=DIGEST, size=80_000_000, steps=8, cached_steps=5, build_seconds=41.0, push_seconds=9.0,
            tags=[build.short, "branch-main", "latest"], dockerfile="docker/Dockerfile", context=".", target="run",
        )  # fmt: skip
        return build

    def test_its_images(self, dev: Client, green: Build) -> None:
        shown = page(dev, green)
        for text in (
            DIGEST, "76.3\u00a0MB", "5 of 8 steps", "41 s", "9 s", "branch-main", "docker/Dockerfile", "v1.2", "classic builder",
        ):  # fmt: skip
            assert text in shown
        assert "context <code>" not in shown  # the default

    def test_it_leads_to_deploying(self, dev: Client, green: Build) -> None:
        make_environment(green.project, slug="staging")
        assert f'href="/projects/shop/staging/deploy/?revision={green.revision}&amp;branch=main"' in page(
            dev, green
        )

    def test_not_where_the_reader_may_not_deploy(self, client: Client, green: Build) -> None:
        make_environment(green.project, slug="staging")
        viewer = make_user()
        grant(viewer, Role.VIEWER, green.project)
        client.force_login(viewer)
        shown = page(client, green)
        assert "/staging/deploy/" not in shown
        assert "Rebuild" not in shown

    @pytest.mark.parametrize(
        ("running", "is_it"),
        [
            ("{reference}:{short}", True),
            ("{reference}:{revision}", True),
            ("{reference}:anything@" + DIGEST, True),
            ("{reference}:{short}@sha256:" + "e" * 64, False),  # the tag was pushed anew
            ("{reference}:latest", False),
            ("elsewhere/web:{short}", False),
        ],
    )
    def test_where_it_runs(self, dev: Client, green: Build, running: str, is_it: bool) -> None:
        reference = green.images.get().reference
        words = {"reference": reference, "short": green.short, "revision": green.revision}
        name = running.format(**words) if "{" in running else running
        live = {"workloads": [{"images": [name]}], "tried_at": timezone.now(), "read_at": timezone.now()}
        LiveState.objects.create(environment=make_environment(green.project, slug="staging"), **live)
        assert ('<dt>Runs in</dt><dd><a href="/projects/shop/staging/">' in page(dev, green)) is is_it

    def test_it_is_compared_with_the_build_before(self, dev: Client, shop: Project) -> None:
        before = ended(shop, seconds=98, branch="main")
        before.images.update(size=70_000_000, build_seconds=30.0)
        ended(shop, branch="other")
        ended(shop, State.FAILED, branch="main")
        build = ended(shop, branch="main")
        build.images.update(size=80_000_000, build_seconds=41.0)
        shown = page(dev, build)
        assert f'compared with build <a href="/builds/{before.number}/">' in shown
        assert "which took 1 min 38 s" in shown
        assert "+9.5\u00a0MB" in shown
        assert "was 30 s" in shown

    def test_images_that_were_there(self, dev: Client, green: Build) -> None:
        green.images.update(state="existed")
        shown = page(dev, green)
        assert "the registry had them already; nothing was built" in shown
        assert "Was there already" in shown


class TestFailed:
    def test_the_cause_stands_once_with_the_last_lines_and_what_was_pushed(
        self, dev: Client, shop: Project
    ) -> None:
        cause = "The Dockerfile failed at step 3: exit code 2."
        there = "1 of 2 images is in the registry (api)."
        hint = f"Look at the lines of step 3. {there}"  # as builds/pipeline/outcomes.py writes it
        build = ended(shop, State.FAILED, images=("api", "web"), result=f"web: {cause}", hint=hint)
        BuiltImage.objects.filter(build=build, name="api").update(state="succeeded")
        BuiltImage.objects.filter(build=build, name="web").update(state="failed", sentence=cause)
        Step.objects.filter(run_id=build.run_id, name="build web").update(state="failed")
        write_log(build, ("build api", "api is fine"), ("build web", "npm ERR! missing script"))
        shown = page(dev, build)
        card = shown[shown.index('<section class="failure') : shown.index('id="images-title"')]
        assert card.count("failed at step 3") == 1
        assert "npm ERR! missing script" in card
        assert "api is fine" not in card
        assert f"<dt>What is there</dt><dd>{there}</dd>" in card
        assert "<dt>What to do</dt><dd>Look at the lines of step 3.</dd>" in card
        assert shown.count("failed at step 3") == 1  # neither in the table of images
        assert "Retry…" in shown
        assert "api is in the registry and is not built again" in shown

    def test_each_image_that_failed_is_told(self, dev: Client, shop: Project) -> None:
        build = ended(shop, State.FAILED, images=("api", "web"), result="api: No Dockerfile. And 1 more.")
        for name, sentence in (("api", "No Dockerfile."), ("web", "The base image cannot be pulled.")):
            build.images.filter(name=name).update(state="failed", sentence=sentence)
        shown = page(dev, build)
        assert "<dt>Image web</dt><dd>The base image cannot be pulled.</dd>" in shown
        assert "<dt>Image api</dt>" not in shown

    def test_stored_evidence_goes_before_the_log(self, dev: Client, shop: Project) -> None:
        build = ended(
            shop,
            State.ERRORED,
            result="ECR refused.",
            evidence=[{"title": "push web", "logs": ["denied: 403"]}],
        )
        Step.objects.filter(run_id=build.run_id, name="push web").update(state="errored")
        write_log(build, ("push web", "a line of the log"))
        shown = page(dev, build)
        card = shown[shown.index('<section class="failure') : shown.index('id="images-title"')]
        assert "denied: 403" in card
        assert "a line of the log" not in card
        assert "<dt>What is there</dt><dd>Nothing was pushed.</dd>" in card

    def test_texts_from_outside_are_escaped(self, dev: Client, shop: Project) -> None:
        bad = "<script>alert(1)</script>"
        build = ended(
            shop, State.FAILED, subject=bad, branch=bad, author=bad, git_tags=[bad], result=bad, hint=bad, warnings=[bad],
            evidence=[{"title": bad, "logs": [bad]}], cancelled_by=bad,
        )  # fmt: skip
        build.images.update(sentence=bad, tags=[bad], dockerfile=bad, digest=bad)
        write_log(build, ("build web", bad))
        assert bad not in page(dev, build)


def test_a_build_that_fails_again_by_itself_says_what_to_do_and_offers_no_retry_first(
    dev: Client, shop: Project
) -> None:
    failed = ended(shop, State.FAILED, result="web: The command “make” ended with code 2.")
    shown = page(dev, failed)
    assert "Correct it in the repository, push, and build the new revision" in shown
    assert 'class="button" type="button" popovertarget="retry"' in shown
    errored = ended(shop, State.ERRORED, result="The registry did not answer.")
    assert 'class="button primary" type="button" popovertarget="retry"' in page(dev, errored)


class TestUnderWay:
    def test_a_running_build_is_live(self, dev: Client, shop: Project) -> None:
        build = make_build(shop, State.RUNNING, started_at=timezone.now())
        Step.objects.filter(run_id=build.run_id, name="build web").update(
            state="running", started_at=timezone.now()
        )
        write_log(build, ("build web", "Step 1/3 : FROM scratch"))
        shown = page(dev, build)
        assert f'data-live="/builds/{build.number}/stream?after=1"' in shown
        assert (
            f'hx-get="/builds/{build.number}/progress/?was=running" hx-trigger="changed from:body"' in shown
        )
        assert '<noscript><meta http-equiv="refresh"' in shown
        assert "Step 1/3 : FROM scratch" in shown
        assert "Cancel…" in shown
        assert f"<title>Building #{build.number}: The Shop {build.short} · Slipway</title>" in shown

    def test_the_fragment_brings_other_dialogs_when_it_ended(self, dev: Client, shop: Project) -> None:
        build = ended(shop)
        assert 'id="dialogs" hx-swap-oob="true"' in page(dev, build, "progress/?was=running")
        assert "hx-swap-oob" not in page(dev, build, "progress/?was=succeeded")

    def test_one_that_ended_follows_the_changes_of_its_project(self, dev: Client, shop: Project) -> None:
        build = ended(shop)
        shown = page(dev, build)
        assert (
            f'data-changes="/changes/?project=shop" hx-get="/builds/{build.number}/progress/?was=succeeded"'
            in shown
        )
        assert re.search(r'src="[^"]*js/follow\b[^"]*\.js"', shown)
        running = make_build(shop, State.RUNNING, started_at=timezone.now())
        assert "data-changes" not in page(dev, running)  # the stream of its log tells

    def test_a_queued_build_says_what_it_waits_for(self, dev: Client, shop: Project) -> None:
        alone = make_build(shop, State.QUEUED)
        assert "No worker of builds runs" in page(dev, alone)
        Heart(WORKER, ["builds"]).beat()
        assert "Waits for a free worker." in page(dev, alone)
        running = make_build(shop, State.RUNNING, started_at=timezone.now())
        assert f'Waits for <a href="/builds/{running.number}/">' in page(dev, alone)

    def test_a_running_build_says_how_long_it_usually_takes(self, dev: Client, shop: Project) -> None:
        running = make_build(shop, State.RUNNING, started_at=timezone.now())
        assert "usually" not in page(dev, running)
        for seconds in (80, 98, 7000):
            ended(shop, seconds=seconds)
        ended(shop, State.FAILED, seconds=1)
        assert "usually 1 min 38 s" in page(dev, running)

    def test_a_superseded_build_leads_to_the_newer_one(self, dev: Client, shop: Project) -> None:
        newer = ended(shop)
        old = make_build(shop, State.SUPERSEDED, superseded_by=newer, result="A newer push came.")
        shown = page(dev, old)
        assert f'<a href="/builds/{newer.number}/">build #{newer.number}</a> was made instead' in shown

    def test_an_older_build_of_a_revision_names_the_newer(self, dev: Client, shop: Project) -> None:
        old = ended(shop, State.FAILED)
        new = ended(shop, revision=old.revision)
        assert f'<a href="/builds/{new.number}/">build #{new.number}</a> (succeeded)' in page(dev, old)

    def test_many_steps_take_several_lines(self, dev: Client, shop: Project) -> None:
        assert "many-steps" not in page(dev, make_build(shop, images=("a", "b", "c")))
        assert "many-steps" in page(dev, make_build(shop, images=("a", "b", "c", "d")))


class TestLog:
    def test_download_and_lines(self, dev: Client, shop: Project) -> None:
        build = ended(shop)
        write_log(build, ("build web", "one"), ("build web", "two"))
        answer = dev.get(f"/builds/{build.number}/log?format=text")
        assert answer["Content-Disposition"] == f'attachment; filename="build-{build.number}.log"'
        assert b"two" in b"".join(answer.streaming_content)  # type: ignore[arg-type]
        later = dev.get(f"/builds/{build.number}/log?after=1").json()
        assert later["count"] == 2
        assert "two" in later["html"]
        assert "one" not in later["html"]


class TestButtons:
    def post(self, client: Client, build: Build, what: str, **fields: str) -> Any:
        return client.post(f"/builds/{build.number}/{what}/", fields, headers={"accept": "text/html"})

    def test_cancel_before_it_began(self, dev: Client, shop: Project) -> None:
        build = make_build(shop, State.QUEUED)
        assert self.post(dev, build, "cancel").status_code == 302
        build.refresh_from_db()
        assert (build.state, build.cancelled_by) == (State.CANCELLED, "dev")
        assert f"Build #{build.number} was cancelled before it began." in page(dev, build)
        assert AuditEvent.objects.filter(verb="build.cancel_requested", actor_text="dev").count() == 1

    def test_cancel_a_running_one(self, dev: Client, shop: Project) -> None:
        build = make_build(shop, State.RUNNING, started_at=timezone.now())
        self.post(dev, build, "cancel")
        self.post(dev, build, "cancel")  # the second click changes nothing
        build.refresh_from_db()
        assert build.state == State.CANCELLING
        assert "dev asked to cancel" in page(dev, build)
        assert AuditEvent.objects.filter(verb="build.cancel_requested").count() == 1

    def test_nothing_to_cancel_after_the_end(self, dev: Client, shop: Project) -> None:
        answer = self.post(dev, ended(shop), "cancel")
        assert answer.status_code == 409
        assert b"there is nothing to cancel" in answer.content

    @pytest.mark.parametrize(
        ("what", "cause", "fresh"), [("retry", "retry", False), ("rebuild", "rebuild", True)]
    )
    def test_again(self, dev: Client, shop: Project, pushed: Any, what: str, cause: str, fresh: bool) -> None:
        build = ended(shop, State.FAILED, branch="topic", git_tags=["v1"])
        answer = self.post(dev, build, what, key="k1")
        made = Build.objects.exclude(pk=build.pk).get()
        assert answer.url == f"/builds/{made.number}/"
        assert (made.cause, made.is_fresh, made.retry_of, made.revision) == (
            cause,
            fresh,
            build,
            build.revision,
        )
        assert (made.branch, made.git_tags, made.actor_text) == ("topic", ["v1"], "dev")
        assert AuditEvent.objects.filter(verb="build.requested", actor_text="dev").exists()
        again = self.post(dev, build, what, key="k1")
        assert again.url == answer.url
        assert Build.objects.count() == 2

    def test_while_the_revision_is_being_built_one_is_led_there(self, dev: Client, shop: Project) -> None:
        old = ended(shop, State.FAILED)
        running = make_build(shop, State.RUNNING, revision=old.revision, started_at=timezone.now())
        answer = self.post(dev, old, "retry", key="k1")
        assert answer.url == f"/builds/{running.number}/"
        assert "is being built already" in page(dev, running)

    def test_a_viewer_may_not_and_a_stranger_finds_nothing(self, client: Client, shop: Project) -> None:
        build = ended(shop, State.FAILED)
        user = make_user()
        client.force_login(user)
        for what in ("cancel", "retry", "rebuild"):
            assert self.post(client, build, what).status_code == 404
        assert client.get(f"/builds/{build.number}/").status_code == 404
        grant(user, Role.VIEWER, shop)
        for what in ("cancel", "retry", "rebuild"):
            assert self.post(client, build, what).status_code == 403
        assert Build.objects.count() == 1


def test_the_number_of_queries_is_constant(dev: Client, shop: Project) -> None:
    def queries(build: Build) -> int:
        with CaptureQueriesContext(connection) as captured:
            page(dev, build)
        return len(captured)

    make_environment(shop, slug="staging")
    ended(shop)
    few = queries(ended(shop))
    for name in ("api", "cron", "mail"):
        make_image(shop, name=name)
        make_environment(shop)
    for _ in range(5):
        ended(shop, images=("web", "api", "cron", "mail"))
    assert queries(Build.objects.first()) == few <= 25  # type: ignore[arg-type]
