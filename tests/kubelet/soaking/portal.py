"""The product's real path for the soak: the gate opens a deploy, the worker's job works on it, the engine writes to the real
node. Git and AWS are in memory; RQ's part, handing a job to a worker, is played by a call."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.db import connections as databases
from django.utils import timezone

from adapters.git.names import check_revision
from adapters.git.repository import Limits
from adapters.git.tree import Wanted, everything
from audit.actors import Actor, person
from deployments import jobs
from deployments.gate import cancelling, requests, secrets_alone
from deployments.models import Deploy
from projects import connections
from projects.models import Environment, Role
from runs.log import every_chunk, lines
from runs.models import OPEN, Step, StepState
from tests.deployments.outside import FakeGit, FakeSecrets, Outside, commit
from tests.factories import grant, make_cluster, make_environment, make_project, make_secrets_file, make_user
from tests.kubelet.conftest import Place


class CommitsGit(FakeGit):
    """Each commit has files of its own."""

    def __init__(self, outside: Outside, trees: Mapping[str, Mapping[str, bytes]]) -> None:
        super().__init__(outside)
        self.trees = trees

    def files(
        self, sha: str, directory: str, *, recursive: bool = True, limits: Limits | None = None,
        wanted: Wanted = everything,
    ) -> dict[str, bytes]:  # fmt: skip
        return {path: text for path, text in self.trees[check_revision(sha)].items() if wanted(path)}


@dataclass
class Portal:
    """A project with one environment in a namespace of the real node."""

    environment: Environment
    actor: Actor
    outside: Outside
    trees: dict[str, Mapping[str, bytes]] = field(default_factory=dict)

    def commit(self, files: Mapping[str, bytes]) -> str:
        """A new revision with these files; its id."""
        made = commit("0", f"Change {len(self.trees) + 1}")
        sha = f"{len(self.trees) + 1:07x}".ljust(40, "0")
        made = type(made)(sha, made.subject, made.author, made.authored_at)
        self.outside.commits.insert(0, made)
        self.outside.branches["main"] = sha
        self.trees[sha] = files
        return sha

    def store_token(self, number: int) -> None:
        """Another version of the secret; the first one needs no version before it."""
        text = populated(number)
        if "app" in self.outside.secrets:
            self.outside.store("app", text, f"version-{number:04d}")
        else:
            self.outside.secrets["app"] = text

    def ask(self, sha: str) -> Deploy:
        return requests.request_deploy(self.actor, environment=self.environment, revision=sha).deploy

    def ask_secrets(self) -> Deploy:
        return secrets_alone.request_secrets_deploy(self.actor, environment=self.environment).deploy

    def ask_back(self, target: Deploy) -> Deploy:
        return requests.request_rollback(self.actor, environment=self.environment, target=target).deploy

    def work(self, deploy: Deploy) -> Deploy:
        """The worker's job, to the end of the deploy."""
        jobs.run_deploy(str(deploy.run_id), deploy.attempt)
        return fresh(deploy)

    def work_and_stop(self, deploy: Deploy, when: Callable[[Deploy], bool]) -> tuple[Deploy, Deploy | None]:
        """The same, stopped by a person who asks for a rollback too, as soon as `when` says so. The deploy and its rollback
        (queued), None where the deploy had ended before."""
        worker = threading.Thread(target=self._work_in_thread, args=(deploy,))
        worker.start()
        while worker.is_alive() and not when(fresh(deploy)):
            worker.join(0.2)
        found = fresh(deploy)
        if found.state in OPEN:
            cancelling.cancel_deploy(self.actor, deploy=found, then_roll_back=True)
        worker.join(60)
        return fresh(deploy), Deploy.objects.filter(undoes=deploy).first()

    def _work_in_thread(self, deploy: Deploy) -> None:
        try:
            self.work(deploy)
        finally:
            databases.close_all()


def fresh(deploy: Deploy) -> Deploy:
    return Deploy.objects.select_related("release", "environment").get(pk=deploy.pk)


def has_applied(deploy: Deploy) -> bool:
    """Whether its objects are written and it waits for them."""
    return Step.objects.filter(run_id=deploy.run_id, name="rollout", state=StepState.RUNNING).exists()


def written_at(deploy: Deploy) -> float:
    """When all its objects were written, by the clock of `time.monotonic`."""
    step = Step.objects.get(run_id=deploy.run_id, name="rollout")
    assert step.started_at
    return time.monotonic() - (timezone.now() - step.started_at).total_seconds()


def log_of(deploy: Deploy) -> list[str]:
    return [line.text for line in lines(list(every_chunk(deploy.run_id)))]


def populated(number: int) -> str:
    token = base64.b64encode(token_of(number).encode()).decode()
    return f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: app\ndata:\n  TOKEN: {token}\n"


def token_of(number: int) -> str:
    return f"canary-token-{number:04d}"


def portal_for(place: Place, monkeypatch: pytest.MonkeyPatch, **environment: Any) -> Portal:
    """Rows for an environment in that place, and Git and AWS in memory."""
    outside = Outside(commits=[], branches={})
    trees: dict[str, Mapping[str, bytes]] = {}
    monkeypatch.setattr(connections, "GitRepository", lambda *_, **__: CommitsGit(outside, trees))
    monkeypatch.setattr(connections, "SecretsManager", lambda *_, **__: FakeSecrets(outside))
    monkeypatch.setattr("core.jobs.push", lambda *_, **__: True)
    cluster = make_cluster(kubeconfig=Path(place.node.kubeconfig).read_text())
    project = make_project(slug="shop")
    made = make_environment(project, slug="staging", cluster=cluster, namespace=place.name, **environment)
    make_secrets_file(made, path="secret.yaml", secret_id="app")
    user = make_user("dev")
    grant(user, Role.DEPLOYER, project)
    return Portal(made, person(user), outside, trees)
