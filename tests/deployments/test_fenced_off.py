"""Which deploy marks its objects first: the one after a worker that was given up, until one of everything has succeeded."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from deployments.models import Deploy
from deployments.pipeline.fencing import may_be_written_to
from projects.models import Environment
from runs.models import State
from tests.factories import make_deploy, make_environment

pytestmark = pytest.mark.django_db


@pytest.fixture
def environment() -> Environment:
    return make_environment()


def past(environment: Environment, state: str, minutes_ago: int, **more: Any) -> Deploy:
    """A deploy that has ended."""
    ended = timezone.now() - timedelta(minutes=minutes_ago)
    times = {"started_at": ended - timedelta(minutes=1), "ended_at": ended}
    return make_deploy(environment, state, **times, **more)


def now(environment: Environment, **more: Any) -> Deploy:
    return make_deploy(environment, State.RUNNING, started_at=timezone.now(), **more)


def test_nobody_was_given_up(environment: Environment) -> None:
    past(environment, State.SUCCEEDED, 30)
    past(environment, State.FAILED, 20)
    assert not may_be_written_to(now(environment))


@pytest.mark.parametrize(
    "state", [State.CANCELLED, State.ABANDONED, State.ERRORED, State.FAILED, State.SUCCEEDED]
)
def test_a_worker_was_given_up(environment: Environment, state: str) -> None:
    past(environment, State.SUCCEEDED, 30)
    past(environment, state, 20, attempt=2)
    assert may_be_written_to(now(environment))


def test_also_before_any_success_and_after_a_failure(environment: Environment) -> None:
    past(environment, State.CANCELLED, 20, attempt=2)
    past(environment, State.FAILED, 10)
    assert may_be_written_to(now(environment))


def test_a_success_since_has_marked_everything(environment: Environment) -> None:
    past(environment, State.CANCELLED, 20, attempt=2)
    past(environment, State.SUCCEEDED, 10)
    assert not may_be_written_to(now(environment))


def test_not_one_of_the_secrets_alone(environment: Environment) -> None:
    past(environment, State.CANCELLED, 20, attempt=2)
    past(environment, State.SUCCEEDED, 10, kind=Deploy.Kind.SECRETS)
    assert may_be_written_to(now(environment))


def test_own_attempts_and_other_environments_do_not_count(environment: Environment) -> None:
    past(make_environment(), State.CANCELLED, 20, attempt=2)
    assert not may_be_written_to(now(environment, attempt=3))
