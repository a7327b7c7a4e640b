"""A portal with a secrets file, people of each kind, Git in memory, and the sandbox's AWS over HTTP."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from core.redactor import redacting
from people.models import User
from projects import connections
from projects.models import Environment, Role, SecretsFile
from secrets_ui.known import looking
from tests import factories as make
from tests.deployments.outside import FakeGit, Outside
from tests.sandbox.ends import Aws, running_aws
from tests.secrets_ui.support import HEAD, b64
from tests.secrets_ui.wire import Wire, running_wire

CANARY = "canary-hunter2-stored-value"
REFERENCE = b"""apiVersion: v1
kind: Secret
metadata:
  name: app
stringData:
  TOKEN: ""
  URL: change-me
  PASSWORD: ""
"""
STORED = f"{HEAD}# kept as it is\ndata:\n  TOKEN: {b64(CANARY)}\n  URL: {b64('change-me')}\n  OLD: {b64('of-old-times')}\n"
WEB = b"""apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      containers:
      - name: web
        image: web
        env:
        - name: TOKEN
          valueFrom: {secretKeyRef: {name: app, key: TOKEN}}
"""


@pytest.fixture(scope="session")
def aws_end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with running_aws(tmp_path_factory.mktemp("aws") / "state") as end:
        yield end


@pytest.fixture
def aws(aws_end: Aws, monkeypatch: pytest.MonkeyPatch) -> Any:
    """boto3's client of the AWS that the portal asks in this test."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_end.url)
    return aws_end.client("secretsmanager")


@pytest.fixture(scope="session")
def line(aws_end: Aws) -> Iterator[Wire]:
    with running_wire(aws_end.url) as found:
        yield found


@pytest.fixture
def wire(line: Wire, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """The line that the portals of this test reach AWS by, this process among them."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", line.url)
    line.calls.clear()
    yield line
    line.mend()


@pytest.fixture(autouse=True)
def patient_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine lets AWS answer late; `test_waiting.py` looks at the real time."""
    monkeypatch.setattr(looking, "WAIT_SECONDS", 30.0)


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers where AWS should be."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")


@pytest.fixture
def git(monkeypatch: pytest.MonkeyPatch) -> Outside:
    """A repository with the reference file and a workload."""
    world = Outside(files={"secret.yaml": REFERENCE, "web.yaml": WEB})
    world.branches["refs/heads/main"] = world.commits[0].sha
    monkeypatch.setattr(connections, "GitRepository", lambda *_, **__: FakeGit(world))
    return world


@dataclass
class World:
    """One environment with one secrets file, whose secret is in AWS."""

    environment: Environment
    file: SecretsFile
    maintainer: User
    deployer: User
    viewer: User
    aws: Any

    @property
    def page(self) -> str:
        return f"/projects/{self.environment.project.slug}/{self.environment.slug}/secrets/"

    def url(self, name: str) -> str:
        return f"{self.page}{self.file.pk}/{name}/"

    @property
    def text(self) -> str:
        """What AWS holds now."""
        answer = self.aws.get_secret_value(SecretId=self.file.secret_id, VersionStage="AWSCURRENT")
        return str(answer["SecretString"])

    @property
    def version(self) -> str:
        answer = self.aws.get_secret_value(SecretId=self.file.secret_id, VersionStage="AWSCURRENT")
        return str(answer["VersionId"])

    def by_hand(self, text: str) -> None:
        """Somebody writes with AWS's own console."""
        self.aws.put_secret_value(SecretId=self.file.secret_id, SecretString=text)


@pytest.fixture
def world(db: None, aws: Any, git: Outside, settings: Any) -> World:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    return made_world(aws)


def made_world(aws: Any, *, is_production: bool = False) -> World:
    project = make.make_project(slug=f"shop-{uuid.uuid4().hex[:8]}", name="Shop")
    slug = "production" if is_production else "staging"
    environment = make.make_environment(project, slug=slug, is_production=is_production)
    file = make.make_secrets_file(environment, secret_id=f"slipway/{uuid.uuid4().hex}/live")
    aws.create_secret(Name=file.secret_id, SecretString=STORED)
    people = [make.make_user(f"{role}-{uuid.uuid4().hex[:6]}") for role in Role]
    for role, user in zip(Role, people, strict=True):
        make.grant(user, role, project)
    return World(environment, file, people[2], people[1], people[0], aws)


@pytest.fixture
def tab(world: World) -> Client:
    """A maintainer's browser, on a page that was read."""
    client = Client()
    client.force_login(world.maintainer)
    client.post(world.url("read"))
    return client


@pytest.fixture
def secret_world() -> Iterator[None]:
    """For services that are called without a request."""
    with redacting():
        yield
