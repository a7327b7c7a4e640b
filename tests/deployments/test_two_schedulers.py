"""Two schedulers as processes of their own, on one database: each alarm is one message, and its end is one more."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from clusters.models import LiveState, Trouble
from notify.models import Outgoing
from tests.factories import make_environment, make_project
from tests.runs.test_live_processes import database_url

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = 8
PATIENCE = 60.0
# Without the lease, which keeps all but one from ticking: a process that was stopped for a while believes that it has it.
TICKING = """
import sys, time
from pathlib import Path
import django
django.setup()
from deployments.gate.aftermath import tell_troubles
me, folder = sys.argv[1], Path(sys.argv[2])
(folder / f"ready-{me}").touch()
while not (folder / "go").exists():
    time.sleep(0.001)
rounds = 0
while not (folder / "stop").exists():
    tell_troubles()
    rounds += 1
(folder / f"rounds-{me}").write_text(str(rounds))
"""


@contextmanager
def two_schedulers(folder: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two processes that tick at the same moment, again and again, until the end of the block."""
    environment = {**os.environ, "DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "portal.settings"}
    ask: dict[str, Any] = {"cwd": ROOT, "env": environment}
    running = [
        subprocess.Popen([sys.executable, "-c", TICKING, name, str(folder)], **ask) for name in ("a", "b")
    ]
    try:
        until(lambda: len(list(folder.glob("ready-*"))) == 2)
        (folder / "go").touch()
        yield running
    finally:
        (folder / "stop").touch()
        for process in running:
            process.wait(PATIENCE)


def until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def messages(about: str) -> list[int]:
    """The environments that were written about, one for each message."""
    return sorted(one["about_environment"] for one in told() if one["about"] == about)


def told() -> list[dict[str, Any]]:
    rows = Outgoing.objects.filter(kind="slack_note").values_list("payload", flat=True)
    return [
        {"about": one["about"], "about_environment": int(one["project"].removeprefix("p"))} for one in rows
    ]


def test_two_schedulers_send_one_message_for_each_alarm(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-test")
    now = timezone.now()
    for number in range(ENVIRONMENTS):
        project = make_project(slug=f"p{number}", name=f"p{number}")
        environment = make_environment(project, slug="staging", slack_channel="#shop")
        LiveState.objects.create(environment=environment, health="failing", read_at=now)
        for name in ("web", "worker"):
            Trouble.objects.create(
                environment=environment, ref=f"Deployment.apps/a/{name}", name=name, sentence="crashed",
                began_at=now - timedelta(minutes=5), seen_at=now,
            )  # fmt: skip
    with two_schedulers(tmp_path) as running:
        until(lambda: not Trouble.objects.filter(told_at=None).exists())
        Trouble.objects.update(well_since=now, ended_at=now)
        until(lambda: not Trouble.objects.filter(over_told_at=None).exists())
        time.sleep(0.3)
    rounds = [int(path.read_text()) for path in tmp_path.glob("rounds-*")]
    assert [process.returncode for process in running] == [0, 0]
    assert len(rounds) == 2
    assert min(rounds) > 1
    assert messages("began") == messages("over") == list(range(ENVIRONMENTS))
