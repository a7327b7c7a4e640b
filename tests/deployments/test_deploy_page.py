"""The page of one deploy: what it says in each state, its log, its buttons, and who may press them."""

from __future__ import annotations

import re
import uuid
from dataclasses import asdict
from typing import Any

import pytest
from django.core.exceptions import RequestDataTooBig
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deployments.models import Deploy, ObjectState
from engine.types import ClusterEvent, Evidence
from runs import log_page
from runs.models import LogChunk, State, Step
from tests.factories import make_deploy, make_environment, make_release, make_user

pytestmark = pytest.mark.django_db
NOW = timezone.now
IMAGES = {"web": {"repository": "r.example/shop/web", "tag": "63ec5c0", "digest": "sha256:" + "a1" * 32}}


@pytest.fixture
def visit(client: Client, deployer: Any) -> Any:
    """`visit(address)`: the text of a page as the deployer sees it."""
    client.force_login(deployer)

    def get(address: str, status: int = 200, **headers: str) -> str:
        answer = client.get(address, headers=headers)
        assert answer.status_code == status
        return answer.content.decode()

    return get


@pytest.fixture
def press(client: Client, deployer: Any) -> Any:
    """`press(address, field=value)`: sends a form as the deployer; the answer."""
    client.force_login(deployer)
    return lambda address, **fields: client.post(address, fields, headers={"accept": "text/html"})


def good(environment: Any, **fields: Any) -> Deploy:
    """A deploy that succeeded and left a verified release."""
    release = make_release(
        environment, revision="a" * 40, images=IMAGES, secret_versions={"secret.yaml": "11112222-3333"},
        verified_at=NOW(),
    )  # fmt: skip
    return make_deploy(environment, started_at=NOW(), ended_at=NOW(), release=release, **fields)


def failed(environment: Any, *, wrote: bool = True, **fields: Any) -> Deploy:
    """A deploy that failed, in its rollout or before it wrote anything."""
    given = {
        "result": "web: it crashed.",
        "hint": "Look at its log.",
        "started_at": NOW(),
        "ended_at": NOW(),
        **fields,
    }
    deploy = make_deploy(environment, State.FAILED, **given)
    if wrote:
        Step.objects.filter(run_id=deploy.run_id, name="apply").update(state="succeeded", started_at=NOW())
    return deploy


def write_log(run_id: uuid.UUID, count: int, *, first: int = 1, step: str = "apply") -> None:
    """A log of numbered lines, in chunks of a hundred."""
    chunks = [
        LogChunk(
            run_id=run_id, sequence=start, first_line=start, line_count=min(100, first + count - start),
            text="\n".join(f"1700000000\tinfo\t{step}\tline {n}" for n in range(start, min(start + 100, first + count))),
        )
        for start in range(first, first + count, 100)
    ]  # fmt: skip
    LogChunk.objects.bulk_create(chunks)


def title(page: str) -> str:
    return re.search(r"<title>(.*?)</title>", page)[1]  # type: ignore[index]


