"""No job id outlives its reason: a job that failed, or whose worker was killed, must not keep back the next one for what is
still to be done."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.cache import cache

from audit import integrity
from clusters import jobs as live
from deployments import branches
from notify.models import Outgoing
from portal.ticks import send_waiting
from projects import mirrors
from projects.models import SecretsFile
from secrets_ui import jobs as secrets
from tests.factories import make_environment

ROOT = Path(__file__).resolve().parent.parent.parent
APPS = (
    "audit",
    "builds",
    "clusters",
    "core",
    "deployments",
    "notify",
    "portal",
    "projects",
    "registry",
    "runs",
    "secrets_ui",
)
HALF_AN_HOUR = 1860  # longer than any slot but that of mirrors, which are tidied once a day

# Every call of `enqueue` in the product. What makes its id new: `slot` (time), or `attempt` (of the run, counted up by every
# take-over; the reconciler looks into the queue and does not ask for uniqueness), or `once`: the tick in brackets asks again.
CALLS = {
    ("audit/integrity.py", "_enqueue_piece"): "slot",
    ("builds/deciding.py", "work_on_waiting"): "slot",
    ("builds/incoming/receiving.py", "work_on"): "once (builds.deciding.work_on_waiting)",
    ("builds/following.py", "look_due"): "slot",
    ("builds/missed.py", "look_due"): "slot",
    ("builds/engine.py", "look_soon"): "slot",
    ("clusters/jobs.py", "refresh_soon"): "slot",
    ("clusters/jobs.py", "refresh_stale"): "slot",
    ("deployments/branches.py", "refresh_due"): "slot",
    ("deployments/gate/automatic.py", "look"): "slot",
    ("notify/rows.py", "write"): "once (portal.ticks.send_waiting)",
    ("portal/status/asking.py", "ask_quiet"): "slot",
    ("portal/ticks.py", "send_waiting"): "slot",
    ("projects/mirrors.py", "tidy_all"): "slot",
    ("registry/jobs.py", "look"): "slot",
    ("registry/services.py", "start"): "slot",
    ("runs/life/queue.py", "enqueue_run"): "attempt",
    ("secrets_ui/editing/settling.py", "settle_due"): "slot",
    ("secrets_ui/jobs.py", "learn_soon"): "slot",
    ("secrets_ui/jobs.py", "look_at_due"): "slot",
    ("secrets_ui/requests/tending.py", "tend_due"): "slot",
    ("secrets_ui/requests/tending.py", "tend_creations_due"): "slot",
}


def calls() -> Iterator[tuple[tuple[str, str], str]]:
    """Each function of the product that calls `enqueue`, with its text."""
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            text = path.read_text()
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef) and any(
                    isinstance(one, ast.Call) and isinstance(one.func, ast.Name) and one.func.id == "enqueue"
                    for one in ast.walk(node)
                ):
                    yield (str(path.relative_to(ROOT)), node.name), ast.get_source_segment(text, node) or ""


def test_the_table_names_every_call() -> None:
    assert {place for place, _ in calls()} == set(CALLS)


@pytest.mark.parametrize(
    ("place", "text"), list(calls()), ids=lambda given: given[1] if len(given) == 2 else ""
)
def test_the_id_has_what_makes_it_new(place: tuple[str, str], text: str) -> None:
    wanted = {"slot": "slot(", "attempt": "job_id(run)"}
    assert wanted.get(CALLS[place], "enqueue") in text


def messages() -> None:
    Outgoing.objects.get_or_create(kind="slack", recipient="#shop", key="k")
    send_waiting()


def look_at_secrets() -> None:
    cache.clear()
    secrets.look_at_due()


TRIGGERS: dict[str, Callable[[], None]] = {
    "audit.integrity.verify_job": integrity.verify_due,
    "clusters.jobs.refresh_cluster": live.refresh_stale,
    "clusters.jobs.refresh_live": lambda: live.refresh_soon(1),
    "deployments.branches.refresh": branches.refresh_due,
    "notify.outbox.send_due": messages,
    "projects.mirrors.tidy": mirrors.tidy_all,
    "secrets_ui.jobs.look_at": look_at_secrets,
    "secrets_ui.jobs.learn_version": lambda: secrets.learn_soon(SecretsFile.objects.get(), "v1"),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", TRIGGERS)
def test_a_job_whose_worker_was_killed_is_asked_for_again_under_another_id(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To RQ the lost one runs for some minutes still."""
    environment = make_environment()
    SecretsFile.objects.create(environment=environment, path="a.yaml", secret_id="shop/a", region="eu-west-1")
    asked: list[str] = []

    def push(func: str, ids: Any, queue: str, job_id: str, **_: Any) -> bool:
        if func == name:
            asked.append(job_id)
        return True

    monkeypatch.setattr("core.jobs.push", push)
    later = 2 * mirrors.LOOK_SECONDS if name == "projects.mirrors.tidy" else HALF_AN_HOUR
    with time_machine.travel("2026-07-01T12:00:00Z", tick=False) as clock:
        TRIGGERS[name]()
        TRIGGERS[name]()
        assert len(set(asked)) == 1  # at once it is the same job
        clock.shift(later)
        TRIGGERS[name]()
    assert len(set(asked)) == 2
