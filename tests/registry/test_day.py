"""A day and a half in steps of ten minutes, with outages of everything: a credential is invalid only while AWS itself is away."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.errors import Unavailable
from audit.models import AuditEvent
from registry import running
from registry.models import Refresh
from registry.reconcile import Ask
from tests.registry.conftest import HOST

# On one control plane: a day is about clocks and outages; what a cluster does is in the other modules.
pytestmark = pytest.mark.parametrize("plane", ["simulated"], indirect=True, scope="session")
MINUTE = timedelta(minutes=1)
STEP = 10  # minutes between two looks; the portal looks each minute
HOURS = 36
# Name → (from, to), in hours. No outage of AWS lasts six hours; the portal itself is off for five of them.
OUTAGES = {
    "aws": [(5.5, 8), (17, 21.5)],
    "registry": [(11, 16)],
    "cluster": [(22, 24.5)],
    "portal": [(26, 30.9)],
}


def is_on(name: str, minute: int) -> bool:
    return not any(start * 60 <= minute < end * 60 for start, end in OUTAGES[name])


@pytest.mark.slow
def test_never_invalid_while_aws_is_there(place, clock, monkeypatch) -> None:
    environment = place.home()
    world, real, invalid, calls = place.world, running.hasty_client, [], []

    def client(cluster, **given):
        calls.append(1)
        if not is_on("cluster", minute):
            raise Unavailable("The cluster does not answer: no connection.", system="Kubernetes")
        return real(cluster, **given)

    monkeypatch.setattr(running, "hasty_client", client)
    for minute in range(0, HOURS * 60, STEP):
        away = Unavailable("ECR is not reachable.", system="ECR")
        world.fails = None if is_on("aws", minute) else away
        (world.silent.discard if is_on("registry", minute) else world.silent.add)(HOST)
        if is_on("portal", minute) and place.cluster.pk in running.due_clusters():
            running.look_at(place.cluster, Ask())
        clock.shift(STEP * MINUTE)
        if minute and not place.pulls(environment):
            invalid.append(minute)
    assert invalid == []
    # Half a life is six hours: some seven tokens, and the attempts of outages, with pauses of at most 15 minutes.
    assert len(world.asked) < 80
    assert Refresh.objects.count() < 25
    assert AuditEvent.objects.filter(verb__startswith="pull_credential").count() < 25


def test_aws_away_for_longer_than_a_token_lives(place, clock) -> None:
    """Then it ends, and it is valid again within a quarter of an hour after AWS is back."""
    environment = place.home()
    place.look()
    place.world.fails = Unavailable("ECR is not reachable.", system="ECR")
    for _ in range(13 * 4):
        clock.shift(15 * MINUTE)
        place.look()
    assert not place.pulls(environment)
    place.world.fails = None
    waited = 0
    while not place.pulls(environment):
        clock.shift(MINUTE)
        place.look()
        waited += 1
    assert waited <= 15