class TestWhatItSays:
    def test_the_state_is_in_the_title_and_the_icon_of_the_tab(self, environment: Any, visit: Any) -> None:
        deploy = failed(environment)
        page = visit(f"/deploys/{deploy.number}/")
        assert title(page).startswith(f"Failed #{deploy.number}: {environment.project.name} to staging")
        assert page.count("img/state-failed.svg") == 2
        assert title(visit(f"/deploys/{deploy.number}/progress/")) == title(page)

    def test_a_failure_says_why_and_what_to_do(self, environment: Any, visit: Any) -> None:
        evidence = [
            {"ref": "Deployment.apps/ns/web", "sentence": "<b>other</b>", "pod": "web-1", "logs": ["a", "b"]}
        ]
        page = visit(f"/deploys/{failed(environment, evidence=evidence).number}/")
        assert "web: it crashed." in page
        assert "Look at its log." in page
        assert "&lt;b&gt;other&lt;/b&gt;" in page
        assert "<b>other</b>" not in page

    def test_the_evidence_names_exit_code_and_node(self, environment: Any, visit: Any) -> None:
        kept = asdict(Evidence(pod="web-1", container="web", exit_code=137, restarts=2, node="node-7"))
        page = visit(f"/deploys/{failed(environment, evidence=[kept]).number}/")
        assert "container web, exit code 137, 2 restarts, on node node-7" in page

    def test_the_other_containers_and_pods_are_folded_below_the_first(
        self, environment: Any, visit: Any
    ) -> None:
        sidecar = Evidence(pod="web-1", container="proxy", is_ready=True, limits=("cpu 1", "memory 64Mi"))
        second = Evidence(
            pod="web-2", container="web", exit_code=137, signal="SIGKILL", logs=("<b>second</b>",)
        )
        init = Evidence(pod="web-2", container="wait", is_init=True, exit_code=0)
        first = Evidence(
            pod="web-1", container="web", exit_code=3, others=(sidecar, second, init), more_pods=2
        )
        page = visit(f"/deploys/{failed(environment, evidence=[asdict(first)]).number}/")
        shown, _, folded = page.partition(
            "3 other containers of this object; 2 more pods not looked at</summary>"
        )
        assert "container web, exit code 3" in shown
        assert shown.rstrip().rpartition("<details")[2].startswith(' class="more">')  # closed
        assert "container proxy, ready" in folded
        assert "Limits: cpu 1, memory 64Mi" in folded
        assert "container web, exit code 137 (SIGKILL)" in folded
        assert "&lt;b&gt;second&lt;/b&gt;" in folded
        assert "init container wait, exit code 0" in folded

    def test_events_are_shown_as_they_are_kept_now_and_as_older_deploys_kept_them(
        self, environment: Any, visit: Any
    ) -> None:
        now = ClusterEvent("Warning", "BackOff", "restarting <web>", 5, "Pod/web-1")
        evidence = [
            {"ref": "a", "pod": "web-1", "events": [asdict(now)]},
            {"ref": "b", "pod": "web-0", "events": ["Warning Unhealthy (x6): probe <failed>"]},
        ]
        page = visit(f"/deploys/{failed(environment, evidence=evidence).number}/")
        assert "<b>BackOff</b> restarting &lt;web&gt;" in page
        assert "×5" in page
        assert "Warning Unhealthy (x6): probe &lt;failed&gt;" in page

    def test_the_release_is_named_by_digest_and_version(self, environment: Any, visit: Any) -> None:
        page = visit(f"/deploys/{good(environment).number}/")
        assert "r.example/shop/web:63ec5c0" in page
        assert "sha256:a1a1a1a1a1a1" in page
        assert "11112222-3333" in page

    def test_who_cancelled(self, environment: Any, visit: Any) -> None:
        deploy = make_deploy(
            environment,
            State.CANCELLED,
            cancelled_by="lead",
            cancel_requested_at=NOW(),
            result="lead cancelled it.",
        )
        assert "cancelled by lead" in visit(f"/deploys/{deploy.number}/")

    def test_the_place_in_the_queue(self, environment: Any, visit: Any) -> None:
        running = make_deploy(environment, State.RUNNING)
        make_deploy(environment, State.QUEUED)
        last = make_deploy(environment, State.QUEUED)
        make_deploy(environment, State.QUEUED)
        page = visit(f"/deploys/{last.number}/")
        assert f'<a href="/deploys/{running.number}/">deploy #{running.number}</a>' in page
        assert "2 deploys go before this one" in page

    def test_the_first_in_the_queue_waits_for_a_worker(self, environment: Any, visit: Any) -> None:
        page = visit(f"/deploys/{make_deploy(environment, State.QUEUED).number}/")
        assert "Waits for a free worker" in page

    def test_a_take_over_is_told(self, environment: Any, visit: Any) -> None:
        assert "attempt 2" in visit(f"/deploys/{make_deploy(environment, State.RUNNING, attempt=2).number}/")

    def test_production_is_marked(self, environment: Any, visit: Any) -> None:
        type(environment).objects.update(is_production=True)
        assert ">production<" in visit(f"/deploys/{good(environment).number}/")

    def test_what_failed_comes_first_and_a_long_table_is_folded(self, environment: Any, visit: Any) -> None:
        deploy = failed(environment)
        for n in range(60):
            ObjectState.objects.create(
                run_id=deploy.run_id,
                ref=f"ConfigMap/ns/c{n:02}",
                position=n,
                action="create",
                progress="applied",
            )
        ObjectState.objects.create(
            run_id=deploy.run_id,
            ref="Deployment.apps/ns/web",
            position=99,
            action="unchanged",
            progress="failed",
        )
        ObjectState.objects.create(
            run_id=deploy.run_id, ref="Secret/other/s", position=98, action="unchanged", progress="applied"
        )
        page = visit(f"/deploys/{deploy.number}/")
        table = page.partition('id="details"')[2]
        assert table.index("Deployment/web") < table.index("ConfigMap/c00")
        assert "61 of 62 changed" in page
        assert "31 more that changed" in page
        assert "1 object unchanged" in page

    def test_without_script_an_open_deploy_loads_itself_again(self, environment: Any, visit: Any) -> None:
        assert '<meta http-equiv="refresh"' in visit(
            f"/deploys/{make_deploy(environment, State.RUNNING).number}/"
        )
        assert '<meta http-equiv="refresh"' not in visit(f"/deploys/{good(environment).number}/")

    def test_a_deploy_without_anything_is_a_page_too(self, environment: Any, visit: Any) -> None:
        deploy = make_deploy(environment, State.QUEUED, revision="", subject="", author="")
        Step.objects.all().delete()
        assert "Log" in visit(f"/deploys/{deploy.number}/")

    def test_as_many_queries_for_much_as_for_little(self, environment: Any, visit: Any) -> None:
        little, much, _live = good(environment), good(environment), good(environment)
        write_log(little.run_id, 1)
        write_log(much.run_id, 2000)
        ObjectState.objects.create(run_id=little.run_id, ref="ConfigMap/ns/c", progress="applied")
        ObjectState.objects.bulk_create(
            ObjectState(run_id=much.run_id, ref=f"ConfigMap/ns/c{n}", progress="applied") for n in range(300)
        )
        counts = []
        for deploy in (little, little, much):
            with CaptureQueriesContext(
                connection,
            ) as queries:
                visit(f"/deploys/{deploy.number}/")
            counts.append(len(queries))
        assert counts[1] == counts[2]
        assert counts[1] < 25


