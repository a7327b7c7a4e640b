"""What deploys get: a valid credential before the first pull, also in a namespace that they bring themselves."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.errors import Unavailable
from core.redactor import redacting
from deployments.pipeline import stages
from deployments.preparation.prepare import NotDeployable
from deployments.preparation.pull_check import check_pull_secret
from engine.manifests.plan import Phase
from engine.manifests.render import ImagePin
from projects.connections import hasty_client
from registry import deploys
from registry.models import Cause, PullPolicy, Refresh, State
from tests.factories import make_image
from tests.registry.conftest import HOST, config

HOUR = timedelta(hours=1)


@pytest.fixture
def client(place):
    with closing(hasty_client(place.cluster)) as client:
        yield client


def test_a_fresh_one_costs_one_read(place, clock, client) -> None:
    environment = place.home()
    first = deploys.ensure(environment, client, asked_as="deploy 1")
    assert (first.is_usable, first.is_written) == (True, True)
    assert Refresh.objects.get().cause == Cause.DEPLOY
    version = place.secret(environment)["metadata"]["resourceVersion"]
    clock.shift(5 * HOUR)
    second = deploys.ensure(environment, client, asked_as="deploy 2")
    assert (second.is_usable, second.is_written) == (True, False)
    assert place.secret(environment)["metadata"]["resourceVersion"] == version
    assert len(place.world.asked) == 1
    clock.shift(2 * HOUR)
    assert deploys.ensure(environment, client, asked_as="deploy 3").is_written
    assert place.password(environment) == place.world.last


def test_a_tampered_one_is_repaired_before_the_pull(place, clock, client) -> None:
    environment = place.home()
    deploys.ensure(environment, client)
    place.tamper(environment)
    assert deploys.ensure(environment, client).is_written
    assert place.pulls(environment)


def test_what_the_portal_does_not_keep_is_left(place, clock, client) -> None:
    foreign, paused, unnamed = place.home(), place.home(), place.home(secret="")
    place.put(foreign)
    found = deploys.ensure(foreign, client)
    assert (found.is_managed, "kubectl-create" in found.sentence) == (False, True)
    assert not deploys.is_managed(foreign)
    assert deploys.ensure(unnamed, client) == deploys.UNMANAGED
    PullPolicy.objects.create(cluster=place.cluster, enabled=False)
    assert deploys.ensure(paused, client) == deploys.UNMANAGED


def test_a_living_one_is_enough_while_aws_is_away(place, clock, client) -> None:
    environment = place.home()
    deploys.ensure(environment, client)
    place.world.fails = Unavailable("ECR is not reachable.", system="ECR")
    clock.shift(7 * HOUR)
    found = deploys.ensure(environment, client)
    assert (found.is_usable, found.sentence) == (True, "ECR is not reachable.")
    clock.shift(6 * HOUR)
    found = deploys.ensure(environment, client)
    assert (found.is_managed, found.is_usable) == (True, False)


class Work:
    """As much of deployments.pipeline.work.Work as `let_pull` needs."""

    def __init__(self, environment: Any, client: Any) -> None:
        self.environment, self.client = environment, client
        self.deploy = SimpleNamespace(number=7)
        self.lines: list[str] = []

    def log(self, text: str, *, level: str = "info") -> None:
        self.lines.append(text)


class Rolling:
    """A rollout whose first stage brings the namespace."""

    def __init__(self, place: Any, environment: Any) -> None:
        self.place, self.environment, self.pulled = place, environment, []

    def apply(self, *, after: Any) -> list[Any]:
        for phase in (Phase.FOUNDATIONS, Phase.PREDEPLOY):
            if phase == Phase.FOUNDATIONS:
                self.place.create(self.environment.namespace)
            self.pulled.append(self.place.pulls(self.environment))
            after(SimpleNamespace(phase=phase))
        return []


def test_a_namespace_that_the_deploy_brings(place, clock, client) -> None:
    """Its Secret follows after the stage that brings it, before the next one."""
    environment = place.home(exists=False)
    work, rollout = Work(environment, client), Rolling(place, environment)
    assert stages.apply(work, rollout, SimpleNamespace(flush=lambda: None)) == "nothing to apply"
    assert rollout.pulled == [False, True]
    assert work.lines == ["The pull secret ecr-pull was renewed."]
    assert place.row(environment).state == State.VALID
    assert not Refresh.objects.filter(state="failed").exists()


def test_a_deploy_stops_before_its_first_write_when_nothing_can_be_pulled(place, clock, client) -> None:
    environment = place.home()
    place.world.fails = Unavailable("ECR is not reachable.", system="ECR", hint="Try again.")
    work, rollout = Work(environment, client), Rolling(place, environment)
    with pytest.raises(NotDeployable, match="could not be renewed: ECR is not reachable") as stopped:
        stages.apply(work, rollout, SimpleNamespace(flush=lambda: None))
    assert "Nothing was changed on the cluster." in stopped.value.hint
    assert rollout.pulled == []


@pytest.mark.parametrize("kept", [True, False])
def test_words_of_the_checks(place, clock, client, kept) -> None:
    environment = place.home()
    image = make_image(environment.project, registry=place.registry, repository="shop/web")
    pin = ImagePin(name="web", repository=f"{HOST}/shop/web", tag="abc", digest="")

    keeping = deploys.Keeping(kept, takes_over=kept)

    def said() -> list[tuple[str, str]]:
        with redacting():
            found = check_pull_secret(client, environment, [pin], {"web": image}, keeping)
        return [(one.state, one.text.partition(":")[0].partition(" in the")[0]) for one in found]

    mild = "passed" if kept else "failed"
    assert said() == [(mild, "The pull secret ecr-pull is missing")]
    place.put(environment, data={".dockerconfigjson": config("ended")})
    assert said() == [(mild, "Credential expired")]
    place.world.issued["ended"] = clock_now() + HOUR
    assert said() == [("failed", "Image missing")]
    place.world.closed.add("shop/web")
    assert said() == [("failed", "No right to pull")]
    other = replace(pin, repository="other.example/shop/web")
    with redacting():
        [found] = check_pull_secret(client, environment, [other], {"web": image}, keeping)
    assert (found.state, "holds no credential for" in found.text) == (mild, True)


def test_a_preview_sees_a_foreign_secret_where_the_portal_has_never_looked(place, clock, client) -> None:
    """The Secret itself tells who wrote it; no row is needed."""
    environment = place.home()
    image = make_image(environment.project, registry=place.registry, repository="shop/web")
    pin = ImagePin(name="web", repository=f"{HOST}/shop/web", tag="abc", digest="")
    place.put(environment, data={".dockerconfigjson": config("ended")})
    assert deploys.is_managed(environment)
    with redacting():
        [found] = check_pull_secret(client, environment, [pin], {"web": image}, deploys.keeping(environment))
    assert (found.state, "Credential expired" in found.text) == ("failed", True)
    assert "was written by kubectl-create at" in found.detail
    assert "An admin can let the portal take it over" in found.detail
    assert deploys.ensure(environment, client).is_managed is False
    place.row(environment)
    place.cluster.pull_credentials.update(adopt=True)
    with redacting():
        [found] = check_pull_secret(client, environment, [pin], {"web": image}, deploys.keeping(environment))
    assert found.state == "passed"
    assert deploys.ensure(environment, client).is_written


def clock_now():
    from django.utils import timezone

    return timezone.now()
