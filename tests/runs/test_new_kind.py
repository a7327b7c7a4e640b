"""A kind of run that only tests know (`chores.py`) has the whole life of a run: nothing of it belongs to deploys."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from django.db.models.functions import Now

from audit.actors import PERSON, Actor
from audit.models import AuditEvent
from deployments.gate.life import LIFE as DEPLOYS
from runs import live_log
from runs.fence import Fence
from runs.life import pipeline, reconcile
from runs.life.cancelling import ask_to_stop
from runs.life.claim import claim
from runs.life.opening import create
from runs.life.queue import enqueue_run
from runs.log import lines_after
from runs.models import State, Step
from tests.factories import make_deploy, make_environment
from tests.runs import chores
from tests.runs.chores import KIND, LIFE, PIPELINE, Chore, ChoreCounter, TooDirty, Work

pytestmark = pytest.mark.django_db(transaction=True)
ANA = Actor(PERSON, "1", "ana")
LONG_AGO = timedelta(minutes=10)


@pytest.fixture(scope="module", autouse=True)
def tables(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), chores.tables():
        yield


@pytest.fixture(autouse=True)
def clean(db: None, settings: Any) -> None:
    """No chore is left of another test, nothing was told, and the job of chores is one of the portal's."""
    settings.JOBS = (*settings.JOBS, KIND.job)
    Chore.objects.all().delete()
    ChoreCounter.objects.all().delete()
    chores.told.clear()


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The jobs that were enqueued; the queue itself always reads as empty."""
    calls: list[tuple[Any, ...]] = []

    def push(name: str, ids: tuple[Any, ...], queue: str, job_id: str, **_: Any) -> bool:
        calls.append((name, ids, queue, job_id))
        return True

    monkeypatch.setattr("core.jobs.push", push)
    monkeypatch.setattr(reconcile, "push", push)
    empty = type("Queue", (), {"get_job_ids": lambda self: []})()
    monkeypatch.setattr("core.jobs.get_queue", lambda name: empty)
    return calls


def ask(room: str = "hall") -> Chore:
    """A chore that was asked for."""
    with transaction.atomic():
        chore = create(KIND, ANA, room=room)
        enqueue_run(KIND, chore)
    return chore


def work_on(chore: Chore, attempt: int = 1) -> Chore:
    """The chore after a worker got its job."""
    pipeline.run(PIPELINE, str(chore.run_id), attempt)
    return Chore.objects.get(pk=chore.pk)


def first_step(monkeypatch: pytest.MonkeyPatch, step: Callable[[Work], str]) -> None:
    monkeypatch.setitem(chores.STEPS, "sweep", step)


def raises(error: Exception) -> Callable[[Work], str]:
    def step(work: Work) -> str:
        raise error

    return step


def steps(chore: Chore) -> dict[str, str]:
    return dict(Step.objects.filter(run_id=chore.run_id).values_list("name", "state"))


def texts(chore: Chore) -> list[str]:
    return [line.text for line in lines_after(chore.run_id, 0)]


def verbs() -> list[str]:
    return list(AuditEvent.objects.order_by("pk").values_list("verb", flat=True))


def test_from_asking_to_the_end(rung: list[Any]) -> None:
    chore, following = ask(), ask()
    assert (chore.number, following.number, chore.actor_text) == (1, 2, "ana")
    assert rung[0] == ("tests.runs.chores.run", (str(chore.run_id), 1), "short", f"{chore.run_id}-1")
    rung.clear()
    ended = work_on(chore)
    assert (ended.state, ended.result) == (State.SUCCEEDED, "hall is clean.")
    assert steps(chore) == {"sweep": "succeeded", "tidy": "succeeded"}
    assert texts(chore)[0].startswith("ana sweeps hall; worker ")
    assert texts(chore)[1:] == ["sweeping hall", "hall is clean."]
    assert verbs() == ["chore.started", "chore.ended"]
    event = AuditEvent.objects.get(verb="chore.ended")
    assert (event.target_kind, event.target_id, event.target_text) == ("chore", "1", "#1 hall")
    assert event.data == {"state": "succeeded", "result": "hall is clean."}
    assert AuditEvent.objects.get(verb="chore.started").data == {"room": "hall"}
    assert chores.told == ["hall: begins", "hall: succeeded", "hall: over"]
    assert [call[1] for call in rung] == [(str(following.run_id), 1)]


def test_one_at_a_time_and_in_line() -> None:
    first, second, other = ask(), ask(), ask("attic")
    assert claim(LIFE, second.run_id, 1) is None
    assert claim(LIFE, first.run_id, 1) is not None
    assert claim(LIFE, first.run_id, 1) is None
    assert claim(LIFE, second.run_id, 1) is None
    assert claim(LIFE, other.run_id, 1) is not None


def test_numbers_of_one_kind_are_not_those_of_another() -> None:
    ask()
    assert make_deploy(make_environment()).number == 1
    assert ask().number == 2


@pytest.mark.parametrize(
    ("error", "state", "result"),
    [
        (TooDirty("There is mud."), State.FAILED, "There is mud."),
        (ValueError("secret"), State.ERRORED, "An error of the portal itself ended this chore."),
    ],
)
def test_a_step_that_fails(
    monkeypatch: pytest.MonkeyPatch, error: Exception, state: State, result: str
) -> None:
    first_step(monkeypatch, raises(error))
    ended = work_on(ask())
    assert (ended.state, ended.result) == (state, result)
    assert steps(ended)["tidy"] == "skipped"
    assert "secret" not in ended.hint


def test_out_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(work: Work) -> str:
        work.deadline = 0.0
        work.check()
        return "never"

    first_step(monkeypatch, slow)
    ended = work_on(ask())
    assert (ended.state, steps(ended)["sweep"]) == (State.TIMED_OUT, "timed_out")


def test_cancelled_before_it_began_and_while_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting, running = ask("attic"), ask()
    with transaction.atomic():
        assert ask_to_stop(LIFE, ANA, waiting)
    assert (waiting.state, waiting.result) == (State.CANCELLED, "ana cancelled it before it started.")
    asks, over = threading.Event(), threading.Event()
    first_step(monkeypatch, lambda work: work.patiently(lambda: bool(asks.set() or over.wait(20))) and "")

    def work() -> None:
        work_on(running)
        connections.close_all()

    worker = threading.Thread(target=work)
    worker.start()
    assert asks.wait(20)
    with transaction.atomic():
        assert ask_to_stop(LIFE, ANA, running)
    worker.join(20)
    over.set()
    running.refresh_from_db()
    assert (running.state, running.cancelled_by) == (State.CANCELLED, "ana")
    with transaction.atomic():
        assert ask_to_stop(LIFE, ANA, running), "twice is once"
    assert verbs().count("chore.cancel_requested") == 2


def test_too_late_to_cancel() -> None:
    chore = ask()
    work_on(chore)
    with transaction.atomic():
        assert not ask_to_stop(LIFE, ANA, chore)
    assert chore.state == State.SUCCEEDED


def test_a_worker_that_is_stopped_hands_over_and_the_next_goes_on(
    monkeypatch: pytest.MonkeyPatch, rung: list[Any]
) -> None:
    chore = ask()
    with monkeypatch.context() as leaving:
        leaving.setitem(chores.STEPS, "tidy", raises(AssertionError("it left before")))
        leaving.setattr("runs.life.attempt.is_leaving", lambda: steps(chore)["sweep"] == "succeeded")
        assert work_on(chore).state == State.RUNNING
    assert rung[-1][3] == f"{chore.run_id}-2"
    assert work_on(chore, attempt=1).attempt == 2, "the first attempt has had its turn"
    first_step(monkeypatch, raises(AssertionError("it was done")))
    ended = work_on(chore, attempt=2)
    assert ended.state == State.SUCCEEDED
    assert "Taken over by" in "".join(texts(chore))
    assert "going on at tidy" in "".join(texts(chore))
    assert "chore.resumed" in verbs()


def test_the_reconciler_tends_every_kind(rung: list[Any]) -> None:
    lost, silent, stuck, halted = ask(), ask("attic"), ask("cellar"), ask("shed")
    rows = Chore.objects.filter
    for chore in (silent, stuck, halted):
        assert claim(LIFE, chore.run_id, 1) is not None
    rows(pk=silent.pk).update(heartbeat_at=Now() - LONG_AGO)
    rows(pk=stuck.pk).update(state=State.CANCELLING, cancel_requested_at=Now() - LONG_AGO)
    rows(pk=halted.pk).update(
        state=State.CANCELLING, cancel_requested_at=Now(), cancelled_by="ben", heartbeat_at=Now() - LONG_AGO
    )
    deploy = make_deploy(make_environment(), State.QUEUED)
    rung.clear()
    reconcile.reconcile([DEPLOYS, LIFE])
    assert {call[3] for call in rung} == {f"{deploy.run_id}-1", f"{lost.run_id}-1", f"{silent.run_id}-2"}
    for chore in (silent, stuck, halted):
        chore.refresh_from_db()
    assert (silent.state, silent.attempt, silent.worker) == (State.RUNNING, 2, "")
    assert (stuck.state, stuck.attempt, stuck.hint) == (State.ABANDONED, 2, "Look into the room.")
    assert halted.result == "ben cancelled it after its worker had stopped; shed stays half swept."


def test_a_kind_that_cannot_be_repaired_keeps_no_other_waiting(rung: list[Any]) -> None:
    def could_start() -> list[Chore]:
        raise ValueError("unforeseen")

    deploy = make_deploy(make_environment(), State.QUEUED)
    reconcile.reconcile([replace(LIFE, could_start=could_start), DEPLOYS])
    assert [call[3] for call in rung] == [f"{deploy.run_id}-1"]


def test_too_many_workers_lost() -> None:
    chore = ask()
    claim(LIFE, chore.run_id, 1)
    Chore.objects.update(attempt=reconcile.MOST_ATTEMPTS, heartbeat_at=Now() - LONG_AGO)
    reconcile.reconcile([LIFE])
    chore.refresh_from_db()
    assert (chore.state, chore.hint) == (State.ERRORED, "Look at the workers' logs, then chore again.")


def test_a_worker_that_lives_again_while_it_is_given_up_keeps_its_run() -> None:
    """The reconciler read the row before the heartbeat, and writes after it."""
    chore = ask()
    Chore.objects.update(
        state=State.RUNNING, attempt=reconcile.MOST_ATTEMPTS, worker="host:1", heartbeat_at=Now() - LONG_AGO
    )
    seen = Chore.objects.get(pk=chore.pk)
    with Fence(Chore, chore.run_id, seen.attempt).held():
        pass
    assert not reconcile.take_over(LIFE, seen)
    assert Chore.objects.get(pk=chore.pk).state == State.RUNNING


def test_a_cancelled_run_that_a_worker_claims_meanwhile_is_ended_by_the_worker() -> None:
    chore = ask()
    Chore.objects.update(state=State.CANCELLING, attempt=2, worker="", cancelled_by="ana")
    seen = Chore.objects.get(pk=chore.pk)
    assert claim(LIFE, chore.run_id, 2) is not None
    assert not reconcile.end_cancelled(LIFE, seen)
    assert Chore.objects.get(pk=chore.pk).state == State.CANCELLING


def test_its_log_page(rf: Any) -> None:
    chore = ask()
    work_on(chore)
    shown = live_log.context(
        rf.get("/?line=2"), chore, Step.objects.filter(run_id=chore.run_id), stream_url="/s"
    )
    assert (shown["last_line"], shown["stream_url"]) == (3, "/s?after=3")
    assert [fold.step for fold in shown["folds"]] == ["sweep", "tidy"]  # type: ignore[attr-defined]
    page = json.loads(live_log.log_response(rf.get("/?after=2"), chore, file_name="x").content)  # type: ignore[attr-defined]
    assert "hall is clean" in page["html"]
    assert (page["count"], page["after"]) == (3, 3)
    file = live_log.log_response(rf.get("/?format=text"), chore, file_name="chore-1.log")
    assert file["Content-Disposition"] == 'attachment; filename="chore-1.log"'
    assert len(b"".join(file.streaming_content).splitlines()) == 3  # type: ignore[attr-defined]
