"""Workloads that fail after a deploy or between deploys: who is told what, and how often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client

from clusters import services as reading
from clusters.models import Trouble
from deployments.gate.aftermath import tell_troubles
from deployments.models import Deploy, ObjectState
from engine.cluster.live import Live, Workload
from engine.errors import SlipwayError
from engine.types import ObjectRef
from notify.models import Outgoing
from runs.models import State
from tests.factories import make_deploy

pytestmark = pytest.mark.django_db
END = datetime(2026, 7, 1, 14, 0, tzinfo=UTC)
BAD = "container web crashed twice at start (exit code 1)"


def ref(name: str) -> ObjectRef:
    return ObjectRef("Deployment", "apps", "shop", name)


@pytest.fixture(autouse=True)
def told(settings: Any, environment: Any) -> Any:
    """`told()`: the payloads of the notes so far."""
    settings.SLACK_BOT_TOKEN = "xoxb-test"
    environment.slack_channel = "#shop"
    environment.save()
    return lambda: list(Outgoing.objects.filter(kind="slack_note").values_list("thread", "payload__about"))


@pytest.fixture
def deploy(environment: Any) -> Deploy:
    """A deploy of web and worker that succeeded at END."""
    return ended(environment, State.SUCCEEDED)


def ended(environment: Any, state: str, progress: str = "ready", **fields: Any) -> Deploy:
    made = make_deploy(environment, state, **{"started_at": END, "ended_at": END, **fields})
    for name in ("web", "worker"):
        ObjectState.objects.create(run_id=made.run_id, ref=str(ref(name)), progress=progress)
    return made


@pytest.fixture
def read(environment: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`read(seconds, *names)`: a read, so many seconds after END, with these workloads failing; two schedulers tick after it.
    `read(seconds, None)`: the cluster does not answer."""

    class Closing:
        def close(self) -> None: ...

    monkeypatch.setattr(reading, "hasty_client", lambda cluster, purpose: Closing())

    def at(seconds: float, *bad: str | None) -> None:
        def answer(client: Any, namespace: str, *, environment_label: str) -> list[Workload]:
            if None in bad:
                raise SlipwayError("It does not answer.")
            return [
                Workload(ref(name), (), 1, 0, 1, "failing" if name in bad else "healthy", BAD, True)
                for name in ("web", "worker", "extra")
            ]

        monkeypatch.setattr(reading, "read_all", lambda *given, **more: Live(answer(*given, **more)))
        with time_machine.travel(END + timedelta(seconds=seconds), tick=False):
            reading.refresh_environment(environment)
            tell_troubles()
            tell_troubles()

    return at


def test_soon_after_a_deploy_it_is_told_with_that_deploy_once(read: Any, deploy: Deploy, told: Any) -> None:
    thread = f"deploy-{deploy.number}"
    for seconds in (60, 90, 120, 300):
        read(seconds, "web")
    assert told() == [(thread, "began")]
    payload = Outgoing.objects.get().payload
    assert payload["troubles"] == [{"name": "web", "sentence": BAD}]
    assert (payload["number"], payload["clock"]) == (deploy.number, "14:01 UTC")
    read(330)
    assert told() == [(thread, "began")]
    read(390)
    read(420)
    assert told() == [(thread, "began"), (thread, "over")]
    assert Outgoing.objects.last().payload["names"] == ["web"]  # type: ignore[union-attr]


def test_two_that_fail_together_are_one_message(read: Any, deploy: Deploy, told: Any) -> None:
    read(60, "web", "worker")
    assert [one["name"] for one in Outgoing.objects.get().payload["troubles"]] == ["web", "worker"]
    read(90, "worker")
    read(150, "worker")
    assert len(told()) == 1
    read(180)
    read(240)
    assert Outgoing.objects.last().payload["names"] == ["web", "worker"]  # type: ignore[union-attr]


def test_the_second_time_after_the_same_deploy_is_an_alarm(read: Any, deploy: Deploy, told: Any) -> None:
    for seconds, *bad in ((60, "web"), (90,), (150,), (180, "web")):
        read(seconds, *bad)
    assert len(told()) == 2
    read(240, "web")
    assert [about for _, about in told()] == ["began", "over", "began"]
    assert told()[-1][0].startswith("trouble-")


