"""A build tells GitHub of its commit, in the transactions of its start and end; a deploy tells of its deployment."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from builds.kind import BUILD
from builds.life import LIFE as BUILDS
from builds.models import Build, BuildSettings
from deployments.gate.life import LIFE as DEPLOYS
from notify.models import Outgoing
from projects.models import Project
from runs.life.claim import claim
from runs.life.ending import write_end
from runs.life.hooks import End
from runs.life.opening import next_number
from runs.models import State
from tests.factories import make_deploy, make_environment, make_project, with_address

pytestmark = pytest.mark.django_db
SHA = "a" * 40


@pytest.fixture
def project(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Project:
    settings.GITHUB_TOKEN, settings.BASE_URL = "ghp_test", "https://deploy.example"
    monkeypatch.setattr("core.jobs.push", lambda *_, **__: True)
    return with_address(make_project(slug="shop", repository_url="https://github.com/acme/shop.git"))


def build(project: Project, state: State = State.QUEUED, **fields: Any) -> Build:
    return Build.objects.create(
        number=next_number(BUILD), project=project, revision=SHA, state=state, actor_kind="system", actor_text="x", **fields
    )  # fmt: skip


def end(life: Any, run: Any, state: State, result: str = "It is over.") -> None:
    with transaction.atomic():
        write_end(life, run, End(state, result))


def told() -> list[tuple[str, str, str]]:
    return [
        (row.key, row.payload["state"], row.payload["description"]) for row in Outgoing.objects.order_by("pk")
    ]


def test_the_start_and_the_end_are_told(project: Project) -> None:
    made = build(project)
    assert claim(BUILDS, made.run_id, 1) is not None
    made.refresh_from_db()
    end(BUILDS, made, State.SUCCEEDED, "Built 2 images in 41 s.")
    assert told() == [
        (f"build-{made.number}-started", "pending", f"Build #{made.number} runs."),
        (f"build-{made.number}-ended", "success", "Built 2 images in 41 s."),
    ]
    rows = list(Outgoing.objects.all())
    assert {(row.kind, row.recipient, row.thread) for row in rows} == {
        ("github_status", "acme/shop", f"github-{project.pk}-{SHA}")
    }
    assert rows[0].payload["url"] == f"https://deploy.example/builds/{made.number}/"
    assert rows[0].payload["sha"] == SHA


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State.FAILED, "failure"),
        (State.TIMED_OUT, "failure"),
        (State.ERRORED, "error"),
        (State.CANCELLED, "error"),
        (State.ABANDONED, "error"),
    ],
)
def test_what_each_end_means_for_the_commit(project: Project, state: State, expected: str) -> None:
    end(BUILDS, build(project, State.RUNNING, started_at=timezone.now()), state)
    assert [one[1] for one in told()] == [expected]


def test_a_build_that_never_started_says_nothing(project: Project) -> None:
    end(BUILDS, build(project), State.CANCELLED)
    end(BUILDS, build(project), State.SUPERSEDED)
    assert told() == []


def test_a_build_of_another_tool_is_told(project: Project) -> None:
    end(BUILDS, build(project, cause="report"), State.SUCCEEDED)
    assert [one[1] for one in told()] == ["success"]


def test_what_is_rolled_back_is_not_told(project: Project) -> None:
    with transaction.atomic():
        write_end(BUILDS, build(project, State.RUNNING, started_at=timezone.now()), End(State.FAILED, "x"))
        transaction.set_rollback(True)
    assert told() == []


def test_a_project_with_its_own_token_is_told_without_one_of_the_site(
    project: Project, settings: Any
) -> None:
    settings.GITHUB_TOKEN = ""
    end(BUILDS, build(project, State.RUNNING, started_at=timezone.now()), State.FAILED)
    assert told() == []
    BuildSettings.objects.create(project=project, github_token="ghp_own")
    end(BUILDS, build(project, State.RUNNING, started_at=timezone.now()), State.FAILED)
    assert len(told()) == 1
    assert "ghp_own" not in str(list(Outgoing.objects.values()))


@pytest.mark.parametrize(
    ("state", "expected"), [(State.SUCCEEDED, "success"), (State.FAILED, "failure"), (State.ERRORED, "error")]
)
def test_a_deploy_is_a_deployment(project: Project, state: State, expected: str) -> None:
    environment = make_environment(project, slug="live", is_production=True)
    made = make_deploy(environment, State.QUEUED, revision=SHA)
    assert claim(DEPLOYS, made.run_id, 1) is not None
    made.refresh_from_db()
    end(DEPLOYS, made, state, "It is over.")
    key = f"github-deploy-{made.number}"
    assert told() == [
        (f"{key}-started", "in_progress", f"Deploy #{made.number} by {made.actor_text} runs."),
        (f"{key}-ended", expected, "It is over."),
    ]
    row = Outgoing.objects.latest("pk")
    assert (row.kind, row.thread, row.payload["environment"], row.payload["production"]) == (
        "github_deployment", key, "live", True,
    )  # fmt: skip
    assert row.payload["url"] == f"https://deploy.example/deploys/{made.number}/"


def test_a_deploy_that_never_started_is_none(project: Project) -> None:
    end(DEPLOYS, make_deploy(make_environment(project), State.QUEUED, revision=SHA), State.CANCELLED)
    assert told() == []
