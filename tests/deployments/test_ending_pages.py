"""What the pages say of stopping, of rollbacks that follow and of why they came; all of it without a script."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deployments.gate import undoing
from deployments.gate.life import LIFE
from deployments.models import Deploy, ObjectState
from runs.fence import Fence
from runs.life.ending import end_fenced
from runs.life.hooks import End
from runs.models import State
from tests.factories import make_deploy, make_release

pytestmark = pytest.mark.django_db
NOW = timezone.now


@pytest.fixture
def visit(client: Client, deployer: Any) -> Any:
    """`visit(address)`: the text of a page as the deployer sees it, with its spaces made one."""
    client.force_login(deployer)
    return lambda address: " ".join(client.get(address).content.decode().split())


@pytest.fixture
def press(client: Client, deployer: Any, pushed: Any) -> Any:
    """Sends a form as the deployer; the page that follows."""
    client.force_login(deployer)
    return lambda address, **fields: client.post(
        address, fields, headers={"accept": "text/html"}, follow=True
    ).content.decode()


@pytest.fixture
def target(environment: Any) -> Deploy:
    """What ran before."""
    release = make_release(environment, verified_at=NOW(), place=environment.place)
    return make_deploy(environment, release=release, revision="a" * 40, started_at=NOW(), ended_at=NOW())


@pytest.fixture
def running(environment: Any, target: Deploy) -> Deploy:
    """A deploy that has written something."""
    deploy = make_deploy(
        environment, State.RUNNING, revision="b" * 40, started_at=NOW(), heartbeat_at=NOW(), worker="host:1"
    )
    ObjectState.objects.create(
        run_id=deploy.run_id, ref="ConfigMap/ns/c", action="change", progress="applied"
    )
    return deploy


def end(deploy: Deploy, state: State) -> None:
    end_fenced(LIFE, Fence(Deploy, deploy.run_id, 1), End(state, "web: it crashed."))


def dialog(page: str) -> str:
    return re.search(r'id="cancel" popover.*?</form>', page)[0]  # type: ignore[index]


class TestTheQuestion:
    def test_one_form_has_both_buttons_and_names_where_it_leads(
        self, target: Deploy, running: Deploy, visit: Any
    ) -> None:
        asked = dialog(visit(f"/deploys/{running.number}/"))
        assert asked.count("<form") == 1
        assert '<button class="button danger" name="then" value="">Stop here</button>' in asked
        assert re.search(r'name="then" value="roll_back">.*Stop and roll back to aaaaaaa</button>', asked)
        assert f'href="/deploys/{target.number}/"' in asked

    def test_with_nothing_to_go_back_to_there_is_one_button_and_the_reason(
        self, target: Deploy, running: Deploy, visit: Any
    ) -> None:
        type(target.release).objects.update(marked_bad_by="lead")
        asked = dialog(visit(f"/deploys/{running.number}/"))
        assert "Stop here" in asked
        assert "roll_back" not in asked
        assert "There is no release to roll back to:" in asked
        assert f"The release of deploy #{target.number} was marked bad by lead." in asked

    def test_what_has_not_begun_is_cancelled_without_more(
        self, environment: Any, target: Deploy, visit: Any
    ) -> None:
        asked = dialog(visit(f"/deploys/{make_deploy(environment, State.QUEUED).number}/"))
        assert "It has not begun; nothing was changed." in asked
        assert "roll_back" not in asked

    def test_the_question_is_renewed_when_the_state_changed_and_only_then(
        self, running: Deploy, visit: Any
    ) -> None:
        """Opened while it waited, the page learns that it runs: then there is a second way to stop."""
        address = f"/deploys/{running.number}/progress/"
        assert f'hx-get="{address}?was=running"' in visit(f"/deploys/{running.number}/")
        assert 'id="dialogs"' not in visit(f"{address}?was=running")
        assert "Stop and roll back to aaaaaaa" in visit(f"{address}?was=queued")

    def test_a_running_page_asks_as_little_as_before(self, running: Deploy, visit: Any) -> None:
        visit(f"/deploys/{running.number}/")
        with CaptureQueriesContext(connection) as queries:
            visit(f"/deploys/{running.number}/")
        assert len(queries) < 15


class TestWhatFollows:
    def test_both_pages_tell_the_story(self, target: Deploy, running: Deploy, visit: Any, press: Any) -> None:
        page = " ".join(press(f"/deploys/{running.number}/cancel/", then="roll_back", key="k").split())
        rollback = Deploy.objects.get(kind="rollback")
        link = f'href="/deploys/{rollback.number}/">'
        assert "dev asked to cancel" in page
        assert f"{link}rollback #{rollback.number}</a> goes back to" in page
        end(running, State.CANCELLED)
        page = visit(f"/deploys/{running.number}/")
        assert f"{link}Rollback #{rollback.number}</a>" in page
        assert "follows: queued." in page
        assert "Roll back to aaaaaaa…" not in page, "it is on its way"
        page = visit(f"/deploys/{rollback.number}/")
        assert f'dev stopped deploy <a href="/deploys/{running.number}/">#{running.number}</a>' in page
        assert f'that of <a href="/deploys/{target.number}/">#{target.number}</a>' in page
        Deploy.objects.filter(pk=rollback.pk).update(state=State.FAILED)
        page = visit(f"/deploys/{running.number}/")
        assert "followed: failed." in page

    def test_stopping_here_rolls_nothing_back(self, running: Deploy, press: Any) -> None:
        for fields in ({"then": ""}, {}, {"then": "x" * 500}):
            assert "what is applied stays." in press(f"/deploys/{running.number}/cancel/", **fields)
        assert not Deploy.objects.filter(kind="rollback").exists()

    def test_a_failure_that_is_rolled_back_by_itself(
        self, environment: Any, target: Deploy, running: Deploy, visit: Any, pushed: Any
    ) -> None:
        type(environment).objects.update(policies={"automatic_rollback": True})
        end(running, State.FAILED)
        rollback = undoing.follower(running)
        assert rollback is not None
        page = visit(f"/deploys/{running.number}/")
        assert f'href="/deploys/{rollback.number}/">Rollback #{rollback.number}</a>' in page
        page = visit(f"/deploys/{rollback.number}/")
        assert f'Deploy <a href="/deploys/{running.number}/">#{running.number}</a>' in page
        assert "failed, and this environment rolls back by itself" in page
        assert "“Deploy #" not in page, "said once"

    def test_the_place_in_the_queue_counts_the_rollback_first(
        self, environment: Any, running: Deploy, visit: Any, press: Any
    ) -> None:
        waiting = make_deploy(environment, State.QUEUED)
        press(f"/deploys/{running.number}/cancel/", then="roll_back")
        assert "2 deploys go before this one" in visit(f"/deploys/{waiting.number}/")
        rollback = Deploy.objects.get(kind="rollback")
        assert "deploys go before this one" not in visit(f"/deploys/{rollback.number}/")
        page = visit(f"/projects/{environment.project.slug}/staging/")
        queue = re.search(r"<dt>Queue</dt>.*?</dd>", page)[0]  # type: ignore[index]
        assert queue.index(f"#{rollback.number}") < queue.index(f"#{waiting.number}")
