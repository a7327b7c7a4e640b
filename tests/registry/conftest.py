"""A cluster (each control plane in turn) whose namespaces are to have pull secrets, and AWS in memory."""

from __future__ import annotations

import base64
import contextlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine

from projects import connections
from projects.models import Cluster, Environment, Registry
from registry import pull_secrets, running, tokens
from registry.models import Credential
from registry.reconcile import Ask, Report
from sandbox.cluster.api import Api, ApiFailed
from tests.factories import make_cluster, make_environment, make_registry
from tests.planes import PLANES, Plane, running_plane
from tests.registry.outside import FakeEcr, FakeRegistry, World

TYPE, KEY = "kubernetes.io/dockerconfigjson", ".dockerconfigjson"
HOST = "123456789012.dkr.ecr.eu-west-2.amazonaws.com"


@pytest.fixture(scope="session", params=PLANES)
def plane(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running_plane(request.param, tmp_path_factory.mktemp(request.param)) as plane:
        yield plane


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """AWS and its registries, in memory."""
    outside = World()
    monkeypatch.setattr(connections, "Ecr", lambda region, *_, **__: FakeEcr(outside, region))
    monkeypatch.setattr(pull_secrets, "Registry", lambda *given: FakeRegistry(outside, *given))
    monkeypatch.setattr(tokens.random, "uniform", lambda low, high: 1.0)
    return outside


@pytest.fixture
def clock() -> Iterator[time_machine.Coordinates]:
    """The time of the portal and of AWS. It stands until a test moves it. The database's and the cluster's goes on."""
    with time_machine.travel(datetime.now(UTC), tick=False) as traveller:
        yield traveller


def config(password: str, host: str = HOST) -> str:
    """The content of a pull secret that somebody else writes."""
    auth = base64.b64encode(f"AWS:{password}".encode()).decode()
    return base64.b64encode(json.dumps({"auths": {host: {"auth": auth}}}).encode()).decode()


@dataclass
class Place:
    """A registered cluster, and short words for what tests do there."""

    cluster: Cluster
    api: Api
    world: World
    registry: Registry
    path_of_kubeconfig: Path
    made: list[str] = field(default_factory=list)

    def home(self, *, secret: str = "ecr-pull", exists: bool = True, **labels: str) -> Environment:
        """An environment that names a pull secret, in a namespace of its own."""
        name = f"reg-{uuid.uuid4().hex[:8]}"
        environment = make_environment(cluster=self.cluster, namespace=name, pull_secret=secret)
        if exists:
            self.create(name, **labels)
        return environment

    def create(self, name: str, **labels: str) -> None:
        self.made.append(name)
        self.api.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})

    def path(self, environment: Environment) -> str:
        return f"/api/v1/namespaces/{environment.namespace}/secrets/{environment.pull_secret}"

    def secret(self, environment: Environment):
        return self.api.find(self.path(environment))

    def password(self, environment: Environment, host: str = HOST) -> str:
        """The password that nodes would use now; empty without one."""
        body = self.secret(environment)
        if body is None or body["type"] != TYPE:
            return ""
        auths = json.loads(base64.b64decode(body["data"][KEY]))["auths"]
        return base64.b64decode(auths[host]["auth"]).decode().partition(":")[2] if host in auths else ""

    def pulls(self, environment: Environment, host: str = HOST) -> bool:
        """Whether a node could pull with it now."""
        return self.world.opens(self.password(environment, host))

    def look(self, **ask) -> Report:
        return running.look_at(Cluster.objects.get(pk=self.cluster.pk), Ask(**ask))

    def row(self, environment: Environment) -> Credential:
        return Credential.objects.get(cluster=self.cluster, namespace=environment.namespace)

    def put(self, environment: Environment, *, manager: str = "kubectl-create", **body) -> None:
        """What another writer makes there."""
        given = {
            "metadata": {"name": environment.pull_secret},
            "type": TYPE,
            "data": {KEY: config("theirs")},
            **body,
        }
        self.api.request(
            "POST",
            f"/api/v1/namespaces/{environment.namespace}/secrets",
            body=given,
            query={"fieldManager": manager},
        )

    def refusal(self, environment: Environment) -> str:
        """Why the cluster does not take a Secret there now; empty when it would."""
        path = f"/api/v1/namespaces/{environment.namespace}/secrets"
        try:
            self.api.request("POST", path, body={"metadata": {"name": "trial"}}, query={"dryRun": "All"})
        except ApiFailed as error:
            return str(error)
        return ""

    def tamper(self, environment: Environment, text: str = "") -> None:
        """What `kubectl edit` does."""
        self.api.merge(self.path(environment), {"data": {KEY: text or config("theirs")}})


@pytest.fixture
def place(db, plane: Plane, world: World) -> Iterator[Place]:
    cluster = make_cluster(kubeconfig=plane.kubeconfig.read_text())
    registry = make_registry(endpoint=f"https://{HOST}")
    api = Api.from_kubeconfig(plane.kubeconfig, user_agent="tests")
    found = Place(cluster, api, world, registry, plane.kubeconfig)
    yield found
    for name in found.made:
        with contextlib.suppress(ApiFailed):  # a test has deleted it
            found.api.delete(f"/api/v1/namespaces/{name}")
