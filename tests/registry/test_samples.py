"""The sandbox's samples: their namespaces, their pull secrets by the portal, and what an earlier sandbox wrote there."""

from __future__ import annotations

import uuid
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from audit.actors import person
from projects.models import Cluster
from registry import running
from registry.models import Credential, Refresh, State
from sandbox.samples import pull_credentials
from sandbox.samples.names import namespaces
from tests.factories import make_environment, make_user
from tests.registry.conftest import TYPE, Place


@pytest.fixture
def samples(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The samples' environments, under names of their own in this cluster."""
    mark = uuid.uuid4().hex[:6]  # a cluster lives longer than a test
    names = [f"smp-{mark}-{name}"[:60] for name in namespaces()]
    monkeypatch.setattr(pull_credentials, "namespaces", lambda: names)
    monkeypatch.setattr(pull_credentials, "PAUSED", names[-1])

    def order(url: str, directory: Any, name: str, seconds: float = 43200.0) -> None:
        place.world.life = timedelta(seconds=seconds)

    monkeypatch.setattr(pull_credentials, "give_order", order)
    place.made += pull_credentials.ensure_namespaces(place.path_of_kubeconfig)
    assert sorted(place.made) == sorted(names)
    for name in names:
        make_environment(cluster=place.cluster, namespace=name, pull_secret="ecr-pull")
    return place


def keep(place: Place) -> dict[str, Credential]:
    layout: Any = SimpleNamespace(directory=place.path_of_kubeconfig.parent, aws_url="http://127.0.0.1:1")
    pull_credentials.keep(person(make_user(is_admin=True)), Cluster.objects.get(pk=place.cluster.pk), layout)
    return {row.namespace: row for row in Credential.objects.all()}


def test_all_are_valid_and_one_is_paused_and_nearly_over(samples: Place, clock: Any) -> None:
    rows = keep(samples)
    paused = rows.pop(pull_credentials.PAUSED)
    assert {row.state for row in rows.values()} == {State.VALID}
    assert len(samples.world.asked) == 2
    assert paused.expires_at - timezone.now() == timedelta(hours=5)
    assert paused.half_life_at == timezone.now() - timedelta(hours=1)
    samples.look()
    paused.refresh_from_db()
    assert (paused.state, paused.half_life_at) == (State.PAUSED, timezone.now() - timedelta(hours=1))
    assert {row.state for row in keep(samples).values()} == {State.VALID, State.PAUSED}  # the next start
    assert len(samples.world.asked) == 2
    clock.shift(timedelta(hours=6, minutes=1))  # the token has ended; now the pause has, too
    samples.look()
    paused.refresh_from_db()
    assert paused.state == State.VALID


def test_what_an_earlier_sandbox_wrote_is_taken_over_in_place(samples: Place, clock: Any) -> None:
    other = f"{pull_credentials.namespaces()[0]}"
    uids = {}
    for name in pull_credentials.namespaces():
        path = f"/api/v1/namespaces/{name}/secrets/ecr-pull"
        body = {
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ecr-pull", "namespace": name}, "type": TYPE,
            "data": {".dockerconfigjson": "e30="},
        }  # fmt: skip
        manager = "kubectl" if name == other else "slipway-sandbox"
        uids[path] = samples.api.apply(path, body, manager=manager)["metadata"]["uid"]
    keep(samples)
    for row in Refresh.objects.filter(state=Refresh.Progress.QUEUED):
        running.carry_out(row.pk)
    rows = {row.namespace: row for row in Credential.objects.all()}
    assert rows.pop(other).state == State.FOREIGN  # somebody's own
    assert {row.state for row in rows.values()} == {State.VALID}
    assert {path: samples.api.get(path)["metadata"]["uid"] for path in uids} == uids