class TestAccess:
    """Each of the six: works (above), another environment's role, stranger, viewer, wrong method, no such deploy."""

    @pytest.mark.parametrize("part", ["", "progress/", "log", "stream"])
    def test_a_stranger_learns_nothing(self, environment: Any, client: Client, part: str) -> None:
        client.force_login(make_user())
        assert client.get(f"/deploys/{good(environment).number}/{part}").status_code == 404

    def test_a_viewer_sees_no_buttons(self, environment: Any, viewer: Any, client: Client) -> None:
        client.force_login(viewer)
        page = client.get(f"/deploys/{failed(environment).number}/").content.decode()
        for words in ("Deploy again", "Roll back to", "/cancel/"):
            assert words not in page

    @pytest.mark.parametrize("action", ["cancel", "rollback", "again"])
    def test_a_viewer_who_asks_anyway_is_told_whom_to_ask(
        self, environment: Any, viewer: Any, client: Client, action: str
    ) -> None:
        client.force_login(viewer)
        answer = client.post(f"/deploys/{good(environment).number}/{action}/")
        assert answer.status_code == 403
        assert "deployer" in answer.content.decode()
        assert Deploy.objects.count() == 1

    @pytest.mark.parametrize("action", ["cancel", "rollback", "again"])
    def test_looking_starts_nothing(self, environment: Any, visit: Any, action: str) -> None:
        visit(f"/deploys/{good(environment).number}/{action}/", status=405)
        assert Deploy.objects.count() == 1

    @pytest.mark.parametrize("number", ["0", "99999999", "-1", "abc", "1e3"])
    def test_no_such_deploy(self, environment: Any, visit: Any, number: str) -> None:
        visit(f"/deploys/{number}/", status=404)