def test_later_it_is_an_alarm_when_it_has_lasted_a_minute(read: Any, deploy: Deploy, told: Any) -> None:
    read(1000, "web")
    read(1030, "web")
    assert told() == []
    read(1060, "web")
    read(1090, "web")
    ((thread, about),) = told()
    assert (thread, about) == (f"trouble-{Trouble.objects.get().pk}", "began")
    assert Outgoing.objects.get().payload["number"] is None
    read(1120)
    read(1150, "web")
    read(1180)
    assert len(told()) == 1  # neither over nor told again: the recovery did not last
    read(1240)
    assert told()[1:] == [(thread, "over")]


def test_flapping_is_never_told(read: Any, deploy: Deploy, told: Any) -> None:
    for number in range(20):
        read(1000 + 30 * number, *(["web"] if number % 2 else []))
    assert told() == []


def test_a_cluster_that_does_not_answer_neither_raises_nor_ends(read: Any, deploy: Deploy, told: Any) -> None:
    read(1000, "web")
    for seconds in (1030, 1060, 1090):
        read(seconds, None)
    assert told() == []
    read(1120, "web")
    assert len(told()) == 1
    read(1150)
    read(1180, None)
    read(1300, None)
    assert len(told()) == 1


def test_what_is_not_of_its_release_is_an_alarm(read: Any, deploy: Deploy, told: Any) -> None:
    read(60, "extra")
    assert told() == []
    read(120, "extra")
    assert told()[0][0].startswith("trouble-")


def test_the_watch_can_be_off_or_longer(read: Any, deploy: Deploy, told: Any, environment: Any) -> None:
    environment.policies = {"watch_seconds": 0}
    environment.save()
    read(60, "web")
    assert told() == []
    read(120, "web")
    assert told()[0][0].startswith("trouble-")
    environment.policies = {"watch_seconds": 3600}
    environment.save()
    read(3500, "web", "worker")
    assert told()[1] == (f"deploy-{deploy.number}", "began")


def test_while_a_deploy_runs_it_is_the_judge(read: Any, deploy: Deploy, told: Any, environment: Any) -> None:
    running = make_deploy(environment, State.RUNNING, started_at=END)
    for seconds in (1000, 1060, 1120):
        read(seconds, "web")
    assert told() == []
    Deploy.objects.filter(pk=running.pk).update(state=State.SUCCEEDED, ended_at=END + timedelta(seconds=1125))
    ObjectState.objects.create(run_id=running.run_id, ref=str(ref("web")), progress="ready")
    with time_machine.travel(END + timedelta(seconds=1126), tick=False):
        tell_troubles()
    assert told() == []  # the last read is older than its end
    read(1150, "web")
    assert told() == [(f"deploy-{running.number}", "began")]


def test_a_failed_deploy_has_told_of_its_own_workloads(read: Any, environment: Any, told: Any) -> None:
    ended(environment, State.FAILED, "failed")
    for seconds in (10, 70, 200, 2000):
        read(seconds, "web", "extra")
    assert [one["name"] for one in Outgoing.objects.get().payload["troubles"]] == ["extra"]
    read(2030)
    read(3000, "web")
    read(3060, "web")
    assert [about for _, about in told()].count("began") == 2  # another trouble than the deploy's


def test_the_deploys_page_says_it(read: Any, deploy: Deploy, deployer: Any, client: Client) -> None:
    client.force_login(deployer)
    read(120, "web")
    page = client.get(f"/deploys/{deploy.number}/").content.decode()
    assert "Succeeded, but since" in page
    assert BAD in page
    read(150)
    read(210)
    page = client.get(f"/deploys/{deploy.number}/").content.decode()
    assert "Succeeded, but since" not in page
    assert "it has recovered." in page


def test_without_a_channel_the_page_still_says_it(
    read: Any, deploy: Deploy, environment: Any, deployer: Any, client: Client
) -> None:
    environment.slack_channel = ""
    environment.save()
    read(120, "web")
    assert not Outgoing.objects.exists()
    client.force_login(deployer)
    assert "Succeeded, but since" in client.get(f"/deploys/{deploy.number}/").content.decode()
