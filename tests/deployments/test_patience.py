"""A cluster that is away for seconds before the first write delays the deploy, visibly, and does not end it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections

from audit.actors import person
from deployments.gate import cancelling
from deployments.models import Deploy
from deployments.pipeline import patience, pipeline
from deployments.preparation.prepare import NotDeployable
from engine.cluster.client import ApiError
from runs.log import lines_after
from runs.models import State
from tests.factories import make_deploy

pytestmark = pytest.mark.django_db(transaction=True)
AWAY = ApiError("The cluster does not answer.", status=0)


def step(*answers: Exception | str) -> Callable[[Any], str]:
    """A step that gives these one after the other, the last one again and again."""
    left = list(answers)

    def one(work: Any) -> str:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        raise NotDeployable(answer)  # the end of the test's deploy

    return one


@pytest.fixture
def preflight(environment: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Deploy]:
    """Runs a deploy whose first step gives these answers."""
    monkeypatch.setattr(pipeline, "refresh_soon", lambda pk: None)
    monkeypatch.setattr(patience, "PAUSE_SECONDS", 0.05)

    def run(*answers: Exception | str) -> Deploy:
        deploy = make_deploy(environment, State.QUEUED)
        monkeypatch.setitem(pipeline.FIRST_STEPS, "checkout", patience.patient(step(*answers)))
        pipeline.run(str(deploy.run_id), 1)
        return Deploy.objects.get(pk=deploy.pk)

    return run


def texts(deploy: Deploy) -> list[str]:
    return [line.text for line in lines_after(deploy.run_id, 0)]


@pytest.mark.parametrize("error", [AWAY, ApiError("It is starting.", status=503)])
def test_it_waits_and_says_so_once(preflight: Callable[..., Deploy], error: ApiError) -> None:
    deploy = preflight(error, error, error, "got further")
    assert deploy.result == "got further"
    said = texts(deploy)
    assert said.count(f"{error.message} Trying again for up to 60 s.") == 1
    assert said.count("The cluster answers again.") == 0  # the step itself failed then


def test_it_says_when_the_cluster_is_back(environment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PAUSE_SECONDS", 0.05)
    said: list[str] = []
    shown: list[str] = []

    class Work:
        def check(self) -> None: ...

        def log(self, text: str, *, level: str = "info") -> None:
            said.append(text)

        def doing(self, text: str) -> None:
            shown.append(text)

    answers = iter([AWAY, AWAY, "there"])

    def ask() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert patience.until_it_answers(Work(), ask) == "there"  # type: ignore[arg-type]
    assert said == ["The cluster does not answer. Trying again for up to 60 s.", "The cluster answers again."]
    assert shown == ["waits for the cluster, which does not answer"]


def test_after_a_minute_it_ends(preflight: Callable[..., Deploy], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "WAIT_SECONDS", 0.3)
    deploy = preflight(AWAY)
    assert (deploy.state, deploy.result) == (State.ERRORED, "The cluster does not answer.")
    assert "Nothing was changed on the cluster." in deploy.hint


@pytest.mark.parametrize("status", [401, 403, 404, 422, 500])
def test_an_answer_is_not_waited_for(preflight: Callable[..., Deploy], status: int) -> None:
    deploy = preflight(ApiError("No.", status=status))
    assert deploy.state in (State.ERRORED, State.FAILED)
    assert not any("Trying again" in text for text in texts(deploy))


def test_it_can_be_cancelled_meanwhile(
    environment: Any, deployer: Any, pushed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "refresh_soon", lambda pk: None)
    waits = threading.Event()

    def away(work: Any) -> str:
        waits.set()
        raise AWAY

    monkeypatch.setitem(pipeline.FIRST_STEPS, "checkout", patience.patient(away))
    deploy = make_deploy(environment, State.QUEUED)

    def work() -> None:
        pipeline.run(str(deploy.run_id), 1)
        connections.close_all()

    worker = threading.Thread(target=work)
    worker.start()
    assert waits.wait(60)
    cancelling.cancel_deploy(person(deployer), deploy=Deploy.objects.get(pk=deploy.pk))
    worker.join(45)
    assert not worker.is_alive(), "it waits its whole minute"
    deploy.refresh_from_db()
    assert deploy.state == State.CANCELLED


def test_the_steps_that_ask_the_cluster_wait() -> None:
    waiting = {name for name, one in pipeline.FIRST_STEPS.items() if "patient" in one.__qualname__}
    assert waiting == {"render", "preflight"}