class TestRollingBack:
    def test_after_a_failure_it_goes_to_the_newest_that_succeeded(
        self, environment: Any, visit: Any, press: Any, pushed: Any
    ) -> None:
        good(environment, revision="b" * 40)
        target = good(environment, revision="c" * 40)
        page = visit(f"/deploys/{failed(environment).number}/")
        assert f'action="/deploys/{target.number}/rollback/"' in page
        assert "Roll staging back to ccccccc?" in page
        answer = press(f"/deploys/{target.number}/rollback/", key="k")
        made = Deploy.objects.get(kind="rollback")
        assert answer.headers["Location"] == f"/deploys/{made.number}/"
        assert (made.rolls_back_to, made.release, made.state) == (target, target.release, State.QUEUED)
        assert f'back to <a href="/deploys/{target.number}/">' in visit(f"/deploys/{made.number}/")

    def test_what_wrote_nothing_needs_no_way_back(self, environment: Any, visit: Any) -> None:
        good(environment)
        assert "Roll back to" not in visit(f"/deploys/{failed(environment, wrote=False).number}/")

    def test_what_was_cancelled_before_it_began_needs_no_way_back(self, environment: Any, visit: Any) -> None:
        good(environment)
        page = visit(f"/deploys/{make_deploy(environment, State.CANCELLED, result='x').number}/")
        assert "Roll back to" not in page
        assert "data-log-body" not in page

    def test_of_what_is_live_it_goes_to_the_release_before(self, environment: Any, visit: Any) -> None:
        before = good(environment)
        assert f'action="/deploys/{before.number}/rollback/"' in visit(
            f"/deploys/{good(environment).number}/"
        )

    def test_the_first_of_all_has_nothing_to_go_back_to(self, environment: Any, visit: Any) -> None:
        assert "Roll back to" not in visit(f"/deploys/{good(environment).number}/")

    def test_a_bad_release_is_passed_over(self, environment: Any, visit: Any) -> None:
        target, bad = good(environment), good(environment)
        type(bad.release).objects.filter(pk=bad.release_id).update(marked_bad_by="lead")
        page = visit(f"/deploys/{failed(environment).number}/")
        assert f'action="/deploys/{target.number}/rollback/"' in page

    def test_a_double_click_is_one_rollback(self, environment: Any, press: Any, pushed: Any) -> None:
        target = good(environment)
        good(environment)
        places = {press(f"/deploys/{target.number}/rollback/", key="k").headers["Location"] for _ in range(2)}
        assert len(places) == 1
        assert Deploy.objects.filter(kind="rollback").count() == 1

    def test_production_asks_for_its_name(
        self, environment: Any, press: Any, pushed: Any, client: Client
    ) -> None:
        type(environment).objects.update(is_production=True)
        target = good(environment)
        good(environment)
        answer = press(f"/deploys/{target.number}/rollback/", key="k", confirm="stagin")
        assert answer.headers["Location"] == f"/deploys/{target.number}/"
        assert (
            "Type staging to confirm. Nothing was started."
            in client.get(f"/deploys/{target.number}/").content.decode()
        )
        assert not Deploy.objects.filter(kind="rollback").exists()
        press(f"/deploys/{target.number}/rollback/", key="k", confirm=" Staging ")
        assert Deploy.objects.filter(kind="rollback").count() == 1

    def test_what_left_no_release_is_refused_with_the_reason(self, environment: Any, press: Any) -> None:
        answer = press(f"/deploys/{failed(environment).number}/rollback/")
        assert answer.status_code == 409
        assert "left no verified release" in answer.content.decode()


class TestAgainAndCancel:
    def test_again_takes_the_same_revision(
        self, environment: Any, press: Any, commits: Any, pushed: Any
    ) -> None:
        deploy = failed(environment, revision=commits["older"].sha)
        answer = press(f"/deploys/{deploy.number}/again/", key="k")
        made = Deploy.objects.get(state=State.QUEUED)
        assert (made.revision, made.kind) == (commits["older"].sha, "deploy")
        assert answer.headers["Location"] == f"/deploys/{made.number}/"

    def test_a_revision_that_is_gone_is_told(self, environment: Any, press: Any, commits: Any) -> None:
        answer = press(f"/deploys/{failed(environment, revision='9' * 40).number}/again/")
        assert answer.status_code == 422
        assert "The repository has no revision" in answer.content.decode()

    def test_cancelling_what_waits_ends_it(
        self, environment: Any, press: Any, client: Client, pushed: Any
    ) -> None:
        deploy = make_deploy(environment, State.QUEUED)
        press(f"/deploys/{deploy.number}/cancel/")
        page = client.get(f"/deploys/{deploy.number}/").content.decode()
        assert "dev cancelled it before it started." in page

    def test_cancelling_what_runs_says_what_happens_next(
        self, environment: Any, press: Any, client: Client, pushed: Any
    ) -> None:
        deploy = make_deploy(environment, State.RUNNING)
        press(f"/deploys/{deploy.number}/cancel/")
        assert "dev asked to cancel" in client.get(f"/deploys/{deploy.number}/").content.decode()

    def test_cancelling_what_has_ended_is_refused(self, environment: Any, press: Any) -> None:
        answer = press(f"/deploys/{good(environment).number}/cancel/")
        assert answer.status_code == 409
        assert "there is nothing to cancel" in answer.content.decode()


class TestLog:
    def test_lines_have_addresses_and_nothing_of_them_is_html(self, environment: Any, visit: Any) -> None:
        deploy = good(environment)
        LogChunk.objects.create(
            run_id=deploy.run_id,
            sequence=1,
            first_line=1,
            line_count=1,
            text="1\terror\tapply\t<script>alert(1)</script>",
        )
        page = visit(f"/deploys/{deploy.number}/")
        assert 'id="L1"' in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert "<script>alert" not in page

    def test_of_a_long_log_head_and_tail_are_shown(self, environment: Any, visit: Any) -> None:
        deploy = good(environment)
        write_log(deploy.run_id, 10_000)
        page = visit(f"/deploys/{deploy.number}/")
        for shown in (1, 500, 7501, 10_000):
            assert f">line {shown}<" in page
        for left_out in (501, 4000, 7500):
            assert f">line {left_out}<" not in page
        assert "7000 lines are not shown" in page
        assert "<span data-log-count>10000</span>" in page

    @pytest.mark.parametrize("line", [501, 4000, 7499])
    def test_any_line_has_an_address_that_shows_it(self, environment: Any, visit: Any, line: int) -> None:
        deploy = good(environment)
        write_log(deploy.run_id, 10_000)
        page = visit(f"/deploys/{deploy.number}/?line={line}")
        for shown in (1, line, 10_000):
            assert f">line {shown}<" in page

    @pytest.mark.parametrize("line", ["", "x", "-5", "99999999999999999999", "0"])
    def test_a_line_that_makes_no_sense_is_no_error(self, environment: Any, visit: Any, line: str) -> None:
        deploy = good(environment)
        write_log(deploy.run_id, 10)
        assert ">line 10<" in visit(f"/deploys/{deploy.number}/?line={line}")

    def test_a_dropped_middle_is_said(self, environment: Any, visit: Any) -> None:
        deploy = good(environment)
        write_log(deploy.run_id, 100)
        write_log(deploy.run_id, 100, first=301)
        assert "200 lines are not shown" in visit(f"/deploys/{deploy.number}/")

    def test_the_fold_of_the_failed_step_and_of_a_linked_line_are_open(
        self, environment: Any, visit: Any
    ) -> None:
        deploy = failed(environment)
        Step.objects.filter(run_id=deploy.run_id, name="apply").update(state="failed")
        write_log(deploy.run_id, 100, step="render")
        write_log(deploy.run_id, 100, first=101, step="apply")
        write_log(deploy.run_id, 100, first=201, step="rollout")

        def opened(page: str) -> list[str]:
            return re.findall(r'data-step="(\w+)" open', page)

        assert opened(visit(f"/deploys/{deploy.number}/")) == ["apply", "rollout"]
        assert opened(visit(f"/deploys/{deploy.number}/?line=5")) == ["render", "apply", "rollout"]

    def test_the_download_is_the_whole_log(self, environment: Any, client: Client, deployer: Any) -> None:
        deploy = good(environment)
        write_log(deploy.run_id, 10_000)
        client.force_login(deployer)
        answer = client.get(f"/deploys/{deploy.number}/log?format=text")
        text = b"".join(answer.streaming_content).decode()  # type: ignore[arg-type]
        assert len(text.splitlines()) == 10_000
        assert re.search(r"^ *4000 2023-11-14 22:13:20Z apply +info +line 4000$", text, re.MULTILINE)
        assert answer["Content-Disposition"] == f'attachment; filename="deploy-{deploy.number}.log"'
        assert answer["Content-Type"] == "text/plain; charset=utf-8"

    def test_the_download_reads_while_it_sends(self, environment: Any) -> None:
        deploy = good(environment)
        write_log(deploy.run_id, 10_000)
        from runs.log import every_chunk

        parts = log_page.as_text(every_chunk(deploy.run_id, size=5))
        with CaptureQueriesContext(connection) as queries:
            next(iter(parts))
        assert len(queries) == 1
        assert "LIMIT 5" in queries[0]["sql"]

    @pytest.mark.parametrize("address", ["", "log", "log?format=text", "progress/"])
    def test_head(self, environment: Any, client: Client, deployer: Any, address: str) -> None:
        deploy = good(environment)
        client.force_login(deployer)
        answer = client.head(f"/deploys/{deploy.number}/{address}")
        assert answer.status_code == 200

    def test_the_poll_gives_what_is_new_and_says_when_it_is_over(
        self, environment: Any, client: Client, deployer: Any
    ) -> None:
        deploy = make_deploy(environment, State.RUNNING)
        write_log(deploy.run_id, 3)
        client.force_login(deployer)
        first = client.get(f"/deploys/{deploy.number}/log?after=1").json()
        assert (first["after"], first["count"], first["ended"]) == (3, 3, False)
        assert "line 2" in first["html"]
        assert "line 1<" not in first["html"]
        assert client.get(f"/deploys/{deploy.number}/log?after=3").json() == {
            "html": "",
            "after": 3,
            "ended": False,
        }
        Deploy.objects.update(state=State.SUCCEEDED)
        assert client.get(f"/deploys/{deploy.number}/log?after=1").json()["ended"] is False
        assert client.get(f"/deploys/{deploy.number}/log?after=3").json()["ended"] is True

    def test_a_poll_that_makes_no_sense_begins_anew(
        self, environment: Any, client: Client, deployer: Any
    ) -> None:
        deploy = good(environment)
        write_log(deploy.run_id, 3)
        client.force_login(deployer)
        assert client.get(f"/deploys/{deploy.number}/log?after=abc").json()["after"] == 3


def test_a_form_that_is_too_large_is_refused_without_a_trace(
    environment: Any, client: Client, deployer: Any, settings: Any
) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    client.force_login(deployer)
    client.raise_request_exception = False
    answer = client.post(f"/deploys/{good(environment).number}/rollback/", {"key": "k" * 500})
    assert answer.status_code == 400
    assert RequestDataTooBig.__name__ not in answer.content.decode()


def test_the_same_for_another_environment(client: Client, environment: Any, deployer: Any) -> None:
    """A role on one project opens nothing of another."""
    other = make_deploy(make_environment())
    client.force_login(deployer)
    assert client.get(f"/deploys/{other.number}/").status_code == 404
    assert client.post(f"/deploys/{other.number}/cancel/").status_code == 404
